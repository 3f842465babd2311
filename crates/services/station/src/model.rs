//! The electrical side of an outlet: supply, contactor, isolation test, meter.
//!
//! Time passes only in [`Model::advance`]; nothing sleeps. Between two calls voltage and current ramp
//! to their targets and the meter integrates what flowed.

use std::time::Duration;

use gridlatch_session::secc::{Demand, Isolation, Kind, Limits};
use gridlatch_vocab::{Amps, MilliWattHours, Volts, Watts};

/// How fast the supply changes its voltage, in volts per second.
const VOLTS_PER_SECOND: f64 = 20_000.0;
/// How fast it changes its current, in amps per second.
const AMPS_PER_SECOND: f64 = 10_000.0;
/// How long the isolation test takes.
const ISOLATION_TEST: Duration = Duration::from_millis(100);

/// One outlet.
#[derive(Debug, Clone)]
pub struct Model {
    kind: Kind,
    limits: Limits,
    last: Duration,
    demand: Demand,
    closed: bool,
    volts: f64,
    amps: f64,
    /// What the battery shows at the inlet, where the cable tells.
    battery: Option<f64>,
    /// What an AC vehicle takes, where the cable tells; `None` takes what is offered.
    draw: Option<f64>,
    isolation: Isolation,
    isolation_done: Option<Duration>,
    /// Energy not yet in a register, in watt seconds.
    pending: f64,
    imported: u64,
    exported: u64,
}

impl Model {
    /// An outlet at rest, its registers at `imported` and `exported`.
    #[must_use]
    pub const fn new(
        kind: Kind,
        limits: Limits,
        registers: (MilliWattHours, MilliWattHours),
        now: Duration,
    ) -> Self {
        Self {
            kind,
            limits,
            last: now,
            demand: Demand::Off,
            closed: false,
            volts: 0.0,
            amps: 0.0,
            battery: None,
            draw: None,
            isolation: Isolation::Unknown,
            isolation_done: None,
            pending: 0.0,
            imported: registers.0.0,
            exported: registers.1.0,
        }
    }

    /// Lets time pass until `now`.
    pub fn advance(&mut self, now: Duration) {
        let step = now.saturating_sub(self.last).as_secs_f64();
        self.last = self.last.max(now);
        if self.isolation_done.is_some_and(|done| now >= done) {
            self.isolation_done = None;
            self.isolation = Isolation::Valid;
        }
        let before = self.power().0;
        let (volts, amps) = self.targets();
        self.volts = toward(self.volts, volts, VOLTS_PER_SECOND * step);
        self.amps = if self.closed {
            toward(self.amps, amps, AMPS_PER_SECOND * step)
        } else {
            0.0
        };
        let after = self.power().0;
        self.pending += (before + after) / 2.0 * step;
        // Whole thousandths of a watt hour go into the registers, each way into its own.
        let whole = (self.pending / 3.6).trunc();
        if whole != 0.0 {
            self.pending -= whole * 3.6;
            if whole > 0.0 {
                self.imported = self.imported.saturating_add(whole as u64);
            } else {
                self.exported = self.exported.saturating_add(-whole as u64);
            }
        }
    }

    fn targets(&self) -> (f64, f64) {
        match self.demand {
            Demand::Off => (0.0, 0.0),
            Demand::Dc { volts, amps } => {
                // A connected battery holds the voltage; without one the supply does, and a current
                // that is only bounded by a maximum voltage keeps the voltage of the pre-charge.
                let volts = match self.battery {
                    Some(battery) if self.closed => battery,
                    None if self.closed && self.volts > 1.0 => self.volts.min(volts.0),
                    _ => volts.0,
                };
                (volts, amps.0)
            }
            Demand::Ac { watts } => {
                let offered = watts.0;
                let taken = match self.draw {
                    Some(draw) if offered >= 0.0 => draw.clamp(0.0, offered),
                    Some(draw) => draw.clamp(offered, 0.0),
                    None => offered,
                };
                let volts = self.limits.max_voltage.0;
                (volts, if volts > 1.0 { taken / volts } else { 0.0 })
            }
        }
    }

    /// What to deliver from now on.
    pub const fn demand(&mut self, demand: Demand) {
        self.demand = demand;
        if matches!(demand, Demand::Off) {
            self.isolation = Isolation::Unknown;
            self.isolation_done = None;
        }
    }

    /// Starts the isolation test unless it is done or running.
    pub fn test_isolation(&mut self, now: Duration) {
        if self.isolation == Isolation::Unknown {
            self.isolation = Isolation::Testing;
            self.isolation_done = Some(now + ISOLATION_TEST);
        }
    }

    /// Moves the contactor. Only the interlock's line gets here.
    pub(crate) const fn set_contactor(&mut self, closed: bool) {
        self.closed = closed;
        if !closed {
            self.amps = 0.0;
            if matches!(self.kind, Kind::Ac) {
                self.volts = 0.0;
            }
        } else if matches!(self.kind, Kind::Ac) {
            self.volts = self.limits.max_voltage.0;
        }
    }

    /// The vehicle told its battery voltage; nonsense is ignored.
    pub fn battery(&mut self, volts: f64) {
        if volts.is_finite() && (0.0..=1_500.0).contains(&volts) {
            self.battery = Some(volts);
        }
    }

    /// The vehicle told what it takes; nonsense is ignored.
    pub const fn draw(&mut self, watts: f64) {
        if watts.is_finite() {
            self.draw = Some(watts);
        }
    }

    /// The vehicle left.
    pub fn unplugged(&mut self) {
        self.set_contactor(false);
        self.demand(Demand::Off);
        self.battery = None;
        self.draw = None;
    }

    /// Voltage of the supply.
    #[must_use]
    pub const fn voltage(&self) -> Volts {
        Volts(self.volts)
    }

    /// Current, all phases together, negative out of the vehicle.
    #[must_use]
    pub const fn current(&self) -> Amps {
        Amps(self.amps)
    }

    /// Power into the vehicle.
    #[must_use]
    pub const fn power(&self) -> Watts {
        Watts(if self.closed { self.volts * self.amps } else { 0.0 })
    }

    /// The import and the export register.
    #[must_use]
    pub const fn registers(&self) -> (MilliWattHours, MilliWattHours) {
        (MilliWattHours(self.imported), MilliWattHours(self.exported))
    }

    /// The contactor is closed.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// The isolation test.
    #[must_use]
    pub const fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Whether voltage, current and isolation are where they may be with power on.
    #[must_use]
    pub fn within_limits(&self) -> bool {
        // A tenth above the envelope is measurement and ramp, more is a fault.
        let volts = self.limits.max_voltage.0 * 1.1;
        let amps = if self.kind.is_dc() {
            self.limits.max_current.0.max(self.limits.max_discharge_current.0)
        } else {
            self.limits.max_current.0 * f64::from(self.limits.phases.max(1))
        } * 1.1;
        self.volts <= volts
            && self.amps.abs() <= amps
            && (!self.kind.is_dc() || self.isolation == Isolation::Valid)
    }
}

fn toward(from: f64, to: f64, most: f64) -> f64 {
    if (to - from).abs() <= most {
        to
    } else {
        from + most.copysign(to - from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dc() -> Model {
        let limits = Limits {
            max_voltage: Volts(920.0),
            min_voltage: Volts(150.0),
            max_current: Amps(300.0),
            max_power: Watts(150_000.0),
            min_power: Watts(0.0),
            max_discharge_current: Amps(125.0),
            max_discharge_power: Watts(50_000.0),
            phases: 3,
        };
        let registers = (MilliWattHours(1_000), MilliWattHours(2_000));
        Model::new(
            Kind::Dc { bidirectional: true },
            limits,
            registers,
            Duration::ZERO,
        )
    }

    #[test]
    fn each_direction_counts_in_its_own_register() {
        let mut model = dc();
        let second = Duration::from_secs(1);
        model.demand(Demand::Dc {
            volts: Volts(400.0),
            amps: Amps(100.0),
        });
        model.advance(second);
        assert_eq!(model.power(), Watts(0.0), "the contactor is open");
        model.set_contactor(true);
        model.advance(2 * second);
        model.advance(38 * second);
        let (imported, exported) = model.registers();
        assert!(
            (imported.0 as f64 - 1_000.0 - 40_000.0 * 36.5 / 3.6).abs() < 20.0,
            "{imported}"
        );
        assert_eq!(exported.0, 2_000);
        model.demand(Demand::Dc {
            volts: Volts(400.0),
            amps: Amps(-50.0),
        });
        model.advance(39 * second);
        let turned = model.registers().0;
        model.advance(75 * second);
        let (imported, exported) = model.registers();
        assert_eq!(imported, turned, "discharging never moves the import register");
        assert!(exported.0 > 2_000 + 190_000, "{exported}");
    }

    #[test]
    fn isolation_is_tested_anew_after_power_was_off() {
        let mut model = dc();
        assert!(!model.within_limits());
        model.test_isolation(Duration::ZERO);
        model.advance(Duration::from_millis(50));
        assert_eq!(model.isolation(), Isolation::Testing);
        model.advance(Duration::from_millis(100));
        assert!(model.within_limits());
        model.demand(Demand::Off);
        assert!(!model.within_limits());
    }

    #[test]
    fn nonsense_from_the_cable_is_ignored() {
        let mut model = dc();
        model.battery(f64::NAN);
        model.battery(1e9);
        model.draw(f64::INFINITY);
        model.demand(Demand::Dc {
            volts: Volts(400.0),
            amps: Amps(10.0),
        });
        model.set_contactor(true);
        model.advance(Duration::from_secs(1));
        assert_eq!(model.voltage(), Volts(400.0));
    }
}
