//! Certificates in a bag: the certs-only CMS message (RFC 5652) in which EST answers (RFC 7030, 4.1.3).

use cms::cert::CertificateChoices;
use cms::content_info::{CmsVersion, ContentInfo};
use cms::revocation::RevocationInfoChoices;
use cms::signed_data::{CertificateSet, EncapsulatedContentInfo, SignedData, SignerInfos};
use der::asn1::{ObjectIdentifier, SetOfVec};
use der::{Any, Decode as _, Encode as _, Reader as _, SliceReader, Tag, TagNumber};
use gridlatch_vocab::{Code, catalogue::pki};
use thiserror::Error;
use x509_cert::Certificate;

/// The largest message that is read, in octets.
pub const MAX_OCTETS: usize = 256 * 1024;
/// How many certificates one message may hold.
pub const MAX_CERTIFICATES: usize = 64;

/// A message was not read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CmsError {
    /// Larger than [`MAX_OCTETS`], or more than [`MAX_CERTIFICATES`].
    #[error(
        "the message is larger than {MAX_OCTETS} octets or holds more than {MAX_CERTIFICATES} certificates"
    )]
    TooLarge,
    /// Not a CMS SignedData in DER.
    #[error("not a certs-only CMS message in DER: {0}")]
    Malformed(String),
}

impl CmsError {
    /// The row of the catalogue.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::TooLarge => pki::CMS_TOO_LARGE,
            Self::Malformed(_) => pki::CMS_MALFORMED,
        }
    }
}

/// Puts certificates (DER) into a certs-only message. The message is a set: order is not kept and
/// duplicates go, so readers sort by issuer.
///
/// # Errors
/// One of them is not a certificate.
pub fn certs_only(certificates: &[Vec<u8>]) -> Result<Vec<u8>, der::Error> {
    let mut unique: Vec<&Vec<u8>> = certificates.iter().collect();
    unique.sort();
    unique.dedup();
    let set = unique
        .into_iter()
        .map(|der| Certificate::from_der(der).map(CertificateChoices::Certificate))
        .collect::<Result<Vec<_>, _>>()?;
    let message = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::default(),
        encap_content_info: EncapsulatedContentInfo {
            econtent_type: const_oid::db::rfc5911::ID_DATA,
            econtent: None,
        },
        certificates: Some(CertificateSet(SetOfVec::try_from(set)?)),
        // OpenSSL writes the empty set too.
        crls: Some(RevocationInfoChoices(SetOfVec::default())),
        signer_infos: SignerInfos(SetOfVec::default()),
    };
    ContentInfo {
        content_type: const_oid::db::rfc5911::ID_SIGNED_DATA,
        content: Any::encode_from(&message)?,
    }
    .to_der()
}

/// The certificates of a message, as they were sent and in the message's order. A signature over
/// content, if there is one, is not checked; each certificate is judged by itself later.
///
/// # Errors
/// Not such a message, or larger than the bounds.
pub fn parse_certs_only(der: &[u8]) -> Result<Vec<Vec<u8>>, CmsError> {
    if der.len() > MAX_OCTETS {
        return Err(CmsError::TooLarge);
    }
    let octets = walk(der).map_err(|error| CmsError::Malformed(error.to_string()))?;
    let mut reader = SliceReader::new(octets).map_err(|error| CmsError::Malformed(error.to_string()))?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        let next = reader
            .tlv_bytes()
            .map_err(|error| CmsError::Malformed(error.to_string()))?;
        // Attribute certificates and other formats carry a context tag; nothing here reads them.
        if next.first() != Some(&u8::from(Tag::Sequence)) {
            continue;
        }
        if found.len() == MAX_CERTIFICATES {
            return Err(CmsError::TooLarge);
        }
        found.push(next.to_vec());
    }
    Ok(found)
}

/// Down to the octets of `certificates [0] IMPLICIT CertificateSet`; empty if it is absent. The set is
/// walked by hand, because other stacks neither sort it nor avoid duplicates as DER wants.
fn walk(der: &[u8]) -> der::Result<&[u8]> {
    let mut reader = SliceReader::new(der)?;
    let outer = reader.sequence(|info| {
        let kind: ObjectIdentifier = info.decode()?;
        if kind != const_oid::db::rfc5911::ID_SIGNED_DATA {
            return Err(Tag::ObjectIdentifier.value_error());
        }
        let header = explicit(info.tlv_bytes()?)?;
        Ok(header)
    })?;
    let outer = reader.finish(outer)?;
    let mut reader = SliceReader::new(outer)?;
    let set = reader.sequence(|data| {
        data.tlv_bytes()?; // version
        data.tlv_bytes()?; // digestAlgorithms
        data.tlv_bytes()?; // encapContentInfo
        let mut set: &[u8] = &[];
        while !data.is_finished() {
            let part = data.tlv_bytes()?;
            if part.first() == Some(&CERTIFICATES) {
                set = explicit(part)?;
            }
        }
        Ok(set)
    })?;
    reader.finish(set)
}

/// `[0]`, constructed.
const CERTIFICATES: u8 = 0xa0;

/// What stands inside `[0]`.
fn explicit(tlv: &[u8]) -> der::Result<&[u8]> {
    let mut reader = SliceReader::new(tlv)?;
    let header: der::Header = reader.decode()?;
    let wanted = Tag::ContextSpecific {
        constructed: true,
        number: TagNumber::N0,
    };
    header.tag.assert_eq(wanted)?;
    reader.read_slice(header.length)
}
