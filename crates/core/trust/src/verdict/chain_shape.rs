//! Oddities of a chain that do not decide anything here, and that other stacks stumble over.

use der::Decode as _;
use gridlatch_vocab::{Code, catalogue::pki};
use x509_cert::Certificate;
use x509_cert::ext::pkix::ExtendedKeyUsage;
use x509_cert::name::Name;

use super::MAX_SENT;
use super::link::Link;
use crate::certificate;
use crate::profile::Profile;

/// One oddity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The row of the catalogue.
    pub code: Code,
    /// Which certificate, and what is odd. A leaf is named by its position.
    pub message: String,
}

/// Everything odd about `chain` as it was sent (DER, leaf first), for a leaf of `profile`.
#[must_use]
pub fn findings(chain: &[Vec<u8>], profile: Profile) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut links: Vec<(usize, Link<'_>)> = Vec::new();
    for (index, der) in chain.iter().take(MAX_SENT * 4).enumerate() {
        let position = index + 1;
        match Link::read(der, position) {
            Ok(link) => {
                by_itself(&link, position, profile, &mut found);
                links.push((index, link));
            }
            Err(rejected) => {
                let why = Certificate::from_der(der)
                    .err()
                    .map_or(rejected.message, |error| error.to_string());
                add(
                    &mut found,
                    rejected.code,
                    format!("certificate {position} cannot be read: {why}"),
                );
            }
        }
    }
    twice(&links, &mut found);
    order(&links, &mut found);
    found
}

fn add(found: &mut Vec<Finding>, code: Code, message: String) {
    found.push(Finding { code, message });
}

fn called(link: &Link<'_>, position: usize) -> String {
    if link.is_ca {
        format!("certificate {position} ({:?})", link.subject)
    } else {
        format!("certificate {position} (a leaf)")
    }
}

fn by_itself(link: &Link<'_>, position: usize, profile: Profile, found: &mut Vec<Finding>) {
    let tbs = &link.certificate.tbs_certificate;
    let who = called(link, position);
    if let Some(fault) = odd_serial(link) {
        add(found, pki::ODD_SERIAL, format!("{who}: {fault}"));
    }
    if odd_name(link) {
        add(found, pki::ODD_NAME, format!("{who}: {ODD_NAME}"));
    }
    let purposes = tbs.get::<ExtendedKeyUsage>().ok().flatten();
    if let Some((_, purposes)) = purposes {
        let wanted = profile.row().purposes;
        let odd = link.is_ca || (position == 1 && wanted.is_empty());
        if odd {
            let names: Vec<String> = purposes.0.iter().map(purpose).collect();
            add(
                found,
                pki::ODD_PURPOSE,
                format!(
                    "{who}: carries extended key usage ({}), which Annex F of ISO 15118-2 does not know; stacks that \
                     apply purposes to CAs as well may refuse it",
                    names.join(", ")
                ),
            );
        }
    }
    if link.is_ca && certificate::key_algorithm(&tbs.subject_public_key_info).is_none() {
        add(
            found,
            pki::WRONG_CURVE,
            format!(
                "{who}: its key is {}, which no profile allows",
                certificate::key_kind(&tbs.subject_public_key_info)
            ),
        );
    }
}

/// Whether every part of a name is text without control characters.
fn readable(name: &Name) -> bool {
    name.0
        .iter()
        .flat_map(|part| part.0.iter())
        .all(|attribute| certificate::text(&attribute.value).is_some())
}

fn purpose(oid: &const_oid::ObjectIdentifier) -> String {
    use const_oid::db::rfc5280 as ids;
    let name = match *oid {
        ids::ID_KP_SERVER_AUTH => "serverAuth",
        ids::ID_KP_CLIENT_AUTH => "clientAuth",
        ids::ID_KP_OCSP_SIGNING => "OCSPSigning",
        ids::ID_KP_CODE_SIGNING => "codeSigning",
        ids::ID_KP_EMAIL_PROTECTION => "emailProtection",
        ids::ID_KP_TIME_STAMPING => "timeStamping",
        ids::ANY_EXTENDED_KEY_USAGE => "any",
        _ => return oid.to_string(),
    };
    name.to_owned()
}

fn twice(links: &[(usize, Link<'_>)], found: &mut Vec<Finding>) {
    for (at, (index, link)) in links.iter().enumerate() {
        let earlier = links.iter().take(at).find(|(_, other)| other.der == link.der);
        if let Some((first, _)) = earlier {
            add(
                found,
                pki::SENT_TWICE,
                format!("certificate {} is certificate {} again", index + 1, first + 1),
            );
        }
    }
}

/// Each certificate shall be followed by its issuer (RFC 5246, 7.4.2), and the root stays at home.
fn order(links: &[(usize, Link<'_>)], found: &mut Vec<Finding>) {
    let mut out_of_order = false;
    for (at, (index, link)) in links.iter().enumerate() {
        let who = called(link, index + 1);
        if link.is_self_issued() {
            if link.is_ca && links.len() > 1 {
                let text = format!("{who} is a root; it was sent and proves nothing");
                add(found, pki::ROOT_SENT, text);
            }
            continue;
        }
        let next = links.get(at + 1);
        let follows = next.is_some_and(|(_, next)| next.may_have_issued(link));
        let elsewhere = links.iter().any(|(_, other)| other.may_have_issued(link));
        out_of_order |= !follows && elsewhere;
        let used = links.iter().any(|(_, other)| link.may_have_issued(other));
        if at > 0 && !used && links.iter().take(at).all(|(_, other)| other.der != link.der) {
            let text = format!("{who} has issued none of the certificates sent");
            add(found, pki::UNRELATED, text);
        }
    }
    if out_of_order {
        add(
            found,
            pki::WRONG_ORDER,
            "a certificate is not followed by its issuer, though the issuer was sent".to_owned(),
        );
    }
}

pub(super) const ODD_NAME: &str = "a name holds a NUL or another character that readers cut or hide";

/// What is wrong with the serial number.
pub(super) fn odd_serial(link: &Link<'_>) -> Option<String> {
    let serial = link.certificate.tbs_certificate.serial_number.as_bytes();
    let fault = if serial.first().is_some_and(|octet| octet & 0x80 != 0) {
        "is negative"
    } else if serial.iter().all(|octet| *octet == 0) {
        "is zero"
    } else if serial.len() > 20 {
        "has more than 20 octets"
    } else {
        return None;
    };
    Some(format!("its serial number {fault} (RFC 5280 section 4.1.2.2)"))
}

pub(super) fn odd_name(link: &Link<'_>) -> bool {
    let tbs = &link.certificate.tbs_certificate;
    !readable(&tbs.subject) || !readable(&tbs.issuer)
}
