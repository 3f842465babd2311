//! What one charging session of the vehicle needs to be told.

use std::net::SocketAddrV6;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gridlatch_host::Shutdown;
use gridlatch_keys::Signer;
use gridlatch_link::cable::VehicleEnd;
use gridlatch_session::evcc::{Control, Energy, Generation, Wish};
use gridlatch_tls::Credential;
use gridlatch_vocab::Personal;
use tokio::sync::watch;

use crate::battery::BatteryConfig;
use crate::install::InstallCredential;
use crate::progress::Progress;
use crate::staple::StaplePolicy;

/// The physical side of a plug.
#[derive(Debug)]
pub enum Plug {
    /// The Unix socket of a simulated outlet.
    Socket(PathBuf),
    /// An end of a cable within this process.
    Attached(VehicleEnd),
}

/// Where discovery requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiscoverAt {
    /// The all-nodes multicast group of a network interface; answers must be link-local.
    Interface(String),
    /// One address: the loopback bench of `gridlatch up`. Answers may name any address.
    Address(SocketAddrV6),
}

/// How the vehicle reaches a station.
#[derive(Debug)]
pub struct LinkConfig {
    /// The cable, with control pilot and SLAC; `None` where the link is simply there (foreign stations).
    pub plug: Option<Plug>,
    /// Where to look for the station's address.
    pub discover: DiscoverAt,
}

/// The vehicle's TLS.
#[derive(Debug, Clone)]
pub struct TlsSetup {
    /// V2G roots the station's chain must lead to.
    pub roots: Vec<Vec<u8>>,
    /// The vehicle's certificate for mutual TLS (ISO 15118-20).
    pub identity: Option<Credential>,
    /// Where to log session keys, for reading captures.
    pub key_log: Option<PathBuf>,
    /// How much to insist on the station's OCSP answer.
    pub staple: StaplePolicy,
}

/// A Plug & Charge contract with its key.
#[derive(Debug, Clone)]
pub struct ContractCredential {
    /// The contract id.
    pub emaid: Personal<String>,
    /// Leaf and sub-CAs in DER, leaf first.
    pub chain: Vec<Vec<u8>>,
    /// The key of the leaf.
    pub key: Arc<dyn Signer>,
}

/// How the vehicle identifies itself.
#[derive(Debug, Clone)]
pub enum Auth {
    /// External identification.
    Eim,
    /// Plug & Charge.
    Contract(ContractCredential),
    /// Plug & Charge with a contract that is asked for first.
    Install(InstallCredential),
}

/// One charging session.
#[derive(Debug)]
pub struct ChargeConfig {
    /// How to reach the station.
    pub link: LinkConfig,
    /// The protocol to speak.
    pub generation: Generation,
    /// The energy transfer to ask for.
    pub energy: Energy,
    /// Who decides the power (ISO 15118-20); `None` takes the station's first offer.
    pub control: Option<Control>,
    /// How to identify.
    pub auth: Auth,
    /// TLS; `None` demands a connection without, which ISO 15118-2 with EIM alone allows.
    pub tls: Option<TlsSetup>,
    /// The battery.
    pub battery: BatteryConfig,
    /// What the driver wants.
    pub wish: Wish,
    /// The vehicle's MAC.
    pub mac: Personal<[u8; 6]>,
    /// Charge-loop requests per second for a human to watch; `None` runs as fast as the station answers.
    pub pace: Option<u32>,
    /// Stretches the vehicle's own timers, for slow peers on test benches; 1 is the standard.
    pub patience: u32,
    /// Cancelled when the driver wants to stop; the session then ends in order.
    pub stop: Shutdown,
    /// Where live figures go, if somebody watches.
    pub progress: Option<watch::Sender<Progress>>,
}

impl ChargeConfig {
    /// Pause between charge-loop requests.
    pub(crate) fn pace_ms(&self) -> u64 {
        self.pace
            .map_or(0, |per_second| 1000 / u64::from(per_second.clamp(1, 1000)))
    }

    /// Time for the TCP connection and for the TLS handshake, each.
    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_secs(10) * self.patience.max(1)
    }
}
