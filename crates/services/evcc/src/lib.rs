//! The vehicle: its battery, its end of the cable, and the session loop around the policy of
//! `core/session`. A test bench as much as a car: it reports every step with its duration.
//!
//! Deliberately absent: any decision about the protocol (`core/session`), any judgement of a
//! certificate (`core/trust` through `io/tls`), and a real modem.
#![forbid(unsafe_code)]

mod battery;
mod charge;
mod config;
mod connect;
mod discover;
mod install;
mod outcome;
mod plug;
mod progress;
mod session;
mod signer;
mod staple;

/// The name this component has in events.
pub(crate) const SOURCE: &str = "evcc";

pub use battery::{Battery, BatteryConfig};
pub use charge::charge;
pub use config::{Auth, ChargeConfig, ContractCredential, DiscoverAt, LinkConfig, Plug, TlsSetup};
pub use gridlatch_session::evcc::{Control, Energy, Failure, Generation, Goal, StepName, Wish};
pub use gridlatch_session::provisioning::Action;
pub use install::{ContractFolder, InstallCredential, WithoutMoRoot};
pub use outcome::{Outcome, Step, Summary, TlsSummary};
pub use progress::Progress;
pub use staple::StaplePolicy;
