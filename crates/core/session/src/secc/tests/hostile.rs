//! Bytes from a peer that means harm.

use gridlatch_vocab::catalogue::wire as w;
use iso15118::exi::ExiDocument as _;
use iso15118::iso2 as v;
use iso15118::message::Message;
use proptest::prelude::*;

use super::harness::{Car, ac, dc, iso2_dc_requests};
use super::*;

fn frame(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x01, 0xFE];
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn encoded(message: &Message) -> Vec<u8> {
    let (kind, payload) = message.encode().unwrap();
    frame(kind.as_u16(), &payload)
}

#[test]
fn headers_are_refused_before_anything_is_stored() {
    for (bytes, code) in [
        (&[0x16, 0x03, 0x01][..], w::V2GTP_BAD_HEADER),
        (&[0x01, 0xFF], w::V2GTP_BAD_HEADER),
        (
            &[0x01, 0xFE, 0x80, 0x01, 0xFF, 0xFF, 0xFF, 0xFF],
            w::V2GTP_TOO_LARGE,
        ),
        (
            &[0x01, 0xFE, 0x80, 0x01, 0x00, 0x00, 0x10, 0x01],
            w::V2GTP_TOO_LARGE,
        ),
    ] {
        let mut car = Car::new(dc());
        assert!(car.send(bytes).is_empty());
        assert_eq!(car.session.end(), Some(End::BadStream), "{bytes:02X?}");
        assert!(car.saw(code), "{bytes:02X?}: {:?}", car.events);
    }
}

#[test]
fn one_byte_segments_and_two_messages_in_one_segment_are_framed() {
    let mut car = Car::new(dc());
    car.agree_iso2();
    let first = encoded(&iso2_dc_requests()[0]);
    let mut answer = Vec::new();
    for byte in &first {
        answer = car.send(std::slice::from_ref(byte));
    }
    assert!(!answer.is_empty());
    // A vendor's own payload type in front of a request is skipped ([V2G2-800]).
    let mut car = Car::new(dc());
    car.agree_iso2();
    let mut both = frame(0xA123, b"vendor");
    both.extend_from_slice(&first);
    assert!(!car.send(&both).is_empty());
}

#[test]
fn a_pipelining_peer_is_cut_off() {
    let mut car = Car::new(dc());
    car.agree_iso2();
    // Held, because the platform does not answer in this test's time.
    let flood = encoded(&iso2_dc_requests()[0]).repeat(2_000);
    car.send(&flood);
    assert!(car.saw(w::V2GTP_PIPELINED), "{:?}", car.events);
    assert_eq!(car.session.end(), Some(End::BadStream));
}

#[test]
fn requests_cut_at_every_byte_never_crash_nor_close() {
    for (n, request) in iso2_dc_requests().iter().enumerate() {
        let whole = encoded(request);
        for cut in 0..whole.len() - 8 {
            let mut car = Car::new(dc());
            car.agree_iso2();
            car.send(&frame(0x8001, &whole[8..8 + cut]));
            assert!(!car.was_closed, "request {n} cut at {cut}");
        }
    }
}

/// The string-table bomb: many `Transform` elements whose algorithm is one long string, each further one
/// a two-byte reference to it.
fn bomb(length: usize, repeats: usize) -> Vec<u8> {
    let long = "x".repeat(length);
    let transform = v::Transform { algorithm: long };
    let reference = v::Reference {
        id: None,
        r#type: None,
        uri: None,
        transforms: Some(v::Transforms {
            transform: vec![transform; repeats],
        }),
        digest_method: v::DigestMethod {
            algorithm: "d".to_owned(),
        },
        digest_value: vec![0; 32],
    };
    let message = v::Document::V2GMessage(v::V2GMessage {
        header: v::MessageHeader {
            session_id: vec![0; 8],
            notification: None,
            signature: Some(v::Signature {
                id: None,
                signed_info: v::SignedInfo {
                    id: None,
                    canonicalization_method: v::CanonicalizationMethod {
                        algorithm: "c".to_owned(),
                    },
                    signature_method: v::SignatureMethod {
                        algorithm: "s".to_owned(),
                        hmac_output_length: None,
                    },
                    reference: vec![reference],
                },
                signature_value: v::SignatureValue {
                    id: None,
                    value: vec![0; 64],
                },
            }),
        },
        body: v::Body {
            choice: Some(v::BodyChoice::SessionSetupReq(v::SessionSetupReq {
                evcc_id: vec![1],
            })),
        },
    });
    message
        .to_vec_with(iso15118::exi::ValueCoding::Referenced)
        .expect("the bomb encodes")
}

#[test]
fn the_string_table_bomb_is_refused_by_its_header() {
    let bomb = bomb(30_000, 15_000);
    assert!(bomb.len() > 40_000, "{} bytes", bomb.len());
    let mut car = Car::new(dc());
    car.agree_iso2();
    assert!(car.send(&frame(0x8001, &bomb)).is_empty());
    assert!(car.saw(w::V2GTP_TOO_LARGE), "{:?}", car.events);
    assert_eq!(car.session.end(), Some(End::BadStream));
}

#[test]
fn the_largest_bomb_that_fits_stays_small() {
    // At the limit before authorisation: what a decoder would have to hold is a few megabytes.
    let mut repeats = 1_100;
    let mut bytes = bomb(2_000, repeats);
    while bytes.len() > framing::SMALL {
        repeats -= 20;
        bytes = bomb(2_000, repeats);
    }
    assert!(
        2_000 * repeats < 4_000_000,
        "decodes to {} bytes",
        2_000 * repeats
    );
    let mut car = Car::new(dc());
    car.agree_iso2();
    car.send(&frame(0x8001, &bytes));
    assert!(!car.was_closed);
}

/// A real car's `PowerDeliveryReq` breaks a facet: the request is recognised, answered `FAILED`, and the
/// event carries payload type and bytes.
#[test]
fn a_facet_that_a_real_car_breaks_is_answered_and_reported() {
    let mut car = Car::new(dc());
    car.agree_iso2();
    let requests = iso2_dc_requests();
    for request in &requests[..7] {
        car.ask(request.clone());
    }
    // MaxNumberOfPhasesInUse has two bits for 1..=3; the car wrote the fourth value. Build the valid
    // message with 3 and 1, and set the bits that differ.
    let with = |phases: u8| {
        let Message::Iso2(document) = requests[7].clone() else {
            panic!()
        };
        let v::Document::V2GMessage(mut message) = *document else {
            panic!()
        };
        message.header.session_id = car.id().as_bytes().to_vec();
        let Some(v::BodyChoice::PowerDeliveryReq(request)) = &mut message.body.choice else {
            panic!()
        };
        request.charging_profile = Some(v::ChargingProfile {
            profile_entry: vec![v::ProfileEntry {
                charging_profile_entry_start: 0,
                charging_profile_entry_max_power: v::PhysicalValue {
                    multiplier: 0,
                    unit: v::UnitSymbol::W,
                    value: 1000,
                },
                charging_profile_entry_max_number_of_phases_in_use: Some(phases),
            }],
        });
        encoded(&Message::Iso2(Box::new(v::Document::V2GMessage(message))))
    };
    let mut broken = with(1);
    for (byte, (two, three)) in broken.iter_mut().zip(with(2).iter().zip(&with(3))) {
        *byte |= two | three;
    }
    let answer = car.send(&broken);
    assert!(!answer.is_empty(), "answered: {:?}", car.events);
    let decoded = Message::decode(
        Some(iso15118::Protocol::Iso2),
        iso15118::v2gtp::PayloadType::ExiEncodedV2gMessage,
        &answer[8..],
    )
    .unwrap();
    assert_eq!(decoded.name(), "PowerDeliveryRes");
    assert!(decoded.outcome().unwrap().is_failure());
    assert_eq!(decoded.session_id(), Some(car.id()));
    assert!(car.saw(w::EXI_DECODING_ERROR) && car.saw(w::UNDECODABLE_ANSWERED));
    let event = car
        .events
        .iter()
        .find(|event| event.code == w::EXI_DECODING_ERROR)
        .unwrap();
    assert_eq!(event.fields["payload_type"], "0x8001");
    assert!(event.fields["bytes"].starts_with("80"));
    assert!(!car.was_closed);
}

#[test]
fn discovery_answers_from_policy_and_drops_the_rest() {
    use super::super::sdp::{Endpoints, Reaction, answer};
    let port = |port| {
        Some(std::net::SocketAddrV6::new(
            std::net::Ipv6Addr::LOCALHOST,
            port,
            0,
            0,
        ))
    };
    let secure = Endpoints {
        tls: port(1),
        plain: None,
    };
    let open = Endpoints {
        tls: port(1),
        plain: port(2),
    };
    let none = Endpoints {
        tls: None,
        plain: None,
    };
    let tls = [0x01, 0xFE, 0x90, 0x00, 0, 0, 0, 2, 0x00, 0x00];
    let plain = [0x01, 0xFE, 0x90, 0x00, 0, 0, 0, 2, 0x10, 0x00];
    assert!(matches!(
        answer(&tls, secure),
        Reaction::Answer {
            tls: true,
            upgraded: false,
            ..
        }
    ));
    assert!(matches!(
        answer(&plain, secure),
        Reaction::Answer {
            tls: true,
            upgraded: true,
            ..
        }
    ));
    assert!(matches!(
        answer(&plain, open),
        Reaction::Answer { tls: false, .. }
    ));
    assert!(matches!(answer(&tls, open), Reaction::Answer { tls: true, .. }));
    assert!(
        matches!(answer(&tls, none), Reaction::Drop { .. }),
        "never a downgrade"
    );
    for cut in 0..tls.len() {
        assert!(
            matches!(answer(&tls[..cut], open), Reaction::Drop { .. }),
            "{cut} bytes"
        );
    }
    for (at, value) in [
        (0, 2),
        (1, 0),
        (2, 0x80),
        (3, 1),
        (4, 0xFF),
        (7, 0),
        (7, 1),
        (7, 3),
        (8, 0x55),
        (9, 0x10),
        (9, 9),
    ] {
        let mut bad = tls;
        bad[at] = value;
        assert!(
            matches!(answer(&bad, open), Reaction::Drop { .. }),
            "byte {at} = {value:#x}"
        );
    }
    assert!(matches!(answer(&[0; 1400], open), Reaction::Drop { .. }));
}

#[test]
fn an_offer_without_a_common_protocol_is_answered_and_closed() {
    let mut car = Car::new(SeccSessionConfig { iso2: false, ..ac() });
    let request = iso15118::app_protocol::SupportedAppProtocolReq::advertising([iso15118::Protocol::Iso2]);
    let answer = car.send(&encoded(&Message::AppProtocolReq(Box::new(request))));
    assert!(!answer.is_empty());
    assert_eq!(car.session.end(), Some(End::NoCommonProtocol));
    assert!(car.saw(codes::NO_COMMON_PROTOCOL));
}

#[test]
fn a_silent_peer_is_closed_by_the_setup_timer() {
    let mut car = Car::new(dc());
    let due = car.session.deadline().unwrap();
    assert!(due <= Duration::from_secs(20), "{due:?}");
    let clock = Clock {
        monotonic: due,
        wall: gridlatch_vocab::Timestamp::from_unix_millis(0),
    };
    let evse = car.evse;
    car.session.tick(clock, &evse);
    assert_eq!(car.session.end(), Some(End::TimedOut));
    car.session.disconnected();
    assert_eq!(car.session.end(), Some(End::TimedOut), "ended once");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn garbage_never_crashes_nor_closes(kind in any::<u16>(), payload in prop::collection::vec(any::<u8>(), 0..600), early in any::<bool>()) {
        let mut car = Car::new(dc());
        if !early {
            car.agree_iso2();
        }
        car.send(&frame(kind, &payload));
        car.send(&payload);
        prop_assert!(!car.was_closed);
    }
}
