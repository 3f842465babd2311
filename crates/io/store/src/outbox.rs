//! The durable queue of a station: what has to reach the platform survives a power cut.

use gridlatch_vocab::Timestamp;

use crate::engine::params;
use crate::{Result, Store};

/// One entry of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxItem {
    /// Counts up in the order of [`Store::outbox_push`].
    pub number: i64,
    /// What was pushed.
    pub payload: String,
    /// When.
    pub at: Timestamp,
}

impl Store {
    /// Appends an entry; durable when it returns its number.
    pub async fn outbox_push(&self, queue: &str, payload: &str, at: Timestamp) -> Result<i64> {
        let (queue, payload) = (queue.to_owned(), payload.to_owned());
        self.write(move |conn| {
            Box::pin(async move {
                let row = conn
                    .row(
                        "INSERT INTO outbox (queue, payload, at) VALUES ($1, $2, $3) RETURNING number",
                        params![queue, payload, at],
                    )
                    .await?;
                row.map_or(Ok(0), |row| row.int(0))
            })
        })
        .await
    }

    /// The oldest entries, oldest first. They stay until [`Store::outbox_ack`].
    pub async fn outbox_peek(&self, queue: &str, limit: u32) -> Result<Vec<OutboxItem>> {
        let rows = self
            .rows(
                "SELECT number, payload, at FROM outbox WHERE queue = $1 ORDER BY number LIMIT $2",
                params![queue, i64::from(limit)],
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(OutboxItem {
                    number: row.int(0)?,
                    payload: row.text(1)?,
                    at: row.time(2)?,
                })
            })
            .collect()
    }

    /// Removes an entry that the other side acknowledged.
    pub async fn outbox_ack(&self, queue: &str, number: i64) -> Result<()> {
        self.execute(
            "DELETE FROM outbox WHERE queue = $1 AND number = $2",
            params![queue, number],
        )
        .await
        .map(drop)
    }

    /// How many entries wait.
    pub async fn outbox_count(&self, queue: &str) -> Result<i64> {
        let row = self
            .row("SELECT COUNT(*) FROM outbox WHERE queue = $1", params![queue])
            .await?;
        row.map_or(Ok(0), |row| row.int(0))
    }
}
