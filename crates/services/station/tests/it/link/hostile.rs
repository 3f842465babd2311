//! Evil certificates and roots that a platform sends to a station: refused by a code, nothing written, nothing shown
//! that was not shown before, and the honest answer still counts afterwards.

use std::collections::BTreeMap;
use std::path::Path;

use gridlatch_host::now;
use gridlatch_keys::{FileKey, KeyAlgorithm, OpensslVerifier, Signer as _};
use gridlatch_ocpp::Version;
use gridlatch_station::custody::{CertificateUse, Custody, CustodyConfig, KeyStore, RootUse};
use gridlatch_store::Store;
use gridlatch_testkit::evil::{self, Evil, Template};
use gridlatch_trust::csr;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::peer::{Peer, Station, start_with};

const NAME: &str = "DE*GDL*E1";

fn signer(key: &FileKey) -> impl Fn(&[u8]) -> Vec<u8> + '_ {
    |message| key.sign(message).unwrap()
}

/// A V2G root and a CPO sub-CA that a station trusts.
struct Pki {
    root_key: FileKey,
    sub_key: FileKey,
    root: Template,
    sub: Template,
}

impl Pki {
    fn new() -> Self {
        let key = || FileKey::generate(KeyAlgorithm::P256).unwrap();
        let (root_key, sub_key) = (key(), key());
        let (root, sub) = (evil::name(b"V2G Root", None), evil::name(b"CPO Sub", None));
        Self {
            root: Template::ca(&root, &root, root_key.public_key_der(), 1, None),
            sub: Template::ca(&root, &sub, sub_key.public_key_der(), 2, Some(0)),
            root_key,
            sub_key,
        }
    }

    fn custody(&self, folder: &Path) -> Custody {
        let config = CustodyConfig {
            folder: folder.to_owned(),
            platform: None,
            station: "GL-1".parse().unwrap(),
            secc_name: NAME.to_owned(),
            organization: "Test".to_owned(),
            country: "DE".to_owned(),
            vehicle: Vec::new(),
            keys: KeyStore::Files,
            roots: vec![(RootUse::V2g, self.root.signed(&signer(&self.root_key)))],
        };
        Custody::open(config, now()).unwrap()
    }
}

fn pem(chain: &[Vec<u8>]) -> String {
    chain.iter().map(|der| evil::pem(der)).collect()
}

/// Every file below a folder, with its octets.
fn on_disk(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.display().to_string(), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// A platform whose station comes back when it had to close the connection.
struct Platform {
    listener: TcpListener,
    peer: Peer,
    station: Station,
    sent: u32,
}

impl Platform {
    async fn new(custody: &Custody) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let store = Store::open(":memory:").await.unwrap();
        let station = start_with(&listener, store, Some(custody.clone()));
        let mut peer = Peer::accept(&listener, Version::V21).await;
        peer.boot().await;
        Self {
            listener,
            peer,
            station,
            sent: 0,
        }
    }

    /// The station's answer; `None` if the connection ended instead, and stands again.
    async fn call(&mut self, action: &str, payload: &Value) -> Option<Value> {
        self.sent += 1;
        let id = format!("evil-{}", self.sent);
        let call = json!([2, id, action, payload]).to_string();
        let message = tokio_tungstenite::tungstenite::Message::text(call);
        // The station may close while it is still being sent.
        let _ = futures_util::SinkExt::send(&mut self.peer.socket, message).await;
        loop {
            let next = futures_util::StreamExt::next(&mut self.peer.socket);
            let next = tokio::time::timeout(super::PATIENCE, next)
                .await
                .expect("an answer in time");
            let text = match next {
                Some(Ok(tokio_tungstenite::tungstenite::Message::Text(text))) => text,
                Some(Ok(_)) => continue,
                _ => break,
            };
            let frame: Value = serde_json::from_str(&text).unwrap();
            if frame[0] == 2 {
                // What it asks of its own accord is for another test.
                let (id, accepted) = (frame[1].as_str().unwrap(), json!({ "status": "Accepted" }));
                self.peer.answer(id, accepted).await;
                continue;
            }
            assert_eq!(frame[1], id, "{frame}");
            return Some(frame);
        }
        self.peer = Peer::accept(&self.listener, Version::V21).await;
        self.peer.boot().await;
        None
    }

    /// Has to be refused by a code.
    async fn refused(&mut self, defect: &str, action: &str, payload: &Value) {
        let Some(frame) = self.call(action, payload).await else {
            assert_eq!(defect, "an extension of a megabyte", "the connection ended");
            return;
        };
        if frame[0] == 4 {
            return;
        }
        assert_eq!(frame[2]["status"], "Rejected", "{defect}: {frame}");
        let said = frame[2]["statusInfo"]["additionalInfo"].as_str().unwrap();
        assert!(
            said.starts_with("pki.") || said.starts_with("custody."),
            "{defect}: {said}"
        );
        assert!(said.len() <= 1024 && !said.contains('\0'), "{defect}: {said}");
    }
}

#[tokio::test]
async fn every_defect_in_a_certificate_for_a_station_is_refused_and_the_honest_one_is_taken_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let pki = Pki::new();
    let custody = pki.custody(folder.path());
    let request = custody.request(CertificateUse::Vehicle).unwrap();
    let der = csr::from_pem(request.csr.as_bytes()).unwrap();
    let spki = csr::parse(&der, &OpensslVerifier).unwrap().spki;
    let sub_name = evil::name(b"CPO Sub", None);
    let leaf = Template::leaf(&sub_name, NAME, Some("CPO"), &spki, 0x88);
    let (by_root, by_sub) = (signer(&pki.root_key), signer(&pki.sub_key));
    let (honest, sub) = (leaf.signed(&by_sub), pki.sub.signed(&by_root));
    let mut platform = Platform::new(&custody).await;
    let before = on_disk(folder.path());

    let mut cases: Vec<(&str, String)> = Vec::new();
    for Evil { defect, der } in evil::certificates(&leaf, &by_sub) {
        cases.push((defect, pem(&[der, sub.clone()])));
    }
    for Evil { defect, der } in evil::certificates(&pki.sub, &by_root) {
        // A CA may well have the basic constraints of a CA.
        if defect != "basic constraints of a CA in a leaf" {
            cases.push((defect, pem(&[honest.clone(), der])));
        }
    }
    let root_name = evil::name(b"V2G Root", None);
    let (key, text) = (pki.sub_key.public_key_der(), pem(&[honest.clone(), sub.clone()]));
    let ladder = evil::ladder("CPO Sub", &root_name, key, 100, &by_sub);
    let rings = evil::rings("CPO Sub", key, 6, &by_sub);
    cases.extend([
        ("no text", String::new()),
        ("half a block", text[..text.len() / 2].to_owned()),
        ("three hundred blocks", evil::pem(&[0x30, 0]).repeat(300)),
        ("its CA first", pem(&[sub.clone(), honest.clone()])),
        (
            "a ladder of a hundred",
            pem(&[std::slice::from_ref(&honest), &ladder[..]].concat()),
        ),
        (
            "a ladder of six",
            pem(&[std::slice::from_ref(&honest), &ladder[..6]].concat()),
        ),
        (
            "rings",
            pem(&[std::slice::from_ref(&honest), &rings[..10]].concat()),
        ),
    ]);
    assert!(cases.len() > 80, "{}", cases.len());
    for (defect, chain) in cases {
        let payload = json!({ "certificateChain": chain, "certificateType": "V2GCertificate" });
        platform.refused(defect, "CertificateSigned", &payload).await;
        assert!(custody.vehicle_credentials(now()).is_empty(), "{defect}: shown");
    }
    assert_eq!(on_disk(folder.path()), before, "something was written");

    let payload = json!({ "certificateChain": text, "certificateType": "V2GCertificate" });
    let answer = platform.call("CertificateSigned", &payload).await.unwrap();
    assert_eq!(answer[2]["status"], "Accepted", "{answer}");
    let shown = custody.vehicle_credentials(now());
    assert_eq!(shown[0].chain, [honest, sub]);
    platform.station.finish().await;
}

#[tokio::test]
async fn every_defect_in_a_root_is_refused_for_every_use_and_the_honest_one_is_taken_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let (pki, other) = (Pki::new(), Pki::new());
    let custody = pki.custody(folder.path());
    let mut platform = Platform::new(&custody).await;
    let by_root = signer(&other.root_key);
    let honest = other.root.signed(&by_root);
    for usage in RootUse::ALL {
        let install = |text: String| json!({ "certificateType": usage.word(), "certificate": text });
        let (before, held) = (on_disk(folder.path()), custody.roots(usage));
        for Evil { defect, der } in evil::certificates(&other.root, &by_root) {
            // A root may well have the basic constraints of a CA.
            if defect != "basic constraints of a CA in a leaf" {
                let payload = install(pem(&[der]));
                platform.refused(defect, "InstallCertificate", &payload).await;
            }
        }
        for (defect, text) in [
            ("no text", String::new()),
            (
                "no Base64",
                "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n".to_owned(),
            ),
            ("two of them", pem(&[honest.clone(), honest.clone()])),
            ("a sub-CA", pem(&[other.sub.signed(&by_root)])),
            (
                "another's signature",
                pem(&[other.root.signed(&signer(&other.sub_key))]),
            ),
            ("three hundred blocks", evil::pem(&[0x30, 0]).repeat(300)),
        ] {
            platform
                .refused(defect, "InstallCertificate", &install(text))
                .await;
        }
        assert_eq!(on_disk(folder.path()), before, "something was written");
        assert_eq!(custody.roots(usage), held);
        let taken = install(pem(std::slice::from_ref(&honest)));
        let answer = platform.call("InstallCertificate", &taken).await.unwrap();
        assert_eq!(answer[2]["status"], "Accepted", "{answer}");
        assert!(custody.roots(usage).contains(&honest));
    }
    platform.station.finish().await;
}
