//! When a certificate is renewed, and which of several that overlap is shown: renewal ahead of its end,
//! and a crossover of two days in which both are valid and both are held.
//!
//! The old one is preferred while the new one settles: a vehicle whose clock is a day behind still finds
//! a valid certificate, and a next certificate that proves unfit is found out while the old one serves.

use gridlatch_vocab::Timestamp;
use time::Duration;

/// How long two certificates overlap before the new one is preferred.
pub const OVERLAP: Duration = Duration::hours(48);

/// A certificate's validity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Life {
    /// Its first moment.
    pub not_before: Timestamp,
    /// Its last moment.
    pub not_after: Timestamp,
}

impl Life {
    /// Whether it is valid at `now`.
    #[must_use]
    pub fn covers(self, now: Timestamp) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// When it is preferred over the one before it.
    #[must_use]
    pub fn settled_at(self) -> Timestamp {
        Timestamp(self.not_before.0.saturating_add(OVERLAP))
    }

    /// From when on it should be renewed: after two thirds of its life, and at least [`OVERLAP`] before
    /// its end where its life allows that.
    #[must_use]
    pub fn renew_from(self) -> Timestamp {
        let life = self.not_after.0 - self.not_before.0;
        let thirds = self.not_before.0.saturating_add(life * 2 / 3);
        let latest = self.not_after.0.saturating_sub(OVERLAP);
        Timestamp(thirds.min(latest).max(self.not_before.0))
    }
}

/// What to do about the newest certificate that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing before this time.
    Not(Timestamp),
    /// Renew it now; two certificates can still overlap as they should.
    Now,
    /// Renew it at once: less than [`OVERLAP`] is left, or nothing at all.
    Late,
}

/// What to do about `life` at `now`.
#[must_use]
pub fn due(life: Life, now: Timestamp) -> Due {
    if now < life.renew_from() {
        Due::Not(life.renew_from())
    } else if life.not_after.0 - now.0 >= OVERLAP {
        Due::Now
    } else {
        Due::Late
    }
}

/// The certificates to hold ready at `now`, the one to show first: exactly those that are valid. Of
/// those that have settled the newest comes first; while none has, the one that began first.
#[must_use]
pub fn served(lives: &[Life], now: Timestamp) -> Vec<usize> {
    let mut valid: Vec<(usize, Life)> = lives
        .iter()
        .copied()
        .enumerate()
        .filter(|(_, life)| life.covers(now))
        .collect();
    valid.sort_by(|(_, one), (_, other)| {
        let settled = |life: &Life| life.settled_at() <= now;
        match (settled(one), settled(other)) {
            (true, true) => other.not_before.cmp(&one.not_before),
            (true, false) => core::cmp::Ordering::Less,
            (false, true) => core::cmp::Ordering::Greater,
            (false, false) => one.not_before.cmp(&other.not_before),
        }
    });
    valid.into_iter().map(|(index, _)| index).collect()
}

/// When the answer of [`served`] changes next, `None` if never.
#[must_use]
pub fn next_change(lives: &[Life], now: Timestamp) -> Option<Timestamp> {
    lives
        .iter()
        .flat_map(|life| {
            [
                life.not_before,
                life.settled_at(),
                Timestamp(life.not_after.0.saturating_add(Duration::MILLISECOND)),
            ]
        })
        .filter(|at| *at > now)
        .min()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_795_219_200_000 + hours * 3_600_000)
    }

    fn life(from: i64, to: i64) -> Life {
        Life {
            not_before: at(from),
            not_after: at(to),
        }
    }

    #[test]
    fn a_station_certificate_of_ninety_days_is_renewed_after_sixty_and_crosses_over_in_two() {
        let old = life(0, 90 * 24);
        assert_eq!(due(old, at(59 * 24)), Due::Not(at(60 * 24)));
        assert_eq!(due(old, at(60 * 24)), Due::Now);
        assert_eq!(due(old, at(89 * 24)), Due::Late);
        assert_eq!(due(old, at(91 * 24)), Due::Late);
        let both = [old, life(60 * 24, 150 * 24)];
        assert_eq!(
            served(&both, at(60 * 24 + 1)),
            [0, 1],
            "the new one is held, the old one shown"
        );
        assert_eq!(
            served(&both, at(62 * 24)),
            [1, 0],
            "two days later the other way round"
        );
        assert_eq!(served(&both, at(100 * 24)), [1]);
        assert_eq!(next_change(&both, at(60 * 24 + 1)), Some(at(62 * 24)));
    }

    proptest! {
        #[test]
        fn what_is_served_is_valid_and_nothing_valid_is_left_out(
            lives in proptest::collection::vec((0_i64..2000, 1_i64..2000), 0..6), now in -10_i64..4000,
        ) {
            let lives: Vec<Life> = lives.iter().map(|(from, length)| life(*from, from + length)).collect();
            let order = served(&lives, at(now));
            prop_assert!(order.iter().all(|index| lives[*index].covers(at(now))));
            prop_assert_eq!(order.len(), lives.iter().filter(|life| life.covers(at(now))).count());
            // The one shown is unsettled only if no settled one is valid.
            if let Some(first) = order.first().filter(|first| lives[**first].settled_at() > at(now)) {
                prop_assert!(order.iter().all(|index| lives[*index].settled_at() > at(now)), "{first}");
            }
            // Nothing changes between two changes.
            if let Some(next) = next_change(&lives, at(now)) {
                let just_before = Timestamp(next.0 - Duration::MILLISECOND);
                if just_before >= at(now) {
                    prop_assert_eq!(served(&lives, just_before), order);
                }
            }
        }

        #[test]
        fn renewing_when_due_never_leaves_a_gap(length in 150_i64..5000, steps in 1_usize..8) {
            // Each next certificate begins when the last one asks for renewal.
            let mut lives = vec![life(0, length)];
            for _ in 0..steps {
                let last = lives[lives.len() - 1];
                let from = last.renew_from();
                prop_assert_eq!(due(last, from), Due::Now);
                lives.push(Life { not_before: from, not_after: Timestamp(from.0 + Duration::hours(length)) });
            }
            let end = lives[lives.len() - 1].not_after;
            let mut now = at(0);
            while now <= end {
                prop_assert!(!served(&lives, now).is_empty(), "nothing to show at {}", now);
                now = Timestamp(now.0 + Duration::hours(7));
            }
            // Both are held for two days at least around every change.
            for pair in lives.windows(2) {
                prop_assert!(pair[0].not_after.0 - pair[1].not_before.0 >= OVERLAP);
            }
        }
    }
}
