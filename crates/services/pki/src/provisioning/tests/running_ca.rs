//! The running CA behind the provisioning service, instead of the development PKI.

use gridlatch_vocab::catalogue::provisioning as codes;

use super::*;
use crate::ca::{Ca, KeyRing, Plan};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_running_ca_issues_contracts_and_signs_them_for_vehicles_of_both_standards() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.db");
    let store = Store::open(path.to_str().unwrap()).await.unwrap();
    let told = Arc::new(Told::default());
    let keys = KeyRing::in_folder(dir.path());
    let sink: Arc<dyn EventSink> = Arc::<Told>::clone(&told);
    let ca = Ca::init(store.clone(), keys, sink, &Plan::single("Test"))
        .await
        .unwrap();
    let contracts = Arc::new(CaContracts::open(ca.clone()).await.unwrap());
    let dev = World::new(false).await;
    let settings = Settings {
        clock: Arc::new(clock),
        kdf: Kdf::default(),
        on_demand: None,
        intermediates: Vec::new(),
    };
    let provisioner = Provisioner::new(
        store.clone(),
        Arc::<CaContracts>::clone(&contracts) as _,
        settings,
        Arc::<Told>::clone(&told) as _,
    );
    for (kind, root) in contracts.pool_roots() {
        // The tree of Ed448 has roots too; nobody asks for contracts there.
        let _ = provisioner.add_root(kind, &root, "test").await.unwrap();
    }
    // The car comes from a maker elsewhere, whose root is put into the pool.
    for root in dev.pki.oem_roots() {
        provisioner.add_root(RootKind::Oem, &root, "test").await.unwrap();
    }
    for generation in [Generation::Iso2, Generation::Iso20] {
        let mut car = dev.car("nina", generation);
        let cps = contracts_of(&contracts, generation).await;
        car.roots = vec![root_id(&cps.root)];
        provisioner
            .publish_vehicle(hostile::published(&car, "oem"))
            .await
            .unwrap();
        provisioner
            .conclude(hostile::order(&car, "DEGDLC00000088"))
            .await
            .unwrap();
        let installed = provisioner
            .install(generation, Action::Install, &car.ask())
            .await
            .unwrap();
        let Answer::Contract(signed) =
            Answer::decode(session_generation(generation), Action::Install, &installed.exi).unwrap()
        else {
            panic!("a refusal");
        };
        signed.verify().unwrap();
        let profile = trust::profile(generation, Kind::ContractLeaf);
        let roots: Vec<Vec<u8>> = contracts.pool_roots().into_iter().map(|(_, root)| root).collect();
        verdict::check_with(
            &signed.contract().chain,
            &roots,
            profile,
            clock(),
            &OpensslVerifier,
        )
        .unwrap();
        // The certificate is in the CA's register.
        let (authority, serial) = ca.issuer_of(&signed.contract().chain[0]).unwrap();
        assert!(ca.find(&authority, serial).await.unwrap().is_some());
    }
    assert!(told.codes().contains(&codes::CONTRACT_DELIVERED));
    // Opened again, the same signer serves.
    let before = contracts_of(&contracts, Generation::Iso2).await.chain;
    let again = Arc::new(CaContracts::open(ca).await.unwrap());
    assert_eq!(contracts_of(&again, Generation::Iso2).await.chain, before);
}

async fn contracts_of(contracts: &Arc<CaContracts>, generation: Generation) -> CpsSigner {
    let contracts = Arc::clone(contracts);
    tokio::task::spawn_blocking(move || contracts.cps(generation).unwrap().remove(0))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_signer_of_contract_data_is_replaced_in_the_last_third_of_its_life_without_a_restart() {
    use std::sync::atomic::{AtomicI64, Ordering};

    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("ca.db").to_str().unwrap())
        .await
        .unwrap();
    let sink: Arc<dyn EventSink> = Arc::new(Told::default());
    let keys = || KeyRing::in_folder(dir.path());
    Ca::init(store.clone(), keys(), Arc::clone(&sink), &Plan::single("Test"))
        .await
        .unwrap();
    // A clock that the test moves.
    let start = gridlatch_host::now();
    let later = Arc::new(AtomicI64::new(0));
    let moved = Arc::clone(&later);
    let clock = Arc::new(move || Timestamp(start.0 + time::Duration::seconds(moved.load(Ordering::Relaxed))));
    let ca = Ca::open_at(store, keys(), sink, clock).await.unwrap();
    let contracts = Arc::new(CaContracts::open(ca).await.unwrap());
    for generation in [Generation::Iso2, Generation::Iso20] {
        later.store(0, Ordering::Relaxed);
        let first = contracts_of(&contracts, generation).await;
        let summary = certificate::summary(&first.chain[0]).unwrap();
        let life = (summary.not_after.0 - summary.not_before.0).whole_seconds();
        // A minute before the last third, and a minute into it.
        let due = (summary.not_after.0 - start.0).whole_seconds() - life / 3;
        later.store(due - 60, Ordering::Relaxed);
        assert_eq!(contracts_of(&contracts, generation).await.chain, first.chain);
        later.store(due + 60, Ordering::Relaxed);
        let second = contracts_of(&contracts, generation).await;
        assert_ne!(second.chain[0], first.chain[0]);
        assert_eq!(second.chain[1..], first.chain[1..]);
        assert_eq!(
            certificate::public_key_der(&second.chain[0]).unwrap(),
            second.key.public_key_der()
        );
        assert_eq!(contracts_of(&contracts, generation).await.chain, second.chain);
    }
}
