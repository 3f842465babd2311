//! The search for a path, depth first, with a budget.

use std::collections::BTreeMap;

use gridlatch_vocab::catalogue::pki;

use super::link::Link;
use super::{
    Accepted, Case, Checked, Judgement, MAX_PATH, MAX_SIGNATURES, MAX_TRIED, Missing, Rejected, Tried, plain,
};
use crate::build::timestamp;
use crate::profile::Kind;
use crate::signed::{SignatureFault, Signed};
use crate::{Generation, Verify};

pub(super) struct Search<'s, 'a> {
    case: &'s Case<'a>,
    between: &'s [Link<'a>],
    anchors: &'s [Link<'a>],
    verifier: &'s dyn Verify,
    signatures: usize,
    /// Outcomes by child and issuer, so that paths that share certificates cost nothing twice.
    known: BTreeMap<(*const u8, *const u8), Result<(), Rejected>>,
    tried: Vec<Tried>,
    cut_short: bool,
}

/// The path that holds.
struct Found {
    accepted: Accepted,
    steps: Vec<super::Step>,
    revocation: Vec<Checked>,
}

impl<'s, 'a: 's> Search<'s, 'a> {
    pub(super) fn new(
        case: &'s Case<'a>,
        between: &'s [Link<'a>],
        anchors: &'s [Link<'a>],
        verifier: &'s dyn Verify,
    ) -> Self {
        Self {
            case,
            between,
            anchors,
            verifier,
            signatures: 0,
            known: BTreeMap::new(),
            tried: Vec::new(),
            cut_short: false,
        }
    }

    pub(super) fn run(mut self, leaf: &'s Link<'a>, judgement: &mut Judgement) {
        let mut path = vec![leaf];
        if let Some(found) = self.extend(&mut path) {
            judgement.accepted = Some(found.accepted);
            judgement.steps = found.steps;
            judgement.revocation = found.revocation;
        }
        judgement.tried = self.tried;
        judgement.cut_short = self.cut_short;
    }

    /// Looks for a way from the top of `path` to an anchor.
    fn extend(&mut self, path: &mut Vec<&'s Link<'a>>) -> Option<Found> {
        let top = *path.last()?;
        let depth = path.len();
        let mut dead_end = true;
        // The slices outlive the search, so that they can be walked while it is changed.
        let (anchors, between) = (self.anchors, self.between);
        for anchor in anchors.iter().filter(|anchor| anchor.may_have_issued(top)) {
            dead_end = false;
            if self.cut_short {
                return None;
            }
            let outcome = self
                .step(top, anchor, depth)
                .and_then(|()| self.unrevoked(path, anchor));
            match outcome {
                Ok(revocation) => return Some(self.found(path, anchor, revocation)),
                Err(rejected) => self.note(path, Some((anchor, true)), rejected, None),
            }
        }
        for (index, next) in between.iter().enumerate() {
            // The same certificate twice, in the path or in the pool, is no other way.
            let again = path
                .iter()
                .copied()
                .chain(between.iter().take(index))
                .any(|link| link.der == next.der);
            if again || !next.may_have_issued(top) || anchors.iter().any(|anchor| anchor.der == next.der) {
                continue;
            }
            dead_end = false;
            if self.cut_short {
                return None;
            }
            if path.len() == MAX_PATH && !next.is_self_issued() {
                let why = format!(
                    "would be certificate {} below the root, and [V2G2-009] allows {MAX_PATH}",
                    depth + 1
                );
                let rejected = next.rejected(pki::PATH_TOO_LONG, depth, &why);
                self.note(path, Some((next, false)), rejected, None);
                continue;
            }
            match self.step(top, next, depth) {
                // A self-signed certificate is an end, and this one is not trusted.
                Ok(()) if next.is_self_issued() => {
                    let why = format!(
                        "the chain ends at the root {:?}, which is not trusted here",
                        next.subject
                    );
                    let rejected = top.rejected(pki::NO_PATH, depth - 1, &why);
                    let missing = Missing::Root(next.subject.clone());
                    self.note(path, Some((next, false)), rejected, Some(missing));
                }
                Ok(()) => {
                    path.push(next);
                    let found = self.extend(path);
                    path.pop();
                    if found.is_some() {
                        return found;
                    }
                }
                Err(rejected) => self.note(path, Some((next, false)), rejected, None),
            }
        }
        if dead_end {
            let why = format!(
                "no trusted root and no certificate that was sent issued it; the issuer {:?} is missing",
                top.issuer
            );
            let missing = if top.ends_the_path() {
                Missing::SubCa(top.issuer.clone())
            } else {
                Missing::Root(top.issuer.clone())
            };
            let rejected = top.rejected(pki::NO_PATH, depth - 1, &why);
            self.note(path, None, rejected, Some(missing));
        }
        None
    }

    /// Whether `issuer`, standing at `depth` above `depth - 1` sub-CAs, vouches for `child`. Cheap rules
    /// come first, the signature last.
    fn step(&mut self, child: &Link<'_>, issuer: &Link<'_>, depth: usize) -> Result<(), Rejected> {
        plain::check(child, depth - 1)?;
        issuer.valid_at(self.case.now, depth)?;
        issuer.extensions_known(depth)?;
        issuer.may_sign(depth, depth - 1)?;
        let (own, theirs) = (
            &issuer.certificate.tbs_certificate,
            &child.certificate.tbs_certificate,
        );
        if self.case.profile.generation == Generation::Iso20
            && timestamp(&theirs.validity.not_after) > timestamp(&own.validity.not_after)
        {
            let why = format!(
                "is valid for longer than its issuer {:?} [V2G20-3000]",
                issuer.subject
            );
            return Err(child.rejected(pki::OUTLIVES_ISSUER, depth - 1, &why));
        }
        let pair = (child.der.as_ptr(), issuer.der.as_ptr());
        if let Some(known) = self.known.get(&pair) {
            return known.clone();
        }
        if self.signatures == MAX_SIGNATURES {
            self.cut_short = true;
            let why = format!("{MAX_SIGNATURES} signatures were checked without reaching a root");
            return Err(child.rejected(pki::TOO_LARGE, depth - 1, &why));
        }
        self.signatures += 1;
        let outcome = self.signed(child, issuer, depth - 1);
        self.known.insert(pair, outcome.clone());
        outcome
    }

    fn signed(&self, child: &Link<'_>, issuer: &Link<'_>, depth: usize) -> Result<(), Rejected> {
        // The algorithm is stated inside and outside the signed part; a difference is an attack.
        if child.certificate.signature_algorithm != child.certificate.tbs_certificate.signature {
            return Err(child.rejected(pki::BAD_SIGNATURE, depth, "states two signature algorithms"));
        }
        let Ok(signed) = Signed::alone(child.der) else {
            return Err(child.rejected(pki::MALFORMED, depth, "is not a signed certificate in DER"));
        };
        let key = &issuer.certificate.tbs_certificate.subject_public_key_info;
        match signed.made_by(key, self.verifier) {
            Ok(_) => Ok(()),
            Err(SignatureFault::Wrong) => {
                let why = format!(
                    "its signature does not verify with the key of {:?}",
                    issuer.subject
                );
                Err(child.rejected(pki::BAD_SIGNATURE, depth, &why))
            }
            Err(SignatureFault::OtherKey(algorithm)) => {
                let why = format!(
                    "is signed with {algorithm}, but the key of {:?} is of another type",
                    issuer.subject
                );
                Err(child.rejected(pki::BAD_SIGNATURE, depth, &why))
            }
            Err(SignatureFault::Unsupported(algorithm)) => {
                let why = format!("is signed with {algorithm}, an algorithm that no profile allows");
                Err(child.rejected(pki::UNSUPPORTED_ALGORITHM, depth, &why))
            }
        }
    }

    /// Whether no certificate of the whole path is revoked, as far as the policy asks. An anchor is
    /// trusted by decree.
    fn unrevoked(&mut self, path: &[&Link<'_>], anchor: &Link<'_>) -> Result<Vec<Checked>, Rejected> {
        let mut checked = Vec::new();
        for (depth, link) in path.iter().enumerate() {
            let issuer = path.get(depth + 1).copied().unwrap_or(anchor);
            // A delegated OCSP signer carries ocsp-nocheck: asking ends with it.
            let asked = self.case.policy.asks(depth) && self.case.profile.kind != Kind::OcspSigner;
            if !asked {
                continue;
            }
            let status = self.case.evidence.about(
                link,
                issuer,
                self.case.now,
                &self.case.policy,
                self.verifier,
                &mut self.signatures,
            );
            checked.push(status.decide(link, depth, &self.case.policy)?);
        }
        Ok(checked)
    }

    fn found(&self, path: &[&Link<'_>], anchor: &Link<'_>, revocation: Vec<Checked>) -> Found {
        let end = path.iter().map(|link| link.end()).min().unwrap_or(self.case.now);
        Found {
            accepted: Accepted {
                path: path.iter().map(|link| link.der.to_vec()).collect(),
                anchor: anchor.der.to_vec(),
                valid_until: end.min(anchor.end()),
            },
            steps: self.steps(path, Some((anchor, true))),
            revocation,
        }
    }

    fn steps(&self, path: &[&Link<'_>], last: Option<(&Link<'_>, bool)>) -> Vec<super::Step> {
        let leaf = self.case.profile.row().name;
        let mut steps: Vec<super::Step> = path
            .iter()
            .enumerate()
            .map(|(depth, link)| link.step(depth, false, leaf))
            .collect();
        steps.extend(last.map(|(link, anchor)| link.step(path.len(), anchor, leaf)));
        steps
    }

    fn note(
        &mut self,
        path: &[&Link<'_>],
        last: Option<(&Link<'_>, bool)>,
        rejected: Rejected,
        missing: Option<Missing>,
    ) {
        if self.tried.len() == MAX_TRIED {
            self.cut_short = true;
            return;
        }
        let path = self.steps(path, last);
        self.tried.push(Tried {
            path,
            rejected,
            missing,
        });
    }
}
