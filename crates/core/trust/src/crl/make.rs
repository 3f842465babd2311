//! Making lists.

use der::Decode as _;
use der::Encode as _;
use der::asn1::{BitString, OctetString, Uint};
use gridlatch_vocab::Timestamp;
use x509_cert::Certificate;
use x509_cert::crl::{CertificateList, RevokedCert, TbsCertList};
use x509_cert::ext::pkix::crl::{BaseCrlNumber, CrlNumber, FreshestCrl};
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, SubjectKeyIdentifier};
use x509_cert::ext::{Extension, Extensions};
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::{AUTHORITY, DELTA, FRESHEST, MAX_ENTRIES, NUMBER, REASON};
use crate::KeyAlgorithm;
use crate::build::{BuildError, Sign, asn1_time, distribution_point, key_id};
use crate::revocation::{Reason, Revoked, serial_content, serial_number};

/// A list to be made.
#[derive(Debug, Clone, Copy)]
pub struct CrlRequest<'a> {
    /// The CA whose list it is (DER).
    pub issuer: &'a [u8],
    /// Grows with each list of this CA, full or delta.
    pub number: u64,
    /// For a delta: the number of the full list it completes.
    pub base: Option<u64>,
    /// When it is made.
    pub this_update: Timestamp,
    /// Before when the next one comes.
    pub next_update: Timestamp,
    /// What is revoked; in a delta, what has changed since.
    pub revoked: &'a [Revoked],
    /// Where deltas to this full list are published; OpenSSL looks at deltas only if a list says so.
    pub delta_url: Option<&'a str>,
}

/// Builds a list and has it signed by the issuer's key.
///
/// # Errors
/// The numbers, times or entries contradict each other, or the key refused.
pub fn build(
    request: &CrlRequest<'_>,
    algorithm: KeyAlgorithm,
    sign: &Sign<'_>,
) -> Result<Vec<u8>, BuildError> {
    if request.base.is_some_and(|base| base >= request.number) {
        return Err(BuildError::Input(
            "a delta must have a greater number than its base",
        ));
    }
    if request.next_update <= request.this_update {
        return Err(BuildError::Input("the next list must come after this one"));
    }
    if request.revoked.len() > MAX_ENTRIES {
        return Err(BuildError::Input("more entries than a list may have"));
    }
    let issuer = Certificate::from_der(request.issuer)?.tbs_certificate;
    let signature = AlgorithmIdentifierOwned {
        oid: algorithm.signature_oid(),
        parameters: None,
    };
    let entries = entries(request)?;
    let tbs = TbsCertList {
        version: x509_cert::Version::V2,
        signature: signature.clone(),
        this_update: asn1_time(request.this_update)?,
        next_update: Some(asn1_time(request.next_update)?),
        revoked_certificates: (!entries.is_empty()).then_some(entries),
        crl_extensions: Some(list_extensions(request, &issuer)?),
        issuer: issuer.subject,
    };
    let signed = sign(&tbs.to_der()?).map_err(BuildError::Sign)?;
    let list = CertificateList {
        tbs_cert_list: tbs,
        signature_algorithm: signature,
        signature: BitString::from_bytes(&signed)?,
    };
    Ok(list.to_der()?)
}

fn entries(request: &CrlRequest<'_>) -> Result<Vec<RevokedCert>, BuildError> {
    let mut serials: Vec<Vec<u8>> = request
        .revoked
        .iter()
        .map(|entry| serial_content(&entry.serial))
        .collect();
    serials.sort();
    if serials.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(BuildError::Input("a serial number is listed twice"));
    }
    request
        .revoked
        .iter()
        .map(|entry| {
            if entry.reason == Reason::RemoveFromCrl && request.base.is_none() {
                return Err(BuildError::Input("removeFromCRL belongs into a delta"));
            }
            Ok(RevokedCert {
                serial_number: serial_number(&entry.serial)?,
                revocation_date: asn1_time(entry.at)?,
                // RFC 5280, 5.3.1: an unspecified reason is left out.
                crl_entry_extensions: (entry.reason != Reason::Unspecified)
                    .then(|| extension(REASON, false, &entry.reason.to_asn1()).map(|reason| vec![reason]))
                    .transpose()?,
            })
        })
        .collect()
}

fn list_extensions(
    request: &CrlRequest<'_>,
    issuer: &x509_cert::TbsCertificate,
) -> Result<Extensions, BuildError> {
    let key_identifier = Some(match issuer.get::<SubjectKeyIdentifier>()? {
        Some((_, id)) => id.0,
        None => key_id(&issuer.subject_public_key_info)?,
    });
    let authority = AuthorityKeyIdentifier {
        key_identifier,
        ..Default::default()
    };
    let number = |number: u64| Uint::new(&number.to_be_bytes());
    let mut extensions = vec![
        extension(AUTHORITY, false, &authority)?,
        extension(NUMBER, false, &CrlNumber(number(request.number)?))?,
    ];
    if let Some(base) = request.base {
        extensions.push(extension(DELTA, true, &BaseCrlNumber(number(base)?))?);
    } else if let Some(url) = request.delta_url {
        extensions.push(extension(
            FRESHEST,
            false,
            &FreshestCrl(distribution_point(url)?.0),
        )?);
    }
    Ok(extensions)
}

fn extension(
    oid: const_oid::ObjectIdentifier,
    critical: bool,
    value: &impl der::Encode,
) -> der::Result<Extension> {
    Ok(Extension {
        extn_id: oid,
        critical,
        extn_value: OctetString::new(value.to_der()?)?,
    })
}
