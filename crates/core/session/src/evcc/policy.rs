//! What both protocols share: the context a decision is made in, and what a decision can be.

use gridlatch_vocab::Code;
use iso15118::message::Message;

use super::config::{EvccConfig, Now, VehicleState};
use super::contract::Contract;
use super::course::Course;
use super::log::Log;
use super::output::{Failure, StepName};

/// Difference between the station's and the battery's voltage at which the vehicle closes its own
/// contactors, volts (IEC 61851-23 clause CC.5.1: less than 20 V).
pub(crate) const PRE_CHARGE_WINDOW_V: f64 = 20.0;

/// Voltage at the inlet below which welding detection is satisfied, volts (touch-safe DC).
pub(crate) const SAFE_V: f64 = 60.0;

/// Welding detections asked for while the voltage stays high, before the vehicle leaves it at that.
pub(crate) const MAX_WELDING_CHECKS: u32 = 20;

/// Everything a decision may look at.
pub(crate) struct Context<'a> {
    pub(crate) now: Now,
    pub(crate) config: &'a EvccConfig,
    pub(crate) vehicle: &'a VehicleState,
    pub(crate) course: &'a mut Course,
    pub(crate) log: &'a mut Log,
    /// The session id the station assigned, for messages that repeat it in their body.
    pub(crate) session_id: Vec<u8>,
}

impl Context<'_> {
    /// Gives the session up: a stop in order, and this reason.
    pub(crate) fn give_up(&self, code: Code, message: impl Into<String>) -> Next {
        Next::GiveUp(Failure::new(self.log.current(), code, message))
    }

    /// Ends the running step and goes on to `next`.
    pub(crate) fn done(
        &mut self,
        next: StepName,
        detail: String,
        fields: Vec<(&'static str, serde_json::Value)>,
    ) {
        self.log.done(self.now.mono_ms, next, detail, fields);
    }
}

/// What to do after an answer.
#[derive(Debug)]
pub(crate) enum Next {
    /// Send this at once.
    Send(Message),
    /// Send this again after the pause for `Ongoing` answers.
    Repeat(Message),
    /// Send this charge-loop request after the pace.
    Loop(Message),
    /// A contract was installed: identify by it from here on.
    Adopt(Box<Contract>),
    /// `SessionStopRes` was the last word.
    Finished,
    /// The station asked to stop before power flowed, or something it offers is not enough: stop in
    /// order and report.
    GiveUp(Failure),
}

/// Why the vehicle is stopping, when it is not by its own wish.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum StopCause {
    /// The station asked, with its reason.
    Station(String),
    /// The shell asked.
    Driver,
}

/// Whether the station's voltage is close enough to the battery's.
pub(crate) fn voltages_match(station: f64, battery: f64) -> bool {
    (station - battery).abs() <= PRE_CHARGE_WINDOW_V
}
