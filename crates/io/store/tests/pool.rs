//! The pools as their service meets them, on a file, in memory and on PostgreSQL.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that meets what it did not expect stops there; its parts need no documentation"
)]

use gridlatch_store::{
    ContractStored, PoolClient, PoolContract, PoolRoot, PoolVehicle, PoolWebhook, Store, VehicleStored,
};
use gridlatch_testkit::need;
use gridlatch_testkit::postgres::Postgres;
use gridlatch_vocab::{Personal, Secret, Timestamp};
use serde_json::json;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_790_000_000_000 + seconds * 1000)
}

async fn both(test: impl AsyncFn(Store)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    test(Store::open(path.to_str().unwrap()).await.unwrap()).await;
    test(Store::open(":memory:").await.unwrap()).await;
    need!(postgres);
    let server = Postgres::shared().unwrap();
    test(Store::open(&server.database().unwrap()).await.unwrap()).await;
}

fn vehicle(pcid: &str, owner: &str) -> PoolVehicle {
    PoolVehicle {
        pcid: Personal::new(pcid.to_owned()),
        generation: "iso2".to_owned(),
        owner: owner.to_owned(),
        fingerprint: "00".repeat(32),
        chain: vec![vec![1, 2, 3], vec![4]],
        roots: vec!["ab:cd".to_owned()],
        previous: Some(Personal::new("GLD00000000000000".to_owned())),
        at: at(0),
    }
}

fn contract(emaid: &str, pcid: &str, owner: &str) -> PoolContract {
    PoolContract {
        emaid: Personal::new(emaid.to_owned()),
        pcid: Personal::new(pcid.to_owned()),
        generation: "iso2".to_owned(),
        cps_root: "11".repeat(32),
        owner: owner.to_owned(),
        priority: 0,
        not_after: at(1000),
        message: b"EXI".to_vec(),
        at: at(1),
    }
}

#[tokio::test]
async fn a_vehicle_stays_with_its_manufacturer_and_takes_its_contracts_along() {
    both(async |store| {
        let pcid = "GLD0123456789ABCDE";
        assert_eq!(
            store.pool_vehicle_put(vehicle(pcid, "oem")).await.unwrap(),
            VehicleStored::Added
        );
        assert_eq!(
            store.pool_vehicle_put(vehicle(pcid, "oem")).await.unwrap(),
            VehicleStored::Replaced
        );
        assert_eq!(
            store.pool_vehicle_put(vehicle(pcid, "other")).await.unwrap(),
            VehicleStored::Foreign
        );
        let found = store
            .pool_vehicle(&pcid.to_lowercase(), Some("iso2"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found, vehicle(pcid, "oem"));
        assert!(store.pool_vehicle(pcid, Some("iso20")).await.unwrap().is_none());
        store
            .pool_contract_put(contract("DEGDLC00000001", pcid, "mo"))
            .await
            .unwrap();
        let gone = store.pool_vehicle_remove(pcid).await.unwrap().unwrap();
        assert_eq!(gone.len(), 1);
        assert!(
            store
                .pool_contract("DEGDLC00000001", None)
                .await
                .unwrap()
                .is_empty()
        );
        assert!(store.pool_vehicle_remove(pcid).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_contract_stays_with_one_vehicle_and_one_operator_and_has_its_place_in_the_order() {
    both(async |store| {
        let (pcid, emaid) = ("GLD0123456789ABCD1", "DEGDLC00000011");
        let put = async |one| store.pool_contract_put(one).await.unwrap();
        assert_eq!(put(contract(emaid, pcid, "mo")).await, ContractStored::Added);
        assert_eq!(put(contract(emaid, pcid, "mo")).await, ContractStored::Replaced);
        assert_eq!(put(contract(emaid, pcid, "other")).await, ContractStored::Foreign);
        assert_eq!(
            put(contract(emaid, "GLD0123456789ABCD2", "mo")).await,
            ContractStored::OtherVehicle
        );
        for number in 2..=16 {
            let emaid = format!("DEGDLC{:08}", 10 + number);
            assert_eq!(put(contract(&emaid, pcid, "mo")).await, ContractStored::Added);
        }
        assert_eq!(
            put(contract("DEGDLC00000099", pcid, "mo")).await,
            ContractStored::Full
        );
        let order = async || -> Vec<String> {
            let contracts = store.pool_contracts_of(pcid, Some("iso2")).await.unwrap();
            contracts.iter().map(|one| one.emaid.reveal().clone()).collect()
        };
        assert_eq!(order().await[0], emaid);
        assert!(
            store
                .pool_contract_prioritise(pcid, "DEGDLC00000015", 1)
                .await
                .unwrap()
        );
        assert_eq!(order().await[..2], ["DEGDLC00000015", emaid]);
        assert!(
            !store
                .pool_contract_prioritise(pcid, "DEGDLC00000098", 1)
                .await
                .unwrap()
        );
        assert!(store.pool_contract_remove(emaid).await.unwrap());
        assert!(!store.pool_contract_remove(emaid).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_root_is_kept_once_per_kind() {
    both(async |store| {
        let root = |id: &str, kind: &str| PoolRoot {
            id: id.to_owned(),
            kind: kind.to_owned(),
            fingerprint: "22".repeat(32),
            der: vec![9],
            added_by: "admin".to_owned(),
            at: at(0),
        };
        assert_eq!(
            store.pool_root_add(root("r1", "V2G")).await.unwrap(),
            Some(("r1".to_owned(), true))
        );
        assert_eq!(
            store.pool_root_add(root("r2", "V2G")).await.unwrap(),
            Some(("r1".to_owned(), false))
        );
        assert_eq!(
            store.pool_root_add(root("r3", "OEM")).await.unwrap(),
            Some(("r3".to_owned(), true))
        );
        assert_eq!(store.pool_roots(Some("OEM")).await.unwrap().len(), 1);
        assert_eq!(store.pool_roots(None).await.unwrap().len(), 2);
        assert_eq!(store.pool_root("r3").await.unwrap().unwrap(), root("r3", "OEM"));
        assert!(store.pool_root_remove("r3").await.unwrap());
        assert!(store.pool_root("r3").await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_secret_opens_and_a_token_expires_and_both_end_with_a_new_secret() {
    both(async |store| {
        let client = PoolClient {
            id: "mo".to_owned(),
            document: json!({"role": "mo"}),
        };
        let secret = |text: &str| Secret::new(text.to_owned());
        store
            .pool_client_put(client.clone(), &secret("one"), at(0))
            .await
            .unwrap();
        assert_eq!(
            store.pool_client("mo", &secret("one")).await.unwrap().unwrap(),
            client
        );
        assert!(store.pool_client("mo", &secret("two")).await.unwrap().is_none());
        for number in 0..40 {
            let token = secret(&format!("t{number}"));
            store
                .pool_token_put(&token, "mo", at(0), at(100 + number))
                .await
                .unwrap();
        }
        assert!(
            store.pool_token(&secret("t0"), at(1)).await.unwrap().is_none(),
            "the oldest went"
        );
        assert!(store.pool_token(&secret("t39"), at(1)).await.unwrap().is_some());
        assert!(
            store.pool_token(&secret("t39"), at(139)).await.unwrap().is_none(),
            "expired"
        );
        store
            .pool_client_put(client, &secret("two"), at(2))
            .await
            .unwrap();
        assert!(
            store.pool_token(&secret("t38"), at(3)).await.unwrap().is_none(),
            "ended with the secret"
        );
    })
    .await;
}

#[tokio::test]
async fn notifications_wait_for_their_webhook_and_go_with_it() {
    both(async |store| {
        let webhook = PoolWebhook {
            id: "w1".to_owned(),
            client: "oem".to_owned(),
            document: json!({"url": "https://oem.example/hook", "secret": "s"}),
            at: at(0),
        };
        assert!(store.pool_webhook_put(webhook.clone()).await.unwrap());
        assert!(store.pool_delivery_put("w1", "{}", at(1)).await.unwrap());
        assert!(store.pool_deliveries_due(at(0), 10).await.unwrap().is_empty());
        let due = store.pool_deliveries_due(at(1), 10).await.unwrap();
        assert_eq!((due.len(), &due[0].webhook, due[0].attempts), (1, &webhook, 0));
        store.pool_delivery_retry(due[0].number, at(60)).await.unwrap();
        assert!(store.pool_deliveries_due(at(59), 10).await.unwrap().is_empty());
        assert_eq!(
            store.pool_deliveries_due(at(60), 10).await.unwrap()[0].attempts,
            1
        );
        assert!(
            !store.pool_webhook_remove("w1", "mo").await.unwrap(),
            "only its owner's to remove"
        );
        assert!(store.pool_webhook_remove("w1", "oem").await.unwrap());
        assert!(store.pool_deliveries_due(at(99), 10).await.unwrap().is_empty());
        for number in 0..8 {
            let one = PoolWebhook {
                id: format!("x{number}"),
                ..webhook.clone()
            };
            assert!(store.pool_webhook_put(one).await.unwrap());
        }
        assert!(
            !store
                .pool_webhook_put(PoolWebhook {
                    id: "x8".to_owned(),
                    ..webhook.clone()
                })
                .await
                .unwrap()
        );
    })
    .await;
}

#[tokio::test]
async fn the_file_tells_neither_who_nor_what() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = Store::open(path.to_str().unwrap()).await.unwrap();
    store
        .pool_vehicle_put(vehicle("GLDPERSONAL0000001", "oem"))
        .await
        .unwrap();
    store
        .pool_contract_put(contract("DEGDLCPERSONAL1", "GLDPERSONAL0000001", "mo"))
        .await
        .unwrap();
    // While it is open: what was acknowledged is in the file or in its log, and neither goes away under the reader.
    let mut bytes = Vec::new();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        bytes.extend(std::fs::read(file.unwrap().path()).unwrap());
    }
    for secret in ["GLDPERSONAL0000001", "DEGDLCPERSONAL1"] {
        assert!(
            !bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes()),
            "{secret} in clear"
        );
    }
    drop(store);
}

#[tokio::test]
async fn pools_move_to_another_database_whole_and_a_second_move_finds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let open = async |name: &str| {
        Store::open(folder.path().join(name).to_str().unwrap())
            .await
            .unwrap()
    };
    let (old, new) = (open("old.db").await, open("new.db").await);
    let root = PoolRoot {
        id: "5f0f9d3a-0000-4000-8000-000000000000".to_owned(),
        kind: "OEM".to_owned(),
        fingerprint: "22".repeat(32),
        der: vec![1, 2, 3],
        added_by: "admin".to_owned(),
        at: at(0),
    };
    old.pool_root_add(root.clone()).await.unwrap();
    // More than a page, and an order that is not the order of making.
    for number in 0..130 {
        let pcid = format!("GLD{number:015}");
        old.pool_vehicle_put(vehicle(&pcid, "oem")).await.unwrap();
        for second in 0..1 + i64::from(number == 127) {
            let emaid = format!("DEGDLC{:08}", number * 10 + second);
            old.pool_contract_put(contract(&emaid, &pcid, "mo"))
                .await
                .unwrap();
        }
        if number != 127 {
            continue;
        }
        let later = format!("DEGDLC{:08}", number * 10 + 1);
        assert!(old.pool_contract_prioritise(&pcid, &later, 1).await.unwrap());
    }
    // One is there already, under another owner: it stays.
    let taken = format!("GLD{:015}", 7);
    new.pool_vehicle_put(vehicle(&taken, "other")).await.unwrap();
    let moved = new.pool_take_over(&old).await.unwrap();
    assert_eq!((moved.roots, moved.vehicles, moved.contracts), (1, 130, 131));
    assert_eq!(new.pool_roots(None).await.unwrap(), vec![root]);
    assert_eq!(
        new.pool_vehicle(&taken, None).await.unwrap().unwrap().owner,
        "other"
    );
    for number in [0, 127, 129] {
        let pcid = format!("GLD{number:015}");
        assert_eq!(
            new.pool_vehicle(&pcid, None).await.unwrap().unwrap(),
            vehicle(&pcid, "oem")
        );
        let order: Vec<String> = new
            .pool_contracts_of(&pcid, Some("iso2"))
            .await
            .unwrap()
            .iter()
            .map(|one| one.emaid.reveal().clone())
            .collect();
        let first = format!("DEGDLC{:08}", number * 10);
        let second = format!("DEGDLC{:08}", number * 10 + 1);
        assert_eq!(
            order,
            if number == 127 {
                vec![second, first]
            } else {
                vec![first]
            }
        );
        assert!(old.pool_vehicle(&pcid, None).await.unwrap().is_none());
    }
    assert!(new.pool_take_over(&old).await.unwrap().is_empty());
}
