//! Keys in SoftHSM2.

use std::time::{Duration, Instant};

use gridlatch_testkit::need;
use gridlatch_testkit::tokens::{PIN, SoftHsm, library};

use crate::bench::{Bench, field, text};

struct Token {
    hsm: SoftHsm,
    bench: Bench,
}

impl Token {
    fn new() -> Self {
        let hsm = SoftHsm::new(&["ca"]).unwrap();
        let config = hsm.config().to_str().unwrap().to_owned();
        Self {
            bench: Bench::new(vec![("SOFTHSM2_CONF".into(), config)]),
            hsm,
        }
    }

    fn uri(&self) -> String {
        format!(
            "pkcs11:token=ca?module-path={}",
            library("libsofthsm2.so").unwrap().display()
        )
    }

    fn keys(&self) -> usize {
        self.bench
            .pki_with("key list", &["--uri", &self.uri()])
            .lines()
            .count()
    }

    /// The names of its keys, in order.
    fn names(&self) -> Vec<String> {
        let listed = self.bench.pki_with("key list", &["--uri", &self.uri()]);
        let mut names: Vec<String> = listed
            .lines()
            .filter_map(|line| line.split("object=").nth(1)?.split([';', '?']).next())
            .map(str::to_owned)
            .collect();
        names.sort();
        names
    }

    /// Files in which it keeps keys, whole or not yet.
    fn objects(&self) -> usize {
        let tokens = std::fs::read_dir(self.hsm.tokens()).unwrap().flatten();
        tokens
            .flat_map(|token| std::fs::read_dir(token.path()).unwrap().flatten())
            .filter(|file| {
                let path = file.path();
                path.extension().is_some_and(|it| it == "object") && !path.ends_with("token.object")
            })
            .count()
    }

    /// The token is pulled out, or put back.
    fn moves(&self, out: bool) {
        let (here, away) = (self.hsm.tokens(), self.hsm.tokens().with_extension("away"));
        if out {
            std::fs::rename(&here, &away).unwrap();
            std::fs::create_dir(&here).unwrap();
        } else {
            std::fs::remove_dir(&here).unwrap();
            std::fs::rename(&away, &here).unwrap();
        }
    }
}

const TREES: &str = "init --single-operator --tree iso2,iso20,ocpp --keys";

#[test]
fn a_ca_with_every_key_in_a_token_issues_renews_revokes_and_serves() {
    need!(softhsm, openssl, curl);
    let token = Token::new();
    let bench = &token.bench;
    bench.pki_with(TREES, &[&token.uri()]);
    // 11 CAs of each generation and two for OCPP; no private key of a CA in a file.
    assert_eq!(token.keys(), 24);
    assert_eq!(bench.ca_key_files(), Vec::<std::path::PathBuf>::new());

    // Both curves, judged by OpenSSL; every command is a new process that logs in by itself.
    bench.pki_with("issue secc-leaf --tree iso2 --out two --cn", &["DE*TST*E1"]);
    bench.pki_with("issue secc-leaf --tree iso20 --out twenty --cn", &["DE*TST*E1"]);
    bench.openssl_accepts("two.crt.pem", "iso2/cpo-sub2");
    bench.openssl_accepts("twenty.crt.pem", "iso20/cpo-sub2");
    let curve = bench.shell("openssl", &["x509", "-in", "twenty.crt.pem", "-noout", "-text"]);
    assert!(text(&curve).contains("ecdsa-with-SHA512"), "{}", text(&curve));
    let serial = field(&bench.pki("show two.crt.pem --format json"), "serial");
    bench.pki(&format!(
        "renew {} --from iso2/cpo-sub2 --out next",
        serial.as_str().unwrap()
    ));
    bench.openssl_accepts("next.crt.pem", "iso2/cpo-sub2");
    // A sub-CA again under its root, both keys in the token; what it signed before stays good.
    bench.pki("renew iso20/cpo-sub2");
    bench.openssl_accepts("twenty.crt.pem", "iso20/cpo-sub2");
    bench.pki("revoke next.crt.pem --reason keyCompromise");

    let secret = bench.pki("client add acme --role cpo --format json");
    let user = format!("acme:{}", field(&secret, "secret").as_str().unwrap());
    let serving = bench.serve();
    let said = bench.ocsp(&serving, "two.crt.pem", "iso2/cpo-sub2");
    assert!(
        said.contains("Response verify OK") && said.contains("two.crt.pem: good"),
        "{said}"
    );
    let said = bench.ocsp(&serving, "next.crt.pem", "iso2/cpo-sub2");
    assert!(said.contains("next.crt.pem: revoked"), "{said}");
    // The revocation list is signed by the CA's own key.
    let url = format!("http://127.0.0.1:{}/crl/iso2/cpo-sub2.crl", serving.status);
    let fetched = bench.shell("curl", &["-sS", "--fail", "-o", "list.crl", &url]);
    assert!(fetched.status.success(), "{}", text(&fetched));
    let judged = bench.shell(
        "openssl",
        &[
            "crl", "-inform", "DER", "-in", "list.crl", "-CAfile", "all.pem", "-noout",
        ],
    );
    assert!(text(&judged).contains("verify OK"), "{}", text(&judged));
    assert_eq!(bench.enrol(&serving, &user, "first").0, 200);

    // Stopped and started again: the same keys, without a ceremony.
    serving.stop();
    let serving = bench.serve();
    assert_eq!(bench.enrol(&serving, &user, "second").0, 200);

    // Pulled out while it serves: a coded refusal and an event, what needs no CA key goes on, nothing half-issued.
    let issued = || bench.pki("list --format json").lines().count();
    let before = issued();
    token.moves(true);
    let (status, body) = bench.enrol(&serving, &user, "third");
    assert!((500..600).contains(&status), "{status} {body}");
    assert!(
        body.contains("key.unavailable") && bench.logged().contains("key.unavailable"),
        "{body}\n{}",
        bench.logged()
    );
    assert!(
        bench
            .ocsp(&serving, "two.crt.pem", "iso2/cpo-sub2")
            .contains("two.crt.pem: good")
    );
    assert_eq!(issued(), before);
    bench.refused(
        "pki issue contract-leaf --out no --pin-file pin --cn",
        &["DEGDLC00000001"],
        2,
        &["key.unavailable", "token=ca"],
    );
    assert!(!bench.path("no.key.pem").exists() && !bench.path("no.crt.pem").exists());
    // Put back: the service finds it by itself.
    token.moves(false);
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let (status, body) = bench.enrol(&serving, &user, "fourth");
        if status == 200 {
            break;
        }
        assert!(Instant::now() < until, "it is back, but: {status} {body}");
        std::thread::sleep(Duration::from_millis(500));
    }
    serving.stop();
    assert!(!bench.logged().contains(PIN));
}

#[test]
fn wrong_pins_missing_pins_and_ed448_are_refused_before_anything_is_made() {
    need!(softhsm);
    let token = Token::new();
    let bench = &token.bench;
    let init = format!("pki {TREES}");
    bench.refused(
        &init,
        &[&token.uri(), "--pin-file", "wrong"],
        2,
        &["key.pin_refused"],
    );
    bench.refused(
        &init,
        &[&token.uri()],
        2,
        &["key.pin_refused", "none is configured"],
    );
    // The tree that no token can hold is named, with the way out.
    bench.refused(
        "pki init --single-operator --pin-file pin --keys",
        &[&token.uri()],
        1,
        &["ca.plan_invalid", "Ed448", "--tree iso2,iso20,ocpp"],
    );
    assert_eq!(token.keys(), 0);
    // None of this is in the way of doing it right.
    bench.pki_with("init --single-operator --tree iso2 --keys", &[&token.uri()]);
    assert_eq!(token.keys(), 11);
    for (pin, said) in [
        (&["--pin-file", "wrong"][..], "PinIncorrect"),
        (&[], "none is configured"),
    ] {
        let more = [&["DE*TST*E1"][..], pin].concat();
        bench.refused(
            "pki issue secc-leaf --out no --cn",
            &more,
            2,
            &["key.pin_refused", said],
        );
    }
    assert!(!bench.path("no.key.pem").exists());
}

#[test]
fn a_ceremony_that_is_killed_completes_with_its_own_keys_and_takes_nobody_elses() {
    need!(softhsm, openssl);
    let token = Token::new();
    let bench = &token.bench;
    // Not during the login: a SoftHSM that is killed while it writes its own token file has lost the token.
    for after in [1, 5, 18, 31] {
        let uri = token.uri();
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_gridlatch"))
            .arg("pki")
            .args(TREES.split(' '))
            .args([&uri, "--pin-file", "pin"])
            .current_dir(bench.dir.path())
            .envs(bench.env.iter().map(|(name, value)| (name, value)))
            .env("GRIDLATCH_DATA", bench.path("data"))
            .stderr(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        while token.objects() < after && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let done = bench.with(&format!("pki {TREES}"), &[&token.uri(), "--pin-file", "pin"]);
    let again = text(&done).contains("ca.exists");
    assert!(done.status.success() || again, "{}", text(&done));
    // Each name once. (A token that is killed while it makes a key may keep a piece of it, which has no name.)
    let names = token.names();
    let mut once = names.clone();
    once.dedup();
    assert_eq!(names, once, "a key was made twice");
    assert_eq!(names.len(), 24, "{names:?}");
    bench.pki_with("issue secc-leaf --tree iso20 --out leaf --cn", &["DE*TST*E1"]);
    bench.openssl_accepts("leaf.crt.pem", "iso20/cpo-sub2");

    // Another CA on the same token: its names are taken, and the first CA's keys are not lent to it.
    let other = bench.path("other");
    bench.refused(
        &format!("pki {TREES}"),
        &[
            &token.uri(),
            "--pin-file",
            "pin",
            "--data",
            other.to_str().unwrap(),
        ],
        2,
        &["key.mismatch", "somebody else"],
    );
    assert_eq!(token.names(), names);
}

#[test]
fn a_backup_names_the_keys_it_cannot_hold_and_a_restored_ca_says_whether_they_answer() {
    need!(softhsm, openssl);
    let token = Token::new();
    let bench = &token.bench;
    bench.pki_with("init --single-operator --tree iso2,ocpp --keys", &[&token.uri()]);
    bench.pki_with("issue secc-leaf --out leaf --cn", &["DE*TST*E1"]);
    let said = bench.pki("backup --out whole.backup --passphrase-file pass");
    assert!(
        said.contains("not in it") && said.contains("object=iso2-v2g-root"),
        "{said}"
    );
    let said = bench.pki("backup --out json.backup --passphrase-file pass --format json");
    assert_eq!(field(&said, "keys_not_in_it").as_array().unwrap().len(), 13);

    // With the token away a restore succeeds, says what does not answer, and that CA refuses to sign.
    token.moves(true);
    let restore = |folder: &str, json: bool| {
        let folder = bench.path(folder);
        let format = if json { "json" } else { "text" };
        bench.pki_with(
            "restore whole.backup --passphrase-file pass",
            &["--data", folder.to_str().unwrap(), "--format", format],
        )
    };
    let said = restore("away", false);
    assert!(said.contains("0 of 13 keys in tokens and TPMs answer"), "{said}");
    assert!(said.contains("iso2/cpo-sub2: key.unavailable"), "{said}");
    let away = bench.path("away").to_str().unwrap().to_owned();
    assert!(bench.pki_with("list", &["--data", &away]).contains("DE*TST*E1"));
    bench.refused(
        "pki issue secc-leaf --out no --pin-file pin --cn",
        &["DE*TST*E2", "--data", &away],
        2,
        &["key.unavailable"],
    );
    // With the token: whole, and it signs.
    token.moves(false);
    assert_eq!(field(&restore("here", true), "keys_away"), serde_json::json!([]));
    let here = bench.path("here").to_str().unwrap().to_owned();
    for data in [&here, &away] {
        let out = format!("{data}.leaf");
        bench.pki_with(
            "issue secc-leaf --cn",
            &["DE*TST*E2", "--data", data, "--out", &out],
        );
        bench.openssl_accepts(&format!("{out}.crt.pem"), "iso2/cpo-sub2");
    }
}

#[test]
fn two_operators_stand_before_a_root_in_a_token_with_keys_of_their_own_in_tokens() {
    need!(softhsm, openssl);
    let token = Token::new();
    let bench = &token.bench;
    token.hsm.add("alice").unwrap();
    let module = library("libsofthsm2.so").unwrap();
    let alice = format!(
        "pkcs11:token=alice;object=operator?module-path={}",
        module.display()
    );
    bench.pki_with("key generate", &["--uri", &alice]);
    let public = bench.pki_with("key check --format json", &["--uri", &alice]);
    std::fs::write(
        bench.path("alice.pub.pem"),
        field(&public, "public").as_str().unwrap(),
    )
    .unwrap();
    bench.gridlatch("pki operator new bob");
    // Roots in the token, the rest in files, so that the token may go back into the safe.
    bench.pki_with(
        "init --tree iso2,ocpp --operator alice=alice.pub.pem --operator bob=bob.pub.pem --root-keys",
        &[&token.uri()],
    );
    assert_eq!(token.keys(), 4);
    token.moves(true);
    bench.pki_with("issue secc-leaf --out leaf --cn", &["DE*TST*E1"]);
    token.moves(false);

    bench.pki("renew iso2/cpo-sub1");
    let waiting = bench.pki("list --requests --format json");
    let id = field(waiting.lines().next().unwrap(), "request")
        .as_str()
        .unwrap()
        .to_owned();
    let said = bench.pki_with(&format!("approve {id} --operator alice"), &["--key", &alice]);
    assert!(said.contains("1 of 2"), "{said}");
    // The second approval is the one that signs: without the root's token it is refused, and can be given again.
    token.moves(true);
    bench.refused(
        &format!("pki approve {id} --operator bob --key bob.key.pem --pin-file pin"),
        &[],
        2,
        &["key.unavailable"],
    );
    token.moves(false);
    let said = bench.pki(&format!("approve {id} --operator bob --key bob.key.pem"));
    assert!(said.contains("done"), "{said}");
    bench.openssl_accepts("leaf.crt.pem", "iso2/cpo-sub2");
}
