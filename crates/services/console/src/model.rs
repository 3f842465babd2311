//! What the pages show: plain facts, already read, so that rendering never waits and never fails.

use std::collections::BTreeMap;

use gridlatch_vocab::{Event, EvseId, MilliWattHours, Percent, StationId, Timestamp, TransactionId, Watts};
use rust_decimal::Decimal;

/// How something stands, as a traffic light. A page never shows the colour without the word and the shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Light {
    /// In order and idle.
    Good,
    /// In use.
    Busy,
    /// Needs a look.
    Caution,
    /// Out of order.
    Bad,
    /// Nothing known, or not there.
    Off,
}

/// One charging station.
#[derive(Debug, Clone)]
pub(crate) struct Station {
    pub(crate) id: StationId,
    /// The OCPP connection is up.
    pub(crate) connected: bool,
    /// When the platform last heard from it.
    pub(crate) last_seen: Option<Timestamp>,
    /// Name and value of every other fact the platform knows about it: vendor, model, firmware, protocol,
    /// certificate subject, serial, validity.
    pub(crate) facts: Vec<(&'static str, Fact)>,
    /// What the station proved when it last connected.
    pub(crate) proof: Vec<(String, String)>,
    pub(crate) evses: Vec<Evse>,
}

/// A fact shown in a definition list.
#[derive(Debug, Clone)]
pub(crate) enum Fact {
    Text(String),
    /// An identifier or a fingerprint, shown in a fixed-width face.
    Mono(String),
    Time(Timestamp),
}

/// One EVSE of a station.
#[derive(Debug, Clone)]
pub(crate) struct Evse {
    pub(crate) id: EvseId,
    /// `AC`, `DC`, ... where it is known.
    pub(crate) kind: Option<String>,
    /// Connector number, status word as OCPP names it, since when.
    pub(crate) connectors: Vec<(u16, String, Option<Timestamp>)>,
    /// The transaction that runs there.
    pub(crate) running: Option<Session>,
}

/// One transaction.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) station: StationId,
    pub(crate) evse: EvseId,
    pub(crate) transaction: TransactionId,
    pub(crate) started: Timestamp,
    pub(crate) ended: Option<Timestamp>,
    /// `Charging`, `SuspendedEV`, ... as OCPP names it.
    pub(crate) state: Option<String>,
    pub(crate) stop_reason: Option<String>,
    /// How the vehicle identified itself: `eMAID`, `ISO14443`, ... Never the token itself.
    pub(crate) identified_by: Option<String>,
    /// First and last register readings.
    pub(crate) registers: Registers,
    /// A register went down during the session: the bill needs a look.
    pub(crate) doubtful: bool,
    /// What the session looks like at this moment.
    pub(crate) now: Option<Sample>,
    /// What the bill comes to, once it is made: total and currency.
    pub(crate) total: Option<(Decimal, String)>,
}

impl Session {
    pub(crate) fn running(&self) -> bool {
        self.ended.is_none()
    }

    /// Energy into the vehicle and back out of it.
    pub(crate) fn energy(&self) -> (MilliWattHours, MilliWattHours) {
        let r = &self.registers;
        (
            r.last_imported.since(r.first_imported),
            r.last_exported.since(r.first_exported),
        )
    }

    pub(crate) fn power(&self) -> Option<Watts> {
        self.now.as_ref().and_then(|now| now.power)
    }
}

/// The meter registers a session rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Registers {
    pub(crate) first_imported: MilliWattHours,
    pub(crate) last_imported: MilliWattHours,
    pub(crate) first_exported: MilliWattHours,
    pub(crate) last_exported: MilliWattHours,
}

/// One moment of a session.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) at: Timestamp,
    pub(crate) power: Option<Watts>,
    pub(crate) imported: Option<MilliWattHours>,
    pub(crate) exported: Option<MilliWattHours>,
    pub(crate) soc: Option<Percent>,
    pub(crate) setpoint: Option<Watts>,
}

/// A bill, line by line.
#[derive(Debug, Clone)]
pub(crate) struct Bill {
    pub(crate) currency: String,
    pub(crate) lines: Vec<BillLine>,
    pub(crate) net: Decimal,
    pub(crate) taxes: Vec<(String, Decimal)>,
    pub(crate) total: Decimal,
    /// Where the CDR is served as OCPI JSON.
    pub(crate) cdr_href: String,
    pub(crate) issued: Option<Timestamp>,
    pub(crate) proof: Proof,
}

/// What signed a bill, and whether it was found true when the page was made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proof {
    /// The bill's signature, the readings', the total.
    pub(crate) rows: Vec<ProofRow>,
    /// There is a signed bill to be had.
    pub(crate) signed: bool,
    /// There is a meter record to be had.
    pub(crate) record: bool,
}

/// One of the three things that make a bill believable.
#[derive(Debug, Clone)]
pub(crate) struct ProofRow {
    pub(crate) what: &'static str,
    /// It holds, or why it does not.
    pub(crate) holds: Result<(), gridlatch_vocab::Code>,
    /// In plain words.
    pub(crate) says: String,
    /// A fingerprint to compare, and of what.
    pub(crate) fingerprint: Option<(&'static str, String)>,
}

/// One line of a bill.
#[derive(Debug, Clone)]
pub(crate) struct BillLine {
    pub(crate) what: String,
    /// When what it bills began, where that tells lines apart.
    pub(crate) from: Option<Timestamp>,
    pub(crate) quantity: String,
    pub(crate) unit: String,
    pub(crate) price: Option<Decimal>,
    pub(crate) amount: Decimal,
}

/// The first page.
#[derive(Debug, Clone)]
pub(crate) struct Overview {
    pub(crate) stations: Vec<Station>,
    pub(crate) today: Energy,
    /// Most recent first.
    pub(crate) finished: Vec<Session>,
    pub(crate) events: Vec<Event>,
}

/// Energy of a period.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Energy {
    pub(crate) since: Timestamp,
    pub(crate) imported: MilliWattHours,
    pub(crate) exported: MilliWattHours,
}

impl Overview {
    pub(crate) fn running(&self) -> impl Iterator<Item = &Session> {
        self.stations
            .iter()
            .flat_map(|station| station.evses.iter().filter_map(|evse| evse.running.as_ref()))
    }
}

/// Everything the page of one session shows.
#[derive(Debug, Clone)]
pub(crate) struct SessionDetail {
    pub(crate) session: Session,
    /// Oldest first, at most [`crate::plot::POINTS`].
    pub(crate) samples: Vec<Sample>,
    /// Newest first.
    pub(crate) events: Vec<Event>,
    pub(crate) bill: Option<Bill>,
}

/// What an events page is narrowed to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EventFilter {
    /// At least this severe.
    pub(crate) severity: Option<gridlatch_vocab::Severity>,
    pub(crate) code: Option<gridlatch_vocab::Code>,
    pub(crate) station: Option<StationId>,
}

impl EventFilter {
    pub(crate) fn admits(&self, event: &Event) -> bool {
        self.severity.is_none_or(|least| event.severity >= least)
            && self.code.is_none_or(|code| event.code == code)
            && self
                .station
                .as_ref()
                .is_none_or(|station| event.station.as_ref() == Some(station))
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The filter as query parameters.
    pub(crate) fn query(&self) -> BTreeMap<&'static str, String> {
        let mut query = BTreeMap::new();
        if let Some(severity) = self.severity {
            query.insert("severity", severity.as_str().to_owned());
        }
        if let Some(code) = self.code {
            query.insert("code", code.as_str().to_owned());
        }
        if let Some(station) = &self.station {
            query.insert("station", station.as_str().to_owned());
        }
        query
    }
}
