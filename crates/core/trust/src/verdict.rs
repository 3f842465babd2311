//! Whether a chain is to be believed, and if not, which certificate failed and why.
//!
//! Every path from the leaf to an anchor is tried, through any of the certificates that were sent and
//! in any order. Work on hostile input is bounded: by the number and size of certificates, by the path
//! length, and by the number of signatures checked.

use der::Encode as _;
use gridlatch_vocab::{Code, Timestamp, catalogue::pki};
use thiserror::Error;
use x509_cert::Certificate;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, BasicConstraints, SubjectKeyIdentifier};

use crate::build::timestamp;
use crate::certificate::{self, MAX_OCTETS};
use crate::profile::{Profile, usage};
use crate::{Generation, KeyAlgorithm, RustCrypto, Verify, lint};

/// How many certificates a peer may send: ISO 15118-2 has at most four sub-certificates.
pub const MAX_SENT: usize = 8;
/// How many anchors are considered: ten roots per authority [V2G2-878] and some authorities.
pub const MAX_ANCHORS: usize = 256;
/// Certificates below the root [V2G2-009].
pub const MAX_PATH: usize = 3;
/// Signatures checked for one verdict, at about a third of a millisecond each.
pub const MAX_SIGNATURES: usize = 32;

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
    /// The subject's common name of the failing certificate, if it is a CA's.
    pub failing: Option<String>,
    /// Where it stands on the path, 0 for the leaf; `None` where no path was found at all.
    pub depth: Option<usize>,
    /// What to do about it.
    pub remedy: &'static str,
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

/// Judges `chain` (DER, leaf first) against `anchors` (DER) for a leaf of `profile` at `now`.
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
    let Some((leaf, sent)) = chain.split_first() else {
        return Err(reject(pki::MALFORMED, "the chain is empty", None, None));
    };
    if chain.len() > MAX_SENT {
        let message = format!(
            "{} certificates were sent, at most {MAX_SENT} are looked at",
            chain.len()
        );
        return Err(reject(pki::TOO_LARGE, message, None, None));
    }
    let leaf = Link::read(leaf, 0)?;
    let fault = lint::accept(&leaf.certificate.tbs_certificate, leaf.der.len(), profile)
        .into_iter()
        .next();
    if let Some(fault) = fault {
        return Err(leaf.rejected(fault.code, 0, &fault.message));
    }
    leaf.valid_at(now, 0)?;
    leaf.extensions_known(0)?;
    // A broken certificate beside the path does no harm; one that is needed is missed as the issuer.
    let sent: Vec<Link<'_>> = sent
        .iter()
        .enumerate()
        .filter_map(|(index, der)| Link::read(der, index + 1).ok())
        .collect();
    let anchors: Vec<Link<'_>> = anchors
        .iter()
        .take(MAX_ANCHORS)
        .filter_map(|der| Link::read(der, 0).ok())
        .collect();
    let mut search = Search {
        sent: &sent,
        anchors: &anchors,
        profile,
        now,
        verifier,
        signatures: 0,
        best: None,
    };
    let mut path = vec![&leaf];
    search.extend(&mut path).ok_or_else(|| {
        search.best.take().map_or_else(
            || {
                reject(
                    pki::NO_PATH,
                    format!("no trusted root issued {}", leaf.issuer),
                    None,
                    None,
                )
            },
            |(_, rejected)| rejected,
        )
    })
}

/// One certificate, read.
struct Link<'a> {
    der: &'a [u8],
    certificate: Certificate,
    subject: String,
    issuer: String,
    is_ca: bool,
}

impl<'a> Link<'a> {
    fn read(der: &'a [u8], position: usize) -> Result<Self, Rejected> {
        let certificate = certificate::parse(der).map_err(|error| {
            let code = if der.len() > MAX_OCTETS {
                pki::TOO_LARGE
            } else {
                pki::MALFORMED
            };
            reject(
                code,
                format!("certificate {position} of the chain: {error}"),
                None,
                Some(position),
            )
        })?;
        let tbs = &certificate.tbs_certificate;
        let shown = |name| {
            certificate::names(name)
                .common_name
                .unwrap_or_else(|| "(unnamed)".to_owned())
        };
        let is_ca = tbs
            .get::<BasicConstraints>()
            .ok()
            .flatten()
            .is_some_and(|(_, bc)| bc.ca);
        Ok(Self {
            der,
            subject: shown(&tbs.subject),
            issuer: shown(&tbs.issuer),
            is_ca,
            certificate,
        })
    }

    /// By name where it is a CA's, by position where it may be a person's.
    fn called(&self, depth: usize) -> String {
        if depth == 0 || !self.is_ca {
            format!("the leaf issued by {:?}", self.issuer)
        } else {
            format!("{:?}", self.subject)
        }
    }

    fn rejected(&self, code: Code, depth: usize, why: &str) -> Rejected {
        let failing = (depth > 0 && self.is_ca).then(|| self.subject.clone());
        reject(
            code,
            format!("{}: {why}", self.called(depth)),
            failing,
            Some(depth),
        )
    }

    fn valid_at(&self, now: Timestamp, depth: usize) -> Result<(), Rejected> {
        let validity = &self.certificate.tbs_certificate.validity;
        let (start, end) = (timestamp(&validity.not_before), timestamp(&validity.not_after));
        if now > end {
            return Err(self.rejected(pki::EXPIRED, depth, &format!("expired at {end}, and it is {now}")));
        }
        if now < start {
            return Err(self.rejected(
                pki::NOT_YET_VALID,
                depth,
                &format!("is valid from {start}, and it is {now}"),
            ));
        }
        Ok(())
    }

    /// RFC 5280, 4.2: a critical extension that is not understood makes the certificate invalid, and
    /// none may occur twice.
    fn extensions_known(&self, depth: usize) -> Result<(), Rejected> {
        let extensions = self
            .certificate
            .tbs_certificate
            .extensions
            .as_deref()
            .unwrap_or_default();
        for (index, extension) in extensions.iter().enumerate() {
            if extensions
                .iter()
                .take(index)
                .any(|earlier| earlier.extn_id == extension.extn_id)
            {
                return Err(self.rejected(
                    pki::MALFORMED,
                    depth,
                    &format!("extension {} occurs twice", extension.extn_id),
                ));
            }
            if extension.critical && !UNDERSTOOD.contains(&extension.extn_id) {
                return Err(self.rejected(
                    pki::UNKNOWN_EXTENSION,
                    depth,
                    &format!("the critical extension {} is not understood", extension.extn_id),
                ));
            }
        }
        Ok(())
    }

    /// Whether the names, and the key identifiers where both exist, say that `self` issued `child`.
    fn may_have_issued(&self, child: &Self) -> bool {
        let (own, theirs) = (
            &self.certificate.tbs_certificate,
            &child.certificate.tbs_certificate,
        );
        if own.subject != theirs.issuer {
            return false;
        }
        let own_id = own
            .get::<SubjectKeyIdentifier>()
            .ok()
            .flatten()
            .map(|(_, id)| id.0);
        let wanted = theirs
            .get::<AuthorityKeyIdentifier>()
            .ok()
            .flatten()
            .and_then(|(_, id)| id.key_identifier);
        match (own_id, wanted) {
            (Some(own), Some(wanted)) => own == wanted,
            _ => true,
        }
    }

    /// Whether this CA may stand above `below` sub-CAs.
    fn may_sign(&self, depth: usize, below: usize) -> Result<(), Rejected> {
        let tbs = &self.certificate.tbs_certificate;
        let constraints = tbs
            .get::<BasicConstraints>()
            .ok()
            .flatten()
            .map(|(_, constraints)| constraints);
        let Some(constraints) = constraints.filter(|constraints| constraints.ca) else {
            return Err(self.rejected(
                pki::BASIC_CONSTRAINTS,
                depth,
                "is not a CA, but has signed a certificate",
            ));
        };
        if lint::key_usage(tbs).is_some_and(|(_, bits)| bits & usage::KEY_CERT_SIGN == 0) {
            return Err(self.rejected(
                pki::KEY_USAGE,
                depth,
                "its key usage does not allow signing certificates",
            ));
        }
        if constraints
            .path_len_constraint
            .is_some_and(|limit| usize::from(limit) < below)
        {
            return Err(self.rejected(
                pki::PATH_TOO_LONG,
                depth,
                &format!("allows fewer than the {below} sub-CAs below it"),
            ));
        }
        Ok(())
    }
}

/// Extensions whose meaning is checked here or has none for the decision.
const UNDERSTOOD: [const_oid::ObjectIdentifier; 4] = [
    const_oid::db::rfc5280::ID_CE_BASIC_CONSTRAINTS,
    const_oid::db::rfc5280::ID_CE_KEY_USAGE,
    const_oid::db::rfc5280::ID_CE_EXT_KEY_USAGE,
    const_oid::db::rfc5280::ID_CE_SUBJECT_ALT_NAME,
];

struct Search<'s, 'a> {
    sent: &'s [Link<'a>],
    anchors: &'s [Link<'a>],
    profile: Profile,
    now: Timestamp,
    verifier: &'s dyn Verify,
    signatures: usize,
    /// The most advanced failure: how far its path came, and why it ended.
    best: Option<(usize, Rejected)>,
}

impl<'s, 'a> Search<'s, 'a> {
    /// Looks for a way from the top of `path` to an anchor, depth first.
    fn extend(&mut self, path: &mut Vec<&'s Link<'a>>) -> Option<Accepted>
    where
        'a: 's,
    {
        let top = *path.last()?;
        let depth = path.len();
        // The slices outlive the search, so that they can be walked while it is changed.
        let (anchors, sent) = (self.anchors, self.sent);
        for anchor in anchors.iter().filter(|anchor| anchor.may_have_issued(top)) {
            match self.step(top, anchor, depth, depth - 1) {
                Ok(()) => return Some(self.accepted(path, anchor)),
                Err(rejected) => self.note(depth, rejected),
            }
        }
        for next in sent.iter().filter(|next| next.may_have_issued(top)) {
            // A certificate met twice is a cycle; a self-signed one that is no anchor leads nowhere.
            if path.iter().any(|link| link.der == next.der) || next.may_have_issued(next) {
                continue;
            }
            if path.len() == MAX_PATH {
                let why = format!(
                    "would be certificate {} below the root, and [V2G2-009] allows {MAX_PATH}",
                    depth + 1
                );
                self.note(depth, next.rejected(pki::PATH_TOO_LONG, depth, &why));
                continue;
            }
            match self.step(top, next, depth, depth - 1) {
                Ok(()) => {
                    path.push(next);
                    let found = self.extend(path);
                    path.pop();
                    if found.is_some() {
                        return found;
                    }
                }
                Err(rejected) => self.note(depth, rejected),
            }
        }
        let missing = format!(
            "no trusted root and no certificate that was sent issued it; the issuer {:?} is missing",
            top.issuer
        );
        self.note(depth - 1, top.rejected(pki::NO_PATH, depth - 1, &missing));
        None
    }

    /// Whether `issuer`, standing at `depth` above `below` sub-CAs, vouches for `child`. Cheap rules
    /// come first, the signature last.
    fn step(
        &mut self,
        child: &Link<'_>,
        issuer: &Link<'_>,
        depth: usize,
        below: usize,
    ) -> Result<(), Rejected> {
        issuer.valid_at(self.now, depth)?;
        issuer.extensions_known(depth)?;
        issuer.may_sign(depth, below)?;
        let (own, theirs) = (
            &issuer.certificate.tbs_certificate,
            &child.certificate.tbs_certificate,
        );
        if self.profile.generation == Generation::Iso20
            && timestamp(&theirs.validity.not_after) > timestamp(&own.validity.not_after)
        {
            let why = format!(
                "is valid for longer than its issuer {:?} [V2G20-3000]",
                issuer.subject
            );
            return Err(child.rejected(pki::OUTLIVES_ISSUER, depth - 1, &why));
        }
        self.signed(child, issuer, depth - 1)
    }

    fn signed(&mut self, child: &Link<'_>, issuer: &Link<'_>, depth: usize) -> Result<(), Rejected> {
        let unsupported = || {
            child.rejected(
                pki::UNSUPPORTED_ALGORITHM,
                depth,
                "is signed with an algorithm that no profile allows",
            )
        };
        let own = &issuer.certificate.tbs_certificate;
        let algorithm = KeyAlgorithm::from_signature_oid(&child.certificate.signature_algorithm.oid)
            .ok_or_else(unsupported)?;
        // The algorithm is stated inside and outside the signed part; a difference is an attack.
        if child.certificate.signature_algorithm != child.certificate.tbs_certificate.signature {
            return Err(child.rejected(pki::BAD_SIGNATURE, depth, "states two signature algorithms"));
        }
        if certificate::key_algorithm(&own.subject_public_key_info) != Some(algorithm) {
            let why = format!(
                "is signed with {algorithm}, but the key of {:?} is of another type",
                issuer.subject
            );
            return Err(child.rejected(pki::BAD_SIGNATURE, depth, &why));
        }
        if self.signatures == MAX_SIGNATURES {
            let why = format!("{MAX_SIGNATURES} signatures were checked without reaching a root");
            return Err(child.rejected(pki::TOO_LARGE, depth, &why));
        }
        self.signatures += 1;
        let spki = own.subject_public_key_info.to_der().map_err(|_| unsupported())?;
        let message = child
            .certificate
            .tbs_certificate
            .to_der()
            .map_err(|_| unsupported())?;
        match self.verifier.verify(
            algorithm,
            &spki,
            &message,
            child.certificate.signature.raw_bytes(),
        ) {
            Some(true) => Ok(()),
            Some(false) => {
                let why = format!(
                    "its signature does not verify with the key of {:?}",
                    issuer.subject
                );
                Err(child.rejected(pki::BAD_SIGNATURE, depth, &why))
            }
            None => Err(unsupported()),
        }
    }

    fn accepted(&self, path: &[&Link<'_>], anchor: &Link<'_>) -> Accepted {
        let end = |link: &Link<'_>| timestamp(&link.certificate.tbs_certificate.validity.not_after);
        Accepted {
            path: path.iter().map(|link| link.der.to_vec()).collect(),
            anchor: anchor.der.to_vec(),
            valid_until: path
                .iter()
                .map(|link| end(link))
                .min()
                .unwrap_or(self.now)
                .min(end(anchor)),
        }
    }

    fn note(&mut self, reached: usize, rejected: Rejected) {
        if self.best.as_ref().is_none_or(|(best, _)| reached > *best) {
            self.best = Some((reached, rejected));
        }
    }
}

fn reject(code: Code, message: impl Into<String>, failing: Option<String>, depth: Option<usize>) -> Rejected {
    Rejected {
        code,
        message: message.into(),
        failing,
        depth,
        remedy: code.row().remedy,
    }
}
