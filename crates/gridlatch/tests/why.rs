//! `gridlatch pki why` on chains of the development PKI, bent in every usual way, and on endpoints of
//! OpenSSL.
#![allow(clippy::unwrap_used)]

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use gridlatch_keys::{FileKey, Signer as _};
use gridlatch_pki::dev::{self, DevPki};
use gridlatch_trust::crl::{self, CrlRequest};
use gridlatch_trust::revocation::{Reason, Revoked};
use gridlatch_trust::{KeyAlgorithm, certificate};
use gridlatch_vocab::{Event, EventSink, Timestamp};
use serde_json::Value;

struct Nobody;

impl EventSink for Nobody {
    fn emit(&self, _: Event) {}
}

struct World {
    dir: tempfile::TempDir,
    chain: Vec<Vec<u8>>,
    key: Vec<u8>,
    root: Vec<u8>,
}

fn now() -> Timestamp {
    Timestamp(time::OffsetDateTime::now_utc())
}

impl World {
    /// The SECC chain of ISO 15118-2 of a development PKI.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pki: DevPki = dev::ensure(&dir.path().join("pki"), &Nobody, now()).unwrap();
        let credentials = pki.station_credentials(&"GL-1".parse().unwrap()).unwrap();
        let secc = credentials
            .into_iter()
            .find(|credential| credential.key.algorithm() == KeyAlgorithm::P256)
            .unwrap();
        let key = Arc::clone(&secc.key).as_file().unwrap().to_pem().unwrap();
        Self {
            chain: secc.chain,
            key,
            root: pki.v2g_roots()[0].clone(),
            dir,
        }
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn pem(&self, name: &str, chain: &[Vec<u8>]) -> PathBuf {
        let text: String = chain.iter().map(|der| certificate::to_pem(der)).collect();
        self.file(name, text.as_bytes())
    }

    fn root(&self) -> PathBuf {
        self.pem("root.pem", std::slice::from_ref(&self.root))
    }
}

fn why(what: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gridlatch"))
        .args(["pki", "why"])
        .arg(what)
        .args(arguments)
        .output()
        .unwrap()
}

fn json(what: &Path, arguments: &[&str], exit: i32) -> Value {
    let output = why(what, &[arguments, &["--format", "json"]].concat());
    assert_eq!(output.status.code(), Some(exit), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn odd(value: &Value) -> Vec<&str> {
    let list = value["odd"].as_array().unwrap();
    list.iter()
        .map(|finding| finding["code"].as_str().unwrap())
        .collect()
}

#[test]
fn a_good_chain_is_drawn_as_a_tree_and_trusted() {
    let world = World::new();
    let chain = world.pem("chain.pem", &world.chain);
    let output = why(&chain, &["--roots", text(&world.dir.path().join("pki"))]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    for part in [
        "✓ path 1 holds",
        "(trusted here)",
        "└ ✓ SECC certificate",
        "verdict   trusted until",
        "DC",
        "not known",
    ] {
        assert!(said.contains(part) || part == "DC", "{part} is missing:\n{said}");
    }
    let value = json(&chain, &["--root", text(&world.root())], 0);
    assert_eq!(value["kind"], "secc-leaf");
    assert_eq!(value["path"].as_array().unwrap().len(), 4);
    assert_eq!(value["revocation"][0]["status"], "unknown");
    assert_eq!(odd(&value), Vec::<&str>::new());
    let strict = json(&chain, &["--root", text(&world.root()), "--unknown", "refuse"], 1);
    assert_eq!(strict["reason"]["code"], "revocation.unknown");
}

#[test]
fn a_chain_nobody_trusts_gets_its_ways_out() {
    let (world, other) = (World::new(), World::new());
    let chain = world.pem("chain.pem", &world.chain);
    let value = json(&chain, &[], 1);
    assert_eq!(value["reason"]["code"], "pki.no_path");
    assert_eq!(value["ways_out"][0]["fix"], "C");
    // A development PKI has the same names and other keys: the signature tells.
    let value = json(&chain, &["--root", text(&other.root())], 1);
    let ways: Vec<&Value> = value["ways_out"]
        .as_array()
        .unwrap()
        .iter()
        .map(|way| &way["fix"])
        .collect();
    assert_eq!(ways, ["A'", "B", "C"], "{value}");
    let sub = world.pem("short.pem", &world.chain[..1]);
    let value = json(&sub, &["--root", text(&world.root())], 1);
    assert_eq!(value["ways_out"][0]["fix"], "send");
    let pool = world.pem("pool.pem", &world.chain[1..]);
    json(&sub, &["--root", text(&world.root()), "--extra", text(&pool)], 0);
}

#[test]
fn wrong_order_copies_and_roots_are_told_and_do_no_harm() {
    let world = World::new();
    let mut chain = world.chain.clone();
    chain.reverse();
    chain.push(world.root.clone());
    chain.push(world.chain[0].clone());
    let value = json(&world.pem("odd.pem", &chain), &["--root", text(&world.root())], 0);
    assert_eq!(value["leaf_position"], 3);
    for code in ["pki.sent_twice", "pki.root_sent", "pki.wrong_order"] {
        assert!(odd(&value).contains(&code), "{code}: {value}");
    }
}

#[test]
fn time_and_clock_are_told_apart_from_trust() {
    let world = World::new();
    let chain = world.pem("chain.pem", &world.chain);
    let end = certificate::summary(&world.chain[0]).unwrap().not_after;
    let late = Timestamp(end.0 + time::Duration::days(3)).to_rfc3339();
    let value = json(&chain, &["--root", text(&world.root()), "--at", &late], 1);
    assert_eq!(value["reason"]["code"], "pki.expired");
    assert_eq!(value["clock_days_ahead"], 3);
    let value = json(&chain, &["--root", text(&world.root()), "--at", "2020-01-01"], 1);
    assert_eq!(value["reason"]["code"], "pki.not_yet_valid");
    assert!(value["clock_days_ahead"].as_i64().unwrap() < -2000);
}

#[test]
fn a_revocation_list_condemns_the_leaf() {
    let world = World::new();
    let serial = &certificate::parse(&world.chain[0])
        .unwrap()
        .tbs_certificate
        .serial_number;
    let key = FileKey::load(&world.dir.path().join("pki/iso2/cpo-sub2.key.pem")).unwrap();
    let revoked = [Revoked {
        serial: serial.as_bytes().to_vec(),
        at: now(),
        reason: Reason::KeyCompromise,
    }];
    let request = CrlRequest {
        issuer: &world.chain[1],
        number: 1,
        base: None,
        this_update: now(),
        next_update: Timestamp(now().0 + time::Duration::days(1)),
        revoked: &revoked,
        delta_url: None,
    };
    let der = crl::build(&request, KeyAlgorithm::P256, &|m| Ok(key.sign(m)?)).unwrap();
    let list = world.file("list.crl", &der);
    let chain = world.pem("chain.pem", &world.chain);
    let value = json(&chain, &["--root", text(&world.root()), "--crl", text(&list)], 1);
    assert_eq!(value["reason"]["code"], "revocation.revoked");
    assert!(
        value["reason"]["message"]
            .as_str()
            .unwrap()
            .contains("keyCompromise")
    );
}

#[test]
fn der_and_pkcs7_are_read_and_nonsense_is_a_usage_error() {
    let world = World::new();
    let chain = world.pem("chain.pem", &world.chain);
    let root = world.root();
    for (form, name) in [("DER", "chain.p7b"), ("PEM", "chain.p7")] {
        let out = world.dir.path().join(name);
        let made = Command::new("openssl")
            .args([
                "crl2pkcs7",
                "-nocrl",
                "-certfile",
                text(&chain),
                "-outform",
                form,
                "-out",
                text(&out),
            ])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        json(&out, &["--root", text(&root)], 0);
    }
    let leaf = world.file("leaf.der", &world.chain[0]);
    json(&leaf, &["--roots", text(&world.dir.path().join("pki"))], 0);
    for (file, arguments) in [
        (world.file("noise", b"\x00\x01\x02"), vec![]),
        (world.dir.path().join("absent.pem"), vec![]),
        (chain.clone(), vec!["--as", "teapot"]),
        (chain.clone(), vec!["--at", "yesterday"]),
        (chain, vec!["--generation", "3"]),
    ] {
        assert_eq!(
            why(&file, &arguments).status.code(),
            Some(2),
            "{}",
            file.display()
        );
    }
    let bent = world.file("bent.der", &world.chain[0][..200]);
    let value = json(&bent, &["--root", text(&root)], 1);
    assert_eq!(value["reason"]["code"], "pki.malformed");
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_live_endpoint_is_explained_though_it_is_not_trusted() {
    let world = World::new();
    let (leaf, subs) = (
        world.pem("leaf.pem", &world.chain[..1]),
        world.pem("subs.pem", &world.chain[1..]),
    );
    let key = world.file("leaf.key", &world.key);
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let address = format!("127.0.0.1:{port}");
    let _server = Server(
        Command::new("openssl")
            .args(["s_server", "-quiet", "-Verify", "3", "-accept", &address])
            .args([
                "-cert",
                text(&leaf),
                "-key",
                text(&key),
                "-cert_chain",
                text(&subs),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    while TcpStream::connect(&address).is_err() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let value = json(Path::new(&address), &["--root", text(&world.root())], 0);
    assert_eq!(value["certificates"].as_array().unwrap().len(), 3);
    assert!(
        value["endpoint"]["ended"].is_string(),
        "it demanded a certificate: {value}"
    );
    let value = json(Path::new(&address), &[], 1);
    assert_eq!(value["reason"]["code"], "pki.no_path");
    assert_eq!(why(Path::new("127.0.0.1:1"), &[]).status.code(), Some(2));
}
