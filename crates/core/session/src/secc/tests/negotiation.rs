//! Offers of protocols that are odd, contradictory or too many.

use gridlatch_vocab::catalogue::wire as w;
use iso15118::Protocol;
use iso15118::app_protocol::{AppProtocol, ResponseCode, SupportedAppProtocolReq};
use iso15118::message::Message;
use iso15118::v2gtp::PayloadType;

use super::harness::{Car, bpt_requests, dc};
use super::*;

fn offer(entries: Vec<AppProtocol>) -> Message {
    Message::AppProtocolReq(Box::new(SupportedAppProtocolReq {
        app_protocols: entries,
    }))
}

fn vendor(schema_id: u8, priority: u8) -> AppProtocol {
    AppProtocol {
        protocol_namespace: "urn:example:vendor:2026".to_owned(),
        ..AppProtocol::for_protocol(Protocol::Iso2, schema_id, priority)
    }
}

fn iso2(schema_id: u8, priority: u8) -> AppProtocol {
    AppProtocol::for_protocol(Protocol::Iso2, schema_id, priority)
}

fn iso20(schema_id: u8, priority: u8) -> AppProtocol {
    AppProtocol::for_iso20_set(Iso20Set::Dc, schema_id, priority)
}

fn payload(message: &Message) -> Vec<u8> {
    message.encode().unwrap().1
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x01, 0xFE, 0x80, 0x01];
    bytes.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// What the station answers to an offer.
fn answer(entries: Vec<AppProtocol>) -> (ResponseCode, Option<u8>, Car) {
    let mut car = Car::new(dc());
    let bytes = car.send(&framed(&payload(&offer(entries))));
    assert!(!bytes.is_empty(), "{:?}", car.events);
    let answer = Message::decode(None, PayloadType::ExiEncodedV2gMessage, &bytes[8..]).unwrap();
    let Message::AppProtocolRes(answer) = answer else {
        panic!("{answer:?}")
    };
    (answer.response_code, answer.schema_id, car)
}

#[test]
fn the_priority_decides_and_not_the_order() {
    for (entries, chosen) in [
        (vec![vendor(1, 1), iso2(2, 2)], 2),
        (vec![vendor(9, 1), vendor(8, 2), iso2(7, 3)], 7),
        (vec![iso20(1, 2), iso2(2, 1)], 2),
        (vec![iso2(1, 2), iso20(2, 1)], 2),
    ] {
        let (code, schema, car) = answer(entries.clone());
        assert_eq!(code, ResponseCode::OkSuccessfulNegotiation, "{entries:?}");
        assert_eq!(schema, Some(chosen), "{entries:?}");
        assert!(car.session.end().is_none());
    }
}

#[test]
fn equal_priorities_are_decided_the_same_way_each_time() {
    let entries = vec![iso2(3, 1), iso20(4, 1)];
    let (code, first, _) = answer(entries.clone());
    assert_eq!(code, ResponseCode::OkSuccessfulNegotiation);
    assert!(matches!(first, Some(3 | 4)));
    for _ in 0..5 {
        assert_eq!(answer(entries.clone()).1, first);
    }
}

#[test]
fn only_vendors_and_only_other_versions_are_refused() {
    let old = AppProtocol {
        version_number_major: 1,
        ..iso2(1, 1)
    };
    for entries in [
        vec![vendor(1, 1)],
        vec![old],
        (1..=20).map(|n| vendor(n, n)).collect(),
    ] {
        let (code, schema, car) = answer(entries);
        assert_eq!((code, schema), (ResponseCode::FailedNoNegotiation, None));
        assert_eq!(car.session.end(), Some(End::NoCommonProtocol));
        assert!(car.saw(codes::NO_COMMON_PROTOCOL));
    }
}

#[test]
fn one_schema_id_for_two_protocols_leads_to_one_of_them_and_never_to_both() {
    // The answer names an entry by its schema id alone, so the two sides could mean different ones.
    let (code, schema, mut car) = answer(vec![iso2(1, 1), iso20(1, 2)]);
    if code == ResponseCode::FailedNoNegotiation {
        return;
    }
    assert_eq!((code, schema), (ResponseCode::OkSuccessfulNegotiation, Some(1)));
    // What follows is read as the preferred one; the other one is refused by its payload type.
    let mut request = bpt_requests()[0].clone();
    request.set_session_id(SessionId::NONE);
    let (kind, payload) = request.encode().unwrap();
    let mut bytes = framed(&payload);
    bytes[2..4].copy_from_slice(&kind.as_u16().to_be_bytes());
    car.send(&bytes);
    assert!(!car.saw(codes::ESTABLISHED), "{:?}", car.events);
    assert!(!car.was_closed);
}

/// The bits of `bytes`, first one first.
fn bits(bytes: &[u8]) -> Vec<bool> {
    bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1))
        .collect()
}

fn bytes(bits: &[bool]) -> Vec<u8> {
    bits.chunks(8)
        .map(|chunk| {
            chunk
                .iter()
                .enumerate()
                .fold(0, |byte, (at, bit)| byte | u8::from(*bit) << (7 - at))
        })
        .collect()
}

#[test]
fn no_entry_and_more_entries_than_the_schema_allows_are_no_offer() {
    // No encoder of ours writes 21: the last of 20 equal entries is repeated bit by bit.
    let of = |count| bits(&payload(&offer(vec![iso2(1, 1); count])));
    let (nineteen, twenty) = (of(19), of(20));
    let split = nineteen.iter().zip(&twenty).take_while(|(a, b)| a == b).count();
    let about = twenty.len() - nineteen.len();
    let period = (about.saturating_sub(8)..about + 8)
        .find(|period| twenty[split - period..split] == twenty[split..split + period])
        .expect("equal entries repeat");
    let mut more = twenty[..split + period].to_vec();
    more.extend_from_slice(&twenty[split..]);
    for (what, offer) in [
        ("21 entries", bytes(&more)),
        ("no entry, the document ends", vec![0x80, 0x00]),
        ("no entry, an end of the element", vec![0x80, 0x40]),
        ("nothing", vec![0x80]),
    ] {
        let mut car = Car::new(dc());
        let answer = car.send(&framed(&offer));
        assert!(car.session.end().is_some(), "{what}: {:?}", car.events);
        assert!(
            car.saw(w::EXI_DECODING_ERROR) || car.saw(codes::NO_COMMON_PROTOCOL),
            "{what}: {:?}",
            car.events
        );
        assert!(!car.saw(codes::PROTOCOL_AGREED), "{what}: {answer:02X?}");
    }
    let mut car = Car::new(dc());
    let whole = payload(&offer(vec![iso2(1, 1); 20]));
    assert!(!car.send(&framed(&whole)).is_empty(), "20 entries are an offer");
    assert!(car.saw(codes::PROTOCOL_AGREED), "{:?}", car.events);
}

#[test]
fn a_namespace_of_a_hundred_kilobytes_is_refused_by_its_header() {
    let mut car = Car::new(dc());
    let mut bytes = framed(&[0x80; 16]);
    bytes[4..8].copy_from_slice(&100_000u32.to_be_bytes());
    assert!(car.send(&bytes).is_empty());
    assert!(car.saw(w::V2GTP_TOO_LARGE));
    assert_eq!(car.session.end(), Some(End::BadStream));
}
