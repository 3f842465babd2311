//! Whoever was revoked is refused wherever certificates are shown: a vehicle of ISO 15118-20 at a station, a
//! station at its platform, a provisioning certificate at the service that gives out contracts.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gridlatch_testkit::temp;
use serde_json::Value;

use crate::running_up::{SOON, Up, list, wait};

const ANYWHERE: [&str; 4] = ["--est", "127.0.0.1:0", "--status", "127.0.0.1:0"];

#[test]
fn a_revoked_vehicle_of_iso_15118_20_is_refused_while_another_car_charges() {
    vehicle().unwrap();
}

fn vehicle() -> Result<()> {
    let data = temp::dir()?;
    let up = Up::start(data.path(), &ANYWHERE)?;
    let charge = "--energy dc --protocol iso15118-20 --auth eim --for 1";
    up.car(charge)?.ended(SOON)?.expect(0)?;
    revoke(&up, "iso20/oem-sub2", "vehicle-leaf", "")?;
    // Another car's certificate, from the same sub-CA.
    let other = format!("{charge} --vehicle other");
    up.car(&other)?.ended(SOON)?.expect(0)?;
    // The station remembers a good answer for some seconds, and no longer.
    let refused = wait("the refusal", SOON, || {
        let ended = up.car(charge)?.ended(SOON)?;
        Ok((ended.code != 0).then_some(ended))
    })?;
    ensure!(refused.code == 1, "{}", refused.output);
    wait("the station's reason", SOON, || {
        said(&up, "tls.certificate_revoked", "GL-DC-1", "(keyCompromise)")
    })?;
    // From now on the handshake itself ends with the alert that says so.
    let refused = up.car(charge)?.ended(SOON)?.expect(1)?;
    ensure!(
        refused.output.contains("tls.certificate_revoked"),
        "{}",
        refused.output
    );
    up.car(&other)?.ended(SOON)?.expect(0)?;
    // ISO 15118-2 asks vehicles for no certificate.
    up.car("--energy dc --protocol iso15118-2 --auth eim --for 1")?
        .ended(SOON)?
        .expect(0)?;
    up.stop().map(drop)
}

#[test]
fn a_station_whose_ocpp_certificate_is_revoked_is_disconnected_and_does_not_come_back() {
    station().unwrap();
}

fn station() -> Result<()> {
    let data = temp::dir()?;
    let up = Up::start(data.path(), &ANYWHERE)?;
    revoke(&up, "ocpp/csms-sub", "station-client", "GL-AC-1")?;
    let connected = |station: &str| -> Result<bool> {
        let stations = up.get("/stations")?;
        let found = list(&stations).iter().find(|one| one["id"] == station);
        Ok(found.context("no such station")?["connected"] == true)
    };
    // Asked about every five seconds here.
    wait("the disconnection", SOON, || {
        Ok((!connected("GL-AC-1")?).then_some(()))
    })?;
    wait("the platform's reason", SOON, || {
        said(&up, "revocation.revoked", "GL-AC-1", "keyCompromise")
    })?;
    wait("the station's reason", SOON, || {
        said(&up, "ocpp.connect_failed", "GL-AC-1", "tls.certificate_revoked")
    })?;
    // It keeps trying, and stays out; its neighbour stays in.
    std::thread::sleep(Duration::from_secs(3));
    ensure!(!connected("GL-AC-1")?, "it is back");
    ensure!(connected("GL-DC-1")?, "its neighbour is gone");
    let one = up.get("/stations/GL-AC-1")?;
    ensure!(one["connected"] == false, "{one}");
    up.stop().map(drop)
}

#[test]
fn a_station_does_not_speak_to_a_platform_whose_certificate_is_revoked() {
    platform().unwrap();
}

fn platform() -> Result<()> {
    let data = temp::dir()?;
    let up = Up::start(data.path(), &ANYWHERE)?;
    revoke(&up, "ocpp/csms-sub", "csms-server", "localhost")?;
    for station in ["GL-AC-1", "GL-DC-1"] {
        wait("the station's reason", SOON, || {
            said(&up, "revocation.revoked", station, "The connection is given up")
        })?;
        wait("the refusal of the next attempt", SOON, || {
            said(&up, "ocpp.connect_failed", station, "revocation.revoked")
        })?;
    }
    up.stop().map(drop)
}

#[test]
fn a_revoked_provisioning_certificate_gets_no_contract() {
    provisioning().unwrap();
}

fn provisioning() -> Result<()> {
    let data = temp::dir()?;
    let up = Up::start(data.path(), &ANYWHERE)?;
    let get = "--energy dc --protocol iso15118-20 --auth pnc --get-contract --for 1";
    up.car(get)?.ended(SOON)?.expect(0)?;
    revoke(&up, "iso20/oem-sub2", "oem-provisioning", "")?;
    let refused = wait("the refusal", SOON, || {
        let ended = up.car(get)?.ended(SOON)?;
        Ok((ended.code != 0).then_some(ended))
    })?;
    ensure!(refused.code == 1, "{}", refused.output);
    wait("the service's reason", SOON, || {
        said(&up, "provisioning.certificate_refused", "", "revocation.revoked")
    })?;
    up.stop().map(drop)
}

/// Whether an event of this code and station says this.
fn said(up: &Up, code: &str, station: &str, text: &str) -> Result<Option<()>> {
    let events = up.get("/events?limit=500")?;
    let found = list(&events).iter().any(|event| {
        event["code"] == code
            && (station.is_empty() || event["station"] == station)
            && event["message"]
                .as_str()
                .is_some_and(|message| message.contains(text))
    });
    Ok(found.then_some(()))
}

/// Revokes the certificate of this CA and kind whose row names `who`.
fn revoke(up: &Up, authority: &str, kind: &str, who: &str) -> Result<()> {
    let row = wait("the certificate in the CA's list", SOON, || {
        let listed = pki(up, &["list", "--format", "json"])?;
        Ok(listed
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|row| {
                let text = row.to_string();
                [authority, kind, who].iter().all(|part| text.contains(part))
            }))
    })?;
    let serial = row["serial"].as_str().context("no serial number")?;
    pki(
        up,
        &["revoke", serial, "--from", authority, "--reason", "keyCompromise"],
    )
    .map(drop)
}

/// Runs `gridlatch pki` on this folder.
fn pki(up: &Up, words: &[&str]) -> Result<String> {
    let output = Command::new(gridlatch_testkit::binary()?)
        .arg("pki")
        .args(words)
        .arg("--data")
        .arg(&up.data)
        .output()?;
    ensure!(
        output.status.success(),
        "{words:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
