//! Contracts that do not arrive, and why.

use gridlatch_session::provisioning::Refusal;
use gridlatch_store::PoolVehicle;
use gridlatch_vocab::catalogue::{pools, provisioning as codes};

use super::*;

pub(super) fn published(car: &Car, owner: &str) -> PoolVehicle {
    PoolVehicle {
        pcid: car.vehicle.pcid(),
        generation: stored_generation(car.generation).to_owned(),
        owner: owner.to_owned(),
        fingerprint: trust::fingerprint(&car.chain[0]),
        chain: car.chain.clone(),
        roots: Vec::new(),
        previous: None,
        at: clock(),
    }
}

pub(super) fn order(car: &Car, emaid: &str) -> Order {
    Order {
        owner: "mo".to_owned(),
        pcid: car.vehicle.pcid(),
        emaid: Personal::new(emaid.parse().unwrap()),
        generation: car.generation,
        not_before: None,
        not_after: None,
        cps_root: None,
    }
}

async fn refused(world: &World, generation: Generation, exi: &[u8]) -> ProvisioningError {
    let error = world
        .provisioner
        .install(generation, Action::Install, exi)
        .await
        .unwrap_err();
    assert!(world.told.codes().contains(&error.code()), "{error} was not told");
    if let Some(exi) = error.exi() {
        let answer = Answer::decode(session_generation(generation), Action::Install, exi).unwrap();
        assert!(matches!(answer, Answer::Refused(_)));
    }
    error
}

#[tokio::test]
async fn each_reason_has_its_code_and_its_word_for_the_vehicle() {
    let world = World::new(false).await;
    for generation in [Generation::Iso2, Generation::Iso20] {
        let car = world.car("dave", generation);
        // In no pool.
        let error = refused(&world, generation, &car.ask()).await;
        assert_eq!(
            (error.code(), error.refusal()),
            (codes::VEHICLE_UNKNOWN, Refusal::NoContract)
        );
        // Published, but nobody concluded a contract.
        world
            .provisioner
            .publish_vehicle(published(&car, "oem"))
            .await
            .unwrap();
        let error = refused(&world, generation, &car.ask()).await;
        assert_eq!(
            (error.code(), error.refusal()),
            (codes::NO_CONTRACT, Refusal::NoContract)
        );
        world
            .provisioner
            .conclude(order(&car, "DEGDLC44444444"))
            .await
            .unwrap();
        world
            .provisioner
            .install(generation, Action::Install, &car.ask())
            .await
            .unwrap();
        // A vehicle that knows another V2G root cannot check the signer.
        let mut strange = world.car("dave", generation);
        strange.roots = vec![RootId {
            issuer: "CN=Elsewhere".to_owned(),
            serial: 42,
        }];
        let error = refused(&world, generation, &strange.ask()).await;
        assert_eq!(error.code(), codes::NO_CONTRACT);
        // Another vehicle's certificate with this vehicle's key: the signature is not the certificate's.
        let mut thief = world.car("mallory", generation);
        thief.chain = car.chain.clone();
        let error = refused(&world, generation, &thief.ask()).await;
        assert_eq!(
            (error.code(), error.refusal()),
            (codes::SIGNATURE_INVALID, Refusal::Signature)
        );
        // The pool holds another certificate of the same PCID.
        let mut other = published(&car, "oem");
        other.fingerprint = "00".repeat(32);
        world.provisioner.publish_vehicle(other).await.unwrap();
        let error = refused(&world, generation, &car.ask()).await;
        assert_eq!(error.code(), codes::VEHICLE_UNKNOWN);
    }
    // A manufacturer whose root is in no pool.
    let elsewhere = World::new(false).await;
    let stranger = elsewhere.car("eve", Generation::Iso2);
    let error = refused(&world, Generation::Iso2, &stranger.ask()).await;
    assert_eq!(
        (error.code(), error.refusal()),
        (codes::CERTIFICATE_REFUSED, Refusal::Chain)
    );
    // The message of the other standard, and nonsense.
    let car = world.car("dave", Generation::Iso20);
    for exi in [car.ask(), Vec::new(), vec![0x80; 20_000], b"<xml/>".to_vec()] {
        let error = refused(&world, Generation::Iso2, &exi).await;
        assert_eq!(error.code(), codes::REQUEST_MALFORMED, "{error}");
        assert!(error.exi().is_none());
    }
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_a_request_never_yields_a_contract() {
    let world = World::new(true).await;
    let car = world.car("frank", Generation::Iso2);
    let exi = car.ask();
    world
        .provisioner
        .install(Generation::Iso2, Action::Install, &exi)
        .await
        .unwrap();
    for at in (0..exi.len()).step_by(7) {
        let mut altered = exi.clone();
        altered[at] ^= 1 << (at % 8);
        match world
            .provisioner
            .install(Generation::Iso2, Action::Install, &altered)
            .await
        {
            Err(_) => {}
            // The session id of the header is not signed and comes back as it went.
            Ok(installed) => {
                let (chain, _) = car.take(&world, &installed.exi);
                let whole = gridlatch_session::provisioning::InstallationRequest::decode(
                    session_generation(Generation::Iso2),
                    Action::Install,
                    &altered,
                )
                .unwrap();
                assert_eq!(whole.chain[0], car.chain[0]);
                assert_eq!(
                    certificate::emaid_of(&chain[0]).unwrap().reveal(),
                    car.vehicle.emaid().reveal()
                );
            }
        }
    }
}

#[tokio::test]
async fn a_contract_id_belongs_to_one_vehicle_and_one_operator() {
    let world = World::new(false).await;
    let (one, two) = (
        world.car("grace", Generation::Iso2),
        world.car("heidi", Generation::Iso2),
    );
    for car in [&one, &two] {
        world
            .provisioner
            .publish_vehicle(published(car, "oem"))
            .await
            .unwrap();
    }
    world
        .provisioner
        .conclude(order(&one, "DEGDLC55555555"))
        .await
        .unwrap();
    let error = world
        .provisioner
        .conclude(order(&two, "DEGDLC55555555"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), pools::EMAID_TAKEN);
    let foreign = Order {
        owner: "another".to_owned(),
        ..order(&one, "DEGDLC55555555")
    };
    assert_eq!(
        world.provisioner.conclude(foreign).await.unwrap_err().code(),
        pools::FOREIGN
    );
    let past = Order {
        not_after: Some(Timestamp(clock().0 - time::Duration::DAY)),
        ..order(&two, "DEGDLC66666666")
    };
    assert_eq!(
        world.provisioner.conclude(past).await.unwrap_err().code(),
        codes::UNMAKEABLE
    );
    let unknown = Order {
        pcid: Personal::new("GLD99999999999999".to_owned()),
        ..order(&two, "DEGDLC77777777")
    };
    assert_eq!(
        world.provisioner.conclude(unknown).await.unwrap_err().code(),
        codes::VEHICLE_UNKNOWN
    );
}

#[tokio::test]
async fn only_self_signed_cas_that_are_valid_now_become_roots() {
    let world = World::new(false).await;
    let car = world.car("ivan", Generation::Iso2);
    let root = world.pki.v2g_roots()[0].clone();
    let mut forged = root.clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let world2 = World::new(false).await;
    let sub = world2.pki.oem_sub_cas()[0].clone();
    for (what, der) in [
        ("a leaf", car.chain[0].clone()),
        ("a sub-CA 2", car.chain[1].clone()),
        ("a sub-CA 1", car.chain[2].clone()),
        ("a foreign sub-CA", sub),
        ("a forged root", forged),
        ("nothing", Vec::new()),
        ("junk", vec![0x30; 900]),
        ("too much", vec![0x30; 9000]),
    ] {
        let error = world
            .provisioner
            .add_root(RootKind::V2g, &der, "admin")
            .await
            .unwrap_err();
        assert_eq!(error.code(), pools::NOT_A_ROOT, "{what}");
    }
    let again = world
        .provisioner
        .add_root(RootKind::V2g, &root, "admin")
        .await
        .unwrap();
    assert!(!again.new, "it stands under its first id");
}
