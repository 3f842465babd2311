//! Restrictions, parsed once, and whether they hold for a piece of a session.

use rust_decimal::Decimal;
use time::{Date, Month, Time, UtcOffset, Weekday};

use crate::cut::Piece;
use crate::error::TariffError;
use crate::tariff::{DayOfWeek, Restrictions, Tariff};

/// Milliwatt hours per kWh.
pub(crate) const MWH_PER_KWH: u32 = 1_000_000;

/// The restrictions of one element in comparable form.
#[derive(Debug, Default)]
pub(crate) struct Rule {
    pub(crate) start_time: Option<Time>,
    pub(crate) end_time: Option<Time>,
    start_date: Option<Date>,
    end_date: Option<Date>,
    pub(crate) min_energy: Option<u64>,
    pub(crate) max_energy: Option<u64>,
    min_power: Option<Decimal>,
    max_power: Option<Decimal>,
    pub(crate) min_millis: Option<i64>,
    pub(crate) max_millis: Option<i64>,
    days: Vec<Weekday>,
    never: bool,
}

impl Rule {
    pub(crate) fn parse(tariff: &Tariff, restrictions: &Restrictions) -> Result<Self, TariffError> {
        let bad = |problem| TariffError::Tariff {
            tariff: tariff.id.clone(),
            problem,
        };
        let clock = |text: &Option<String>| {
            text.as_deref()
                .map(|text| parse_time(text).ok_or_else(|| bad("has a time that is not HH:MM")))
                .transpose()
        };
        let date = |text: &Option<String>| {
            let parse = |text| parse_date(text).ok_or_else(|| bad("has a date that is not YYYY-MM-DD"));
            text.as_deref().map(parse).transpose()
        };
        let energy = |kwh: Option<Decimal>| {
            let exact = |kwh: Decimal| {
                let whole = kwh.checked_mul(MWH_PER_KWH.into()).map(|mwh| mwh.normalize());
                whole
                    .filter(Decimal::is_integer)
                    .and_then(|mwh| u64::try_from(mwh).ok())
            };
            kwh.map(|kwh| exact(kwh).ok_or_else(|| bad("has an energy limit that is not one")))
                .transpose()
        };
        if restrictions.min_current.is_some() || restrictions.max_current.is_some() {
            return Err(bad("is restricted by current, which is not metered here"));
        }
        Ok(Self {
            start_time: clock(&restrictions.start_time)?,
            end_time: clock(&restrictions.end_time)?,
            start_date: date(&restrictions.start_date)?,
            end_date: date(&restrictions.end_date)?,
            min_energy: energy(restrictions.min_kwh)?,
            max_energy: energy(restrictions.max_kwh)?,
            min_power: restrictions.min_power,
            max_power: restrictions.max_power,
            min_millis: restrictions.min_duration.map(|s| i64::from(s) * 1000),
            max_millis: restrictions.max_duration.map(|s| i64::from(s) * 1000),
            days: restrictions.day_of_week.iter().map(|day| weekday(*day)).collect(),
            never: restrictions.reservation.is_some(),
        })
    }

    /// Whether anything in it changes at midnight.
    pub(crate) fn counts_days(&self) -> bool {
        !self.days.is_empty() || self.start_date.is_some() || self.end_date.is_some()
    }

    /// Whether it holds for a piece, which lies on one side of every boundary of this rule.
    pub(crate) fn holds(&self, piece: &Piece, offset: UtcOffset) -> bool {
        let local = piece.start.0.to_offset(offset);
        let (date, clock) = (local.date(), local.time());
        let in_hours = match (self.start_time, self.end_time) {
            (None, None) => true,
            (Some(start), None) => clock >= start,
            (None, Some(end)) => clock < end,
            (Some(start), Some(end)) if start < end => clock >= start && clock < end,
            (Some(start), Some(end)) => clock >= start || clock < end,
        };
        let power = piece.mean_kilowatts();
        !self.never
            && in_hours
            && self.start_date.is_none_or(|start| date >= start)
            && self.end_date.is_none_or(|end| date < end)
            && (self.days.is_empty() || self.days.contains(&date.weekday()))
            && self.min_energy.is_none_or(|min| piece.imported_before >= min)
            && self.max_energy.is_none_or(|max| piece.imported_before < max)
            && self.min_millis.is_none_or(|min| piece.millis_before >= min)
            && self.max_millis.is_none_or(|max| piece.millis_before < max)
            && self.min_power.is_none_or(|min| power >= min)
            && self.max_power.is_none_or(|max| power < max)
    }
}

fn parse_time(text: &str) -> Option<Time> {
    let (hours, minutes) = text.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    Time::from_hms(hours.parse().ok()?, minutes.parse().ok()?, 0).ok()
}

fn parse_date(text: &str) -> Option<Date> {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
    Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()
}

const fn weekday(day: DayOfWeek) -> Weekday {
    match day {
        DayOfWeek::Monday => Weekday::Monday,
        DayOfWeek::Tuesday => Weekday::Tuesday,
        DayOfWeek::Wednesday => Weekday::Wednesday,
        DayOfWeek::Thursday => Weekday::Thursday,
        DayOfWeek::Friday => Weekday::Friday,
        DayOfWeek::Saturday => Weekday::Saturday,
        DayOfWeek::Sunday => Weekday::Sunday,
    }
}
