//! What a charging session reports: its steps as they end, and how it ended.

use std::time::Duration;

use gridlatch_session::evcc::{Failure, StepName};
use gridlatch_vocab::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

/// One finished step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Which.
    pub name: StepName,
    /// One line for a person.
    pub detail: String,
    /// When it began.
    pub started: Timestamp,
    /// How long it took.
    #[serde(rename = "duration_ms", serialize_with = "millis")]
    pub duration: Duration,
    /// Whether it succeeded.
    pub ok: bool,
    /// The same facts for a machine.
    pub fields: Map<String, Value>,
}

fn millis<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1e6).round() / 1e3)
}

/// What TLS agreed on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TlsSummary {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// The cipher suite.
    pub suite: String,
    /// Whether it is the marked legacy suite of ISO 15118-2.
    pub legacy: bool,
    /// Subject names of the station's verified chain, leaf first.
    pub chain: Vec<String>,
}

/// The figures of a session, however it ended.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Summary {
    /// The V2G session id the station assigned, upper-case hex.
    pub session: Option<String>,
    /// Energy taken, watt hours.
    pub energy_in_wh: f64,
    /// Energy given back, watt hours.
    pub energy_out_wh: f64,
    /// State of charge at the start and at the end, percent.
    pub soc: (f64, f64),
    /// Answers received.
    pub exchanges: u64,
    /// What TLS agreed on, where it was used.
    pub tls: Option<TlsSummary>,
    /// Milliseconds from the first discovery request to the connection being up (TLS included).
    pub connected_ms: Option<f64>,
    /// Milliseconds from the first discovery request to the first charge-loop answer.
    pub first_loop_ms: Option<f64>,
    /// Charge-loop exchanges, and the seconds they took.
    pub loops: (u64, f64),
}

/// How the session ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// In order; `note` says who asked to stop if it was not the vehicle's own wish.
    Ended {
        /// The figures.
        summary: Summary,
        /// Why it stopped, when somebody asked.
        note: Option<String>,
    },
    /// Not in order: the answer is no, or something broke.
    Failed {
        /// The figures up to then.
        summary: Summary,
        /// Who, where, why.
        failure: Box<Failure>,
    },
}

impl Outcome {
    /// The figures.
    #[must_use]
    pub const fn summary(&self) -> &Summary {
        match self {
            Self::Ended { summary, .. } | Self::Failed { summary, .. } => summary,
        }
    }

    /// What went wrong, if something did.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Ended { .. } => None,
            Self::Failed { failure, .. } => Some(failure),
        }
    }
}
