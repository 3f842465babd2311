mod contract;
mod harness;
mod hostile;
mod negotiation;
mod order;
mod real_car;

use gridlatch_vocab::{Amps, Watts};
use iso15118::iso2::{self, BodyChoice as B};
use iso15118::iso20::common::RationalNumber;
use iso15118::iso20::dc;
use iso15118::message::Message;

use self::harness::{Car, ac, dc as dc_config};
use super::*;

#[test]
fn an_iso2_dc_session_runs_to_its_stop() {
    let mut car = Car::new(dc_config());
    car.agree_iso2();
    for request in harness::iso2_dc_requests() {
        let answer = car.ask(request.clone());
        assert!(
            !answer.outcome().unwrap().is_failure(),
            "{}: {answer:?}",
            request.name()
        );
    }
    assert_eq!(car.session.end(), Some(End::Stopped));
    assert!(car.was_closed, "the contactor was closed");
    assert!(!car.evse.contactor_closed, "and is open again");
}

#[test]
fn the_setpoint_is_followed_in_the_same_loop_in_both_directions() {
    let mut car = Car::new(dc_config());
    car.start_bpt_dynamic();
    for (setpoint, amps) in [
        (8_000.0, 20.0),
        (-12_000.0, -30.0),
        (0.0, 0.0),
        (-1e12, -100.0),
        (1e12, 200.0),
    ] {
        car.evse.setpoint = Some(Watts(setpoint));
        let Message::Iso20Dc(answer) = car.ask(harness::bpt_loop()) else {
            panic!()
        };
        let dc::Document::DCChargeLoopRes(answer) = *answer else {
            panic!()
        };
        let present = crate::physical::from_iso20(&answer.evse_present_current);
        assert!(
            (present - amps).abs() < 0.5,
            "{setpoint} W gave {present} A, not {amps} A"
        );
    }
}

#[test]
fn discharge_needs_the_platforms_word() {
    let mut car = Car::new(dc_config());
    car.verdict = Verdict::Accepted { discharge: false };
    car.start_bpt_dynamic();
    car.evse.setpoint = Some(Watts(-12_000.0));
    car.ask(harness::bpt_loop());
    assert_eq!(car.evse.current, Amps(0.0));
}

#[test]
fn huge_and_negative_targets_are_clamped_to_the_envelope() {
    let mut car = Car::new(dc_config());
    car.agree_iso2();
    let requests = harness::iso2_dc_requests();
    let at = requests
        .iter()
        .position(|r| r.name() == "CurrentDemandReq")
        .unwrap();
    for request in &requests[..at] {
        car.ask(request.clone());
    }
    for (value, multiplier, amps) in [(i16::MAX, 3, 300.0), (-200, 0, 0.0), (i16::MIN, 3, 0.0)] {
        let mut request = requests[at].clone();
        if let Message::Iso2(document) = &mut request
            && let iso2::Document::V2GMessage(message) = &mut **document
            && let Some(B::CurrentDemandReq(demand)) = &mut message.body.choice
        {
            demand.ev_target_current.value = value;
            demand.ev_target_current.multiplier = multiplier;
        }
        car.ask(request);
        assert!(
            car.evse.current.0 <= amps + 0.1 && car.evse.current.0 >= 0.0,
            "{} A",
            car.evse.current.0
        );
        assert!(car.evse.current.0 * car.evse.voltage.0 <= 150_100.0);
    }
}

#[test]
fn a_huge_rational_is_finite_and_bounded() {
    let mut car = Car::new(dc_config());
    car.start_bpt_dynamic();
    let mut request = harness::bpt_loop();
    if let Message::Iso20Dc(document) = &mut request
        && let dc::Document::DCChargeLoopReq(request) = &mut **document
        && let dc::DCChargeLoopReqChoice::BPTDynamicDCCLReqControlMode(mode) = &mut request.choice
    {
        mode.ev_maximum_charge_power = RationalNumber {
            exponent: 127,
            value: i16::MAX,
        };
        mode.ev_maximum_charge_current = RationalNumber {
            exponent: 127,
            value: i16::MAX,
        };
        mode.ev_maximum_voltage = RationalNumber {
            exponent: 127,
            value: i16::MAX,
        };
    }
    car.ask(request);
    assert!(car.evse.current.0.is_finite() && car.evse.current.0 <= 300.0);
}

#[test]
fn a_refused_authorisation_fails_the_session_and_never_closes() {
    let mut car = Car::new(dc_config());
    car.verdict = Verdict::Refused {
        reason: "Blocked".to_owned(),
    };
    car.agree_iso2();
    let requests = harness::iso2_dc_requests();
    let mut failed = None;
    for request in requests {
        let answer = car.ask(request);
        if answer.outcome().unwrap().is_failure() {
            failed = Some(answer.name());
            break;
        }
    }
    assert_eq!(failed, Some("AuthorizationRes"));
    assert!(!car.was_closed);
    assert!(car.saw(codes::AUTHORIZATION_REFUSED));
}

#[test]
fn a_vehicle_of_the_other_kind_is_refused() {
    let mut car = Car::new(ac());
    car.agree_iso2();
    let mut last = None;
    for request in harness::iso2_dc_requests() {
        let answer = car.ask(request);
        let failure = answer.outcome().unwrap().is_failure();
        last = Some(answer);
        if failure {
            break;
        }
    }
    let Some(Message::Iso2(document)) = last else {
        panic!()
    };
    let iso2::Document::V2GMessage(message) = *document else {
        panic!()
    };
    assert!(matches!(
        message.body.choice,
        Some(B::ChargeParameterDiscoveryRes(res)) if res.response_code == iso2::ResponseCode::FAILEDWrongEnergyTransferMode
    ));
    assert!(!car.was_closed);
}
