//! Who asks: by a certificate of this CA, or by a name and a secret.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use der::Encode as _;
use gridlatch_trust::build::AltName;
use gridlatch_trust::certificate;
use gridlatch_trust::csr::Csr;
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::Code;
use gridlatch_vocab::catalogue::enrolment;
use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use super::clients::Clients;
use crate::ca::{Ca, CaError, Record, Requester, Role, Serial};

/// A client that is known.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) requester: Requester,
    /// A person looks at each of its requests.
    pub(super) supervised: bool,
}

/// A certificate of this CA that the client has the key of.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) parsed: Certificate,
    pub(super) record: Record,
}

/// Why somebody is not known.
#[derive(Debug)]
pub(super) enum Unknown {
    /// Neither a password nor a certificate.
    Nothing,
    /// What was given does not count.
    Refused(Code, &'static str),
    /// It could not be checked.
    Failed(CaError),
}

/// Who asks, by password if one is given and else by certificate.
pub(super) async fn identify(
    ca: &Ca,
    clients: &Clients,
    headers: &HeaderMap,
    chain: &[Vec<u8>],
) -> Result<Identity, Unknown> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let found = value.to_str().ok().and_then(|value| by_header(clients, value));
        return match found {
            Some((requester, supervised)) => Ok(Identity {
                requester,
                supervised,
            }),
            None => Err(Unknown::Refused(
                enrolment::UNAUTHENTICATED,
                "the name or the secret is not one of a client here",
            )),
        };
    }
    let held = held(ca, chain).await?;
    let requester = holder(&held).ok_or(Unknown::Refused(
        enrolment::UNAUTHENTICATED,
        "a certificate of this kind lets nobody enrol",
    ))?;
    Ok(Identity {
        requester,
        supervised: false,
    })
}

fn by_header(clients: &Clients, value: &str) -> Option<(Requester, bool)> {
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return clients.by_token(rest);
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    let (name, secret) = text.split_once(':')?;
    clients.by_password(name, secret)
}

/// The client's certificate, if this CA issued it and has not taken it back. TLS has verified its chain
/// and that the client has the key.
pub(super) async fn held(ca: &Ca, chain: &[Vec<u8>]) -> Result<Held, Unknown> {
    let leaf = chain.first().ok_or(Unknown::Nothing)?;
    let foreign = || {
        Unknown::Refused(
            enrolment::UNAUTHENTICATED,
            "the client's certificate was not issued by this CA",
        )
    };
    let parsed = certificate::parse(leaf).map_err(|_| foreign())?;
    let issuer = parsed.tbs_certificate.issuer.to_der().map_err(|_| foreign())?;
    let serial = Serial::from_octets(parsed.tbs_certificate.serial_number.as_bytes()).ok_or_else(foreign)?;
    // A retired CA keeps its name beside its successor's, so every CA of that name is asked.
    for authority in ca.authorities() {
        let named = certificate::parse(&authority.der)
            .ok()
            .and_then(|certificate| certificate.tbs_certificate.subject.to_der().ok())
            .is_some_and(|subject| subject == issuer);
        if !named {
            continue;
        }
        let found = ca.find(&authority.name, serial).await.map_err(Unknown::Failed)?;
        if let Some(record) = found.filter(|record| record.der == *leaf) {
            if record.revoked.is_some() {
                return Err(Unknown::Refused(
                    enrolment::NOTHING_TO_RENEW,
                    "the client's certificate was revoked",
                ));
            }
            return Ok(Held { parsed, record });
        }
    }
    Err(foreign())
}

/// As what the holder of a certificate may ask for further ones.
fn holder(held: &Held) -> Option<Requester> {
    let role = match held.record.kind? {
        Kind::StationClient | Kind::SeccLeaf => Role::Station,
        Kind::VehicleLeaf | Kind::OemProvisioning => Role::Vehicle,
        Kind::CpsLeaf => Role::Cps,
        _ => return None,
    };
    let id = certificate::names(&held.parsed.tbs_certificate.subject).common_name?;
    Some(Requester { role, id })
}

/// On whose behalf a certificate is issued again: whoever asked for it the first time, so that what the
/// policy takes from them ends with the certificate.
pub(super) fn renewer(held: &Held) -> Option<Requester> {
    let (role, id) = held.record.requester.split_once(':')?;
    let role: Role = role.parse().ok()?;
    // What the development PKI made for itself, it made for whoever runs it.
    let role = if role == Role::Ca { Role::Operator } else { role };
    // A vehicle's name is masked in the record; the certificate has it.
    if role == Role::Vehicle {
        return holder(held);
    }
    Some(Requester {
        role,
        id: id.to_owned(),
    })
}

/// RFC 7030, 4.2.2: the same subject and the same alternative names as the certificate that is renewed.
pub(super) fn same_names(held: &Certificate, request: &[u8], csr: &Csr) -> bool {
    use der::Decode as _;
    let Ok(asked) = x509_cert::request::CertReq::from_der(request) else {
        return false;
    };
    let mut own = alt_names(held);
    let mut wanted = csr.alt_names.clone();
    let text = |name: &AltName| format!("{name:?}");
    own.sort_by_key(text);
    wanted.sort_by_key(text);
    attributes(&held.tbs_certificate.subject) == attributes(&asked.info.subject) && own == wanted
}

/// What a name says, whatever string types and order it says it in.
fn attributes(name: &Name) -> Vec<(const_oid::ObjectIdentifier, Vec<u8>)> {
    let mut attributes: Vec<_> = name
        .0
        .iter()
        .flat_map(|part| part.0.iter())
        .map(|attribute| (attribute.oid, attribute.value.value().to_vec()))
        .collect();
    attributes.sort();
    attributes
}

fn alt_names(certificate: &Certificate) -> Vec<AltName> {
    let names = certificate.tbs_certificate.get::<SubjectAltName>().ok().flatten();
    names
        .map(|(_, names)| names.0)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|name| match name {
            GeneralName::DnsName(name) => Some(AltName::Dns(name.to_string())),
            GeneralName::IpAddress(octets) => Some(AltName::Ip(octets.as_bytes().to_vec())),
            _ => None,
        })
        .collect()
}
