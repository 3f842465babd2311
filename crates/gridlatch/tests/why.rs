//! `gridlatch pki why` on chains of the development PKI, bent in every usual way, and on endpoints of
//! OpenSSL.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops there"
)]

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
        Self::asking(None)
    }

    /// As [`Self::new`]; the leaf names a responder and a list at `place`.
    fn asking(place: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut pki: DevPki = dev::ensure(&dir.path().join("pki"), &Nobody, now()).unwrap();
        if let Some(place) = place {
            pki = pki.publishing_at(
                format!("http://{place}/ocsp"),
                format!("http://{place}/{{authority}}.crl"),
            );
        }
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
        .env("GRIDLATCH_DATA", "/nonexistent")
        .stdin(Stdio::null())
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

/// A server of OpenSSL that shows the chain and demands a certificate.
fn endpoint(world: &World) -> (Server, String) {
    let (leaf, subs) = (
        world.pem("leaf.pem", &world.chain[..1]),
        world.pem("subs.pem", &world.chain[1..]),
    );
    let key = world.file("leaf.key", &world.key);
    let address = format!("127.0.0.1:{}", free_port());
    let server = Server(
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
    wait_for(&address);
    (server, address)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn wait_for(address: &str) {
    while TcpStream::connect(address).is_err() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_live_endpoint_is_explained_though_it_is_not_trusted() {
    let world = World::new();
    let (_server, address) = endpoint(&world);
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

fn openssl(arguments: &[&str]) {
    let done = Command::new("openssl").args(arguments).output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {done:?}");
}

/// `openssl ocsp` for the leaf's issuer; `revoked` is what it says of the leaf.
fn responder(world: &World, port: u16, revoked: bool) -> Server {
    let ca = world.pem("ocsp-ca.pem", &world.chain[1..2]);
    let serial = certificate::serial(&world.chain[0]).unwrap();
    let serial: String = serial.iter().map(|octet| format!("{octet:02X}")).collect();
    let (mark, since) = if revoked {
        ("R", "260101000000Z,keyCompromise")
    } else {
        ("V", "")
    };
    let line = format!("{mark}\t491231000000Z\t{since}\t{serial}\tunknown\t/CN=leaf\n");
    let index = world.file("index.txt", line.as_bytes());
    let said = world.dir.path().join("ocsp.log");
    let log = std::fs::File::create(&said).unwrap();
    let server = Server(
        Command::new("openssl")
            .args(["ocsp", "-ignore_err", "-ndays", "1", "-port", &port.to_string()])
            .args(["-index", text(&index), "-CA", text(&ca), "-rsigner", text(&ca)])
            .args(["-rkey", text(&world.dir.path().join("pki/iso2/cpo-sub2.key.pem"))])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap(),
    );
    // A connection without a question would keep it busy for ever.
    while !std::fs::read_to_string(&said)
        .unwrap()
        .contains("waiting for OCSP")
    {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    server
}

#[test]
fn revocation_is_fetched_when_told_from_named_places_and_from_nowhere_else() {
    let port = free_port();
    let place = format!("127.0.0.1:{port}");
    let world = World::asking(Some(&place));
    let chain = world.pem("chain.pem", &world.chain);
    let root = world.root();
    let responding = responder(&world, port, false);
    // Nobody is asked unless that is asked for; who could be is said.
    let value = json(&chain, &["--root", text(&root)], 0);
    assert_eq!(value["fetch"]["asked"], false);
    assert_eq!(value["fetch"]["named"][0], format!("http://{place}/ocsp"));
    assert_eq!(value["revocation"][0]["status"], "unknown");
    let said = String::from_utf8(why(&chain, &["--root", text(&root)]).stdout).unwrap();
    assert!(
        said.contains("nobody was asked; --fetch asks http://127.0.0.1"),
        "{said}"
    );
    // A certificate sends nobody to a machine of this network.
    let value = json(&chain, &["--root", text(&root), "--fetch"], 0);
    assert_eq!(value["fetch"]["places"], serde_json::json!([]));
    assert!(
        value["fetch"]["notes"][0]
            .as_str()
            .unwrap()
            .contains("not at a public address"),
        "{value}"
    );
    assert_eq!(value["revocation"][0]["status"], "unknown");
    // A person may.
    let fetch = format!("--fetch={place}");
    let value = json(&chain, &["--root", text(&root), &fetch], 0);
    assert_eq!(value["fetch"]["places"][0], place);
    assert_eq!(value["revocation"][0]["status"], "good", "{value}");
    assert!(
        value["revocation"][0]["because"]
            .as_str()
            .unwrap()
            .contains("fetched OCSP answer")
    );
    // What does not lead to a root is not asked about.
    let value = json(&chain, &[&fetch], 1);
    assert_eq!(value["fetch"]["places"], serde_json::json!([]));
    let (_server, address) = endpoint(&world);
    let value = json(Path::new(&address), &["--root", text(&root), &fetch], 0);
    assert_eq!(value["revocation"][0]["status"], "good", "{value}");
    drop(responding);
    let value = json(&chain, &["--root", text(&root), &fetch], 0);
    assert_eq!(value["revocation"][0]["status"], "unknown");
    assert!(
        value["fetch"]["notes"][0]
            .as_str()
            .unwrap()
            .contains("does not answer"),
        "{value}"
    );
    let _responding = responder(&world, port, true);
    let value = json(&chain, &["--root", text(&root), &fetch], 1);
    assert_eq!(value["reason"]["code"], "revocation.revoked");
    assert_eq!(value["reason"]["depth"], 0);
}

#[test]
fn pkcs12_of_openssl_is_read_and_its_passphrase_is_never_an_argument() {
    let world = World::new();
    let (chain, root) = (world.pem("chain.pem", &world.chain), world.root());
    let (key, pass) = (
        world.file("leaf.key", &world.key),
        world.file("pass", b"over the hills\n"),
    );
    let archive = |name: &str, more: &[&str]| {
        let out = world.dir.path().join(name);
        openssl(
            &[
                &["pkcs12", "-export", "-in", text(&chain), "-out", text(&out)],
                more,
            ]
            .concat(),
        );
        out
    };
    let from = format!("file:{}", text(&pass));
    let full = archive("full.p12", &["-inkey", text(&key), "-passout", &from]);
    let roots = ["--root", text(&root)];
    let value = json(
        &full,
        &[&roots[..], &["--passphrase-file", text(&pass)]].concat(),
        0,
    );
    assert_eq!(value["certificates"].as_array().unwrap().len(), 3);
    let bare = archive("bare.p12", &["-nokeys", "-passout", "pass:"]);
    json(&bare, &roots, 0);
    let output = Command::new(env!("CARGO_BIN_EXE_gridlatch"))
        .args(["pki", "why", text(&full), "--root", text(&root)])
        .env("GRIDLATCH_PKCS12_PASSPHRASE", "over the hills")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let wrong = world.file("wrong", b"far away\n");
    for more in [vec!["--passphrase-file", text(&wrong)], vec![]] {
        let output = why(&full, &[&roots[..], &more].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("full.p12") && !said.contains("far away"), "{said}");
        assert!(!more.is_empty() || said.contains("--passphrase-file"), "{said}");
    }
    let whole = std::fs::read(&full).unwrap();
    let cut = world.file("cut.p12", &whole[..whole.len() / 2]);
    let output = why(&cut, &[&roots[..], &["--passphrase-file", text(&pass)]].concat());
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn the_roots_of_the_data_folder_are_used_when_none_is_named_and_their_absence_is_told() {
    let world = World::new();
    let chain = world.pem("chain.pem", &world.chain);
    let data = world.dir.path().to_owned();
    let output = why(&chain, &["--data", text(&data)]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains(&format!("(of {})", data.join("pki").display())),
        "{said}"
    );
    let said = String::from_utf8(why(&chain, &["--data", "/nonexistent"]).stdout).unwrap();
    assert!(
        said.contains("give --root FILE or --roots DIR; /nonexistent/pki is no PKI"),
        "{said}"
    );
    // Roots that are named are the only ones.
    let other = World::new();
    json(&chain, &["--root", text(&other.root()), "--data", text(&data)], 1);
}

/// A certificate as another CA's software would make it, by the key of one of the world's CAs.
fn foreign(
    world: &World,
    name: &str,
    (ca, ca_key): (&Path, &Path),
    subject: &str,
    days: &str,
    extensions: &str,
) -> (PathBuf, PathBuf) {
    let file = |end: &str| world.dir.path().join(format!("{name}.{end}"));
    let (key, csr, out) = (file("key"), file("csr"), file("pem"));
    let extensions = format!("subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n{extensions}");
    let extensions = world.file(&format!("{name}.ext"), extensions.as_bytes());
    openssl(&[
        "req",
        "-new",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-sha256",
        "-keyout",
        text(&key),
        "-out",
        text(&csr),
        "-subj",
        subject,
    ]);
    openssl(&[
        "x509",
        "-req",
        "-sha256",
        "-in",
        text(&csr),
        "-CA",
        text(ca),
        "-CAkey",
        text(ca_key),
        "-set_serial",
        "77",
        "-days",
        days,
        "-extfile",
        text(&extensions),
        "-out",
        text(&out),
    ]);
    (out, key)
}

const LEAF: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,keyAgreement\n";

#[test]
fn foreign_chains_with_odd_purposes_wrong_components_and_expired_sub_cas_are_explained() {
    let world = World::new();
    let root = world.root();
    let subs = world.pem("subs.pem", &world.chain[1..]);
    let (sub2, sub1) = (
        world.pem("sub2.pem", &world.chain[1..2]),
        world.pem("sub1.pem", &world.chain[2..3]),
    );
    let keys = world.dir.path().join("pki/iso2");
    let (sub2_key, sub1_key) = (keys.join("cpo-sub2.key.pem"), keys.join("cpo-sub1.key.pem"));
    let good = "/CN=DE*TST*E1/O=Foreign/C=DE/DC=CPO";
    let judged = |leaf: &Path, more: &[&str], exit| {
        json(
            leaf,
            &[
                &["--root", text(&root), "--as", "secc-leaf", "--generation", "2"][..],
                more,
            ]
            .concat(),
            exit,
        )
    };
    let extra = ["--extra", text(&subs)];
    let (plain, _) = foreign(&world, "plain", (&sub2, &sub2_key), good, "30", LEAF);
    assert_eq!(odd(&judged(&plain, &extra, 0)), Vec::<&str>::new());
    // As roots of some pools have them.
    let purposes = format!("{LEAF}extendedKeyUsage=serverAuth,clientAuth,1.3.6.1.4.1.311.20.2.2\n");
    let (purpose, _) = foreign(&world, "purpose", (&sub2, &sub2_key), good, "30", &purposes);
    let value = judged(&purpose, &extra, 0);
    assert_eq!(odd(&value), ["pki.odd_purpose"], "{value}");
    let wrong = "/CN=DE*TST*E1/O=Foreign/C=DE/DC=V2G";
    let (component, _) = foreign(&world, "component", (&sub2, &sub2_key), wrong, "30", LEAF);
    let value = judged(&component, &extra, 1);
    assert_eq!(value["reason"]["code"], "pki.domain_component");
    assert!(
        value["reason"]["clause"].as_str().unwrap().contains("15118"),
        "{value}"
    );
    // A sub-CA that ends before its leaf.
    let ca = "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n";
    let short = "/CN=Foreign Sub2/O=Foreign/C=DE/DC=V2G";
    let (sub, sub_key) = foreign(&world, "short", (&sub1, &sub1_key), short, "1", ca);
    let (leaf, _) = foreign(&world, "longer", (&sub, &sub_key), good, "30", LEAF);
    let both = [
        std::fs::read(&leaf).unwrap(),
        std::fs::read(&sub).unwrap(),
        std::fs::read(&sub1).unwrap(),
    ]
    .concat();
    let chain = world.file("expired-sub.pem", &both);
    // Days are rounded up: well inside the third day, or the second of the clock decides the count.
    let at = |hours| Timestamp(now().0 + time::Duration::hours(hours)).to_rfc3339();
    judged(&chain, &[], 0);
    let value = judged(&chain, &["--at", &at(60)], 1);
    assert_eq!(value["reason"]["code"], "pki.expired");
    assert_eq!(
        (&value["reason"]["failing"], &value["reason"]["depth"]),
        (&"Foreign Sub2".into(), &1.into())
    );
    assert_eq!(value["clock_days_ahead"], 2, "{value}");
}
