//! Stations whose keys are in a token or a TPM, and cars that charge at them.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use gridlatch_testkit::need;
use gridlatch_testkit::temp;
use gridlatch_testkit::tokens::{PIN, SoftHsm, SwTpm, library};
use serde_json::json;

use crate::running_up::{SOON, Up, list, wait};

#[test]
fn cars_of_both_generations_charge_at_a_station_whose_keys_are_in_a_token() {
    need!(softhsm);
    in_softhsm().unwrap();
}

fn in_softhsm() -> Result<()> {
    let hsm = SoftHsm::new(&["cpo"])?;
    let data = temp::dir()?;
    let pin = data.path().join("pin");
    write_private(&pin, PIN)?;
    let folder = data.path().join("state");
    let module = library("libsofthsm2.so").context("no module")?;
    let place = format!("pkcs11:token=cpo?module-path={}", module.display());
    let config = hsm.config();
    let start = || {
        let words = ["--station-keys", &place, "--pin-file", text(&pin)?];
        Up::start_with(&folder, &words, &[("SOFTHSM2_CONF", text(&config)?)])
    };
    let up = start()?;
    ensure!(
        private_keys(&folder.join("stations"))?.is_empty(),
        "a station has a key in a file"
    );
    for words in [
        "--energy dc --protocol iso15118-2 --auth pnc",
        "--energy dc-bpt --protocol iso15118-20",
        "--energy ac",
    ] {
        up.car(&format!("{words} --for 1"))?.ended(SOON)?.expect(0)?;
    }

    // New certificates over OCPP have keys in the token too.
    for usage in ["V2GCertificate", "V2G20Certificate", "ChargingStationCertificate"] {
        let asked = json!({ "usage": usage });
        let answer = up.ask("POST", "/stations/GL-DC-1/certificates/renew", Some(&asked))?;
        ensure!(answer.status == 200, "{usage}: {answer:?}");
        said(&up, &format!("installed its {usage}"))?;
    }
    ensure!(
        private_keys(&folder.join("stations"))?.is_empty(),
        "a renewed key is in a file"
    );
    wait("a car at the station with new certificates", SOON, || {
        let ended = up.car("--energy dc --for 1")?.ended(SOON)?;
        Ok((ended.code == 0).then_some(()))
    })?;

    // Pulled out: the next handshake is refused, and the station says which key is away. Put back: cars charge.
    let tokens = hsm.tokens();
    let away = tokens.with_extension("away");
    std::fs::rename(&tokens, &away)?;
    std::fs::create_dir(&tokens)?;
    let refused = up.car("--energy dc --for 1")?.ended(SOON)?;
    ensure!(refused.code != 0, "{}", refused.output);
    said(&up, "token=cpo")?;
    ensure!(
        up.count("key.unavailable")? + up.count("key.not_found")? > 0,
        "no coded event"
    );
    std::fs::remove_dir(&tokens)?;
    std::fs::rename(&away, &tokens)?;
    wait("a car after the token is back", SOON, || {
        let ended = up.car("--energy dc --for 1")?.ended(SOON)?;
        Ok((ended.code == 0).then_some(()))
    })?;
    up.stop()?;

    // The same keys after a restart; nothing is made again.
    let before = private_objects(&tokens)?;
    let up = start()?;
    up.car("--energy dc --protocol iso15118-2 --for 1")?
        .ended(SOON)?
        .expect(0)?;
    up.stop()?;
    ensure!(private_objects(&tokens)? == before, "keys were made again");
    Ok(())
}

#[test]
fn cars_of_both_generations_charge_at_a_station_whose_keys_are_in_a_tpm() {
    need!(swtpm);
    let tpm = SwTpm::new().unwrap();
    let place = format!("tpm:?tcti={}", tpm.tcti());
    if let Some(why) = without_tpm(&place).unwrap() {
        gridlatch_testkit::skip(&why);
        return;
    }
    in_tpm(&place).unwrap();
}

fn in_tpm(place: &str) -> Result<()> {
    let data = temp::dir()?;
    let up = Up::start(data.path(), &["--station-keys", place])?;
    for protocol in ["iso15118-2", "iso15118-20"] {
        up.car(&format!("--energy dc --protocol {protocol} --auth pnc --for 1"))?
            .ended(SOON)?
            .expect(0)?;
    }
    ensure!(
        private_keys(&data.path().join("stations"))?.is_empty(),
        "a station has a key in a file"
    );
    up.stop().map(drop)
}

#[test]
fn a_place_that_cannot_hold_the_keys_ends_up_with_the_reason_and_nothing_in_its_stead() {
    let data = temp::dir().unwrap();
    for (place, said) in [
        (
            "pkcs11:token=none?module-path=/nowhere.so",
            "key.unavailable: station GL-AC-1",
        ),
        ("file:/tmp", "keys in files need no flag"),
    ] {
        let output = std::process::Command::new(gridlatch_testkit::binary().unwrap())
            .args([
                "up",
                "--console",
                "127.0.0.1:0",
                "--ocpp",
                "127.0.0.1:0",
                "--station-keys",
                place,
                "--data",
            ])
            .arg(data.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(said) && text.contains(place), "{text}");
    }
    assert!(private_keys(&data.path().join("stations")).unwrap().is_empty());
}

/// Why the program that is tested cannot reach a TPM by itself; nothing if it can.
fn without_tpm(place: &str) -> Result<Option<String>> {
    let output = std::process::Command::new(gridlatch_testkit::binary()?)
        .args(["pki", "key", "list", "--uri", place])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(said
        .contains("without the feature")
        .then(|| "gridlatch was built without --features tpm".to_owned()))
}

fn said(up: &Up, wanted: &str) -> Result<()> {
    wait(wanted, SOON, || {
        let events = up.get("/events?limit=300")?;
        let found = list(&events).iter().any(|event| {
            event["message"]
                .as_str()
                .is_some_and(|message| message.contains(wanted))
        });
        Ok(found.then_some(()))
    })
}

/// Files below a folder that hold a private key.
fn private_keys(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(private_keys(&path)?);
        } else if path.is_file()
            && std::fs::read(&path).is_ok_and(|text| text.starts_with(b"-----BEGIN PRIVATE"))
        {
            found.push(path);
        }
    }
    Ok(found)
}

/// SoftHSM keeps one file per object.
fn private_objects(tokens: &Path) -> Result<usize> {
    let mut count = 0;
    for token in std::fs::read_dir(tokens)? {
        for object in std::fs::read_dir(token?.path())? {
            count += usize::from(object?.path().extension().is_some_and(|kind| kind == "object"));
        }
    }
    Ok(count)
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text)?;
    Ok(std::fs::set_permissions(
        path,
        std::fs::Permissions::from_mode(0o600),
    )?)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}
