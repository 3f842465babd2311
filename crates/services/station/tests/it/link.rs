//! The platform link against a small platform in the test, over plain TCP.

mod certificates;
mod commands;
mod hostile;
mod peer;

use std::time::Duration;

use futures_util::SinkExt as _;
use gridlatch_ocpp::Version;
use gridlatch_station::backend::{Authorization, ConnectorStatus, ToPlatform};
use gridlatch_store::Store;
use gridlatch_vocab::{ConnectorId, EvseId};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use peer::{PATIENCE, Peer, sample, start, token};

#[tokio::test]
async fn a_station_boots_authorises_and_runs_a_transaction_in_both_versions() {
    for version in [Version::V201, Version::V21] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let station = start(&listener, Store::open(":memory:").await.unwrap());
        let mut peer = Peer::accept(&listener, version).await;
        peer.boot().await;
        let (at, connector) = (gridlatch_host::now(), ConnectorId(1));
        let status = ToPlatform::Status {
            at,
            evse: EvseId(1),
            connector,
            status: ConnectorStatus::Available,
        };
        station.to.send(status).await.unwrap();
        let told = peer.expect("StatusNotification", json!({})).await;
        assert_eq!(told["connectorStatus"], "Available");

        let (verdict, said) = oneshot::channel();
        let ask = ToPlatform::Authorize {
            evse: EvseId(1),
            identification: token(),
            verdict,
        };
        station.to.send(ask).await.unwrap();
        let mut answer = json!({ "idTokenInfo": { "status": "Accepted" } });
        if version == Version::V21 {
            answer["allowedEnergyTransfer"] = json!(["DC", "DC_BPT"]);
        }
        peer.expect("Authorize", answer).await;
        let said = timeout(PATIENCE, said).await.unwrap().unwrap();
        assert_eq!(
            said,
            Authorization::Accepted {
                discharge: version == Version::V21
            }
        );

        station.started().await;
        let event = peer.expect("TransactionEvent", json!({})).await;
        assert_eq!(
            (&event["eventType"], &event["seqNo"]),
            (&json!("Started"), &json!(0))
        );
        station.sampled(10, -11_000.0).await;
        let event = peer.expect("TransactionEvent", json!({})).await;
        assert_eq!(event["seqNo"], 1);
        assert_eq!(sample(&event, "Energy.Active.Import.Register"), "2.5");
        assert_eq!(sample(&event, "Energy.Active.Export.Register"), "0.5");
        assert_eq!(sample(&event, "Power.Active.Export"), "11000");
        assert_eq!(sample(&event, "Power.Active.Import"), "0");
        // Too early for the interval, and nothing changed: durable at once, but not sent.
        station.sampled(11, -11_000.0).await;
        station.ended().await;
        let event = peer.expect("TransactionEvent", json!({})).await;
        assert_eq!(
            (&event["eventType"], &event["seqNo"]),
            (&json!("Ended"), &json!(2))
        );
        assert!(event.get("offline").is_none());
        station.finish().await;
    }
}

#[tokio::test]
async fn what_happens_offline_is_delivered_in_order_once_and_marked() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("station.db");
    let store = Store::open(place.to_str().unwrap()).await.unwrap();
    let station = start(&listener, store.clone());
    let mut peer = Peer::accept(&listener, Version::V21).await;
    peer.boot().await;
    station.started().await;
    // The platform takes it but the answer is lost with the connection.
    let (first, ..) = peer.called().await;
    drop(peer);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (verdict, said) = oneshot::channel();
    let ask = ToPlatform::Authorize {
        evse: EvseId(1),
        identification: token(),
        verdict,
    };
    station.to.send(ask).await.unwrap();
    assert_eq!(
        timeout(PATIENCE, said).await.unwrap().unwrap(),
        Authorization::Unreachable
    );
    station.sampled(10, 500.0).await;
    station.ended().await;
    let mut peer = Peer::accept(&listener, Version::V21).await;
    peer.boot().await;
    let (again, _, payload) = peer.called().await;
    assert_eq!(
        again, first,
        "the same message keeps its id, so the platform can tell a repetition"
    );
    assert_eq!(payload["seqNo"], 0);
    peer.answer(&again, json!({})).await;
    for number in [1, 2] {
        let event = peer.expect("TransactionEvent", json!({})).await;
        assert_eq!(
            (&event["seqNo"], &event["offline"]),
            (&json!(number), &json!(true))
        );
    }
    station
        .hears(&[
            "ocpp.connected",
            "ocpp.disconnected",
            "ocpp.boot_accepted",
            "ocpp.offline_replayed",
        ])
        .await;
    station.finish().await;
    assert_eq!(store.outbox_count("station.GL-1").await.unwrap(), 0);
}

#[tokio::test]
async fn a_transaction_that_a_crash_cut_off_is_ended_after_the_restart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("station.db");
    let store = Store::open(place.to_str().unwrap()).await.unwrap();
    let station = start(&listener, store.clone());
    let mut peer = Peer::accept(&listener, Version::V201).await;
    peer.boot().await;
    station.started().await;
    peer.expect("TransactionEvent", json!({})).await;
    station.sampled(10, 500.0).await;
    station.task.abort();
    drop(peer);
    let station = start(&listener, store);
    let mut peer = Peer::accept(&listener, Version::V201).await;
    peer.boot().await;
    let event = peer.expect("TransactionEvent", json!({})).await;
    assert_eq!(
        (&event["eventType"], &event["seqNo"]),
        (&json!("Updated"), &json!(1))
    );
    let event = peer.expect("TransactionEvent", json!({})).await;
    assert_eq!(
        (&event["eventType"], &event["seqNo"]),
        (&json!("Ended"), &json!(2))
    );
    assert_eq!(event["transactionInfo"]["stoppedReason"], "PowerLoss");
    assert_eq!(sample(&event, "Energy.Active.Import.Register"), "2.5");
    station.finish().await;
}

#[tokio::test]
async fn a_platform_that_misbehaves_is_left_and_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let station = start(&listener, Store::open(":memory:").await.unwrap());
    // Rejected: nothing is served, the station asks again after the interval.
    let mut peer = Peer::accept(&listener, Version::V201).await;
    let now = gridlatch_host::now().to_rfc3339();
    let rejected = json!({ "currentTime": now, "interval": 1, "status": "Rejected" });
    peer.expect("BootNotification", rejected).await;
    assert_eq!(
        peer.call("GetVariables", json!({ "getVariableData": [] })).await[2],
        "SecurityError"
    );
    peer.boot().await;
    for broken in [
        "",
        "{}",
        "[2]",
        "[2,\"a\",\"Reset\"]",
        "[3,\"never asked\",{}]",
        "[9,\"a\",{}]",
    ] {
        peer.socket.send(Message::text(broken)).await.unwrap();
    }
    // Each of the broken calls is answered; the connection goes on.
    let answer = loop {
        let frame = peer.frame().await;
        if frame[1] == "a" {
            break frame;
        }
    };
    assert_eq!((&answer[0], &answer[2]), (&json!(4), &json!("FormatViolation")));
    let deep = "[".repeat(1000);
    peer.socket.send(Message::text(deep)).await.unwrap();
    let mut peer = Peer::accept(&listener, Version::V201).await;
    peer.boot().await;
    station
        .hears(&[
            "ocpp.boot_refused",
            "ocpp.frame_malformed",
            "ocpp.answer_unasked",
            "ocpp.frame_bound",
        ])
        .await;
    station.finish().await;
}
