//! Whatever a peer sends, it gets a coded refusal, and the other stations go on.

use std::time::Duration;

use gridlatch_vocab::catalogue::{ocpp, platform as codes};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::{World, event};

fn status(error: Error) -> u16 {
    match error {
        Error::Http(response) => response.status().as_u16(),
        other => panic!("not an HTTP refusal: {other}"),
    }
}

#[tokio::test]
async fn strangers_wrong_versions_and_wrong_paths_are_refused_before_the_upgrade() {
    let world = World::new().await;
    assert_eq!(status(world.connect("CS-9", "ocpp2.1").await.err().unwrap()), 404);
    world.event(codes::STATION_UNKNOWN).await;
    for protocol in ["ocpp1.6", "mqtt", ""] {
        assert_eq!(
            status(world.connect("CS-1", protocol).await.err().unwrap()),
            400,
            "{protocol}"
        );
    }
    assert_eq!(world.count(codes::NO_COMMON_VERSION), 3);
    assert_eq!(
        status(world.connect("CS%201", "ocpp2.1").await.err().unwrap()),
        404
    );
    assert_eq!(
        status(world.connect("CS-1/../CS-2", "ocpp2.1").await.err().unwrap()),
        404
    );
    let mut plain = tokio::net::TcpStream::connect(world.handle.ocpp_addr)
        .await
        .unwrap();
    plain
        .write_all(b"GET /ocpp/CS-1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 426"), "{answer}");
    world.event(codes::CONNECTION_REFUSED).await;
    world.station("CS-1").await.boot().await;
}

#[tokio::test]
async fn malformed_frames_are_answered_and_the_connection_goes_on() {
    let world = World::new().await;
    let mut bad = world.station("CS-1").await;
    let mut good = world.station("CS-2").await;
    good.boot().await;
    for text in [
        "",
        "{",
        "null",
        "[]",
        "[2]",
        "[2,\"a\"]",
        "[2,\"a\",\"Heartbeat\",7]",
        "[2,7,\"x\",{}]",
    ] {
        bad.send(text).await;
        let answer = bad.next().await.expect(text);
        assert_eq!(answer[0], 4, "{text}: {answer}");
    }
    world.event(ocpp::FRAME_MALFORMED).await;
    assert_eq!(bad.error("NoSuchThing", json!({})).await, "NotImplemented");
    assert_eq!(
        bad.error("LogStatusNotification", json!({"status": "Idle"}))
            .await,
        "NotImplemented"
    );
    assert_eq!(
        bad.error("BootNotification", json!({})).await,
        "OccurrenceConstraintViolation"
    );
    let code = bad.error("Authorize", json!({"idToken": "text"})).await;
    assert_eq!(code, "TypeConstraintViolation");
    let refused = world.event(ocpp::PAYLOAD_REFUSED).await;
    assert_eq!(refused.station.unwrap().as_str(), "CS-1");
    let mut odd = event("Started", 0, 0, "0", "0");
    odd["transactionInfo"]["transactionId"] = json!("with a blank");
    assert_eq!(
        bad.error("TransactionEvent", odd).await,
        "PropertyConstraintViolation"
    );
    let mut far = event("Started", 0, 0, "0", "0");
    far["evse"]["id"] = json!(70000);
    assert_eq!(
        bad.error("TransactionEvent", far).await,
        "PropertyConstraintViolation"
    );
    // An answer nobody asked for, and binary rubbish.
    bad.send(json!([3, "never", {}]).to_string()).await;
    world.event(ocpp::ANSWER_UNASKED).await;
    bad.boot().await;
    good.boot().await;
}

#[tokio::test]
async fn what_real_stations_get_wrong_is_accepted_with_a_note() {
    let world = World::new().await;
    let mut station = world.connect("CS-1", "ocpp2.0.1").await.unwrap();
    let charging_station = json!({"model": "M".repeat(60), "vendorName": "V", "colour": "green"});
    let boot = json!({"reason": "PowerUp", "chargingStation": charging_station});
    assert_eq!(station.ok("BootNotification", boot).await["status"], "Accepted");
    world.event(ocpp::SCHEMA_TOLERATED).await;
    // What only 2.1 has is an error on a 2.0.1 connection.
    assert_eq!(
        station
            .error(
                "NotifyDERAlarm",
                json!({"controlType": "VoltVar", "timestamp": "2026-11-21T10:00:00Z"})
            )
            .await,
        "NotImplemented"
    );
}

#[tokio::test]
async fn a_message_id_counts_once() {
    let world = World::new().await;
    let mut station = world.station("CS-1").await;
    let call = json!([2, "same", "TransactionEvent", event("Started", 0, 0, "0", "0")]).to_string();
    station.send(call.clone()).await;
    let first = station.next().await.unwrap();
    station.send(call).await;
    assert_eq!(station.next().await.unwrap(), first);
    world.event(ocpp::CALL_REPEATED).await;
    station
        .send(json!([2, "same", "TransactionEvent", event("Started", 0, 0, "77", "0")]).to_string())
        .await;
    assert_eq!(station.next().await.unwrap()[0], 4);
    world.event(ocpp::MESSAGE_ID_REUSED).await;
}

#[tokio::test]
async fn a_huge_or_deep_frame_closes_its_connection_only() {
    let world = World::new().await;
    let mut good = world.station("CS-2").await;
    let mut huge = world.station("CS-1").await;
    let text = "x".repeat(300 * 1024);
    // The platform may close while it is still being sent.
    let _ = futures_util::SinkExt::send(&mut huge.socket, Message::Text(text.into())).await;
    assert!(huge.next().await.is_none());
    world.event(ocpp::FRAME_BOUND).await;
    let mut deep = world.station("CS-1").await;
    deep.send(format!(
        "[2,\"d\",\"Heartbeat\",{}{}]",
        "[".repeat(5000),
        "]".repeat(5000)
    ))
    .await;
    assert!(deep.next().await.is_none());
    world.events(ocpp::FRAME_BOUND, 2).await;
    good.boot().await;
    world.station("CS-1").await.boot().await;
}

#[tokio::test]
async fn a_second_connection_takes_over_and_the_first_is_fenced() {
    let world = World::new().await;
    let mut first = world.station("CS-1").await;
    first.boot().await;
    let mut second = world.station("CS-1").await;
    second.boot().await;
    assert!(first.next().await.is_none());
    world.event(codes::STATION_DISPLACED).await;
    world.event(ocpp::DISCONNECTED).await;
    // The end of the first must not mark the second as gone.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let stations = world.store.station_list().await.unwrap();
    assert!(stations[0].connected);
    second.boot().await;
}

#[tokio::test]
async fn a_flood_is_slowed_down_and_the_others_are_not() {
    let world = World::new().await;
    let mut flood = world.station("CS-1").await;
    let mut good = world.station("CS-2").await;
    let begun = std::time::Instant::now();
    for number in 0..160 {
        flood
            .send(json!([2, format!("f{number}"), "Heartbeat", {}]).to_string())
            .await;
    }
    // Against each other, not against the clock: how long a boot takes is the machine's affair.
    let (booted, calmed) = tokio::join!(
        async {
            good.boot().await;
            begun.elapsed()
        },
        async {
            for _ in 0..160 {
                flood.next().await.unwrap();
            }
            begun.elapsed()
        }
    );
    // 100 at once, then 20 a second.
    assert!(calmed > Duration::from_millis(2_900), "{calmed:?}");
    assert!(
        booted < calmed / 2,
        "the other station waits: {booted:?} of {calmed:?}"
    );
    assert_eq!(world.count(codes::RATE_LIMITED), 1);
}
