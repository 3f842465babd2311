//! Certifying a key that already has a certificate: another PKI's sub-CA (cross-certificate), a
//! sub-CA under its PKI's next root, or an old and a new root of one PKI for each other (link
//! certificates, RFC 4210 section 4.4).
//!
//! The name, the key and the key identifier are the subject's own and are copied octet for octet:
//! everything it has issued must keep leading to it.

use der::{Decode as _, Encode as _};
use gridlatch_vocab::{Timestamp, catalogue::pki};
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, BasicConstraints, KeyUsage, SubjectKeyIdentifier};
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_cert::time::Validity;
use x509_cert::{Certificate, TbsCertificate, Version};

use crate::build::{self, BuildError, Marked, Sign, timestamp};
use crate::lint::Fault;
use crate::profile::{Authority, Kind, Profile};
use crate::verdict::MAX_PATH;
use crate::{Generation, KeyAlgorithm, certificate, lint};

/// What a cross-certificate may be put over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// Only over a sub-CA, so that no path gets longer than three certificates [V2G2-009].
    #[default]
    WithinPath,
    /// Over a root as well: for experiments only. Vehicles that keep to [V2G2-009] refuse the chain.
    OverRootForExperiment,
}

/// A cross-certificate to be issued.
#[derive(Debug, Clone)]
pub struct CrossRequest<'a> {
    /// The certificate (DER) of the CA whose key is certified: another PKI's CPO sub-CA 1, say.
    pub subject: &'a [u8],
    /// What kind of CA that is; ignored for a self-signed one, which is a root.
    pub kind: Kind,
    /// Whose algorithms and limits apply.
    pub generation: Generation,
    /// 1 to 20 octets, unique per issuer.
    pub serial: &'a [u8],
    /// Start of validity; never before the issuer's or the subject's own.
    pub not_before: Timestamp,
    /// End of validity; `None` for that of the subject's own certificate. Never after it, nor after
    /// the issuer's.
    pub not_after: Option<Timestamp>,
    /// Where the issuer answers OCSP.
    pub ocsp_url: Option<String>,
    /// Where the issuer publishes its revocation list.
    pub crl_url: Option<String>,
    /// How far it may go.
    pub reach: Reach,
}

/// Which way a link certificate points, in the words of RFC 4210.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// The old root's key, certified by the new root: for those who hold only the new one.
    OldWithNew,
    /// The new root's key, certified by the old root: for those who hold only the old one, so that
    /// they can check the new root before they install it.
    NewWithOld,
}

impl Link {
    /// As RFC 4210 writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OldWithNew => "OldWithNew",
            Self::NewWithOld => "NewWithOld",
        }
    }
}

const NOT_A_CA: BuildError = BuildError::Input("the certificate to be cross-signed is not a CA's");
const SAME_PKI: BuildError =
    BuildError::Input("this root has already issued that certificate: there is nothing to cross");
const NOT_ROOTS: BuildError = BuildError::Input("a link certificate joins two self-signed roots");
const OUTSIDE_VALIDITY: BuildError =
    BuildError::Input("the certificate to be cross-signed is outside its validity");

/// Issues a cross-certificate under the root `issuer` (DER), whose key signs by `sign`.
///
/// # Errors
/// [`BuildError::Lint`] with `pki.path_too_long` for a root or an unlimited sub-CA, unless the request
/// asks for that experiment; otherwise as [`build::build`].
pub fn cross(
    request: &CrossRequest<'_>,
    issuer: &[u8],
    issuer_algorithm: KeyAlgorithm,
    sign: &Sign<'_>,
) -> Result<Vec<u8>, BuildError> {
    let subject = Certificate::from_der(request.subject)?.tbs_certificate;
    let own = Certificate::from_der(issuer)?.tbs_certificate;
    if subject.issuer == own.subject && request.reach == Reach::WithinPath {
        return Err(SAME_PKI);
    }
    let constraints = subject
        .get::<BasicConstraints>()?
        .map(|(_, constraints)| constraints)
        .filter(|constraints| constraints.ca)
        .ok_or(NOT_A_CA)?;
    let root = subject.issuer == subject.subject;
    let kind = if root { root_of(request.kind) } else { request.kind };
    let profile = Profile {
        kind,
        generation: request.generation,
    };
    // Below the issuer lie the cross-certificate, as many CAs as the subject may have, and a leaf.
    let path = constraints
        .path_len_constraint
        .map(|below| usize::from(below) + 2);
    if request.reach == Reach::WithinPath && path.is_none_or(|path| path > MAX_PATH) {
        let what = if root {
            "a root"
        } else {
            "a sub-CA with so long a path"
        };
        return Err(BuildError::Lint {
            profile,
            faults: vec![Fault {
                code: pki::PATH_TOO_LONG,
                message: format!(
                    "a cross-certificate over {what} makes chains of more than {MAX_PATH} certificates below \
                     the root [V2G2-009]; certify the sub-CA 1 instead"
                ),
            }],
        });
    }
    recertify(
        &subject,
        &own,
        &Terms {
            profile,
            path_len: constraints.path_len_constraint,
            serial: request.serial,
            not_before: request.not_before,
            not_after: request.not_after,
            ocsp_url: request.ocsp_url.as_deref(),
            crl_url: request.crl_url.as_deref(),
        },
        issuer_algorithm,
        sign,
    )
}

/// Issues a link certificate between two roots of one PKI. `signer_algorithm` and `sign` are the new
/// root's for [`Link::OldWithNew`] and the old root's for [`Link::NewWithOld`].
///
/// A link certificate lets a holder of one root check the other before it installs it. It does not
/// belong into a TLS handshake: there it would be a fourth certificate below the root [V2G2-009].
///
/// # Errors
/// One of the two is no self-signed root; otherwise as [`build::build`].
pub fn link(
    (old, new): (&[u8], &[u8]),
    which: Link,
    profile: Profile,
    (serial, not_before): (&[u8], Timestamp),
    signer_algorithm: KeyAlgorithm,
    sign: &Sign<'_>,
) -> Result<Vec<u8>, BuildError> {
    let old = Certificate::from_der(old)?.tbs_certificate;
    let new = Certificate::from_der(new)?.tbs_certificate;
    let is_root = |tbs: &TbsCertificate| tbs.issuer == tbs.subject;
    if !is_root(&old) || !is_root(&new) || !profile.kind.is_root() {
        return Err(NOT_ROOTS);
    }
    let (subject, issuer) = match which {
        Link::OldWithNew => (&old, &new),
        Link::NewWithOld => (&new, &old),
    };
    let terms = Terms {
        profile,
        path_len: None,
        serial,
        not_before,
        not_after: None,
        ocsp_url: None,
        crl_url: None,
    };
    recertify(subject, issuer, &terms, signer_algorithm, sign)
}

struct Terms<'a> {
    profile: Profile,
    path_len: Option<u8>,
    serial: &'a [u8],
    not_before: Timestamp,
    not_after: Option<Timestamp>,
    ocsp_url: Option<&'a str>,
    crl_url: Option<&'a str>,
}

fn recertify(
    subject: &TbsCertificate,
    issuer: &TbsCertificate,
    terms: &Terms<'_>,
    algorithm: KeyAlgorithm,
    sign: &Sign<'_>,
) -> Result<Vec<u8>, BuildError> {
    let row = terms.profile.row();
    if !matches!(row.authority, Authority::Ca { .. }) {
        return Err(NOT_A_CA);
    }
    let key_id = |tbs: &TbsCertificate| -> Result<_, der::Error> {
        match tbs.get::<SubjectKeyIdentifier>()? {
            Some((_, id)) => Ok(id.0),
            None => build::key_id(&tbs.subject_public_key_info),
        }
    };
    let bounds = |validity: &Validity| (timestamp(&validity.not_before), timestamp(&validity.not_after));
    let (own, theirs) = (bounds(&issuer.validity), bounds(&subject.validity));
    let not_before = terms.not_before.max(own.0).max(theirs.0);
    // [V2G20-3000]: what the subject has issued must not outlive this certificate, so it lasts as long
    // as the subject's own where the issuer's end allows it.
    let not_after = terms.not_after.unwrap_or(theirs.1).min(own.1).min(theirs.1);
    if not_after <= not_before {
        return Err(OUTSIDE_VALIDITY);
    }
    let mut extensions = Vec::new();
    let mut add = |extension: &dyn build::ToExtension| -> Result<(), der::Error> {
        let made = extension.make(&subject.subject, &extensions)?;
        extensions.push(made);
        Ok(())
    };
    add(&Marked(
        true,
        BasicConstraints {
            ca: true,
            path_len_constraint: terms.path_len,
        },
    ))?;
    add(&Marked(true, KeyUsage(build::usage_flags(row.issued_usage)?)))?;
    add(&Marked(false, SubjectKeyIdentifier(key_id(subject)?)))?;
    add(&Marked(
        false,
        AuthorityKeyIdentifier {
            key_identifier: Some(key_id(issuer)?),
            ..Default::default()
        },
    ))?;
    if let Some(url) = terms.ocsp_url {
        add(&Marked(false, build::responder(url)?))?;
    }
    if let Some(url) = terms.crl_url {
        add(&Marked(false, build::distribution_point(url)?))?;
    }
    let tbs = TbsCertificate {
        version: Version::V3,
        serial_number: build::serial(terms.serial)?,
        signature: AlgorithmIdentifierOwned {
            oid: algorithm.signature_oid(),
            parameters: None,
        },
        issuer: issuer.subject.clone(),
        validity: Validity {
            not_before: build::asn1_time(not_before)?,
            not_after: build::asn1_time(not_after)?,
        },
        subject: subject.subject.clone(),
        subject_public_key_info: subject.subject_public_key_info.clone(),
        issuer_unique_id: None,
        subject_unique_id: None,
        extensions: Some(extensions),
    };
    let message = tbs.to_der()?;
    let faults: Vec<Fault> = lint::lint(&tbs, message.len() + build::SIGNATURE_ROOM, terms.profile)
        .into_iter()
        // The subject's name is what its own PKI gave it: changing it would break every chain below.
        .filter(|fault| fault.code != pki::DOMAIN_COMPONENT || row.domain_component_required)
        .collect();
    if !faults.is_empty() {
        return Err(BuildError::Lint {
            profile: terms.profile,
            faults,
        });
    }
    if certificate::key_algorithm(&issuer.subject_public_key_info) != Some(algorithm) {
        return Err(BuildError::Input("the signing key is not of the issuer's type"));
    }
    build::finish(tbs, &message, sign)
}

/// The root of a CA's own tree.
const fn root_of(kind: Kind) -> Kind {
    match kind {
        Kind::OemRoot | Kind::OemSub1 | Kind::OemSub2 => Kind::OemRoot,
        Kind::MoRoot | Kind::MoSub1 | Kind::MoSub2 => Kind::MoRoot,
        Kind::CsmsRoot | Kind::CsmsSub => Kind::CsmsRoot,
        _ => Kind::V2gRoot,
    }
}
