//! The words every other crate shares: identifiers and units as types, personal data and secrets that
//! redact themselves, the one [`Event`] type, and the one catalogue of codes.
//!
//! Deliberately absent: I/O, clocks, and behaviour. Anything that decides lives in `core/*`, anything
//! that touches the outside in `io/*`.
#![forbid(unsafe_code)]

pub mod catalogue;
mod event;
mod ids;
mod personal;
mod telemetry;
mod units;

pub use catalogue::{Blame, Code, Row, Severity};
pub use event::{Event, EventSink, Timestamp};
pub use ids::{ConnectorId, Emaid, EvseId, IdError, StationId, TransactionId};
pub use personal::{Personal, Secret};
pub use telemetry::Telemetry;
pub use units::{Amps, MilliWattHours, Percent, Volts, Watts};
