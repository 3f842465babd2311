//! What the charging side of a station and its link to the platform say to each other.
//!
//! The charging side never sees OCPP; the platform link never sees a V2G message. Both ends are channels
//! inside one process, so either can be replaced in a test.

use gridlatch_session::evcc::Generation;
use gridlatch_session::provisioning::Action;
use gridlatch_vocab::{
    Amps, ConnectorId, EvseId, MilliWattHours, Percent, Personal, Timestamp, TransactionId, Volts, Watts,
};
use tokio::sync::oneshot;

/// How somebody identified themselves at the station.
#[derive(Debug, Clone, PartialEq)]
pub enum Identification {
    /// Plug & Charge: the contract id, the contract chain as DER (leaf first), already proven to be held
    /// by the vehicle.
    Contract {
        /// The EMAID from the contract certificate.
        emaid: Personal<String>,
        /// Leaf and sub-CAs, DER, leaf first.
        chain: Vec<Vec<u8>>,
    },
    /// External identification: a token presented at the station, or assumed by its policy.
    Token {
        /// The token text.
        token: Personal<String>,
        /// Its OCPP type: `ISO14443`, `Central`, `Local`, `NoAuthorization`, ...
        kind: String,
    },
}

/// The platform's verdict.
#[derive(Debug, Clone, PartialEq)]
pub enum Authorization {
    /// Charging may start.
    Accepted {
        /// Bidirectional transfer is allowed by the contract; a station that gets `false` refuses discharge.
        discharge: bool,
    },
    /// Charging may not start; the reason is the platform's own word (`Invalid`, `Blocked`, `CertificateRevoked`, ...).
    Refused {
        /// The OCPP status.
        reason: String,
    },
    /// The platform could not be asked.
    Unreachable,
}

/// The meter at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeterReading {
    /// When.
    pub at: Timestamp,
    /// Import register: into the vehicle.
    pub imported: MilliWattHours,
    /// Export register: out of the vehicle.
    pub exported: MilliWattHours,
    /// Power; negative while discharging.
    pub power: Watts,
    /// Tension at the outlet.
    pub voltage: Volts,
    /// Current; negative while discharging.
    pub current: Amps,
    /// State of charge, where the vehicle tells it.
    pub soc: Option<Percent>,
    /// The set-point in force.
    pub setpoint: Option<Watts>,
}

/// State of a connector, as OCPP 2.0.1 names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectorStatus {
    /// Nobody is plugged in.
    Available,
    /// A vehicle is plugged in or a transaction runs.
    Occupied,
    /// Out of order.
    Faulted,
    /// Switched off by the operator or not trusted (no certificate, no key).
    Unavailable,
}

/// Where a transaction stands, as OCPP 2.0.1 names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChargingState {
    /// Plugged in, not authorised or not started.
    EvConnected,
    /// Energy flows in either direction.
    Charging,
    /// The vehicle paused.
    SuspendedEv,
    /// The station paused.
    SuspendedEvse,
    /// Unplugged.
    Idle,
}

/// Why a transaction ended, as OCPP 2.0.1 names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The vehicle unplugged.
    EvDisconnected,
    /// The vehicle ended the session in order.
    StoppedByEv,
    /// The platform asked.
    Remote,
    /// A safety stop.
    EmergencyStop,
    /// The protocol broke or timed out.
    Other,
    /// The platform withdrew the authorisation.
    DeAuthorized,
    /// The station is rebooting.
    ImmediateReset,
}

/// A transaction as it proceeds. The platform link numbers these and makes them durable before the
/// charging side may forget them.
#[derive(Debug, Clone, PartialEq)]
pub enum TransactionUpdate {
    /// It began.
    Started {
        /// The identification that started it, already accepted.
        identification: Identification,
        /// The remote start this answers, if one.
        remote_start_id: Option<i32>,
    },
    /// It goes on.
    Sample {
        /// Where it stands.
        state: ChargingState,
    },
    /// It ended.
    Ended {
        /// Why.
        reason: StopReason,
    },
}

/// From the charging side to the platform link.
#[derive(Debug)]
pub enum ToPlatform {
    /// May this identification charge here?
    Authorize {
        /// The EVSE.
        evse: EvseId,
        /// Who.
        identification: Identification,
        /// Where the verdict goes; a dropped sender counts as [`Authorization::Unreachable`].
        verdict: oneshot::Sender<Authorization>,
    },
    /// A vehicle asks for a contract (OCPP `Get15118EVCertificate`).
    Provision {
        /// The EVSE.
        evse: EvseId,
        /// Which standard's messages.
        generation: Generation,
        /// What it wants.
        action: Action,
        /// Its request in EXI, as it came.
        exi: Vec<u8>,
        /// Where the response goes, in EXI, or why there is none; a dropped sender counts as unreachable.
        answer: oneshot::Sender<Result<Vec<u8>, String>>,
    },
    /// A connector changed state.
    Status {
        /// When.
        at: Timestamp,
        /// The EVSE.
        evse: EvseId,
        /// The connector.
        connector: ConnectorId,
        /// The new state.
        status: ConnectorStatus,
    },
    /// A transaction began, goes on, or ended.
    Transaction {
        /// The EVSE.
        evse: EvseId,
        /// The transaction, named by the station.
        transaction: TransactionId,
        /// What happened.
        update: TransactionUpdate,
        /// The meter at that moment.
        meter: MeterReading,
        /// Set once the update is durable on this station; a bill may then rely on it.
        durable: Option<oneshot::Sender<()>>,
    },
}

/// From the platform link to the charging side.
#[derive(Debug)]
pub enum FromPlatform {
    /// Start charging on behalf of a token (RequestStartTransaction).
    Start {
        /// The EVSE.
        evse: EvseId,
        /// The platform's number for this request.
        remote_start_id: i32,
        /// The token to charge on.
        token: Personal<String>,
        /// Its OCPP type.
        kind: String,
        /// Whether it was taken up, and by which transaction if one already runs.
        accepted: oneshot::Sender<Result<Option<TransactionId>, String>>,
    },
    /// Stop a transaction in order (RequestStopTransaction).
    Stop {
        /// The transaction.
        transaction: TransactionId,
        /// Whether such a transaction runs here.
        accepted: oneshot::Sender<bool>,
    },
    /// A new set-point for an EVSE (SetChargingProfile); `None` lifts it. Negative discharges.
    Setpoint {
        /// The EVSE.
        evse: EvseId,
        /// The power to follow.
        setpoint: Option<Watts>,
        /// Whether this EVSE can follow it, or why not.
        accepted: oneshot::Sender<Result<(), String>>,
    },
    /// Restart the station's charging side (Reset).
    Reset {
        /// `true`: now, ending sessions in order; `false`: when no transaction runs.
        immediate: bool,
        /// Whether it was taken up; `false` while transactions run and it is not immediate.
        accepted: oneshot::Sender<bool>,
    },
}
