//! Where the session stands between the driver's wish and the battery: charge, give back, stop.

use super::config::{Goal, VehicleState, Wish};

/// What the vehicle wants right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// Energy in.
    Charge,
    /// Energy out.
    Discharge,
    /// Nothing more.
    Stop,
}

/// Follows a [`Wish`] to its end.
#[derive(Debug)]
pub(crate) struct Course {
    wish: Wish,
    want: Want,
    /// When the current direction began; set by the first charge-loop request in it.
    since_ms: Option<u64>,
}

impl Course {
    pub(crate) const fn new(wish: Wish) -> Self {
        Self {
            wish,
            want: Want::Charge,
            since_ms: None,
        }
    }

    /// What to want at `now`, given the battery. Moves on when the goal of the direction is reached.
    pub(crate) fn want(&mut self, now_ms: u64, vehicle: &VehicleState) -> Want {
        let since = *self.since_ms.get_or_insert(now_ms);
        let elapsed = now_ms.saturating_sub(since);
        let done = match self.want {
            Want::Charge => {
                vehicle.charge_limit <= 0.0
                    || reached(&self.wish.charge, vehicle.taken_wh, elapsed)
                    || self.wish.charge.soc.is_some_and(|soc| vehicle.soc >= soc)
            }
            Want::Discharge => {
                let goal = self.wish.discharge.unwrap_or_default();
                vehicle.discharge_limit <= 0.0
                    || reached(&goal, vehicle.given_wh, elapsed)
                    || goal.soc.is_some_and(|soc| vehicle.soc <= soc)
            }
            Want::Stop => false,
        };
        if done {
            self.want = match self.want {
                Want::Charge if self.wish.discharge.is_some() && vehicle.discharge_limit > 0.0 => {
                    Want::Discharge
                }
                Want::Charge | Want::Discharge | Want::Stop => Want::Stop,
            };
            self.since_ms = Some(now_ms);
        }
        self.want
    }

    /// Whether it is the turn of giving back.
    pub(crate) fn wants_to_give(&self) -> bool {
        self.want == Want::Discharge
    }

    /// Stops wanting anything.
    pub(crate) const fn stop(&mut self) {
        self.want = Want::Stop;
    }

    /// Energy still wanted in the charging direction, watt hours.
    pub(crate) fn charge_request_wh(&self, vehicle: &VehicleState) -> f64 {
        let by_energy = self
            .wish
            .charge
            .energy_wh
            .map(|goal| (goal - vehicle.taken_wh).max(0.0));
        let by_soc = self
            .wish
            .charge
            .soc
            .map(|soc| (vehicle.capacity_wh * (soc - vehicle.soc) / 100.0).max(0.0));
        let room = vehicle.room_wh();
        by_energy.into_iter().chain(by_soc).fold(room, f64::min)
    }

    /// The energy request as ISO 15118-20 carries it: positive to be charged, negative to give back.
    pub(crate) fn target_request_wh(&self, vehicle: &VehicleState) -> f64 {
        match self.want {
            Want::Charge => self.charge_request_wh(vehicle),
            Want::Discharge => {
                let goal = self.wish.discharge.unwrap_or_default().energy_wh;
                let reserve = vehicle.reserve_wh();
                -goal.map_or(reserve, |goal| (goal - vehicle.given_wh).clamp(0.0, reserve))
            }
            Want::Stop => 0.0,
        }
    }

    /// Seconds until the vehicle leaves; `None` when it did not say.
    pub(crate) fn departure(&self) -> Option<u32> {
        (self.wish.departure_s > 0).then_some(self.wish.departure_s)
    }

    /// The state of charge the driver asked for, as messages carry it.
    pub(crate) fn target_soc(&self) -> u8 {
        self.wish
            .charge
            .soc
            .map_or(100, |soc| soc.clamp(0.0, 100.0).round() as u8)
    }
}

fn reached(goal: &Goal, energy_wh: f64, elapsed_ms: u64) -> bool {
    goal.energy_wh.is_some_and(|wanted| energy_wh >= wanted)
        || goal.duration_ms.is_some_and(|wanted| elapsed_ms >= wanted)
}
