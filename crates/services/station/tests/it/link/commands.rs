//! What the platform orders over the link.

use gridlatch_ocpp::Version;
use gridlatch_station::backend::FromPlatform;
use gridlatch_store::Store;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::peer::{Peer, start};

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
