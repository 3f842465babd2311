//! What happened, as the meter saw it.

use gridlatch_vocab::{MilliWattHours, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::TariffError;

/// Most periods of one session; a sample a minute for a week stays below.
pub(crate) const MAX_PERIODS: usize = 20_000;

/// Longest period, in milliseconds: 31 days.
pub(crate) const MAX_MILLIS: i64 = 31 * 86_400_000;

/// What the outlet did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activity {
    /// Energy was transferred, in either direction: OCPI `TIME`.
    Transfer,
    /// Plugged in without transfer: OCPI `PARKING_TIME`.
    Parked,
}

/// A stretch of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChargingPeriodInput {
    /// Its begin.
    pub start: Timestamp,
    /// Its end; not before its begin.
    pub end: Timestamp,
    /// How much the import register advanced.
    pub imported: MilliWattHours,
    /// How much the export register advanced.
    pub exported: MilliWattHours,
    /// What the outlet did.
    pub activity: Activity,
}

impl ChargingPeriodInput {
    pub(crate) fn millis(&self) -> i64 {
        self.end.unix_millis() - self.start.unix_millis()
    }
}

/// The registers at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// When.
    pub at: Timestamp,
    /// The import register.
    pub imported: MilliWattHours,
    /// The export register.
    pub exported: MilliWattHours,
    /// What the outlet did from here on (the last one does not matter).
    pub activity: Activity,
}

/// Periods between consecutive readings of one transaction.
///
/// # Errors
/// A register or the clock runs backwards: such readings are evidence of a fault or of fraud and are
/// not billed. Fewer than two readings, or more than 20,000.
pub fn periods(readings: &[Reading]) -> Result<Vec<ChargingPeriodInput>, TariffError> {
    if readings.len() > MAX_PERIODS {
        return Err(TariffError::TooLarge(
            "there are more readings than a session can have",
        ));
    }
    let mut periods = Vec::with_capacity(readings.len());
    for (before, after) in readings.iter().zip(readings.iter().skip(1)) {
        let at = after.at;
        if after.at < before.at {
            return Err(TariffError::TimeRunsBackwards { at });
        }
        let advance = |register, from: MilliWattHours, to: MilliWattHours| {
            let advance =
                to.0.checked_sub(from.0)
                    .ok_or(TariffError::RegisterFell { register, at })?;
            Ok(MilliWattHours(advance))
        };
        periods.push(ChargingPeriodInput {
            start: before.at,
            end: after.at,
            imported: advance("import", before.imported, after.imported)?,
            exported: advance("export", before.exported, after.exported)?,
            activity: before.activity,
        });
    }
    if periods.is_empty() {
        Err(TariffError::Empty)
    } else {
        Ok(periods)
    }
}
