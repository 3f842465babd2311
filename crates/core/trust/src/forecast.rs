//! What breaks on which date if nothing is done: every chain that a holder shows, judged as each of
//! its counterparts will judge it, at each date on which a certificate begins or ends.
//!
//! The verdict is [`crate::verdict`]'s, with the date as an argument: what is foretold is what would
//! happen, missing roots and unfit certificates included. Signatures are checked once.

pub mod ends;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use gridlatch_vocab::catalogue::rollover;
use gridlatch_vocab::{Code, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::build::timestamp;
use crate::profile::Kind;
use crate::verdict::{Rejected, check_with};
use crate::{Generation, KeyAlgorithm, Profile, Verify, certificate};

/// Holders in one inventory.
pub const MAX_HOLDERS: usize = 20_000;
/// Chains or anchors of one holder.
pub const MAX_HELD: usize = 256;
/// Dates looked at for one chain at one counterpart.
const MAX_DATES: usize = 64;

/// What a holder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A charging station.
    Station,
    /// A vehicle.
    Vehicle,
    /// A platform or another back end.
    BackEnd,
}

impl Role {
    /// As an inventory writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Station => "station",
            Self::Vehicle => "vehicle",
            Self::BackEnd => "back-end",
        }
    }
}

/// A chain that a holder shows to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What it is shown as.
    pub profile: Profile,
    /// DER, leaf first, without the root.
    pub chain: Vec<Vec<u8>>,
}

/// One station, vehicle or back end, with what it really holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// A name for reports; unique in the inventory.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// What it shows to others; several of one profile may overlap.
    pub shows: Vec<Held>,
    /// The roots it trusts, in DER, by the kind of root.
    pub trusts: BTreeMap<Kind, Vec<Vec<u8>>>,
}

/// Whose trust store, for which kind of root, and the fingerprints of what is in it.
type Store = (Role, Kind, Vec<[u8; 32]>);

/// Something that stops working.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// From when on; the time of the forecast for what is broken already.
    pub at: Timestamp,
    /// `rollover.broken_now` or `rollover.break_ahead`.
    pub code: Code,
    /// Why the verdict will be no.
    pub cause: Code,
    /// One sentence: which certificate, why.
    pub message: String,
    /// What the chains are shown as.
    pub profile: Profile,
    /// The CA whose certificate is at fault; `None` for the holders' own.
    pub ca: Option<String>,
    /// Who shows the chains.
    pub shown_by: BTreeSet<String>,
    /// Who of the inventory will refuse them; empty where nobody in it judges such chains, and their own
    /// dates speak.
    pub refused_by: BTreeSet<String>,
    /// What to do about it.
    pub remedy: &'static str,
}

/// A trust store that differs from those of most of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// Whose.
    pub holder: String,
    /// Which kind of root.
    pub kind: Kind,
    /// Roots that more than half of the holders of this role have and this one lacks.
    pub missing: Vec<String>,
    /// Roots that this one has and at most half of them have.
    pub extra: Vec<String>,
}

/// Foretells what breaks from `now` up to `until`, earliest first.
#[must_use]
pub fn breaks(holders: &[Holder], now: Timestamp, until: Timestamp, verifier: &dyn Verify) -> Vec<Break> {
    let once = Once {
        inner: verifier,
        known: RefCell::default(),
    };
    // Holders with equal trust stores judge alike: each distinct store judges once.
    let mut stores: BTreeMap<Store, Vec<&Holder>> = BTreeMap::new();
    for holder in holders.iter().take(MAX_HOLDERS) {
        for (kind, roots) in &holder.trusts {
            let mut prints: Vec<[u8; 32]> = roots.iter().take(MAX_HELD).map(|root| print(root)).collect();
            prints.sort_unstable();
            prints.dedup();
            stores
                .entry((holder.role, *kind, prints))
                .or_default()
                .push(holder);
        }
    }
    let mut found: BTreeMap<(Timestamp, Profile, String), Break> = BTreeMap::new();
    for shower in holders.iter().take(MAX_HOLDERS) {
        let profiles: BTreeSet<Profile> = shower.shows.iter().map(|held| held.profile).collect();
        for profile in profiles {
            let chains: Vec<&[Vec<u8>]> = shower
                .shows
                .iter()
                .take(MAX_HELD)
                .filter(|held| held.profile == profile)
                .map(|held| held.chain.as_slice())
                .collect();
            let mut judged = false;
            for ((role, kind, _), judges) in &stores {
                if !judges_of(profile.kind).contains(&(*role, *kind)) {
                    continue;
                }
                let Some(roots) = judges.first().and_then(|judge| judge.trusts.get(kind)) else {
                    continue;
                };
                // Who has no root of this edition at all does not speak it.
                if !roots.iter().any(|root| speaks(root, profile)) {
                    continue;
                }
                judged = true;
                let Some((at, rejected)) = first_no(&chains, roots, profile, (now, until), &once) else {
                    continue;
                };
                let entry = found
                    .entry((at, profile, rejected.message.clone()))
                    .or_insert_with(|| broken(at, now, profile, &rejected));
                entry.shown_by.insert(shower.name.clone());
                entry
                    .refused_by
                    .extend(judges.iter().map(|judge| judge.name.clone()));
            }
            // Nobody in the inventory judges it: its own dates hold for everybody who will.
            if !judged && let Some((at, rejected)) = own_dates(&chains, profile, (now, until), &once) {
                found
                    .entry((at, profile, rejected.message.clone()))
                    .or_insert_with(|| broken(at, now, profile, &rejected))
                    .shown_by
                    .insert(shower.name.clone());
            }
        }
    }
    found.into_values().collect()
}

/// Trust stores that differ from those of most of their kind.
#[must_use]
pub fn drift(holders: &[Holder]) -> Vec<Drift> {
    let mut kinds: BTreeMap<(Role, Kind), Vec<&Holder>> = BTreeMap::new();
    for holder in holders.iter().take(MAX_HOLDERS) {
        for kind in holder.trusts.keys() {
            kinds.entry((holder.role, *kind)).or_default().push(holder);
        }
    }
    let mut drifts = Vec::new();
    for ((_, kind), group) in kinds {
        let of = |holder: &Holder| -> BTreeSet<Vec<u8>> {
            holder
                .trusts
                .get(&kind)
                .into_iter()
                .flatten()
                .take(MAX_HELD)
                .cloned()
                .collect()
        };
        let mut count: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for root in group.iter().flat_map(|holder| of(holder)) {
            *count.entry(root).or_default() += 1;
        }
        let usual: BTreeSet<Vec<u8>> = count
            .into_iter()
            .filter(|(_, count)| *count * 2 > group.len())
            .map(|(root, _)| root)
            .collect();
        for holder in group {
            let own = of(holder);
            let missing: Vec<String> = usual.difference(&own).map(|root| called(root)).collect();
            let extra: Vec<String> = own.difference(&usual).map(|root| called(root)).collect();
            if !missing.is_empty() || !extra.is_empty() {
                drifts.push(Drift {
                    holder: holder.name.clone(),
                    kind,
                    missing,
                    extra,
                });
            }
        }
    }
    drifts
}

/// Who judges a leaf of this kind, and by which roots. ISO 15118 lets an MO's and an OEM's sub-CA stand
/// below the V2G root; who trusts it for that lists it under the kind it is trusted for.
#[must_use]
pub const fn judges_of(kind: Kind) -> &'static [(Role, Kind)] {
    match kind {
        Kind::SeccLeaf | Kind::CpsLeaf => &[(Role::Vehicle, Kind::V2gRoot)],
        Kind::VehicleLeaf => &[(Role::Station, Kind::OemRoot)],
        Kind::OemProvisioning => &[(Role::BackEnd, Kind::OemRoot)],
        // Of a contract a back end may keep the CAs alone: the leaf names a person.
        Kind::ContractLeaf | Kind::MoSub2 => &[(Role::Station, Kind::MoRoot), (Role::BackEnd, Kind::MoRoot)],
        Kind::StationClient => &[(Role::BackEnd, Kind::CsmsRoot)],
        Kind::CsmsServer => &[(Role::Station, Kind::CsmsRoot)],
        _ => &[],
    }
}

fn broken(at: Timestamp, now: Timestamp, profile: Profile, rejected: &Rejected) -> Break {
    Break {
        at,
        code: if at == now {
            rollover::BROKEN_NOW
        } else {
            rollover::BREAK_AHEAD
        },
        cause: rejected.code,
        message: rejected.message.clone(),
        profile,
        ca: rejected.failing.clone(),
        shown_by: BTreeSet::new(),
        refused_by: BTreeSet::new(),
        remedy: rejected.remedy,
    }
}

/// As [`first_no`] by somebody who trusts the topmost certificate of each chain.
fn own_dates(
    chains: &[&[Vec<u8>]],
    profile: Profile,
    span: (Timestamp, Timestamp),
    verifier: &dyn Verify,
) -> Option<(Timestamp, Rejected)> {
    judges_of(profile.kind).first()?;
    let (below, tops): (Vec<&[Vec<u8>]>, Vec<Vec<u8>>) = chains
        .iter()
        .filter_map(|chain| chain.split_last())
        .map(|(top, below)| (below, top.clone()))
        .filter(|(below, _)| !below.is_empty())
        .unzip();
    first_no(&below, &tops, profile, span, verifier)
}

/// The first time from `now` on at which none of the chains is accepted, and why the best was not.
fn first_no(
    chains: &[&[Vec<u8>]],
    roots: &[Vec<u8>],
    profile: Profile,
    (now, until): (Timestamp, Timestamp),
    verifier: &dyn Verify,
) -> Option<(Timestamp, Rejected)> {
    // A verdict changes only where a certificate begins or has ended: the second after its end.
    let mut dates = BTreeSet::from([now]);
    for der in chains.iter().flat_map(|chain| chain.iter()).chain(roots) {
        if let Ok(parsed) = certificate::parse(der) {
            let validity = &parsed.tbs_certificate.validity;
            dates.insert(timestamp(&validity.not_before));
            dates.insert(Timestamp(
                timestamp(&validity.not_after)
                    .0
                    .saturating_add(time::Duration::SECOND),
            ));
        }
    }
    dates
        .into_iter()
        .filter(|date| (now..=until).contains(date))
        .take(MAX_DATES)
        .find_map(|date| no_at(chains, roots, profile, date, verifier).map(|rejected| (date, rejected)))
}

/// Why none of the chains is accepted at `date`: of the reasons, that of the chain that lasts longest.
fn no_at(
    chains: &[&[Vec<u8>]],
    roots: &[Vec<u8>],
    profile: Profile,
    date: Timestamp,
    verifier: &dyn Verify,
) -> Option<Rejected> {
    let mut best: Option<(Option<Timestamp>, Rejected)> = None;
    for chain in chains {
        match check_with(chain, roots, profile, date, verifier) {
            Ok(_) => return None,
            Err(rejected) => {
                let ends = chain
                    .first()
                    .and_then(|leaf| certificate::parse(leaf).ok())
                    .map(|leaf| timestamp(&leaf.tbs_certificate.validity.not_after));
                if best.as_ref().is_none_or(|(last, _)| ends > *last) {
                    best = Some((ends, rejected));
                }
            }
        }
    }
    best.map(|(_, rejected)| rejected)
}

/// Whether a root's key is of the profile's edition.
fn speaks(root: &[u8], profile: Profile) -> bool {
    certificate::parse(root).is_ok_and(|root| {
        certificate::key_algorithm(&root.tbs_certificate.subject_public_key_info)
            .is_some_and(|algorithm| profile.algorithms().contains(&algorithm))
    })
}

fn print(der: &[u8]) -> [u8; 32] {
    Sha256::digest(der).into()
}

fn called(der: &[u8]) -> String {
    certificate::summary(der).map_or_else(
        |_| "(unreadable)".to_owned(),
        |summary| {
            format!(
                "{} ({})",
                summary.subject_cn,
                summary.fingerprint.get(..8).unwrap_or_default()
            )
        },
    )
}

/// Remembers each signature's answer: dates change, signatures do not.
struct Once<'a> {
    inner: &'a dyn Verify,
    known: RefCell<BTreeMap<[u8; 32], Option<bool>>>,
}

impl Verify for Once<'_> {
    fn verify(&self, algorithm: KeyAlgorithm, spki: &[u8], message: &[u8], signature: &[u8]) -> Option<bool> {
        let key: [u8; 32] = Sha256::new()
            .chain_update([algorithm as u8])
            .chain_update(Sha256::digest(spki))
            .chain_update(Sha256::digest(message))
            .chain_update(signature)
            .finalize()
            .into();
        if let Some(known) = self.known.borrow().get(&key) {
            return *known;
        }
        let answer = self.inner.verify(algorithm, spki, message, signature);
        self.known.borrow_mut().insert(key, answer);
        answer
    }
}

/// The words an inventory uses for a generation.
#[must_use]
pub const fn edition(generation: Generation) -> &'static str {
    match generation {
        Generation::Iso2 => "iso2",
        Generation::Iso20 => "iso20",
    }
}
