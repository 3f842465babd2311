//! A vehicle that gets its contract at the station: installed or updated, then used, or refused and why.

use gridlatch_session::evcc::{ContractAcceptance, ContractWish, Failure};
use gridlatch_session::provisioning::{
    Answer as Offered, ContractData, Delivery, IV_ISO2, InstallationRequest, Refusal, RootId, SignedContract,
    agree_p256, open_iso2, refuse, seal_iso2,
};
use gridlatch_vocab::Code;
use gridlatch_vocab::catalogue::{pnc, provisioning, session};

use super::*;

const EPHEMERAL: [u8; 32] = [9; 32];

/// Opens what is for it; judges no chain (there is one certificate for everything here).
#[derive(Debug)]
struct Takes;

impl ContractAcceptance for Takes {
    fn accept(&self, offered: &SignedContract) -> Result<Contract, (Code, String)> {
        let contract = offered.contract();
        if contract.delivery == Delivery::P256 {
            let key = open_iso2(
                &contract.encrypted_key,
                &contract.dh_public_key,
                &contract.chain[0],
                &|peer| agree_p256(&SCALAR, peer).ok(),
            )
            .map_err(|fault| (fault.code(), fault.to_string()))?;
            assert_eq!(key, SCALAR);
        }
        Ok(Contract {
            emaid: contract.emaid.clone(),
            chain: contract.chain.clone(),
            signer: Box::new(TestKey),
        })
    }
}

fn run(generation: Generation) -> Run {
    Run {
        generation,
        energy: Energy::Dc,
        control: (generation == Generation::Iso20).then_some(Control::Scheduled),
        pnc: true,
        discharge: false,
    }
}

fn wish(action: Action) -> ContractWish {
    ContractWish {
        action,
        chain: chain(),
        signer: Box::new(TestKey),
        roots: vec![RootId {
            issuer: "CN=V2G Root".to_owned(),
            serial: 7,
        }],
        emaids: vec![Personal::new("DEGDLC123456789".to_owned())],
        acceptance: Box::new(Takes),
    }
}

fn vehicle(generation: Generation, action: Action) -> EvccConfig {
    EvccConfig {
        authorisation: Authorisation::Install(wish(action)),
        ..vehicle_config(&run(generation), true)
    }
}

/// Contract data for the vehicle, signed.
fn contract(generation: Generation) -> SignedContract {
    let leaf = &chain()[0];
    let (delivery, encrypted_key, dh_public_key) = match generation {
        Generation::Iso2 => {
            let (key, public) = seal_iso2(&SCALAR, leaf, &EPHEMERAL, &[3; IV_ISO2]).unwrap();
            (Delivery::P256, key, public)
        }
        // Made by OpenSSL where it is tested with real keys; here only its way matters.
        Generation::Iso20 => (Delivery::P521, vec![5; 94], vec![4; 133]),
    };
    let data = ContractData {
        emaid: Personal::new("DEGDLC123456789".to_owned()),
        chain: chain(),
        delivery,
        encrypted_key,
        dh_public_key,
    };
    SignedContract::sign(generation, data, chain(), &TestKey).unwrap()
}

/// The provisioning service: believes what is signed, and answers with a contract.
fn provides(generation: Generation, action: Action, exi: &[u8]) -> Provided {
    let request = InstallationRequest::decode(generation, action, exi).unwrap();
    request.verify().unwrap();
    assert_eq!(request.roots[0].serial, 7);
    let answer = contract(generation).encode(action, &request.session, 0, Timestamp::from_unix_millis(0));
    Some(answer.map_err(|fault| fault.to_string()))
}

const EVERY: [(Generation, Action); 3] = [
    (Generation::Iso2, Action::Install),
    (Generation::Iso2, Action::Update),
    (Generation::Iso20, Action::Install),
];

fn has(notices: &[Notice], code: Code) -> bool {
    notices.iter().any(|notice| notice.code == code)
}

#[test]
fn a_vehicle_without_a_contract_gets_one_and_charges_on_it() {
    for (generation, action) in EVERY {
        let mut asked = 0;
        let (world, notices) = drive_as(
            vehicle(generation, action),
            station_config(&run(generation), true),
            |_| {},
            |of, what, exi| {
                asked += 1;
                assert_eq!((of, what), (generation, action));
                provides(of, what, exi)
            },
        );
        let steps = format!("{generation:?} {action:?} {:#?} {notices:#?}", world.steps);
        assert_eq!(world.end, Some(End::Complete), "{steps}");
        assert_eq!(asked, 1, "{steps}");
        assert!(world.vehicle.taken_wh > 0.0, "{steps}");
        let names: Vec<StepName> = world.steps.iter().map(|(name, ..)| *name).collect();
        assert_eq!(
            names[..4],
            [
                StepName::Protocol,
                StepName::Identification,
                StepName::Contract,
                StepName::Authorisation
            ],
            "{steps}"
        );
        for code in [pnc::CONTRACT_ASKED, pnc::CONTRACT_PASSED_ON, pnc::AUTHORIZED] {
            assert!(has(&notices, code), "{} is missing: {steps}", code.as_str());
        }
    }
}

/// Runs into a refusal: the vehicle's failure, and what the station reported.
fn refused(
    generation: Generation,
    action: Action,
    outlet: SeccSessionConfig,
    provide: impl FnMut(Generation, Action, &[u8]) -> Provided,
) -> (Failure, Vec<Notice>) {
    let (world, notices) = drive_as(vehicle(generation, action), outlet, |_| {}, provide);
    assert!(!world.evse.contactor_closed && world.vehicle.taken_wh == 0.0);
    match world.end {
        Some(End::Failed(failure)) => (failure, notices),
        other => panic!(
            "{generation:?} {action:?}: {other:?} {:#?} {notices:#?}",
            world.steps
        ),
    }
}

#[test]
fn a_station_without_a_provisioning_service_does_not_offer_it() {
    for (generation, action) in EVERY {
        let outlet = SeccSessionConfig {
            provisioning: false,
            ..station_config(&run(generation), true)
        };
        let (failure, _) = refused(generation, action, outlet, |_, _, _| {
            panic!("nobody may be asked")
        });
        assert_eq!(failure.code, session::SERVICE_NOT_OFFERED, "{failure:?}");
    }
}

#[test]
fn refusals_silence_and_nonsense_of_the_service_reach_the_vehicle_as_a_refusal_of_its_standard() {
    for (generation, action) in EVERY {
        type Service = Box<dyn FnMut(Generation, Action, &[u8]) -> Provided>;
        let cases: Vec<(&str, Code, Service)> = vec![
            (
                "a refusal",
                pnc::CONTRACT_NOT_PROVIDED,
                Box::new(|generation, action, exi| {
                    let request = InstallationRequest::decode(generation, action, exi).unwrap();
                    let at = Timestamp::from_unix_millis(0);
                    Some(Ok(refuse(
                        generation,
                        action,
                        &request.session,
                        Refusal::NoContract,
                        at,
                    )
                    .unwrap()))
                }),
            ),
            (
                "no platform",
                pnc::CONTRACT_NOT_PROVIDED,
                Box::new(|_, _, _| Some(Err("the platform cannot be reached".to_owned()))),
            ),
            ("silence", pnc::CONTRACT_NOT_PROVIDED, Box::new(|_, _, _| None)),
            (
                "garbage",
                provisioning::ANSWER_MALFORMED,
                Box::new(|_, _, _| Some(Ok(vec![0xA5; 900]))),
            ),
            (
                "too much",
                provisioning::ANSWER_MALFORMED,
                Box::new(|_, _, _| Some(Ok(vec![0x80; 20_000]))),
            ),
            (
                "the request itself",
                provisioning::ANSWER_MALFORMED,
                Box::new(|_, _, exi| Some(Ok(exi.to_vec()))),
            ),
        ];
        for (what, code, service) in cases {
            let (failure, notices) = refused(
                generation,
                action,
                station_config(&run(generation), true),
                service,
            );
            assert!(has(&notices, code), "{what}: {notices:#?}");
            let told = failure.response_code.clone().unwrap_or_default();
            assert!(
                told.contains("NoCertificateAvailable") || told.contains("NoContractMatchingPCIDFound"),
                "{generation:?} {action:?} {what}: {failure:?}"
            );
        }
    }
}

#[test]
fn a_vehicle_believes_no_contract_whose_signature_does_not_verify() {
    for (generation, action) in EVERY {
        let (failure, _) = refused(
            generation,
            action,
            station_config(&run(generation), true),
            |generation, action, exi| {
                let mut answer = provides(generation, action, exi).unwrap().unwrap();
                // One bit of the encrypted key, which is among the signed elements.
                let Ok(Offered::Contract(offered)) = Offered::decode(generation, action, &answer) else {
                    panic!("no contract")
                };
                let key = &offered.contract().encrypted_key;
                let bits = |bytes: &[u8]| -> Vec<bool> {
                    bytes
                        .iter()
                        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1))
                        .collect()
                };
                let (all, wanted) = (bits(&answer), bits(key));
                let at = all
                    .windows(wanted.len())
                    .position(|window| window == wanted)
                    .expect("the key is in the message");
                answer[at / 8] ^= 0x80 >> (at % 8);
                Some(Ok(answer))
            },
        );
        assert_eq!(failure.code, provisioning::SIGNATURE_INVALID, "{failure:?}");
    }
}

#[test]
fn a_key_for_another_vehicle_is_refused_before_it_is_used() {
    let (failure, _) = refused(
        Generation::Iso2,
        Action::Install,
        station_config(&run(Generation::Iso2), true),
        |generation, action, exi| {
            let request = InstallationRequest::decode(generation, action, exi).unwrap();
            let (_, dh_public_key) = seal_iso2(&SCALAR, &chain()[0], &EPHEMERAL, &[3; IV_ISO2]).unwrap();
            let mut data = contract(generation).contract().clone();
            data.dh_public_key = dh_public_key;
            data.encrypted_key = vec![0x11; Delivery::P256.length()];
            let signed = SignedContract::sign(generation, data, chain(), &TestKey).unwrap();
            Some(Ok(signed
                .encode(action, &request.session, 0, Timestamp::from_unix_millis(0))
                .unwrap()))
        },
    );
    assert_eq!(failure.code, provisioning::KEY_MISMATCH, "{failure:?}");
}

#[test]
fn what_can_never_work_is_refused_before_anything_is_sent() {
    use gridlatch_session::evcc::EvccSetupError as E;
    let world = World::new();
    let plain = EvccConfig {
        secured: false,
        ..vehicle(Generation::Iso2, Action::Install)
    };
    assert_eq!(
        EvccSession::new(plain, world.vehicle).unwrap_err(),
        E::ContractWithoutTls
    );
    let update = vehicle(Generation::Iso20, Action::Update);
    assert_eq!(
        EvccSession::new(update, world.vehicle).unwrap_err(),
        E::UpdateInIso20
    );
    let mut none = vehicle(Generation::Iso2, Action::Install);
    if let Authorisation::Install(wish) = &mut none.authorisation {
        wish.chain.clear();
    }
    assert_eq!(EvccSession::new(none, world.vehicle).unwrap_err(), E::EmptyChain);
}
