//! What a certificate below the root must be by itself, whatever its profile: plain enough that everybody reads the
//! same in it. Anchors are exempt: whoever installed one trusts it as it is.

use gridlatch_vocab::catalogue::pki;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName,
    SubjectKeyIdentifier,
};
use x509_cert::{TbsCertificate, Version};

use super::Rejected;
use super::chain_shape::{ODD_NAME, odd_name, odd_serial};
use super::link::Link;
use crate::{certificate, signature};

/// # Errors
/// The serial number is one that a revocation list cannot name for all its readers (a zero is told and believed: CAs
/// in use issue it), a name is cut by some readers, an extension that decides cannot be read, or the key is none.
pub(super) fn check(link: &Link<'_>, depth: usize) -> Result<(), Rejected> {
    let tbs = &link.certificate.tbs_certificate;
    let zero = tbs.serial_number.as_bytes().iter().all(|octet| *octet == 0);
    if let Some(fault) = odd_serial(link).filter(|_| !zero) {
        return Err(link.rejected(pki::ODD_SERIAL, depth, &fault));
    }
    if odd_name(link) {
        return Err(link.rejected(pki::ODD_NAME, depth, ODD_NAME));
    }
    let malformed = |why: &str| Err(link.rejected(pki::MALFORMED, depth, why));
    if tbs.version != Version::V3 {
        return malformed("it is not of version 3, which alone has extensions (RFC 5280 section 4.1.2.1)");
    }
    if tbs.subject.0.is_empty() && !tbs.get::<SubjectAltName>().is_ok_and(|names| names.is_some()) {
        return malformed("it names nobody: no subject, and no alternative name");
    }
    if let Some(which) = unreadable(tbs) {
        return malformed(&format!("its {which} cannot be read"));
    }
    let key = &tbs.subject_public_key_info;
    let bits = key.subject_public_key.as_bytes().unwrap_or_default();
    if certificate::key_algorithm(key).is_some_and(|algorithm| !signature::is_key(algorithm, bits)) {
        return malformed("its key is no point of its curve");
    }
    Ok(())
}

/// Extensions that decide: one that is there and cannot be read must not count as absent.
fn unreadable(tbs: &TbsCertificate) -> Option<&'static str> {
    [
        ("basicConstraints", tbs.get::<BasicConstraints>().is_err()),
        ("keyUsage", tbs.get::<KeyUsage>().is_err()),
        ("extKeyUsage", tbs.get::<ExtendedKeyUsage>().is_err()),
        ("subjectKeyIdentifier", tbs.get::<SubjectKeyIdentifier>().is_err()),
        (
            "authorityKeyIdentifier",
            tbs.get::<AuthorityKeyIdentifier>().is_err(),
        ),
    ]
    .into_iter()
    .find_map(|(name, fault)| fault.then_some(name))
}
