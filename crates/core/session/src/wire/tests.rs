use gridlatch_vocab::catalogue::{cable, wire};
use iso15118::Protocol;
use iso15118::app_protocol::{SupportedAppProtocolReq, SupportedAppProtocolRes};
use iso15118::exi::ExiDocument;
use iso15118::iso2;

use super::*;

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text.replace([' ', '\n'], "")).unwrap()
}

fn agree(protocol: Protocol) -> Conversation {
    let request = SupportedAppProtocolReq::advertising([protocol]);
    let response = SupportedAppProtocolRes::accept(request.negotiate(protocol).unwrap());
    let mut conversation = Conversation::default();
    conversation
        .decode_frame(0x8001, &request.to_vec().unwrap())
        .unwrap();
    conversation
        .decode_frame(0x8001, &response.to_vec().unwrap())
        .unwrap();
    conversation
}

fn iso2_message(choice: iso2::BodyChoice) -> Vec<u8> {
    iso2::Document::V2GMessage(iso2::V2GMessage {
        header: iso2::MessageHeader {
            session_id: vec![1, 2, 3, 4, 5, 6, 7, 8],
            notification: None,
            signature: None,
        },
        body: iso2::Body { choice: Some(choice) },
    })
    .to_vec()
    .unwrap()
}

/// A DIN 70121 message: the envelope with session id 01..08, then `(value, bits)` pairs of the body.
fn din_message(body: u64, rest: &[(u64, u32)]) -> Vec<u8> {
    let mut fields = vec![(0x80, 8), (0b100_1101, 7), (0, 3), (8, 8)];
    fields.extend((1..=8).map(|byte| (byte, 8)));
    fields.extend([(0, 1), (2, 2), (0, 1), (body, 6)]);
    fields.extend(rest);
    let bits: Vec<u8> = fields
        .iter()
        .flat_map(|(value, width)| (0..*width).rev().map(move |at| (value >> at & 1) as u8))
        .collect();
    bits.chunks(8)
        .map(|byte| {
            byte.iter()
                .enumerate()
                .fold(0, |sum, (at, bit)| sum | bit << (7 - at))
        })
        .collect()
}

#[test]
fn the_handshake_decides_how_the_next_frame_is_read() {
    let mut conversation = agree(Protocol::Iso2);
    assert_eq!(conversation.agreed(), Some(Agreed::Iso2));
    assert_eq!(conversation.namespace(), Some("urn:iso:15118:2:2013:MsgDef"));
    let bytes = iso2_message(iso2::BodyChoice::PreChargeReq(iso2::PreChargeReq {
        ev_target_voltage: crate::physical::iso2(400.9, iso2::UnitSymbol::V),
        ..iso2::PreChargeReq::minimal()
    }));
    let described = conversation.decode_frame(0x8001, &bytes).unwrap();
    assert_eq!(
        (described.name.as_str(), described.protocol),
        ("PreChargeReq", "iso15118-2")
    );
    let json = described.to_json();
    assert_eq!(json["fields"]["header"]["session_id"], "0102030405060708");
    assert_eq!(json["fields"]["ev_target_voltage"]["unit"], "V");
    assert_eq!(
        json["fields"]["ev_target_voltage"]["number"].as_f64(),
        Some(400.9)
    );
    assert!(
        described.summary().contains("ev_target_voltage=400.9 V"),
        "{}",
        described.summary()
    );
    assert!(
        described
            .fields
            .to_text(1)
            .contains("\n  ev_target_voltage: 400.9 V\n")
    );
}

#[test]
fn refusals_carry_the_code_as_the_schema_spells_it() {
    let mut conversation = agree(Protocol::Iso2);
    let bytes = iso2_message(iso2::BodyChoice::AuthorizationRes(iso2::AuthorizationRes {
        response_code: iso2::ResponseCode::FAILEDSequenceError,
        ..iso2::AuthorizationRes::minimal()
    }));
    let described = conversation.decode_frame(0x8001, &bytes).unwrap();
    assert_eq!(described.response_code.as_deref(), Some("FAILED_SequenceError"));
    assert!(described.is_refusal());
}

#[test]
fn a_failed_handshake_agrees_on_nothing() {
    let mut conversation = Conversation::default();
    let request = SupportedAppProtocolReq::advertising([Protocol::Iso2]);
    conversation
        .decode_frame(0x8001, &request.to_vec().unwrap())
        .unwrap();
    let refused = SupportedAppProtocolRes {
        response_code: iso15118::app_protocol::ResponseCode::FailedNoNegotiation,
        schema_id: None,
    };
    let described = conversation
        .decode_frame(0x8001, &refused.to_vec().unwrap())
        .unwrap();
    assert_eq!(described.response_code.as_deref(), Some("Failed_NoNegotiation"));
    assert!(described.is_refusal());
    assert_eq!(conversation.agreed(), None);
}

#[test]
fn a_broken_frame_names_message_offset_and_bytes() {
    let mut conversation = agree(Protocol::Iso2);
    let mut bytes = iso2_message(iso2::BodyChoice::AuthorizationRes(
        iso2::AuthorizationRes::minimal(),
    ));
    let whole = bytes.len();
    bytes.extend([0xFF; 10]);
    let error = conversation.decode_frame(0x8001, &bytes).unwrap_err();
    assert_eq!(error.code, wire::EXI_DECODING_ERROR);
    assert!(error.reason.contains("AuthorizationRes"), "{error}");
    assert_eq!(error.offset, Some(whole), "{error}");
    assert_eq!(error.first_bytes, bytes);
    let cut = conversation
        .decode_frame(0x8001, &bytes[..whole - 1])
        .unwrap_err();
    assert_eq!(cut.offset, Some(whole - 1), "{cut}");
}

#[test]
fn plain_xml_is_printed_and_said() {
    let text = r#"<?xml version="1.0"?><v2gci_d:V2G_Message xmlns:v2gci_d="urn:iso:15118:2:2013:MsgDef">
        <v2gci_d:Header><SessionID>00</SessionID></v2gci_d:Header>
        <v2gci_d:Body><b:SessionSetupRes><b:ResponseCode>OK_NewSessionEstablished</b:ResponseCode>
        </b:SessionSetupRes></v2gci_d:Body></v2gci_d:V2G_Message>"#;
    for bom in ["", "\u{feff}"] {
        let payload = format!("{bom}{text}");
        let described = agree(Protocol::Iso2)
            .decode_frame(0x8001, payload.as_bytes())
            .unwrap();
        assert_eq!(described.name, "SessionSetupRes");
        assert_eq!(
            described.response_code.as_deref(),
            Some("OK_NewSessionEstablished")
        );
        assert!(described.notice.unwrap().contains("EXI was off"));
    }
    let request = "<ns4:supportedAppProtocolReq><AppProtocol/></ns4:supportedAppProtocolReq>";
    let described = decode_frame(None, 0x8001, request.as_bytes()).unwrap();
    assert_eq!(described.name, "supportedAppProtocolReq");
}

#[test]
fn din_is_named_and_not_called_garbage() {
    let mut conversation = agree(Protocol::Din70121);
    assert_eq!(conversation.agreed(), Some(Agreed::Din70121));
    let response = conversation
        .decode_frame(0x8001, &din_message(30, &[(0, 2), (1, 5), (0, 7)]))
        .unwrap();
    assert_eq!(response.name, "SessionSetupRes");
    assert_eq!(
        response.response_code.as_deref(),
        Some("OK_NewSessionEstablished")
    );
    assert!(response.partial && response.notice.unwrap().contains("DIN 70121"));
    let garbage = conversation.decode_frame(0x8001, &[0x42; 9]).unwrap_err();
    assert_eq!(garbage.code, wire::EXI_NO_CODEC);
    assert!(garbage.reason.contains("DIN 70121"));
}

#[test]
fn a_stream_that_was_joined_late_is_read_all_the_same() {
    let bytes = iso2_message(iso2::BodyChoice::AuthorizationReq(
        iso2::AuthorizationReq::minimal(),
    ));
    let mut conversation = Conversation::default();
    let described = conversation.decode_frame(0x8001, &bytes).unwrap();
    assert_eq!(described.name, "AuthorizationReq");
    assert!(described.notice.unwrap().contains("no handshake seen"));
    assert_eq!(conversation.agreed(), Some(Agreed::Iso2));
    // A handshake afterwards still counts.
    let request = SupportedAppProtocolReq::advertising([Protocol::Iso20]);
    let described = conversation
        .decode_frame(0x8001, &request.to_vec().unwrap())
        .unwrap();
    assert_eq!(described.name, "supportedAppProtocolReq");
}

#[test]
fn frames_outside_the_session_are_told_apart() {
    let mut conversation = agree(Protocol::Iso2);
    for (payload_type, words) in [
        (0x8002, "payload type"),
        (0x9000, "discovery"),
        (0xA123, "manufacturer"),
        (0x0000, "reserved"),
    ] {
        let error = conversation
            .decode_frame(payload_type, &[0x80, 0, 0])
            .unwrap_err();
        assert_eq!(error.code, wire::V2GTP_UNKNOWN_TYPE, "{error}");
        assert!(error.reason.contains(words), "{error}");
    }
    let large = conversation
        .decode_frame(0x8001, &vec![0; MAX_PAYLOAD + 1])
        .unwrap_err();
    assert_eq!(large.code, wire::V2GTP_TOO_LARGE);
}

#[test]
fn the_framer_takes_any_segmentation_and_finds_back_after_garbage() {
    let mut wire_bytes = Vec::new();
    for payload in [&b"abc"[..], b"", b"defgh"] {
        wire_bytes.extend([0x01, 0xFE, 0x80, 0x01]);
        wire_bytes.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
        wire_bytes.extend(payload);
    }
    for step in [1, 2, 7, wire_bytes.len()] {
        let mut framer = Framer::default();
        let mut payloads = Vec::new();
        for chunk in wire_bytes.chunks(step) {
            framer.push(chunk);
            while let Some(Framing::Frame { payload, .. }) = framer.next_frame() {
                payloads.push(payload);
            }
        }
        assert_eq!(
            payloads,
            [b"abc".to_vec(), Vec::new(), b"defgh".to_vec()],
            "step {step}"
        );
        assert_eq!(framer.pending(), 0);
    }
    let mut framer = Framer::default();
    framer.push(b"GET / HTTP/1.1\r\n");
    framer.push(&wire_bytes);
    let Some(Framing::Bad(bad)) = framer.next_frame() else {
        panic!("garbage accepted")
    };
    assert_eq!(bad.code, wire::V2GTP_BAD_HEADER);
    assert!(bad.first_bytes.starts_with(b"GET"));
    assert!(matches!(framer.next_frame(), Some(Framing::Frame { payload, .. }) if payload == b"abc"));
}

#[test]
fn a_huge_announced_length_is_refused_by_its_header_and_skipped() {
    let mut framer = Framer::default();
    let length = MAX_PAYLOAD as u32 + 5;
    framer.push(&[0x01, 0xFE, 0x80, 0x01]);
    framer.push(&length.to_be_bytes());
    assert!(matches!(framer.next_frame(), Some(Framing::Bad(bad)) if bad.code == wire::V2GTP_TOO_LARGE));
    framer.push(&vec![0; length as usize]);
    assert_eq!(framer.pending(), 0);
    framer.push(&[0x01, 0xFE, 0x80, 0x01, 0, 0, 0, 0]);
    assert!(matches!(framer.next_frame(), Some(Framing::Frame { .. })));
}

#[test]
fn discovery_is_described_both_ways() {
    let request = describe_sdp(&unhex("01fe9000 00000002 0000")).unwrap();
    assert_eq!(request.name, "SDP request");
    assert_eq!(request.summary(), "security=TLS transport=TCP");
    let response = describe_sdp(&unhex(
        "01fe9001 00000014 fe80000000000000 0000000000000001 3a98 00 00",
    ))
    .unwrap();
    assert_eq!(
        response.summary(),
        "address=fe80::1 port=15000 security=TLS transport=TCP"
    );
    let bad = describe_sdp(&unhex("01fe9000 00000002 5500")).unwrap_err();
    assert_eq!((bad.code, bad.offset), (cable::SDP_BAD_FIELD, Some(8)));
    assert_eq!(describe_sdp(&[1, 2]).unwrap_err().code, wire::V2GTP_BAD_HEADER);
}

#[test]
fn homeplug_frames_are_named_and_keys_stay_hidden() {
    use iso15118::slac::{Mmtype, Mmv, SetKeyReq, write_frame};
    let key = SetKeyReq {
        key_type: 1,
        my_nonce: 0,
        your_nonce: 0,
        pid: 4,
        prn: 0,
        pmn: 0,
        cco_capability: 0,
        nid: [7; 7],
        new_eks: 1,
        new_key: [0xAB; 16],
    };
    let mut body = [0; 64];
    let length = key.encode(&mut body).unwrap();
    let mut frame = [0; 128];
    let frame_length = write_frame(
        &mut frame,
        [0xFF; 6],
        [2, 0, 0, 0, 0, 1],
        Mmv::Av1_1,
        Mmtype::SetKeyReq,
        &body[..length],
    )
    .unwrap();
    let described = describe_homeplug(&frame[..frame_length]).unwrap();
    assert_eq!(described.name, "CM_SET_KEY.REQ");
    assert!(!format!("{:?} {}", described, described.to_json()).contains("abab"));
    let vendor = write_frame(
        &mut frame,
        [0xFF; 6],
        [2, 0, 0, 0, 0, 1],
        Mmv::Av1_1,
        Mmtype::Other(0xBEEC),
        &[],
    )
    .unwrap();
    assert_eq!(
        describe_homeplug(&frame[..vendor]).unwrap().name,
        "MME 0xbeec (REQ)"
    );
    let short = describe_homeplug(&frame[..15]).unwrap_err();
    assert_eq!(short.code, cable::HOMEPLUG_BAD_FRAME);
}
