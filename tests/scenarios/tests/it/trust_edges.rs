//! The edges of trust in a running `up`: a responder that is away while nothing unknown is tolerated, a car that was told
//! which roots to believe, a folder whose keys belong to two operators.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use gridlatch_testkit::{binary, ports, temp};

use crate::running_up::{Ended, SOON, Up, list, wait};

#[test]
fn where_nothing_unknown_is_tolerated_a_responder_that_is_away_keeps_stations_out_and_says_why() {
    responder_away().unwrap();
}

fn responder_away() -> Result<()> {
    let data = temp::dir()?;
    let status = format!("127.0.0.1:{}", ports::tcp()?);
    let strict = ["--revocation-unknown", "refuse"];
    let here = ["--est", "127.0.0.1:0", "--status", &status];
    // The responder answers: the strictest policy lets everybody in. Certificates name this address from now on.
    let up = Up::start(data.path(), &[&here[..], &strict].concat())?;
    up.car("--energy dc --for 1")?.ended(SOON)?.expect(0)?;
    up.stop()?;

    // Started again with the responder elsewhere, nobody answers at the address that the certificates name.
    let elsewhere = ["--est", "127.0.0.1:0", "--status", "127.0.0.1:0"];
    let up = Up::unconnected(data.path(), &[&elsewhere[..], &strict].concat())?;
    for station in ["GL-AC-1", "GL-DC-1"] {
        let event = wait("the station's reason", SOON, || {
            let events = up.get("/events?limit=500")?;
            let found = list(&events).iter().find(|event| {
                event["code"] == "ocpp.connect_failed"
                    && event["station"] == station
                    && event["message"].as_str().is_some_and(|message| {
                        message.contains("revocation.unknown") && message.contains(&status)
                    })
            });
            Ok(found.cloned())
        })?;
        let message = event["message"].as_str().unwrap_or_default();
        // Who, and of whom; the catalogue says what to do.
        ensure!(message.contains("the platform's certificates"), "{event}");
        ensure!(message.contains("CSMS"), "{event}");
    }
    let explained = Command::new(binary()?)
        .args(["explain", "revocation.unknown"])
        .output()?;
    let text = String::from_utf8_lossy(&explained.stdout).into_owned();
    ensure!(explained.status.success() && text.contains("responder"), "{text}");
    let stations = up.get("/stations")?;
    ensure!(
        list(&stations).iter().all(|one| one["connected"] == false),
        "{stations}"
    );
    let refused = up.car("--energy dc --for 1")?.ended(SOON)?;
    ensure!(refused.code != 0, "{}", refused.output);
    ensure!(list(&up.get("/cdrs")?).len() <= 1, "a bill for nothing");
    up.stop()?;

    // Who tolerates the unknown charges; and with the responder back, so does who does not.
    for more in [&elsewhere[..], &[&here[..], &strict].concat()] {
        let up = Up::start(data.path(), more)?;
        up.car("--energy dc --for 1")?.ended(SOON)?.expect(0)?;
        up.stop()?;
    }
    Ok(())
}

/// The contracts a car keeps: names of files and what is in them.
fn kept(up: &Up) -> Result<BTreeSet<(String, Vec<u8>)>> {
    let folder = up.data.join("vehicles/demo");
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        found.insert((name, std::fs::read(entry.path())?));
    }
    Ok(found)
}

#[test]
fn a_car_that_is_told_which_roots_to_believe_believes_no_others() {
    told_roots().unwrap();
}

fn told_roots() -> Result<()> {
    let data = temp::dir()?;
    let up = Up::start(data.path(), &[])?;
    let write = |name: &str, text: &[u8]| -> Result<String> {
        let path = data.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    let of_pki = |name: &str| std::fs::read(data.path().join("pki").join(name)).context(name.to_owned());
    let right = write("right.pem", &of_pki("iso20/mo-root.crt.pem")?)?;
    let other_kind = write("v2g.pem", &of_pki("iso20/v2g-root.crt.pem")?)?;
    let other_standard = write("iso2.pem", &of_pki("iso2/mo-root.crt.pem")?)?;
    let text = write("text.pem", b"there is no root in here\n")?;
    let garbage = write(
        "garbage.pem",
        b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
    )?;
    let empty = write("empty.pem", b"\n")?;
    let get = |roots: &str| -> Result<Ended> {
        let words = format!("--protocol iso15118-20 --energy dc --for 1 --get-contract --mo-roots {roots}");
        up.car(&words)?.ended(SOON)
    };
    // A root of another kind or another standard, or none: the contract is not taken, and nothing is kept.
    let before = kept(&up)?;
    for roots in [&other_kind, &other_standard, &garbage] {
        let refused = get(roots)?.expect(1)?;
        ensure!(
            refused.output.contains("pnc.offer_untrusted"),
            "{roots}: {}",
            refused.output
        );
        ensure!(kept(&up)? == before, "{roots}: something was kept");
    }
    let refused = get(&text)?.expect(2)?;
    ensure!(
        refused.output.contains("text.pem holds no roots"),
        "{}",
        refused.output
    );
    ensure!(list(&up.get("/cdrs")?).is_empty(), "a bill for nothing");
    // The operator's own root; and a car that knows none takes the service's word, as an empty file says.
    for roots in [&right, &empty] {
        let charged = get(roots)?.expect(0)?;
        ensure!(charged.step("contract")?["ok"] == true, "{}", charged.output);
    }
    ensure!(kept(&up)? != before, "the contract was not kept");
    // The same of V2G roots: told a file without any, the car does not fall back on the data folder's.
    for (roots, code) in [(&text, 2), (&garbage, 1)] {
        let words = format!("--protocol iso15118-20 --energy dc --for 1 --v2g-root {roots}");
        up.car(&words)?.ended(SOON)?.expect(code)?;
    }
    up.stop().map(drop)
}

/// Every file below a folder but what SQLite keeps beside its database, with its octets.
fn files(folder: &Path) -> Result<BTreeSet<(String, Vec<u8>)>> {
    let (mut found, mut folders) = (BTreeSet::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.display().to_string().contains("ca.db") && !path.ends_with(".lock") {
                found.insert((path.display().to_string(), std::fs::read(&path)?));
            }
        }
    }
    Ok(found)
}

#[test]
fn a_car_signs_nothing_with_the_keys_of_two_operators() {
    two_operators().unwrap();
}

fn two_operators() -> Result<()> {
    let folder = temp::dir()?;
    let run = |words: &str| -> Result<(i32, String)> {
        let output = Command::new(binary()?)
            .current_dir(folder.path())
            .args(words.split_whitespace())
            .output()?;
        let said = [output.stdout, output.stderr].concat();
        let code = output.status.code().context("it was killed")?;
        Ok((code, String::from_utf8_lossy(&said).into_owned()))
    };
    for words in [
        "pki operator new alice",
        "pki operator new bob",
        "pki init --data data --name Acme --tree iso2,iso20,ocpp --operator alice=alice.pub.pem --operator \
         bob=bob.pub.pem",
    ] {
        let (code, said) = run(words)?;
        ensure!(code == 0, "{words}: {said}");
    }
    let before = files(&folder.path().join("data"))?;
    // At a station of its own there is no `up` that could have refused the folder.
    let (code, said) = run("ev charge --data data --interface lo --for 1")?;
    ensure!(code == 2 && said.contains("ca.dual_control"), "{code}: {said}");
    ensure!(
        files(&folder.path().join("data"))? == before,
        "something was issued"
    );
    // Without TLS no certificate is needed, and none is made.
    let (code, _) = run("ev charge --data data --for 1")?;
    ensure!(code == 2, "{code}");
    ensure!(
        files(&folder.path().join("data"))? == before,
        "something was issued"
    );
    Ok(())
}
