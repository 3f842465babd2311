//! A charging station: its EVSEs with contactor, supply and meter, SLAC matching and discovery, the
//! V2G session behind TLS, transactions, and the link to its platform.
//!
//! Deliberately absent: protocol decisions (`core/session`), the decision to close a contactor
//! (`core/interlock`), TLS itself (`io/tls`), and any OCPP word on the charging side: it meets the
//! platform link in [`backend`] only.
#![forbid(unsafe_code)]

pub mod backend;
mod config;
mod connection;
mod contracts;
pub mod csms;
pub mod custody;
mod discovery;
mod model;
mod outlet;
mod power;
mod report;
mod stapling;
mod station;
mod transaction;
mod vehicles;

pub use config::{CableMode, EimPolicy, EvseConfig, SdpMode, StationConfig, TlsSetup};
pub use model::Model;
pub use stapling::{Fetched, StapleSource};
pub use station::{EvseEndpoint, Station, StationError, StationHandle};
