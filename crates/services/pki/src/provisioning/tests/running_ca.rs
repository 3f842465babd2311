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
