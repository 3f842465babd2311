//! Opening a store, and where reads and writes go.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::engine::{Conn, Param, Row, bound};
use crate::pki::intake::Intake;
use crate::pseudonym::Pseudonyms;
use crate::writer::{JobFuture, Reconnect, Writer};
use crate::{Result, StoreError, migrate};

/// Connections for reading. Few: SQLite reads are short, and a page that waits is better than a server
/// that swaps.
const READERS: u32 = 4;
/// How long a read may wait for a connection before it fails instead of piling up.
const ACQUIRE: Duration = Duration::from_secs(5);
/// How long SQLite waits for a lock another process holds.
const BUSY: Duration = Duration::from_secs(5);
/// Most memory for pages of the writing connection; negative means KiB.
const WRITER_CACHE: &str = "-65536";
/// The same for each reading one.
const READER_CACHE: &str = "-16384";

/// The store. Cheap to clone; all clones are the same store.
#[derive(Debug, Clone)]
pub struct Store {
    writer: Writer,
    /// Signed certificates gather here for a shared commit.
    pub(crate) intake: Intake,
    readers: Readers,
    pub(crate) pseudonyms: Arc<Pseudonyms>,
}

#[derive(Debug, Clone)]
enum Readers {
    Sqlite(SqlitePool),
    Postgres(PgPool),
    /// A database in memory has one connection; reads take their turn on it.
    Writer,
}

impl Store {
    /// Opens `place`: a file path (created with mode 0600 when missing), `:memory:`, or a
    /// `postgres://` URL. Brings the schema up to date.
    pub async fn open(place: &str) -> Result<Self> {
        if place.starts_with("postgres:") || place.starts_with("postgresql:") {
            open_postgres(place).await
        } else if place == ":memory:" {
            open_memory().await
        } else {
            open_file(Path::new(place)).await
        }
    }

    /// Runs a write in a shared commit; returns when it is durable.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> JobFuture<'c, T> + Send + 'static,
    {
        self.writer.run(work).await
    }

    /// One statement in a shared commit; how many rows it touched.
    pub(crate) async fn execute(&self, sql: &'static str, params: &[Param]) -> Result<u64> {
        let params = params.to_vec();
        self.write(move |conn| Box::pin(async move { conn.execute(sql, &params).await }))
            .await
    }

    /// Rows of a query that sees every commit acknowledged before it began.
    pub(crate) async fn rows(&self, sql: &'static str, params: &[Param]) -> Result<Vec<Row>> {
        Ok(match &self.readers {
            Readers::Sqlite(pool) => {
                let rows = bound!(sql, params).fetch_all(pool).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Readers::Postgres(pool) => {
                let rows = bound!(sql, params).fetch_all(pool).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
            Readers::Writer => {
                let params = params.to_vec();
                self.writer
                    .run(move |conn| Box::pin(async move { conn.rows(sql, &params).await }))
                    .await?
            }
        })
    }

    /// The first row of a query.
    pub(crate) async fn row(&self, sql: &'static str, params: &[Param]) -> Result<Option<Row>> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// Copies the database, as of one moment, into a file that must not exist, while it stays in use. Embedded
    /// databases only: a server has tools of its own.
    pub async fn snapshot(&self, to: &Path) -> Result<()> {
        let unable = |reason: String| StoreError::Open {
            place: to.display().to_string(),
            source: reason.into(),
        };
        let path = to
            .to_str()
            .ok_or_else(|| unable("the path is not text".to_owned()))?;
        match &self.readers {
            Readers::Sqlite(_) => {
                if to.exists() {
                    return Err(unable("it exists already".to_owned()));
                }
                self.rows("VACUUM INTO $1", &[Param::from(path)]).await.map(drop)
            }
            Readers::Postgres(_) | Readers::Writer => Err(unable(
                "only a database in a file is copied; use pg_dump for a server".to_owned(),
            )),
        }
    }

    /// Whether the database answers, for health checks.
    pub async fn health(&self) -> Result<()> {
        self.row("SELECT 1", &[]).await.map(drop)
    }
}

async fn open_file(path: &Path) -> Result<Store> {
    let place = path.display().to_string();
    let wrap = |source: Box<dyn std::error::Error + Send + Sync>| StoreError::Open {
        place: place.clone(),
        source,
    };
    // Created here so that the file, and the log files SQLite derives from it, belong to the owner only.
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| wrap(Box::new(error)))?;
    // While a new database is still empty: after a crash in between, it is new once more.
    let pseudonyms = Pseudonyms::beside(path).map_err(|error| wrap(Box::new(error)))?;
    let options = sqlite_options()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal);
    let options = options.pragma("cache_size", WRITER_CACHE);
    let mut conn = Conn::Sqlite(options.connect().await.map_err(|error| wrap(Box::new(error)))?);
    conn.fit_log().await?;
    migrate::run(&mut conn).await?;
    let pool = SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(ACQUIRE)
        .connect_lazy_with(
            sqlite_options()
                .filename(path)
                .pragma("cache_size", READER_CACHE)
                .read_only(true),
        );
    let writer = Writer::start(conn, None);
    Ok(Store {
        intake: Intake::start(writer.clone()),
        writer,
        readers: Readers::Sqlite(pool),
        pseudonyms: Arc::new(pseudonyms),
    })
}

async fn open_memory() -> Result<Store> {
    let wrap = |source: Box<dyn std::error::Error + Send + Sync>| StoreError::Open {
        place: ":memory:".to_owned(),
        source,
    };
    let options = sqlite_options().in_memory(true);
    let mut conn = Conn::Sqlite(options.connect().await.map_err(|error| wrap(Box::new(error)))?);
    migrate::run(&mut conn).await?;
    let writer = Writer::start(conn, None);
    Ok(Store {
        intake: Intake::start(writer.clone()),
        writer,
        readers: Readers::Writer,
        pseudonyms: Arc::new(Pseudonyms::random().map_err(|error| wrap(Box::new(error)))?),
    })
}

async fn open_postgres(url: &str) -> Result<Store> {
    let wrap = |source: sqlx::Error| StoreError::Open {
        place: "PostgreSQL".to_owned(),
        source: Box::new(source),
    };
    let options = PgConnectOptions::from_str(url).map_err(wrap)?;
    let mut conn = Conn::postgres(&options).await.map_err(wrap)?;
    migrate::run(&mut conn).await?;
    let pseudonyms = Pseudonyms::stored(&mut conn).await?;
    let pool = PgPoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(ACQUIRE)
        .connect_lazy_with(options.clone());
    let reconnect: Reconnect = Box::new(move || {
        let options = options.clone();
        Box::pin(async move { Ok(Conn::postgres(&options).await?) })
    });
    let writer = Writer::start(conn, Some(reconnect));
    Ok(Store {
        intake: Intake::start(writer.clone()),
        writer,
        readers: Readers::Postgres(pool),
        pseudonyms: Arc::new(pseudonyms),
    })
}

/// `synchronous=FULL` makes a commit wait for the disk also in WAL mode: acknowledged means durable.
fn sqlite_options() -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY)
        .foreign_keys(true)
}
