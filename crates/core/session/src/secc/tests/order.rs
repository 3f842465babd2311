//! Requests in every wrong place, and session ids that are not the session's.

use super::harness::{Car, dc, iso2_dc_requests};
use super::*;
use iso15118::session::SessionId;

/// Every request after every prefix of a correct session: what the standard does not allow there is
/// answered `FAILED`, ends the session, and never closes the contactor.
#[test]
fn every_request_in_every_wrong_place_is_refused_and_power_stays_off() {
    let requests = iso2_dc_requests();
    let mut refused = 0;
    for prefix in 0..requests.len() {
        for wrong in &requests {
            let mut car = Car::new(dc());
            car.agree_iso2();
            for request in &requests[..prefix] {
                car.ask(request.clone());
            }
            if car.session.end().is_some() {
                continue;
            }
            let closed_before = car.evse.contactor_closed;
            let answer = car.ask(wrong.clone());
            if answer.outcome().unwrap().is_failure() {
                refused += 1;
                assert!(
                    !car.evse.contactor_closed,
                    "{} after {prefix} requests left power on",
                    wrong.name()
                );
                assert!(
                    car.events
                        .iter()
                        .any(|event| event.code.severity() >= gridlatch_vocab::Severity::Warning),
                    "no coded event"
                );
            } else if !closed_before && car.evse.contactor_closed {
                assert_eq!(wrong.name(), "PowerDeliveryReq");
                assert!(prefix >= 7, "power after {prefix} requests");
            }
        }
    }
    assert!(refused > 100, "{refused} refusals");
}

#[test]
fn session_ids_of_zero_and_of_others_are_unknown() {
    for id in [[0; 8], [8; 8]] {
        let mut car = Car::new(dc());
        car.agree_iso2();
        let requests = iso2_dc_requests();
        car.ask(requests[0].clone());
        assert_ne!(car.id(), SessionId::NONE);
        let mut request = requests[1].clone();
        request.set_session_id(SessionId::new(id));
        let (kind, payload) = request.encode().unwrap();
        let mut frame = vec![0; 8 + payload.len()];
        let length = iso15118::v2gtp::write_frame(kind, &payload, &mut frame).unwrap();
        let answer = car.send(&frame[..length]);
        assert!(!answer.is_empty(), "refused with an answer");
        assert!(car.saw(codes::UNKNOWN_SESSION));
        assert!(car.session.end().is_some());
    }
}

#[test]
fn charging_parameters_before_the_verdict_are_refused() {
    let mut car = Car::new(dc());
    car.verdict = Verdict::Refused {
        reason: "never used".to_owned(),
    };
    car.agree_iso2();
    let requests = iso2_dc_requests();
    for request in &requests[..3] {
        car.ask(request.clone());
    }
    // The platform is silent: take the request for authorisation away before it is answered.
    car.session.policy.authority = policy::Authority::Asked;
    let answer = car.ask(requests[3].clone());
    assert!(!answer.outcome().unwrap().is_failure(), "ongoing");
    let answer = car.ask(requests[4].clone());
    assert!(answer.outcome().unwrap().is_failure());
    assert!(car.saw(codes::OUT_OF_SEQUENCE));
}
