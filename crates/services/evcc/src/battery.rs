//! The battery: how much it holds, what it takes and gives, and at which voltage.

use gridlatch_session::evcc::VehicleState;

#[cfg(test)]
mod tests;

/// What kind of battery and on-board charger the vehicle has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatteryConfig {
    /// Usable capacity, watt hours.
    pub capacity_wh: f64,
    /// State of charge at the start, percent.
    pub soc: f64,
    /// State of charge below which nothing is given back, percent.
    pub floor_soc: f64,
    /// Largest DC charge power, watts.
    pub charge_power: f64,
    /// Largest DC discharge power, watts.
    pub discharge_power: f64,
    /// Largest DC current, amperes.
    pub current: f64,
    /// Cells in series; decides the voltage.
    pub cells: u32,
    /// Current of the on-board charger per phase, amperes.
    pub ac_current: f64,
    /// Phases of the on-board charger, 1 or 3.
    pub ac_phases: u8,
}

impl Default for BatteryConfig {
    /// A mid-size car of the 400 V class: 60 kWh, 150 kW in, 100 kW out, 11 kW AC.
    fn default() -> Self {
        Self {
            capacity_wh: 60_000.0,
            soc: 40.0,
            floor_soc: 20.0,
            charge_power: 150_000.0,
            discharge_power: 100_000.0,
            current: 400.0,
            cells: 108,
            ac_current: 16.0,
            ac_phases: 3,
        }
    }
}

/// Open-circuit voltage of one cell over the state of charge (NMC, rounded): percent, volts.
const CELL_CURVE: [(f64, f64); 6] = [
    (0.0, 3.20),
    (10.0, 3.45),
    (30.0, 3.58),
    (60.0, 3.78),
    (90.0, 4.02),
    (100.0, 4.15),
];

/// Cell voltage never exceeded while charging, volts.
const CELL_MAXIMUM: f64 = 4.2;
/// Cell voltage below which the battery takes and gives nothing, volts.
const CELL_MINIMUM: f64 = 2.8;

/// State of charge from which the charge power tapers off, percent.
const TAPER_FROM: f64 = 80.0;
/// Share of the charge power left just below full.
const TAPER_TO: f64 = 0.05;
/// Width of the band above the floor in which discharge power fades out, percent.
const FADE: f64 = 2.0;

/// A battery with its counters. Lossless: what the meter counts is what the battery moves.
#[derive(Debug, Clone)]
pub struct Battery {
    config: BatteryConfig,
    energy_wh: f64,
    taken_wh: f64,
    given_wh: f64,
}

impl Battery {
    /// A battery at its starting state of charge.
    #[must_use]
    pub fn new(config: BatteryConfig) -> Self {
        let capacity = config.capacity_wh.max(1.0);
        Self {
            config: BatteryConfig {
                capacity_wh: capacity,
                ..config
            },
            energy_wh: capacity * config.soc.clamp(0.0, 100.0) / 100.0,
            taken_wh: 0.0,
            given_wh: 0.0,
        }
    }

    /// State of charge, percent.
    #[must_use]
    pub fn soc(&self) -> f64 {
        self.energy_wh / self.config.capacity_wh * 100.0
    }

    /// Open-circuit voltage, volts.
    #[must_use]
    pub fn voltage(&self) -> f64 {
        let soc = self.soc();
        let cell = CELL_CURVE.windows(2).find(|pair| soc <= pair[1].0).map_or(
            CELL_CURVE[CELL_CURVE.len() - 1].1,
            |pair| {
                let share = (soc - pair[0].0) / (pair[1].0 - pair[0].0);
                pair[0].1 + share.clamp(0.0, 1.0) * (pair[1].1 - pair[0].1)
            },
        );
        cell * f64::from(self.config.cells)
    }

    /// Charge power accepted now, watts: full below 80 %, then falling to a trickle, none when full.
    #[must_use]
    pub fn charge_limit(&self) -> f64 {
        let soc = self.soc();
        if soc >= 100.0 - 1e-6 {
            return 0.0;
        }
        let share = ((100.0 - soc) / (100.0 - TAPER_FROM)).clamp(0.0, 1.0);
        self.config.charge_power * (TAPER_TO + (1.0 - TAPER_TO) * share)
    }

    /// Discharge power available now, watts: fades out just above the floor, none at it.
    #[must_use]
    pub fn discharge_limit(&self) -> f64 {
        let share = ((self.soc() - self.config.floor_soc) / FADE).clamp(0.0, 1.0);
        if share < 1e-3 {
            0.0
        } else {
            self.config.discharge_power * share
        }
    }

    /// Moves energy for a while: `watts` in when positive, out when negative. Never past full or empty.
    pub fn apply(&mut self, watts: f64, seconds: f64) {
        if !watts.is_finite() || !seconds.is_finite() || seconds <= 0.0 {
            return;
        }
        let wanted = watts * seconds / 3600.0;
        let moved = wanted.clamp(-self.energy_wh, self.config.capacity_wh - self.energy_wh);
        self.energy_wh += moved;
        if moved > 0.0 {
            self.taken_wh += moved;
        } else {
            self.given_wh -= moved;
        }
    }

    /// Energy taken since the start, watt hours.
    #[must_use]
    pub const fn taken_wh(&self) -> f64 {
        self.taken_wh
    }

    /// Energy given back since the start, watt hours.
    #[must_use]
    pub const fn given_wh(&self) -> f64 {
        self.given_wh
    }

    /// The battery as the policy sees it.
    #[must_use]
    pub fn state(&self) -> VehicleState {
        let cells = f64::from(self.config.cells);
        VehicleState {
            battery_voltage: self.voltage(),
            maximum_voltage: cells * CELL_MAXIMUM,
            minimum_voltage: cells * CELL_MINIMUM,
            maximum_current: self.config.current,
            capacity_wh: self.config.capacity_wh,
            soc: self.soc(),
            floor_soc: self.config.floor_soc,
            charge_limit: self.charge_limit(),
            discharge_limit: self.discharge_limit(),
            ac_current: self.config.ac_current,
            ac_phases: self.config.ac_phases,
            taken_wh: self.taken_wh,
            given_wh: self.given_wh,
        }
    }
}
