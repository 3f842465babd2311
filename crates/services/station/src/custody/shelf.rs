//! Which of several certificates of one use is shown, and how long an old one is kept.

use gridlatch_tls::Credential;
use gridlatch_trust::certificate;
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::pki;

use super::CustodyError;

/// How long an old certificate is kept beside the new one, in hours.
pub const CROSSOVER: i64 = 48;

/// One certificate with its key.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) credential: Credential,
    /// When it was installed; `None` for what the station was delivered with.
    pub(super) installed: Option<Timestamp>,
    pub(super) fingerprint: String,
    /// The issuer's name: two certificates of one use and one issuer replace each other.
    issuer: String,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Held {
    pub(super) fn new(credential: Credential, installed: Option<Timestamp>) -> Result<Self, CustodyError> {
        let leaf = credential
            .chain
            .first()
            .ok_or_else(|| CustodyError::new(pki::MALFORMED, "a credential without a certificate"))?;
        let summary = certificate::summary(leaf)
            .map_err(|error| CustodyError::new(pki::MALFORMED, error.to_string()))?;
        Ok(Self {
            credential,
            installed,
            fingerprint: summary.fingerprint,
            issuer: summary.issuer_cn,
            not_before: summary.not_before,
            not_after: summary.not_after,
        })
    }

    fn valid(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }
}

/// The certificates of one use.
#[derive(Debug, Clone, Default)]
pub(super) struct Shelf(Vec<Held>);

impl Shelf {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn remove(&mut self, fingerprint: &str) {
        self.0.retain(|held| held.fingerprint != fingerprint);
    }

    pub(super) fn add(&mut self, held: Held) {
        self.0.retain(|other| other.fingerprint != held.fingerprint);
        self.0.push(held);
    }

    /// Those valid now, the latest installed first; the others of the same use after them, so that a
    /// peer with a wrong clock is still answered. One issuer appears with its preferred one first.
    pub(super) fn serving(&self, now: Timestamp) -> Vec<Credential> {
        let mut order: Vec<&Held> = self.0.iter().filter(|held| held.not_after >= now).collect();
        order.sort_by_key(|held| {
            (
                !held.valid(now),
                core::cmp::Reverse(held.installed.unwrap_or_else(|| Timestamp::from_unix_millis(0))),
                core::cmp::Reverse(held.not_before),
            )
        });
        order.into_iter().map(|held| held.credential.clone()).collect()
    }

    /// Drops what expired and what was superseded [`CROSSOVER`] ago; returns the fingerprints.
    pub(super) fn tidy(&mut self, now: Timestamp) -> Vec<String> {
        let over = |newer: &Held, older: &Held| {
            newer.issuer == older.issuer
                && newer.fingerprint != older.fingerprint
                && newer.installed > older.installed
                && newer.valid(now)
                && newer.installed.is_some_and(|at| {
                    let began = at.max(newer.not_before);
                    now.0 - began.0 >= time::Duration::hours(CROSSOVER)
                })
        };
        let gone: Vec<String> = self
            .0
            .iter()
            .filter(|held| {
                // An expired one stays while it is the last: the peer then says what is wrong with it.
                let expired = held.not_after < now && self.0.iter().any(|other| other.valid(now));
                expired || self.0.iter().any(|newer| over(newer, held))
            })
            .map(|held| held.fingerprint.clone())
            .collect();
        self.0.retain(|held| !gone.contains(&held.fingerprint));
        gone
    }

    /// Whether for some issuer the newest certificate is in the last third of its life.
    pub(super) fn renewal_due(&self, now: Timestamp) -> bool {
        self.0.iter().any(|held| {
            let life = held.not_after.0 - held.not_before.0;
            let late = held.not_after.0 - now.0 < life / 3;
            late && !self
                .0
                .iter()
                .any(|other| other.issuer == held.issuer && other.not_after > held.not_after)
        })
    }
}
