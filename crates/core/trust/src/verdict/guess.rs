//! What a leaf of unknown origin seems to be.

use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage};

use crate::certificate::{self, CertificateError, Names};
use crate::profile::{CommonName, Kind, Profile};
use crate::{Generation, KeyAlgorithm, lint};

/// The profile that fits a certificate (DER) best, and by which sign it was chosen. A guess: the same
/// certificate may be judged as another kind.
///
/// # Errors
/// Not a certificate.
pub fn guess(der: &[u8]) -> Result<(Profile, &'static str), CertificateError> {
    let tbs = certificate::parse(der)?.tbs_certificate;
    let generation = match certificate::key_algorithm(&tbs.subject_public_key_info) {
        Some(KeyAlgorithm::P521 | KeyAlgorithm::Ed448) => Generation::Iso20,
        _ => Generation::Iso2,
    };
    let names = certificate::names(&tbs.subject);
    let constraints = tbs.get::<BasicConstraints>().ok().flatten().map(|(_, bc)| bc);
    let (kind, sign) = match constraints.filter(|bc| bc.ca) {
        Some(bc) => (
            authority(&names, tbs.subject == tbs.issuer, bc.path_len_constraint),
            "it is a CA",
        ),
        None => {
            let purposes = tbs.get::<ExtendedKeyUsage>().ok().flatten();
            let has = |oid| purposes.as_ref().is_some_and(|(_, found)| found.0.contains(&oid));
            if has(const_oid::db::rfc5280::ID_KP_OCSP_SIGNING) {
                (Kind::OcspSigner, "the purpose OCSPSigning")
            } else {
                leaf(&names, generation, &tbs).unwrap_or_else(|| {
                    if has(const_oid::db::rfc5280::ID_KP_SERVER_AUTH) {
                        (Kind::CsmsServer, "the purpose serverAuth")
                    } else if has(const_oid::db::rfc5280::ID_KP_CLIENT_AUTH) {
                        (Kind::StationClient, "the purpose clientAuth")
                    } else {
                        (Kind::SeccLeaf, "nothing else fits")
                    }
                })
            }
        }
    };
    let generation = match kind.row().world {
        crate::profile::World::V2g => generation,
        crate::profile::World::Ocpp => Generation::Iso2,
    };
    Ok((Profile { kind, generation }, sign))
}

fn leaf(
    names: &Names,
    generation: Generation,
    tbs: &x509_cert::TbsCertificate,
) -> Option<(Kind, &'static str)> {
    const CONTRACT: u16 = crate::profile::usage::NON_REPUDIATION;
    let vehicle = match generation {
        Generation::Iso2 => Kind::OemProvisioning,
        Generation::Iso20 => Kind::VehicleLeaf,
    };
    match names.domain_component.as_deref() {
        Some("CPO") => return Some((Kind::SeccLeaf, "the domain component CPO")),
        Some("CPS") => return Some((Kind::CpsLeaf, "the domain component CPS")),
        Some("OEM") => return Some((vehicle, "the domain component OEM")),
        Some("MO") => return Some((Kind::ContractLeaf, "the domain component MO")),
        _ => {}
    }
    let name = names.common_name.as_deref()?;
    if CommonName::Emaid.accepts(name) && lint::key_usage(tbs).is_some_and(|(_, bits)| bits & CONTRACT != 0) {
        Some((Kind::ContractLeaf, "a common name like an EMAID"))
    } else if name.contains('*') && CommonName::Secc.accepts(name) {
        Some((Kind::SeccLeaf, "a common name like an EVSEID"))
    } else if CommonName::Pcid.accepts(name) {
        Some((vehicle, "a common name like a PCID"))
    } else {
        None
    }
}

fn authority(names: &Names, root: bool, path_len: Option<u8>) -> Kind {
    let pick = |kinds: [Kind; 3]| {
        let [first, one, two] = kinds;
        match (root, path_len) {
            (true, _) => first,
            (false, Some(0)) => two,
            (false, _) => one,
        }
    };
    match names.domain_component.as_deref() {
        Some("OEM") => pick([Kind::OemRoot, Kind::OemSub1, Kind::OemSub2]),
        Some("MO") => pick([Kind::MoRoot, Kind::MoSub1, Kind::MoSub2]),
        Some("CPS") => pick([Kind::V2gRoot, Kind::CpsSub1, Kind::CpsSub2]),
        _ => pick([Kind::V2gRoot, Kind::CpoSub1, Kind::CpoSub2]),
    }
}
