//! Certificates over OCPP, from the station's side.

use gridlatch_host::now;
use gridlatch_keys::OpensslVerifier;
use gridlatch_ocpp::Version;
use gridlatch_pki::dev;
use gridlatch_station::custody::{Custody, CustodyConfig, KeyStore, RootUse};
use gridlatch_store::Store;
use gridlatch_trust::{certificate, csr};
use gridlatch_vocab::{Event, EventSink, Timestamp};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::peer::{Peer, start_with};

struct Nobody;

impl EventSink for Nobody {
    fn emit(&self, _: Event) {}
}

/// A station that was delivered 70 days ago with certificates of 90 days.
fn delivered_long_ago(folder: &std::path::Path) -> Custody {
    let then = Timestamp(now().0 - time::Duration::days(70));
    let pki = dev::ensure(&folder.join("pki"), &Nobody, then).unwrap();
    let station = "GL-1".parse().unwrap();
    let vehicle = pki.station_credentials(&station).unwrap();
    let named = certificate::summary(&vehicle[0].chain[0]).unwrap();
    let config = CustodyConfig {
        folder: folder.join("certificates"),
        // Over plain TCP there is none to show.
        platform: None,
        station,
        secc_name: named.subject_cn,
        organization: named.subject_o.unwrap(),
        country: "DE".to_owned(),
        vehicle,
        keys: KeyStore::Files,
        roots: pki
            .v2g_roots()
            .into_iter()
            .map(|der| (RootUse::V2g, der))
            .collect(),
    };
    Custody::open(config, now()).unwrap()
}

fn leaves(custody: &Custody) -> Vec<Vec<u8>> {
    let shown = custody.vehicle_credentials(now()).into_iter();
    shown.map(|mut credential| credential.chain.remove(0)).collect()
}

#[tokio::test]
async fn a_station_asks_by_itself_for_what_is_due_and_takes_no_garbage_for_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let custody = delivered_long_ago(folder.path());
    let before = leaves(&custody);
    assert_eq!(before.len(), 2);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let store = Store::open(":memory:").await.unwrap();
    let began = std::time::Instant::now();
    let station = start_with(&listener, store, Some(custody.clone()));
    let mut peer = Peer::accept(&listener, Version::V21).await;
    peer.boot().await;
    let mut asked = Vec::new();
    for _ in 0..2 {
        let accepted = json!({ "status": "Accepted" });
        let payload = peer.expect("SignCertificate", accepted).await;
        let der = csr::from_pem(payload["csr"].as_str().unwrap().as_bytes()).unwrap();
        let request = csr::parse(&der, &OpensslVerifier).expect("the request proves its key");
        asked.push((
            payload["certificateType"].as_str().unwrap().to_owned(),
            request.subject.common_name.unwrap(),
        ));
    }
    assert!(began.elapsed().as_secs() >= 4, "not in the rush of the start");
    asked.sort();
    let name = |index: usize| certificate::summary(&before[index]).unwrap().subject_cn;
    assert_eq!(
        asked,
        [
            ("V2G20Certificate".to_owned(), name(0)),
            ("V2GCertificate".to_owned(), name(1)),
        ]
    );

    let foreign: String = before.iter().map(|der| certificate::to_pem(der)).collect();
    for (usage, chain, code) in [
        ("V2GCertificate", "garbage".to_owned(), "pki.malformed"),
        (
            "V2GCertificate",
            String::from_utf8_lossy(&[b'A'; 5000]).into_owned(),
            "pki.malformed",
        ),
        ("V2G20Certificate", foreign.clone(), "custody.not_asked"),
        ("ChargingStationCertificate", foreign, "custody.not_asked"),
    ] {
        let signed = json!({ "certificateChain": chain, "certificateType": usage });
        let answer: Vec<Value> = peer.call("CertificateSigned", signed).await;
        assert_eq!(answer[2]["status"], "Rejected", "{answer:?}");
        let said = answer[2]["statusInfo"]["additionalInfo"].as_str().unwrap();
        assert!(said.starts_with(code), "{said}");
        assert_eq!(leaves(&custody), before, "what it serves has not changed");
    }
    station
        .hears(&["custody.requested", "pki.malformed", "custody.not_asked"])
        .await;
    station.finish().await;
}
