//! ISO 15118-20's other choice of keys: Ed448 from the roots down, on both sides of the cable.

use std::sync::Arc;

use gridlatch_keys::{FileKey, KeyAlgorithm, Signer as _};
use gridlatch_pki::ca::{Ca, KeyRing, Order, Plan, Requester, Role, World};
use gridlatch_station::TlsSetup;
use gridlatch_store::Store;
use gridlatch_tls::Credential;
use gridlatch_trust::build::Subject;
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::catalogue::tls;

use crate::bench::{Recorder, bench_with};

/// A leaf with a fresh Ed448 key.
async fn leaf(ca: &Ca, from: &str, kind: Kind, name: &str) -> Credential {
    let key = FileKey::generate(KeyAlgorithm::Ed448).unwrap();
    let issued = ca
        .issue(Order {
            authority: from.to_owned(),
            profile: World::Iso20Ed448.profile(kind),
            subject: Subject {
                common_name: name.to_owned(),
                organization: Some("Test".to_owned()),
                country: Some("DE".to_owned()),
            },
            spki: key.public_key_der().to_vec(),
            alt_names: Vec::new(),
            not_before: None,
            not_after: None,
            requester: Requester {
                role: Role::Operator,
                id: "test".to_owned(),
            },
        })
        .await
        .unwrap();
    Credential::new(name, issued.chain, Arc::new(key))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_car_and_a_station_with_nothing_but_ed448_keys_charge_by_iso_15118_20() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("ca.db").to_str().unwrap())
        .await
        .unwrap();
    let plan = Plan {
        worlds: vec![World::Iso20Ed448],
        ..Plan::single("Ed448 Test")
    };
    let ca = Ca::init(
        store,
        KeyRing::in_folder(folder.path()),
        Arc::new(Recorder::default()),
        &plan,
    )
    .await
    .unwrap();
    let root = |name: &str| vec![ca.authority(&format!("iso20-ed448/{name}")).unwrap().der.clone()];
    let station = leaf(&ca, "iso20-ed448/cpo-sub2", Kind::SeccLeaf, "DE*TST*E1").await;
    let vehicle = leaf(
        &ca,
        "iso20-ed448/oem-sub2",
        Kind::VehicleLeaf,
        "TSTV1234567890ABC",
    )
    .await;

    let bench = bench_with(1, false, |config| {
        config.tls = Some(TlsSetup {
            credentials: vec![station],
            vehicle_roots: root("oem-root"),
            contract_roots: Vec::new(),
            vehicle_revocation: None,
            allow_legacy_cbc: true,
            key_log: None,
        });
        for evse in &mut config.evses {
            // TLS 1.2 of ISO 15118-2 has no Ed448.
            evse.iso2 = false;
        }
    });
    let outcome = bench
        .car(1)
        .dynamic()
        .trusting(root("v2g-root"), vehicle)
        .millis(200)
        .charge()
        .await;
    assert!(
        outcome.failure().is_none(),
        "{:?}\n{:#?}",
        outcome.failure(),
        bench.codes(1)
    );
    assert!(outcome.summary().loops.0 > 0);
    assert_eq!(bench.count(1, tls::ESTABLISHED), 1, "{:#?}", bench.codes(1));

    // The same car at a station of the same generation on secp521r1, whose root it lacks: no fallback, a reason.
    let other = crate::bench::bench(1, false);
    let stranger = leaf(
        &ca,
        "iso20-ed448/oem-sub2",
        Kind::VehicleLeaf,
        "TSTV1234567890ABC",
    )
    .await;
    let outcome = other
        .car(1)
        .dynamic()
        .trusting(root("v2g-root"), stranger)
        .charge()
        .await;
    assert_eq!(
        outcome.failure().unwrap().code,
        tls::UNKNOWN_CA,
        "{:?}",
        outcome.failure()
    );
    bench.stop().await;
    other.stop().await;
}
