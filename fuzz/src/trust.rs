//! The parsers of the trust core: what anybody may send to a CA, a responder or a verdict.

use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_trust::revocation::Status;
use gridlatch_trust::trust_list::{self, TrustList};
use gridlatch_trust::verdict::{self, AllowedPlaces, Case, Evidence, Policy, Source};
use gridlatch_trust::{
    KeyAlgorithm, Verify, certificate, cms as messages, crl as lists, csr as requests, ocsp,
};
use gridlatch_vocab::Timestamp;

/// Every signature holds, so that what lies behind it is reached too.
struct Yes;

impl Verify for Yes {
    fn verify(&self, _: KeyAlgorithm, _: &[u8], _: &[u8], _: &[u8]) -> Option<bool> {
        Some(true)
    }
}

fn now() -> Timestamp {
    Timestamp::from_unix_millis(1_800_000_000_000)
}

/// A certification request.
pub(crate) fn csr(data: &[u8]) {
    if let Ok(der) = requests::from_pem(data) {
        assert!(der.len() < data.len());
    }
    if let Ok(csr) = requests::parse(data, &Yes) {
        let name = csr.subject.common_name.unwrap_or_default();
        assert!(!name.contains('\0'), "a NUL came through");
        assert!(csr.alt_names.len() <= requests::MAX_PARTS);
    }
}

/// An address as a certificate names it, and the places that may be asked: what is asked is one of them.
pub(crate) fn places(data: &[u8]) {
    let Ok(url) = core::str::from_utf8(data) else {
        return;
    };
    let allowed = ["ocsp.example", "[::1]:8080", "127.0.0.1"];
    let places = AllowedPlaces::new(allowed.map(str::to_owned));
    if let Some((place, path)) = places.allows(url) {
        assert!(["ocsp.example:80", "[::1]:8080", "127.0.0.1:80"].contains(&place.as_str()));
        assert!(path.starts_with('/') && path.bytes().all(|octet| octet.is_ascii_graphic()));
    }
}

/// A revocation list.
pub(crate) fn crl(data: &[u8]) {
    if let Ok(list) = lists::parse(data) {
        assert!(list.len() <= data.len());
        let _ = list.status(&[1]);
        let _ = format!("{list:?}");
        assert!(!list.completes(&list), "a delta is not its own base");
    }
}

/// An OCSP question; one that is read is written again and read as the same.
pub(crate) fn ocsp_request(data: &[u8]) {
    if let Ok(request) = ocsp::parse_request(data) {
        assert!((1..=ocsp::MAX_IDS).contains(&request.ids.len()));
        // A serial number of more than 20 octets is read and not written.
        if let Ok(again) = ocsp::build_request(&request) {
            assert_eq!(ocsp::parse_request(&again).as_ref(), Ok(&request));
        }
    }
}

/// An OCSP answer.
pub(crate) fn ocsp_response(data: &[u8]) {
    if let Ok(response) = ocsp::parse_response(data) {
        for certificate in &response.certs {
            let _ = ocsp::read_staple(data, certificate, certificate, now(), &Yes);
            let _ = ocsp::verify_response(
                &response,
                certificate,
                &[4],
                ocsp::NonceRule::NotSent,
                now(),
                &Yes,
            );
        }
    }
}

/// A certs-only message.
pub(crate) fn cms(data: &[u8]) {
    if let Ok(certificates) = messages::parse_certs_only(data) {
        assert!(certificates.len() <= messages::MAX_CERTIFICATES);
        let _ = messages::certs_only(&certificates);
    }
}

/// Everything a verdict takes: numbered parts, each a kind in one byte, a length in two, and its octets.
/// Kinds: 0 sent, 1 anchor, 2 further certificate, 3 revocation list, 4 OCSP answer.
pub(crate) fn judge(data: &[u8]) {
    let mut parts: [Vec<Vec<u8>>; 3] = Default::default();
    let mut evidence = Evidence::default();
    let mut rest = data;
    while let Some(([kind, high, low], tail)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(tail.len());
        let (part, tail) = tail.split_at(length);
        rest = tail;
        match kind % 5 {
            3 => drop(evidence.add_crl(part)),
            4 => drop(evidence.add_ocsp(part, Source::Stapled)),
            kind => {
                if let Some(list) = parts.get_mut(usize::from(kind)) {
                    list.push(part.to_vec());
                }
            }
        }
    }
    let [chain, anchors, extra] = &parts;
    for profile in [Profile::iso2(Kind::SeccLeaf), Profile::iso20(Kind::ContractLeaf)] {
        let case = Case {
            chain,
            anchors,
            extra,
            profile,
            now: now(),
            evidence: &evidence,
            policy: Policy::default(),
        };
        let judgement = verdict::judge(&case, &Yes);
        assert!(judgement.tried.len() <= verdict::MAX_TRIED);
        assert_eq!(judgement.accepted.is_some(), judgement.reason().is_none());
        if let Some(accepted) = &judgement.accepted {
            assert!(anchors.contains(&accepted.anchor) && accepted.path.len() <= verdict::MAX_PATH);
            assert!(
                judgement
                    .revocation
                    .iter()
                    .all(|c| !matches!(c.status, Status::Revoked { .. }))
            );
        }
        let _ = verdict::proposals(&case, &judgement);
        let _ = verdict::clock_hint(&case, &judgement, &Yes);
        let _ = verdict::findings(chain, profile);
    }
    if let Some(leaf) = chain.first() {
        let _ = verdict::guess(leaf);
    }
}

/// A signed list of roots.
pub(crate) fn trust_list(data: &[u8]) {
    for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::Ed448] {
        if let Ok(list) = TrustList::verify(data, (algorithm, &[]), Some(0), now(), &Yes) {
            assert!(list.number > 0, "an old list came back");
            assert!(list.roots.len() <= trust_list::MAX_ROOTS);
        }
    }
}

/// Certificates in PEM, as OCPP and files carry them.
pub(crate) fn pem(data: &[u8]) {
    if let Ok(certificates) = certificate::from_pem(data) {
        assert!(certificates.len() <= certificate::MAX_PEM);
        let text: String = certificates.iter().map(|der| certificate::to_pem(der)).collect();
        assert_eq!(
            certificate::from_pem(text.as_bytes()).as_ref(),
            Ok(&certificates),
            "PEM does not come back"
        );
        for der in &certificates {
            let _ = (
                certificate::summary(der),
                certificate::emaid_of(der),
                certificate::subject_key_id(der),
                certificate::public_key_der(der),
                lists::distribution_points(der),
                verdict::guess(der),
            );
        }
        let _ = verdict::findings(&certificates, Profile::iso2(Kind::ContractLeaf));
    }
}
