//! Ends that are known by their dates alone, counted instead of kept: the certificates of a CA's
//! database, revocation lists, OCSP answers, cross- and link certificates.
//!
//! A hundred thousand certificates become some hundred groups: what they are, who signed them, on which
//! day they end, and because of which certificate.

use std::collections::BTreeMap;

use gridlatch_vocab::catalogue::{pki, revocation, rollover};
use gridlatch_vocab::{Code, Timestamp};

/// Groups that are told apart; further ones are counted together.
pub const MAX_GROUPS: usize = 50_000;
/// Names kept of one group.
const NAMED: usize = 3;

/// What ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A certificate of this kind.
    Certificate(crate::profile::Kind),
    /// A certificate between PKIs or between an old root and a new one.
    CrossOrLink,
    /// A full revocation list.
    FullList,
    /// A revocation list that adds to a full one.
    DeltaList,
    /// An OCSP answer.
    Answer,
}

impl What {
    /// As people and programs are told.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Certificate(kind) => kind.slug(),
            Self::CrossOrLink => "cross-or-link",
            Self::FullList => "crl",
            Self::DeltaList => "delta-crl",
            Self::Answer => "ocsp-answer",
        }
    }
}

/// One thing that ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The first moment at which it is not believed any more.
    pub at: Timestamp,
    /// What it is.
    pub what: What,
    /// Who signed it.
    pub issuer: String,
    /// Which CA's certificate ends it; `None` where it is its own end.
    pub because: Option<String>,
    /// What people call it.
    pub name: String,
    /// From when on its publisher is late, for what is replaced again and again.
    pub late: Option<Timestamp>,
}

/// Things of one kind, of one issuer, that end on one day for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The first moment at which the first of them is not believed any more.
    pub at: Timestamp,
    /// What they are.
    pub what: What,
    /// Who signed them.
    pub issuer: String,
    /// Which CA's certificate ends them; `None` where each is its own end.
    pub because: Option<String>,
    /// How many.
    pub count: u64,
    /// Some of their names.
    pub names: Vec<String>,
    /// From when on their publisher is late.
    pub late: Option<Timestamp>,
}

impl Ending {
    /// `rollover.broken_now` or `rollover.break_ahead`.
    #[must_use]
    pub fn code(&self, now: Timestamp) -> Code {
        if self.at <= now {
            rollover::BROKEN_NOW
        } else {
            rollover::BREAK_AHEAD
        }
    }

    /// Why nobody will believe them.
    #[must_use]
    pub const fn cause(&self) -> Code {
        match self.what {
            What::Certificate(_) | What::CrossOrLink => pki::EXPIRED,
            What::FullList | What::DeltaList | What::Answer => revocation::STALE,
        }
    }

    /// Whether somebody has to act by `near`. What a publisher replaces again and again counts once that
    /// publisher is late, everything else once its end is near.
    #[must_use]
    pub fn counts(&self, now: Timestamp, near: Timestamp) -> bool {
        match self.late {
            Some(late) => self.at <= now || late <= now,
            None => self.at <= near,
        }
    }
}

type Key = (i64, What, String, Option<String>);

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    groups: BTreeMap<Key, Ending>,
    /// Things that found no group, and the first of their ends.
    rest: Option<(Timestamp, u64)>,
}

impl Ends {
    /// Counts one.
    pub fn add(&mut self, end: End) {
        const DAY: i64 = 86_400_000;
        let key = (
            end.at.unix_millis().div_euclid(DAY),
            end.what,
            end.issuer.clone(),
            end.because.clone(),
        );
        let full = self.groups.len() >= MAX_GROUPS;
        if full && !self.groups.contains_key(&key) {
            let (first, count) = self.rest.unwrap_or((end.at, 0));
            self.rest = Some((first.min(end.at), count + 1));
            return;
        }
        let group = self.groups.entry(key).or_insert_with(|| Ending {
            at: end.at,
            what: end.what,
            issuer: end.issuer,
            because: end.because,
            count: 0,
            names: Vec::new(),
            late: end.late,
        });
        group.at = group.at.min(end.at);
        group.late = group.late.min(end.late).or(group.late);
        group.count += 1;
        if group.names.len() < NAMED && !group.names.contains(&end.name) {
            group.names.push(end.name);
        }
    }

    /// Adds what somebody else counted.
    pub fn extend(&mut self, other: Self) {
        for (key, group) in other.groups {
            match self.groups.get_mut(&key) {
                Some(own) => {
                    own.at = own.at.min(group.at);
                    own.count += group.count;
                }
                None => {
                    self.groups.insert(key, group);
                }
            }
        }
        if let Some((at, more)) = other.rest {
            let (first, count) = self.rest.unwrap_or((at, 0));
            self.rest = Some((first.min(at), count + more));
        }
    }

    /// The groups that end up to `until`, earliest first.
    #[must_use]
    pub fn up_to(&self, until: Timestamp) -> Vec<&Ending> {
        let mut found: Vec<&Ending> = self.groups.values().filter(|group| group.at <= until).collect();
        found.sort_by(|one, other| {
            (one.at, one.what, &one.issuer).cmp(&(other.at, other.what, &other.issuer))
        });
        found
    }

    /// Things beyond [`MAX_GROUPS`] groups: the first of their ends, and how many.
    #[must_use]
    pub const fn rest(&self) -> Option<(Timestamp, u64)> {
        self.rest
    }

    /// How many things were counted.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.groups.values().map(|group| group.count).sum::<u64>() + self.rest.map_or(0, |(_, count)| count)
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Kind;

    fn end(day: i64, name: &str) -> End {
        End {
            at: Timestamp::from_unix_millis(day * 86_400_000 + 5),
            what: What::Certificate(Kind::SeccLeaf),
            issuer: "iso2/cpo-sub2".to_owned(),
            because: None,
            name: name.to_owned(),
            late: None,
        }
    }

    #[test]
    fn a_day_is_one_group_and_what_finds_none_is_counted_all_the_same() {
        let mut ends = Ends::default();
        for number in 0..1000 {
            ends.add(end(7, &format!("leaf {number}")));
        }
        let groups = ends.up_to(Timestamp::from_unix_millis(8_000_000_000_000));
        assert_eq!(groups.len(), 1);
        assert_eq!((groups[0].count, groups[0].names.len()), (1000, NAMED));
        let beyond = i64::try_from(MAX_GROUPS).unwrap() + 3;
        for day in 8..8 + beyond {
            ends.add(end(day, "x"));
        }
        assert_eq!(ends.len(), 1000 + u64::try_from(beyond).unwrap());
        let (first, count) = ends.rest().unwrap();
        assert_eq!(count, 4);
        assert_eq!(first, end(8 + beyond - 4, "x").at);
    }

    #[test]
    fn what_its_publisher_replaces_counts_only_when_that_is_late() {
        let mut ends = Ends::default();
        let (at, late) = (
            Timestamp::from_unix_millis(4_000),
            Timestamp::from_unix_millis(3_000),
        );
        ends.add(End {
            at,
            what: What::FullList,
            late: Some(late),
            ..end(0, "list")
        });
        let far = Timestamp::from_unix_millis(1_000_000);
        let group = ends.up_to(far)[0];
        assert!(!group.counts(Timestamp::from_unix_millis(2_999), far));
        assert!(group.counts(Timestamp::from_unix_millis(3_000), far));
        assert_eq!(group.code(at), rollover::BROKEN_NOW);
    }
}
