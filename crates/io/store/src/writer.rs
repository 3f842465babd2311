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
    /// Starts the task that owns the only writing connection.
    pub(crate) fn start(conn: Conn) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        tokio::spawn(run(conn, queue));
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

async fn run(mut conn: Conn, mut queue: mpsc::Receiver<Job>) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        commit(&mut conn, &mut batch).await;
        if !conn.ping().await {
            // A broken connection to the database server: what is queued is refused, callers retry.
            tracing::error!("the writing database connection is lost");
            break;
        }
    }
    conn.close().await;
}

/// One commit for all jobs. A job that fails is rolled back alone; a failing commit fails all.
async fn commit(conn: &mut Conn, batch: &mut Vec<Job>) {
    if let Err(error) = conn.begin().await {
        let reason = crate::describe(&error);
        for job in batch.drain(..) {
            let _ = job.reply.send(Err(StoreError::NotCommitted(reason.clone())));
        }
        return;
    }
    let mut answers = Vec::with_capacity(batch.len());
    for job in batch.drain(..) {
        let answer = guarded(conn, job.work).await;
        answers.push((job.reply, answer));
    }
    let committed = conn.execute("COMMIT", &[]).await;
    let failed = match &committed {
        Ok(_) => None,
        Err(error) => {
            let _ = conn.execute("ROLLBACK", &[]).await;
            Some(crate::describe(error))
        }
    };
    for (reply, answer) in answers {
        let answer = match &failed {
            Some(reason) => Err(StoreError::NotCommitted(reason.clone())),
            None => answer,
        };
        let _ = reply.send(answer);
    }
}

async fn guarded(conn: &mut Conn, work: Work) -> Result<Value> {
    conn.execute("SAVEPOINT job", &[]).await?;
    let answer = work(conn).await;
    if answer.is_err() {
        conn.execute("ROLLBACK TO SAVEPOINT job", &[]).await?;
    }
    conn.execute("RELEASE SAVEPOINT job", &[]).await?;
    answer
}
