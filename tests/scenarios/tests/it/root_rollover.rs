//! A V2G root takes the place of another at running stations, stage by stage, while a car charges: an old car
//! and a new one both charge in between, and afterwards the old root is gone.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use gridlatch_testkit::{binary, temp};

use crate::running_up::{SOON, Up, list};

#[test]
fn a_root_takes_the_place_of_another_while_a_car_charges() {
    rollover().unwrap();
}

/// `gridlatch pki <words> --data DIR`; exit code and what it printed.
fn pki(data: &Path, words: &[&str]) -> Result<(i32, String)> {
    let output = Command::new(binary()?)
        .arg("pki")
        .args(words)
        .arg("--data")
        .arg(data)
        .output()?;
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    println!("pki {}: {:?}\n{said}", words.join(" "), output.status.code());
    Ok((output.status.code().context("it was killed")?, said))
}

fn expect(data: &Path, words: &[&str], code: i32) -> Result<String> {
    let (got, said) = pki(data, words)?;
    ensure!(got == code, "pki {words:?} ended with {got}, not {code}:\n{said}");
    Ok(said)
}

fn rollover() -> Result<()> {
    let folder = temp::dir()?;
    let data = folder.path();
    let up = Up::start(data, &[])?;
    let plan = data.join("g2.json");
    let plan = plan.to_str().context("a path that is text")?;

    // Every station says what it holds, and everything it names is known.
    let said = expect(data, &["inventory", "--platform"], 0)?;
    ensure!(
        said.contains("station GL-DC-1")
            && said.contains("Gridlatch Dev CPO Sub2")
            && !said.contains("nobody knows"),
        "{said}"
    );

    let status = ["rollover", "status", plan, "--platform"];
    let done = ["rollover", "done", plan, "--platform"];
    expect(
        data,
        &[
            "rollover",
            "prepare",
            plan,
            "--days",
            "0,0,0,0",
            "--exempt",
            "vehicle demo",
            "--exempt",
            "vehicle old",
        ],
        0,
    )?;
    let root = |name: &str| {
        data.join(format!("pki/iso2/{name}.crt.pem"))
            .display()
            .to_string()
    };
    let (g1, g2) = (root("v2g-root"), root("v2g-root-g2"));
    let charge = |root: &str, code: i32| -> Result<()> {
        let words = format!("--energy ac --protocol iso15118-2 --for 1 --v2g-root {root}");
        up.car(&words)?.ended(SOON)?.expect(code).map(drop)
    };
    let old_car = |code| charge(&g1, code);
    let new_car = |code| charge(&g2, code);
    old_car(0)?;

    let car = up.car("--energy dc --protocol iso15118-2 --for 150")?;
    let session = up.flowing("GL-DC-1")?;
    // Publish and cross-link are done by `prepare`; distribution is in the way of the next.
    expect(data, &done, 0)?;
    expect(data, &done, 0)?;
    let said = expect(data, &status, 1)?;
    ensure!(
        said.contains("station GL-AC-1: trusts only the old root"),
        "{said}"
    );
    let said = expect(data, &["rollover", "distribute", plan], 0)?;
    ensure!(said.contains("2 done"), "{said}");
    expect(data, &status, 0)?;
    expect(data, &done, 0)?;

    let said = expect(data, &status, 1)?;
    ensure!(said.contains("shows a chain to the old root"), "{said}");
    old_car(0)?;
    expect(data, &["rollover", "switch", plan], 0)?;
    expect(data, &status, 0)?;
    expect(data, &done, 0)?;
    // Both generations of cars charge; the session that runs goes on.
    old_car(0)?;
    new_car(0)?;

    let said = expect(data, &status, 1)?;
    ensure!(said.contains("still trusts the old root"), "{said}");
    expect(data, &["rollover", "retire", plan], 0)?;
    expect(data, &status, 0)?;
    expect(data, &done, 0)?;
    new_car(0)?;
    let words = format!("--energy ac --protocol iso15118-2 --for 1 --v2g-root {g1}");
    let refused = up.car(&words)?.ended(SOON)?;
    ensure!(refused.code != 0, "an old car is refused: {}", refused.output);

    let running = up.get("/sessions/running")?;
    ensure!(
        list(&running)
            .iter()
            .any(|one| one["transaction"] == session["transaction"]),
        "the session outlived the whole rollover: {running}"
    );
    up.order(
        "GL-DC-1",
        "stop",
        &serde_json::json!({ "transaction": session["transaction"] }),
    )?;
    let _ = car.ended(SOON)?;
    up.billed(&session)?;

    // The old root does not come back with a restart.
    let held = |up: &Up| -> Result<usize> {
        let held = up.get("/stations/GL-AC-1/certificates")?;
        Ok(list(&held)
            .iter()
            .filter(|row| row["usage"] == "V2GRootCertificate")
            .count())
    };
    let before = held(&up)?;
    up.stop()?;
    let up = Up::start(data, &[])?;
    let after = crate::running_up::wait("the station after a restart", SOON, || Ok(held(&up).ok()))?;
    ensure!(
        before == after && after == 2,
        "G2 and the root of -20: {before}, {after}"
    );
    up.car(&format!(
        "--energy ac --protocol iso15118-2 --for 1 --v2g-root {g2}"
    ))?
    .ended(SOON)?
    .expect(0)?;
    up.stop().map(drop)
}
