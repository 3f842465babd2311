//! Cuts periods where a restriction begins or ceases to hold.

use gridlatch_vocab::Timestamp;
use rust_decimal::Decimal;
use time::{Time, UtcOffset};

use crate::error::TariffError;
use crate::input::{Activity, ChargingPeriodInput, MAX_MILLIS, MAX_PERIODS};
use crate::restriction::{MWH_PER_KWH, Rule};

/// Most pieces a session may fall into.
const MAX_PIECES: usize = 4 * MAX_PERIODS;

/// A stretch of a session on one side of every boundary.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) start: Timestamp,
    pub(crate) millis: i64,
    /// Milliwatt hours.
    pub(crate) imported: u64,
    /// Milliwatt hours.
    pub(crate) exported: u64,
    pub(crate) activity: Activity,
    /// Imported in the session before this piece.
    pub(crate) imported_before: u64,
    /// Since the session began.
    pub(crate) millis_before: i64,
}

impl Piece {
    /// Mean power in the direction of more energy; zero for a moment.
    pub(crate) fn mean_kilowatts(&self) -> Decimal {
        let energy = Decimal::from(self.imported.max(self.exported));
        // mWh per ms times 3,600,000 ms/h is mW; 1,000,000 mW make a kW.
        let power = energy
            .checked_mul(Decimal::new(36, 1))
            .and_then(|e| e.checked_div(self.millis.into()));
        power.unwrap_or_default()
    }
}

/// The pieces of a session, in order.
pub(crate) fn cut(
    periods: &[ChargingPeriodInput],
    rules: &[Rule],
    offset: UtcOffset,
) -> Result<Vec<Piece>, TariffError> {
    let first = periods.first().ok_or(TariffError::Empty)?;
    if periods.len() > MAX_PERIODS {
        return Err(TariffError::TooLarge(
            "there are more periods than a session can have",
        ));
    }
    let begin = first.start.unix_millis();
    let (mut pieces, mut imported_before, mut earliest) = (Vec::new(), 0u64, first.start);
    for period in periods {
        if period.start < earliest || period.end < period.start {
            return Err(TariffError::TimeRunsBackwards { at: period.start });
        }
        earliest = period.end;
        if period.millis() > MAX_MILLIS {
            return Err(TariffError::TooLarge("a period is longer than 31 days"));
        }
        let mut at = cut_times(period, rules, offset, begin);
        at.extend(cut_energies(period, rules, imported_before));
        at.sort_unstable();
        at.dedup();
        let whole = period.millis();
        let (mut from, mut done_in, mut done_out) = (0, 0, 0);
        for to in at.into_iter().chain([whole]) {
            let share = |amount: u64| part(amount, to, whole);
            // The last piece takes what is left, so nothing is lost or doubled.
            let (until_in, until_out) = (share(period.imported.0), share(period.exported.0));
            pieces.push(Piece {
                start: Timestamp::from_unix_millis(period.start.unix_millis() + from),
                millis: to - from,
                imported: until_in - done_in,
                exported: until_out - done_out,
                activity: period.activity,
                imported_before: imported_before.saturating_add(done_in),
                millis_before: period.start.unix_millis() - begin + from,
            });
            (from, done_in, done_out) = (to, until_in, until_out);
        }
        imported_before = imported_before
            .checked_add(period.imported.0)
            .ok_or(TariffError::OutOfRange)?;
        if pieces.len() > MAX_PIECES {
            return Err(TariffError::TooLarge("the session falls into too many pieces"));
        }
    }
    Ok(pieces)
}

/// `amount` x `millis` / `whole`, rounded down; all of it at the end (or when there is no duration).
fn part(amount: u64, millis: i64, whole: i64) -> u64 {
    if millis >= whole {
        return amount;
    }
    let share =
        u128::from(amount) * u128::try_from(millis).unwrap_or(0) / u128::try_from(whole).unwrap_or(1).max(1);
    u64::try_from(share).unwrap_or(amount)
}

/// Milliseconds after the period's begin, strictly inside it, at which a clock, a date or a duration matters.
fn cut_times(period: &ChargingPeriodInput, rules: &[Rule], offset: UtcOffset, begin: i64) -> Vec<i64> {
    let whole = period.millis();
    let since = period.start.unix_millis() - begin;
    let mut at = Vec::new();
    let mut times: Vec<Time> = Vec::new();
    for rule in rules {
        at.extend(
            [rule.min_millis, rule.max_millis]
                .into_iter()
                .flatten()
                .map(|limit| limit - since),
        );
        times.extend([rule.start_time, rule.end_time].into_iter().flatten());
        if rule.counts_days() {
            times.push(Time::MIDNIGHT);
        }
    }
    times.sort_unstable();
    times.dedup();
    const DAY: i64 = 86_400_000;
    let local = period.start.unix_millis() + i64::from(offset.whole_seconds()) * 1000;
    let midnight = -local.rem_euclid(DAY);
    for time in times {
        let (hour, minute, second) = time.as_hms();
        let of_day = (i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second)) * 1000;
        at.extend((0..=whole / DAY + 1).map(|day| midnight + day * DAY + of_day));
    }
    at.retain(|at| (1..whole).contains(at));
    at
}

/// Milliseconds at which the session's imported energy reaches a limit, at constant power.
fn cut_energies(period: &ChargingPeriodInput, rules: &[Rule], before: u64) -> Vec<i64> {
    let whole = u128::try_from(period.millis()).unwrap_or(0);
    let energy = u128::from(period.imported.0);
    let limits = rules
        .iter()
        .flat_map(|rule| [rule.min_energy, rule.max_energy])
        .flatten();
    limits
        .filter_map(|limit| limit.checked_sub(before).map(u128::from))
        .filter(|need| *need > 0 && *need < energy)
        // Rounded up: the piece after the cut has reached the limit.
        .filter_map(|need| i64::try_from((need * whole).div_ceil(energy)).ok())
        .filter(|at| (1..period.millis()).contains(at))
        .collect()
}

/// Kilowatt hours of a number of milliwatt hours.
pub(crate) fn kilowatt_hours(energy: u64) -> Decimal {
    Decimal::from(energy) / Decimal::from(MWH_PER_KWH)
}
