//! The command line as a stranger meets it: exit codes, help that fits a terminal, a pipe that closes early.

use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use gridlatch_testkit::{binary, temp};
use serde_json::Value;

/// Runs `gridlatch <words>` on an empty data folder.
fn run(words: &[&str]) -> Result<(i32, String, String)> {
    let data = temp::dir()?;
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(binary()?)
        .args(words)
        .env("GRIDLATCH_DATA", data.path())
        .stdin(Stdio::null())
        .output()?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((status.code().context("killed")?, text(stdout), text(stderr)))
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn what_cannot_work_exits_with_two_and_says_what_would() {
    for (line, said) in [
        ("--colour", "unexpected argument"),
        ("fly", "unrecognized subcommand"),
        ("up --colour", "unexpected argument"),
        ("up --console nowhere", "invalid value"),
        ("ev charge --colour", "unexpected argument"),
        ("ev charge --protocol din", "possible values"),
        ("ev charge --for soon", "invalid value"),
        ("ev charge", "gridlatch up --data"),
        ("ev charge --no-tls", "--protocol iso15118-2"),
        (
            "ev charge --no-tls --auth pnc --protocol iso15118-2",
            "--auth eim",
        ),
        (
            "ev charge --protocol iso15118-2 --energy dc-bpt",
            "--protocol iso15118-20",
        ),
        (
            "ev charge --protocol iso15118-2 --discharge",
            "--protocol iso15118-20",
        ),
        (
            "ev charge --protocol iso15118-2 --control dynamic",
            "--protocol iso15118-20",
        ),
        ("ev charge --energy dc --discharge", "--energy dc-bpt"),
        ("ev charge --energy ac --discharge 1", "--energy dc-bpt"),
        ("ev charge --discharge -1", ""),
        ("ev charge --soc 101", "0 to 100"),
        ("ev charge --target-kwh 0", "--target-kwh"),
        (
            "ev charge --interface eth9 --station GL-AC-1",
            "cannot be used with",
        ),
        ("explain", "required"),
        ("bill verify", "required"),
        ("bill verify Cargo.toml --data /nonexistent", "--root"),
        ("bill verify Cargo.toml --root Cargo.toml", "no certificate"),
        ("decode", "required"),
        ("decode /nonexistent.pcap", "/nonexistent.pcap"),
        ("decode Cargo.toml", "Cargo.toml"),
        ("decode --hex zz", "hex"),
    ] {
        let (code, out, err) = run(&words(line)).unwrap();
        assert_eq!(code, 2, "gridlatch {line}: {out}{err}");
        assert!(err.contains(said), "gridlatch {line}: no {said:?} in {err}");
        // A capture that breaks off has been read up to there.
        assert!(
            out.is_empty() || line.starts_with("decode"),
            "gridlatch {line} printed a result: {out}"
        );
    }
}

#[test]
fn help_fits_a_terminal_and_is_no_mistake() {
    for (line, lines) in [
        ("--help", 24),
        ("-h", 24),
        ("up -h", 30),
        ("up --help", 72),
        ("ev -h", 24),
        ("ev charge -h", 50),
        ("ev charge --help", 140),
        ("decode -h", 30),
        ("explain -h", 24),
        ("bill verify -h", 30),
        ("bench -h", 24),
        ("--version", 1),
    ] {
        let (code, out, err) = run(&words(line)).unwrap();
        assert_eq!(code, 0, "gridlatch {line}: {err}");
        assert!(err.is_empty(), "gridlatch {line}: {err}");
        let wide: Vec<&str> = out.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "gridlatch {line}: wider than 80: {wide:#?}");
        let count = out.lines().count();
        assert!(
            (1..=lines).contains(&count),
            "gridlatch {line}: {count} lines:\n{out}"
        );
    }
    // Every command of the overview says what it is for, and the first one is the one to start with.
    let (_, out, _) = run(&["--help"]).unwrap();
    let at = |word: &str| out.find(word).unwrap_or_else(|| panic!("no {word} in {out}"));
    assert!(
        at("  up ") < at("  ev ") && at("  ev ") < at("  decode "),
        "{out}"
    );
    assert!(out.contains("  explain "), "{out}");
}

#[test]
fn a_code_is_explained_and_a_wrong_one_is_not() {
    let (code, out, _) = run(&["explain", "sdp.no_tls_refused"]).unwrap();
    assert_eq!(code, 0);
    assert!(
        out.contains("without TLS") && out.contains("--allow-plaintext"),
        "{out}"
    );
    let (code, out, _) = run(&["explain", "--format", "json", "tls.unknown_ca"]).unwrap();
    let row: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &row["code"]), (0, &Value::from("tls.unknown_ca")), "{out}");
    // The words of other systems, unquoted.
    let (code, out, _) = run(&words("explain tlsv1 alert unknown ca")).unwrap();
    assert_eq!(code, 0, "{out}");
    let (code, out, err) = run(&["explain", "tls.unknown_cat"]).unwrap();
    assert_eq!(code, 1);
    assert!(out.is_empty() && err.contains("tls.unknown_ca"), "{out}{err}");
    let (code, out, _) = run(&["explain", "--list"]).unwrap();
    assert!(code == 0 && out.lines().count() > 100, "{out}");
}

#[test]
fn a_capture_is_decoded() {
    let fixtures = temp::workspace().join("crates/services/watch/tests/fixtures");
    let path = |name: &str| fixtures.join(name).display().to_string();
    let (code, out, err) = run(&["decode", &path("iso2-plain.pcap")]).unwrap();
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("SessionSetupReq"), "{out}");
    let (code, out, err) = run(&["decode", "--format", "json", &path("iso2-plain.pcap")]).unwrap();
    assert_eq!(code, 0, "{err}");
    for line in out.lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
    let (code, out, _) = run(&["decode", &path("plain-xml.pcap")]).unwrap();
    assert!(out.to_lowercase().contains("xml"), "exit {code}: {out}");
    let (code, out, err) = run(&[
        "decode",
        &path("tls13-gcm256.pcap"),
        "--keys",
        &path("tls13-gcm256.keys"),
    ])
    .unwrap();
    assert!(code == 0 && out.contains("Req"), "exit {code}: {out}{err}");
    let (code, _, _) = run(&["decode", &path("no-v2g.pcap")]).unwrap();
    assert_eq!(code, 1);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    pipes().unwrap();
}

fn pipes() -> Result<()> {
    let fixture = temp::workspace().join("crates/services/watch/tests/fixtures/iso2-plain.pcap");
    let binary = binary()?;
    for line in [
        "explain --list".to_owned(),
        "explain --list --format json".to_owned(),
        "explain --list --format markdown".to_owned(),
        format!("decode --verbose {}", fixture.display()),
        format!("decode --format json {}", fixture.display()),
        "ev charge --help".to_owned(),
    ] {
        // The exit code of the first command of the pipe, not of `head`.
        let script = format!(
            "set -o pipefail; '{}' {line} | head -1 >/dev/null",
            binary.display()
        );
        let out = Command::new("bash").args(["-c", &script]).output()?;
        ensure!(
            out.status.success() && out.stderr.is_empty(),
            "{line}: {} {}",
            out.status,
            String::from_utf8_lossy(&out.stderr)
        );
    }
    Ok(())
}
