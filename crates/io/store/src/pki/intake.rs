//! Where certificates that were just signed wait for their commit: those that come while one commit waits for
//! the disk go into the next one together, in statements of many rows.
//!
//! Everybody gets an answer of their own: a serial number or a request that was used before refuses one row and
//! leaves the others; a statement that fails as a whole is taken apart and tried row by row.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::certificate::{Inserted, Prepared, insert, replayed, row_params};
use crate::engine::{Conn, Param};
use crate::writer::Writer;
use crate::{Result, StoreError};

/// How many certificates may wait. Beyond it callers wait in turn.
const QUEUE: usize = 1024;
/// How many certificates share a commit at most, so that one commit stays in the tens of milliseconds.
const BATCH: usize = 256;
/// Rows of one statement, largest first: few texts, so that each stays prepared.
const ROWS: [usize; 4] = [64, 16, 4, 1];

/// The statements of [`ROWS`].
static STATEMENTS: LazyLock<Vec<String>> =
    LazyLock::new(|| ROWS.iter().map(|rows| statement(*rows)).collect());

fn statement(rows: usize) -> String {
    let row = |row: usize| {
        let places: Vec<String> = (1..=COLUMNS)
            .map(|column| format!("${}", row * COLUMNS + column))
            .collect();
        format!("({})", places.join(", "))
    };
    let values: Vec<String> = (0..rows).map(row).collect();
    format!(
        "INSERT INTO pki_certificate (authority, serial, kind, label, lookup, der, not_before, not_after, \
         requester, at, request_digest) VALUES {} ON CONFLICT DO NOTHING RETURNING number, authority, serial",
        values.join(", ")
    )
}

/// Columns of one row.
const COLUMNS: usize = 11;

struct Waiting {
    certificate: Prepared,
    reply: oneshot::Sender<Result<Inserted>>,
}

/// A handle to the task that gathers. The task ends when the last handle is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Intake {
    queue: mpsc::Sender<Waiting>,
}

impl Intake {
    /// Starts the task, which writes by `writer`.
    pub(crate) fn start(writer: Writer) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(run(writer, waiting));
        Self { queue }
    }

    /// Stores a certificate in a shared commit; returns when it is durable, or refused and not there.
    pub(super) async fn put(&self, certificate: Prepared) -> Result<Inserted> {
        let (reply, answer) = oneshot::channel();
        self.queue
            .send(Waiting { certificate, reply })
            .await
            .map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

async fn run(writer: Writer, mut queue: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let (mut rows, mut replies) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        for Waiting { certificate, reply } in batch.drain(..) {
            rows.push(certificate);
            replies.push(reply);
        }
        let copies = rows.clone();
        let stored = writer
            .run(move |conn| Box::pin(async move { insert_each(conn, copies).await }))
            .await;
        match stored {
            Ok(answers) => {
                for (reply, answer) in replies.into_iter().zip(answers) {
                    // Who no longer waits finds the certificate in the list.
                    let _ = reply.send(Ok(answer));
                }
            }
            Err(StoreError::NotCommitted(reason)) => {
                for reply in replies {
                    let _ = reply.send(Err(StoreError::NotCommitted(reason.clone())));
                }
            }
            // One row that no commit can take must not refuse the others.
            Err(_) => one_by_one(&writer, rows, replies).await,
        }
    }
}

/// Each row as a write of its own, which share a commit again.
async fn one_by_one(writer: &Writer, rows: Vec<Prepared>, replies: Vec<oneshot::Sender<Result<Inserted>>>) {
    let mut tasks = JoinSet::new();
    for (row, reply) in rows.into_iter().zip(replies) {
        let writer = writer.clone();
        tasks.spawn(async move {
            let answer = writer
                .run(move |conn| Box::pin(async move { insert(conn, row).await }))
                .await;
            let _ = reply.send(answer);
        });
    }
    tasks.join_all().await;
}

/// Stores every row that can be stored; an answer for each, in order.
pub(super) async fn insert_each(conn: &mut Conn, rows: Vec<Prepared>) -> Result<Vec<Inserted>> {
    let mut answers = Vec::with_capacity(rows.len());
    // The database says what it stored by authority and serial number: twice the same pair in one statement
    // could not be told apart. The later one of a pair goes after the others.
    let mut pairs = HashSet::with_capacity(rows.len());
    let (mut first, mut again) = (Vec::with_capacity(rows.len()), Vec::new());
    for (place, row) in rows.into_iter().enumerate() {
        answers.push(Inserted::SerialTaken);
        if pairs.insert(row.pair()) {
            first.push((place, row));
        } else {
            again.push((place, row));
        }
    }
    let mut rest = first.as_slice();
    for (size, text) in ROWS.into_iter().zip(STATEMENTS.iter()) {
        while let Some((part, after)) = rest.split_at_checked(size) {
            let numbers = insert_part(conn, text, part).await?;
            for (place, row) in part {
                let answer = match numbers.get(&row.pair()) {
                    Some(number) => Inserted::Stored(*number),
                    None => replayed(conn, row).await?,
                };
                if let Some(slot) = answers.get_mut(*place) {
                    *slot = answer;
                }
            }
            rest = after;
        }
    }
    for (place, row) in again {
        let answer = insert(conn, row).await?;
        if let Some(slot) = answers.get_mut(place) {
            *slot = answer;
        }
    }
    Ok(answers)
}

/// One statement; the numbers of what was stored.
async fn insert_part(
    conn: &mut Conn,
    text: &'static str,
    part: &[(usize, Prepared)],
) -> Result<HashMap<(i64, i64), i64>> {
    let params: Vec<Param> = part.iter().flat_map(|(_, row)| row_params(row)).collect();
    let mut numbers = HashMap::with_capacity(part.len());
    for row in conn.rows(text, &params).await? {
        numbers.insert((row.int(1)?, row.int(2)?), row.int(0)?);
    }
    Ok(numbers)
}
