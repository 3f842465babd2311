//! OCSP asked by OpenSSL, GnuTLS and by nobody one would wish for.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use gridlatch_pki::ca::{Issued, World};
use gridlatch_store::Store;
use gridlatch_testkit::need;
use gridlatch_trust::ocsp::{CertId, Hash, Request, build_request};
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::catalogue::enrolment;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Bench, ok};

/// `openssl ocsp` about a leaf in `NAME.pem`: what it prints.
fn openssl(bench: &Bench, authority: &str, name: &str, more: &[&str]) -> String {
    let issuer = bench.pem(
        "issuer.pem",
        &[bench.ca.authority(authority).unwrap().der.clone()],
    );
    let subs = bench.pem("ocsp-subs.pem", &bench.ca.chain(authority).unwrap());
    let output = Command::new("openssl")
        .args(["ocsp", "-issuer"])
        .arg(issuer)
        .args(more)
        .arg("-cert")
        .arg(bench.file(&format!("{name}.pem")))
        .arg("-CAfile")
        .arg(bench.root(authority))
        .arg("-verify_other")
        .arg(subs)
        .args(["-url", &format!("http://{}/ocsp", bench.http)])
        .output()
        .unwrap();
    let text = ok(&output) + &String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("Response verify OK"), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_believes_good_revoked_and_unknown_with_and_without_a_nonce() {
    need!(openssl);
    let bench = Bench::of(vec![World::Iso2, World::Iso20, World::Iso20Ed448, World::Ocpp]).await;
    for authority in ["iso2/cpo-sub2", "iso20/cpo-sub2", "iso20-ed448/cpo-sub2"] {
        let issued = bench.leaf(Kind::SeccLeaf, authority, "DE*TST*E1", "leaf").await;
        for more in [
            &["-no_nonce"][..],
            &["-nonce"],
            &["-no_nonce", "-sha256"],
            &["-nonce", "-sha256"],
        ] {
            let text = openssl(&bench, authority, "leaf", more);
            assert!(text.contains("leaf.pem: good"), "{authority} {more:?}: {text}");
            assert!(!text.contains("WARNING: no nonce"), "{text}");
        }
        bench.revoke(authority, &issued).await;
        for more in [&["-no_nonce"][..], &["-nonce"], &["-no_nonce", "-sha256"]] {
            let text = openssl(&bench, authority, "leaf", more);
            assert!(text.contains("leaf.pem: revoked"), "{authority} {more:?}: {text}");
            assert!(text.contains("keyCompromise"), "{text}");
        }
        // A number this CA never gave.
        let text = openssl(
            &bench,
            authority,
            "leaf",
            &["-no_nonce", "-serial", "0x4242424242424242"],
        );
        assert!(text.contains("0x4242424242424242: unknown"), "{text}");
    }
    // Sub-CAs are asked about too.
    let sub1 = bench.ca.authority("iso2/cpo-sub2").unwrap().der.clone();
    bench.pem("sub2.pem", &[sub1]);
    let text = openssl(&bench, "iso2/cpo-sub1", "sub2", &["-no_nonce"]);
    assert!(text.contains("sub2.pem: good"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn gnutls_believes_the_responder_too() {
    need!(gnutls);
    let bench = Bench::start().await;
    let issued = bench
        .leaf(Kind::SeccLeaf, "iso2/cpo-sub2", "DE*TST*E1", "leaf")
        .await;
    let issuer = bench.pem(
        "issuer.pem",
        &[bench.ca.authority("iso2/cpo-sub2").unwrap().der.clone()],
    );
    let leaf = bench.pem("one.pem", std::slice::from_ref(&issued.der));
    let ask = || {
        let output = Command::new("ocsptool")
            .arg(format!("--ask=http://{}/ocsp", bench.http))
            .arg("--load-issuer")
            .arg(&issuer)
            .arg("--load-cert")
            .arg(&leaf)
            .arg("--load-signer")
            .arg(&issuer)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let text = ask();
    assert!(text.contains("Certificate Status: good"), "{text}");
    assert!(text.contains("Success"), "{text}");
    bench.revoke("iso2/cpo-sub2", &issued).await;
    let text = ask();
    assert!(text.contains("Certificate Status: revoked"), "{text}");
}

fn question(bench: &Bench, issued: &Issued, nonce: Option<Vec<u8>>) -> Vec<u8> {
    let issuer = bench.ca.authority("iso2/cpo-sub2").unwrap().der.clone();
    let id = CertId::new(&issuer, &issued.serial.octets(), Hash::Sha1).unwrap();
    build_request(&Request { ids: vec![id], nonce }).unwrap()
}

/// One request over a connection of its own: head and body.
async fn ask(bench: &Bench, head: &str, body: &[u8]) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(bench.http).await.unwrap();
    let head = format!(
        "{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(&[head.as_bytes(), body].concat()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let split = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap_or(0);
    let head = String::from_utf8_lossy(&answer[..split]).to_ascii_lowercase();
    (head, answer.get(split + 4..).unwrap_or_default().to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_repeated_from_memory_by_both_methods_with_the_heads_of_rfc_5019() {
    let bench = Bench::start().await;
    let issued = bench
        .leaf(Kind::SeccLeaf, "iso2/cpo-sub2", "DE*TST*E1", "leaf")
        .await;
    let der = question(&bench, &issued, None);
    let (head, first) = ask(&bench, "POST /ocsp", &der).await;
    for field in [
        "http/1.1 200",
        "content-type: application/ocsp-response",
        "cache-control: max-age=3",
        "must-revalidate",
        "etag: \"",
        "expires: ",
        "last-modified: ",
    ] {
        assert!(head.contains(field), "{field}: {head}");
    }
    let b64 = {
        use std::io::Write as _;
        let mut child = Command::new("openssl")
            .args(["base64", "-A"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&der).unwrap();
        ok(&child.wait_with_output().unwrap())
    };
    let escaped = b64.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D");
    for path in [&b64, &escaped] {
        let (head, again) = ask(&bench, &format!("GET /ocsp/{path}"), b"").await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert_eq!(again, first, "from memory, the very same octets");
    }
    let nonce = question(&bench, &issued, Some(vec![7; 16]));
    let (head, fresh) = ask(&bench, "POST /ocsp", &nonce).await;
    assert!(head.contains("cache-control: no-store"), "{head}");
    assert_ne!(fresh, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_seen_at_once_here_and_within_a_second_from_another_process() {
    let bench = Bench::start().await;
    let one = bench
        .leaf(Kind::SeccLeaf, "iso2/cpo-sub2", "DE*TST*E1", "one")
        .await;
    let two = bench
        .leaf(Kind::SeccLeaf, "iso2/cpo-sub2", "DE*TST*E2", "two")
        .await;
    let (first, second) = (question(&bench, &one, None), question(&bench, &two, None));
    let (_, good) = ask(&bench, "POST /ocsp", &first).await;
    let (_, other) = ask(&bench, "POST /ocsp", &second).await;
    bench.revoke("iso2/cpo-sub2", &one).await;
    let (_, now) = ask(&bench, "POST /ocsp", &first).await;
    assert_ne!(now, good, "the first answer after the revocation is another one");
    assert_eq!(ask(&bench, "POST /ocsp", &second).await.1, other, "others stay");

    // Another process: its own handle on the store, and nobody here is told.
    let elsewhere = Store::open(bench.file("ca.db").to_str().unwrap()).await.unwrap();
    let authority = bench.ca.authority("iso2/cpo-sub2").unwrap().number();
    let serial = i64::from_be_bytes(two.serial.octets().try_into().unwrap());
    elsewhere
        .pki_revoke(authority, serial, 1, gridlatch_host::now(), "operator:other")
        .await
        .unwrap();
    let started = Instant::now();
    while ask(&bench, "POST /ocsp", &second).await.1 == other {
        assert!(started.elapsed() < Duration::from_secs(5), "not seen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_request_is_answered_so_and_requests_by_the_thousand_do_no_harm() {
    // Its memory is measured: in a process of its own, where no other test takes any.
    if gridlatch_testkit::tokens::again(&[]) {
        return;
    }
    let bench = Bench::start().await;
    let issued = bench
        .leaf(Kind::SeccLeaf, "iso2/cpo-sub2", "DE*TST*E1", "leaf")
        .await;
    const MALFORMED: &[u8] = &[0x30, 0x03, 0x0A, 0x01, 0x01];
    for body in [
        &b""[..],
        b"x",
        &[0x30; 2000],
        &[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF],
    ] {
        let (head, answer) = ask(&bench, "POST /ocsp", body).await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert_eq!(answer, MALFORMED);
    }
    let (head, answer) = ask(&bench, "POST /ocsp", &vec![0x30; 20_000]).await;
    assert!(head.starts_with("http/1.1 413"), "{head}");
    assert_eq!(answer, MALFORMED);
    for path in ["GET /ocsp/x", "GET /ocsp/%00", "GET /ocsp/MEIwQA"] {
        assert_eq!(ask(&bench, path, b"").await.1, MALFORMED, "{path}");
    }
    assert!(bench.events.count(enrolment::OCSP_MALFORMED) >= 1);

    // Every one different: nothing can come from memory.
    let before = rss();
    let mut tasks = Vec::new();
    let bench = std::sync::Arc::new(bench);
    for client in 0..16_u8 {
        let (bench, der) = (bench.clone(), question(&bench, &issued, Some(vec![client; 16])));
        tasks.push(tokio::spawn(async move {
            let mut stream = TcpStream::connect(bench.http).await.unwrap();
            let head = format!(
                "POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
                der.len()
            );
            let place = der.windows(16).position(|part| part == [client; 16]).unwrap();
            let mut answers = 0;
            for round in 0..250_u32 {
                let mut der = der.clone();
                der[place..place + 4].copy_from_slice(&round.to_be_bytes());
                stream.write_all(&[head.as_bytes(), &der].concat()).await.unwrap();
                let head = whole_answer(&mut stream).await;
                assert!(head.starts_with("http/1.1 200"), "{head}");
                answers += 1;
            }
            answers
        }));
    }
    let mut answers = 0;
    for task in tasks {
        answers += task.await.unwrap();
    }
    assert_eq!(answers, 4000);
    let grown = rss().saturating_sub(before);
    assert!(
        grown < 64 * 1024 * 1024,
        "{grown} bytes more after 4,000 requests"
    );
    let der = question(&bench, &issued, None);
    let (head, _) = ask(&bench, "POST /ocsp", &der).await;
    assert!(head.starts_with("http/1.1 200"));
    let _ = &bench.responder;
}

/// Reads one answer with all its body, in however many pieces it comes; its head, in lower case.
async fn whole_answer(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    loop {
        let read = stream.read_buf(&mut heard).await.unwrap();
        assert!(read > 0, "closed after {} octets", heard.len());
        let Some(end) = heard.windows(4).position(|part| part == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&heard[..end]).to_lowercase();
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        if heard.len() >= end + 4 + length {
            return head;
        }
    }
}

/// Resident memory of this process, bytes.
fn rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().unwrap();
    kilobytes * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_certificate_is_unknown() {
    need!(openssl);
    let bench = Bench::start().await;
    let stranger = Bench::start().await;
    stranger
        .leaf(Kind::SeccLeaf, "iso2/cpo-sub2", "DE*TST*E1", "leaf")
        .await;
    let issuer: PathBuf = stranger.pem(
        "issuer.pem",
        &[stranger.ca.authority("iso2/cpo-sub2").unwrap().der.clone()],
    );
    let output = Command::new("openssl")
        .args(["ocsp", "-no_nonce", "-noverify", "-issuer"])
        .arg(issuer)
        .arg("-cert")
        .arg(stranger.file("leaf.pem"))
        .args(["-url", &format!("http://{}/ocsp", bench.http)])
        .output()
        .unwrap();
    let text = ok(&output);
    assert!(text.contains("leaf.pem: unknown"), "{text}");
}
