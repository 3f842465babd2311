//! Somebody who doubts a bill: the file, the operator's root, and other people's tools.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gridlatch_testkit::{binary, need, python, temp};
use rustix::process::Signal;
use serde_json::Value;

use crate::running_up::{SOON, Up, list, wait};

/// Charges once; the signed bill as REST gives it.
fn charged(up: &Up, words: &str) -> Result<String> {
    let mut cars = 1;
    let ended = loop {
        // Where this machine stalls for long, the station rightly opens its contactor, and another car comes.
        let stalls = up.count("power.permit_lapsed")?;
        let ended = up.car(words)?.ended(Duration::from_secs(60))?;
        if ended.code == 0 || cars == 4 || up.count("power.permit_lapsed")? == stalls {
            break ended.expect(0)?;
        }
        cars += 1;
    };
    let id = ended.bill()?["id"].as_str().context("no id")?.to_owned();
    let answer = up.ask("GET", &format!("/cdrs/{id}/signed"), None)?;
    ensure!(answer.status == 200, "{answer:?}");
    ensure!(
        answer
            .head
            .to_lowercase()
            .contains("attachment; filename=\"bill-"),
        "{answer:?}"
    );
    Ok(answer.body)
}

/// `gridlatch bill verify`: exit code and what it said as JSON.
fn verify(bill: &str, more: &[&str]) -> Result<(i32, Value)> {
    let folder = temp::dir()?;
    let file = folder.path().join("bill.json");
    fs::write(&file, bill)?;
    let output = Command::new(binary()?)
        .args(["bill", "verify", "--format", "json"])
        .arg(&file)
        .args(more)
        .output()?;
    let said = serde_json::from_slice(&output.stdout).unwrap_or_default();
    Ok((output.status.code().context("it was killed")?, said))
}

#[test]
fn a_bill_is_proven_without_the_platform_and_every_change_is_named() {
    proven().unwrap();
}

fn proven() -> Result<()> {
    let data = temp::dir()?;
    let up = Up::start(data.path(), &[])?;
    let dc = charged(&up, "--energy dc-bpt --discharge --for 1")?;
    let ac = charged(&up, "--energy ac --for 1")?;
    let vehicle = list(&up.get("/sessions/finished")?)[0]["auth_label"].clone();
    let root = data.path().join("pki/ocpp/csms-root.crt.pem");
    let other = data.path().join("pki/iso2/v2g-root.crt.pem");
    // The platform is not needed any more.
    up.stop()?;
    let root = root.to_str().context("path")?;
    for bill in [&dc, &ac] {
        let (code, said) = verify(bill, &["--root", root])?;
        ensure!(code == 0 && said["valid"] == true, "{said}");
        ensure!(
            !bill.contains("DEGDLC"),
            "the contract of {vehicle} is in its bill"
        );
    }

    let swapped = |from: &Value, to: &Value, what: &str| -> Result<String> {
        let mut forged = from.clone();
        *forged.pointer_mut(what).context("no such place")? =
            to.pointer(what).context("no such place")?.clone();
        Ok(forged.to_string())
    };
    let (first, second): (Value, Value) = (serde_json::from_str(&dc)?, serde_json::from_str(&ac)?);
    let payable = first["cdr"]["x_gridlatch"]["payable"].to_string();
    let cases = [
        (
            "a digit of the total",
            dc.replacen(
                &format!("\"payable\": {payable}"),
                &format!("\"payable\": 1{payable}"),
                1,
            ),
            "bill.signature_invalid",
        ),
        (
            "the record of another session",
            swapped(&first, &second, "/cdr/signed_data")?,
            "bill.signature_invalid",
        ),
        (
            "the signature of another bill",
            swapped(&first, &second, "/jws")?,
            "bill.signature_invalid",
        ),
        (
            "half a file",
            dc[..dc.len() / 2].to_owned(),
            "bill.document_malformed",
        ),
    ];
    for (what, forged, code) in cases {
        ensure!(forged != dc, "{what}: nothing was changed");
        let (exit, said) = verify(&forged, &["--root", root])?;
        ensure!(
            exit == 1 && said["fault"]["code"] == code,
            "{what}: {exit} {said}"
        );
    }
    let (exit, said) = verify(&dc, &["--root", other.to_str().context("path")?])?;
    ensure!(
        exit == 1 && said["fault"]["code"] == "bill.signer_untrusted",
        "{said}"
    );
    // A record of another session is named even where the bill's own signature is not looked at.
    let (_, said) = verify(&swapped(&first, &second, "/cdr/signed_data")?, &["--root", root])?;
    ensure!(said["readings"]["verified"] == false, "{said}");
    for wrong in [["--root", "/nowhere"], ["--data", "/nowhere"]] {
        let (exit, _) = verify(&dc, &wrong)?;
        ensure!(exit == 2, "{wrong:?}: {exit}");
    }
    Ok(())
}

#[test]
fn other_peoples_libraries_agree_and_find_the_same_forgeries() {
    need!(receipts);
    judged().unwrap();
}

fn judged() -> Result<()> {
    let data = temp::dir()?;
    let up = Up::start(data.path(), &[])?;
    let bill = charged(&up, "--energy dc-bpt --discharge --for 1")?;
    let session = list(&up.get("/cdrs")?)[0].clone();
    let said = judge(data.path(), &bill)?;
    ensure!(
        said["issuer"] == true && said["meter"]["verified"] == true,
        "{said}"
    );
    ensure!(
        said["meter"]["page"]
            .as_str()
            .is_some_and(|page| page.starts_with('T'))
            && said["meter"]["identification"].is_null(),
        "{said}"
    );
    // What they read is what was billed: import and export, to the last digit.
    let readings = list(&said["meter"]["readings"]);
    ensure!(readings.len() == 4, "{said}");
    let kwh = |at: usize| crate::running_up::decimal(&readings[at]["kwh"]);
    let thousand = rust_decimal::Decimal::ONE_THOUSAND;
    let wh = |register: &str| crate::running_up::decimal(&session[register]);
    ensure!((kwh(2)? - kwh(0)?) * thousand == wh("imported_wh")?, "{said}");
    ensure!((kwh(3)? - kwh(1)?) * thousand == wh("exported_wh")?, "{said}");

    let mut forged: Value = serde_json::from_str(&bill)?;
    forged["cdr"]["currency"] = "JPY".into();
    ensure!(judge(data.path(), &forged.to_string())?["issuer"] == false);
    let mut forged: Value = serde_json::from_str(&bill)?;
    let key = &mut forged["cdr"]["signed_data"]["public_key"];
    // Another station's meter.
    let pem = Command::new("openssl")
        .args(["pkey", "-pubout", "-outform", "DER", "-in"])
        .arg(data.path().join("pki/meters/meter-GL-AC-1.key.pem"))
        .output()?;
    ensure!(pem.status.success(), "{pem:?}");
    *key = base64(&pem.stdout).into();
    ensure!(judge(data.path(), &forged.to_string())?["meter"]["verified"] == false);
    up.stop()?;
    Ok(())
}

/// What the libraries say of a signed bill.
fn judge(folder: &Path, bill: &str) -> Result<Value> {
    let file = folder.join("doubted.json");
    fs::write(&file, bill)?;
    let script = temp::workspace().join("tests/peers/receipts/judge.py");
    let output = Command::new(python::receipts()?)
        .arg(script)
        .arg(&file)
        .output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn base64(octets: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |number: u32| char::from(ALPHABET[(number & 63) as usize]);
    octets
        .chunks(3)
        .map(|chunk| {
            let bits = chunk
                .iter()
                .chain([&0; 2])
                .take(3)
                .fold(0, |bits, octet| bits << 8 | u32::from(*octet));
            let text: String = [18, 12, 6, 0].map(|shift| digit(bits >> shift)).iter().collect();
            text[..=chunk.len()].to_owned() + &"=".repeat(3 - chunk.len())
        })
        .collect()
}

#[test]
fn a_bill_signed_after_its_signer_was_revoked_is_refused_and_one_from_before_stands() {
    revoked().unwrap();
}

fn revoked() -> Result<()> {
    let data = temp::dir()?;
    let status = format!("127.0.0.1:{}", gridlatch_testkit::ports::tcp()?);
    let up = Up::start(data.path(), &["--est", "127.0.0.1:0", "--status", &status])?;
    let before = charged(&up, "--energy dc --for 1")?;
    let root = data.path().join("pki/ocpp/csms-root.crt.pem");
    let root = ["--root", root.to_str().context("path")?];
    let (code, said) = verify(&before, &root)?;
    ensure!(code == 0 && said["revocation"]["status"] == "not_asked", "{said}");
    let fetch = format!("--fetch={status}");
    let ask = [root[0], root[1], &fetch];
    let (code, said) = verify(&before, &ask)?;
    // The signer is good; the sub-CA of the development PKI names nobody who could be asked.
    let asked = said["revocation"]["message"].as_str().unwrap_or_default();
    ensure!(
        code == 0 && asked.contains("not known of certificate 1"),
        "{said}"
    );

    let pki = |words: &[&str]| -> Result<String> {
        let output = Command::new(binary()?)
            .arg("pki")
            .args(words)
            .arg("--data")
            .arg(data.path())
            .output()?;
        ensure!(output.status.success(), "{words:?}: {output:?}");
        Ok(String::from_utf8(output.stdout)?)
    };
    let listed = pki(&["list", "--format", "json"])?;
    let signer = listed
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|row| row["kind"] == "bill-signer")
        .context("no bill signer")?;
    let serial = signer["serial"].as_str().context("no serial number")?;
    // Lists and answers count in whole seconds.
    std::thread::sleep(Duration::from_secs(2));
    pki(&[
        "revoke",
        serial,
        "--from",
        "ocpp/csms-sub",
        "--reason",
        "superseded",
    ])?;
    // The responder is another process than the one that revoked: it looks every moment.
    let (code, said) = wait("the revocation", SOON, || {
        let (code, said) = verify(&before, &ask)?;
        Ok((said["revocation"]["status"] != "unknown").then_some((code, said)))
    })?;
    ensure!(
        code == 0 && said["revocation"]["status"] == "revoked_since",
        "{said}"
    );
    let after = charged(&up, "--energy dc --for 1")?;
    let (code, said) = verify(&after, &ask)?;
    ensure!(
        code == 1 && said["fault"]["code"] == "bill.signer_revoked",
        "{said}"
    );
    ensure!(said["revocation"]["status"] == "revoked_before", "{said}");
    // A list says the same, without anybody being asked.
    let list = data.path().join("sub.crl");
    let got = Command::new("curl")
        .args(["--silent", "--fail", "--output"])
        .arg(&list)
        .arg(format!("http://{status}/crl/ocpp/csms-sub.crl"))
        .status()?;
    ensure!(got.success(), "no list");
    up.stop()?;
    let list = ["--root", root[1], "--crl", list.to_str().context("path")?];
    let (code, said) = verify(&after, &list)?;
    ensure!(
        code == 1 && said["revocation"]["status"] == "revoked_before",
        "{said}"
    );
    let (code, said) = verify(&before, &list)?;
    ensure!(
        code == 0 && said["revocation"]["status"] == "revoked_since",
        "{said}"
    );
    Ok(())
}

#[test]
fn a_station_that_was_killed_signs_what_it_last_knew() {
    killed().unwrap();
}

fn killed() -> Result<()> {
    let data = temp::dir()?;
    let mut up = Up::start(data.path(), &[])?;
    let car = up.car("--energy dc --for 120")?;
    let session = up.flowing("GL-DC-1")?;
    std::thread::sleep(Duration::from_secs(2));
    up.process.signal(Signal::KILL)?;
    up.process.wait_exit(SOON)?;
    drop((up, car));
    let up = Up::start(data.path(), &[])?;
    let billed = up.billed(&session)?;
    let id = billed["bill"]["cdr"].as_str().context("no bill")?;
    let answer = up.ask("GET", &format!("/cdrs/{id}/signed"), None)?;
    let root = data.path().join("pki/ocpp/csms-root.crt.pem");
    let (code, said) = verify(&answer.body, &["--root", root.to_str().context("path")?])?;
    ensure!(code == 0, "{said}");
    ensure!(said["readings"]["meter"]["imported"].as_u64() > Some(0), "{said}");
    let record = up.ask("GET", &format!("/cdrs/{id}/readings"), None)?.body;
    ensure!(
        record.contains("\"TX\":\"P\""),
        "not for a power failure: {record}"
    );
    up.stop()?;
    Ok(())
}
