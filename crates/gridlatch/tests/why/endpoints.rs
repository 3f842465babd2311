//! Endpoints that are looked at, and responders that are asked: OpenSSL's.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gridlatch_testkit::ports;
use gridlatch_trust::certificate;

use crate::support::{World, json, text, why};

struct Server(Child);

impl Server {
    /// Looks until it is at work: how long that takes is the machine's affair, unless it ended.
    fn once(&mut self, mut ready: impl FnMut() -> bool) {
        let began = Instant::now();
        while !ready() {
            assert_eq!(self.0.try_wait().unwrap(), None, "it does not start");
            assert!(began.elapsed() < Duration::from_secs(60), "it starts for ever");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

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
    let address = format!("127.0.0.1:{}", ports::tcp().unwrap());
    let mut server = Server(
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
    server.once(|| TcpStream::connect(&address).is_ok());
    (server, address)
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
    let mut server = Server(
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
    server.once(|| {
        std::fs::read_to_string(&said)
            .unwrap()
            .contains("waiting for OCSP")
    });
    server
}

#[test]
fn revocation_is_fetched_when_told_from_named_places_and_from_nowhere_else() {
    let port = ports::tcp().unwrap();
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
