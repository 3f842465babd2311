//! Josev as vehicle and as provisioning service: its code asks, verifies and opens what ours makes, and the
//! other way round. OpenSSL's command line repeats the key derivation as a third opinion.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gridlatch_keys::KeyAlgorithm;
use serde_json::{Value, json};

use super::*;

struct Josev {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Josev {
    /// Starts Josev's Python, or says why the test is skipped.
    #[allow(clippy::unwrap_in_result, reason = "None skips; what breaks here must fail")]
    fn start(test: &str) -> Option<Self> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let found = Command::new("bash")
            .arg(workspace.join("scripts/peers.sh"))
            .arg("josev")
            .output()
            .unwrap();
        let answer = String::from_utf8_lossy(&found.stdout).into_owned();
        let java = Command::new("java")
            .arg("-version")
            .output()
            .is_ok_and(|out| out.status.success());
        let python = answer
            .lines()
            .find_map(|line| line.strip_prefix("josev "))
            .filter(|_| found.status.success() && java);
        let Some(python) = python else {
            assert!(
                !std::env::var("CI").is_ok_and(|value| value == "true"),
                "{test}: Josev and Java are required here"
            );
            let _ = writeln!(std::io::stderr(), "skipped: {test}: no Josev or no Java here");
            return None;
        };
        let mut child = Command::new(Path::new(python).join("bin/python"))
            .args(["-c", include_str!("josev.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let answers = BufReader::new(child.stdout.take().expect("its output is piped"));
        Some(Self { child, answers })
    }

    fn does(&mut self, job: &Value) -> Value {
        writeln!(self.child.stdin.as_mut().unwrap(), "{job}").unwrap();
        let mut line = String::new();
        loop {
            line.clear();
            if self.answers.read_line(&mut line).unwrap() == 0 {
                let mut errors = String::new();
                std::io::Read::read_to_string(self.child.stderr.as_mut().unwrap(), &mut errors).unwrap();
                panic!("Josev stopped: {errors}");
            }
            if let Some(answer) = line.strip_prefix("ANSWER ") {
                return serde_json::from_str(answer).unwrap();
            }
        }
    }
}

impl Drop for Josev {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn text(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn pem(key: &FileKey) -> String {
    String::from_utf8(key.to_pem().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn josevs_vehicle_gets_its_contract_from_here_and_opens_it() {
    let Some(mut josev) = Josev::start("josevs_vehicle_gets_its_contract_from_here_and_opens_it") else {
        return;
    };
    let world = World::new(true).await;
    let car = world.car("josev", Generation::Iso2);
    let roots: Vec<Value> = car
        .roots
        .iter()
        .map(|root| json!({"issuer": root.issuer, "serial": root.serial}))
        .collect();
    let asked = josev.does(&json!({
        "do": "ask", "certificate": text(&car.chain[0]), "key": pem(&car.pem), "roots": roots,
    }));
    let exi = STANDARD.decode(asked["exi"].as_str().unwrap()).unwrap();
    let installed = world
        .provisioner
        .install(Generation::Iso2, Action::Install, &exi)
        .await
        .unwrap();
    let (chain, key) = car.take(&world, &installed.exi);
    let root = world.pki.v2g_roots()[0].clone();
    let answer = josev.does(&json!({
        "do": "receive", "exi": text(&installed.exi), "key": pem(&car.pem), "root": text(&root),
    }));
    assert_eq!(
        answer["verified"],
        json!(true),
        "Josev verifies our provisioning service's signature and chain"
    );
    assert_eq!(
        answer["scalar"],
        json!(hex::encode(key.scalar().unwrap())),
        "and opens our envelope"
    );
    assert_eq!(answer["emaid"], json!(car.vehicle.emaid().reveal().as_str()));
    assert_eq!(
        (&answer["code"], &answer["contract"]),
        (&json!("OK"), &json!(text(&chain[0])))
    );
    // One altered bit of the contract id, which comes last: both refuse, so the check can fail.
    let mut altered = installed.exi;
    let at = altered.len() - 4;
    altered[at] ^= 0x04;
    let Ok(Answer::Contract(ours)) =
        Answer::decode(session_generation(Generation::Iso2), Action::Install, &altered)
    else {
        panic!("the altered message is still a message");
    };
    assert_ne!(
        ours.contract().emaid.reveal(),
        car.vehicle.emaid().reveal().as_str()
    );
    assert!(ours.verify().is_err());
    let answer = josev.does(&json!({
        "do": "receive", "exi": text(&altered), "key": pem(&car.pem), "root": text(&root),
    }));
    assert_eq!(answer["verified"], json!(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_josevs_station_provides_is_verified_and_opened_here() {
    let Some(mut josev) = Josev::start("what_josevs_station_provides_is_verified_and_opened_here") else {
        return;
    };
    let world = World::new(false).await;
    let car = world.car("josev2", Generation::Iso2);
    let contract = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let emaid: Emaid = "DEGDLC00000077".parse().unwrap();
    let chain = world
        .pki
        .issue(Generation::Iso2, &emaid, contract.public_key_der(), None, None)
        .unwrap();
    let cps = world.pki.cps(Generation::Iso2).unwrap().remove(0);
    let cps_key = world.key_of(Generation::Iso2, "issued/cps");
    let list = |chain: &[Vec<u8>]| chain.iter().map(|der| text(der)).collect::<Vec<_>>();
    let answer = josev.does(&json!({
        "do": "provide", "receiver": text(&car.chain[0]), "contract_key": pem(&contract),
        "contract": list(&chain), "cps": list(&cps.chain), "cps_key": pem(&cps_key), "emaid": emaid.as_str(),
    }));
    let exi = STANDARD.decode(answer["exi"].as_str().unwrap()).unwrap();
    let (opened_chain, key) = car.take(&world, &exi);
    assert_eq!(opened_chain, chain);
    assert_eq!(key.scalar().unwrap(), contract.scalar().unwrap());
    // It also passes through the pool's XML unharmed.
    let Answer::Contract(signed) =
        Answer::decode(session_generation(Generation::Iso2), Action::Install, &exi).unwrap()
    else {
        panic!("a refusal");
    };
    let again = SignedContract::from_xml(&signed.to_xml().unwrap()).unwrap();
    again.verify().unwrap();
    assert_eq!(
        again
            .encode(Action::Install, &[1, 2, 3, 4, 5, 6, 7, 8], 0, clock())
            .unwrap(),
        exi
    );
}

#[tokio::test]
async fn openssls_command_line_opens_the_envelope_too() {
    if Command::new("openssl").arg("version").output().is_err() {
        assert!(
            !std::env::var("CI").is_ok_and(|value| value == "true"),
            "openssl is required here"
        );
        return;
    }
    let world = World::new(true).await;
    let car = world.car("witness", Generation::Iso2);
    let installed = world
        .provisioner
        .install(Generation::Iso2, Action::Install, &car.ask())
        .await
        .unwrap();
    let (_, key) = car.take(&world, &installed.exi);
    let Answer::Contract(signed) = Answer::decode(
        session_generation(Generation::Iso2),
        Action::Install,
        &installed.exi,
    )
    .unwrap() else {
        panic!("a refusal");
    };
    let contract = signed.contract();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    // SubjectPublicKeyInfo of a secp256r1 point: a fixed head and the point.
    let mut peer = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
    peer.extend_from_slice(&contract.dh_public_key);
    let (own, peer) = (file("own.pem", pem(&car.pem).as_bytes()), file("peer.der", &peer));
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    };
    let secret = openssl(&[
        "pkeyutl",
        "-derive",
        "-inkey",
        &own,
        "-peerkey",
        &peer,
        "-peerform",
        "DER",
    ]);
    let hexkey = format!("hexkey:{}", hex::encode(&secret));
    let derived = openssl(&[
        "kdf",
        "-keylen",
        "16",
        "-binary",
        "-kdfopt",
        "digest:SHA256",
        "-kdfopt",
        &hexkey,
        "-kdfopt",
        "hexinfo:015556",
        "SSKDF",
    ]);
    let (iv, ciphertext) = contract.encrypted_key.split_at(16);
    let sealed = file("sealed.bin", ciphertext);
    let scalar = openssl(&[
        "enc",
        "-d",
        "-aes-128-cbc",
        "-nopad",
        "-K",
        &hex::encode(derived),
        "-iv",
        &hex::encode(iv),
        "-in",
        &sealed,
    ]);
    assert_eq!(scalar, key.scalar().unwrap());
}
