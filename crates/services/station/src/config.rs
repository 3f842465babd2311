//! How a station is set up.

use std::path::PathBuf;
use std::time::Duration;

use crate::custody::Custody;
use gridlatch_fetch::RevocationCheck;
use gridlatch_session::secc::{ControlMode, Kind, Limits};
use gridlatch_tls::Credential;
use gridlatch_vocab::{Amps, ConnectorId, EvseId, MilliWattHours, Personal, StationId, Volts, Watts};

/// A whole station.
#[derive(Debug, Clone)]
pub struct StationConfig {
    /// Its identity.
    pub station: StationId,
    /// Its outlets.
    pub evses: Vec<EvseConfig>,
    /// TLS on the cable. `None` is possible only together with `allow_plaintext_eim`.
    pub tls: Option<TlsSetup>,
    /// The certificates the platform may renew while the station runs; where it holds certificates for
    /// vehicles, they take the place of those in `tls`.
    pub custody: Option<Custody>,
    /// Serve vehicles without TLS too, with external identification only.
    pub allow_plaintext_eim: bool,
    /// Where vehicles discover this station.
    pub sdp: SdpMode,
    /// What stands in for identification without Plug & Charge.
    pub eim: EimPolicy,
    /// How often a running transaction is sampled.
    pub sample_interval: Duration,
    /// How long the contactor stays closed when the session's task falls silent:
    /// `gridlatch_interlock::RENEWAL` (100 ms) in the field; benches on busy machines may take up to
    /// `LONGEST_RENEWAL`.
    pub permit_life: Duration,
}

/// TLS on the cable.
#[derive(Debug, Clone)]
pub struct TlsSetup {
    /// Certificates to choose from.
    pub credentials: Vec<Credential>,
    /// Roots of vehicle certificates (ISO 15118-20).
    pub vehicle_roots: Vec<Vec<u8>>,
    /// Roots of contract certificates; empty leaves the judgement of contract chains to the platform.
    pub contract_roots: Vec<Vec<u8>>,
    /// How the revocation of vehicle certificates (ISO 15118-20) is judged; without it, it is not asked about.
    pub vehicle_revocation: Option<RevocationCheck>,
    /// Allow the suite 0xC023, the only one most ISO 15118-2 vehicles have.
    pub allow_legacy_cbc: bool,
    /// Where to write TLS secrets; `None` in the field.
    pub key_log: Option<PathBuf>,
}

/// Where vehicles discover the station.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SdpMode {
    /// One plain socket per EVSE on `[::1]`.
    Loopback,
    /// The discovery group on a network interface; for a station with one EVSE per interface.
    Interface(String),
}

/// How a vehicle without Plug & Charge is identified.
#[derive(Debug, Clone, PartialEq)]
pub enum EimPolicy {
    /// Wait for the platform to start a transaction.
    RemoteStart,
    /// Take this token for everybody who plugs in, unless the platform started with another one.
    Assume {
        /// The token.
        token: Personal<String>,
        /// Its OCPP type.
        kind: String,
    },
}

/// The cable of an EVSE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CableMode {
    /// A Unix socket that simulated vehicles plug into.
    Socket(PathBuf),
    /// No cable is simulated: for foreign vehicles on a network interface. The control pilot follows
    /// the session and the vehicle takes what it is offered.
    Virtual,
}

/// One outlet.
#[derive(Debug, Clone)]
pub struct EvseConfig {
    /// Its number.
    pub evse: EvseId,
    /// Its connector's number.
    pub connector: ConnectorId,
    /// Its id for vehicles (`EVSEID`), such as `DE*GLA*E000001`.
    pub evse_id: String,
    /// What it delivers.
    pub kind: Kind,
    /// Its envelope.
    pub limits: Limits,
    /// Its cable.
    pub cable: CableMode,
    /// Speak ISO 15118-2.
    pub iso2: bool,
    /// Speak ISO 15118-20.
    pub iso20: bool,
    /// Offer Plug & Charge over TLS.
    pub pnc: bool,
    /// Offer external identification.
    pub eim: bool,
    /// Ask for signed meter receipts (ISO 15118-2 Plug & Charge).
    pub receipts: bool,
    /// Pass vehicles' requests for contracts on to the platform (over TLS only).
    pub provisioning: bool,
    /// Control modes of ISO 15118-20, preferred one first.
    pub control_modes: Vec<ControlMode>,
    /// Where the meter's registers stand: import, export.
    pub registers: (MilliWattHours, MilliWattHours),
    /// How long a remote start waits for a vehicle (OCPP's `EVConnectionTimeOut`).
    pub remote_start_life: Duration,
}

/// How long a remote start waits for a vehicle when nobody says otherwise.
pub(crate) const REMOTE_START_LIFE: Duration = Duration::from_secs(120);

impl EvseConfig {
    /// A three-phase AC outlet of 22 kW.
    #[must_use]
    pub fn ac(evse: EvseId, evse_id: &str, cable: CableMode) -> Self {
        Self::new(
            evse,
            evse_id,
            cable,
            Kind::Ac,
            Limits {
                max_voltage: Volts(230.0),
                min_voltage: Volts(207.0),
                max_current: Amps(32.0),
                max_power: Watts(22_080.0),
                min_power: Watts(0.0),
                max_discharge_current: Amps(0.0),
                max_discharge_power: Watts(0.0),
                phases: 3,
            },
        )
    }

    /// A DC outlet of 150 kW that may also discharge 50 kW.
    #[must_use]
    pub fn dc(evse: EvseId, evse_id: &str, cable: CableMode) -> Self {
        Self::new(
            evse,
            evse_id,
            cable,
            Kind::Dc { bidirectional: true },
            Limits {
                max_voltage: Volts(920.0),
                min_voltage: Volts(150.0),
                max_current: Amps(300.0),
                max_power: Watts(150_000.0),
                min_power: Watts(0.0),
                max_discharge_current: Amps(125.0),
                max_discharge_power: Watts(50_000.0),
                phases: 3,
            },
        )
    }

    fn new(evse: EvseId, evse_id: &str, cable: CableMode, kind: Kind, limits: Limits) -> Self {
        Self {
            evse,
            connector: ConnectorId(1),
            evse_id: evse_id.to_owned(),
            kind,
            limits,
            cable,
            iso2: true,
            iso20: true,
            pnc: true,
            eim: true,
            receipts: false,
            provisioning: true,
            control_modes: vec![ControlMode::Dynamic, ControlMode::Scheduled],
            registers: (MilliWattHours(0), MilliWattHours(0)),
            remote_start_life: REMOTE_START_LIFE,
        }
    }
}
