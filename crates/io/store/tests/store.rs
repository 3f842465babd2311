//! The store as its users meet it, on a file, in memory and on PostgreSQL.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that meets what it did not expect stops there; its parts need no documentation"
)]

use std::os::unix::fs::PermissionsExt as _;

use gridlatch_store::{
    BootInfo, EventKind, MeterKey, NewCdr, NewSetpoint, Recorded, Sample, SignedReading, Store, TokenStatus,
    TokenUse, TransactionRecord,
};
use gridlatch_testkit::need;
use gridlatch_testkit::postgres::Postgres;
use gridlatch_vocab::{
    ConnectorId, Emaid, Event, EvseId, MilliWattHours, Personal, StationId, Timestamp, TransactionId, Watts,
    catalogue,
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_790_000_000_000 + seconds * 1000)
}

fn station() -> StationId {
    "GL-DC-1".parse().unwrap()
}

fn record(seq_no: i64, kind: EventKind, imported: u64, exported: u64) -> TransactionRecord {
    let mut sample = Sample::empty(at(seq_no));
    sample.imported = Some(MilliWattHours(imported));
    sample.exported = Some(MilliWattHours(exported));
    sample.power = Some(Watts(-7000.5));
    TransactionRecord {
        station: station(),
        transaction: "tx-1".parse().unwrap(),
        seq_no,
        kind,
        trigger: "MeterValuePeriodic".to_owned(),
        at: at(seq_no),
        received_at: at(seq_no),
        offline: false,
        evse: Some(EvseId(1)),
        connector: Some(ConnectorId(1)),
        charging_state: Some("Charging".to_owned()),
        stop_reason: None,
        token: None,
        remote_start_id: None,
        samples: vec![sample],
        signed: Vec::new(),
        digest: format!("{kind:?}{seq_no}{imported}"),
    }
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

#[tokio::test]
async fn a_file_is_private_and_reopens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let place = path.to_str().unwrap();
    let store = Store::open(place).await.unwrap();
    store.station_register(&station(), at(0)).await.unwrap();
    for name in [
        "store.db",
        "store.db-wal",
        "store.db-shm",
        "store.db.pseudonym-key",
    ] {
        let mode = std::fs::metadata(folder.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let emaid = Personal::new("DE-GDL-C0000001-X".parse::<Emaid>().unwrap());
    store
        .contract_put(&emaid, TokenStatus::Active, true, at(0))
        .await
        .unwrap();
    let reference = store.contract_find(&emaid).await.unwrap().unwrap().reference;
    drop(store);

    let store = Store::open(place).await.unwrap();
    assert!(store.station_exists(&station()).await.unwrap());
    let again = store.contract_find(&emaid).await.unwrap().unwrap();
    assert_eq!(again.reference, reference);
    assert_eq!(again.label, "DEGDL…1X");
    // The identifier itself is nowhere in the files.
    for name in ["store.db", "store.db-wal"] {
        let bytes = std::fs::read(folder.path().join(name)).unwrap_or_default();
        assert!(
            !bytes.windows(14).any(|window| window == b"DEGDLC0000001X"),
            "{name}"
        );
    }
}

#[tokio::test]
async fn stations_and_connectors() {
    both(async |store| {
        let id = station();
        store.station_register(&id, at(0)).await.unwrap();
        store.station_register(&id, at(1)).await.unwrap();
        let first = store.station_connected(&id, "2.1", at(2)).await.unwrap();
        let second = store.station_connected(&id, "2.1", at(3)).await.unwrap();
        assert!(second > first);
        // The end of the older connection must not mark the newer one as gone.
        store.station_disconnected(&id, first, at(4)).await.unwrap();
        let boot = BootInfo {
            vendor: "Gridlatch".to_owned(),
            model: "Sim".to_owned(),
            reason: "PowerUp".to_owned(),
            ..BootInfo::default()
        };
        store.station_booted(&id, boot, at(5)).await.unwrap();
        for (status, time) in [("Occupied", 7), ("Available", 6)] {
            store
                .connector_status(&id, EvseId(1), ConnectorId(1), status, at(time))
                .await
                .unwrap();
        }
        let list = store.station_list().await.unwrap();
        assert_eq!(list.len(), 1);
        assert!(list[0].connected);
        assert_eq!(list[0].model.as_deref(), Some("Sim"));
        assert_eq!(
            list[0].connectors[0].status, "Occupied",
            "an older report must not win"
        );
        assert_eq!(store.station_find(&id).await.unwrap().as_ref(), Some(&list[0]));
    })
    .await;
}

#[tokio::test]
async fn a_transaction_is_kept_exactly_once() {
    both(async |store| {
        let id = station();
        let transaction = "tx-1".parse().unwrap();
        store.station_register(&id, at(0)).await.unwrap();
        let mut start = record(0, EventKind::Started, 1_000_000, 500_000);
        start.token = Some(TokenUse {
            kind: "eMAID".to_owned(),
            reference: "r".to_owned(),
            label: "DEGDL…1X".to_owned(),
        });
        let new = Recorded::New {
            missing: None,
            late: false,
            backwards: false,
            complete: false,
        };
        assert_eq!(store.transaction_record(start.clone()).await.unwrap(), new);
        assert_eq!(
            store.transaction_record(start.clone()).await.unwrap(),
            Recorded::Duplicate { same: true }
        );
        start.digest = "other".to_owned();
        assert_eq!(
            store.transaction_record(start).await.unwrap(),
            Recorded::Duplicate { same: false }
        );
        // Number 1 is late: 2 comes first.
        let gap = store
            .transaction_record(record(2, EventKind::Updated, 3_000_000, 500_000))
            .await
            .unwrap();
        assert!(matches!(&gap, Recorded::New { missing: Some(range), .. } if *range == (1..=1)));
        let late = store
            .transaction_record(record(1, EventKind::Updated, 2_000_000, 500_000))
            .await
            .unwrap();
        assert!(matches!(
            late,
            Recorded::New {
                late: true,
                backwards: false,
                ..
            }
        ));
        let running = store.session_running(10).await.unwrap();
        assert_eq!(running.len(), 1);
        assert_eq!(
            running[0].latest.unwrap().imported,
            Some(MilliWattHours(3_000_000))
        );
        assert_eq!(running[0].latest.unwrap().power, Some(Watts(-7000.5)));
        assert!(store.session_at(&id, EvseId(1)).await.unwrap().is_some());

        let end = store
            .transaction_record(record(3, EventKind::Ended, 3_500_000, 1_500_001))
            .await
            .unwrap();
        assert!(matches!(end, Recorded::New { complete: true, .. }));
        assert_eq!(store.session_unbilled(10).await.unwrap().len(), 1);
        let session = store.session_find(&id, &transaction).await.unwrap().unwrap();
        assert_eq!(session.imported, MilliWattHours(2_500_000));
        assert_eq!(session.exported, MilliWattHours(1_000_001));
        assert_eq!(session.auth_label.as_deref(), Some("DEGDL…1X"));

        let cdr = |name: &str| NewCdr {
            id: name.to_owned(),
            station: id.clone(),
            transaction: "tx-1".parse().unwrap(),
            issued_at: at(9),
            currency: "EUR".to_owned(),
            imported: session.imported,
            exported: session.exported,
            total_excl: "0.75".parse().unwrap(),
            total_incl: "0.8925".parse().unwrap(),
            document: serde_json::json!({"id": name}),
            jws: Some("a..b".to_owned()),
        };
        assert!(store.cdr_issue(cdr("a")).await.unwrap());
        assert!(
            !store.cdr_issue(cdr("b")).await.unwrap(),
            "one bill per transaction"
        );
        assert!(store.session_unbilled(10).await.unwrap().is_empty());
        assert_eq!(store.cdr_list(None, 10).await.unwrap().len(), 1);
        assert!(store.cdr_find("b").await.unwrap().is_none());
        let kept = store.cdr_find("a").await.unwrap().unwrap();
        assert_eq!(kept.jws.as_deref(), Some("a..b"));
        let finished = store.session_finished(None, 10).await.unwrap();
        assert_eq!(finished[0].bill.as_ref().unwrap().total_incl, "0.8925");
        assert!(
            store
                .session_finished(Some(finished[0].number), 10)
                .await
                .unwrap()
                .is_empty()
        );
        assert!(store.session_running(10).await.unwrap().is_empty());

        let all = store.sample_list(&id, &transaction, None, 100).await.unwrap();
        assert_eq!(all.len(), 4);
        assert!(all.is_sorted_by_key(|sample| sample.at));
        let tail = store
            .sample_list(&id, &transaction, Some(at(2)), 100)
            .await
            .unwrap();
        assert_eq!(tail.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_unstarted_transaction_is_not_complete_until_its_start_arrives() {
    let store = Store::open(":memory:").await.unwrap();
    store.station_register(&station(), at(0)).await.unwrap();
    let end = store
        .transaction_record(record(2, EventKind::Ended, 3_000_000, 0))
        .await
        .unwrap();
    assert!(
        matches!(&end, Recorded::New { missing: Some(range), complete: false, .. } if *range == (0..=1)),
        "{end:?}"
    );
    let start = store
        .transaction_record(record(0, EventKind::Started, 1_000_000, 0))
        .await
        .unwrap();
    assert!(matches!(
        start,
        Recorded::New {
            complete: true,
            late: true,
            ..
        }
    ));
    let session = store.session_unbilled(1).await.unwrap().remove(0);
    assert_eq!(session.imported, MilliWattHours(2_000_000));
    assert_eq!(session.ended_at, Some(at(2)));
}

#[tokio::test]
async fn a_register_that_goes_down_is_never_consumption() {
    let store = Store::open(":memory:").await.unwrap();
    store.station_register(&station(), at(0)).await.unwrap();
    store
        .transaction_record(record(0, EventKind::Started, 5_000_000, 0))
        .await
        .unwrap();
    let end = store
        .transaction_record(record(1, EventKind::Ended, 1_000_000, 0))
        .await
        .unwrap();
    assert!(matches!(
        end,
        Recorded::New {
            backwards: true,
            complete: true,
            ..
        }
    ));
    let session = store.session_unbilled(1).await.unwrap().remove(0);
    assert_eq!(session.imported, MilliWattHours(0));
    assert!(session.backwards);
}

#[tokio::test]
async fn a_failing_write_does_not_take_its_neighbours_down() {
    let store = Store::open(":memory:").await.unwrap();
    store.station_register(&station(), at(0)).await.unwrap();
    let unknown: StationId = "NOBODY".parse().unwrap();
    let mut tasks = Vec::new();
    for seq_no in 0..50 {
        let mut record = record(seq_no, EventKind::Updated, 1, 1);
        if seq_no % 2 == 1 {
            record.station = unknown.clone();
        }
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            store.transaction_record(record).await.is_ok()
        }));
    }
    let mut good = 0;
    for task in tasks {
        good += u32::from(task.await.unwrap());
    }
    assert_eq!(good, 25);
    let kept = store
        .sample_list(&station(), &"tx-1".parse().unwrap(), None, 100)
        .await;
    assert_eq!(kept.unwrap().len(), 25);
}

#[tokio::test]
async fn events_setpoints_settings_and_the_outbox() {
    both(async |store| {
        store.station_register(&station(), at(0)).await.unwrap();
        let event = |seconds| {
            Event::new(at(seconds), catalogue::ocpp::CONNECTED, "platform", "connected").station(&station())
        };
        store.event_append((0..30).map(event).collect()).await.unwrap();
        let page = store.event_list(None, None, 20).await.unwrap();
        assert_eq!(page.len(), 20);
        assert_eq!(page[0].event.at, at(29));
        let rest = store
            .event_list(Some(page[19].number), Some(&station()), 20)
            .await
            .unwrap();
        assert_eq!(rest.len(), 10);

        for setpoint in [-5000.0, 11_000.0] {
            store
                .setpoint_put(NewSetpoint {
                    station: station(),
                    profile_id: 7 + setpoint as i64,
                    evse: EvseId(1),
                    transaction: None,
                    setpoint: Watts(setpoint),
                    asked_by: "operator".to_owned(),
                    at: at(1),
                })
                .await
                .unwrap();
        }
        let list = store.setpoint_list(&station()).await.unwrap();
        assert_eq!(list.len(), 1);
        assert_eq!(list[0].setpoint, Watts(11_000.0));
        store.setpoint_clear(&station(), EvseId(1)).await.unwrap();
        assert!(store.setpoint_list(&station()).await.unwrap().is_empty());

        store.setting_put("tariff", "{}").await.unwrap();
        store.setting_put("tariff", "{1}").await.unwrap();
        assert_eq!(
            store.setting_find("tariff").await.unwrap().as_deref(),
            Some("{1}")
        );
        assert_eq!(store.setting_find("none").await.unwrap(), None);

        let first = store.outbox_push("csms", "one", at(0)).await.unwrap();
        let second = store.outbox_push("csms", "two", at(1)).await.unwrap();
        store.outbox_push("other", "three", at(1)).await.unwrap();
        assert!(second > first);
        assert_eq!(store.outbox_peek("csms", 10).await.unwrap().len(), 2);
        store.outbox_ack("csms", first).await.unwrap();
        assert_eq!(store.outbox_peek("csms", 10).await.unwrap()[0].payload, "two");
        assert_eq!(store.outbox_count("csms").await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn signed_readings_and_meter_keys_are_kept_and_a_page_shown_twice_is_found() {
    both(async |store| {
        store.station_register(&station(), at(0)).await.unwrap();
        let key = |name: &str, seconds| MeterKey {
            fingerprint: name.to_owned(),
            spki: vec![0x30, 0, 0xFF],
            at: at(seconds),
        };
        assert!(store.meter_key_put(&station(), key("a", 1)).await.unwrap());
        assert!(!store.meter_key_put(&station(), key("a", 2)).await.unwrap());
        assert!(store.meter_key_put(&station(), key("b", 3)).await.unwrap());
        assert_eq!(
            store.meter_key_list(&station()).await.unwrap(),
            [key("b", 3), key("a", 1)]
        );

        let reading = SignedReading {
            at: at(1),
            encoding: "OCMF".to_owned(),
            data: "OCMF|{}|{}".to_owned(),
            public_key: Some("30".to_owned()),
            page: Some(7),
        };
        let ended = |name: &str| {
            let mut ended = record(0, EventKind::Ended, 1, 0);
            ended.transaction = name.parse().unwrap();
            ended.signed = vec![reading.clone()];
            ended
        };
        let first: TransactionId = "tx-1".parse().unwrap();
        let second: TransactionId = "tx-2".parse().unwrap();
        store.transaction_record(ended("tx-1")).await.unwrap();
        // The repetition of an event brings nothing twice.
        store.transaction_record(ended("tx-1")).await.unwrap();
        assert_eq!(
            store.signed_reading_list(&station(), &first).await.unwrap(),
            std::slice::from_ref(&reading)
        );
        assert_eq!(
            store.signed_page_shown(&station(), &first, 7).await.unwrap(),
            None
        );
        store.transaction_record(ended("tx-2")).await.unwrap();
        let shown = store.signed_page_shown(&station(), &second, 7).await.unwrap();
        assert_eq!(shown, Some(first.clone()));
        // The one that came first stays as it was.
        assert_eq!(
            store.signed_page_shown(&station(), &first, 7).await.unwrap(),
            None
        );
        assert_eq!(
            store.signed_page_shown(&station(), &second, 8).await.unwrap(),
            None
        );
    })
    .await;
}

#[tokio::test]
async fn a_database_server_that_crashes_loses_nothing_acknowledged_and_is_found_again() {
    need!(postgres);
    let server = Postgres::start().unwrap();
    let store = Store::open(&server.database().unwrap()).await.unwrap();
    store.station_register(&station(), at(0)).await.unwrap();
    server.crash_and_restart().unwrap();

    // What was under way when the server went is refused, never half done; later writes and reads work again.
    let other: StationId = "GL-AC-1".parse().unwrap();
    let mut refused = 0;
    while let Err(error) = store.station_register(&other, at(1)).await {
        refused += 1;
        assert!(refused < 50, "still no connection: {error}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(store.station_exists(&station()).await.unwrap());
    assert!(store.station_exists(&other).await.unwrap());
    store.health().await.unwrap();
}
