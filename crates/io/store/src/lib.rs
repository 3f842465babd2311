//! All SQL of the project: what the platform remembers, and the durable queue of a station.
//!
//! One set of statements serves SQLite (embedded, the default) and PostgreSQL. Every write goes through
//! one writer that shares commits ([`Store`] methods return only when the write is durable); reads use a
//! small pool of their own, so a write never waits for a second connection.
//!
//! Deliberately absent: prices, OCPP and HTTP. The store keeps and finds; it does not decide.
#![forbid(unsafe_code)]

mod campaign;
mod cdr;
mod engine;
mod error;
mod event;
mod migrate;
mod open;
mod outbox;
pub mod pki;
mod pool;
mod profile;
mod pseudonym;
mod receipt;
mod sealed;
mod session;
mod setting;
mod station;
mod token;
mod transaction;
mod trust;
mod variable;
mod views;
mod writer;

pub use campaign::{
    CAMPAIGN_ATTEMPTS, CampaignCounts, CampaignResult, CampaignRow, CampaignStation, NewCampaign,
};
pub use cdr::{CdrRecord, NewCdr};
pub use error::{Result, StoreError};
pub use event::StoredEvent;
pub use open::Store;
pub use outbox::OutboxItem;
pub use pool::{
    ContractStored, POOL_LIST, PoolClient, PoolContract, PoolDelivery, PoolLink, PoolMoved, PoolRoot,
    PoolToken, PoolUpdate, PoolVehicle, PoolWebhook, VehicleStored,
};
pub use profile::{NewSetpoint, SetpointRecord};
pub use receipt::{MeterKey, SignedReading};
pub use session::{BillSummary, Session};
pub use station::{BootInfo, ConnectorRecord, StationRecord};
pub use token::{TokenRecord, TokenStatus};
pub use transaction::{EventKind, Recorded, Sample, TokenUse, TransactionRecord};
pub use trust::{SeenChain, TrustAnswer};
pub use variable::VariableRecord;
pub use views::{EventQuery, RegisterSpan};

/// An error with its causes on one line, for the answer to callers that share a failed commit.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
