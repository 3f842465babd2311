//! Contracts that arrive.

use gridlatch_vocab::catalogue::provisioning as codes;

use super::*;

#[tokio::test]
async fn a_vehicle_of_either_standard_gets_a_contract_that_only_it_can_open() {
    let world = World::new(true).await;
    for generation in [Generation::Iso2, Generation::Iso20] {
        let car = world.car("alice", generation);
        let installed = world
            .provisioner
            .install(generation, Action::Install, &car.ask())
            .await
            .unwrap();
        assert_eq!(installed.emaid.reveal(), car.vehicle.emaid().reveal());
        let (chain, key) = car.take(&world, &installed.exi);
        assert_eq!(
            certificate::emaid_of(&chain[0]).unwrap().reveal(),
            car.vehicle.emaid().reveal()
        );
        let profile = trust::profile(generation, Kind::ContractLeaf);
        verdict::check_with(&chain, &world.pki.mo_roots(), profile, clock(), &OpensslVerifier).unwrap();
        // The key signs what the certificate verifies.
        let signature = key.sign(b"challenge").unwrap();
        assert!(
            gridlatch_keys::verify(key.algorithm(), key.public_key_der(), b"challenge", &signature).unwrap()
        );
        // Asking again gives the same contract, not another certificate.
        let again = world
            .provisioner
            .install(generation, Action::Install, &car.ask())
            .await
            .unwrap();
        assert_eq!(car.take(&world, &again.exi).0, chain);
    }
    assert!(world.told.codes().contains(&codes::CONTRACT_MADE));
    assert!(world.told.codes().contains(&codes::CONTRACT_DELIVERED));
    let car = world.car("alice", Generation::Iso2);
    for personal in [
        car.vehicle.pcid().reveal().clone(),
        car.vehicle.emaid().reveal().as_str().to_owned(),
    ] {
        assert!(
            !world.told.text().contains(&personal),
            "personal data in an event"
        );
    }
}

#[tokio::test]
async fn an_update_is_sealed_for_the_old_contract_and_repeated_it_gets_the_same_certificate_until_it_is_a_replay()
 {
    let world = World::new(true).await;
    let car = world.car("bob", Generation::Iso2);
    let installed = world
        .provisioner
        .install(Generation::Iso2, Action::Install, &car.ask())
        .await
        .unwrap();
    let (chain, key) = car.take(&world, &installed.exi);
    let request = Installation {
        generation: session_generation(Generation::Iso2),
        action: Action::Update,
        session: vec![9; 8],
        chain: chain.clone(),
        roots: car.roots.clone(),
        emaids: vec![Personal::new(car.vehicle.emaid().reveal().as_str().to_owned())],
        maximum: 1,
        now: clock(),
    }
    .encode(&SignAs(Arc::new(key.clone())))
    .unwrap();
    let update = async || {
        world
            .provisioner
            .install(Generation::Iso2, Action::Update, &request)
            .await
            .unwrap()
    };
    let pcid = car.vehicle.pcid().reveal().clone();
    let (new_chain, new_key) = open(
        &world,
        Generation::Iso2,
        Action::Update,
        &update().await.exi,
        &key,
        &pcid,
    );
    assert_ne!(new_chain[0], chain[0]);
    assert_ne!(new_key.public_key_der(), key.public_key_der());
    let (again, _) = open(
        &world,
        Generation::Iso2,
        Action::Update,
        &update().await.exi,
        &key,
        &pcid,
    );
    assert_eq!(again, new_chain, "a repetition makes no second certificate");
    // Another process on the same database: soon after it repeats the answer, later it refuses.
    let restarted = |hours: i64| {
        let settings = Settings {
            clock: Arc::new(move || Timestamp(clock().0 + time::Duration::hours(hours))),
            kdf: Kdf::default(),
            on_demand: None,
            intermediates: world.pki.oem_sub_cas(),
        };
        Provisioner::new(
            world.provisioner.store().clone(),
            Arc::<DevPki>::clone(&world.pki),
            settings,
            Arc::<Told>::clone(&world.told),
        )
    };
    let soon = restarted(0)
        .install(Generation::Iso2, Action::Update, &request)
        .await
        .unwrap();
    let (again, _) = open(&world, Generation::Iso2, Action::Update, &soon.exi, &key, &pcid);
    assert_eq!(again, new_chain, "a restart makes no second certificate");
    let replayed = restarted(2)
        .install(Generation::Iso2, Action::Update, &request)
        .await
        .unwrap_err();
    assert_eq!(replayed.code(), codes::REQUEST_REPLAYED);
    assert!(replayed.exi().is_some(), "the vehicle is told");
    // Once the contract is withdrawn there is no update either.
    assert!(
        world
            .provisioner
            .store()
            .pool_contract_remove(car.vehicle.emaid().reveal().as_str())
            .await
            .unwrap()
    );
    let refused = world
        .provisioner
        .install(Generation::Iso2, Action::Update, &request)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), codes::NO_CONTRACT);
    let told = Answer::decode(
        session_generation(Generation::Iso2),
        Action::Update,
        refused.exi().unwrap(),
    )
    .unwrap();
    assert!(matches!(told, Answer::Refused("FAILED_ContractCanceled")));
}

#[tokio::test]
async fn a_vehicle_of_the_new_standard_gets_the_contract_it_prefers_and_hears_of_the_others() {
    let world = World::new(false).await;
    let car = world.car("carol", Generation::Iso20);
    world
        .provisioner
        .publish_vehicle(hostile::published(&car, "oem"))
        .await
        .unwrap();
    for emaid in ["DEGDLC11111111", "DEGDLC22222222", "DEGDLC33333333"] {
        world
            .provisioner
            .conclude(hostile::order(&car, emaid))
            .await
            .unwrap();
    }
    let ask = |emaids: &[&str]| {
        Installation {
            generation: session_generation(Generation::Iso20),
            action: Action::Install,
            session: vec![1; 8],
            chain: car.chain.clone(),
            roots: car.roots.clone(),
            emaids: emaids
                .iter()
                .map(|one| Personal::new((*one).to_owned()))
                .collect(),
            maximum: 2,
            now: clock(),
        }
        .encode(&SignAs(Arc::clone(&car.key)))
        .unwrap()
    };
    let install = async |emaids: &[&str]| {
        world
            .provisioner
            .install(Generation::Iso20, Action::Install, &ask(emaids))
            .await
            .unwrap()
    };
    let first = install(&[]).await;
    assert_eq!(
        (first.emaid.reveal().as_str(), first.remaining),
        ("DEGDLC11111111", 1)
    );
    let preferred = install(&["DE-GDL-C33333333"]).await;
    assert_eq!(preferred.emaid.reveal().as_str(), "DEGDLC33333333");
    car.take(&world, &preferred.exi);
}
