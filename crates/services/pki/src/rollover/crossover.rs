//! A station's certificates while one replaces another: both are held and served for two days, the swap
//! is one step that no running session notices, and a set that vehicles would refuse is refused here
//! first.

use std::collections::BTreeSet;

use gridlatch_keys::{KeyAlgorithm, OpensslVerifier};
use gridlatch_tls::Credential;
use gridlatch_trust::profile::Kind;
use gridlatch_trust::renewal::{Life, served};
use gridlatch_trust::verdict::check_with;
use gridlatch_trust::{Generation, Profile, certificate};
use gridlatch_vocab::catalogue::rollover;
use gridlatch_vocab::{Event, Timestamp};

/// Swaps the credentials of a listener.
pub type Swap<'a> = dyn Fn(&[Credential]) -> Result<(), String> + 'a;

/// The credentials one station serves, over time.
#[derive(Debug)]
pub struct Crossover {
    /// V2G roots, for judging a new chain as vehicles will.
    roots: Vec<Vec<u8>>,
    /// The leaves in use, in the order they are preferred.
    current: Vec<Vec<u8>>,
    /// The last refusal, so that it is said once.
    refused: Option<String>,
}

impl Crossover {
    /// A station that serves `current` and whose chains lead to `roots` (DER).
    #[must_use]
    pub fn new(roots: Vec<Vec<u8>>, current: &[Credential]) -> Self {
        Self {
            roots,
            current: leaves(current),
            refused: None,
        }
    }

    /// Looks at what is `held` now and swaps if something else should be served: says what was done, or
    /// why not. Nothing to do is `None`.
    ///
    /// A certificate that is new to the listener is judged as a vehicle will judge it. If it, or the swap
    /// itself, is refused, everything stays as it is.
    pub fn turn(&mut self, held: &[Credential], now: Timestamp, swap: &Swap<'_>) -> Option<Event> {
        let wanted = order(held, now);
        if leaves(&wanted) == self.current {
            self.refused = None;
            return None;
        }
        let done = self.judged(&wanted, now).and_then(|()| swap(&wanted));
        match done {
            Ok(()) => {
                self.current = leaves(&wanted);
                self.refused = None;
                let labels: Vec<&str> = wanted.iter().map(|one| one.label.as_str()).collect();
                Some(Event::new(
                    now,
                    rollover::CREDENTIALS_SWAPPED,
                    "station",
                    format!("serves {}; sessions that run keep theirs", labels.join(", ")),
                ))
            }
            Err(why) if self.refused.as_ref() == Some(&why) => None,
            Err(why) => {
                self.refused = Some(why.clone());
                Some(Event::new(
                    now,
                    rollover::SWAP_REFUSED,
                    "station",
                    format!("{why}; the certificates in use stay"),
                ))
            }
        }
    }

    fn judged(&self, wanted: &[Credential], now: Timestamp) -> Result<(), String> {
        for one in wanted {
            let Some(leaf) = one.chain.first() else {
                return Err(format!("{:?} has no certificate", one.label));
            };
            if self.current.contains(leaf) {
                continue;
            }
            let profile = Profile {
                kind: Kind::SeccLeaf,
                generation: generation(one.key.algorithm()),
            };
            if certificate::public_key_der(leaf).ok().as_deref() != Some(one.key.public_key_der()) {
                return Err(format!(
                    "the key of {:?} does not belong to its certificate",
                    one.label
                ));
            }
            check_with(&one.chain, &self.roots, profile, now, &OpensslVerifier)
                .map_err(|rejected| format!("{:?}: {rejected} ({})", one.label, rejected.code))?;
        }
        // A vehicle of an edition that was served yesterday must not find nothing today.
        let kinds = |leaves: &[Vec<u8>]| -> BTreeSet<&'static str> {
            leaves
                .iter()
                .filter_map(|leaf| certificate::summary(leaf).ok()?.key)
                .map(KeyAlgorithm::as_str)
                .collect()
        };
        match kinds(&self.current).difference(&kinds(&leaves(wanted))).next() {
            Some(lost) => Err(format!("no certificate with a {lost} key would be left")),
            None => Ok(()),
        }
    }
}

/// Those that are valid, by key type in the order given, and among equals as
/// [`gridlatch_trust::renewal::served`] prefers them. A certificate that nobody can read stays in, to be
/// refused by name.
fn order(held: &[Credential], now: Timestamp) -> Vec<Credential> {
    let mut kinds: Vec<KeyAlgorithm> = Vec::new();
    for one in held {
        if !kinds.contains(&one.key.algorithm()) {
            kinds.push(one.key.algorithm());
        }
    }
    let mut ordered = Vec::new();
    for kind in kinds {
        let (readable, unreadable): (Vec<_>, Vec<_>) = held
            .iter()
            .filter(|one| one.key.algorithm() == kind)
            .map(|one| (one, life(one)))
            .partition(|(_, life)| life.is_some());
        let lives: Vec<Life> = readable.iter().filter_map(|(_, life)| *life).collect();
        ordered.extend(
            served(&lives, now)
                .into_iter()
                .filter_map(|index| readable.get(index).map(|(one, _)| (*one).clone())),
        );
        ordered.extend(unreadable.into_iter().map(|(one, _)| one.clone()));
    }
    ordered
}

fn life(credential: &Credential) -> Option<Life> {
    let summary = certificate::summary(credential.chain.first()?).ok()?;
    Some(Life {
        not_before: summary.not_before,
        not_after: summary.not_after,
    })
}

const fn generation(algorithm: KeyAlgorithm) -> Generation {
    match algorithm {
        KeyAlgorithm::P256 => Generation::Iso2,
        KeyAlgorithm::P521 | KeyAlgorithm::Ed448 => Generation::Iso20,
    }
}

fn leaves(credentials: &[Credential]) -> Vec<Vec<u8>> {
    credentials
        .iter()
        .filter_map(|one| one.chain.first().cloned())
        .collect()
}
