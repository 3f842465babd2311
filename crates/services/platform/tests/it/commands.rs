//! Commands reach the station that holds the connection, and every way they can fail has its code.

use std::time::Duration;

use gridlatch_platform::{Command, PlatformConfig};
use gridlatch_store::Store;
use gridlatch_vocab::{EvseId, Watts, catalogue::platform as codes};
use serde_json::{Value, json};

use crate::support::{World, event, id};

#[tokio::test]
async fn a_negative_set_point_travels_as_a_central_setpoint_on_2_1() {
    let world = World::new().await;
    let mut station = world.station("CS-1").await;
    station
        .ok("TransactionEvent", event("Started", 0, 0, "0", "0"))
        .await;
    let state = world.handle.state.clone();
    let task = tokio::spawn(async move {
        let command = Command::Setpoint {
            evse: EvseId(1),
            power: Some(Watts(-5000.0)),
        };
        state.command(&id("CS-1"), command, "operator").await
    });
    let call = station.next().await.unwrap();
    assert_eq!(call[2], "SetChargingProfile");
    let profile = &call[3]["chargingProfile"];
    assert_eq!(profile["chargingProfilePurpose"], "TxProfile");
    assert_eq!(profile["transactionId"], "tx-1");
    let period = &profile["chargingSchedule"][0]["chargingSchedulePeriod"][0];
    assert_eq!(period["operationMode"], "CentralSetpoint");
    assert_eq!(period["setpoint"].to_string(), "-5000");
    station
        .send(json!([3, call[1], {"status": "Accepted"}]).to_string())
        .await;
    assert_eq!(task.await.unwrap().unwrap().status, "Accepted");
    let kept = world.store.setpoint_list(&id("CS-1")).await.unwrap();
    assert_eq!(kept[0].setpoint, Watts(-5000.0));
    let sent = world.event(codes::COMMAND_SENT).await;
    assert_eq!(sent.fields["asked_by"], "operator");

    let state = world.handle.state.clone();
    let task = tokio::spawn(async move {
        let command = Command::Setpoint {
            evse: EvseId(1),
            power: None,
        };
        state.command(&id("CS-1"), command, "operator").await
    });
    let call = station.next().await.unwrap();
    assert_eq!(call[2], "ClearChargingProfile");
    station
        .send(json!([3, call[1], {"status": "Accepted"}]).to_string())
        .await;
    task.await.unwrap().unwrap();
    assert!(world.store.setpoint_list(&id("CS-1")).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_2_0_1_station_is_not_asked_to_discharge_but_follows_a_limit() {
    let world = World::new().await;
    let mut station = world.connect("CS-1", "ocpp2.0.1").await.unwrap();
    station.boot().await;
    let ask = |power: f64| {
        let state = world.handle.state.clone();
        tokio::spawn(async move {
            let command = Command::Setpoint {
                evse: EvseId(1),
                power: Some(Watts(power)),
            };
            state.command(&id("CS-1"), command, "operator").await
        })
    };
    let refused = ask(-1.0).await.unwrap().unwrap_err();
    assert_eq!(refused.code, codes::COMMAND_UNSUPPORTED);
    let task = ask(11_000.0);
    let call = station.next().await.unwrap();
    let profile = &call[3]["chargingProfile"];
    assert_eq!(profile["chargingProfileKind"], "Absolute");
    let period = &profile["chargingSchedule"][0]["chargingSchedulePeriod"][0];
    assert_eq!(period["limit"].to_string(), "11000");
    assert!(period["operationMode"].is_null());
    station
        .send(json!([3, call[1], {"status": "Accepted"}]).to_string())
        .await;
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn commands_fail_with_a_code_of_their_own() {
    let world = World::with(Store::open(":memory:").await.unwrap(), |config| PlatformConfig {
        command_timeout: Duration::from_secs(2),
        ..config
    })
    .await;
    let stop = Command::Stop {
        transaction: "tx-9".parse().unwrap(),
    };
    let state = &world.handle.state;
    let offline = state
        .command(&id("CS-1"), stop.clone(), "operator")
        .await
        .unwrap_err();
    assert_eq!(offline.code, codes::COMMAND_OFFLINE);

    let mut station = world.station("CS-1").await;
    station.boot().await;
    // It hears the command and says nothing.
    let silent = state
        .command(&id("CS-1"), stop.clone(), "operator")
        .await
        .unwrap_err();
    assert_eq!(silent.code, codes::COMMAND_TIMED_OUT);
    let late: Value = station.next().await.unwrap();
    station
        .send(json!([3, late[1], {"status": "Accepted"}]).to_string())
        .await;

    for (answer, expected) in [
        (json!([3, "ID", {"status": "Rejected"}]), codes::COMMAND_REFUSED),
        (json!([3, "ID", {"status": 5}]), codes::COMMAND_REFUSED),
        (json!([4, "ID", "NotSupported", "no", {}]), codes::COMMAND_REFUSED),
    ] {
        let (state, stop) = (state.clone(), stop.clone());
        let task = tokio::spawn(async move { state.command(&id("CS-1"), stop, "operator").await });
        let call = station.next().await.unwrap();
        assert_eq!(call[2], "RequestStopTransaction");
        let mut answer = answer;
        answer[1] = call[1].clone();
        station.send(answer.to_string()).await;
        assert_eq!(task.await.unwrap().unwrap_err().code, expected);
    }
    let (state2, stop2) = (state.clone(), stop.clone());
    let task = tokio::spawn(async move { state2.command(&id("CS-1"), stop2, "operator").await });
    station.next().await.unwrap();
    drop(station);
    assert_eq!(task.await.unwrap().unwrap_err().code, codes::COMMAND_TIMED_OUT);
}

#[tokio::test]
async fn start_reset_and_variables() {
    let world = World::new().await;
    let mut station = world.station("CS-1").await;
    station.boot().await;
    let run = |command: Command| {
        let state = world.handle.state.clone();
        tokio::spawn(async move { state.command(&id("CS-1"), command, "operator").await })
    };
    let task = run(Command::Start {
        evse: EvseId(1),
        token: None,
    });
    let call = station.next().await.unwrap();
    assert_eq!(call[2], "RequestStartTransaction");
    let token = call[3]["idToken"].clone();
    station
        .send(json!([3, call[1], {"status": "Accepted", "transactionId": "tx-7"}]).to_string())
        .await;
    let outcome = task.await.unwrap().unwrap();
    assert_eq!(outcome.transaction.unwrap().as_str(), "tx-7");
    let answer = station.ok("Authorize", json!({"idToken": token})).await;
    assert_eq!(
        answer["idTokenInfo"]["status"], "Accepted",
        "its own token is known"
    );

    let task = run(Command::Reset { immediate: true });
    let call = station.next().await.unwrap();
    assert_eq!(
        (&call[2], &call[3]["type"]),
        (&json!("Reset"), &json!("Immediate"))
    );
    station
        .send(json!([3, call[1], {"status": "Scheduled"}]).to_string())
        .await;
    assert_eq!(task.await.unwrap().unwrap().status, "Scheduled");

    let task = run(Command::GetVariables(vec![gridlatch_platform::VariableGet {
        component: "OCPPCommCtrlr".to_owned(),
        variable: "HeartbeatInterval".to_owned(),
    }]));
    let call = station.next().await.unwrap();
    assert_eq!(call[2], "GetVariables");
    let asked = &call[3]["getVariableData"][0];
    let result = json!({"attributeStatus": "Accepted", "attributeValue": "60",
        "component": asked["component"], "variable": asked["variable"]});
    station
        .send(json!([3, call[1], {"getVariableResult": [result]}]).to_string())
        .await;
    let outcome = task.await.unwrap().unwrap();
    assert_eq!(outcome.variables[0].value.as_deref(), Some("60"));
}
