//! Whether a chain is to be believed, and if not, which certificate failed on which path and why.
//!
//! Every path from the leaf to an anchor is tried: through any of the certificates that were sent, in any
//! order, and through others at hand (cross-certificates, a sub-CA the peer forgot). Work on hostile
//! input is bounded: by the number and size of certificates, the path length, the paths, and the
//! signatures checked.

mod advice;
mod chain_shape;
mod evidence;
mod guess;
mod link;
mod plain;
mod search;
mod standing;

use gridlatch_vocab::{Code, Timestamp, catalogue::pki};
use thiserror::Error;

use crate::profile::Profile;
use crate::revocation::Status;
use crate::{RustCrypto, Verify, lint};

pub use advice::{Fix, Proposal, clock_hint, proposals};
pub use chain_shape::{Finding, findings};
pub use evidence::{AllowedPlaces, Evidence, EvidenceError, Policy, Source, Unknown};
pub use guess::guess;
pub use standing::{Unfit, standing};

use link::Link;
use search::Search;

/// How many certificates a peer may send: ISO 15118-2 has at most four sub-certificates.
pub const MAX_SENT: usize = 8;
/// How many further certificates are looked at for a missing link.
pub const MAX_EXTRA: usize = 64;
/// How many anchors are considered: ten roots per authority [V2G2-878] and some authorities.
pub const MAX_ANCHORS: usize = 256;
/// Certificates below the root [V2G2-009].
pub const MAX_PATH: usize = 3;
/// Signatures checked for one verdict, at about a third of a millisecond each.
pub const MAX_SIGNATURES: usize = 32;
/// Paths that are reported on.
pub const MAX_TRIED: usize = 64;

/// A chain that is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The certificates of the path in DER, leaf first, without the anchor.
    pub path: Vec<Vec<u8>>,
    /// The anchor in DER.
    pub anchor: Vec<u8>,
    /// When the first certificate of the path, the anchor included, expires.
    pub valid_until: Timestamp,
}

/// A chain that is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Rejected {
    /// The row of the catalogue.
    pub code: Code,
    /// One sentence: which certificate, why, by which clause. A leaf is named by its kind, not by its
    /// common name, which may be personal.
    pub message: String,
    /// The rule that is broken.
    pub clause: &'static str,
    /// The subject's common name of the failing certificate, if it is a CA's.
    pub failing: Option<String>,
    /// Where it stands on the path, 0 for the leaf; `None` where no path was found at all.
    pub depth: Option<usize>,
    /// What to do about it.
    pub remedy: &'static str,
}

/// One certificate of a path, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The CA's common name; a leaf is named by its kind.
    pub name: String,
    /// SHA-256 over the DER, upper-case hex.
    pub fingerprint: String,
    /// Whether it is one of the anchors.
    pub anchor: bool,
}

/// A path that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// From the leaf upwards, to the certificate at which it ended.
    pub path: Vec<Step>,
    /// Why it ended.
    pub rejected: Rejected,
    /// What would have carried it on, if it ended for want of an issuer.
    pub missing: Option<Missing>,
}

/// The issuer a path ended without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// A root of this common name is not trusted here.
    Root(String),
    /// A sub-CA of this common name was not sent.
    SubCa(String),
}

/// What was found about the revocation of one certificate of the accepted path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Where it stands, 0 for the leaf.
    pub depth: usize,
    /// What is known.
    pub status: Status,
    /// From what it is known, or why it is not.
    pub because: String,
}

/// Everything there is to say about a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The path that is believed.
    pub accepted: Option<Accepted>,
    /// The path that is believed, for people; empty if none is.
    pub steps: Vec<Step>,
    /// Each rule of the profile that the leaf itself breaks, whatever the path.
    pub leaf: Vec<Rejected>,
    /// Each path that does not hold, in the order they were tried.
    pub tried: Vec<Tried>,
    /// What is known about revocation on the accepted path; empty where the policy does not ask.
    pub revocation: Vec<Checked>,
    /// Whether paths were left untried because a bound was reached.
    pub cut_short: bool,
}

impl Judgement {
    /// The one reason to give if no path holds: a fault of the leaf, or else the fault of the path that
    /// came furthest.
    #[must_use]
    pub fn reason(&self) -> Option<&Rejected> {
        if self.accepted.is_some() {
            return None;
        }
        self.leaf.first().or_else(|| {
            // The first of those that came furthest, as they were tried.
            self.tried
                .iter()
                .rev()
                .max_by_key(|tried| tried.path.len())
                .map(|tried| &tried.rejected)
        })
    }

    fn refused(rejected: Rejected) -> Self {
        Self {
            accepted: None,
            steps: Vec::new(),
            leaf: vec![rejected],
            tried: Vec::new(),
            revocation: Vec::new(),
            cut_short: false,
        }
    }
}

/// What is to be judged, by what.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// As the peer sent it (DER), leaf first.
    pub chain: &'a [Vec<u8>],
    /// What is trusted (DER).
    pub anchors: &'a [Vec<u8>],
    /// Further certificates at hand (DER), not trusted by themselves.
    pub extra: &'a [Vec<u8>],
    /// What the leaf must be.
    pub profile: Profile,
    /// When.
    pub now: Timestamp,
    /// What is known about revocation.
    pub evidence: &'a Evidence,
    /// What is asked of it.
    pub policy: Policy,
}

/// As [`check_with`], for P-256 and P-521.
///
/// # Errors
/// Why the chain is not believed.
pub fn check(
    chain: &[Vec<u8>],
    anchors: &[Vec<u8>],
    profile: Profile,
    now: Timestamp,
) -> Result<Accepted, Rejected> {
    check_with(chain, anchors, profile, now, &RustCrypto)
}

/// The short form of [`judge`] where revocation is not asked: the path, or the one reason.
///
/// # Errors
/// Why the chain is not believed: of all paths, the reason of the one that came furthest.
pub fn check_with(
    chain: &[Vec<u8>],
    anchors: &[Vec<u8>],
    profile: Profile,
    now: Timestamp,
    verifier: &dyn Verify,
) -> Result<Accepted, Rejected> {
    let case = Case {
        chain,
        anchors,
        extra: &[],
        profile,
        now,
        evidence: &Evidence::default(),
        policy: Policy::NOT_ASKED,
    };
    // A leaf that can never hold is refused before any signature is checked.
    let judgement = consider(&case, verifier, false);
    match judgement.accepted {
        Some(accepted) => Ok(accepted),
        None => Err(judgement
            .reason()
            .cloned()
            .unwrap_or_else(|| reject(pki::NO_PATH, "no path leads to a trusted root", None, None))),
    }
}

/// Whether a certificate below a root (DER, at `depth` above the leaf, which is 0) is plain enough to be believed by
/// anybody, whatever its profile and issuer: DER within bounds, of version 3, with a serial number and names that all
/// readers read alike, readable constraints, and a key on its curve. For those who build paths by other means; a
/// verdict holds this already.
///
/// # Errors
/// What is wrong with it.
pub fn plain(der: &[u8], depth: usize) -> Result<(), Rejected> {
    let link = Link::read(der, depth)?;
    plain::check(&link, depth)?;
    if depth == 0 && link.is_ca {
        return Err(link.rejected(pki::BASIC_CONSTRAINTS, depth, "is a CA, and was shown as a leaf"));
    }
    Ok(())
}

/// [`plain`] for a leaf that no path is built for, the signer of an OCSP answer: its extensions too, each known and there
/// once, and one signature algorithm.
pub(crate) fn plain_alone(der: &[u8]) -> Result<(), Rejected> {
    plain(der, 0)?;
    let link = Link::read(der, 0)?;
    link.extensions_known(0)?;
    if link.certificate.signature_algorithm != link.certificate.tbs_certificate.signature {
        return Err(link.rejected(pki::BAD_SIGNATURE, 0, "states two signature algorithms"));
    }
    Ok(())
}

/// Judges a chain: the path that is believed, or for each path the certificate that failed and why.
/// The first path that holds is taken.
#[must_use]
pub fn judge(case: &Case<'_>, verifier: &dyn Verify) -> Judgement {
    consider(case, verifier, true)
}

fn consider(case: &Case<'_>, verifier: &dyn Verify, every_path: bool) -> Judgement {
    let Some((leaf, sent)) = case.chain.split_first() else {
        return Judgement::refused(reject(pki::MALFORMED, "the chain is empty", None, None));
    };
    if case.chain.len() > MAX_SENT {
        let message = format!(
            "{} certificates were sent, at most {MAX_SENT} are looked at",
            case.chain.len()
        );
        return Judgement::refused(reject(pki::TOO_LARGE, message, None, None));
    }
    let leaf = match Link::read(leaf, 0) {
        Ok(leaf) => leaf,
        Err(rejected) => return Judgement::refused(rejected),
    };
    let mut faults: Vec<Rejected> =
        lint::accept(&leaf.certificate.tbs_certificate, leaf.der.len(), case.profile)
            .into_iter()
            .map(|fault| Rejected {
                clause: case.profile.row().clause,
                ..leaf.rejected(fault.code, 0, &fault.message)
            })
            .collect();
    faults.extend(leaf.valid_at(case.now, 0).err());
    faults.extend(leaf.extensions_known(0).err());
    faults.extend(plain::check(&leaf, 0).err());
    let mut judgement = Judgement {
        accepted: None,
        steps: Vec::new(),
        leaf: faults,
        tried: Vec::new(),
        revocation: Vec::new(),
        cut_short: false,
    };
    if !judgement.leaf.is_empty() && !every_path {
        return judgement;
    }
    // A broken certificate beside the path does no harm; one that is needed is missed as the issuer.
    let between: Vec<Link<'_>> = sent
        .iter()
        .chain(case.extra.iter().take(MAX_EXTRA))
        .filter_map(|der| Link::read(der, 0).ok())
        .collect();
    let anchors: Vec<Link<'_>> = case
        .anchors
        .iter()
        .take(MAX_ANCHORS)
        .filter_map(|der| Link::read(der, 0).ok())
        .collect();
    Search::new(case, &between, &anchors, verifier).run(&leaf, &mut judgement);
    if !judgement.leaf.is_empty() {
        judgement.accepted = None;
    }
    judgement
}

fn reject(code: Code, message: impl Into<String>, failing: Option<String>, depth: Option<usize>) -> Rejected {
    Rejected {
        code,
        message: message.into(),
        clause: clause(code),
        failing,
        depth,
        remedy: code.row().remedy,
    }
}

/// The rule behind a code, where the message does not name one of a profile.
fn clause(code: Code) -> &'static str {
    use gridlatch_vocab::catalogue::revocation;
    const CLAUSES: &[(Code, &str)] = &[
        (pki::NO_PATH, "RFC 5280 section 6.1"),
        (pki::BAD_SIGNATURE, "RFC 5280 section 6.1.3 (a)(1)"),
        (pki::UNSUPPORTED_ALGORITHM, "ISO 15118-2 Annex F"),
        (pki::EXPIRED, "RFC 5280 section 6.1.3 (a)(2)"),
        (pki::NOT_YET_VALID, "RFC 5280 section 6.1.3 (a)(2)"),
        (revocation::REVOKED, "RFC 5280 section 6.1.3 (a)(3)"),
        (revocation::UNKNOWN, "RFC 5280 section 6.1.3 (a)(3)"),
        (pki::BASIC_CONSTRAINTS, "RFC 5280 section 6.1.4 (k)"),
        (pki::PATH_TOO_LONG, "[V2G2-009], RFC 5280 section 6.1.4 (m)"),
        (pki::KEY_USAGE, "RFC 5280 section 6.1.4 (n)"),
        (pki::UNKNOWN_EXTENSION, "RFC 5280 section 4.2"),
        (pki::OUTLIVES_ISSUER, "[V2G20-3000]"),
        (pki::MALFORMED, "RFC 5280 section 4.1"),
        (pki::ODD_SERIAL, "RFC 5280 section 4.1.2.2"),
        (pki::ODD_NAME, "RFC 5280 section 4.1.2.4"),
    ];
    CLAUSES
        .iter()
        .find(|(known, _)| *known == code)
        .map_or("ISO 15118-2 Annex F", |(_, clause)| clause)
}
