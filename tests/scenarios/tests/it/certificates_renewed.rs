//! Certificates of a running station are replaced by the platform's order, without a car noticing.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use gridlatch_testkit::temp;
use serde_json::{Value, json};

use crate::running_up::{SOON, Up, list, wait};

#[test]
fn a_station_gets_new_certificates_while_a_car_charges_and_keeps_them() {
    renewed().unwrap();
}

fn renewed() -> Result<()> {
    let data = temp::dir()?;
    let up = Up::start(data.path(), &[])?;
    let before = chains(&up)?;
    ensure!(before.len() == 2, "one chain per generation: {before:?}");

    let car = up.car("--energy dc --for 20")?;
    let session = up.flowing("GL-DC-1")?;
    for usage in ["V2GCertificate", "V2G20Certificate", "ChargingStationCertificate"] {
        let asked = json!({ "usage": usage });
        let answer = up.ask("POST", "/stations/GL-DC-1/certificates/renew", Some(&asked))?;
        ensure!(answer.status == 200, "{usage}: {answer:?}");
        let wanted = format!("installed its {usage}");
        wait(&wanted, SOON, || {
            let events = up.get("/events?limit=200")?;
            let found = list(&events).iter().any(|event| {
                event["message"]
                    .as_str()
                    .is_some_and(|text| text.contains(&wanted))
            });
            Ok(found.then_some(()))
        })?;
    }
    // The car that charges goes on to its end and is billed.
    car.ended(SOON)?.expect(0)?;
    up.billed(&session)?;

    // The station came back under its new identity, holds old and new, and shows cars the new ones.
    let after = wait("the station on its new connection", SOON, || {
        Ok(chains(&up).ok().filter(|chains| chains.len() == 4))
    })?;
    ensure!(
        before.is_subset(&after),
        "the old ones are kept for the crossover: {after:?}"
    );
    let fresh: BTreeSet<&String> = after.difference(&before).collect();
    for protocol in ["iso15118-2", "iso15118-20"] {
        let ended = up
            .car(&format!("--energy dc --protocol {protocol} --for 1"))?
            .ended(SOON)?
            .expect(0)?;
        ensure!(
            shown(&ended.output, &fresh),
            "{protocol}: the new leaf was not shown\n{}",
            ended.output
        );
    }

    // A leaf is no root: whoever could install it could sign for everybody.
    let root = std::fs::read_to_string(data.path().join("pki/iso2/cpo-sub1.crt.pem"))?;
    let asked = json!({ "usage": "V2GRootCertificate", "certificate": root });
    let refused = up.ask("POST", "/stations/GL-DC-1/certificates/install", Some(&asked))?;
    refused.expect_problem(409, "platform.command_refused")?;
    up.stop()?;

    let up = Up::start(data.path(), &[])?;
    let again = wait("the station after a restart", SOON, || Ok(chains(&up).ok()))?;
    ensure!(again == after, "{again:?} is not {after:?}");
    up.stop().map(drop)
}

/// Serial numbers of the leaves the station holds for vehicles.
fn chains(up: &Up) -> Result<BTreeSet<String>> {
    let held = up.get("/stations/GL-DC-1/certificates")?;
    let leaves = list(&held)
        .iter()
        .filter(|row| row["usage"] == "V2GCertificateChain")
        .filter_map(|row| row["certificate"]["serial"].as_str());
    Ok(leaves
        .map(|serial| serial.trim_start_matches('0').to_lowercase())
        .collect())
}

/// Whether the car's steps name one of these serial numbers.
fn shown(output: &str, serials: &BTreeSet<&String>) -> bool {
    output
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .map(|value| value.to_string().to_lowercase())
        .any(|text| serials.iter().any(|serial| text.contains(serial.as_str())))
}
