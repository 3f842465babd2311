//! The platform's orders to running stations, and who may give them.

use anyhow::{Context as _, Result, ensure};
use gridlatch_testkit::temp;
use serde_json::{Value, json};

use crate::running_up::{SOON, Up, http, list, wait};

#[test]
fn remote_start_and_stop_from_the_platform() {
    orders().unwrap();
}

fn orders() -> Result<()> {
    let data = temp::dir()?;
    let up = Up::start(data.path(), &[])?;

    // Somebody presses start first, and the driver pays with that; the car itself only says "external".
    let order = up.order("GL-AC-1", "start", &json!({"evse": 1}))?;
    ensure!(order["status"] == "Accepted", "{order}");
    let car = up.car("--energy ac --auth eim --for 120")?;
    let session = up.flowing("GL-AC-1")?;
    ensure!(
        session["auth_kind"] == "Central",
        "not on the operator's token: {session}"
    );
    up.order("GL-AC-1", "stop", &json!({"transaction": session["transaction"]}))?;
    let ended = car.ended(SOON)?.expect(0)?;
    ensure!(
        ended.session()?["note"]
            .as_str()
            .is_some_and(|note| note.contains("asked to stop")),
        "{:?}",
        ended.session()?
    );
    let billed = up.billed(&session)?;
    ensure!(billed["stop_reason"] == "Remote", "{billed}");
    ensure!(billed["imported_wh"].as_f64() > Some(0.0), "{billed}");
    let again = json!({"transaction": session["transaction"]});
    let answer = up.ask("POST", "/stations/GL-AC-1/commands/stop", Some(&again))?;
    answer.expect_problem(409, "platform.command_refused")?;

    // A reset now ends what runs; the station comes back and works.
    let booted = |up: &Up, station: &str| -> Result<Value> {
        Ok(up.get(&format!("/stations/{station}"))?["booted_at"].clone())
    };
    let before = booted(&up, "GL-DC-1")?;
    let car = up.car("--energy dc --for 120")?;
    let session = up.flowing("GL-DC-1")?;
    up.order("GL-DC-1", "reset", &json!({"immediate": true}))?;
    let ended = car.ended(SOON)?;
    ensure!(
        ended.session()?["energy_in_wh"].as_f64() > Some(0.0),
        "{}",
        ended.output
    );
    let billed = up.billed(&session)?;
    ensure!(billed["stop_reason"] == "ImmediateReset", "{billed}");
    wait("the station's next boot", SOON, || {
        Ok((booted(&up, "GL-DC-1")? != before).then_some(()))
    })?;
    up.car("--energy dc --for 1")?.ended(SOON)?.expect(0)?;
    // With nothing running, it happens at once.
    let stations = ["GL-AC-1", "GL-DC-1"];
    let before = stations.map(|station| booted(&up, station).ok());
    up.order("GL-AC-1", "reset", &json!({"immediate": false}))?;
    up.order("GL-DC-1", "reset", &json!({}))?;
    // Both: an order to one that is away is refused for another reason.
    wait("the idle stations' boots", SOON, || {
        let again = stations
            .iter()
            .zip(&before)
            .all(|(station, before)| booted(&up, station).is_ok_and(|at| Some(&at) != before.as_ref()));
        Ok(again.then_some(()))
    })?;

    refusals(&up)?;
    up.stop().map(drop)
}

/// Orders that cannot be, and people who may not.
fn refusals(up: &Up) -> Result<()> {
    let post = |path: &str, body: &Value| up.ask("POST", path, Some(body));
    for command in ["start", "stop", "setpoint", "reset"] {
        let body = match command {
            "stop" => json!({"transaction": "t-1"}),
            "setpoint" => json!({"evse": 1, "watts": 1000}),
            "start" => json!({"evse": 1}),
            _ => json!({}),
        };
        post(&format!("/stations/NOBODY/commands/{command}"), &body)?
            .expect_problem(404, "platform.rest_not_found")?;
    }
    post("/stations/GL-AC-1/commands/start", &json!({"evse": 9}))?
        .expect_problem(409, "platform.command_refused")?;
    post("/stations/GL-AC-1/commands/start", &json!({"evse": 0}))?
        .expect_problem(400, "platform.rest_bad_request")?;
    post(
        "/stations/GL-AC-1/commands/start",
        &json!({"evse": 1, "colour": "red"}),
    )?
    .expect_problem(400, "platform.rest_bad_request")?;
    post(
        "/stations/GL-AC-1/commands/stop",
        &json!({"transaction": "nobody-has-this"}),
    )?
    .expect_problem(409, "platform.command_refused")?;
    up.ask("GET", "/sessions/GL-AC-1/nobody-has-this", None)?
        .expect_problem(404, "platform.rest_not_found")?;
    up.ask("DELETE", "/stations", None)?
        .expect_problem(405, "platform.rest_bad_request")?;

    // A token nobody issued: the station takes the order, the platform never authorises it.
    let unknown = json!({"evse": 1, "token": "NOBODY-ISSUED-THIS", "kind": "ISO14443"});
    let answer = post("/stations/GL-AC-1/commands/start", &unknown)?;
    if answer.status == 200 {
        let ended = up.car("--energy ac --auth eim --for 1")?.ended(SOON)?.expect(1)?;
        let failure = &ended.session()?["failure"];
        ensure!(failure["step"] == "authorisation", "{failure}");
    } else {
        ensure!(answer.json()["code"].is_string(), "{answer:?}");
    }
    let running = up.get("/sessions/running")?;
    ensure!(
        list(&running).is_empty(),
        "charging on an unknown token: {running}"
    );

    let plain = |headers: &str, method: &str, path: &str| http(up.web(), method, path, headers, None);
    let unauthenticated = "platform.rest_unauthenticated";
    for path in [
        "/api/v1/stations",
        "/api/v1/openapi.json",
        "/",
        "/sessions",
        "/live/overview",
    ] {
        plain("", "GET", path)?.expect_problem(401, unauthenticated)?;
        plain(
            "Authorization: Bearer 00000000000000000000000000000000\r\n",
            "GET",
            path,
        )?
        .expect_problem(401, unauthenticated)?;
    }
    let token = format!("Authorization: Bearer {}\r\n", up.token());
    let foreign = format!(
        "Host: gridlatch.example:{}\r\n{token}",
        up.web().rsplit(':').next().context("port")?
    );
    plain(&foreign, "GET", "/api/v1/stations")?.expect_problem(421, "platform.rest_foreign_host")?;
    let elsewhere = format!("{token}Origin: http://evil.example\r\n");
    let body = json!({"evse": 1, "watts": 1000});
    http(
        up.web(),
        "POST",
        "/api/v1/stations/GL-DC-1/commands/setpoint",
        &elsewhere,
        Some(&body),
    )?
    .expect_problem(403, "platform.rest_cross_origin")?;
    // The page's own way in: a cookie that scripts cannot read, no token in the address that follows.
    let entry = plain("", "GET", &format!("/?token={}", up.token()))?;
    let head = entry.head.to_lowercase();
    ensure!(
        entry.status == 303 && head.contains("httponly") && head.contains("samesite=strict"),
        "{entry:?}"
    );
    ensure!(
        !head
            .lines()
            .any(|line| line.starts_with("location") && line.contains("token")),
        "{entry:?}"
    );
    Ok(())
}
