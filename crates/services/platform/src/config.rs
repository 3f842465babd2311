//! What the platform is told at start.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gridlatch_fetch::RevocationCheck;
use gridlatch_keys::Signer;
use gridlatch_tls::PlatformServer;

use crate::authority::StationAuthority;
use crate::provider::ContractProvider;
use crate::trust::OwnTrust;

/// How stations' client certificates are judged beyond the handshake.
#[derive(Debug, Clone)]
pub struct StationCheck {
    /// Asks about their revocation, when they connect and while they stay.
    pub check: RevocationCheck,
    /// The listener, so that whoever was found revoked is refused within the handshake from then on.
    pub listener: Option<Arc<PlatformServer>>,
}

/// Configuration of the platform.
#[derive(Debug, Clone)]
pub struct PlatformConfig {
    /// Where the OCPP port listens; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Roots of the mobility operators whose contracts are honoured, DER.
    pub mo_roots: Vec<Vec<u8>>,
    /// Who provides contracts for vehicles that ask at a station; nobody, without one.
    pub contracts: Option<Arc<dyn ContractProvider>>,
    /// The heartbeat interval stations are told.
    pub heartbeat: Duration,
    /// How long a command waits for the station's answer.
    pub command_timeout: Duration,
    /// Stations without TLS are accepted at their word: security profile 0, for tests only.
    pub allow_plaintext: bool,
    /// How revocation of contracts is judged; without it, it is not asked about.
    pub revocation: Option<RevocationCheck>,
    /// How revocation of stations' certificates is judged; without it, it is not asked about.
    pub stations: Option<StationCheck>,
    /// Who signs certificates for stations; without one their requests are refused.
    pub authority: Option<Arc<dyn StationAuthority>>,
    /// What the platform holds itself, for the inventory.
    pub own_trust: OwnTrust,
    /// ISO 3166 alpha-2 country of the operator, for charge detail records.
    pub country_code: String,
    /// The operator's party id (ISO 15118), for charge detail records.
    pub party_id: String,
    /// What signs charge detail records, until it is replaced. `None`: they are issued without a signature, and say so.
    pub bill_signer: Option<BillSigner>,
}

/// What signs bills.
#[derive(Debug, Clone)]
pub struct BillSigner {
    /// Its certificates, DER, leaf first, without the root.
    pub chain: Vec<Vec<u8>>,
    /// The key of the first, P-256.
    pub key: Arc<dyn Signer>,
}

impl Default for PlatformConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            mo_roots: Vec::new(),
            contracts: None,
            heartbeat: Duration::from_secs(60),
            command_timeout: Duration::from_secs(20),
            allow_plaintext: false,
            revocation: None,
            stations: None,
            authority: None,
            own_trust: OwnTrust::default(),
            country_code: "DE".to_owned(),
            party_id: "GDL".to_owned(),
            bill_signer: None,
        }
    }
}
