//! Live figures of a running session.

use serde::Serialize;

/// What flows right now.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Progress {
    /// Power into the vehicle, negative while it gives back, watts.
    pub watts: f64,
    /// State of charge, percent.
    pub soc: f64,
    /// Energy taken so far, watt hours.
    pub taken_wh: f64,
    /// Energy given back so far, watt hours.
    pub given_wh: f64,
    /// Charge-loop answers so far.
    pub loops: u64,
    /// Whether the vehicle has what it wanted and now wants to give energy back; in dynamic control it is the
    /// station's decision whether it does.
    pub giving: bool,
}
