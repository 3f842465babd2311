//! What services read beside their protocols: key URIs, certificate messages of OCPP.

use gridlatch_keys::KeyUri;
use gridlatch_ocpp::{Request, decode, v21, v201};
use gridlatch_tls::hello::{Extensions, MAX_AUTHORITIES, Offer};
use gridlatch_trust::{KeyAlgorithm, certificate};
use serde_json::Value;

/// Where a key is; what is read is written and read again as the same.
pub(crate) fn key_uri(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    if let Ok(uri) = text.parse::<KeyUri>() {
        let again = uri.to_string().parse::<KeyUri>();
        assert_eq!(again.ok(), Some(uri), "a key URI changed on its way");
    }
}

/// A vehicle's first flight, before anybody knows who it is: six parts, each behind its length in two octets (the
/// suites, then the extensions 43, 10, 13, 3 and 47). A part of 65,535 octets is an extension that was not sent.
pub(crate) fn hello(data: &[u8]) {
    let mut rest = data;
    let mut part = || {
        let (length, tail) = rest.split_first_chunk()?;
        let length = u16::from_be_bytes(*length);
        let (part, tail) = tail.split_at(usize::from(length).min(tail.len()));
        rest = if length == u16::MAX { part } else { tail };
        (length != u16::MAX).then_some(part)
    };
    let suites = part().unwrap_or_default();
    let extensions = Extensions {
        supported_versions: part(),
        supported_groups: part(),
        signature_algorithms: part(),
        trusted_ca_keys: part(),
        certificate_authorities: part(),
    };
    if let Ok(offer) = Offer::parse(suites, &extensions) {
        assert!(offer.authorities.len() <= 2 * MAX_AUTHORITIES);
        assert!(
            offer.describe().len() < 1024,
            "a refusal repeats what a stranger sent"
        );
        let _ = (
            offer.only_static_ecdh(),
            offer.verifies(KeyAlgorithm::P521),
            offer.has_group_of(KeyAlgorithm::Ed448),
        );
    }
}

/// The payloads that carry certificates, of both versions, and the PEM in them.
pub(crate) fn ocpp_certificates(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    if let Some(asked) = payload::<v21::CertificateSignedRequest>(&value) {
        chain(&asked.certificate_chain);
    }
    if let Some(asked) = payload::<v201::CertificateSignedRequest>(&value) {
        chain(&asked.certificate_chain);
    }
    if let Some(asked) = payload::<v21::InstallCertificateRequest>(&value) {
        chain(&asked.certificate);
    }
    if let Some(asked) = payload::<v21::AuthorizeRequest>(&value) {
        chain(asked.certificate.as_deref().unwrap_or_default());
    }
    if let Some(asked) = payload::<v201::AuthorizeRequest>(&value) {
        chain(asked.certificate.as_deref().unwrap_or_default());
    }
    let _ = payload::<v21::SignCertificateRequest>(&value);
    let _ = payload::<v21::Get15118EVCertificateRequest>(&value);
    let _ = payload::<v21::GetCertificateStatusRequest>(&value);
    let _ = payload::<v21::DeleteCertificateRequest>(&value);
    let _ = payload::<v21::GetInstalledCertificateIdsRequest>(&value);
}

fn payload<R: Request>(value: &Value) -> Option<R> {
    decode::<R>(value.clone()).ok().map(|tolerated| tolerated.payload)
}

fn chain(pem: &str) {
    if let Ok(certificates) = certificate::from_pem(pem.as_bytes()) {
        assert!(certificates.len() <= certificate::MAX_PEM);
        for der in &certificates {
            let _ = certificate::summary(der);
        }
    }
}
