//! What a session tells its shell: steps, pilot, power, and how it ended.

use gridlatch_vocab::{Blame, Code};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The steps of a session, in the order a driver sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum StepName {
    /// SLAC found the station at the other end of the cable.
    #[serde(rename = "matching")]
    Matching,
    /// SDP found the station's address.
    #[serde(rename = "discovery")]
    Discovery,
    /// TLS is up and the station's chain is verified.
    #[serde(rename = "tls")]
    Tls,
    /// Both sides agreed on a protocol.
    #[serde(rename = "protocol")]
    Protocol,
    /// The session exists and both sides know who they are.
    #[serde(rename = "identification")]
    Identification,
    /// A contract was installed in the vehicle.
    #[serde(rename = "contract")]
    Contract,
    /// The station allows charging.
    #[serde(rename = "authorisation")]
    Authorisation,
    /// Limits and schedule are agreed.
    #[serde(rename = "parameters")]
    Parameters,
    /// The station tested the insulation of the cable (DC).
    #[serde(rename = "cable check")]
    CableCheck,
    /// The station's voltage matches the battery's (DC).
    #[serde(rename = "pre-charge")]
    PreCharge,
    /// Energy flowed into the vehicle.
    #[serde(rename = "energy in")]
    EnergyIn,
    /// Energy flowed out of the vehicle.
    #[serde(rename = "energy out")]
    EnergyOut,
    /// Power is off and the session is closed.
    #[serde(rename = "stop")]
    Stop,
}

impl StepName {
    /// The name as it is printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Matching => "matching",
            Self::Discovery => "discovery",
            Self::Tls => "tls",
            Self::Protocol => "protocol",
            Self::Identification => "identification",
            Self::Contract => "contract",
            Self::Authorisation => "authorisation",
            Self::Parameters => "parameters",
            Self::CableCheck => "cable check",
            Self::PreCharge => "pre-charge",
            Self::EnergyIn => "energy in",
            Self::EnergyOut => "energy out",
            Self::Stop => "stop",
        }
    }
}

/// One finished step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRecord {
    /// Which.
    pub name: StepName,
    /// When it began, on the shell's monotonic clock, milliseconds.
    pub started_ms: u64,
    /// When it ended.
    pub finished_ms: u64,
    /// Whether it succeeded.
    pub ok: bool,
    /// One line for a person.
    pub detail: String,
    /// The same facts for a machine.
    pub fields: Vec<(&'static str, Value)>,
}

/// The state the vehicle puts on the control pilot (IEC 61851-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pilot {
    /// Connected, not ready: the station must have its contactor open.
    B,
    /// Ready for energy.
    C,
}

/// What flows at the inlet, as the last answer said. Positive into the vehicle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flow {
    /// Power in watts.
    pub watts: f64,
    /// Voltage at the inlet, volts.
    pub volts: f64,
    /// Current, amperes.
    pub amps: f64,
    /// The station's set-point, where it decides (dynamic AC), watts.
    pub setpoint: Option<f64>,
}

/// Why a session did not do what it was asked to: who, where, why, and what to do about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The step that failed.
    pub step: StepName,
    /// The request that was being answered, by its element name.
    pub request: Option<&'static str>,
    /// The station's response code, as the standard spells it.
    pub response_code: Option<String>,
    /// The catalogue row.
    pub code: Code,
    /// Which side is to blame.
    pub blame: Blame,
    /// One sentence with the particulars.
    pub message: String,
}

impl core::fmt::Display for Failure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// A failure of `code` at `step`, blaming whom the catalogue blames.
    #[must_use]
    pub fn new(step: StepName, code: Code, message: impl Into<String>) -> Self {
        Self {
            step,
            request: None,
            response_code: None,
            code,
            blame: code.blame(),
            message: message.into(),
        }
    }

    /// Names the request that was being answered.
    #[must_use]
    pub fn at(mut self, request: &'static str) -> Self {
        self.request = Some(request);
        self
    }
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// In order, by the vehicle's own wish.
    Complete,
    /// In order, because the station asked to stop; the reason is the station's.
    StoppedByStation(String),
    /// In order, because the shell asked to stop.
    StoppedByDriver,
    /// Not in order.
    Failed(Failure),
}

/// Something for the shell to do or to show. Drain them before writing bytes: the pilot changes before
/// the request that relies on it.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// A step ended.
    Step(StepRecord),
    /// Put this state on the control pilot.
    Pilot(Pilot),
    /// The on-board charger shall take this power from now on (AC only), watts.
    Draw(f64),
    /// A charge-loop answer arrived.
    Flow(Flow),
    /// The session is over; nothing more will be said.
    Ended(End),
}
