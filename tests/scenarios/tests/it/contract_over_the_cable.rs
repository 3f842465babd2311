//! A car without a contract gets one at the station: car, station, OCPP, platform and provisioning service as
//! separate processes on real sockets.

use anyhow::{Context as _, Result, ensure};
use gridlatch_testkit::temp;

use crate::running_up::{Ended, SOON, Up, list};

/// The contract this car keeps for a standard, as PEM.
fn kept(up: &Up, vehicle: &str, standard: &str) -> Result<String> {
    let path = up
        .data
        .join("vehicles")
        .join(vehicle)
        .join(format!("contract-{standard}.pem"));
    std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

fn charged(ended: Ended) -> Result<Ended> {
    let ended = ended.expect(0)?;
    ensure!(ended.step("energy in")?["ok"] == true, "{}", ended.output);
    Ok(ended)
}

#[test]
fn a_car_without_a_contract_gets_one_at_the_station_charges_on_it_keeps_and_renews_it() {
    installs().unwrap();
}

fn installs() -> Result<()> {
    let data = temp::dir()?;
    let up = Up::start(data.path(), &[])?;
    for (standard, protocol) in [("iso2", "iso15118-2"), ("iso20", "iso15118-20")] {
        let words = format!("--protocol {protocol} --energy dc --for 1");
        let first = charged(up.car(&format!("{words} --get-contract"))?.ended(SOON)?)?;
        let names: Vec<&str> = first
            .steps()
            .iter()
            .filter_map(|step| step["name"].as_str())
            .collect();
        ensure!(
            names.windows(2).any(|pair| pair == ["contract", "authorisation"]),
            "{names:?}"
        );
        ensure!(
            first.bill()?["total_incl"].is_string() || first.bill()?["id"].is_string(),
            "no bill: {}",
            first.output
        );
        let installed = kept(&up, "demo", standard)?;
        // The next time the car has it, and does not ask.
        let second = charged(up.car(&words)?.ended(SOON)?)?;
        ensure!(second.step("contract").is_err(), "{}", second.output);
        ensure!(
            kept(&up, "demo", standard)? == installed,
            "the kept contract changed"
        );
    }
    // ISO 15118-2 renews by the contract itself.
    let before = kept(&up, "demo", "iso2")?;
    let words = "--protocol iso15118-2 --energy dc --for 1";
    charged(up.car(&format!("{words} --get-contract update"))?.ended(SOON)?)?;
    let after = kept(&up, "demo", "iso2")?;
    ensure!(after != before, "the update brought the same certificate");
    charged(up.car(words)?.ended(SOON)?)?;
    let folder = up.data.join("vehicles/demo");
    let keys = std::fs::read_dir(folder)?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".key"))
        .count();
    ensure!(keys == 2, "one key a standard, not {keys}");
    for code in [
        "pnc.contract_asked",
        "pnc.contract_passed_on",
        "provisioning.contract_delivered",
    ] {
        ensure!(up.count(code)? >= 3, "{code}: {}", up.count(code)?);
    }
    up.stop().map(drop)
}

#[test]
fn a_contract_the_operator_does_not_honour_is_installed_and_still_buys_nothing() {
    unknown_contract().unwrap();
}

fn unknown_contract() -> Result<()> {
    let data = temp::dir()?;
    let up = Up::start(data.path(), &[])?;
    // The provisioning service makes a contract for this vehicle, but nobody entered it into the register.
    for protocol in ["iso15118-2", "iso15118-20"] {
        let words = format!("--protocol {protocol} --vehicle stranger --get-contract --for 1");
        let ended = up.car(&words)?.ended(SOON)?.expect(1)?;
        ensure!(ended.step("contract")?["ok"] == true, "{}", ended.output);
        ensure!(ended.step("authorisation")?["ok"] == false, "{}", ended.output);
    }
    ensure!(list(&up.get("/cdrs")?).is_empty(), "a bill for nothing");
    // An update needs a contract to update.
    let nothing = up.car("--protocol iso15118-2 --vehicle nobody --get-contract update")?;
    let said = nothing.ended(SOON)?.expect(2)?;
    ensure!(said.output.contains("--get-contract"), "{}", said.output);
    let impossible = up.car("--protocol iso15118-20 --get-contract update --for 1")?;
    let said = impossible.ended(SOON)?;
    ensure!(said.code == 2, "{}", said.output);
    up.stop().map(drop)
}
