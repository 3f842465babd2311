//! The pools of Plug & Charge beside enrolment, as `gridlatch pki serve` and `gridlatch up` serve them, asked by curl.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops there"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use gridlatch_store::{PoolVehicle, Store};
use gridlatch_testkit::{Process, need};
use gridlatch_vocab::{Personal, Timestamp};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_gridlatch");
const SOON: Duration = Duration::from_secs(60);

/// A service on a folder of its own.
struct Served {
    data: PathBuf,
    process: Process,
    base: String,
    roots: PathBuf,
}

fn gridlatch(data: &Path, words: &str) -> Output {
    let output = Command::new(BINARY)
        .args(words.split_whitespace())
        .arg("--data")
        .arg(data)
        .output()
        .unwrap();
    assert!(output.status.success(), "{words}: {output:?}");
    output
}

impl Served {
    fn start(data: &Path, words: &str, ready: &str) -> Self {
        let mut command = Command::new(BINARY);
        command
            .args(words.split_whitespace())
            .args(["--est", "127.0.0.1:0", "--status", "127.0.0.1:0", "--data"])
            .arg(data);
        let mut process = Process::spawn(words.split(' ').next_back().unwrap(), command).unwrap();
        process.wait_line(SOON, |line| line.contains(ready)).unwrap();
        let said = process.output();
        let line = said.lines().find(|line| line.contains("pools ")).unwrap();
        let base = line.split_whitespace().nth(1).unwrap();
        let base = base.strip_suffix("/v1").unwrap().to_owned();
        let roots = data.join("csms-roots.pem");
        if !roots.exists() {
            let out = roots.display();
            gridlatch(data, &format!("pki bundle --roots csms --out {out}"));
        }
        Self {
            data: data.to_owned(),
            process,
            base,
            roots,
        }
    }

    /// Registers a client while the service runs, and fetches its token.
    fn client(&self, words: &str) -> String {
        let made = gridlatch(&self.data, &format!("pki pools client {words} --format json"));
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}",
            made["client_id"].as_str().unwrap(),
            made["client_secret"].as_str().unwrap()
        );
        let (status, answer) = self.curl(&["--data", &form, &format!("{}/oauth/token", self.base)]);
        assert_eq!(status, 200, "{answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    fn curl(&self, words: &[&str]) -> (u16, String) {
        let output = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--max-time",
                "30",
                "--write-out",
                "\n%{http_code}",
            ])
            .arg("--cacert")
            .arg(&self.roots)
            .args(words)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let (body, status) = said
            .rsplit_once('\n')
            .unwrap_or_else(|| panic!("{:?}", output.stderr));
        (status.parse().unwrap(), body.to_owned())
    }

    fn ask(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> (u16, Value) {
        let url = format!("{}{path}", self.base);
        let authorization = format!("Authorization: Bearer {token}");
        let mut words = vec!["--request", method, "--header", &authorization, &url];
        let body = body.map(Value::to_string);
        if let Some(body) = &body {
            words.extend(["--header", "Content-Type: application/json", "--data", body]);
        }
        let (status, said) = self.curl(&words);
        (status, serde_json::from_str(&said).unwrap_or(Value::String(said)))
    }

    fn stop(mut self) {
        self.process.interrupt().unwrap();
        assert!(self.process.wait_exit(SOON).unwrap().success());
    }
}

/// Every path of both protocols with its method, as `docs/pools.md` lists them, and enrolment beside them.
const PATHS: &[(&str, &str)] = &[
    ("GET", "/v1/root/rootCerts"),
    ("GET", "/v1/root/rootCerts/x"),
    ("PUT", "/v1/root/rootCerts"),
    ("DELETE", "/v1/root/rootCerts/x"),
    ("GET", "/v1/root/rootCerts/x/linkCerts"),
    ("GET", "/v1/root/linkCerts"),
    ("PUT", "/v1/root/linkCerts"),
    ("GET", "/v1/root/ctl"),
    ("PUT", "/v1/oem/provCerts"),
    ("GET", "/v1/oem/provCerts/x"),
    ("DELETE", "/v1/oem/provCerts/x"),
    ("GET", "/v1/oem/provCerts/lookupVehicle/x"),
    ("GET", "/v1/oem/lookupVehicle/x"),
    ("POST", "/v1/ccp/signedContractData"),
    ("PUT", "/v1/ccp/signedContractData"),
    ("GET", "/v1/ccp/signedContractData/x"),
    ("DELETE", "/v1/ccp/signedContractData/x"),
    ("PUT", "/v1/ccp/signedContractData/x/y/default"),
    ("GET", "/v1/ccp/provideSignedContractData/x/y"),
    ("GET", "/v1/ccp/lookupContract/x"),
    ("PUT", "/v1/cps/contractData/signed"),
    ("PUT", "/v1/cps/signedContractData"),
    ("PUT", "/v1/cps/forward/signedContractData"),
    ("PUT", "/v1/cps/generate/signedContractData"),
    ("GET", "/cps/signer"),
    ("GET", "/v1/cps/signer"),
    ("GET", "/v1/webhook/endpoints"),
    ("GET", "/v1/webhook/endpoints/x"),
    ("GET", "/opnc/v1/rcp/rootcertificates"),
    ("GET", "/opnc/v1/rcp/rootcertificates/x"),
    ("GET", "/opnc/v1/rcp/rootcertificates/x/linkcertificates"),
    ("GET", "/opnc/v1/rcp/linkcertificates"),
    ("PUT", "/opnc/v1/rcp/linkcertificates"),
    ("PUT", "/opnc/v1/pcp/provisioningcertificates"),
    ("GET", "/opnc/v1/pcp/provisioningcertificates/x"),
    ("GET", "/opnc/v1/pcp/lookupvehicle/x"),
    ("POST", "/opnc/v1/ccp/signedcontractdata"),
    ("PUT", "/opnc/v1/ccp/signedcontractdata"),
    ("DELETE", "/opnc/v1/ccp/signedcontractdata/x"),
    ("GET", "/opnc/v1/ccp/contractData/pcid/x"),
    ("GET", "/opnc/v1/ccp/contractData/emaid/x"),
    ("GET", "/opnc/v1/ccp/signedcontractdata/x/y"),
    ("POST", "/opnc/v1/ccp/signedcontractdata/x/y/setdefault"),
    ("PUT", "/opnc/v1/cps/contractData/sign"),
    ("PUT", "/opnc/v1/cps/contractData/generateandsign"),
    ("GET", "/opnc/v1/cps/cpsCertificates"),
    ("GET", "/opnc/v1/event/endpoints"),
];

#[test]
fn pki_serve_answers_on_every_published_path_and_enrols_on_the_same_address() {
    need!(curl);
    let dir = tempfile::tempdir().unwrap();
    gridlatch(dir.path(), "pki init --single-operator --name Acme");
    let served = Served::start(dir.path(), "pki serve", "Ctrl-C stops");
    for (method, path) in PATHS {
        let (status, said) = served.ask(method, path, "nobody", None);
        assert_eq!(status, 401, "{method} {path}: {said}");
        assert!(said["errorMessages"][0].is_string(), "{method} {path}: {said}");
    }
    // Enrolment, and what MaEVe and CitrineOS look for below their base address.
    for path in [
        "/.well-known/est/cacerts",
        "/cpo/cacerts/ISO15118-2",
        "/est/cpo/cacerts/ISO15118-2",
        "/cps/cacerts/ISO15118-2",
    ] {
        let (status, said) = served.curl(&[&format!("{}{path}", served.base)]);
        assert_eq!(status, 200, "{path}: {said}");
    }
    let token = served.client("acme --role cpo");
    let (status, roots) = served.ask("GET", "/v1/root/rootCerts", &token, None);
    assert_eq!(status, 200);
    let roots = roots["RootCertificateCollection"]["rootCertificates"]
        .as_array()
        .unwrap();
    // V2G, OEM and MO of each of the three trees of ISO 15118.
    assert_eq!(roots.len(), 9);
    served.stop();
    // The same folder again: the client is still known, and no root twice.
    let served = Served::start(dir.path(), "pki serve", "Ctrl-C stops");
    let (status, again) = served.ask("GET", "/v1/root/rootCerts", &token, None);
    assert_eq!(status, 200);
    assert_eq!(
        again["RootCertificateCollection"]["rootCertificates"]
            .as_array()
            .unwrap(),
        roots
    );
    served.stop();
}

fn seed(data: &Path) -> String {
    let pcid = "GLDZZZ00000000017P".to_owned();
    std::fs::create_dir_all(data).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Store::open(data.join("platform.db").to_str().unwrap())
            .await
            .unwrap();
        store
            .pool_vehicle_put(PoolVehicle {
                pcid: Personal::new(pcid.clone()),
                generation: "iso2".to_owned(),
                owner: "oem".to_owned(),
                fingerprint: "00".repeat(32),
                chain: vec![vec![1, 2, 3]],
                roots: Vec::new(),
                previous: None,
                at: Timestamp::from_unix_millis(1_790_000_000_000),
            })
            .await
            .unwrap();
    });
    pcid
}

#[test]
fn up_serves_the_pools_of_its_ca_and_takes_over_what_the_platforms_database_held() {
    need!(curl);
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let pcid = seed(&data);
    let words = "up --console 127.0.0.1:0 --ocpp 127.0.0.1:0";
    let served = Served::start(&data, words, "Ctrl-C stops");
    // The vehicle of the old database is known to the pool, which finds that its certificate is none.
    let oem = served.client("oem --role oem --wmi GLD");
    let (status, said) = served.ask("GET", &format!("/v1/oem/provCerts/{pcid}"), &oem, None);
    assert_eq!(status, 404, "{said}");
    assert!(said.to_string().contains("cannot be read"), "{said}");
    let mo = served.client("mo --role mo --provider DE-GDL");
    let order = json!({
        "contractBegins": "2020-01-01T00:00:00Z", "contractEnds": "2099-01-01T00:00:00Z", "emaid": "DEGDLC00000088",
        "pcid": "GLDZZZ00000000099P", "xsdMsgDefNamespace": "urn:iso:15118:2:2013:MsgDef",
    });
    let (status, said) = served.ask("PUT", "/v1/cps/generate/signedContractData", &mo, Some(&order));
    assert_eq!(status, 404, "nobody published that vehicle: {said}");
    let (status, signers) = served.ask("GET", "/cps/signer", &mo, None);
    assert_eq!(status, 200, "{signers}");
    assert_eq!(signers["cpsCertificates"].as_array().unwrap().len(), 2);
    served.stop();
    let log = std::fs::read_to_string(data.join("security.jsonl")).unwrap();
    assert!(log.contains("pools.moved"), "{log}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let old = data.join("platform.db");
    let left = runtime.block_on(async {
        let store = Store::open(old.to_str().unwrap()).await.unwrap();
        store.pool_vehicle(&pcid, None).await.unwrap()
    });
    assert!(left.is_none(), "still in platform.db");
}

/// Writes Base64 of DER as PEM.
fn pem(path: &Path, text: &Value) {
    let text = text.as_str().unwrap();
    let lines: Vec<&str> = (0..text.len())
        .step_by(64)
        .map(|at| &text[at..text.len().min(at + 64)])
        .collect();
    let pem = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    );
    std::fs::write(path, pem).unwrap();
}

/// Whether OpenSSL believes `leaf` by `anchor` alone, through `between`.
fn believes(anchor: &Path, between: Option<&Path>, leaf: &Path) -> bool {
    let mut openssl = Command::new("openssl");
    openssl.args(["verify", "-x509_strict", "-CAfile"]).arg(anchor);
    if let Some(between) = between {
        openssl.arg("-untrusted").arg(between);
    }
    openssl.arg(leaf).output().unwrap().status.success()
}

#[test]
fn who_holds_one_root_fetches_the_link_to_the_other_from_the_root_pool_and_openssl_verifies_both_ways() {
    need!(curl);
    need!(openssl);
    let dir = tempfile::tempdir().unwrap();
    gridlatch(dir.path(), "pki init --single-operator --name Acme");
    let served = Served::start(dir.path(), "pki serve", "Ctrl-C stops");
    let token = served.client("acme --role cpo");
    let (_, none) = served.ask("GET", "/v1/root/linkCerts", &token, None);
    assert_eq!(none, json!({"linkCertificates": []}));

    // The root is renewed while the pool is served.
    let plan = dir.path().join("g2.json");
    gridlatch(
        dir.path(),
        &format!("pki rollover prepare {} --tree iso2", plan.display()),
    );
    let (status, links) = served.ask("GET", "/v1/root/linkCerts", &token, None);
    assert_eq!(status, 200, "{links}");
    let links = links["linkCertificates"].as_array().unwrap().clone();
    assert_eq!(links.len(), 2, "old-with-new and new-with-old");
    for link in &links {
        let of = |which: &str| {
            let id = link[which].as_str().unwrap();
            let (status, root) = served.ask("GET", &format!("/v1/root/rootCerts/{id}"), &token, None);
            assert_eq!(status, 200, "{root}");
            root["RootResponse"]["caCertificate"].clone()
        };
        let [issuer, subject, between] =
            ["issuer.pem", "subject.pem", "link.pem"].map(|name| dir.path().join(name));
        pem(&issuer, &of("issuerRootCertificateId"));
        pem(&subject, &of("subjectRootCertificateId"));
        pem(&between, &link["linkCertificate"]);
        assert!(believes(&issuer, None, &between), "{link}");
        assert!(
            !believes(&subject, None, &between),
            "the other root did not sign it"
        );
        // Both roots have it among theirs, in either dialect; a root of another tree does not.
        for which in ["issuerRootCertificateId", "subjectRootCertificateId"] {
            let id = link[which].as_str().unwrap();
            for path in [
                "/v1/root/rootCerts/{}/linkCerts",
                "/opnc/v1/rcp/rootcertificates/{}/linkcertificates",
            ] {
                let (status, of_root) = served.ask("GET", &path.replace("{}", id), &token, None);
                assert_eq!(status, 200);
                assert!(of_root["linkCertificates"].as_array().unwrap().contains(link));
            }
        }
    }
    // A certificate that leads to the new root is believed by the old one, through the link.
    let new_with_old = links
        .iter()
        .find(|link| link["issuerFingerprint"] != links[0]["issuerFingerprint"])
        .unwrap();
    let other = &links[0];
    for (link, back) in [(new_with_old, other), (other, new_with_old)] {
        let root = |which: &str, name: &str| {
            let id = link[which].as_str().unwrap();
            let (_, root) = served.ask("GET", &format!("/v1/root/rootCerts/{id}"), &token, None);
            let path = dir.path().join(name);
            pem(&path, &root["RootResponse"]["caCertificate"]);
            path
        };
        let (anchor, between, leaf) = (
            root("issuerRootCertificateId", "a.pem"),
            dir.path().join("b.pem"),
            dir.path().join("c.pem"),
        );
        pem(&between, &link["linkCertificate"]);
        // What the far root has signed: the link the other way.
        pem(&leaf, &back["linkCertificate"]);
        assert!(believes(&anchor, Some(&between), &leaf));
    }
    // Links are no anchors: they are in the trust list beside the roots, not among them.
    let (_, roots) = served.ask("GET", "/v1/root/rootCerts", &token, None);
    let roots = roots["RootCertificateCollection"]["rootCertificates"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(roots.len(), 10);
    assert!(roots.iter().all(|root| {
        links
            .iter()
            .all(|link| link["linkCertificate"] != root["caCertificate"])
    }));
    let (_, list) = served.ask("GET", "/v1/root/ctl", &token, None);
    assert_eq!(list["CTL"]["linkCertificates"], json!(links));

    // Prepared again, there are two still. Refused: what joins nothing, and who is no operator of the pool.
    let again = dir.path().join("again.json");
    gridlatch(
        dir.path(),
        &format!("pki rollover prepare {} --tree iso2", again.display()),
    );
    let (_, fresh) = served.ask("GET", "/v1/root/linkCerts", &token, None);
    assert_eq!(fresh["linkCertificates"].as_array().unwrap().len(), 2);
    let admin = served.client("boss --role admin");
    let body = |certificate: &Value| json!({"linkCertificate": certificate});
    let link = &links[0]["linkCertificate"];
    let put = |token: &str, body: &Value| served.ask("PUT", "/v1/root/linkCerts", token, Some(body)).0;
    assert_eq!(put(&token, &body(link)), 403);
    assert_eq!(put(&admin, &body(link)), 200);
    let status = put(&admin, &body(&roots[0]["caCertificate"]));
    assert!((400..500).contains(&status), "a root is no link: {status}");
    // A root that leaves the pool takes its links with it.
    let gone = links[0]["subjectRootCertificateId"].as_str().unwrap();
    assert_eq!(
        served
            .ask("DELETE", &format!("/v1/root/rootCerts/{gone}"), &admin, None)
            .0,
        200
    );
    let (_, left) = served.ask("GET", "/v1/root/linkCerts", &token, None);
    assert_eq!(left, json!({"linkCertificates": []}));
    served.stop();
}
