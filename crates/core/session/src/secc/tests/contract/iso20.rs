//! ISO 15118-20: Authorization by contract.

use iso15118::iso20::common::{ResponseCode as R20, Signature as Signature20};
use iso15118::iso20::messages::{self as m, Document as D};
use iso15118::message::Message;
use iso15118::pnc::rustcrypto::Sha2;
use iso15118::pnc::{self, GenChallenge, Signed, Suite};

use super::super::harness::{bpt_loop, bpt_requests, common, header};
use super::*;

fn mode() -> m::PnCAReqAuthorizationMode {
    m::PnCAReqAuthorizationMode {
        id: String::new(),
        gen_challenge: Vec::new(),
        contract_certificate_chain: m::ContractCertificateChain {
            certificate: leaf(),
            sub_certificates: m::SubCertificates {
                certificate: vec![leaf()],
            },
        },
    }
}

fn proof20(
    mut mode: m::PnCAReqAuthorizationMode,
    challenge: [u8; 16],
    scalar: &[u8; 32],
) -> (m::PnCAReqAuthorizationMode, Signature20) {
    let challenge = GenChallenge::new(challenge);
    let suite = Suite::EcdsaSha256;
    let signature =
        pnc::iso20::sign_authorization(suite, &mut mode, &challenge, &Sha2, &key(scalar)).unwrap();
    (mode, signature)
}

fn contract20(mode: m::PnCAReqAuthorizationMode, signature: Option<Signature20>) -> Message {
    let mut header = header();
    header.signature = signature;
    common(D::AuthorizationReq(m::AuthorizationReq {
        header,
        selected_authorization_service: m::Authorization::PnC,
        choice: m::AuthorizationReqChoice::PnCAReqAuthorizationMode(mode),
    }))
}

fn up_to_authorization20(config: SeccSessionConfig) -> Car {
    let mut car = Car::new(config);
    car.agree_iso20();
    for request in &bpt_requests()[..2] {
        let answer = car.ask(request.clone());
        assert!(!answer.outcome().unwrap().is_failure(), "{answer:?}");
    }
    car
}

fn code20(answer: &Message) -> R20 {
    let Message::Iso20(document) = answer else {
        panic!("{answer:?}")
    };
    match &**document {
        D::AuthorizationRes(answer) => answer.response_code,
        D::ServiceDiscoveryRes(answer) => answer.response_code,
        other => panic!("{other:?}"),
    }
}

/// A warning lets the vehicle try again; it lets it do nothing else.
fn goes_nowhere(car: &mut Car, what: &str) {
    if car.session.end().is_some() {
        return;
    }
    for request in &bpt_requests()[3..] {
        car.now_try(request.clone());
        assert!(!car.was_closed, "{what}: {} closed the contactor", request.name());
    }
    car.now_try(bpt_loop());
    assert!(!car.was_closed && car.asked == 0, "{what}");
}

#[test]
fn an_honest_proof_is_accepted() {
    let mut car = up_to_authorization20(secure());
    let (mode, signature) = proof20(mode(), CHALLENGE, &OWN);
    let answer = car.ask(contract20(mode, Some(signature)));
    assert_eq!(code20(&answer), R20::OK);
    assert_eq!(car.asked, 1);
    assert!(car.saw(codes::AUTHORIZED));
}

type Forgery20 = fn(&mut m::PnCAReqAuthorizationMode, &mut Option<Signature20>);

#[test]
fn every_forged_proof_has_its_code() {
    let signature = (R20::FAILEDSignatureError, codes::SIGNATURE_INVALID);
    let challenge = (R20::WARNINGChallengeInvalid, codes::CHALLENGE_INVALID);
    let forgeries: &[(&str, (R20, Code), Forgery20)] = &[
        ("unsigned", signature, |_, s| *s = None),
        ("one bit of the signature", signature, |_, s| {
            s.as_mut().unwrap().signature_value.value[3] ^= 1;
        }),
        ("another key", signature, |r, s| {
            let (other, by) = proof20(mode(), CHALLENGE, &OTHER);
            (*r, *s) = (other, Some(by));
        }),
        ("another id than the one signed", signature, |r, _| {
            r.id = "other".to_owned();
        }),
        ("the chain changed after signing", signature, |r, _| {
            let subs = &mut r.contract_certificate_chain.sub_certificates.certificate;
            subs[0] = vec![1, 2, 3];
        }),
        ("a signature over another element", signature, |r, s| {
            let fragment = m::SignedInstallationData::minimal().to_fragment().unwrap();
            let by = pnc::iso20::sign(
                Suite::EcdsaSha256,
                &[Signed::new(&r.id, &fragment)],
                &Sha2,
                &key(&OWN),
            );
            *s = Some(by.unwrap());
        }),
        ("the challenge of another session", challenge, |r, s| {
            let (other, by) = proof20(mode(), [0x55; 16], &OWN);
            (*r, *s) = (other, Some(by));
        }),
        ("the challenge changed after signing", challenge, |r, _| {
            r.gen_challenge[0] ^= 1;
        }),
    ];
    for (what, (code, event), forge) in forgeries {
        let mut car = up_to_authorization20(secure());
        let (mut mode, signature) = proof20(mode(), CHALLENGE, &OWN);
        let mut signature = Some(signature);
        forge(&mut mode, &mut signature);
        let answer = car.ask(contract20(mode, signature));
        assert_eq!(code20(&answer), *code, "{what}");
        refused(&car, *event, what);
        goes_nowhere(&mut car, what);
    }
}

#[test]
fn every_bad_chain_has_its_code() {
    let with = |certificate: Vec<u8>, subs: Vec<Vec<u8>>| m::PnCAReqAuthorizationMode {
        contract_certificate_chain: m::ContractCertificateChain {
            certificate,
            sub_certificates: m::SubCertificates { certificate: subs },
        },
        ..mode()
    };
    for (what, mode) in [
        ("empty", with(Vec::new(), vec![Vec::new()])),
        ("garbage", with(vec![0xA5; 700], vec![vec![0xA5; 700]])),
        (
            "the key's certificate behind garbage",
            with(vec![0x30; 64], vec![leaf()]),
        ),
    ] {
        let mut car = up_to_authorization20(secure());
        let (mode, signature) = proof20(mode, CHALLENGE, &OWN);
        let answer = car.ask(contract20(mode, Some(signature)));
        assert_eq!(code20(&answer), R20::WARNINGCertificateValidationError, "{what}");
        refused(&car, codes::CONTRACT_MALFORMED, what);
        goes_nowhere(&mut car, what);
    }
    for (fault, code, event) in [
        (
            ContractFault::Expired,
            R20::WARNINGCertificateExpired,
            codes::CONTRACT_EXPIRED,
        ),
        (
            ContractFault::Revoked,
            R20::WARNINGCertificateRevoked,
            codes::CONTRACT_UNTRUSTED,
        ),
        (
            ContractFault::Chain,
            R20::WARNINGCertificateValidationError,
            codes::CONTRACT_UNTRUSTED,
        ),
    ] {
        let mut car = up_to_authorization20(judged(fault));
        let (mode, signature) = proof20(mode(), CHALLENGE, &OWN);
        let answer = car.ask(contract20(mode, Some(signature)));
        assert_eq!(code20(&answer), code, "{fault:?}");
        refused(&car, event, "judged");
        goes_nowhere(&mut car, "judged");
    }
}

#[test]
fn a_vehicle_whose_contract_was_warned_of_may_identify_itself_externally() {
    let mut car = up_to_authorization20(judged(ContractFault::Chain));
    let (mode, signature) = proof20(mode(), CHALLENGE, &OWN);
    car.ask(contract20(mode, Some(signature)));
    assert_eq!(car.asked, 0);
    let answer = car.ask(bpt_requests()[2].clone());
    assert_eq!(code20(&answer), R20::OK);
    assert_eq!(car.asked, 1);
    assert!(
        !car.saw(codes::AUTHORIZED),
        "no contract was authorised: {:?}",
        car.events
    );
}
