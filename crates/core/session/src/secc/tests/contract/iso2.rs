//! ISO 15118-2: PaymentDetails, Authorization, MeteringReceipt.

use gridlatch_vocab::catalogue::session as order;
use iso15118::iso2::{self as v, BodyChoice as B, ResponseCode as R2};
use iso15118::message::Message;
use iso15118::pnc::rustcrypto::Sha2;
use iso15118::pnc::{self, GenChallenge};

use super::super::harness::iso2_dc_requests;
use super::*;
use crate::secc::common::v2;

fn details(emaid: &str, certificate: Vec<u8>, subs: Vec<Vec<u8>>) -> Message {
    v2(B::PaymentDetailsReq(v::PaymentDetailsReq {
        e_maid: emaid.to_owned(),
        contract_signature_cert_chain: v::CertificateChain {
            id: None,
            certificate,
            sub_certificates: (!subs.is_empty()).then_some(v::SubCertificates { certificate: subs }),
        },
    }))
}

fn up_to_payment(config: SeccSessionConfig) -> Car {
    let mut car = Car::new(config);
    car.agree_iso2();
    for request in &iso2_dc_requests()[..2] {
        car.ask(request.clone());
    }
    let answer = car.ask(v2(B::PaymentServiceSelectionReq(v::PaymentServiceSelectionReq {
        selected_payment_option: v::PaymentOption::Contract,
        selected_service_list: v::SelectedServiceList {
            selected_service: vec![v::SelectedService {
                service_id: 1,
                parameter_set_id: None,
            }],
        },
    })));
    assert!(!answer.outcome().unwrap().is_failure(), "{answer:?}");
    car
}

fn up_to_challenge(config: SeccSessionConfig) -> Car {
    let mut car = up_to_payment(config);
    let answer = car.ask(details(EMAID, leaf(), Vec::new()));
    assert_eq!(code2(&answer), R2::OK);
    car
}

fn code2(answer: &Message) -> R2 {
    let Message::Iso2(document) = answer else {
        panic!("{answer:?}")
    };
    let v::Document::V2GMessage(message) = &**document else {
        panic!("{answer:?}")
    };
    match message.body.choice.as_ref().unwrap() {
        B::PaymentDetailsRes(answer) => answer.response_code,
        B::AuthorizationRes(answer) => answer.response_code,
        B::MeteringReceiptRes(answer) => answer.response_code,
        other => panic!("{other:?}"),
    }
}

/// `request` with a signature in its header.
fn signed2(body: B, signature: Option<v::Signature>) -> Message {
    let Message::Iso2(document) = v2(body) else {
        panic!()
    };
    let v::Document::V2GMessage(mut message) = *document else {
        panic!()
    };
    message.header.signature = signature;
    Message::Iso2(Box::new(v::Document::V2GMessage(message)))
}

fn proof2(challenge: [u8; 16], scalar: &[u8; 32]) -> (v::AuthorizationReq, v::Signature) {
    let mut request = v::AuthorizationReq {
        id: None,
        gen_challenge: None,
    };
    let challenge = GenChallenge::new(challenge);
    let signature = pnc::iso2::sign_authorization(&mut request, &challenge, &Sha2, &key(scalar)).unwrap();
    (request, signature)
}

#[test]
fn an_honest_proof_is_accepted_once_and_asks_the_platform_once() {
    let mut car = up_to_challenge(secure());
    let (request, signature) = proof2(CHALLENGE, &OWN);
    let answer = car.ask(signed2(B::AuthorizationReq(request), Some(signature)));
    assert_eq!(code2(&answer), R2::OK);
    assert_eq!(car.asked, 1);
    assert!(car.saw(codes::AUTHORIZED));
}

type Forgery2 = fn(&mut v::AuthorizationReq, &mut Option<v::Signature>);

#[test]
fn every_forged_proof_has_its_code() {
    let signature = (R2::FAILEDSignatureError, codes::SIGNATURE_INVALID);
    let challenge = (R2::FAILEDChallengeInvalid, codes::CHALLENGE_INVALID);
    let forgeries: &[(&str, (R2, Code), Forgery2)] = &[
        ("unsigned", signature, |_, s| *s = None),
        ("one bit of the signature", signature, |_, s| {
            s.as_mut().unwrap().signature_value.value[40] ^= 1;
        }),
        ("r and s zero", signature, |_, s| {
            s.as_mut().unwrap().signature_value.value = vec![0; 64];
        }),
        ("a short signature", signature, |_, s| {
            s.as_mut().unwrap().signature_value.value.truncate(63);
        }),
        ("an empty signature", signature, |_, s| {
            s.as_mut().unwrap().signature_value.value.clear();
        }),
        ("another key", signature, |r, s| {
            let (other, by) = proof2(CHALLENGE, &OTHER);
            (*r, *s) = (other, Some(by));
        }),
        ("one bit of the digest", signature, |_, s| {
            s.as_mut().unwrap().signed_info.reference[0].digest_value[0] ^= 1;
        }),
        ("another id than the one signed", signature, |r, _| {
            r.id = Some("ID2".to_owned());
        }),
        ("no id", signature, |r, _| r.id = None),
        ("a reference to nothing", signature, |_, s| {
            s.as_mut().unwrap().signed_info.reference[0].uri = Some("#ID9".to_owned());
        }),
        ("a reference to the outside", signature, |_, s| {
            s.as_mut().unwrap().signed_info.reference[0].uri = Some("http://example.org/x".to_owned());
        }),
        ("the same reference twice", signature, |_, s| {
            let references = &mut s.as_mut().unwrap().signed_info.reference;
            let again = references[0].clone();
            references.push(again);
        }),
        ("SHA-1", signature, |_, s| {
            s.as_mut().unwrap().signed_info.signature_method.algorithm =
                "http://www.w3.org/2000/09/xmldsig#rsa-sha1".to_owned();
        }),
        ("a truncated HMAC", signature, |_, s| {
            s.as_mut()
                .unwrap()
                .signed_info
                .signature_method
                .hmac_output_length = Some(1);
        }),
        ("a signature over another element", signature, |r, s| {
            // The key's owner did sign this, but as a receipt.
            let mut receipt = v::MeteringReceiptReq::minimal();
            receipt.id.clone_from(&r.id);
            let by = pnc::iso2::sign_metering_receipt(&mut receipt, &Sha2, &key(&OWN)).unwrap();
            *s = Some(by);
        }),
        ("the challenge of another session", challenge, |r, s| {
            let (other, by) = proof2([0x55; 16], &OWN);
            (*r, *s) = (other, Some(by));
        }),
        ("no challenge", challenge, |r, _| r.gen_challenge = None),
        ("the challenge changed after signing", challenge, |r, _| {
            r.gen_challenge.as_mut().unwrap()[15] ^= 1;
        }),
    ];
    for (what, (code, event), forge) in forgeries {
        let mut car = up_to_challenge(secure());
        let (mut request, signature) = proof2(CHALLENGE, &OWN);
        let mut signature = Some(signature);
        forge(&mut request, &mut signature);
        let answer = car.ask(signed2(B::AuthorizationReq(request), signature));
        assert_eq!(code2(&answer), *code, "{what}");
        refused(&car, *event, what);
        // FAILED ends it: nothing that follows is served.
        car.now_try(iso2_dc_requests()[4].clone());
        assert!(!car.was_closed && car.asked == 0, "{what}");
    }
}

#[test]
fn a_whole_proof_replayed_in_another_session_is_a_wrong_challenge() {
    let mut config = secure();
    config.entropy = Entropy {
        session_id: [8; 8],
        challenge: [0x77; 16],
    };
    let mut car = up_to_challenge(config);
    let (request, signature) = proof2(CHALLENGE, &OWN);
    let answer = car.ask(signed2(B::AuthorizationReq(request), Some(signature)));
    assert_eq!(code2(&answer), R2::FAILEDChallengeInvalid);
    refused(&car, codes::CHALLENGE_INVALID, "replay");
}

#[test]
fn every_bad_chain_has_its_code() {
    let mut cut = leaf();
    cut.truncate(100);
    // In the subject, which the leaf's own signature covers; the chain is not followed here.
    let mut renamed = leaf();
    let at = renamed.windows(6).rposition(|w| w == b"DEGDLC").unwrap();
    renamed[at + 6] = b'9';
    let chains = [
        ("empty", EMAID, Vec::new(), Vec::new()),
        ("garbage", EMAID, vec![0xA5; 700], Vec::new()),
        ("cut", EMAID, cut, Vec::new()),
        ("five certificates", EMAID, leaf(), vec![leaf(); 4]),
    ];
    for (what, emaid, certificate, subs) in chains {
        let mut car = up_to_payment(secure());
        let answer = car.ask(details(emaid, certificate, subs));
        assert_eq!(code2(&answer), R2::FAILEDCertChainError, "{what}");
        refused(&car, codes::CONTRACT_MALFORMED, what);
    }
    for (what, emaid, certificate) in [
        ("another EMAID in the message", "DEGDLC987654321", leaf()),
        ("another EMAID in the certificate", EMAID, renamed),
        ("no EMAID at all", "XXXXXXXXXXXXXX", leaf()),
    ] {
        let mut car = up_to_payment(secure());
        let answer = car.ask(details(emaid, certificate, Vec::new()));
        assert_eq!(code2(&answer), R2::FAILEDCertChainError, "{what}");
        refused(&car, codes::EMAID_MISMATCH, what);
    }
    for (fault, code, event) in [
        (
            ContractFault::Expired,
            R2::FAILEDCertificateExpired,
            codes::CONTRACT_EXPIRED,
        ),
        (
            ContractFault::Revoked,
            R2::FAILEDCertificateRevoked,
            codes::CONTRACT_UNTRUSTED,
        ),
        (
            ContractFault::Chain,
            R2::FAILEDCertChainError,
            codes::CONTRACT_UNTRUSTED,
        ),
    ] {
        let mut car = up_to_payment(judged(fault));
        let answer = car.ask(details(EMAID, leaf(), Vec::new()));
        assert_eq!(code2(&answer), code, "{fault:?}");
        refused(&car, event, "judged");
    }
}

#[test]
fn a_contract_outside_its_validity_is_expired_and_a_huge_chain_is_cut_off_by_its_header() {
    for wall in [0, 1_700_000_000_000, 5_000_000_000_000] {
        let mut car = up_to_payment(secure());
        car.wall = Timestamp::from_unix_millis(wall);
        let answer = car.ask(details(EMAID, leaf(), Vec::new()));
        assert_eq!(code2(&answer), R2::FAILEDCertificateExpired, "at {wall}");
        refused(&car, codes::CONTRACT_EXPIRED, "validity");
    }
    // Ten megabytes are refused by the eight bytes that announce them.
    let mut car = up_to_payment(secure());
    let mut bytes = vec![0x01, 0xFE, 0x80, 0x01];
    bytes.extend_from_slice(&10_000_000u32.to_be_bytes());
    assert!(car.send(&bytes).is_empty());
    assert_eq!(car.session.end(), Some(End::BadStream));
    refused(&car, wire::V2GTP_TOO_LARGE, "huge");
}

#[test]
fn a_proof_without_a_contract_and_a_contract_without_tls_get_nowhere() {
    // AuthorizationReq straight after the payment selection: no certificate was shown.
    let mut car = up_to_payment(secure());
    let (request, signature) = proof2(CHALLENGE, &OWN);
    let answer = car.ask(signed2(B::AuthorizationReq(request), Some(signature)));
    assert_eq!(code2(&answer), R2::FAILEDSequenceError);
    refused(&car, order::OUT_OF_SEQUENCE, "no contract");
    // Without TLS a contract is not on offer, whatever the vehicle selects.
    let mut car = Car::new(dc());
    car.agree_iso2();
    for request in &iso2_dc_requests()[..2] {
        car.ask(request.clone());
    }
    let answer = car.ask(v2(B::PaymentServiceSelectionReq(v::PaymentServiceSelectionReq {
        selected_payment_option: v::PaymentOption::Contract,
        selected_service_list: v::SelectedServiceList {
            selected_service: vec![v::SelectedService {
                service_id: 1,
                parameter_set_id: None,
            }],
        },
    })));
    // The engine knows the transport and refuses before the policy is asked.
    assert!(answer.outcome().unwrap().is_failure(), "{answer:?}");
    refused(&car, order::OUT_OF_SEQUENCE, "plaintext");
}

/// Charges by contract until the station asks for a receipt.
fn up_to_receipt() -> (Car, v::MeteringReceiptReq) {
    let mut car = up_to_challenge(SeccSessionConfig {
        receipts: true,
        ..secure()
    });
    let (request, signature) = proof2(CHALLENGE, &OWN);
    car.ask(signed2(B::AuthorizationReq(request), Some(signature)));
    let mut last = None;
    for request in &iso2_dc_requests()[4..9] {
        let answer = car.ask(request.clone());
        assert!(!answer.outcome().unwrap().is_failure(), "{answer:?}");
        last = Some(answer);
    }
    let Some(Message::Iso2(document)) = last else {
        panic!()
    };
    let v::Document::V2GMessage(message) = *document else {
        panic!()
    };
    let Some(B::CurrentDemandRes(answer)) = message.body.choice else {
        panic!()
    };
    assert_eq!(answer.receipt_required, Some(true));
    let receipt = v::MeteringReceiptReq {
        id: None,
        session_id: car.id().as_bytes().to_vec(),
        sa_schedule_tuple_id: Some(1),
        meter_info: answer.meter_info.unwrap(),
    };
    (car, receipt)
}

#[test]
fn an_honest_receipt_is_taken() {
    let (mut car, mut receipt) = up_to_receipt();
    let signature = pnc::iso2::sign_metering_receipt(&mut receipt, &Sha2, &key(&OWN)).unwrap();
    let answer = car.ask(signed2(B::MeteringReceiptReq(receipt), Some(signature)));
    assert_eq!(code2(&answer), R2::OK);
    assert!(car.evse.contactor_closed, "the session goes on");
}

type ForgedReceipt = fn(&mut v::MeteringReceiptReq) -> Option<v::Signature>;

#[test]
fn a_forged_receipt_stops_the_session_and_opens_the_contactor() {
    fn sign(receipt: &mut v::MeteringReceiptReq, scalar: &[u8; 32]) -> v::Signature {
        pnc::iso2::sign_metering_receipt(receipt, &Sha2, &key(scalar)).unwrap()
    }
    let forgeries: &[(&str, ForgedReceipt)] = &[
        ("unsigned", |_| None),
        ("another key", |r| Some(sign(r, &OTHER))),
        ("a reading of the vehicle's choice, signed", |r| {
            r.meter_info.meter_reading = r.meter_info.meter_reading.map(|wh| wh / 2 + 1);
            Some(sign(r, &OWN))
        }),
        ("a reading changed after signing", |r| {
            let by = sign(r, &OWN);
            r.meter_info.meter_reading = Some(77);
            Some(by)
        }),
        ("another meter", |r| {
            r.meter_info.meter_id = "GL-2".to_owned();
            Some(sign(r, &OWN))
        }),
        ("another session", |r| {
            r.session_id = vec![5; 8];
            Some(sign(r, &OWN))
        }),
        ("a bit of the signature", |r| {
            let mut by = sign(r, &OWN);
            by.signature_value.value[0] ^= 0x80;
            Some(by)
        }),
    ];
    for (what, forge) in forgeries {
        let (mut car, mut receipt) = up_to_receipt();
        let signature = forge(&mut receipt);
        let answer = car.ask(signed2(B::MeteringReceiptReq(receipt), signature));
        assert_eq!(code2(&answer), R2::FAILEDMeteringSignatureNotValid, "{what}");
        assert!(car.saw(codes::RECEIPT_INVALID), "{what}: {:?}", car.events);
        assert!(!car.evse.contactor_closed, "{what}: power stayed on");
    }
}
