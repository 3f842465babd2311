//! The one writer: batches the writes of many callers into one commit and answers after it.
//!
//! There is no artificial linger: while one commit waits for the disk, the next batch gathers. An idle
//! store commits a lone write at once; a busy one shares a commit among everybody who came meanwhile.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;

use tokio::sync::{mpsc, oneshot};

use crate::engine::Conn;
use crate::{Result, StoreError};

/// How many writes may wait. Beyond it callers wait in turn, which slows their stations down.
const QUEUE: usize = 1024;
/// How many writes share one commit at most, so that one commit stays in the tens of milliseconds.
const BATCH: usize = 256;
/// After how many commits the log is fitted to the grown database again.
const FIT_EVERY: u32 = 256;

type Value = Box<dyn Any + Send>;
/// The future of one job on the writer's connection.
pub(crate) type JobFuture<'c, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'c>>;
type Work = Box<dyn for<'c> FnOnce(&'c mut Conn) -> JobFuture<'c, Value> + Send>;

struct Job {
    work: Work,
    reply: oneshot::Sender<Result<Value>>,
}

/// A handle to the writer task. The task ends when the last handle is dropped and the queue is empty.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    /// Starts the task that owns the only writing connection, and opens it again with `reconnect` when it is lost.
    pub(crate) fn start(conn: Conn, reconnect: Option<Reconnect>) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        tokio::spawn(run(conn, reconnect, queue));
        Self { jobs }
    }

    /// Runs `work` in a commit; returns when what it wrote is durable.
    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Conn) -> JobFuture<'c, T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let work: Work = Box::new(move |conn| {
            let future = work(conn);
            Box::pin(async move { future.await.map(|value| Box::new(value) as Value) })
        });
        self.jobs
            .send(Job { work, reply })
            .await
            .map_err(|_| StoreError::Closed)?;
        let value = answer.await.map_err(|_| StoreError::Closed)??;
        value
            .downcast::<T>()
            .map(|value| *value)
            .map_err(|_| StoreError::Closed)
    }
}

/// Opens the writing connection again after the database server went away.
pub(crate) type Reconnect = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Conn>> + Send>> + Send>;

async fn run(conn: Conn, reconnect: Option<Reconnect>, mut queue: mpsc::Receiver<Job>) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut conn = Some(conn);
    let mut commits = 0_u32;
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        if conn.is_none()
            && let Some(reconnect) = &reconnect
        {
            match reconnect().await {
                Ok(new) => {
                    tracing::info!("the writing database connection is back");
                    conn = Some(new);
                }
                Err(error) => refuse(&mut batch, &crate::describe(&error)),
            }
        }
        let Some(open) = &mut conn else {
            refuse(&mut batch, "the database connection is lost");
            continue;
        };
        commit(open, &mut batch).await;
        commits = commits.wrapping_add(1);
        if commits.is_multiple_of(FIT_EVERY)
            && let Err(error) = open.fit_log().await
        {
            tracing::warn!(error = %crate::describe(&error), "the database's log keeps its length");
        }
        if !open.ping().await {
            // What was under way is refused; callers try again, and the next write looks for the server.
            tracing::error!("the writing database connection is lost");
            conn = None;
        }
    }
    if let Some(conn) = conn {
        conn.close().await;
    }
}

fn refuse(batch: &mut Vec<Job>, reason: &str) {
    for job in batch.drain(..) {
        let _ = job.reply.send(Err(StoreError::NotCommitted(reason.to_owned())));
    }
}

/// One commit for all jobs. A job that fails is rolled back alone; a failing commit fails all, and so does a job
/// that cannot be rolled back alone: the database has then taken the whole transaction back by itself (a full
/// disk), and what came after it would be written outside of any.
async fn commit(conn: &mut Conn, batch: &mut Vec<Job>) {
    if let Err(error) = conn.begin().await {
        refuse(batch, &crate::describe(&error));
        return;
    }
    let mut answers = Vec::with_capacity(batch.len());
    let mut failed = None;
    for job in batch.drain(..) {
        // Once the transaction itself is lost nothing in it may count: PostgreSQL answers the COMMIT of an
        // aborted transaction with a rollback and no error.
        let answer = match failed {
            Some(_) => Err(StoreError::Closed),
            None => match guarded(conn, job.work).await {
                Ok(answer) => answer,
                Err(lost) => {
                    failed = Some(crate::describe(&lost));
                    Err(lost)
                }
            },
        };
        answers.push((job.reply, answer));
    }
    if failed.is_none() {
        failed = conn
            .execute("COMMIT", &[])
            .await
            .err()
            .map(|error| crate::describe(&error));
    }
    if failed.is_some() {
        let _ = conn.execute("ROLLBACK", &[]).await;
    }
    for (reply, answer) in answers {
        let answer = match &failed {
            Some(reason) => Err(StoreError::NotCommitted(reason.clone())),
            None => answer,
        };
        let _ = reply.send(answer);
    }
}

/// Runs one job so that its failure leaves no trace. The outer error: the transaction itself is lost.
async fn guarded(conn: &mut Conn, work: Work) -> Result<Result<Value>> {
    conn.execute("SAVEPOINT job", &[]).await?;
    let answer = work(conn).await;
    let answer = match answer {
        // SQLite takes a whole transaction back by itself when the disk is full; what failed says so, and what
        // came after it would be written outside of any transaction.
        Err(error) if conn.execute("ROLLBACK TO SAVEPOINT job", &[]).await.is_err() => return Err(error),
        other => other,
    };
    conn.execute("RELEASE SAVEPOINT job", &[]).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use sqlx::Connection as _;
    use sqlx::sqlite::SqliteConnection;

    use crate::engine::Conn;

    #[tokio::test]
    async fn the_log_may_grow_with_its_database() {
        let mut conn = Conn::Sqlite(SqliteConnection::connect("sqlite::memory:").await.unwrap());
        // Small pages, or the test would fill half a gigabyte of memory.
        conn.execute("PRAGMA page_size = 512", &[]).await.unwrap();
        conn.execute("CREATE TABLE filler (octets BLOB)", &[])
            .await
            .unwrap();
        for (pages, log) in [(1_000_i64, 8_192), (70_000, 16_384), (140_000, 32_768)] {
            let fill = "INSERT INTO filler VALUES (zeroblob(512 * ($1 - (SELECT * FROM pragma_page_count))))";
            conn.execute(fill, crate::engine::params![pages]).await.unwrap();
            conn.fit_log().await.unwrap();
            let row = conn.row("PRAGMA wal_autocheckpoint", &[]).await.unwrap().unwrap();
            assert_eq!(row.int(0).unwrap(), log, "{pages} pages");
        }
    }
}
