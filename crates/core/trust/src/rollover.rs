//! A root's rollover as a plan of five stages, and what stands in the way of the next one.
//!
//! Publish the new root; link it to the old one; distribute it; switch issuance to it; retire the old
//! one. A stage is done when its condition holds for every holder of the inventory that is not exempt,
//! not when somebody says so.

use std::collections::{BTreeMap, BTreeSet};

use der::Encode as _;
use gridlatch_vocab::Timestamp;

use crate::forecast::{self, Holder, judges_of};
use crate::profile::Kind;
use crate::verdict::check_with;
use crate::{KeyAlgorithm, Verify, certificate, trust_list};

/// The stages, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The new root exists, is sound, and outlasts the old one.
    Publish,
    /// Link certificates both ways, and the sub-CAs of the old root certified under the new one.
    CrossLink,
    /// Everybody who trusts the old root trusts the new one too.
    Distribute,
    /// Everybody who shows a chain to the old root has one to the new root.
    Switch,
    /// The old root is out of every trust store, and nobody misses it.
    Retire,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Publish,
        Self::CrossLink,
        Self::Distribute,
        Self::Switch,
        Self::Retire,
    ];

    /// As a plan writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::CrossLink => "cross-link",
            Self::Distribute => "distribute",
            Self::Switch => "switch",
            Self::Retire => "retire",
        }
    }
}

/// A rollover under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Which kind of root.
    pub kind: Kind,
    /// The root that goes (DER).
    pub old: Vec<u8>,
    /// The root that comes (DER).
    pub new: Vec<u8>,
    /// When each stage may be completed at the earliest.
    pub dates: BTreeMap<Stage, Timestamp>,
    /// When each was completed.
    pub done: BTreeMap<Stage, Timestamp>,
    /// The old root's key under the new root, and the new root's under the old (DER).
    pub links: Vec<Vec<u8>>,
    /// Sub-CAs of the old root, certified under the new one (DER).
    pub recertified: Vec<Vec<u8>>,
    /// Holders that are left behind on purpose, by name.
    pub exempt: BTreeSet<String>,
}

/// Why a stage is not complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// Who stands in the way; `None` where nobody in particular does.
    pub holder: Option<String>,
    /// Why, in one sentence.
    pub reason: String,
}

impl Plan {
    /// The first stage that is not done; `None` when the rollover is over.
    #[must_use]
    pub fn next(&self) -> Option<Stage> {
        Stage::ALL
            .into_iter()
            .find(|stage| !self.done.contains_key(stage))
    }

    /// What stands in the way of completing the next stage; empty if nothing does.
    #[must_use]
    pub fn blockers(&self, holders: &[Holder], now: Timestamp, verifier: &dyn Verify) -> Vec<Blocker> {
        let Some(stage) = self.next() else {
            return Vec::new();
        };
        let mut blockers = Vec::new();
        if let Some(date) = self.dates.get(&stage).filter(|date| **date > now) {
            blockers.push(nobody(format!("{} is planned for {date}", stage.as_str())));
        }
        let bound = || {
            holders
                .iter()
                .filter(|holder| !self.exempt.contains(&holder.name))
        };
        match stage {
            Stage::Publish => self.published(now, verifier, &mut blockers),
            Stage::CrossLink => self.linked(verifier, &mut blockers),
            Stage::Distribute => {
                for holder in bound().filter(|holder| self.trusts(holder, &self.old)) {
                    if !self.trusts(holder, &self.new) {
                        blockers.push(somebody(holder, "trusts only the old root"));
                    }
                }
            }
            Stage::Switch => {
                for holder in bound() {
                    if self.depends_on_old(holder, now, verifier) {
                        blockers.push(somebody(
                            holder,
                            "shows a chain to the old root and none to the new one",
                        ));
                    }
                }
            }
            Stage::Retire => self.retired(holders, now, verifier, &mut blockers),
        }
        blockers
    }

    /// Marks the next stage as done.
    ///
    /// # Errors
    /// What stands in the way; the plan is unchanged.
    pub fn complete(
        &mut self,
        holders: &[Holder],
        now: Timestamp,
        verifier: &dyn Verify,
    ) -> Result<Option<Stage>, Vec<Blocker>> {
        let blockers = self.blockers(holders, now, verifier);
        if !blockers.is_empty() {
            return Err(blockers);
        }
        let stage = self.next();
        if let Some(stage) = stage {
            self.done.insert(stage, now);
        }
        Ok(stage)
    }

    fn published(&self, now: Timestamp, verifier: &dyn Verify, blockers: &mut Vec<Blocker>) {
        if self.kind == Kind::V2gRoot
            && let Err(error) = trust_list::check_root(&self.new, now, verifier)
        {
            blockers.push(nobody(error.to_string()));
        }
        match (certificate::summary(&self.old), certificate::summary(&self.new)) {
            (Ok(old), Ok(new)) => {
                if new.not_after <= old.not_after {
                    blockers.push(nobody("the new root does not outlast the old one".to_owned()));
                }
                if new.fingerprint == old.fingerprint {
                    blockers.push(nobody("the two roots are one".to_owned()));
                }
                if new.key != old.key {
                    blockers.push(nobody("the two roots have keys of different types".to_owned()));
                }
            }
            _ => blockers.push(nobody("a root cannot be read".to_owned())),
        }
    }

    fn linked(&self, verifier: &dyn Verify, blockers: &mut Vec<Blocker>) {
        for (what, subject, issuer) in [
            ("old-with-new", &self.old, &self.new),
            ("new-with-old", &self.new, &self.old),
        ] {
            let found = self
                .links
                .iter()
                .any(|link| same_key(link, subject) && vouches(issuer, link, verifier));
            if !found {
                blockers.push(nobody(format!(
                    "the link certificate {what} is missing or unsound"
                )));
            }
        }
        if let Some(unsound) = self
            .recertified
            .iter()
            .find(|sub| !vouches(&self.new, sub, verifier))
        {
            let name = certificate::summary(unsound).map_or_else(|_| String::new(), |sub| sub.subject_cn);
            blockers.push(nobody(format!("{name:?} is not certified by the new root")));
        }
        if self.kind == Kind::V2gRoot && self.recertified.is_empty() {
            // A link certificate is one too many in a handshake [V2G2-009]: the sub-CA must be re-certified.
            blockers.push(nobody(
                "no sub-CA of the old root is certified by the new one".to_owned(),
            ));
        }
    }

    fn retired(
        &self,
        holders: &[Holder],
        now: Timestamp,
        verifier: &dyn Verify,
        blockers: &mut Vec<Blocker>,
    ) {
        // What would break if the old root were gone everywhere, that does not break now?
        let mut without = holders.to_vec();
        for holder in &mut without {
            if let Some(roots) = holder.trusts.get_mut(&self.kind) {
                roots.retain(|root| *root != self.old);
            }
        }
        let today = forecast::breaks(holders, now, now, verifier);
        for broken in forecast::breaks(&without, now, now, verifier) {
            let known = today
                .iter()
                .find(|one| one.profile == broken.profile && one.message == broken.message);
            for shower in &broken.shown_by {
                let old_news = known.is_some_and(|one| {
                    one.shown_by.contains(shower) && broken.refused_by.is_subset(&one.refused_by)
                });
                if !old_news && !self.exempt.contains(shower) {
                    let reason = format!("would be refused without the old root: {}", broken.message);
                    blockers.push(Blocker {
                        holder: Some(shower.clone()),
                        reason,
                    });
                }
            }
        }
        for holder in holders
            .iter()
            .filter(|holder| !self.exempt.contains(&holder.name))
        {
            if self.trusts(holder, &self.old) {
                blockers.push(somebody(holder, "still trusts the old root"));
            }
        }
    }

    fn trusts(&self, holder: &Holder, root: &[u8]) -> bool {
        holder
            .trusts
            .get(&self.kind)
            .is_some_and(|roots| roots.iter().any(|own| own == root))
    }

    /// Whether some profile of the holder leads to the old root and in no chain to the new one.
    fn depends_on_old(&self, holder: &Holder, now: Timestamp, verifier: &dyn Verify) -> bool {
        let leads = |profile, root: &Vec<u8>| {
            holder
                .shows
                .iter()
                .filter(|held| held.profile == profile)
                .any(|held| {
                    check_with(&held.chain, core::slice::from_ref(root), profile, now, verifier).is_ok()
                })
        };
        holder
            .shows
            .iter()
            .map(|held| held.profile)
            .filter(|profile| judges_of(profile.kind).iter().any(|(_, kind)| *kind == self.kind))
            .any(|profile| leads(profile, &self.old) && !leads(profile, &self.new))
    }
}

fn nobody(reason: String) -> Blocker {
    Blocker { holder: None, reason }
}

fn somebody(holder: &Holder, reason: &str) -> Blocker {
    Blocker {
        holder: Some(holder.name.clone()),
        reason: reason.to_owned(),
    }
}

/// Whether `link` proves that `old` vouches for `new`: it carries the name and key of the new root, is signed
/// by the old one, and is valid at `now` (RFC 4210 section 4.4, new-with-old).
#[must_use]
pub fn vouched_for(old: &[u8], new: &[u8], link: &[u8], now: Timestamp, verifier: &dyn Verify) -> bool {
    let (Ok(of_link), Ok(subject)) = (certificate::summary(link), certificate::subject_der(new)) else {
        return false;
    };
    (of_link.not_before..=of_link.not_after).contains(&now)
        && certificate::subject_der(link).is_ok_and(|name| name == subject)
        && same_key(link, new)
        && vouches(old, link, verifier)
}

fn same_key(one: &[u8], other: &[u8]) -> bool {
    matches!(
        (certificate::public_key_der(one), certificate::public_key_der(other)),
        (Ok(one), Ok(other)) if one == other
    )
}

/// Whether `issuer` has signed `child`, by name and by key.
fn vouches(issuer: &[u8], child: &[u8], verifier: &dyn Verify) -> bool {
    let (Ok(issuer), Ok(child)) = (certificate::parse(issuer), certificate::parse(child)) else {
        return false;
    };
    let (own, theirs) = (&issuer.tbs_certificate, &child.tbs_certificate);
    let Some(algorithm) = KeyAlgorithm::from_signature_oid(&child.signature_algorithm.oid) else {
        return false;
    };
    let (Ok(spki), Ok(message)) = (own.subject_public_key_info.to_der(), theirs.to_der()) else {
        return false;
    };
    own.subject == theirs.issuer
        && child.signature_algorithm == theirs.signature
        && verifier.verify(algorithm, &spki, &message, child.signature.raw_bytes()) == Some(true)
}
