//! What the console shows that no other reader needs: registers of one session, the energy of a day, and
//! events narrowed down.

use gridlatch_vocab::{Code, Event, MilliWattHours, Severity, StationId, Timestamp, TransactionId};

use crate::engine::params;
use crate::{Result, Store};

/// The registers of one transaction at its first and its latest reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RegisterSpan {
    /// Import register at the first reading, and when it was read.
    pub import_first: Option<(Timestamp, MilliWattHours)>,
    /// Import register at the latest reading.
    pub import_last: Option<(Timestamp, MilliWattHours)>,
    /// Export register at the first reading.
    pub export_first: Option<(Timestamp, MilliWattHours)>,
    /// Export register at the latest reading.
    pub export_last: Option<(Timestamp, MilliWattHours)>,
}

/// Which events are wanted.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Only those with a lower number: the cursor of the page before.
    pub before: Option<i64>,
    /// Only of this station.
    pub station: Option<StationId>,
    /// Only of this code.
    pub code: Option<Code>,
    /// Only at least this severe.
    pub severity: Option<Severity>,
    /// Only from this moment on.
    pub since: Option<Timestamp>,
    /// Only up to this moment.
    pub until: Option<Timestamp>,
}

/// How many rows one step of a search looks at. The table holds at most 10,000.
const STEP: i64 = 500;

impl Store {
    /// The registers a session rests on.
    pub async fn session_registers(
        &self,
        station: &StationId,
        transaction: &TransactionId,
    ) -> Result<Option<RegisterSpan>> {
        let row = self
            .row(
                "SELECT import_start_at, import_start, import_last_at, import_last,
                    export_start_at, export_start, export_last_at, export_last
                FROM transactions WHERE station = $1 AND transaction_id = $2",
                params![station.as_str(), transaction.as_str()],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        let pair = |index: usize| -> Result<Option<(Timestamp, MilliWattHours)>> {
            Ok(row.time_opt(index)?.zip(row.energy_opt(index + 1)?))
        };
        Ok(Some(RegisterSpan {
            import_first: pair(0)?,
            import_last: pair(2)?,
            export_first: pair(4)?,
            export_last: pair(6)?,
        }))
    }

    /// Energy into vehicles and out of them since a moment, over all stations. A session that began before
    /// counts from the last reading taken before that moment.
    pub async fn energy_since(&self, since: Timestamp) -> Result<(MilliWattHours, MilliWattHours)> {
        let row = self
            .row(
                "SELECT
                    CAST(COALESCE(SUM(import_last - COALESCE((SELECT MAX(m.imported) FROM meter_value m
                        WHERE m.station = t.station AND m.transaction_id = t.transaction_id AND m.at < $1),
                        import_start)), 0) AS BIGINT),
                    CAST(COALESCE(SUM(export_last - COALESCE((SELECT MAX(m.exported) FROM meter_value m
                        WHERE m.station = t.station AND m.transaction_id = t.transaction_id AND m.at < $1),
                        export_start)), 0) AS BIGINT)
                FROM transactions t WHERE last_at >= $1",
                params![since],
            )
            .await?;
        let Some(row) = row else {
            return Ok((MilliWattHours(0), MilliWattHours(0)));
        };
        Ok((
            row.energy_opt(0)?.unwrap_or_default(),
            row.energy_opt(1)?.unwrap_or_default(),
        ))
    }

    /// Events that match, latest first, each with its number; at most `limit`.
    pub async fn event_search(&self, query: &EventQuery, limit: usize) -> Result<Vec<(i64, Event)>> {
        let mut found = Vec::new();
        let mut before = query.before.unwrap_or(i64::MAX);
        loop {
            let rows = self
                .rows(
                    "SELECT number, document FROM event WHERE number < $1 AND ($2 = '' OR station = $2)
                        AND ($3 = '' OR code = $3) AND at >= $4 AND at <= $5 ORDER BY number DESC LIMIT $6",
                    params![
                        before,
                        query.station.as_ref().map_or("", StationId::as_str),
                        query.code.map_or("", Code::as_str),
                        query.since.map_or(i64::MIN, Timestamp::unix_millis),
                        query.until.map_or(i64::MAX, Timestamp::unix_millis),
                        STEP
                    ],
                )
                .await?;
            for row in &rows {
                before = row.int(0)?;
                // A code that a newer release wrote and this one does not know is skipped, not fatal.
                let Ok(event) = serde_json::from_str::<Event>(&row.text(1)?) else {
                    continue;
                };
                if query.severity.is_none_or(|least| event.severity >= least) {
                    found.push((before, event));
                    if found.len() == limit {
                        return Ok(found);
                    }
                }
            }
            if rows.len() < STEP as usize {
                return Ok(found);
            }
        }
    }
}

#[cfg(test)]
mod tests;
