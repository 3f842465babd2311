//! Stations that misbehave: each ends the session with a name for what went wrong, and without power.

use gridlatch_vocab::catalogue::session as codes;
use gridlatch_vocab::{Blame, Code, Personal};
use iso15118::app_protocol::SupportedAppProtocolRes;
use iso15118::iso2::{self, BodyChoice};
use iso15118::message::Message;

use super::*;

const NOW: Now = Now {
    mono_ms: 10_000,
    unix_s: 1_795_000_000,
};

fn vehicle() -> VehicleState {
    VehicleState {
        battery_voltage: 390.0,
        maximum_voltage: 453.0,
        minimum_voltage: 302.0,
        maximum_current: 400.0,
        capacity_wh: 60_000.0,
        soc: 40.0,
        floor_soc: 20.0,
        charge_limit: 150_000.0,
        discharge_limit: 100_000.0,
        ac_current: 16.0,
        ac_phases: 3,
        taken_wh: 0.0,
        given_wh: 0.0,
    }
}

fn config() -> EvccConfig {
    EvccConfig {
        generation: Generation::Iso2,
        energy: Energy::Dc,
        control: None,
        authorisation: Authorisation::Eim,
        secured: false,
        evcc_id: Personal::new([2, 0, 0, 0, 0, 1]),
        wish: Wish::default(),
        pace_ms: 0,
        repeat_ms: 50,
        patience: 1,
    }
}

fn started() -> EvccSession {
    let mut session = EvccSession::new(config(), vehicle()).unwrap();
    session.start(NOW).unwrap();
    assert!(!session.poll_transmit().is_empty());
    session
}

fn frame(message: &Message) -> Vec<u8> {
    let (payload_type, body) = message.encode().unwrap();
    let mut frame = vec![0x01, 0xFE];
    frame.extend(payload_type.as_u16().to_be_bytes());
    frame.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
    frame.extend(body);
    frame
}

fn accept() -> Vec<u8> {
    frame(&Message::AppProtocolRes(Box::new(SupportedAppProtocolRes {
        response_code: iso15118::app_protocol::ResponseCode::OkSuccessfulNegotiation,
        schema_id: Some(1),
    })))
}

fn answer(session_id: [u8; 8], body: BodyChoice) -> Vec<u8> {
    frame(&Message::Iso2(Box::new(iso2::Document::V2GMessage(
        iso2::V2GMessage {
            header: iso2::MessageHeader {
                session_id: session_id.to_vec(),
                notification: None,
                signature: None,
            },
            body: iso2::Body { choice: Some(body) },
        },
    ))))
}

fn session_setup(code: iso2::ResponseCode) -> BodyChoice {
    BodyChoice::SessionSetupRes(iso2::SessionSetupRes {
        response_code: code,
        evse_id: "DE*GDL*E1".to_owned(),
        evse_time_stamp: None,
    })
}

/// A session that has been told its id and waits for ServiceDiscoveryRes.
fn identified() -> EvccSession {
    let mut session = started();
    session.handle_input(NOW, &accept());
    let _ = session.poll_transmit();
    let setup = session_setup(iso2::ResponseCode::OKNewSessionEstablished);
    session.handle_input(NOW, &answer([1; 8], setup));
    assert!(!session.poll_transmit().is_empty(), "ServiceDiscoveryReq is due");
    session
}

/// The failure the session ended with; checks that the pilot is back at B and power is off.
fn failure(session: &mut EvccSession) -> Failure {
    let mut last_draw = None;
    let mut pilot = Pilot::B;
    while let Some(output) = session.poll_output() {
        match output {
            Output::Pilot(state) => pilot = state,
            Output::Draw(watts) => last_draw = Some(watts),
            Output::Ended(End::Failed(failure)) => {
                assert_eq!(pilot, Pilot::B);
                assert_eq!(last_draw, Some(0.0));
                assert!(session.is_ended() && session.poll_timeout().is_none());
                return failure;
            }
            Output::Ended(other) => panic!("ended as {other:?}"),
            Output::Step(_) | Output::Flow(_) => {}
        }
    }
    panic!("the session goes on");
}

fn check(session: &mut EvccSession, code: Code, request: &str) -> Failure {
    let failure = failure(session);
    assert_eq!(failure.code, code, "{failure}");
    assert_eq!(failure.request, Some(request), "{failure}");
    failure
}

#[test]
fn silence_is_named_with_the_request_that_waits() {
    let mut session = started();
    let due = session.poll_timeout().unwrap();
    session.handle_timeout(Now { mono_ms: due, ..NOW });
    let failure = check(&mut session, codes::STATION_SILENT, "supportedAppProtocolReq");
    assert_eq!(failure.blame, Blame::Station);
}

#[test]
fn bytes_that_are_no_session_end_it() {
    for bytes in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[0u8; 64], &[0xFF; 8]] {
        let mut session = started();
        session.handle_input(NOW, bytes);
        check(&mut session, codes::STATION_GARBLED, "supportedAppProtocolReq");
    }
}

#[test]
fn an_announced_megabyte_is_refused_before_it_is_stored() {
    let mut session = started();
    session.handle_input(NOW, &[0x01, 0xFE, 0x80, 0x01, 0x00, 0x10, 0x00, 0x00]);
    check(&mut session, codes::STATION_GARBLED, "supportedAppProtocolReq");
}

#[test]
fn a_truncated_message_is_refused() {
    let mut session = identified();
    let mut whole = answer([1; 8], session_setup(iso2::ResponseCode::OK));
    whole.truncate(14);
    let length = u32::try_from(whole.len() - 8).unwrap().to_be_bytes();
    whole[4..8].copy_from_slice(&length);
    session.handle_input(NOW, &whole);
    check(&mut session, codes::STATION_GARBLED, "ServiceDiscoveryReq");
}

#[test]
fn an_answer_to_another_question_ends_the_session() {
    let mut session = identified();
    let other = session_setup(iso2::ResponseCode::OK);
    session.handle_input(NOW, &answer([1; 8], other));
    check(&mut session, codes::STATION_UNEXPECTED, "ServiceDiscoveryReq");
}

#[test]
fn another_session_id_ends_the_session() {
    let mut session = identified();
    let refused = iso2::ServiceDiscoveryRes {
        response_code: iso2::ResponseCode::OK,
        payment_option_list: iso2::PaymentOptionList {
            payment_option: vec![iso2::PaymentOption::ExternalPayment],
        },
        charge_service: iso2::ChargeService {
            service_id: 1,
            service_name: None,
            service_category: iso2::ServiceCategory::EVCharging,
            service_scope: None,
            free_service: true,
            supported_energy_transfer_mode: iso2::SupportedEnergyTransferMode {
                energy_transfer_mode: vec![iso2::EnergyTransferMode::DCExtended],
            },
        },
        service_list: None,
    };
    session.handle_input(NOW, &answer([2; 8], BodyChoice::ServiceDiscoveryRes(refused)));
    check(&mut session, codes::STATION_UNEXPECTED, "ServiceDiscoveryReq");
}

#[test]
fn a_failed_code_is_named_and_answered_with_a_stop() {
    let mut session = started();
    session.handle_input(NOW, &accept());
    let _ = session.poll_transmit();
    session.handle_input(
        NOW,
        &answer([1; 8], session_setup(iso2::ResponseCode::FAILEDSequenceError)),
    );
    assert!(!session.poll_transmit().is_empty(), "SessionStopReq is due");
    session.connection_lost(NOW, "closed");
    let failure = check(&mut session, codes::STATION_REFUSED, "SessionSetupReq");
    assert_eq!(failure.response_code.as_deref(), Some("FAILED_SequenceError"));
    assert_eq!(failure.blame, Blame::Vehicle);
}

#[test]
fn a_service_that_is_not_offered_names_what_is() {
    let mut session = identified();
    let services = iso2::ServiceDiscoveryRes {
        response_code: iso2::ResponseCode::OK,
        payment_option_list: iso2::PaymentOptionList {
            payment_option: vec![iso2::PaymentOption::ExternalPayment],
        },
        charge_service: iso2::ChargeService {
            service_id: 1,
            service_name: None,
            service_category: iso2::ServiceCategory::EVCharging,
            service_scope: None,
            free_service: true,
            supported_energy_transfer_mode: iso2::SupportedEnergyTransferMode {
                energy_transfer_mode: vec![iso2::EnergyTransferMode::ACThreePhaseCore],
            },
        },
        service_list: None,
    };
    session.handle_input(NOW, &answer([1; 8], BodyChoice::ServiceDiscoveryRes(services)));
    session.connection_lost(NOW, "closed");
    let failure = failure(&mut session);
    assert_eq!(failure.code, codes::SERVICE_NOT_OFFERED);
    assert!(failure.message.contains("ACThreePhaseCore"), "{failure}");
}

#[test]
fn nothing_in_common_is_said_so() {
    let mut session = started();
    session.handle_input(
        NOW,
        &frame(&Message::AppProtocolRes(Box::new(SupportedAppProtocolRes {
            response_code: iso15118::app_protocol::ResponseCode::FailedNoNegotiation,
            schema_id: None,
        }))),
    );
    assert_eq!(failure(&mut session).code, codes::NO_COMMON_PROTOCOL);
}

#[test]
fn what_can_never_work_is_refused_before_anything_is_sent() {
    #[derive(Debug)]
    struct NoKey;
    impl ContractSigner for NoKey {
        fn curve(&self) -> Curve {
            Curve::P521
        }
        fn sign(&self, _: &[u8]) -> Result<Vec<u8>, String> {
            Err("no key".to_owned())
        }
    }
    let contract = |chain: Vec<Vec<u8>>| {
        Authorisation::Contract(Contract {
            emaid: Personal::new("DEGDLC123456789".to_owned()),
            chain,
            signer: Box::new(NoKey),
        })
    };
    for (config, expected) in [
        (
            EvccConfig {
                authorisation: contract(vec![vec![1]]),
                ..config()
            },
            EvccSetupError::ContractWithoutTls,
        ),
        (
            EvccConfig {
                authorisation: contract(vec![]),
                secured: true,
                ..config()
            },
            EvccSetupError::EmptyChain,
        ),
        (
            EvccConfig {
                authorisation: contract(vec![vec![1]]),
                secured: true,
                ..config()
            },
            EvccSetupError::WrongCurve,
        ),
        (
            EvccConfig {
                energy: Energy::DcBpt,
                ..config()
            },
            EvccSetupError::DischargeInIso2,
        ),
    ] {
        assert_eq!(EvccSession::new(config, vehicle()).unwrap_err(), expected);
    }
}

mod discovery {
    use super::super::*;
    use gridlatch_vocab::catalogue::cable as codes;
    use iso15118::sdp::{Response, TransportProtocol};
    use std::net::Ipv6Addr;

    fn answer(address: Ipv6Addr, port: u16, security: Security) -> Vec<u8> {
        let mut frame = [0u8; 32];
        let length = Response {
            address: address.octets(),
            port,
            security,
            transport: TransportProtocol::Tcp,
        }
        .write_frame(&mut frame, false)
        .unwrap();
        frame[..length].to_vec()
    }

    const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 7);

    fn asking() -> Discovery {
        let mut discovery = Discovery::new(true, false, 3);
        discovery.start(0);
        assert!(discovery.poll_transmit().is_some());
        discovery
    }

    #[test]
    fn hostile_answers_are_ignored_and_the_honest_one_still_counts() {
        let mut discovery = asking();
        let mut wrong_version = answer(LINK_LOCAL, 50_000, Security::Tls);
        wrong_version[0] = 0x02;
        for (datagram, code) in [
            (
                answer(LINK_LOCAL, 50_000, Security::None),
                codes::SDP_DOWNGRADE_REFUSED,
            ),
            (answer(LINK_LOCAL, 0, Security::Tls), codes::SDP_ANSWER_REFUSED),
            (
                answer(Ipv6Addr::LOCALHOST, 50_000, Security::Tls),
                codes::SDP_ANSWER_REFUSED,
            ),
            (wrong_version, codes::SDP_ANSWER_REFUSED),
            (vec![0x01], codes::SDP_ANSWER_REFUSED),
            (vec![0xFF; 64], codes::SDP_ANSWER_REFUSED),
        ] {
            let Some(DiscoveryEvent::Ignored(failure)) = discovery.handle_datagram(1, &datagram) else {
                panic!("{datagram:02x?} was not refused");
            };
            assert_eq!(failure.code, code, "{failure}");
        }
        assert_eq!(
            discovery.handle_datagram(2, &answer(LINK_LOCAL, 50_000, Security::Tls)),
            Some(DiscoveryEvent::Found(Found {
                address: LINK_LOCAL,
                port: 50_000,
                secured: true
            }))
        );
    }

    #[test]
    fn a_downgrade_is_the_reason_given_when_nobody_else_answers() {
        let mut discovery = asking();
        let _ = discovery.handle_datagram(1, &answer(LINK_LOCAL, 50_000, Security::None));
        let failure = loop {
            let due = discovery.poll_timeout().unwrap();
            match discovery.handle_timeout(due) {
                Some(DiscoveryEvent::GaveUp(failure)) => break failure,
                Some(other) => panic!("{other:?}"),
                None => {}
            }
        };
        assert_eq!(failure.code, codes::SDP_DOWNGRADE_REFUSED);
    }
}

mod signatures {
    use super::super::raw_signature;

    #[test]
    fn der_becomes_two_halves_of_fixed_length() {
        let der = [0x30, 0x08, 0x02, 0x02, 0x00, 0x81, 0x02, 0x02, 0x01, 0x02];
        let raw = raw_signature(&der, 32).unwrap();
        assert_eq!(raw.len(), 64);
        assert_eq!((raw[31], raw[62], raw[63]), (0x81, 0x01, 0x02));
    }

    #[test]
    fn what_is_no_signature_is_refused() {
        for der in [
            &[][..],
            &[0x30],
            &[0x30, 0x02, 0x02, 0x00],
            &[0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01, 0x00],
            &[0x31, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01],
            &[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF],
        ] {
            assert_eq!(raw_signature(der, 32), None, "{der:02x?}");
        }
        let mut long = vec![0x30, 0x26, 0x02, 0x21];
        long.extend([1; 33]);
        long.extend([0x02, 0x01, 0x01]);
        assert_eq!(raw_signature(&long, 32), None, "a half longer than the curve");
    }
}
