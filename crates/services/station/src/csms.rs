//! The station's link to its platform: OCPP 2.1 (preferred) or 2.0.1 over a mutually authenticated WebSocket.
//!
//! [`run`] takes what the charging side says ([`ToPlatform`]) and gives it what the platform wants
//! ([`FromPlatform`]). It connects, boots, reports, reconnects with growing pauses, and never loses a
//! transaction message: each is numbered and durable in the station's store before the charging side is told
//! so, and stays there until the platform has answered it. While there is no connection, identifications are
//! answered [`Unreachable`](crate::backend::Authorization::Unreachable) at once and transactions go on.
//!
//! Deliberately absent: V2G messages, contactors, and any decision whether energy may flow.

mod certificates;
mod client;
mod commands;
mod dial;
mod link;
mod messages;
mod meter;
mod profiles;
mod report;
mod transactions;
mod variables;

use core::time::Duration;
use std::sync::Arc;

use gridlatch_fetch::RevocationCheck;
use gridlatch_host::{Hub, Shutdown};
use gridlatch_keys::Signer;
use gridlatch_store::Store;
use gridlatch_tls::Credential;
use gridlatch_vocab::{ConnectorId, EvseId, StationId};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::backend::{FromPlatform, ToPlatform};
use crate::custody::Custody;

/// How the station reaches its platform, and what it says about itself.
#[derive(Debug, Clone)]
pub struct CsmsConfig {
    /// `wss://host:port/path`; the station's id is appended as the last segment. `ws://` is refused unless
    /// [`CsmsConfig::identity`] is `None`, which only tests and a laboratory without TLS want.
    pub url: String,
    /// Who this station is; must be the common name of its certificate (security profile 3).
    pub station: StationId,
    /// The station's client certificate.
    pub identity: Option<Credential>,
    /// Roots of the platform's certificate, in DER.
    pub platform_roots: Vec<Vec<u8>>,
    /// How the revocation of the platform's certificate is judged; without it, it is not asked about.
    pub platform_revocation: Option<RevocationCheck>,
    /// The certificates the platform may renew, and the roots it may install. With it, `identity` and
    /// `platform_roots` are only what applies where it holds none.
    pub custody: Option<Custody>,
    /// Where transaction messages wait.
    pub store: Store,
    /// At most 50 characters.
    pub vendor: String,
    /// At most 20 characters.
    pub model: String,
    /// At most 25 characters.
    pub serial: Option<String>,
    /// Its outlets; commands that name none mean the first.
    pub evses: Vec<(EvseId, ConnectorId)>,
    /// How long one call may take.
    pub call_timeout: Duration,
    /// First pause before connecting again; doubles up to [`CsmsConfig::longest_pause`], plus or minus half.
    pub first_pause: Duration,
    /// Longest pause before connecting again.
    pub longest_pause: Duration,
    /// How often a running transaction is reported until the platform says otherwise (`TxUpdatedInterval`);
    /// whole seconds, 1 to 3600.
    pub sample_interval: Duration,
    /// The meter's key (P-256): signs the readings of each transaction as an OCMF record. `None`: the meter
    /// does not sign.
    pub meter_key: Option<Arc<dyn Signer>>,
    /// Whether an accepted contract may discharge where the platform's OCPP version (2.0.1) cannot say so.
    pub discharge_by_default: bool,
}

impl CsmsConfig {
    /// A station with the usual times and no discharge without the platform's word.
    #[must_use]
    pub fn new(url: impl Into<String>, station: StationId, store: Store) -> Self {
        Self {
            url: url.into(),
            station,
            identity: None,
            platform_roots: Vec::new(),
            platform_revocation: None,
            custody: None,
            store,
            vendor: "Gridlatch".to_owned(),
            model: "Station".to_owned(),
            serial: None,
            evses: vec![(EvseId(1), ConnectorId(1))],
            call_timeout: Duration::from_secs(30),
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
            sample_interval: Duration::from_secs(5),
            meter_key: None,
            discharge_by_default: false,
        }
    }
}

/// The link cannot run at all. Everything that may pass by itself is an event and another attempt.
#[derive(Debug, Error)]
pub enum CsmsError {
    /// The configuration cannot be used.
    #[error("set up the platform link: {0}")]
    Config(&'static str),
    /// The TLS side cannot be set up.
    #[error("set up TLS towards the platform")]
    Tls(#[source] gridlatch_tls::TlsError),
    /// What was durable cannot be read.
    #[error("read the station's outbox")]
    Store(#[from] gridlatch_store::StoreError),
}

/// Runs the link until `shutdown`, or until the charging side hangs up and nothing waits any more.
///
/// # Errors
/// Only what no retry can mend.
pub async fn run(
    config: CsmsConfig,
    to_platform: mpsc::Receiver<ToPlatform>,
    from_platform: mpsc::Sender<FromPlatform>,
    hub: Hub,
    shutdown: Shutdown,
) -> Result<(), CsmsError> {
    client::Client::new(config, from_platform, hub)
        .await?
        .run(to_platform, shutdown)
        .await
}
