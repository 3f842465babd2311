//! Transaction events: exactly once by (station, transaction, sequence number).

use std::ops::RangeInclusive;

use gridlatch_vocab::{
    Amps, ConnectorId, EvseId, MilliWattHours, Percent, StationId, Timestamp, TransactionId, Volts, Watts,
};
use serde::{Deserialize, Serialize};

use crate::engine::{Conn, params};
use crate::{Result, SignedReading, Store};

/// Which of OCPP's three events it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// The transaction began.
    Started,
    /// It goes on.
    Updated,
    /// It ended.
    Ended,
}

impl EventKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "Started",
            Self::Updated => "Updated",
            Self::Ended => "Ended",
        }
    }
}

/// What a meter said at one moment. What it did not say is absent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// Power; negative while the vehicle feeds back.
    pub power: Option<Watts>,
    /// The import register.
    pub imported: Option<MilliWattHours>,
    /// The export register.
    pub exported: Option<MilliWattHours>,
    /// Tension.
    pub voltage: Option<Volts>,
    /// Current; negative while the vehicle feeds back.
    pub current: Option<Amps>,
    /// State of charge.
    pub soc: Option<Percent>,
    /// The set-point in force.
    pub setpoint: Option<Watts>,
}

impl Sample {
    /// A sample that says nothing yet.
    #[must_use]
    pub const fn empty(at: Timestamp) -> Self {
        Self {
            at,
            power: None,
            imported: None,
            exported: None,
            voltage: None,
            current: None,
            soc: None,
            setpoint: None,
        }
    }
}

/// Who charges, by reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenUse {
    /// OCPP's token type.
    pub kind: String,
    /// The reference of the token or contract.
    pub reference: String,
    /// Its masked label.
    pub label: String,
}

/// One TransactionEvent, ready to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct TransactionRecord {
    /// The station.
    pub station: StationId,
    /// The transaction.
    pub transaction: TransactionId,
    /// Its sequence number.
    pub seq_no: i64,
    /// Which event.
    pub kind: EventKind,
    /// OCPP's trigger reason.
    pub trigger: String,
    /// When it happened at the station.
    pub at: Timestamp,
    /// When it arrived here.
    pub received_at: Timestamp,
    /// Whether it happened while the station was offline.
    pub offline: bool,
    /// The EVSE, where the event names it.
    pub evse: Option<EvseId>,
    /// The connector, where the event names it.
    pub connector: Option<ConnectorId>,
    /// OCPP's charging state.
    pub charging_state: Option<String>,
    /// OCPP's stop reason.
    pub stop_reason: Option<String>,
    /// Who charges, where the event names them and they are known.
    pub token: Option<TokenUse>,
    /// The remote start it answers.
    pub remote_start_id: Option<i64>,
    /// Its meter values, oldest first. At most 100 are kept per event.
    pub samples: Vec<Sample>,
    /// Its signed meter values. At most 8 are kept per event.
    pub signed: Vec<SignedReading>,
    /// A digest of the payload: the same number with another digest is a contradiction.
    pub digest: String,
}

/// What became of a [`TransactionRecord`].
#[derive(Debug, Clone, PartialEq)]
pub enum Recorded {
    /// It is new and kept.
    New {
        /// Sequence numbers skipped just before it.
        missing: Option<RangeInclusive<i64>>,
        /// It fills an earlier gap: a later number was there first.
        late: bool,
        /// A register went down, which no meter does.
        backwards: bool,
        /// The transaction has ended and its start is known: it can be priced.
        complete: bool,
    },
    /// This sequence number was kept before; nothing changed.
    Duplicate {
        /// Whether the payload is the same, too.
        same: bool,
    },
}

/// How many signed meter values one event may bring.
const SIGNED: usize = 8;
/// How many meter values one event may bring.
const SAMPLES: usize = 100;

impl Store {
    /// Keeps one TransactionEvent, or finds that it was kept before. Durable when it returns.
    pub async fn transaction_record(&self, record: TransactionRecord) -> Result<Recorded> {
        self.write(move |conn| Box::pin(async move { keep(conn, record).await }))
            .await
    }
}

async fn keep(conn: &mut Conn, record: TransactionRecord) -> Result<Recorded> {
    let (station, transaction) = (record.station.as_str(), record.transaction.as_str());
    let known = conn
        .row(
            "SELECT digest FROM transaction_event WHERE station = $1 AND transaction_id = $2 AND seq_no = $3",
            params![station, transaction, record.seq_no],
        )
        .await?;
    if let Some(row) = known {
        let same = row.text(0)? == record.digest;
        return Ok(Recorded::Duplicate { same });
    }

    let before = State::load(conn, &record).await?;
    if before.is_none() {
        conn.execute(
            "INSERT INTO transactions (station, transaction_id, first_seq, last_seq, last_at)
            VALUES ($1, $2, $3, $3, $4)",
            params![station, transaction, record.seq_no, record.at],
        )
        .await?;
    }
    conn.execute(
        "INSERT INTO transaction_event
            (station, transaction_id, seq_no, kind, reason, at, received_at, offline, digest)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        params![
            station,
            transaction,
            record.seq_no,
            record.kind.as_str(),
            record.trigger.as_str(),
            record.at,
            record.received_at,
            record.offline,
            record.digest.as_str(),
        ],
    )
    .await?;
    for (part, sample) in (0_i64..).zip(record.samples.iter().take(SAMPLES)) {
        keep_sample(conn, &record, part, sample).await?;
    }
    for (part, signed) in (0_i64..).zip(record.signed.iter().take(SIGNED)) {
        keep_signed(conn, &record, part, signed).await?;
    }

    let (missing, late) = match &before {
        Some(state) if record.seq_no > state.last_seq + 1 => {
            (Some(state.last_seq + 1..=record.seq_no - 1), false)
        }
        Some(state) => (None, record.seq_no < state.last_seq),
        // A transaction whose first message is not its start: what came before is missing.
        None if record.kind != EventKind::Started && record.seq_no > 0 => {
            (Some(0..=record.seq_no - 1), false)
        }
        None => (None, false),
    };
    let mut state = before.unwrap_or_else(|| State::new(&record));
    let backwards = state.advance(&record);
    state.save(conn, &record).await?;
    Ok(Recorded::New {
        missing,
        late,
        backwards,
        complete: state.ended_at.is_some() && state.started_at.is_some(),
    })
}

async fn keep_sample(conn: &mut Conn, record: &TransactionRecord, part: i64, sample: &Sample) -> Result<()> {
    conn.execute(
        "INSERT INTO meter_value (station, transaction_id, seq_no, part, at, power, imported, exported, voltage,
            current_amps, soc, setpoint) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        params![
            record.station.as_str(),
            record.transaction.as_str(),
            record.seq_no,
            part,
            sample.at,
            sample.power.map(|v| v.0),
            sample.imported,
            sample.exported,
            sample.voltage.map(|v| v.0),
            sample.current.map(|v| v.0),
            sample.soc.map(|v| v.0),
            sample.setpoint.map(|v| v.0),
        ],
    )
    .await
    .map(drop)
}

async fn keep_signed(
    conn: &mut Conn,
    record: &TransactionRecord,
    part: i64,
    signed: &SignedReading,
) -> Result<()> {
    conn.execute(
        "INSERT INTO signed_reading (station, transaction_id, seq_no, part, at, encoding, data, public_key, page)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        params![
            record.station.as_str(),
            record.transaction.as_str(),
            record.seq_no,
            part,
            signed.at,
            signed.encoding.as_str(),
            signed.data.as_str(),
            signed.public_key.clone(),
            signed.page,
        ],
    )
    .await
    .map(drop)
}

/// A register at the first and at the latest moment it was read.
#[derive(Debug, Clone, Copy, Default)]
struct Register {
    start: Option<(Timestamp, MilliWattHours)>,
    last: Option<(Timestamp, MilliWattHours)>,
}

impl Register {
    /// Takes a reading in any order of arrival; whether it contradicts a meter that only counts up.
    fn read(&mut self, at: Timestamp, value: Option<MilliWattHours>) -> bool {
        let Some(value) = value else { return false };
        let mut backwards = false;
        match self.start {
            Some((start, first)) if at >= start => backwards |= value < first,
            _ => self.start = Some((at, value)),
        }
        match self.last {
            Some((last, latest)) if at < last => backwards |= value > latest,
            Some((_, latest)) => {
                backwards |= value < latest;
                self.last = Some((at, value));
            }
            None => self.last = Some((at, value)),
        }
        backwards
    }
}

/// The row of a transaction while an event is applied to it.
struct State {
    last_seq: i64,
    last_at: Timestamp,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    charging_state: Option<String>,
    import: Register,
    export: Register,
    backwards: bool,
}

impl State {
    fn new(record: &TransactionRecord) -> Self {
        Self {
            last_seq: record.seq_no,
            last_at: record.at,
            started_at: None,
            ended_at: None,
            charging_state: None,
            import: Register::default(),
            export: Register::default(),
            backwards: false,
        }
    }

    async fn load(conn: &mut Conn, record: &TransactionRecord) -> Result<Option<Self>> {
        let row = conn
            .row(
                "SELECT last_seq, last_at, started_at, ended_at, charging_state, import_start, import_start_at,
                    import_last, import_last_at, export_start, export_start_at, export_last, export_last_at, backwards
                FROM transactions WHERE station = $1 AND transaction_id = $2",
                params![record.station.as_str(), record.transaction.as_str()],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        let pair = |index: usize| -> Result<Option<(Timestamp, MilliWattHours)>> {
            Ok(row.time_opt(index + 1)?.zip(row.energy_opt(index)?))
        };
        Ok(Some(Self {
            last_seq: row.int(0)?,
            last_at: row.time(1)?,
            started_at: row.time_opt(2)?,
            ended_at: row.time_opt(3)?,
            charging_state: row.text_opt(4)?,
            import: Register {
                start: pair(5)?,
                last: pair(7)?,
            },
            export: Register {
                start: pair(9)?,
                last: pair(11)?,
            },
            backwards: row.flag(13)?,
        }))
    }

    /// Applies the event; whether a register went down.
    fn advance(&mut self, record: &TransactionRecord) -> bool {
        let mut backwards = false;
        for sample in record.samples.iter().take(SAMPLES) {
            backwards |= self.import.read(sample.at, sample.imported);
            backwards |= self.export.read(sample.at, sample.exported);
        }
        self.backwards |= backwards;
        match record.kind {
            EventKind::Started => self.started_at = Some(record.at),
            EventKind::Ended => self.ended_at = Some(record.at),
            EventKind::Updated => {}
        }
        // A late event tells the past: it does not change where the transaction stands now.
        if record.seq_no >= self.last_seq {
            if let Some(state) = &record.charging_state {
                self.charging_state = Some(state.clone());
            }
            self.last_seq = record.seq_no;
            self.last_at = record.at;
        }
        backwards
    }

    async fn save(&self, conn: &mut Conn, record: &TransactionRecord) -> Result<()> {
        let token = record.token.as_ref();
        conn.execute(
            "UPDATE transactions SET last_seq = $3, last_at = $4, started_at = $5, ended_at = $6,
                charging_state = $7, import_start = $8, import_start_at = $9, import_last = $10,
                import_last_at = $11, export_start = $12, export_start_at = $13, export_last = $14,
                export_last_at = $15, backwards = $16, evse = COALESCE($17, evse),
                connector = COALESCE($18, connector), stop_reason = COALESCE($19, stop_reason),
                auth_kind = COALESCE(auth_kind, $20), auth_reference = COALESCE(auth_reference, $21),
                auth_label = COALESCE(auth_label, $22), remote_start_id = COALESCE(remote_start_id, $23)
            WHERE station = $1 AND transaction_id = $2",
            params![
                record.station.as_str(),
                record.transaction.as_str(),
                self.last_seq,
                self.last_at,
                self.started_at,
                self.ended_at,
                self.charging_state.as_deref(),
                self.import.start.map(|(_, value)| value),
                self.import.start.map(|(at, _)| at),
                self.import.last.map(|(_, value)| value),
                self.import.last.map(|(at, _)| at),
                self.export.start.map(|(_, value)| value),
                self.export.start.map(|(at, _)| at),
                self.export.last.map(|(_, value)| value),
                self.export.last.map(|(at, _)| at),
                self.backwards,
                record.evse.map(|evse| i64::from(evse.0)),
                record.connector.map(|connector| i64::from(connector.0)),
                record.stop_reason.as_deref(),
                token.map(|token| token.kind.as_str()),
                token.map(|token| token.reference.as_str()),
                token.map(|token| token.label.as_str()),
                record.remote_start_id,
            ],
        )
        .await
        .map(drop)
    }
}
