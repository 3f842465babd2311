//! What can be said without certificates; the whole exchange is tested where certificates are made
//! (`services/pki`) and against Josev (`tests/scenarios`).

use gridlatch_vocab::Timestamp;
use iso15118::exi::ValueCoding;
use iso15118::iso2::{CertificateChain, EMAID, SubCertificates};
use proptest::prelude::*;

use super::*;

fn now() -> Timestamp {
    Timestamp::from_unix_millis(1_795_000_000_000)
}

#[test]
fn the_fragment_of_a_contract_id_is_the_one_exificient_makes() {
    // EXIficient 1.0.4 as shipped with Josev 0.31.2, for <eMAID Id="id4">…</eMAID>.
    for (value, expected) in [
        (
            "DEGDLC00000001",
            "80ec0202b4b21a4004111151d11310cc0c0c0c0c0c0c0c7d3d00",
        ),
        (
            "DEGDLC000000012",
            "80ec0202b4b21a4004511151d11310cc0c0c0c0c0c0c0c4cbd3d00",
        ),
    ] {
        let emaid = EMAID {
            id: "id4".to_owned(),
            value: value.to_owned(),
        };
        let made = fragment::emaid(&emaid, ValueCoding::Literal).expect("encodable");
        assert_eq!(hex::encode(made), expected, "{value}");
    }
}

#[test]
fn the_fragment_of_a_contract_chain_is_the_one_exificient_makes() {
    let chain = CertificateChain {
        id: Some("id1".to_owned()),
        certificate: vec![1, 2],
        sub_certificates: Some(SubCertificates {
            certificate: vec![vec![3], vec![4]],
        }),
    };
    let made = fragment::contract_chain(&chain, ValueCoding::Literal).expect("encodable");
    assert_eq!(hex::encode(made), "8021015a590c4020102000818008217a00");
}

#[test]
fn every_refusal_reaches_the_vehicle_in_the_words_of_its_standard() {
    let words = [
        (Refusal::Failed, "FAILED", "FAILED"),
        (
            Refusal::Signature,
            "FAILED_SignatureError",
            "FAILED_SignatureError",
        ),
        (
            Refusal::Expired,
            "FAILED_CertificateExpired",
            "WARNING_CertificateExpired",
        ),
        (
            Refusal::Revoked,
            "FAILED_CertificateRevoked",
            "WARNING_CertificateRevoked",
        ),
        (
            Refusal::Chain,
            "FAILED_CertChainError",
            "WARNING_CertificateValidationError",
        ),
        (
            Refusal::NoContract,
            "FAILED_NoCertificateAvailable",
            "WARNING_NoContractMatchingPCIDFound",
        ),
        (
            Refusal::Cancelled,
            "FAILED_ContractCanceled",
            "WARNING_NoCertificateAvailable",
        ),
    ];
    for (refusal, iso2, iso20) in words {
        for (generation, action, word) in [
            (Generation::Iso2, Action::Install, iso2),
            (Generation::Iso2, Action::Update, iso2),
            (Generation::Iso20, Action::Install, iso20),
        ] {
            let exi = refuse(generation, action, &[7; 8], refusal, now()).expect("encodable");
            match Answer::decode(generation, action, &exi).expect("readable") {
                Answer::Refused(found) => assert_eq!(found, word, "{refusal:?} {generation:?} {action:?}"),
                Answer::Contract(_) => panic!("{refusal:?} became a contract"),
            }
        }
    }
}

#[test]
fn a_message_of_another_kind_or_size_is_refused_by_name() {
    let refusal =
        refuse(Generation::Iso2, Action::Install, &[7; 8], Refusal::Failed, now()).expect("encodable");
    assert!(matches!(
        InstallationRequest::decode(Generation::Iso2, Action::Install, &refusal),
        Err(ProvisioningFault::OtherMessage {
            expected: "CertificateInstallationReq"
        })
    ));
    assert!(matches!(
        Answer::decode(Generation::Iso2, Action::Update, &refusal),
        Err(ProvisioningFault::OtherMessage {
            expected: "CertificateUpdateRes"
        })
    ));
    let long = vec![0x80; MAX_MESSAGE + 1];
    for generation in [Generation::Iso2, Generation::Iso20] {
        assert!(matches!(
            InstallationRequest::decode(generation, Action::Install, &long),
            Err(ProvisioningFault::TooLarge(_))
        ));
        assert!(matches!(
            Answer::decode(generation, Action::Install, &long),
            Err(ProvisioningFault::TooLarge(_))
        ));
    }
    assert!(matches!(
        InstallationRequest::decode(Generation::Iso20, Action::Update, &refusal),
        Err(ProvisioningFault::OtherMessage { .. })
    ));
}

#[test]
fn the_session_key_is_one_round_of_the_concatenation_kdf() {
    // SHA-256(00000001 || Z || 01 55 56), first 16 bytes, as `openssl dgst -sha256` gives it for Z = 32 x 0xAB.
    assert_eq!(
        hex::encode(session_key_iso2(&[0xAB; 32])),
        "99dd0e85b3e5d9d4848d8686457641e0"
    );
}

proptest! {
    #[test]
    fn no_bytes_upset_the_readers(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        for generation in [Generation::Iso2, Generation::Iso20] {
            for action in [Action::Install, Action::Update] {
                let _ = InstallationRequest::decode(generation, action, &bytes).map(|request| request.verify());
                let _ = Answer::decode(generation, action, &bytes);
            }
        }
    }

    #[test]
    fn a_damaged_refusal_never_becomes_a_contract(at in 0_usize..400, bit in 0_u8..8) {
        for generation in [Generation::Iso2, Generation::Iso20] {
            let mut exi = refuse(generation, Action::Install, &[7; 8], Refusal::NoContract, now()).expect("encodable");
            let at = at % exi.len();
            exi[at] ^= 1 << bit;
            if let Ok(Answer::Contract(contract)) = Answer::decode(generation, Action::Install, &exi) {
                prop_assert!(contract.verify().is_err());
            }
        }
    }
}
