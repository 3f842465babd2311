//! `gridlatch bench pnc` against OpenSSL's command line: every row comes out as it must, and OpenSSL,
//! given the same files, agrees.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops there"
)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_gridlatch");

/// Row, edition, who refuses, code, alert, `openssl verify` on the station's chain, on the vehicle's.
type Row = (
    &'static str,
    u8,
    Option<&'static str>,
    &'static str,
    Option<u64>,
    u64,
    u64,
);

const OK: &str = "tls.established";
#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("1", 2, None, OK, None, 0, 0),
    ("1", 20, None, OK, None, 0, 0),
    ("2", 2, Some("vehicle"), "tls.unknown_ca", Some(48), 20, 0),
    ("2", 20, Some("vehicle"), "tls.unknown_ca", Some(48), 20, 0),
    ("2-oem", 20, Some("station"), "tls.unknown_ca", Some(48), 0, 20),
    ("a-root", 2, Some("vehicle"), "pki.path_too_long", Some(48), 0, 0),
    ("a-root", 20, Some("vehicle"), "pki.path_too_long", Some(48), 0, 0),
    ("a-root-lenient", 2, None, OK, None, 0, 0),
    ("a-root-lenient", 20, None, OK, None, 0, 0),
    ("a", 2, None, OK, None, 0, 0),
    ("a", 20, None, OK, None, 0, 0),
    ("1-ed448", 20, None, OK, None, 0, 0),
    ("2-ed448", 20, Some("vehicle"), "tls.unknown_ca", Some(48), 20, 0),
    ("a-ed448", 20, None, OK, None, 0, 0),
    ("b", 2, None, OK, None, 0, 0),
    ("b", 20, None, OK, None, 0, 0),
    ("c", 2, None, OK, None, 0, 0),
    ("c", 20, None, OK, None, 0, 0),
    ("expired", 2, Some("vehicle"), "tls.certificate_expired", Some(45), 10, 0),
    ("expired", 20, Some("vehicle"), "tls.certificate_expired", Some(45), 10, 0),
    ("expired-sub-ca", 2, Some("vehicle"), "tls.certificate_expired", Some(45), 10, 0),
    ("expired-sub-ca", 20, Some("vehicle"), "tls.certificate_expired", Some(45), 10, 0),
    ("revoked", 2, Some("vehicle"), "revocation.revoked", None, 23, 0),
    ("revoked", 20, Some("vehicle"), "revocation.revoked", None, 23, 0),
    ("revoked-vehicle", 20, Some("station"), "tls.certificate_revoked", Some(44), 0, 23),
    ("ocsp-down", 2, None, OK, None, 0, 0),
    ("ocsp-down", 20, None, OK, None, 0, 0),
    ("ocsp-down-strict", 2, Some("vehicle"), "revocation.unknown", None, 0, 0),
    ("ocsp-down-strict", 20, Some("vehicle"), "revocation.unknown", None, 0, 0),
    ("wrong-profile", 2, Some("vehicle"), "tls.wrong_domain_component", Some(40), 0, 0),
    ("wrong-profile", 20, Some("vehicle"), "tls.wrong_domain_component", Some(40), 0, 0),
    ("missing-sub-ca", 2, Some("vehicle"), "tls.unknown_ca", Some(48), 20, 0),
    ("missing-sub-ca", 20, Some("vehicle"), "tls.unknown_ca", Some(48), 20, 0),
    ("wrong-curve", 2, Some("station"), "tls.protocol_version", Some(70), 20, 0),
    ("wrong-curve", 20, Some("vehicle"), "pki.wrong_curve", None, 0, 0),
    ("clock-behind", 2, Some("vehicle"), "tls.certificate_not_yet_valid", Some(42), 9, 0),
    ("clock-behind", 20, Some("vehicle"), "tls.certificate_not_yet_valid", Some(42), 9, 0),
    ("clock-ahead", 2, Some("vehicle"), "tls.certificate_expired", Some(45), 10, 0),
    ("clock-ahead", 20, Some("vehicle"), "tls.certificate_expired", Some(45), 10, 0),
];

fn bench(dir: &Path, arguments: &[&str]) -> (Vec<Value>, Output) {
    let output = Command::new(BINARY)
        .args(["bench", "pnc", "--runs", "3", "--format", "json", "--keep"])
        .arg(dir)
        .args(arguments)
        .output()
        .unwrap();
    let rows = String::from_utf8(output.stdout.clone())
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    (rows, output)
}

/// Runs a command that the bench printed, in its row's folder.
fn shell(folder: &Path, command: &str) -> Output {
    let mut words = command.split(' ').filter(|word| !word.is_empty());
    Command::new(words.next().unwrap())
        .args(words)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// As [`shell`], with its input open until the server has `accepted` it: s_client leaves at the end of its input, and
/// in TLS 1.3 a refusal, at which it leaves by itself, comes after its handshake.
fn linger(folder: &Path, command: &str, accepted: &mpsc::Receiver<()>) -> Output {
    let mut words = command.split(' ').filter(|word| !word.is_empty());
    let mut child = Command::new(words.next().unwrap())
        .args(words)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() && accepted.try_recv().is_err() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{command}: neither refused nor accepted"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

/// What `openssl verify` says: 0, or the number of its error.
fn verdict(output: &Output) -> u64 {
    if output.status.success() {
        return 0;
    }
    let said = String::from_utf8_lossy(&output.stderr);
    said.split("error ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{said}"))
}

#[test]
fn every_row_comes_out_as_it_must_and_openssl_agrees() {
    let dir = tempfile::tempdir().unwrap();
    let (rows, output) = bench(dir.path(), &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(rows.len(), ROWS.len());
    for (found, (row, edition, by, code, alert, station, vehicle)) in rows.iter().zip(ROWS) {
        let at = format!("row {row} of -{edition}: {found}");
        assert_eq!(found["row"], *row, "{at}");
        assert_eq!(found["edition"], format!("ISO 15118-{edition}"), "{at}");
        assert_eq!(found["refused_by"].as_str(), *by, "{at}");
        assert_eq!(found["code"], *code, "{at}");
        assert_eq!(found["alert"].as_u64(), *alert, "{at}");
        assert_eq!(found["as_expected"], true, "{at}");
        assert!(found["bytes"].as_u64().unwrap() > 100, "{at}");
        assert!(found["handshake_ms_median"].as_f64().unwrap() > 0.0, "{at}");
        let log = found["log"].as_array().unwrap();
        for side in ["vehicle", "station"] {
            assert!(log.iter().any(|event| event["source"] == side), "{at}");
        }
        let commands = &found["commands"];
        let folder = dir.path().join(commands["folder"].as_str().unwrap());
        let said = shell(&folder, commands["verify_station"].as_str().unwrap());
        assert_eq!(
            verdict(&said),
            *station,
            "openssl on the station's chain, {at}: {said:?}"
        );
        if let Some(command) = commands["verify_vehicle"].as_str() {
            let said = shell(&folder, command);
            assert_eq!(
                verdict(&said),
                *vehicle,
                "openssl on the vehicle's chain, {at}: {said:?}"
            );
        }
    }
    // Four certificates cost what one more certificate weighs; three cost the same whoever signed them.
    let bytes = |row: &str, edition: u8| {
        let edition = format!("ISO 15118-{edition}");
        rows.iter()
            .find(|r| r["row"] == row && r["edition"] == edition)
            .unwrap()["bytes"]
            .as_u64()
            .unwrap()
    };
    for edition in [2, 20] {
        assert!(bytes("a-root-lenient", edition) > bytes("1", edition) + 400);
        assert!(bytes("a", edition).abs_diff(bytes("1", edition)) < 100);
    }
}

#[test]
fn scenario_2_names_the_missing_root_and_three_ways_out() {
    let dir = tempfile::tempdir().unwrap();
    let (rows, _) = bench(dir.path(), &["--scenario", "2"]);
    assert_eq!(rows.len(), 2);
    for (row, root) in rows.iter().zip(["PKI-B V2G Root -2", "PKI-B V2G Root -20"]) {
        let log = row["log"].as_array().unwrap();
        let of = |side: &str| {
            log.iter().find(|event| event["source"] == side).unwrap()["message"]
                .as_str()
                .unwrap()
        };
        assert!(of("vehicle").contains(root), "{row}");
        assert!(
            of("station").contains("alert 48") && of("station").contains(root),
            "{row}"
        );
        let remedies = row["remedies"].to_string();
        for way in [root, "A'", "B ", "C "] {
            assert!(remedies.contains(way), "{remedies}");
        }
    }
}

#[test]
fn openssl_shakes_hands_over_the_kept_files_and_ends_the_same_way() {
    let dir = tempfile::tempdir().unwrap();
    let (rows, _) = bench(
        dir.path(),
        &[
            "--scenario",
            "1",
            "--scenario",
            "2",
            "--scenario",
            "2-oem",
            "--scenario",
            "a-root",
            "--scenario",
            "a",
            "--scenario",
            "1-ed448",
            "--scenario",
            "2-ed448",
            "--scenario",
            "a-ed448",
        ],
    );
    for row in &rows {
        let commands = &row["commands"];
        let folder = dir.path().join(commands["folder"].as_str().unwrap());
        let port = gridlatch_testkit::ports::tcp().unwrap();
        let at_port = |command: &Value| command.as_str().unwrap().replace("15118 ", &format!("{port} "));
        let command = at_port(&commands["s_server"]);
        let mut words = command.split(' ').filter(|word| !word.is_empty());
        let mut server = Command::new(words.next().unwrap())
            .args(words)
            .current_dir(&folder)
            // Kept open: at the end of its input s_server leaves.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut heard = BufReader::new(server.stdout.take().unwrap()).lines();
        assert!(
            heard.by_ref().any(|line| line.unwrap() == "ACCEPT"),
            "{row}: s_server does not start"
        );
        let (handshake, accepted) = mpsc::channel();
        std::thread::spawn(move || {
            for line in heard.map_while(Result::ok) {
                if line.starts_with("-----BEGIN SSL SESSION PARAMETERS") {
                    let _ = handshake.send(());
                }
            }
        });
        let client = linger(&folder, &at_port(&commands["s_client"]), &accepted);
        let _ = server.kill();
        server.wait().unwrap();
        let said = String::from_utf8_lossy(&client.stdout) + String::from_utf8_lossy(&client.stderr);
        let accepted = row["accepted"] == true;
        // A refusal by the station reaches a TLS 1.3 client after its own handshake.
        let fine = said.contains("Verification: OK") && !said.contains("alert unknown ca");
        assert_eq!(fine, accepted, "row {} of {}: {said}", row["row"], row["edition"]);
    }
}

#[test]
fn an_unknown_row_is_a_usage_error() {
    let output = Command::new(BINARY)
        .args(["bench", "pnc", "--scenario", "z"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}
