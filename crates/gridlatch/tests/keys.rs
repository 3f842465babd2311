//! `gridlatch pki key` and `bench keys`, as a person uses them, on a SoftHSM2 token.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops there"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use gridlatch_testkit::tokens::{PIN, SoftHsm, library};
use gridlatch_testkit::{need, temp};

struct Bench {
    hsm: SoftHsm,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let this = Self {
            hsm: SoftHsm::new(&["cpo"]).unwrap(),
            dir: temp::dir().unwrap(),
        };
        this.write("pin", PIN);
        this.write("wrong", "000000");
        this
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn uri(&self, object: &str) -> String {
        let module = library("libsofthsm2.so").unwrap();
        format!(
            "pkcs11:token=cpo;object={object}?module-path={}",
            module.display()
        )
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_gridlatch"))
            .args(args)
            .current_dir(self.dir.path())
            .env("SOFTHSM2_CONF", self.hsm.config())
            .env("TOKEN_PIN", PIN)
            .output()
            .unwrap()
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

#[test]
fn a_key_is_made_listed_checked_and_measured_in_a_token() {
    need!(softhsm, openssl);
    let bench = Bench::new();
    let uri = bench.uri("sub2");
    let made = bench.run(&[
        "pki",
        "key",
        "generate",
        "--uri",
        &uri,
        "--algorithm",
        "p521",
        "--pin-file",
        "pin",
    ]);
    assert!(made.status.success(), "{}", text(&made));
    assert!(
        text(&made).contains("made: secp521r1 pkcs11:token=cpo;object=sub2"),
        "{}",
        text(&made)
    );
    assert!(!text(&made).contains(PIN));

    let checked = bench.run(&[
        "pki",
        "key",
        "check",
        "--uri",
        &uri,
        "--pin-env",
        "TOKEN_PIN",
        "--format",
        "json",
    ]);
    assert!(checked.status.success(), "{}", text(&checked));
    let value: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    bench.write("public.pem", value["public"].as_str().unwrap());
    let read = Command::new("openssl")
        .args(["pkey", "-pubin", "-in", "public.pem", "-noout", "-text"])
        .current_dir(bench.dir.path())
        .output()
        .unwrap();
    assert!(text(&read).contains("secp521r1"), "{}", text(&read));

    let key = bench.run(&["pki", "key", "generate", "--uri", "file:own.pem"]);
    assert!(key.status.success(), "{}", text(&key));
    let into = bench.uri("brought");
    let brought = bench.run(&[
        "pki",
        "key",
        "import",
        "--uri",
        &into,
        "--from",
        "own.pem",
        "--pin-file",
        "pin",
    ]);
    assert!(brought.status.success(), "{}", text(&brought));

    let listed = bench.run(&[
        "pki",
        "key",
        "list",
        "--uri",
        &bench.uri("x").replace(";object=x", ""),
        "--pin-file",
        "pin",
    ]);
    let listed = text(&listed);
    assert!(
        listed.contains("object=sub2") && listed.contains("object=brought"),
        "{listed}"
    );
    assert_eq!(listed.lines().count(), 2, "{listed}");

    // Gone for good, and only when it is meant.
    let remove = ["pki", "key", "remove", "--uri", &into, "--pin-file", "pin"];
    assert_eq!(bench.run(&remove).status.code(), Some(2));
    let removed = bench.run(&[&remove[..], &["--yes"]].concat());
    assert!(removed.status.success(), "{}", text(&removed));
    let again = bench.run(&[&remove[..], &["--yes"]].concat());
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again).contains("key.not_found"), "{}", text(&again));

    let measured = bench.run(&[
        "bench",
        "keys",
        "--seconds",
        "1",
        "--uri",
        &uri,
        "--pin-file",
        "pin",
        "--format",
        "json",
    ]);
    assert!(measured.status.success(), "{}", text(&measured));
    let rows: Vec<serde_json::Value> = text(&measured)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 4);
    assert!(
        rows.iter()
            .all(|row| row["signatures_per_s"].as_f64().unwrap() > 1.0),
        "{rows:?}"
    );
}

#[test]
fn refusals_are_coded_and_never_repeat_a_pin() {
    need!(softhsm);
    let bench = Bench::new();
    let uri = bench.uri("sub2");
    let with_pin = format!("{uri}&pin-value={PIN}");
    for (args, code) in [
        (
            vec!["check", "--uri", &uri, "--pin-file", "wrong"],
            "key.pin_refused",
        ),
        (vec!["check", "--uri", &uri, "--pin-file", "pin"], "key.not_found"),
        (
            vec!["check", "--uri", &with_pin, "--pin-file", "pin"],
            "key.invalid_uri",
        ),
        (
            vec![
                "generate",
                "--uri",
                &uri,
                "--algorithm",
                "ed448",
                "--pin-file",
                "pin",
            ],
            "key.unsupported",
        ),
        (vec!["check", "--uri", "file:none.pem"], "key.file"),
    ] {
        let refused = bench.run(&[&["pki", "key"], &args[..]].concat());
        assert_eq!(refused.status.code(), Some(1), "{args:?}: {}", text(&refused));
        assert!(text(&refused).contains(code), "{args:?}: {}", text(&refused));
        assert!(
            !text(&refused).contains(PIN) && !text(&refused).contains("000000"),
            "{}",
            text(&refused)
        );
    }
}
