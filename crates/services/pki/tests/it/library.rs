//! Enrolment by a library that nobody here wrote: the crate `usg-est-client` on rustls.

use std::process::Command;

use gridlatch_pki::ca::Role;
use gridlatch_testkit::{need, python};

use crate::support::{Bench, ok, requester};

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_library_enrols_and_enrols_again() {
    need!(est_client, openssl);
    let program = python::est_client().unwrap();
    let bench = Bench::start().await;
    let acme = requester(Role::Cpo, "acme");
    let secret = bench
        .clients
        .add("acme", &acme, false, gridlatch_host::now())
        .unwrap();
    let url = format!("https://localhost:{}", bench.https.port());
    let root = bench.root("ocpp/csms-sub");
    let run = |words: &[&str]| {
        let (step, rest) = words.split_first().unwrap();
        let output = Command::new(&program)
            .args([step, url.as_str(), root.to_str().unwrap()])
            .arg(bench.dir.path())
            .args(rest)
            .output();
        ok(&output.unwrap())
    };
    let said = run(&["enroll", "acme", secret.expose(), "DE*LIB*E1"]);
    assert!(said.contains("cacerts 3"), "{said}");
    assert!(said.contains("simpleenroll issued"), "{said}");
    assert!(said.contains("again refused"), "{said}");
    assert!(said.contains("serverkeygen refused"), "{said}");
    bench.verify("iso2/cpo-sub2", &bench.file("library.pem"));

    bench.request_for("library", "/CN=DE*LIB*E1/O=Library/DC=CPO", &[]);
    let request = bench.file("library.csr");
    let said = run(&["reenroll", request.to_str().unwrap()]);
    assert!(said.contains("simplereenroll issued"), "{said}");
    bench.verify("iso2/cpo-sub2", &bench.file("renewed.pem"));
}
