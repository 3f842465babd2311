//! Revocation lists read by OpenSSL and GnuTLS.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use gridlatch_pki::ca::{Reason, Requester, Role};
use gridlatch_testkit::need;
use gridlatch_trust::crl;
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::catalogue::{ca as codes, enrolment};

use crate::support::{Bench, ok};

/// Fetches a list with curl.
fn fetch(bench: &Bench, path: &str) -> (PathBuf, Vec<u8>) {
    let file = bench.file(&path.replace('/', "-"));
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--fail", "--output"])
        .arg(&file)
        .arg(format!("http://{}{path}", bench.http))
        .output()
        .unwrap();
    ok(&output);
    let der = std::fs::read(&file).unwrap();
    (file, der)
}

/// Fetches until the list is one that `wanted` accepts.
fn until(bench: &Bench, path: &str, wanted: impl Fn(&crl::Crl) -> bool) -> PathBuf {
    let started = Instant::now();
    loop {
        let (file, der) = fetch(bench, path);
        if wanted(&crl::parse(&der).unwrap()) {
            return file;
        }
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "{path} does not change"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn pem(bench: &Bench, der: &Path) -> PathBuf {
    let path = bench.file(&format!("{}.pem", der.file_name().unwrap().to_str().unwrap()));
    let output = Command::new("openssl")
        .args(["crl", "-inform", "DER", "-in"])
        .arg(der)
        .arg("-out")
        .arg(&path)
        .output();
    ok(&output.unwrap());
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_on_the_next_list_and_openssl_refuses_the_certificate_for_it() {
    need!(curl, openssl);
    let bench = Bench::start().await;
    let revoked = bench
        .leaf(Kind::SeccLeaf, "iso2/cpo-sub2", "DE*TST*E1", "one")
        .await;
    bench
        .leaf(Kind::SeccLeaf, "iso2/cpo-sub2", "DE*TST*E2", "two")
        .await;
    let (full, delta) = ("/crl/iso2/cpo-sub2.crl", "/crl/iso2/cpo-sub2-delta.crl");
    let (_, first) = fetch(&bench, full);
    let first = crl::parse(&first).unwrap();
    assert!(first.is_empty());
    bench.revoke("iso2/cpo-sub2", &revoked).await;
    let file = until(&bench, full, |list| !list.is_empty());
    let later = crl::parse(&std::fs::read(&file).unwrap()).unwrap();
    assert!(later.number() > first.number());
    let delta = until(&bench, delta, |list| !list.is_empty());
    let change = crl::parse(&std::fs::read(&delta).unwrap()).unwrap();
    assert!(
        change.completes(&first),
        "who holds the first full list can apply it"
    );
    assert_eq!(change.len(), 1);

    let issuer = bench.pem(
        "issuer.pem",
        &[bench.ca.authority("iso2/cpo-sub2").unwrap().der.clone()],
    );
    let subs = bench.pem("subs.pem", &bench.ca.chain("iso2/cpo-sub2").unwrap());
    let (list, delta) = (pem(&bench, &file), pem(&bench, &delta));
    for list in [&list, &delta] {
        let output = Command::new("openssl")
            .args(["crl", "-noout", "-CAfile"])
            .arg(&issuer)
            .arg("-in")
            .arg(list)
            .output();
        let output = output.unwrap();
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("verify OK"),
            "{output:?}"
        );
    }
    let verify = |name: &str| {
        Command::new("openssl")
            .args(["verify", "-x509_strict", "-crl_check", "-CAfile"])
            .arg(bench.root("iso2/cpo-sub2"))
            .arg("-untrusted")
            .arg(&subs)
            .arg("-CRLfile")
            .arg(&list)
            .arg(bench.file(name))
            .output()
            .unwrap()
    };
    let output = verify("one.pem");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("certificate revoked"),
        "{output:?}"
    );
    ok(&verify("two.pem"));
    assert!(bench.events.count(enrolment::CRL_PUBLISHED) >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_lifted_by_a_delta_and_openssl_believes_the_certificate_again() {
    need!(curl, openssl);
    let bench = Bench::start().await;
    let held = bench
        .leaf(Kind::SeccLeaf, "iso2/cpo-sub2", "DE*TST*E1", "one")
        .await;
    // Full lists name their deltas once it is known where they are; OpenSSL applies no others.
    let text = bench.ca.policy_text().await.unwrap();
    let named = |line: &str| {
        if line.trim_start_matches(['#', ' ']).starts_with("crl = ") {
            format!("crl = \"http://{}/crl/{{authority}}.crl\"", bench.http)
        } else {
            line.to_owned()
        }
    };
    let text: Vec<String> = text.lines().map(named).collect();
    bench.ca.set_policy(&(text.join("\n") + "\n")).await.unwrap();
    let by = Requester {
        role: Role::Operator,
        id: "test".to_owned(),
    };
    let serial = held.serial;
    let never = bench.ca.release("iso2/cpo-sub2", serial, &by).await.unwrap_err();
    assert_eq!(never.code(), codes::NOT_HELD);
    let hold = Reason::CertificateHold;
    let at = bench.ca.now();
    bench
        .ca
        .revoke("iso2/cpo-sub2", serial, hold, at, &by)
        .await
        .unwrap();
    let (full, delta) = ("/crl/iso2/cpo-sub2.crl", "/crl/iso2/cpo-sub2-delta.crl");
    let file = until(&bench, full, |list| !list.is_empty());
    let held_list = pem(&bench, &file);
    let held_list = keep(&bench, &held_list, "held.pem");

    bench.ca.release("iso2/cpo-sub2", serial, &by).await.unwrap();
    let file = until(&bench, full, crl::Crl::is_empty);
    let clean = pem(&bench, &file);
    let number = crl::parse(&std::fs::read(&file).unwrap()).unwrap().number();
    let lifted = |list: &crl::Crl| list.len() == 1 && list.number() < number;
    let change = pem(&bench, &until(&bench, delta, lifted));
    let output = Command::new("openssl")
        .args(["crl", "-noout", "-text", "-in"])
        .arg(&change)
        .output();
    let text = ok(&output.unwrap());
    assert!(
        text.contains("Remove From CRL") && text.contains("Delta CRL"),
        "{text}"
    );

    let subs = bench.pem("subs.pem", &bench.ca.chain("iso2/cpo-sub2").unwrap());
    let verify = |lists: &[&Path], more: &[&str]| {
        let mut command = Command::new("openssl");
        command
            .args(["verify", "-x509_strict", "-crl_check"])
            .args(more)
            .arg("-CAfile")
            .arg(bench.root("iso2/cpo-sub2"))
            .arg("-untrusted")
            .arg(&subs);
        for list in lists {
            command.arg("-CRLfile").arg(list);
        }
        command.arg(bench.file("one.pem")).output().unwrap()
    };
    let output = verify(&[&held_list], &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("certificate revoked") || said.contains("on hold"),
        "{said}"
    );
    ok(&verify(&[&clean], &[]));
    // Whoever has yesterday's list and today's delta knows as well.
    ok(&verify(&[&held_list, &change], &["-use_deltas"]));

    let sub2 = &bench.ca.authority("iso2/cpo-sub2").unwrap().der;
    let sub2 = bench.ca.issuer_of(sub2).unwrap().1;
    // Once more, and then for good: that is not lifted.
    let revoke = async |reason| {
        bench
            .ca
            .revoke("iso2/cpo-sub2", serial, reason, bench.ca.now(), &by)
            .await
    };
    revoke(Reason::CertificateHold).await.unwrap();
    revoke(Reason::KeyCompromise).await.unwrap();
    let never = bench.ca.release("iso2/cpo-sub2", serial, &by).await.unwrap_err();
    assert_eq!(never.code(), codes::NOT_HELD);
    assert!(
        bench
            .ca
            .revoke("iso2/cpo-sub1", sub2, hold, at, &by)
            .await
            .is_err()
    );
}

fn keep(bench: &Bench, from: &Path, name: &str) -> PathBuf {
    let kept = bench.file(name);
    std::fs::copy(from, &kept).unwrap();
    kept
}

#[tokio::test(flavor = "multi_thread")]
async fn gnutls_verifies_every_list_of_every_ca() {
    need!(curl, gnutls);
    let bench = Bench::start().await;
    for authority in bench.ca.authorities() {
        for kind in ["", "-delta"] {
            let (file, _) = fetch(&bench, &format!("/crl/{}{kind}.crl", authority.name));
            let issuer = bench.pem("crl-issuer.pem", std::slice::from_ref(&authority.der));
            let output = Command::new("certtool")
                .args(["--verify-crl", "--load-ca-certificate"])
                .arg(issuer)
                .arg("--infile")
                .arg(pem(&bench, &file))
                .output()
                .unwrap();
            let text = ok(&output) + &String::from_utf8_lossy(&output.stderr);
            assert!(text.contains("Verified"), "{}: {text}", authority.name);
            assert!(!text.contains("Not verified"), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_is_told_when_to_ask_and_nothing_else_is_found() {
    need!(curl);
    let bench = Bench::start().await;
    let head = |path: &str, more: &[&str]| {
        let output = Command::new("curl")
            .args(["--silent", "--include", "--output", "-"])
            .args(more)
            .arg(format!("http://{}{path}", bench.http))
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).to_ascii_lowercase()
    };
    let first = head("/crl/iso2/v2g-root.crl", &[]);
    assert!(first.contains("content-type: application/pkix-crl"), "{first}");
    let etag = first
        .split("etag: ")
        .nth(1)
        .unwrap()
        .split("\r\n")
        .next()
        .unwrap();
    let again = head(
        "/crl/iso2/v2g-root.crl",
        &["-H", &format!("If-None-Match: {etag}")],
    );
    assert!(again.starts_with("http/1.1 304"), "{again}");
    for path in [
        "/crl/iso2/none.crl",
        "/crl/iso2/v2g-root",
        "/crl/x/..%2f..%2fetc.crl",
    ] {
        assert!(head(path, &[]).starts_with("http/1.1 404"), "{path}");
    }
}
