//! The platform link against a small platform in the test, over plain TCP.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use gridlatch_host::{Hub, HubConfig, Shutdown};
use gridlatch_ocpp::{Version, find, violations};
use gridlatch_station::backend::{
    Authorization, ChargingState, ConnectorStatus, FromPlatform, Identification, MeterReading, StopReason,
    ToPlatform, TransactionUpdate,
};
use gridlatch_station::csms::{CsmsConfig, run};
use gridlatch_store::Store;
use gridlatch_vocab::{
    Amps, ConnectorId, EvseId, MilliWattHours, Percent, Personal, Timestamp, Volts, Watts,
};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;

const PATIENCE: Duration = Duration::from_secs(30);

/// One connection of the station, seen from the platform.
struct Peer {
    socket: WebSocketStream<TcpStream>,
    version: Version,
    next: u32,
}

impl Peer {
    #[allow(clippy::result_large_err)]
    async fn accept(listener: &TcpListener, version: Version) -> Self {
        let (tcp, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
        let choose = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
            assert_eq!(request.uri().path(), "/ocpp/GL-1");
            assert_eq!(request.headers()["Sec-WebSocket-Protocol"], "ocpp2.1, ocpp2.0.1");
            let name = HeaderValue::from_static(version.subprotocol());
            response.headers_mut().insert("Sec-WebSocket-Protocol", name);
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(tcp, choose).await.unwrap();
        Self {
            socket,
            version,
            next: 0,
        }
    }

    async fn frame(&mut self) -> Vec<Value> {
        loop {
            let message = timeout(PATIENCE, self.socket.next())
                .await
                .expect("the station says nothing");
            if let Message::Text(text) = message.unwrap().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    async fn send(&mut self, frame: Value) {
        self.socket.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// The next call of the station, checked against the schema to the letter.
    async fn called(&mut self) -> (String, String, Value) {
        let frame = self.frame().await;
        assert_eq!(frame[0], 2, "{frame:?}");
        let action = frame[2].as_str().unwrap().to_owned();
        let schema = find(self.version, &action).unwrap().request;
        assert_eq!(violations(schema, &frame[3]), [], "{frame:?}");
        (frame[1].as_str().unwrap().to_owned(), action, frame[3].clone())
    }

    async fn answer(&mut self, id: &str, payload: Value) {
        self.send(json!([3, id, payload])).await;
    }

    /// Expects an action and answers it.
    async fn expect(&mut self, action: &str, answer: Value) -> Value {
        let (id, asked, payload) = self.called().await;
        assert_eq!(asked, action, "{payload}");
        self.answer(&id, answer).await;
        payload
    }

    async fn boot(&mut self) {
        let now = gridlatch_host::now().to_rfc3339();
        let boot = json!({ "currentTime": now, "interval": 600, "status": "Accepted" });
        self.expect("BootNotification", boot).await;
    }

    /// Calls the station; its answer must satisfy the schema.
    async fn call(&mut self, action: &str, payload: Value) -> Vec<Value> {
        self.next += 1;
        self.send(json!([2, format!("c{}", self.next), action, payload]))
            .await;
        let frame = self.frame().await;
        assert_eq!(frame[1], format!("c{}", self.next), "{frame:?}");
        if frame[0] == 3 {
            assert_eq!(
                violations(find(self.version, action).unwrap().response, &frame[2]),
                [],
                "{frame:?}"
            );
        }
        frame
    }
}

struct Station {
    to: mpsc::Sender<ToPlatform>,
    from: mpsc::Receiver<FromPlatform>,
    hub: Hub,
    stop: Shutdown,
    task: tokio::task::JoinHandle<()>,
}

fn start(listener: &TcpListener, store: Store) -> Station {
    let url = format!("ws://{}/ocpp", listener.local_addr().unwrap());
    let mut config = CsmsConfig::new(url, "GL-1".parse().unwrap(), store);
    config.first_pause = Duration::from_millis(50);
    let (to, to_platform) = mpsc::channel(16);
    let (from_platform, from) = mpsc::channel(16);
    let (hub, stop) = (Hub::new(HubConfig::default(), None), Shutdown::new());
    let link = run(config, to_platform, from_platform, hub.clone(), stop.clone());
    let task = tokio::spawn(async move { link.await.unwrap() });
    Station {
        to,
        from,
        hub,
        stop,
        task,
    }
}

fn meter(seconds: i64, imported: u64, exported: u64, power: f64) -> MeterReading {
    MeterReading {
        at: Timestamp::from_unix_millis((1_795_176_000 + seconds) * 1000),
        imported: MilliWattHours(imported),
        exported: MilliWattHours(exported),
        power: Watts(power),
        voltage: Volts(400.0),
        current: Amps(power / 400.0),
        soc: Some(Percent(50.0)),
        setpoint: None,
    }
}

fn token() -> Identification {
    Identification::Token {
        token: Personal::new("T1".to_owned()),
        kind: "Central".to_owned(),
    }
}

impl Station {
    async fn transaction(&self, update: TransactionUpdate, meter: MeterReading) {
        let (durable, done) = oneshot::channel();
        let transaction = "tx-1".parse().unwrap();
        let update = ToPlatform::Transaction {
            evse: EvseId(1),
            transaction,
            update,
            meter,
            durable: Some(durable),
        };
        self.to.send(update).await.unwrap();
        timeout(PATIENCE, done).await.unwrap().unwrap();
    }

    async fn started(&self) {
        let update = TransactionUpdate::Started {
            identification: token(),
            remote_start_id: None,
        };
        self.transaction(update, meter(0, 1000, 0, 0.0)).await;
    }

    async fn sampled(&self, seconds: i64, power: f64) {
        let update = TransactionUpdate::Sample {
            state: ChargingState::Charging,
        };
        self.transaction(update, meter(seconds, 2500, 500, power)).await;
    }

    async fn ended(&self) {
        self.transaction(
            TransactionUpdate::Ended {
                reason: StopReason::StoppedByEv,
            },
            meter(99, 3000, 700, 0.0),
        )
        .await;
    }

    async fn finish(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }

    /// Waits until each of these events has been emitted.
    async fn hears(&self, codes: &[&str]) {
        for code in codes {
            let heard = async {
                while !self
                    .hub
                    .recent(100)
                    .iter()
                    .any(|event| event.code.as_str() == *code)
                {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(PATIENCE, heard)
                .await
                .unwrap_or_else(|_| panic!("{code} was not emitted"));
        }
    }
}

fn sample(event: &Value, measurand: &str) -> String {
    let samples = event["meterValue"][0]["sampledValue"].as_array().unwrap();
    samples.iter().find(|s| s["measurand"] == measurand).unwrap()["value"].to_string()
}

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
async fn commands_reach_the_charging_side_and_its_word_goes_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut station = start(&listener, Store::open(":memory:").await.unwrap());
    let mut peer = Peer::accept(&listener, Version::V21).await;
    peer.boot().await;

    let profile = |id: i64, period: Value| {
        json!({ "evseId": 1, "chargingProfile": {
            "id": id, "stackLevel": 0, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Absolute",
            "chargingSchedule": [{ "id": 1, "chargingRateUnit": "W", "chargingSchedulePeriod": [period] }],
        }})
    };
    let mut from = station.from;
    let charging = tokio::spawn(async move {
        let mut heard = Vec::new();
        while let Some(message) = from.recv().await {
            match message {
                FromPlatform::Start {
                    evse,
                    token,
                    accepted,
                    ..
                } => {
                    heard.push(format!("start {evse} {}", token.reveal()));
                    let _ = accepted.send(Ok(None));
                }
                FromPlatform::Stop {
                    transaction,
                    accepted,
                } => {
                    heard.push(format!("stop {transaction}"));
                    let _ = accepted.send(transaction.as_str() == "tx-1");
                }
                FromPlatform::Setpoint {
                    setpoint, accepted, ..
                } => {
                    heard.push(format!("setpoint {setpoint:?}"));
                    let refuse = setpoint.is_some_and(|power| power.0 < -10_000.0);
                    let _ = accepted.send(if refuse {
                        Err("too much".to_owned())
                    } else {
                        Ok(())
                    });
                }
                FromPlatform::Reset { immediate, accepted } => {
                    heard.push(format!("reset {immediate}"));
                    let _ = accepted.send(immediate);
                }
            }
        }
        heard
    });
    let start_request =
        json!({ "idToken": { "idToken": "T9", "type": "Central" }, "remoteStartId": 7, "evseId": 1 });
    assert_eq!(
        peer.call("RequestStartTransaction", start_request).await[2]["status"],
        "Accepted"
    );
    let unknown = json!({ "transactionId": "tx-2" });
    assert_eq!(
        peer.call("RequestStopTransaction", unknown).await[2]["status"],
        "Rejected"
    );
    assert_eq!(
        peer.call("RequestStopTransaction", json!({ "transactionId": "tx-1" }))
            .await[2]["status"],
        "Accepted"
    );

    let discharge = profile(
        1,
        json!({ "startPeriod": 0, "operationMode": "CentralSetpoint", "setpoint": -5000.0 }),
    );
    assert_eq!(
        peer.call("SetChargingProfile", discharge).await[2]["status"],
        "Accepted"
    );
    let too_much = profile(
        2,
        json!({ "startPeriod": 0, "operationMode": "CentralSetpoint", "setpoint": -50000 }),
    );
    let answer = peer.call("SetChargingProfile", too_much).await;
    assert_eq!(answer[2]["statusInfo"]["reasonCode"], "CannotFollow");
    let amps = json!({ "evseId": 1, "chargingProfile": {
        "id": 3, "stackLevel": 0, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Absolute",
        "chargingSchedule": [{ "id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{ "startPeriod": 0, "limit": 16 }] }],
    }});
    assert_eq!(
        peer.call("SetChargingProfile", amps).await[2]["statusInfo"]["reasonCode"],
        "UnsupportedRateUnit"
    );
    let negative_limit = profile(4, json!({ "startPeriod": 0, "limit": -5 }));
    assert_eq!(
        peer.call("SetChargingProfile", negative_limit).await[2]["status"],
        "Rejected"
    );
    let charge = profile(5, json!({ "startPeriod": 0, "limit": 7000 }));
    assert_eq!(
        peer.call("SetChargingProfile", charge).await[2]["status"],
        "Accepted"
    );
    assert_eq!(
        peer.call("ClearChargingProfile", json!({ "chargingProfileId": 5 }))
            .await[2]["status"],
        "Accepted"
    );
    assert_eq!(
        peer.call("ClearChargingProfile", json!({ "chargingProfileId": 5 }))
            .await[2]["status"],
        "Unknown"
    );

    let variable = |component: &str, name: &str| json!({ "component": { "name": component }, "variable": { "name": name } });
    let mut asked = json!({ "getVariableData": [
        variable("V2XChargingCtrlr", "Enabled"), variable("OCPPCommCtrlr", "Nonsense"), variable("Nonsense", "x"),
    ]});
    let got = peer.call("GetVariables", asked.take()).await;
    assert_eq!(got[2]["getVariableResult"][0]["attributeValue"], "true");
    assert_eq!(
        got[2]["getVariableResult"][1]["attributeStatus"],
        "UnknownVariable"
    );
    assert_eq!(
        got[2]["getVariableResult"][2]["attributeStatus"],
        "UnknownComponent"
    );
    let mut interval = variable("SampledDataCtrlr", "TxUpdatedInterval");
    interval["attributeValue"] = json!("30");
    let mut fixed = variable("SecurityCtrlr", "SecurityProfile");
    fixed["attributeValue"] = json!("0");
    let set = peer
        .call("SetVariables", json!({ "setVariableData": [interval, fixed] }))
        .await;
    assert_eq!(set[2]["setVariableResult"][0]["attributeStatus"], "Accepted");
    assert_eq!(
        set[2]["setVariableResult"][1]["attributeStatus"], "Rejected",
        "no downgrade by message"
    );

    let status = peer.call("GetTransactionStatus", json!({})).await;
    assert_eq!(status[2]["messagesInQueue"], false);
    assert_eq!(
        peer.call("UnlockConnector", json!({ "evseId": 1, "connectorId": 1 }))
            .await[2],
        "NotSupported"
    );
    assert_eq!(peer.call("Nonsense", json!({})).await[2], "NotImplemented");
    assert_eq!(
        peer.call("Reset", json!({})).await[2],
        "OccurrenceConstraintViolation"
    );
    assert_eq!(
        peer.call("Reset", json!({ "type": "Sometimes" })).await[2],
        "PropertyConstraintViolation"
    );
    assert_eq!(
        peer.call("Reset", json!({ "type": 1 })).await[2],
        "TypeConstraintViolation"
    );
    assert_eq!(
        peer.call("Reset", json!({ "type": "OnIdle" })).await[2]["status"],
        "Rejected"
    );
    let report = peer
        .call(
            "GetBaseReport",
            json!({ "requestId": 3, "reportBase": "FullInventory" }),
        )
        .await;
    assert_eq!(report[2]["status"], "Accepted");
    for (number, more) in [(0, true), (1, false)] {
        let part = peer.expect("NotifyReport", json!({})).await;
        assert_eq!((&part["seqNo"], &part["tbc"]), (&json!(number), &json!(more)));
    }
    assert_eq!(
        peer.call("Reset", json!({ "type": "Immediate" })).await[2]["status"],
        "Accepted"
    );
    let mut peer = Peer::accept(&listener, Version::V21).await;
    let now = gridlatch_host::now().to_rfc3339();
    let boot = peer
        .expect(
            "BootNotification",
            json!({ "currentTime": now, "interval": 1, "status": "Accepted" }),
        )
        .await;
    assert_eq!(boot["reason"], "RemoteReset");
    station.stop.cancel();
    station.task.await.unwrap();
    (station.to, station.from) = (mpsc::channel(1).0, mpsc::channel(1).1);
    let heard = charging.await.unwrap();
    assert_eq!(
        heard,
        [
            "start 1 T9",
            "stop tx-2",
            "stop tx-1",
            "setpoint Some(Watts(-5000.0))",
            "setpoint Some(Watts(-50000.0))",
            "setpoint None",
            "setpoint Some(Watts(7000.0))",
            "setpoint None",
            "reset false",
            "reset true",
        ]
    );
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
