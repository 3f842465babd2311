//! Charging profiles: from what the platform installed to one set-point per outlet and moment.

use std::collections::BTreeMap;

use gridlatch_ocpp::v21::{
    ChargingProfile, ChargingProfileKindEnum, ChargingProfilePurposeEnum, ChargingRateUnitEnum,
    ChargingSchedule, ChargingSchedulePeriod, ChargingScheduleUpdate, ClearChargingProfile,
    OperationModeEnum, RecurrencyKindEnum,
};
use gridlatch_vocab::{EvseId, Timestamp, Watts};
use rust_decimal::Decimal;

/// Most profiles one station keeps; K01 lets it refuse more.
const MAX_PROFILES: usize = 32;

#[derive(Debug, Clone)]
struct Installed {
    profile: ChargingProfile,
    /// `None`: every outlet.
    evse: Option<EvseId>,
    at: Timestamp,
}

/// The profiles of a station, by id.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    by_id: BTreeMap<i64, Installed>,
    offline_since: Option<Timestamp>,
}

/// Why a profile is not taken: the reason code of OCPP and a sentence.
pub(super) type Refused = (&'static str, String);

impl Profiles {
    /// Installs a profile (`evse` 0 means every outlet). An older one of the same id, or of the same purpose,
    /// level and outlet, is replaced (K01.FR.05).
    pub(super) fn install(
        &mut self,
        evse: i64,
        profile: ChargingProfile,
        now: Timestamp,
    ) -> Result<(), Refused> {
        check(&profile)?;
        let evse = if evse == 0 {
            None
        } else {
            u16::try_from(evse).ok().map(EvseId)
        };
        self.by_id.retain(|id, old| {
            *id != profile.id
                && (old.evse != evse
                    || old.profile.charging_profile_purpose != profile.charging_profile_purpose
                    || old.profile.stack_level != profile.stack_level)
        });
        if self.by_id.len() >= MAX_PROFILES {
            return Err(("NoProfileSpace", "the station keeps 32 profiles".to_owned()));
        }
        self.by_id.insert(
            profile.id,
            Installed {
                profile,
                evse,
                at: now,
            },
        );
        Ok(())
    }

    /// Notes since when the platform cannot be reached. A profile that bounds this time (`maxOfflineDuration` of
    /// 2.1) ceases to hold when it is over: nobody discharges a car on the word of a platform that is gone.
    pub(super) fn offline_since(&mut self, since: Option<Timestamp>) {
        self.offline_since = since;
    }

    /// Forgets one profile.
    pub(super) fn remove(&mut self, id: i64) -> bool {
        self.by_id.remove(&id).is_some()
    }

    /// Forgets what the criteria name; `false` when that is nothing (K10).
    pub(super) fn clear(&mut self, id: Option<i64>, criteria: Option<&ClearChargingProfile>) -> bool {
        let before = self.by_id.len();
        self.by_id.retain(|own, installed| match (id, criteria) {
            (Some(id), _) => *own != id,
            (None, None) => false,
            (None, Some(criteria)) => {
                let evse = installed.evse.map_or(0, |evse| i64::from(evse.0));
                let hit = criteria.evse_id.is_none_or(|wanted| wanted == evse)
                    && criteria
                        .stack_level
                        .is_none_or(|wanted| wanted == installed.profile.stack_level)
                    && criteria
                        .charging_profile_purpose
                        .is_none_or(|wanted| wanted == installed.profile.charging_profile_purpose);
                !hit
            }
        });
        self.by_id.len() < before
    }

    /// Forgets the profiles of a transaction that ended (K01.FR.31).
    pub(super) fn transaction_ended(&mut self, transaction: &str) {
        self.by_id.retain(|_, installed| {
            installed.profile.charging_profile_purpose != ChargingProfilePurposeEnum::TxProfile
                || installed.profile.transaction_id.as_deref() != Some(transaction)
        });
    }

    /// UpdateDynamicSchedule (2.1, K28): new values for the one period of a dynamic profile.
    pub(super) fn update(
        &mut self,
        id: i64,
        update: &ChargingScheduleUpdate,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let Some(installed) = self.by_id.get_mut(&id) else {
            return Err(("UnknownProfile", "there is no such profile".to_owned()));
        };
        if installed.profile.charging_profile_kind != ChargingProfileKindEnum::Dynamic {
            return Err((
                "InvalidProfile",
                "only a dynamic profile can be updated".to_owned(),
            ));
        }
        let mut profile = installed.profile.clone();
        for period in profile
            .charging_schedule
            .iter_mut()
            .flat_map(|s| &mut s.charging_schedule_period)
        {
            if update.setpoint.is_some() {
                period.setpoint = update.setpoint;
            }
            if update.limit.is_some() {
                period.limit = update.limit;
            }
            if update.discharge_limit.is_some() {
                period.discharge_limit = update.discharge_limit;
            }
        }
        check(&profile)?;
        installed.profile = profile;
        installed.at = now;
        Ok(())
    }

    /// The set-point in force at an outlet, and when it changes next by itself.
    pub(super) fn setpoint(&self, evse: EvseId, now: Timestamp) -> (Option<Watts>, Option<Timestamp>) {
        let mut next: Option<Timestamp> = None;
        let mut best: Option<(u8, i64, Watts)> = None;
        let mut ceiling: Option<Watts> = None;
        for installed in self
            .by_id
            .values()
            .filter(|p| p.evse.is_none_or(|own| own == evse))
        {
            let (value, until) = installed.value(now, self.offline_since);
            next = [next, until].into_iter().flatten().min();
            let Some(value) = value else { continue };
            let rank = match installed.profile.charging_profile_purpose {
                ChargingProfilePurposeEnum::TxProfile => 2,
                ChargingProfilePurposeEnum::TxDefaultProfile => 1,
                _ => {
                    // A limit on the station bounds whatever else is in force.
                    ceiling = Some(ceiling.map_or(value, |other| other.min(value)));
                    continue;
                }
            };
            let candidate = (rank, installed.profile.stack_level);
            if best.is_none_or(|(rank, level, _)| candidate > (rank, level)) {
                best = Some((candidate.0, candidate.1, value));
            }
        }
        let value = match (best.map(|(_, _, value)| value), ceiling) {
            (Some(value), Some(ceiling)) => Some(value.min(ceiling)),
            (value, ceiling) => value.or(ceiling),
        };
        (value, next)
    }
}

/// Everything the station could not follow later is refused now.
fn check(profile: &ChargingProfile) -> Result<(), Refused> {
    let refuse = |code: &'static str, text: &str| Err((code, text.to_owned()));
    if matches!(
        profile.charging_profile_purpose,
        ChargingProfilePurposeEnum::ChargingStationExternalConstraints
            | ChargingProfilePurposeEnum::PriorityCharging
            | ChargingProfilePurposeEnum::LocalGeneration
    ) {
        return refuse("UnsupportedPurpose", "this purpose is not supported");
    }
    for schedule in &profile.charging_schedule {
        if schedule.charging_rate_unit != ChargingRateUnitEnum::W {
            return refuse("UnsupportedRateUnit", "the station follows power in W only");
        }
        let mut start = -1;
        for period in &schedule.charging_schedule_period {
            if period.start_period <= start {
                return refuse("InvalidSchedule", "periods are not in order");
            }
            start = period.start_period;
            if !matches!(
                period.operation_mode,
                None | Some(
                    OperationModeEnum::ChargingOnly
                        | OperationModeEnum::CentralSetpoint
                        | OperationModeEnum::Idle
                )
            ) {
                return refuse(
                    "UnsupportedMode",
                    "the station follows ChargingOnly, CentralSetpoint and Idle",
                );
            }
            if power(period).is_none() {
                return refuse(
                    "InvalidSchedule",
                    "a period has no set-point or limit, or one out of range",
                );
            }
        }
    }
    Ok(())
}

/// What a period asks for. Limits bound charging; only a central set-point may be negative (Q03).
fn power(period: &ChargingSchedulePeriod) -> Option<Watts> {
    let watts = |value: Decimal| f64::try_from(value).ok().filter(|v| v.abs() <= 1e7).map(Watts);
    match period.operation_mode {
        Some(OperationModeEnum::Idle) => Some(Watts::ZERO),
        Some(OperationModeEnum::CentralSetpoint) => {
            let setpoint = watts(period.setpoint.or(period.limit)?)?;
            // The limits of the period bound the set-point in both directions.
            let high = period.limit.and_then(watts).unwrap_or(Watts(f64::MAX));
            let low = period.discharge_limit.and_then(watts).unwrap_or(Watts(f64::MIN));
            Some(setpoint.within(low, high))
        }
        _ => watts(period.limit?).filter(|limit| limit.0 >= 0.0),
    }
}

impl Installed {
    /// The power in force, if any, and when that changes.
    fn value(&self, now: Timestamp, offline: Option<Timestamp>) -> (Option<Watts>, Option<Timestamp>) {
        let profile = &self.profile;
        let lapses = profile.max_offline_duration.zip(offline).map(|(seconds, since)| {
            Timestamp::from_unix_millis(since.unix_millis().saturating_add(seconds.saturating_mul(1000)))
        });
        if lapses.is_some_and(|at| now >= at) {
            return (None, None);
        }
        if let Some(from) = profile.valid_from.filter(|from| now < *from) {
            return (None, Some(from));
        }
        if profile.valid_to.is_some_and(|to| now >= to) {
            return (None, None);
        }
        let Some(schedule) = profile.charging_schedule.first() else {
            return (None, None);
        };
        let (value, until) = self.in_schedule(schedule, now);
        (
            value,
            [until, profile.valid_to, lapses].into_iter().flatten().min(),
        )
    }

    fn in_schedule(&self, schedule: &ChargingSchedule, now: Timestamp) -> (Option<Watts>, Option<Timestamp>) {
        let period_of = match (self.profile.charging_profile_kind, self.profile.recurrency_kind) {
            (ChargingProfileKindEnum::Recurring, Some(RecurrencyKindEnum::Weekly)) => Some(7 * 86_400_000),
            (ChargingProfileKindEnum::Recurring, _) => Some(86_400_000),
            _ => None,
        };
        let start = match self.profile.charging_profile_kind {
            ChargingProfileKindEnum::Dynamic | ChargingProfileKindEnum::Relative => self.at,
            _ => schedule.start_schedule.unwrap_or(self.at),
        };
        let since = now.unix_millis() - start.unix_millis();
        if since < 0 && period_of.is_none() {
            return (None, Some(start));
        }
        let elapsed = period_of.map_or(since, |length: i64| since.rem_euclid(length));
        let begin = now.unix_millis() - elapsed;
        let at =
            |seconds: i64| Timestamp::from_unix_millis(begin.saturating_add(seconds.saturating_mul(1000)));
        let again = period_of.map(|length| Timestamp::from_unix_millis(begin + length));
        if schedule
            .duration
            .is_some_and(|duration| elapsed >= duration.saturating_mul(1000))
        {
            return (None, again);
        }
        let periods = &schedule.charging_schedule_period;
        let running = periods
            .iter()
            .rposition(|p| p.start_period.saturating_mul(1000) <= elapsed);
        let following = periods
            .get(running.map_or(0, |index| index + 1))
            .map(|p| at(p.start_period));
        let until = [following, schedule.duration.map(at), again]
            .into_iter()
            .flatten()
            .min();
        (
            running.and_then(|index| periods.get(index)).and_then(power),
            until,
        )
    }
}
