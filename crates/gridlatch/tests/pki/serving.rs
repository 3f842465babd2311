//! `gridlatch pki serve` as a process: curl and OpenSSL enrol, OpenSSL asks about certificates, and what was
//! acknowledged survives a kill.

use std::net::TcpListener;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use gridlatch_testkit::{Process, need};
use serde_json::Value;

use crate::{Desk, Said};

const SOON: Duration = Duration::from_secs(30);

struct Served {
    process: Process,
    est: String,
    ocsp: String,
    crl: String,
}

impl Served {
    fn start(desk: &Desk) -> Self {
        let mut command = desk.gridlatch();
        command.args(["pki", "serve", "--est", "127.0.0.1:0", "--status", "127.0.0.1:0"]);
        command.args(["--format", "json"]);
        let mut process = Process::spawn("serve", command).unwrap();
        let ready = process.wait_line(SOON, |line| line.starts_with('{')).unwrap();
        let ready: Value = serde_json::from_str(&ready).unwrap();
        let field = |name: &str| ready[name].as_str().unwrap().to_owned();
        Self {
            process,
            est: field("est"),
            ocsp: field("ocsp"),
            crl: field("crl"),
        }
    }
}

/// A CA, the root that clients believe, a client, and a key to ask with.
fn desk() -> (Desk, String) {
    let desk = Desk::with_ca("iso2,ocpp");
    desk.ok("pki bundle --roots csms --out csms-root.pem");
    desk.ok("pki bundle --roots all --out roots.pem");
    desk.ok("pki bundle --chain iso2/cpo-sub2 --out subs.pem");
    let secret = desk.ok("pki client add acme --role cpo");
    let secret = secret.lines().next().unwrap().to_owned();
    desk.peer(
        "openssl",
        &[
            "ecparam",
            "-name",
            "prime256v1",
            "-genkey",
            "-noout",
            "-out",
            "secc.key",
        ],
    );
    (desk, secret)
}

/// A request as docs/enrolment.md makes it, for this name: `NAME.b64`.
fn request(desk: &Desk, name: &str) {
    let subject = format!("/CN={name}/O=Acme/DC=CPO");
    let script = format!(
        "openssl req -new -sha256 -key secc.key -subj '{subject}' -outform DER | openssl base64 > '{name}.b64'"
    );
    desk.peer("sh", &["-c", &script]);
}

/// Sends it; the status of the answer, whose body and head are in `NAME.body` and `NAME.head`. `None` if the
/// connection broke.
fn enrol(desk: &Desk, served: &str, secret: &str, name: &str) -> Option<u16> {
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--cacert",
            "csms-root.pem",
            "-u",
            secret,
        ])
        .args([
            "--data-binary",
            &format!("@{name}.b64"),
            "-H",
            "Content-Type: application/pkcs10",
        ])
        .args(["-o", &format!("{name}.body"), "-D", &format!("{name}.head")])
        .args(["-w", "%{http_code}", &format!("{served}/secc/simpleenroll")])
        .current_dir(desk.path(""))
        .output()
        .unwrap();
    let said = Said::new("curl", output);
    (said.code == 0).then(|| said.out.parse().unwrap())
}

/// Takes the certificate out of an answer: `NAME.pem`.
fn unwrap_certificate(desk: &Desk, name: &str) {
    let script = format!(
        "openssl base64 -d -in '{name}.body' | openssl pkcs7 -inform DER -print_certs -out '{name}.pem'"
    );
    desk.peer("sh", &["-c", &script]);
}

fn ocsp(desk: &Desk, served: &Served, file: &str) -> String {
    let args = [
        "ocsp",
        "-issuer",
        "sub2.pem",
        "-cert",
        file,
        "-url",
        &served.ocsp,
        "-CAfile",
        "roots.pem",
        "-verify_other",
        "subs.pem",
    ];
    let output = Command::new("openssl")
        .args(args)
        .current_dir(desk.path(""))
        .output()
        .unwrap();
    let said = Said::new("openssl ocsp", output);
    assert!(said.err.contains("Response verify OK"), "{said:?}");
    said.out
}

/// `openssl verify` with the list that is published now.
fn by_list(desk: &Desk, served: &Served, file: &str) -> String {
    let address = served.crl.replace("{authority}", "iso2/cpo-sub2");
    let _ = std::fs::remove_file(desk.path("sub2.crl"));
    desk.peer("curl", &["--silent", "--fail", "-o", "sub2.crl", &address]);
    desk.peer(
        "openssl",
        &["crl", "-inform", "DER", "-in", "sub2.crl", "-out", "sub2.crl.pem"],
    );
    let output = Command::new("openssl")
        .args([
            "verify",
            "-crl_check",
            "-x509_strict",
            "-CAfile",
            "roots.pem",
            "-untrusted",
            "subs.pem",
        ])
        .args(["-CRLfile", "sub2.crl.pem", file])
        .current_dir(desk.path(""))
        .output()
        .unwrap();
    let said = Said::new("openssl verify", output);
    said.out + &said.err
}

#[test]
fn curl_enrols_and_openssl_sees_the_revocation_at_once() {
    need!(openssl, curl);
    let (desk, secret) = desk();
    let served = Served::start(&desk);
    std::fs::write(desk.path("sub2.pem"), desk.ok("pki show iso2/cpo-sub2 --pem")).unwrap();
    request(&desk, "DE*ACM*E1");
    assert_eq!(enrol(&desk, &served.est, "acme:wrong", "DE*ACM*E1").unwrap(), 401);
    assert_eq!(enrol(&desk, &served.est, &secret, "DE*ACM*E1").unwrap(), 200);
    unwrap_certificate(&desk, "DE*ACM*E1");
    let said = desk.peer(
        "openssl",
        &[
            "verify",
            "-x509_strict",
            "-CAfile",
            "roots.pem",
            "-untrusted",
            "subs.pem",
            "DE*ACM*E1.pem",
        ],
    );
    assert!(said.ends_with("OK\n"), "{said}");
    // The same octets again are refused, with a code that `gridlatch explain` knows.
    let again = enrol(&desk, &served.est, &secret, "DE*ACM*E1").unwrap();
    assert!(again >= 400, "{again}");
    assert!(desk.text("DE*ACM*E1.body").contains("ca.request_replayed"));

    assert!(ocsp(&desk, &served, "DE*ACM*E1.pem").contains("E1.pem: good"));
    assert!(by_list(&desk, &served, "DE*ACM*E1.pem").ends_with("OK\n"));
    // Revoked by another process.
    desk.ok("pki revoke DE*ACM*E1.pem --reason keyCompromise");
    let until = std::time::Instant::now() + SOON;
    loop {
        let answer = ocsp(&desk, &served, "DE*ACM*E1.pem");
        if answer.contains("E1.pem: revoked") {
            assert!(answer.contains("keyCompromise"), "{answer}");
            break;
        }
        assert!(std::time::Instant::now() < until, "{answer}");
    }
    while !by_list(&desk, &served, "DE*ACM*E1.pem").contains("certificate revoked") {
        assert!(std::time::Instant::now() < until, "the list does not say so");
    }
    // One folder, one service.
    desk.no(
        "pki serve --est 127.0.0.1:0 --status 127.0.0.1:0",
        2,
        "another gridlatch runs",
    );
    let said = desk.run("up --console 127.0.0.1:0");
    assert!(
        said.code == 2 && said.err.contains("another gridlatch runs"),
        "{said:?}"
    );
}

#[test]
fn a_person_decides_about_a_supervised_client() {
    need!(openssl, curl);
    let (desk, _) = desk();
    let secret = desk.ok("pki client add careful --role cpo --supervised");
    let secret = secret.lines().next().unwrap();
    desk.no("pki client add careful --role cpo", 2, "remove it first");
    let served = Served::start(&desk);
    for name in ["DE*ACM*E1", "DE*ACM*E2"] {
        request(&desk, name);
        assert_eq!(enrol(&desk, &served.est, secret, name).unwrap(), 202);
        assert!(
            desk.text(&format!("{name}.head"))
                .to_lowercase()
                .contains("retry-after")
        );
    }
    let waiting = desk.json("pki client waiting");
    assert_eq!(waiting.len(), 2);
    let id = |name: &str| {
        let row = waiting.iter().find(|row| row["name"] == name).unwrap();
        row["id"].as_str().unwrap().to_owned()
    };
    desk.no("pki client approve zz", 1, "begins with zz");
    desk.ok(&format!("pki client approve {}", &id("DE*ACM*E1")[..12]));
    desk.ok(&format!("pki client deny {}", &id("DE*ACM*E2")[..12]));
    assert_eq!(enrol(&desk, &served.est, secret, "DE*ACM*E1").unwrap(), 200);
    assert_eq!(enrol(&desk, &served.est, secret, "DE*ACM*E2").unwrap(), 403);
    let said = desk.run("pki client waiting");
    assert!(
        said.out.is_empty() && said.err.contains("no requests wait"),
        "{said:?}"
    );
    desk.ok("pki client remove careful");
    request(&desk, "DE*ACM*E3");
    assert_eq!(enrol(&desk, &served.est, secret, "DE*ACM*E3").unwrap(), 401);
}

#[test]
fn a_taken_port_is_named_with_the_option_and_ctrl_c_is_no_failure() {
    let desk = Desk::with_ca("ocpp");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    for (line, option) in [
        (format!("--est {taken} --status 127.0.0.1:0"), "--est"),
        (format!("--est 127.0.0.1:0 --status {taken}"), "--status"),
    ] {
        let said = desk.no(&format!("pki serve {line}"), 2, &taken.to_string());
        assert!(said.err.contains(option), "{said:?}");
    }
    let mut served = Served::start(&desk);
    served.process.interrupt().unwrap();
    assert!(served.process.wait_exit(SOON).unwrap().success());
    assert!(served.process.output().contains("stopping"));
}

#[test]
fn what_was_acknowledged_survives_a_kill_under_load() {
    need!(openssl, curl);
    const CLIENTS: usize = 3;
    const EACH: usize = 12;
    let (desk, secret) = desk();
    let name = |client: usize, number: usize| format!("DE*ACM*E{client}{number:02}");
    for client in 0..CLIENTS {
        for number in 0..EACH {
            request(&desk, &name(client, number));
        }
    }
    std::fs::write(desk.path("sub2.pem"), desk.ok("pki show iso2/cpo-sub2 --pem")).unwrap();
    let served = Served::start(&desk);
    let (done, acknowledged) = mpsc::channel();
    let mut got: Vec<String> = Vec::new();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (done, desk, secret, est) = (done.clone(), &desk, &secret, &served.est);
            scope.spawn(move || {
                for number in 0..EACH {
                    let name = name(client, number);
                    match enrol(desk, est, secret, &name) {
                        Some(200) => done.send(name).unwrap(),
                        Some(status) => panic!("{name}: {status}"),
                        // Killed.
                        None => break,
                    }
                }
            });
        }
        drop(done);
        // In the middle of the others.
        got.extend((0..8).map(|_| acknowledged.recv_timeout(SOON).unwrap()));
        served.process.signal(rustix::process::Signal::KILL).unwrap();
        got.extend(acknowledged.iter());
    });
    assert!(
        (8..CLIENTS * EACH).contains(&got.len()),
        "{} before the kill",
        got.len()
    );
    let served = Served::start(&desk);
    let listed = desk.json("pki list --limit 1000 --from iso2/cpo-sub2");
    for name in &got {
        let rows = listed.iter().filter(|row| row["label"] == name.as_str()).count();
        assert_eq!(rows, 1, "{name} was acknowledged");
        unwrap_certificate(&desk, name);
    }
    let first = format!("{}.pem", got[0]);
    assert!(ocsp(&desk, &served, &first).contains(": good"));
    // Nothing was issued twice, and what was not answered can be asked for again.
    let mut labels: Vec<&str> = listed
        .iter()
        .filter(|row| row["kind"] == "secc-leaf")
        .filter_map(|row| row["label"].as_str())
        .collect();
    let count = labels.len();
    labels.sort_unstable();
    labels.dedup();
    assert_eq!(labels.len(), count);
    let unasked = name(CLIENTS, 0);
    request(&desk, &unasked);
    assert_eq!(enrol(&desk, &served.est, &secret, &unasked).unwrap(), 200);
}
