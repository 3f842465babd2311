//! Reading transactions: what runs, what is finished, and the samples between.

use gridlatch_vocab::{
    Amps, ConnectorId, EvseId, MilliWattHours, Percent, StationId, Timestamp, TransactionId, Volts, Watts,
};
use serde::Serialize;

use crate::engine::{Row, params};
use crate::{Result, Sample, Store};

/// A transaction as lists and pages show it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Session {
    /// Counts up over all stations; the cursor of lists.
    pub number: i64,
    /// The station.
    pub station: StationId,
    /// The transaction.
    pub transaction: TransactionId,
    /// The EVSE.
    pub evse: Option<EvseId>,
    /// The connector.
    pub connector: Option<ConnectorId>,
    /// When it began, unless its start never arrived.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// OCPP's charging state.
    pub charging_state: Option<String>,
    /// OCPP's stop reason.
    pub stop_reason: Option<String>,
    /// OCPP's token type.
    pub auth_kind: Option<String>,
    /// Reference of the token or contract.
    pub auth_reference: Option<String>,
    /// Masked label of the token or contract.
    pub auth_label: Option<String>,
    /// Energy into the vehicle in this transaction.
    pub imported: MilliWattHours,
    /// Energy out of the vehicle in this transaction.
    pub exported: MilliWattHours,
    /// A register went down at some time: the bill needs a look.
    pub backwards: bool,
    /// The latest sample, filled for running sessions and single sessions.
    pub latest: Option<Sample>,
    /// The bill, once it is issued.
    pub bill: Option<BillSummary>,
}

/// The figures of a bill that lists show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BillSummary {
    /// The charge detail record.
    pub cdr: String,
    /// ISO 4217.
    pub currency: String,
    /// Total without tax, as a decimal number; negative when the driver is owed.
    pub total_excl: String,
    /// Total with tax.
    pub total_incl: String,
}

/// The columns of [`read`], in its order.
macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT t.number, t.station, t.transaction_id, t.evse, t.connector, t.started_at, t.ended_at, ",
            "t.charging_state, t.stop_reason, t.auth_kind, t.auth_reference, t.auth_label, ",
            "t.import_start, t.import_last, t.export_start, t.export_last, t.backwards, ",
            "c.id, c.currency, c.total_excl, c.total_incl ",
            "FROM transactions t LEFT JOIN cdr c ON c.station = t.station AND c.transaction_id = t.transaction_id ",
            $tail
        )
    };
}

const SAMPLE: &str =
    "SELECT at, power, imported, exported, voltage, current_amps, soc, setpoint FROM meter_value
    WHERE station = $1 AND transaction_id = $2 AND at > $3 ORDER BY at, seq_no, part LIMIT $4";
const LATEST: &str =
    "SELECT at, power, imported, exported, voltage, current_amps, soc, setpoint FROM meter_value
    WHERE station = $1 AND transaction_id = $2 ORDER BY at DESC, seq_no DESC, part DESC LIMIT 1";

impl Store {
    /// Running sessions with their latest sample, oldest first; at most `limit`.
    pub async fn session_running(&self, limit: u32) -> Result<Vec<Session>> {
        let rows = self
            .rows(
                select!("WHERE t.ended_at IS NULL ORDER BY t.number LIMIT $1"),
                params![i64::from(limit)],
            )
            .await?;
        let mut sessions = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
        for session in &mut sessions {
            session.latest = self.sample_latest(&session.station, &session.transaction).await?;
        }
        Ok(sessions)
    }

    /// Finished sessions with their bill, latest first; those with a number below `before`.
    pub async fn session_finished(&self, before: Option<i64>, limit: u32) -> Result<Vec<Session>> {
        let rows = self
            .rows(
                select!("WHERE t.ended_at IS NOT NULL AND t.number < $1 ORDER BY t.number DESC LIMIT $2"),
                params![before.unwrap_or(i64::MAX), i64::from(limit)],
            )
            .await?;
        rows.iter().map(read).collect()
    }

    /// One session with its latest sample.
    pub async fn session_find(
        &self,
        station: &StationId,
        transaction: &TransactionId,
    ) -> Result<Option<Session>> {
        let row = self
            .row(
                select!("WHERE t.station = $1 AND t.transaction_id = $2"),
                params![station.as_str(), transaction.as_str()],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        let mut session = read(&row)?;
        session.latest = self.sample_latest(station, transaction).await?;
        Ok(Some(session))
    }

    /// The session running at an EVSE, if one is.
    pub async fn session_at(&self, station: &StationId, evse: EvseId) -> Result<Option<Session>> {
        let row = self
            .row(
                select!("WHERE t.station = $1 AND t.evse = $2 AND t.ended_at IS NULL ORDER BY t.number DESC LIMIT 1"),
                params![station.as_str(), evse.0],
            )
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Sessions that ended, whose start is known, and that have no bill yet: what a restarted platform
    /// still has to price.
    pub async fn session_unbilled(&self, limit: u32) -> Result<Vec<Session>> {
        let rows = self
            .rows(
                select!(
                    "WHERE t.ended_at IS NOT NULL AND t.started_at IS NOT NULL AND c.id IS NULL
                    ORDER BY t.number LIMIT $1"
                ),
                params![i64::from(limit)],
            )
            .await?;
        rows.iter().map(read).collect()
    }

    /// Samples of a transaction taken after `since`, oldest first; at most `limit`. Page on with the time
    /// of the last one.
    pub async fn sample_list(
        &self,
        station: &StationId,
        transaction: &TransactionId,
        since: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<Sample>> {
        let since = since.map_or(i64::MIN, Timestamp::unix_millis);
        let rows = self
            .rows(
                SAMPLE,
                params![station.as_str(), transaction.as_str(), since, i64::from(limit)],
            )
            .await?;
        rows.iter().map(read_sample).collect()
    }

    async fn sample_latest(
        &self,
        station: &StationId,
        transaction: &TransactionId,
    ) -> Result<Option<Sample>> {
        let row = self
            .row(LATEST, params![station.as_str(), transaction.as_str()])
            .await?;
        row.as_ref().map(read_sample).transpose()
    }
}

fn read(row: &Row) -> Result<Session> {
    let used = |start: usize| -> Result<MilliWattHours> {
        let start_value = row.energy_opt(start)?;
        Ok(match (start_value, row.energy_opt(start + 1)?) {
            (Some(first), Some(last)) => last.since(first),
            _ => MilliWattHours(0),
        })
    };
    let bill = match row.text_opt(17)? {
        Some(cdr) => Some(BillSummary {
            cdr,
            currency: row.text(18)?,
            total_excl: row.text(19)?,
            total_incl: row.text(20)?,
        }),
        None => None,
    };
    let small = |index: usize| -> Result<Option<u16>> {
        Ok(row.int_opt(index)?.and_then(|value| u16::try_from(value).ok()))
    };
    Ok(Session {
        number: row.int(0)?,
        station: row.parsed(1, "station")?,
        transaction: row.parsed(2, "transaction")?,
        evse: small(3)?.map(EvseId),
        connector: small(4)?.map(ConnectorId),
        started_at: row.time_opt(5)?,
        ended_at: row.time_opt(6)?,
        charging_state: row.text_opt(7)?,
        stop_reason: row.text_opt(8)?,
        auth_kind: row.text_opt(9)?,
        auth_reference: row.text_opt(10)?,
        auth_label: row.text_opt(11)?,
        imported: used(12)?,
        exported: used(14)?,
        backwards: row.flag(16)?,
        latest: None,
        bill,
    })
}

fn read_sample(row: &Row) -> Result<Sample> {
    Ok(Sample {
        at: row.time(0)?,
        power: row.real_opt(1)?.map(Watts),
        imported: row.energy_opt(2)?,
        exported: row.energy_opt(3)?,
        voltage: row.real_opt(4)?.map(Volts),
        current: row.real_opt(5)?.map(Amps),
        soc: row.real_opt(6)?.map(Percent),
        setpoint: row.real_opt(7)?.map(Watts),
    })
}
