//! The decoders. Each function panics on a bug only; what a decoder answers is its own business.

use std::time::Duration;

use gridlatch_session::secc::{sdp, slac};
use gridlatch_session::wire::{
    Agreed, Conversation, Framer, Framing, decode_frame, describe_homeplug, describe_sdp,
};
use gridlatch_watch::capture::{self, Entry};
use gridlatch_watch::tls::{KeyLog, TlsSession};

use crate::{files, receipt, services, session, trust, vehicle};

/// A decoder and the name of its corpus.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The folder below `fuzz/corpus`.
    pub name: &'static str,
    /// The decoder.
    pub run: fn(&[u8]),
}

/// Every target.
#[must_use]
pub const fn all() -> &'static [Target] {
    ALL
}

const ALL: &[Target] = &[
    target("v2gtp", v2gtp),
    target("exi", exi),
    target("sdp", discovery),
    target("slac", homeplug),
    target("capture", capture_file),
    target("tls", tls),
    target("keylog", key_log),
    target("ocpp", ocpp),
    target("x509", x509),
    target("csr", trust::csr),
    target("crl", trust::crl),
    target("ocsp-request", trust::ocsp_request),
    target("ocsp-response", trust::ocsp_response),
    target("cms", trust::cms),
    target("trust-list", trust::trust_list),
    target("pem", trust::pem),
    target("key-uri", services::key_uri),
    target("est-body", gridlatch_pki::fuzz::est_body),
    target("ocsp-path", gridlatch_pki::fuzz::ocsp_path),
    target("pools-body", gridlatch_pki::fuzz::pools_body),
    target("inventory", gridlatch_pki::fuzz::inventory),
    target("ocpp-certificates", services::ocpp_certificates),
    target("judge", trust::judge),
    target("verdict", verdict),
    target("receipt", receipt::receipt),
    target("provisioning", provisioning),
    target("contract_xml", contract_xml),
    target("cable", gridlatch_link::cable::fuzz_messages),
    target("secc", session::secc),
    target("published", gridlatch_pki::fuzz::published),
    target("rollover-plan", gridlatch_pki::fuzz::rollover_plan),
    target("pkcs12", files::pkcs12),
    target("key-file", files::key_file),
    target("archive", files::archive),
    target("tariff", files::tariff),
    target("names", files::names),
    target("hello", services::hello),
    target("places", trust::places),
    target("evcc", vehicle::evcc),
    target("ev-sdp", vehicle::discovery),
    target("ev-slac", vehicle::matching),
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// A V2GTP stream: framing, handshake state, EXI, descriptions, both renderings.
fn v2gtp(data: &[u8]) {
    let mut framer = Framer::default();
    let mut conversation = Conversation::default();
    for chunk in data.chunks(61) {
        framer.push(chunk);
        while let Some(framing) = framer.next_frame() {
            match framing {
                Framing::Frame {
                    payload_type,
                    payload,
                } => match conversation.decode_frame(payload_type, &payload) {
                    Ok(described) => {
                        let _ = (
                            described.summary(),
                            described.fields.to_text(1),
                            described.to_json().to_string(),
                        );
                    }
                    Err(undecodable) => {
                        assert!(undecodable.offset.is_none_or(|offset| offset <= payload.len()));
                        let _ = (undecodable.to_string(), undecodable.to_json().to_string());
                    }
                },
                Framing::Bad(undecodable) => {
                    let _ = undecodable.to_string();
                }
            }
        }
    }
    assert!(framer.pending() <= data.len());
}

/// One EXI payload under every protocol and payload type.
fn exi(data: &[u8]) {
    for (agreed, payload_type) in [
        (None, 0x8001),
        (Some(Agreed::Din70121), 0x8001),
        (Some(Agreed::Iso2), 0x8001),
        (Some(Agreed::Iso20), 0x8002),
        (Some(Agreed::Iso20), 0x8003),
        (Some(Agreed::Iso20), 0x8004),
        (Some(Agreed::Iso20), 0x8005),
        (Some(Agreed::Iso20), 0x8006),
    ] {
        let _ = decode_frame(agreed, payload_type, data);
    }
}

/// Discovery, as the station answers it and as a capture shows it.
fn discovery(data: &[u8]) {
    let endpoint = Some(std::net::SocketAddrV6::new(
        std::net::Ipv6Addr::LOCALHOST,
        50000,
        0,
        0,
    ));
    let endpoints = sdp::Endpoints {
        tls: endpoint,
        plain: None,
    };
    if let sdp::Reaction::Answer { datagram, tls, .. } = sdp::answer(data, endpoints) {
        assert!(tls, "no TLS was answered where only TLS is offered");
        assert!(
            describe_sdp(&datagram).is_ok(),
            "an answer of ours does not decode"
        );
    }
    let _ = describe_sdp(data);
}

/// HomePlug frames: the matching engine at the outlet, and the description.
fn homeplug(data: &[u8]) {
    let entropy = slac::MatchEntropy {
        nmk: [0x5A; 16],
        nid: [1; 7],
    };
    let mut matcher = slac::Matcher::new([2, 0, 0, 0, 0, 1], "GL*1", entropy, 10);
    // Frames in one input are separated by their length.
    let mut rest = data;
    let mut now = Duration::ZERO;
    while let Some((length, tail)) = rest.split_first() {
        let (frame, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        matcher.frame(now, frame);
        let _ = describe_homeplug(frame);
        now += Duration::from_millis(50);
        matcher.tick(now);
        for _ in 0..64 {
            if matcher.transmit().is_none() && matcher.poll().is_none() {
                break;
            }
        }
        rest = tail;
    }
    let _ = describe_homeplug(data);
}

/// A capture file, whatever it holds.
fn capture_file(data: &[u8]) {
    let mut entries = 0;
    let mut sink = |entry: Entry| {
        let _ = entry.to_json();
        entries += 1;
        entries < 10_000
    };
    let summary = match capture::read(data, KeyLog::default(), &mut sink) {
        Ok(summary) => summary,
        Err((_, summary)) => *summary,
    };
    let _ = summary.to_json();
}

/// TLS records of both directions, with a key log that fits the corpus.
fn tls(data: &[u8]) {
    let secret = "11".repeat(48);
    let mut keys = KeyLog::default();
    for random in ["00".repeat(32), "22".repeat(32)] {
        keys.add(&format!("CLIENT_RANDOM {random} {secret}"));
        keys.add(&format!("CLIENT_HANDSHAKE_TRAFFIC_SECRET {random} {secret}"));
        keys.add(&format!("SERVER_HANDSHAKE_TRAFFIC_SECRET {random} {secret}"));
    }
    let mut session = TlsSession::default();
    let mut direction = 0;
    for chunk in data.chunks(97) {
        session.push(direction, chunk, &keys, &mut |_| ());
        direction = 1 - direction;
    }
    session.lose(0, &mut |_| ());
}

/// A key log.
fn key_log(data: &[u8]) {
    let log = KeyLog::parse(&String::from_utf8_lossy(data));
    assert!(log.len() <= data.len());
}

/// OCPP frames in every version.
fn ocpp(data: &[u8]) {
    gridlatch_ocpp::fuzz_frame(data);
}

/// Certificates.
fn x509(data: &[u8]) {
    use gridlatch_trust::certificate;
    let _ = certificate::summary(data);
    let _ = certificate::emaid_of(data);
    let _ = certificate::spki_algorithm(data);
}

/// A chain and the anchors it is judged against: the number of anchors, then each certificate behind its
/// length in two bytes, anchors first.
fn verdict(data: &[u8]) {
    use gridlatch_trust::profile::{Kind, Profile};
    use gridlatch_trust::verdict::check;
    let Some((anchors, mut rest)) = data.split_first() else {
        return;
    };
    let mut certificates = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length)).min(tail.len());
        let (certificate, tail) = tail.split_at(length);
        certificates.push(certificate.to_vec());
        rest = tail;
    }
    let chain = certificates.split_off(usize::from(*anchors).min(certificates.len()));
    let anchors = certificates;
    let now = gridlatch_vocab::Timestamp::from_unix_millis(1_800_000_000_000);
    for profile in [
        Profile::iso2(Kind::ContractLeaf),
        Profile::iso20(Kind::ContractLeaf),
        Profile::iso2(Kind::SeccLeaf),
        Profile::iso20(Kind::VehicleLeaf),
    ] {
        let accepted = check(&chain, &anchors, profile, now).is_ok();
        assert!(
            !accepted || !(chain.is_empty() || anchors.is_empty()),
            "a chain without a leaf or an anchor was believed"
        );
    }
}

/// Requests for contracts and the answers to them, of both standards: read, verified, written again.
fn provisioning(data: &[u8]) {
    use gridlatch_session::provisioning::{Action, Answer, Generation, InstallationRequest};
    for generation in [Generation::Iso2, Generation::Iso20] {
        for action in [Action::Install, Action::Update] {
            if let Ok(request) = InstallationRequest::decode(generation, action, data) {
                let _ = request.verify();
            }
            if let Ok(Answer::Contract(signed)) = Answer::decode(generation, action, data) {
                let _ = signed.verify();
                let _ = signed.to_xml();
                let _ = signed.encode(
                    action,
                    &[0; 8],
                    0,
                    gridlatch_vocab::Timestamp::from_unix_millis(0),
                );
            }
        }
    }
}

/// Contract data in XML: what is read is written and read again without change.
fn contract_xml(data: &[u8]) {
    use gridlatch_session::provisioning::SignedContract;
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    if let Ok(signed) = SignedContract::from_xml(text) {
        let _ = signed.verify();
        let again = signed
            .to_xml()
            .and_then(|xml| SignedContract::from_xml(&xml).ok());
        assert!(
            again.is_some_and(|again| again.contract() == signed.contract()),
            "the XML does not come back"
        );
    }
}
