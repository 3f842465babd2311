//! One thin face over both database engines: the same statement text; integers, texts, reals and octets.
//!
//! `$1` placeholders work on both. Times are milliseconds since the Unix epoch, booleans 0 or 1.

use std::time::Duration;

use gridlatch_vocab::{MilliWattHours, Timestamp};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection as _, Row as _};

use crate::{Result, StoreError};

/// How long a connection to the database server may take.
const CONNECT: Duration = Duration::from_secs(5);

/// A bound value. PostgreSQL needs the type of a NULL, so each kind carries its own.
#[derive(Debug, Clone)]
pub(crate) enum Param {
    Int(Option<i64>),
    Real(Option<f64>),
    Text(Option<String>),
    Octets(Option<Vec<u8>>),
}

macro_rules! param_from {
    ($($from:ty => $kind:ident($v:ident) $value:expr;)*) => {
        $(
            impl From<$from> for Param {
                fn from($v: $from) -> Self { Self::$kind($value) }
            }
        )*
    };
}
param_from! {
    i64 => Int(v) Some(v);
    Option<i64> => Int(v) v;
    u16 => Int(v) Some(i64::from(v));
    bool => Int(v) Some(i64::from(v));
    Timestamp => Int(v) Some(v.unix_millis());
    Option<Timestamp> => Int(v) v.map(Timestamp::unix_millis);
    MilliWattHours => Int(v) Some(i64::try_from(v.0).unwrap_or(i64::MAX));
    Option<MilliWattHours> => Int(v) v.map(|v| i64::try_from(v.0).unwrap_or(i64::MAX));
    f64 => Real(v) Some(v);
    Option<f64> => Real(v) v;
    &str => Text(v) Some(v.to_owned());
    String => Text(v) Some(v);
    Option<String> => Text(v) v;
    Option<&str> => Text(v) v.map(str::to_owned);
    Vec<u8> => Octets(v) Some(v);
    Option<Vec<u8>> => Octets(v) v;
}

/// Bound values in order.
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::engine::Param::from($value)),*] };
}
pub(crate) use params;

macro_rules! bound {
    ($sql:expr, $params:expr) => {{
        let mut query = sqlx::query($sql);
        for param in $params {
            query = match param {
                Param::Int(value) => query.bind(*value),
                Param::Real(value) => query.bind(*value),
                Param::Text(value) => query.bind(value.clone()),
                Param::Octets(value) => query.bind(value.clone()),
            };
        }
        query
    }};
}
pub(crate) use bound;

/// One connection of either engine.
#[derive(Debug)]
pub(crate) enum Conn {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Conn {
    /// Connects to a database server, within [`CONNECT`].
    pub(crate) async fn postgres(options: &PgConnectOptions) -> std::result::Result<Self, sqlx::Error> {
        tokio::time::timeout(CONNECT, PgConnection::connect_with(options))
            .await
            .map_err(|_| sqlx::Error::PoolTimedOut)?
            .map(Self::Postgres)
    }

    /// Runs a statement; how many rows it touched.
    pub(crate) async fn execute(&mut self, sql: &'static str, params: &[Param]) -> Result<u64> {
        Ok(match self {
            Self::Sqlite(conn) => bound!(sql, params).execute(conn).await?.rows_affected(),
            Self::Postgres(conn) => bound!(sql, params).execute(conn).await?.rows_affected(),
        })
    }

    /// Runs a query; all its rows. Every query is bounded by its own LIMIT or key.
    pub(crate) async fn rows(&mut self, sql: &'static str, params: &[Param]) -> Result<Vec<Row>> {
        Ok(match self {
            Self::Sqlite(conn) => {
                let rows = bound!(sql, params).fetch_all(conn).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(conn) => {
                let rows = bound!(sql, params).fetch_all(conn).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// The first row, if any.
    pub(crate) async fn row(&mut self, sql: &'static str, params: &[Param]) -> Result<Option<Row>> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// Runs a statement of the schema, where `NUMBER` stands for the engine's counting primary key and
    /// `OCTETS` for its binary type.
    pub(crate) async fn ddl(&mut self, sql: &'static str) -> Result<()> {
        let (number, octets) = match self {
            Self::Sqlite(_) => ("INTEGER PRIMARY KEY AUTOINCREMENT", "BLOB"),
            Self::Postgres(_) => ("BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "BYTEA"),
        };
        let sql = sql
            .replace(" NUMBER,", &format!(" {number},"))
            .replace(" OCTETS", &format!(" {octets}"));
        let sql = sqlx::AssertSqlSafe(sql);
        match self {
            Self::Sqlite(conn) => sqlx::query(sql).execute(conn).await.map(drop)?,
            Self::Postgres(conn) => sqlx::query(sql).execute(conn).await.map(drop)?,
        }
        Ok(())
    }

    /// Opens a write transaction. SQLite takes the write lock at once, so that it cannot fail later.
    pub(crate) async fn begin(&mut self) -> Result<()> {
        let sql = match self {
            Self::Sqlite(_) => "BEGIN IMMEDIATE",
            Self::Postgres(_) => "BEGIN",
        };
        self.execute(sql, &[]).await.map(drop)
    }

    /// Whether the connection still answers.
    pub(crate) async fn ping(&mut self) -> bool {
        match self {
            Self::Sqlite(conn) => conn.ping().await.is_ok(),
            Self::Postgres(conn) => conn.ping().await.is_ok(),
        }
    }

    /// Lets SQLite's log grow with its database before it is written back: 32 MiB, and 128 MiB beside a
    /// database of 512 MiB or more (pages of 4 KiB). The indexes of a large store are touched at random; a longer log writes
    /// each of their pages back once for many commits instead of once for a few. PostgreSQL sees to it by itself.
    pub(crate) async fn fit_log(&mut self) -> Result<()> {
        if let Self::Postgres(_) = self {
            return Ok(());
        }
        let pages = match self.row("PRAGMA page_count", &[]).await? {
            Some(row) => row.int(0)?,
            None => 0,
        };
        let log = match pages {
            ..65_536 => "PRAGMA wal_autocheckpoint = 8192",
            65_536..131_072 => "PRAGMA wal_autocheckpoint = 16384",
            131_072.. => "PRAGMA wal_autocheckpoint = 32768",
        };
        self.row(log, &[]).await.map(drop)
    }

    /// Closes in order (SQLite: checkpoints the log).
    pub(crate) async fn close(self) {
        let _ = match self {
            Self::Sqlite(conn) => conn.close().await,
            Self::Postgres(conn) => conn.close().await,
        };
    }
}

/// One row of either engine; columns by position in the SELECT list.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

macro_rules! column {
    ($self:ident, $index:ident) => {
        match $self {
            Row::Sqlite(row) => row.try_get($index),
            Row::Postgres(row) => row.try_get($index),
        }
        .map_err(StoreError::from)
    };
}

impl Row {
    pub(crate) fn int(&self, index: usize) -> Result<i64> {
        column!(self, index)
    }

    pub(crate) fn int_opt(&self, index: usize) -> Result<Option<i64>> {
        column!(self, index)
    }

    pub(crate) fn real_opt(&self, index: usize) -> Result<Option<f64>> {
        column!(self, index)
    }

    pub(crate) fn text(&self, index: usize) -> Result<String> {
        column!(self, index)
    }

    pub(crate) fn text_opt(&self, index: usize) -> Result<Option<String>> {
        column!(self, index)
    }

    pub(crate) fn octets(&self, index: usize) -> Result<Vec<u8>> {
        column!(self, index)
    }

    pub(crate) fn flag(&self, index: usize) -> Result<bool> {
        Ok(self.int(index)? != 0)
    }

    pub(crate) fn time(&self, index: usize) -> Result<Timestamp> {
        Ok(Timestamp::from_unix_millis(self.int(index)?))
    }

    pub(crate) fn time_opt(&self, index: usize) -> Result<Option<Timestamp>> {
        Ok(self.int_opt(index)?.map(Timestamp::from_unix_millis))
    }

    pub(crate) fn energy_opt(&self, index: usize) -> Result<Option<MilliWattHours>> {
        Ok(self
            .int_opt(index)?
            .map(|value| MilliWattHours(u64::try_from(value).unwrap_or(0))))
    }

    pub(crate) fn number_u16(&self, index: usize, what: &'static str) -> Result<u16> {
        u16::try_from(self.int(index)?).map_err(|_| StoreError::Corrupt(what))
    }

    /// A text that parses as an id.
    pub(crate) fn parsed<T: std::str::FromStr>(&self, index: usize, what: &'static str) -> Result<T> {
        self.text(index)?.parse().map_err(|_| StoreError::Corrupt(what))
    }
}
