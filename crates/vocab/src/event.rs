//! The one event type: everything worth knowing, from every component, in one shape.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use crate::{Code, EvseId, Severity, StationId, TransactionId};

/// A point in wall-clock time, written as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(#[serde(with = "time::serde::rfc3339")] pub OffsetDateTime);

impl Timestamp {
    /// The time `millis` milliseconds after the Unix epoch, clamped to what a date can express.
    #[must_use]
    pub fn from_unix_millis(millis: i64) -> Self {
        let nanos = i128::from(millis) * 1_000_000;
        Self(OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn unix_millis(self) -> i64 {
        i64::try_from(self.0.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
    }

    /// RFC 3339 text with milliseconds, always in UTC: `2026-11-21T02:10:00.123Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let t = self.0.to_offset(time::UtcOffset::UTC);
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            t.year(),
            u8::from(t.month()),
            t.day(),
            t.hour(),
            t.minute(),
            t.second(),
            t.millisecond()
        )
    }
}

impl core::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// One thing that happened.
///
/// `message` is a sentence for a person; `fields` carry the same facts for a machine. Neither holds
/// personal data in clear: wrap it in [`crate::Personal`], whose text form is redacted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub code: Code,
    /// How urgent it is; the catalogue's severity.
    pub severity: Severity,
    /// Which component says so: `station`, `platform`, `evcc`, `pki`, `host`, ...
    pub source: String,
    /// The charging station concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub station: Option<StationId>,
    /// The EVSE concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evse: Option<EvseId>,
    /// The V2G session id, as upper-case hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The OCPP transaction concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<TransactionId>,
    /// One sentence with the particulars of this occurrence.
    pub message: String,
    /// The particulars for machines.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Value>,
}

impl Event {
    /// An event of `code` seen by `source`.
    #[must_use]
    pub fn new(at: Timestamp, code: Code, source: &str, message: impl Into<String>) -> Self {
        Self {
            at,
            code,
            severity: code.severity(),
            source: source.to_owned(),
            station: None,
            evse: None,
            session: None,
            transaction: None,
            message: message.into(),
            fields: BTreeMap::new(),
        }
    }

    /// Names the station concerned.
    #[must_use]
    pub fn station(mut self, station: &StationId) -> Self {
        self.station = Some(station.clone());
        self
    }

    /// Names the EVSE concerned.
    #[must_use]
    pub fn evse(mut self, evse: EvseId) -> Self {
        self.evse = Some(evse);
        self
    }

    /// Names the V2G session concerned.
    #[must_use]
    pub fn session(mut self, session: impl Into<String>) -> Self {
        self.session = Some(session.into());
        self
    }

    /// Names the transaction concerned.
    #[must_use]
    pub fn transaction(mut self, transaction: &TransactionId) -> Self {
        self.transaction = Some(transaction.clone());
        self
    }

    /// Adds a particular for machines.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(key.to_owned(), value.into());
        self
    }
}

/// Where events go. Emitting never blocks and never fails for the caller: losing an event is the
/// sink's own event.
pub trait EventSink: Send + Sync {
    /// Takes one event.
    fn emit(&self, event: Event);
}
