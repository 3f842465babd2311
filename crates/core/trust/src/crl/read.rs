//! Reading lists, bounded in octets and entries.

use core::fmt;

use der::asn1::{OctetString, Uint};
use der::{Decode as _, Reader as _, SliceReader, Tag, TagNumber};
use x509_cert::crl::RevokedCert;
use x509_cert::ext::pkix::crl::dp::IssuingDistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, CrlReason};
use x509_cert::ext::{Extension, Extensions};
use x509_cert::name::Name;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_cert::time::Time;

use super::{AUTHORITY, Crl, CrlError, DELTA, Entry, MAX_ENTRIES, MAX_OCTETS, NUMBER, POINT, REASON, Scope};
use crate::build::timestamp;
use crate::revocation::Reason;
use crate::signed::Signed;

fn malformed(error: impl fmt::Display) -> CrlError {
    CrlError::Malformed(error.to_string())
}

/// Reads a list.
///
/// # Errors
/// Too large, not a list, or one that cannot be used.
pub fn parse(der: &[u8]) -> Result<Crl, CrlError> {
    if der.len() > MAX_OCTETS {
        return Err(CrlError::TooLarge);
    }
    let signed = Signed::alone(der).map_err(malformed)?;
    let body = body(&signed).map_err(malformed)?;
    let mut crl = Crl {
        issuer: body.issuer,
        authority: None,
        this_update: timestamp(&body.this_update),
        next_update: body.next_update.as_ref().map(timestamp),
        number: None,
        base: None,
        scope: Scope::All,
        places: Vec::new(),
        entries: read_entries(body.entries)?,
        der: der.to_vec(),
    };
    read_extensions(&body.extensions, &mut crl)?;
    Ok(crl)
}

struct Body<'a> {
    issuer: Name,
    this_update: Time,
    next_update: Option<Time>,
    /// Inside `revokedCertificates`.
    entries: &'a [u8],
    extensions: Extensions,
}

/// Walked by hand: a list of version 1 has no version field, and entries are read one by one.
fn body<'a>(signed: &Signed<'a>) -> der::Result<Body<'a>> {
    let mut reader = SliceReader::new(signed.body)?;
    let body = reader.sequence(|tbs| {
        if tbs.peek_tag()? == Tag::Integer {
            let version: u8 = tbs.decode()?;
            if version != 1 {
                return Err(Tag::Integer.value_error());
            }
        }
        let algorithm: AlgorithmIdentifierOwned = tbs.decode()?;
        // Stated inside and outside the signed part; a difference is an attack.
        if algorithm != signed.algorithm {
            return Err(Tag::Sequence.value_error());
        }
        let issuer = tbs.decode()?;
        let this_update = tbs.decode()?;
        let next_update = match tbs.is_finished() {
            false if matches!(tbs.peek_tag()?, Tag::UtcTime | Tag::GeneralizedTime) => Some(tbs.decode()?),
            _ => None,
        };
        let entries = match tbs.is_finished() {
            false if tbs.peek_tag()? == Tag::Sequence => inside(tbs.tlv_bytes()?)?,
            _ => &[],
        };
        let extensions = tbs
            .context_specific::<Extensions>(TagNumber::N0, der::TagMode::Explicit)?
            .unwrap_or_default();
        Ok(Body {
            issuer,
            this_update,
            next_update,
            entries,
            extensions,
        })
    })?;
    reader.finish(body)
}

fn inside(tlv: &[u8]) -> der::Result<&[u8]> {
    let mut reader = SliceReader::new(tlv)?;
    let header: der::Header = reader.decode()?;
    reader.read_slice(header.length)
}

fn read_entries(octets: &[u8]) -> Result<Vec<Entry>, CrlError> {
    let mut found = Vec::new();
    if octets.is_empty() {
        return Ok(found);
    }
    let mut reader = SliceReader::new(octets).map_err(malformed)?;
    while !reader.is_finished() {
        if found.len() == MAX_ENTRIES {
            return Err(CrlError::TooLarge);
        }
        let entry: RevokedCert = reader.decode().map_err(malformed)?;
        let mut reason = Reason::Unspecified;
        for extension in entry.crl_entry_extensions.iter().flatten() {
            if extension.extn_id == REASON {
                let read = CrlReason::from_der(extension.extn_value.as_bytes()).map_err(malformed)?;
                reason = Reason::of(read);
            } else if extension.critical {
                // RFC 5280, 5.3: the list must then not be used at all. certificateIssuer is one of them.
                let oid = extension.extn_id;
                return Err(CrlError::Unusable(format!(
                    "an entry carries the critical extension {oid}"
                )));
            }
        }
        found.push(Entry {
            serial: entry.serial_number.as_bytes().into(),
            at: timestamp(&entry.revocation_date),
            reason,
        });
    }
    found.sort_by(|a, b| a.serial.cmp(&b.serial).then(a.at.cmp(&b.at)));
    Ok(found)
}

fn read_extensions(extensions: &Extensions, crl: &mut Crl) -> Result<(), CrlError> {
    let number = |octets: &[u8]| {
        let number = Uint::from_der(octets).map_err(malformed)?;
        let mut wide = [0; 8];
        let octets = number.as_bytes();
        let start = wide
            .len()
            .checked_sub(octets.len())
            .ok_or_else(|| malformed("a CRL number of more than 64 bits"))?;
        if let Some(place) = wide.get_mut(start..) {
            place.copy_from_slice(octets);
        }
        Ok::<u64, CrlError>(u64::from_be_bytes(wide))
    };
    for (index, extension) in extensions.iter().enumerate() {
        let again = |earlier: &Extension| earlier.extn_id == extension.extn_id;
        if extensions.iter().take(index).any(again) {
            return Err(malformed(format!("extension {} occurs twice", extension.extn_id)));
        }
        let value = extension.extn_value.as_bytes();
        match extension.extn_id {
            NUMBER => crl.number = Some(number(value)?),
            DELTA => crl.base = Some(number(value)?),
            POINT => point(value, crl)?,
            AUTHORITY => {
                let id = AuthorityKeyIdentifier::from_der(value).map_err(malformed)?;
                crl.authority = id.key_identifier.map(OctetString::into_bytes);
            }
            oid if extension.critical => {
                return Err(CrlError::Unusable(format!(
                    "it carries the critical extension {oid}"
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

/// RFC 5280, 5.2.5.
fn point(value: &[u8], crl: &mut Crl) -> Result<(), CrlError> {
    let point = IssuingDistributionPoint::from_der(value).map_err(malformed)?;
    let unusable = |why: &str| Err(CrlError::Unusable(why.to_owned()));
    if point.indirect_crl {
        return unusable("it is indirect");
    }
    if point.only_some_reasons.is_some() {
        return unusable("it holds some reasons only");
    }
    if point.only_contains_attribute_certs {
        return unusable("it is about attribute certificates");
    }
    crl.scope = match (point.only_contains_user_certs, point.only_contains_ca_certs) {
        (false, false) => Scope::All,
        (true, false) => Scope::Leaves,
        (false, true) => Scope::Cas,
        (true, true) => return unusable("it is about leaves only and CAs only"),
    };
    match point.distribution_point {
        None => {}
        Some(DistributionPointName::FullName(names)) => crl.places = uris(&names),
        Some(DistributionPointName::NameRelativeToCRLIssuer(_)) => {
            return unusable("its place is a relative name");
        }
    }
    Ok(())
}

pub(super) fn uris(names: &[GeneralName]) -> Vec<String> {
    names
        .iter()
        .map(|name| match name {
            GeneralName::UniformResourceIdentifier(uri) => uri.to_string(),
            // A place that no certificate of ours can name: the list then covers nothing.
            _ => String::new(),
        })
        .collect()
}
