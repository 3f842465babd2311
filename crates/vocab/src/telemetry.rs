//! One sample of a running session, as the platform sees it; what live pages plot.

use serde::{Deserialize, Serialize};

use crate::{EvseId, MilliWattHours, Percent, StationId, Timestamp, TransactionId, Watts};

/// Power, registers and state of charge at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Telemetry {
    /// When the station measured it.
    pub at: Timestamp,
    /// The station.
    pub station: StationId,
    /// The EVSE.
    pub evse: EvseId,
    /// The running transaction, if one is.
    pub transaction: Option<TransactionId>,
    /// Power at the meter; negative while the vehicle feeds back.
    pub power: Watts,
    /// The import register: energy into the vehicle since the meter was made.
    pub imported: MilliWattHours,
    /// The export register: energy out of the vehicle since the meter was made.
    pub exported: MilliWattHours,
    /// The vehicle's state of charge, where it is known.
    pub soc: Option<Percent>,
    /// The set-point in force, where the platform gave one.
    pub setpoint: Option<Watts>,
}
