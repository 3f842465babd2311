//! What goes into a session and what comes out of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::evcc::Generation;
use crate::provisioning::Action;
use gridlatch_vocab::{Amps, Code, MilliWattHours, Percent, Personal, Timestamp, Volts, Watts};

/// The two times a session needs: one that never jumps, for timers, and the wall clock, for messages
/// and certificates.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Time since any fixed moment, never going back.
    pub monotonic: Duration,
    /// The wall clock.
    pub wall: Timestamp,
}

/// What an EVSE delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Alternating current.
    Ac,
    /// Direct current.
    Dc {
        /// Also out of the vehicle (ISO 15118-20 `DC_BPT`).
        bidirectional: bool,
    },
}

impl Kind {
    /// Whether it is direct current.
    #[must_use]
    pub const fn is_dc(self) -> bool {
        matches!(self, Self::Dc { .. })
    }

    /// Whether energy may also flow out of the vehicle.
    #[must_use]
    pub const fn is_bidirectional(self) -> bool {
        matches!(self, Self::Dc { bidirectional: true })
    }
}

/// Who decides the power in ISO 15118-20 (table 205, `ControlMode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlMode {
    /// The vehicle, within a schedule.
    Scheduled,
    /// The station, within the vehicle's limits.
    Dynamic,
}

/// The envelope of an EVSE. All values are magnitudes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Highest voltage it delivers; the nominal voltage for AC.
    pub max_voltage: Volts,
    /// Lowest voltage it delivers (DC).
    pub min_voltage: Volts,
    /// Highest current into the vehicle; per phase for AC.
    pub max_current: Amps,
    /// Highest power into the vehicle, all phases together.
    pub max_power: Watts,
    /// Lowest power it can regulate.
    pub min_power: Watts,
    /// Highest current out of the vehicle (bidirectional DC).
    pub max_discharge_current: Amps,
    /// Highest power out of the vehicle (bidirectional DC).
    pub max_discharge_power: Watts,
    /// Number of phases (AC): 1 or 3.
    pub phases: u8,
}

/// Unpredictable bytes for one session, from the holder's source of randomness.
#[derive(Clone)]
pub struct Entropy {
    /// The session id to assign.
    pub session_id: [u8; 8],
    /// The Plug & Charge challenge.
    pub challenge: [u8; 16],
}

impl core::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Entropy(<secret>)")
    }
}

/// Why a contract chain is refused, in the words of the standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContractFault {
    /// Outside its validity period.
    Expired,
    /// Revoked.
    Revoked,
    /// Anything else about the chain.
    Chain,
}

/// Judges a contract certificate chain; the station plugs in its trust policy.
pub trait ContractCheck: Send + Sync + core::fmt::Debug {
    /// `chain` is DER, leaf first, as the vehicle sent it.
    ///
    /// # Errors
    /// The fault, and a sentence naming the certificate and the rule.
    fn check(&self, chain: &[Vec<u8>], now: Timestamp) -> Result<(), (ContractFault, String)>;
}

/// How a session is to be conducted.
#[derive(Debug, Clone)]
pub struct SeccSessionConfig {
    /// The EVSE id for the vehicle (`EVSEID`): 7 to 37 printable ASCII characters.
    pub evse_id: String,
    /// What the EVSE delivers.
    pub kind: Kind,
    /// Speak ISO 15118-2.
    pub iso2: bool,
    /// Speak ISO 15118-20.
    pub iso20: bool,
    /// The transport is TLS. Without it Plug & Charge is never offered.
    pub tls: bool,
    /// Offer external identification.
    pub eim: bool,
    /// Offer Plug & Charge (over TLS only).
    pub pnc: bool,
    /// The control modes of ISO 15118-20 to offer, preferred one first.
    pub control_modes: Vec<ControlMode>,
    /// The envelope of the EVSE.
    pub limits: Limits,
    /// The name of the meter, printable ASCII, at most 32 characters.
    pub meter_id: String,
    /// Ask the vehicle to sign meter readings (ISO 15118-2 Plug & Charge).
    pub receipts: bool,
    /// Pass requests for contracts on to the platform (Plug & Charge over TLS only).
    pub provisioning: bool,
    /// The station's own judgement of contract chains; `None` leaves it to the platform.
    pub contracts: Option<Arc<dyn ContractCheck>>,
    /// Randomness for this session; never used for another one.
    pub entropy: Entropy,
}

/// Where the isolation test stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Not tested in this session.
    Unknown,
    /// The test runs.
    Testing,
    /// Tested and good.
    Valid,
    /// Tested and bad.
    Fault,
}

/// What the EVSE measures and what is asked of it at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Evse {
    /// Voltage of the supply.
    pub voltage: Volts,
    /// Current into the vehicle; negative while it feeds back.
    pub current: Amps,
    /// Import register.
    pub imported: MilliWattHours,
    /// Export register.
    pub exported: MilliWattHours,
    /// The contactor is closed.
    pub contactor_closed: bool,
    /// The isolation test.
    pub isolation: Isolation,
    /// The platform's set-point; negative discharges.
    pub setpoint: Option<Watts>,
    /// The session has to end: the platform or the operator says so.
    pub stop: bool,
}

/// What the EVSE is to deliver.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Demand {
    /// Nothing.
    Off,
    /// DC: this voltage at the outlet and this current, negative out of the vehicle.
    Dc {
        /// Target or highest voltage.
        volts: Volts,
        /// Target current.
        amps: Amps,
    },
    /// AC: up to this power; the vehicle decides what it takes.
    Ac {
        /// The most it may take; negative asks it to feed back.
        watts: Watts,
    },
}

/// How a vehicle identified itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Identity {
    /// Plug & Charge; the vehicle proved that it holds the contract's key.
    Contract {
        /// Contract id from the certificate.
        emaid: Personal<String>,
        /// DER, leaf first.
        chain: Vec<Vec<u8>>,
    },
    /// External identification at the station.
    External,
}

/// The platform's verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Charging may start.
    Accepted {
        /// Energy may also be taken from the vehicle.
        discharge: bool,
    },
    /// Charging may not start.
    Refused {
        /// In the platform's words.
        reason: String,
    },
}

/// Why the contactor is to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopCause {
    /// The vehicle ended or paused the transfer.
    Vehicle,
    /// The session was refused or broke.
    Refused,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The vehicle ended it in order.
    Stopped,
    /// The vehicle paused it.
    Paused,
    /// A request was refused.
    Refused,
    /// A timer ran out.
    TimedOut,
    /// No protocol in common.
    NoCommonProtocol,
    /// The byte stream was no V2G session.
    BadStream,
    /// The transport went away.
    Lost,
}

/// The steps of a session, for those who watch it.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A protocol was agreed.
    Protocol {
        /// `ISO 15118-2` or `ISO 15118-20`.
        name: &'static str,
    },
    /// The session has its id; the vehicle named itself.
    Identified {
        /// The EVCCID (a MAC address in -2).
        evcc_id: Personal<String>,
    },
    /// The service was chosen.
    Service {
        /// `AC`, `DC` or `DC_BPT`.
        service: &'static str,
        /// The control mode, in -20.
        control: Option<ControlMode>,
    },
    /// What the vehicle told about its battery.
    Battery {
        /// State of charge.
        soc: Percent,
    },
    /// The vehicle asked for energy to flow.
    TransferStarted,
    /// The vehicle asked for energy to stop.
    TransferStopped,
}

/// An event before the holder adds station, EVSE and time.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// What happened.
    pub code: Code,
    /// The particulars, as a sentence.
    pub message: String,
    /// The particulars for machines.
    pub fields: BTreeMap<&'static str, String>,
}

impl Notice {
    /// A notice without particulars for machines.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            fields: BTreeMap::new(),
        }
    }

    /// Adds a particular.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.fields.insert(key, value.into());
        self
    }
}

/// Something for the holder to carry out, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Report this.
    Event(Notice),
    /// A step of the session was reached.
    Step(Step),
    /// Ask the platform; answer with [`super::SeccSession::authorized`].
    Authorize(Identity),
    /// Ask the platform for a contract for the vehicle (OCPP `Get15118EVCertificate`); answer with
    /// [`super::SeccSession::provisioned`] within about four seconds.
    Provision {
        /// Which standard's messages.
        generation: Generation,
        /// What the vehicle wants.
        action: Action,
        /// Its request in EXI, as it came.
        exi: Vec<u8>,
    },
    /// Start the isolation test.
    TestIsolation,
    /// Deliver this from now on.
    Demand(Demand),
    /// The vehicle asks for power: ask the interlock for a permit.
    CloseContactor,
    /// No power from here on.
    OpenContactor(StopCause),
    /// The session is over; send what is left and close the connection.
    Ended(End),
}
