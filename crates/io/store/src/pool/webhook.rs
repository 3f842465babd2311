//! Webhooks: where partners want to be told, and what is still to be told.

use gridlatch_vocab::Timestamp;
use serde_json::Value;

use crate::engine::{Row, params};
use crate::{Result, Store, StoreError, sealed};

/// How many webhooks one client may have.
const MAX_WEBHOOKS: i64 = 8;
/// How many notifications wait in all; a new one beyond that is dropped and said so.
const MAX_DELIVERIES: i64 = 10_000;

/// A webhook.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolWebhook {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub client: String,
    /// Address, events, secret: as the service wrote it.
    pub document: Value,
    /// When it was made.
    pub at: Timestamp,
}

/// A notification to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolDelivery {
    /// Counts up.
    pub number: i64,
    /// To which webhook.
    pub webhook: PoolWebhook,
    /// The body.
    pub body: String,
    /// How often it was tried.
    pub attempts: i64,
    /// When it arose.
    pub at: Timestamp,
}

impl Store {
    /// Keeps a webhook, new or changed; `false` when the client has too many.
    pub async fn pool_webhook_put(&self, webhook: PoolWebhook) -> Result<bool> {
        let document = sealed::seal(
            &self.pseudonyms,
            &place(&webhook.id),
            webhook.document.to_string().as_bytes(),
        )?;
        self.write(move |conn| {
            Box::pin(async move {
                let others = conn
                    .row(
                        "SELECT COUNT(*) FROM pool_webhook WHERE client = $1 AND id <> $2",
                        params![webhook.client.as_str(), webhook.id.as_str()],
                    )
                    .await?;
                if others.map(|row| row.int(0)).transpose()?.unwrap_or(0) >= MAX_WEBHOOKS {
                    return Ok(false);
                }
                conn.execute(
                    "INSERT INTO pool_webhook (id, client, document, at) VALUES ($1, $2, $3, $4)
                    ON CONFLICT (id) DO UPDATE SET document = excluded.document",
                    params![webhook.id, webhook.client, document, webhook.at],
                )
                .await?;
                Ok(true)
            })
        })
        .await
    }

    /// The webhooks of a client, or all of them.
    pub async fn pool_webhooks(&self, client: Option<&str>) -> Result<Vec<PoolWebhook>> {
        let rows = self
            .rows(
                "SELECT id, client, document, at FROM pool_webhook WHERE client = $1 OR $1 = ''
                ORDER BY at, id LIMIT 512",
                params![client.unwrap_or("")],
            )
            .await?;
        rows.iter().map(|row| self.read_webhook(row)).collect()
    }

    /// Removes a client's webhook and what was to be sent to it; whether it was there.
    pub async fn pool_webhook_remove(&self, id: &str, client: &str) -> Result<bool> {
        let (id, client) = (id.to_owned(), client.to_owned());
        self.write(move |conn| {
            Box::pin(async move {
                let removed = conn
                    .execute(
                        "DELETE FROM pool_webhook WHERE id = $1 AND client = $2",
                        params![id.as_str(), client],
                    )
                    .await?;
                if removed > 0 {
                    conn.execute("DELETE FROM pool_delivery WHERE webhook = $1", params![id])
                        .await?;
                }
                Ok(removed > 0)
            })
        })
        .await
    }

    /// Queues a notification; `false` when too many wait.
    pub async fn pool_delivery_put(&self, webhook: &str, body: &str, at: Timestamp) -> Result<bool> {
        let document = sealed::seal(&self.pseudonyms, "pool_delivery", body.as_bytes())?;
        let webhook = webhook.to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                let waiting = conn.row("SELECT COUNT(*) FROM pool_delivery", &[]).await?;
                if waiting.map(|row| row.int(0)).transpose()?.unwrap_or(0) >= MAX_DELIVERIES {
                    return Ok(false);
                }
                conn.execute(
                    "INSERT INTO pool_delivery (webhook, document, attempts, due_at, at) VALUES ($1, $2, 0, $3, $3)",
                    params![webhook, document, at],
                )
                .await?;
                Ok(true)
            })
        })
        .await
    }

    /// Notifications that are due, oldest first.
    pub async fn pool_deliveries_due(&self, now: Timestamp, limit: u16) -> Result<Vec<PoolDelivery>> {
        let rows = self
            .rows(
                "SELECT w.id, w.client, w.document, w.at, d.number, d.document, d.attempts, d.at
                FROM pool_delivery d JOIN pool_webhook w ON w.id = d.webhook
                WHERE d.due_at <= $1 ORDER BY d.due_at, d.number LIMIT $2",
                params![now, limit],
            )
            .await?;
        rows.iter()
            .map(|row| {
                let body = sealed::open(&self.pseudonyms, "pool_delivery", &row.text(5)?)?;
                Ok(PoolDelivery {
                    webhook: self.read_webhook(row)?,
                    number: row.int(4)?,
                    body: String::from_utf8(body).map_err(|_| StoreError::Corrupt("a notification"))?,
                    attempts: row.int(6)?,
                    at: row.time(7)?,
                })
            })
            .collect()
    }

    /// The notification was taken, or is given up.
    pub async fn pool_delivery_done(&self, number: i64) -> Result<()> {
        self.execute("DELETE FROM pool_delivery WHERE number = $1", params![number])
            .await
            .map(drop)
    }

    /// The notification was not taken and is due again.
    pub async fn pool_delivery_retry(&self, number: i64, due_at: Timestamp) -> Result<()> {
        self.execute(
            "UPDATE pool_delivery SET attempts = attempts + 1, due_at = $1 WHERE number = $2",
            params![due_at, number],
        )
        .await
        .map(drop)
    }

    fn read_webhook(&self, row: &Row) -> Result<PoolWebhook> {
        let id = row.text(0)?;
        let document = sealed::open(&self.pseudonyms, &place(&id), &row.text(2)?)?;
        Ok(PoolWebhook {
            client: row.text(1)?,
            document: serde_json::from_slice(&document).map_err(|_| StoreError::Corrupt("a webhook"))?,
            at: row.time(3)?,
            id,
        })
    }
}

fn place(id: &str) -> String {
    format!("pool_webhook/{id}")
}
