//! A transaction is kept once, in any order of arrival, and billed once to the cent.

use gridlatch_store::{Store, TokenStatus};
use gridlatch_vocab::{Personal, catalogue::platform as codes};
use serde_json::json;

use crate::support::{World, event, id};

#[tokio::test]
async fn a_station_boots_reports_authorises_and_is_billed_in_both_directions() {
    let world = World::new().await;
    let token = Personal::new("CARD-1".to_owned());
    let now = gridlatch_host::now();
    world
        .store
        .token_put(&token, "ISO14443", TokenStatus::Active, true, now)
        .await
        .unwrap();
    let mut telemetry = world.hub.telemetry();
    let mut station = world.station("CS-1").await;
    let boot = station.boot().await;
    assert_eq!(boot["status"], "Accepted");
    assert_eq!(boot["interval"], 60);
    let status = json!({"timestamp": "2026-11-21T10:00:00Z", "connectorStatus": "Occupied", "evseId": 1, "connectorId": 1});
    station.ok("StatusNotification", status).await;
    assert!(station.ok("Heartbeat", json!({})).await["currentTime"].is_string());

    let known = json!({"idToken": {"idToken": "card-1", "type": "ISO14443"}});
    let answer = station.ok("Authorize", known).await;
    assert_eq!(answer["idTokenInfo"]["status"], "Accepted");
    assert!(
        answer["allowedEnergyTransfer"]
            .as_array()
            .unwrap()
            .contains(&json!("DC_BPT"))
    );
    let stranger = json!({"idToken": {"idToken": "nobody", "type": "ISO14443"}});
    let answer = station.ok("Authorize", stranger).await;
    assert_eq!(answer["idTokenInfo"]["status"], "Unknown");
    world.event(codes::AUTHORIZATION_REFUSED).await;

    let mut start = event("Started", 0, 0, "1000000", "500000");
    start["idToken"] = json!({"idToken": "CARD-1", "type": "ISO14443"});
    let answer = station.ok("TransactionEvent", start).await;
    assert_eq!(answer["idTokenInfo"]["status"], "Accepted");
    station
        .ok("TransactionEvent", event("Updated", 1, 20, "1010000.5", "500000"))
        .await;
    let answer = station
        .ok("TransactionEvent", event("Ended", 2, 40, "1010000.5", "504000"))
        .await;
    // 10.0005 kWh x 0.40 = 4.0002; 4 kWh x 0.25 = 1.00 credited; 3.0002 + 19 % = 3.570238 -> 3.57
    assert_eq!(answer["totalCost"].to_string(), "3.57");

    let cdrs = world.store.cdr_list(None, 10).await.unwrap();
    assert_eq!(cdrs.len(), 1);
    assert_eq!(cdrs[0].total_excl.to_string(), "3.0002");
    assert_eq!(cdrs[0].total_incl.to_string(), "3.57");
    let ocpi = &cdrs[0].document;
    assert_eq!(ocpi["total_energy"].to_string().trim_matches('"'), "10.0005");
    assert_eq!(ocpi["cdr_token"]["type"], "RFID");
    assert!(
        !ocpi.to_string().contains("CARD-1"),
        "the card number is not in the bill"
    );
    let bill = world.event(codes::BILL_ISSUED).await;
    assert_eq!(bill.fields["payable"], "3.57");

    let session = world
        .store
        .session_find(&id("CS-1"), &"tx-1".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(session.unwrap().auth_label.as_deref(), Some("…-1"));
    let sample = telemetry.recv().await.unwrap();
    assert_eq!((sample.evse.0, sample.power.0), (1, 7000.0));
    let stations = world.store.station_list().await.unwrap();
    assert_eq!(stations[0].connectors[0].status, "Occupied");
    assert_eq!(stations[0].ocpp_version.as_deref(), Some("2.1"));
}

#[tokio::test]
async fn duplicates_gaps_and_late_events_count_once() {
    let world = World::new().await;
    let mut station = world.connect("CS-1", "ocpp2.0.1").await.unwrap();
    station.boot().await;
    let end = event("Ended", 3, 30, "5000", "0");
    station.ok("TransactionEvent", end.clone()).await;
    assert!(
        world.store.cdr_list(None, 10).await.unwrap().is_empty(),
        "no bill without its start"
    );
    world.event(codes::TRANSACTION_GAP).await;

    let start = event("Started", 0, 0, "1000", "0");
    let first = station.ok("TransactionEvent", start.clone()).await;
    world.event(codes::TRANSACTION_LATE).await;
    world.event(codes::BILL_ISSUED).await;
    for _ in 0..3 {
        let again = station.ok("TransactionEvent", start.clone()).await;
        assert_eq!(again, first);
    }
    assert_eq!(world.count(codes::TRANSACTION_DUPLICATE), 3);
    let ended = station.ok("TransactionEvent", end.clone()).await;
    assert_eq!(station.ok("TransactionEvent", end).await, ended);
    // 4 kWh x 0.40 + 19 % = 1.904
    assert_eq!(ended["totalCost"].to_string(), "1.90");

    // The same number with another reading: the first one stands.
    station
        .ok("TransactionEvent", event("Ended", 3, 30, "9000", "0"))
        .await;
    world.event(codes::TRANSACTION_CONTRADICTION).await;
    station
        .ok("TransactionEvent", event("Updated", 1, 10, "2000", "0"))
        .await;
    let cdrs = world.store.cdr_list(None, 10).await.unwrap();
    assert_eq!(cdrs.len(), 1);
    assert_eq!(world.count(codes::BILL_ISSUED), 1);
    assert_eq!(cdrs[0].imported.0, 4_000_000);
}

#[tokio::test]
async fn a_falling_register_is_an_event_and_never_consumption() {
    let world = World::new().await;
    let mut station = world.station("CS-1").await;
    station
        .ok("TransactionEvent", event("Started", 0, 0, "5000", "0"))
        .await;
    let ended = station
        .ok("TransactionEvent", event("Ended", 1, 5, "1000", "0"))
        .await;
    assert!(ended["totalCost"].is_null());
    world.event(codes::METER_REGISTER_FELL).await;
    assert!(world.store.cdr_list(None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_was_left_unpriced_is_priced_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("platform.db");
    let store = Store::open(path.to_str().unwrap()).await.unwrap();
    let world = World::on(store.clone()).await;
    // A tariff that cannot be read stands for a process killed between the last event and the bill.
    store.setting_put("tariff", "{").await.unwrap();
    let mut station = world.station("CS-1").await;
    station
        .ok("TransactionEvent", event("Started", 0, 0, "0", "0"))
        .await;
    station
        .ok("TransactionEvent", event("Ended", 1, 5, "1000", "0"))
        .await;
    world.event(codes::TARIFF_INVALID).await;
    drop((world, station));
    store
        .setting_put(
            "tariff",
            &serde_json::to_string(&gridlatch_tariff_simple()).unwrap(),
        )
        .await
        .unwrap();
    let world = World::on(store).await;
    world.event(codes::BILL_ISSUED).await;
    assert_eq!(world.store.cdr_list(None, 10).await.unwrap().len(), 1);
}

fn gridlatch_tariff_simple() -> gridlatch_tariff::Tariff {
    gridlatch_tariff::Tariff::simple("t", "EUR", "0.10".parse().unwrap(), "0.05".parse().unwrap(), None)
}
