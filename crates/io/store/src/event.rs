//! The latest events, for pages and the REST API. The security log keeps them all.

use gridlatch_vocab::{Event, StationId};
use serde::Serialize;

use crate::engine::params;
use crate::{Result, Store, StoreError};

/// How many events the database keeps.
const KEPT: i64 = 10_000;

/// A kept event and its number.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoredEvent {
    /// Counts up; the cursor of lists.
    pub number: i64,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

impl Store {
    /// Keeps events in their order and forgets all but the latest 10,000.
    pub async fn event_append(&self, events: Vec<Event>) -> Result<()> {
        self.write(move |conn| {
            Box::pin(async move {
                for event in &events {
                    let document = serde_json::to_string(event).map_err(|_| StoreError::Corrupt("event"))?;
                    conn.execute(
                        "INSERT INTO event (at, code, station, transaction_id, document) VALUES ($1, $2, $3, $4, $5)",
                        params![
                            event.at,
                            event.code.as_str(),
                            event.station.as_ref().map(StationId::as_str),
                            event.transaction.as_ref().map(|id| id.as_str()),
                            document,
                        ],
                    )
                    .await?;
                }
                conn.execute(
                    "DELETE FROM event WHERE number <= (SELECT MAX(number) FROM event) - $1",
                    params![KEPT],
                )
                .await
                .map(drop)
            })
        })
        .await
    }

    /// Events, latest first; those with a number below `before`, of one station where named.
    pub async fn event_list(
        &self,
        before: Option<i64>,
        station: Option<&StationId>,
        limit: u32,
    ) -> Result<Vec<StoredEvent>> {
        let before = before.unwrap_or(i64::MAX);
        let rows = match station {
            Some(station) => {
                self.rows(
                    "SELECT number, document FROM event WHERE number < $1 AND station = $2
                    ORDER BY number DESC LIMIT $3",
                    params![before, station.as_str(), i64::from(limit)],
                )
                .await?
            }
            None => {
                self.rows(
                    "SELECT number, document FROM event WHERE number < $1 ORDER BY number DESC LIMIT $2",
                    params![before, i64::from(limit)],
                )
                .await?
            }
        };
        let mut events = Vec::with_capacity(rows.len());
        for row in &rows {
            // A code that a newer release wrote and this one does not know is skipped, not fatal.
            if let Ok(event) = serde_json::from_str(&row.text(1)?) {
                events.push(StoredEvent {
                    number: row.int(0)?,
                    event,
                });
            }
        }
        Ok(events)
    }
}
