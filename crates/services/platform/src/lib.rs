//! The charging network platform (CSMS): OCPP over WebSocket with TLS, commands, billing, REST.
//!
//! A station proves who it is by its certificate before a single message is read; each message goes to
//! the one file under `handlers` that is named after it; a transaction event is answered after its commit
//! and counts once; a finished transaction becomes one charge detail record.
//!
//! Deliberately absent: SQL (the store's), OCPP framing and types (`core/ocpp`), prices (`core/tariff`),
//! certificate checks (`core/trust`), pages (the console's).
#![forbid(unsafe_code)]

mod accept;
mod authority;
mod billing;
mod bucket;
mod campaign;
mod commands;
mod config;
mod connection;
mod contract;
mod handlers;
mod journal;
mod listener;
mod meter;
mod meter_key;
mod provider;
mod registry;
#[allow(unused_qualifications, reason = "utoipa writes them")]
pub mod rest;
mod revocation;
mod server;
mod signing;
mod state;
mod tls;
#[allow(unused_qualifications, reason = "utoipa writes them")]
mod trust;
mod upgrade;
mod wire;

pub use accept::{Accept, Peer, Plaintext, Refused};
pub use authority::{NotSigned, Signed, Signing, StationAuthority, StationCertificate};
pub use billing::{OutletPlace, StationPlace};
pub use campaign::{CampaignAction, CampaignError, CampaignOrder};
pub use commands::{
    CertificateHash, Command, CommandError, CommandOutcome, InstalledCertificate, VariableGet,
    VariableResult, VariableSet,
};
pub use config::{BillSigner, PlatformConfig, StationCheck};
pub use provider::{ContractProvider, ProvidedContract, Providing, ProvisioningAction, ProvisioningRefusal};
pub use server::{Platform, PlatformError, PlatformHandle};
pub use state::PlatformState;
pub use trust::{AskProgress, DatedEnd, HeldBy, OwnTrust, RefusedChange, Shown, TrustPage};

/// How this service names itself in events.
pub(crate) const SOURCE: &str = "platform";

/// An error with its causes on one line.
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
