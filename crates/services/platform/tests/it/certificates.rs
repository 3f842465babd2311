//! Certificates over OCPP: who may ask for what, and what comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gridlatch_keys::{FileKey, KeyAlgorithm, Signer as _};
use gridlatch_platform::{Command, NotSigned, Signing, StationAuthority, StationCertificate};
use gridlatch_trust::build::Subject;
use gridlatch_trust::csr;
use gridlatch_vocab::StationId;
use gridlatch_vocab::catalogue::{custody as codes, pki, platform};
use serde_json::{Value, json};

use crate::support::{World, id};

/// Signs nothing: what it returns is told apart from what anybody else would.
#[derive(Debug, Default)]
struct Paper {
    asked: AtomicUsize,
    down: bool,
}

impl StationAuthority for Paper {
    fn sign<'a>(&'a self, _: &'a StationId, _: StationCertificate, csr: &'a [u8]) -> Signing<'a> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if self.down {
                return Err(NotSigned {
                    code: codes::SIGNING_UNAVAILABLE,
                    message: "the authority is down".to_owned(),
                });
            }
            Ok(vec![csr.to_vec(), vec![0x30, 0]])
        })
    }
}

fn request(name: &str) -> String {
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let subject = Subject {
        common_name: name.to_owned(),
        organization: None,
        country: None,
    };
    let der = csr::build(
        &subject,
        None,
        key.public_key_der(),
        KeyAlgorithm::P256,
        &|message| key.sign(message).map_err(Into::into),
    )
    .unwrap();
    csr::to_pem(&der)
}

async fn world(paper: &Arc<Paper>) -> World {
    World::certifying(Arc::clone(paper) as Arc<dyn StationAuthority>).await
}

fn ask(csr: &str, usage: &str) -> Value {
    json!({ "csr": csr, "certificateType": usage })
}

#[tokio::test]
async fn a_station_that_asks_is_answered_with_a_chain_and_its_word_is_recorded() {
    let paper = Arc::new(Paper::default());
    let world = world(&paper).await;
    let mut station = world.station("CS-1").await;
    station.boot().await;
    let answer = station
        .ok(
            "SignCertificate",
            ask(&request("CS-1"), "ChargingStationCertificate"),
        )
        .await;
    assert_eq!(answer["status"], "Accepted");
    let call = station.next().await.unwrap();
    assert_eq!(call[2], "CertificateSigned");
    assert_eq!(call[3]["certificateType"], "ChargingStationCertificate");
    let chain = call[3]["certificateChain"].as_str().unwrap();
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2);
    station
        .send(json!([3, call[1], {"status": "Accepted"}]).to_string())
        .await;
    world.event(codes::SIGNED).await;

    // What the station does not take is said, with its own reason.
    let asked = ask(&request("DE*GDL*E1"), "V2GCertificate");
    station.ok("SignCertificate", asked).await;
    let call = station.next().await.unwrap();
    let info = json!({ "reasonCode": "InvalidCertificate", "additionalInfo": "pki.no_path: no root" });
    station
        .send(json!([3, call[1], {"status": "Rejected", "statusInfo": info}]).to_string())
        .await;
    let event = world.event(codes::REFUSED).await;
    assert!(
        event.message.contains("pki.no_path: no root"),
        "{}",
        event.message
    );
}

#[tokio::test]
async fn requests_that_are_none_or_name_another_station_never_reach_the_authority() {
    let paper = Arc::new(Paper::default());
    let world = world(&paper).await;
    let mut station = world.station("CS-1").await;
    station.boot().await;
    let forged = {
        let mut text = request("CS-1");
        // The last letters of the signature: the proof of possession breaks, the DER does not.
        let at = text.rfind("\n-----END").unwrap() - 8;
        let swapped = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
        text.replace_range(at..=at, swapped);
        text
    };
    let cases = [
        (codes::SIGNING_REFUSED, request("CS-2")),
        (pki::CSR_MALFORMED, "hello".to_owned()),
        (
            pki::CSR_MALFORMED,
            "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n".to_owned(),
        ),
        (pki::CSR_POSSESSION, forged),
    ];
    for (code, csr) in cases {
        let answer = station
            .ok("SignCertificate", ask(&csr, "ChargingStationCertificate"))
            .await;
        assert_eq!(answer["status"], "Rejected", "{code}");
        assert!(answer["statusInfo"]["additionalInfo"].as_str().unwrap().len() > 10);
        world.event(code).await;
    }
    // Longer than OCPP allows is tolerated as OCPP text, and still no request.
    let huge = json!({ "csr": "x".repeat(60_000) });
    assert_eq!(station.ok("SignCertificate", huge).await["status"], "Rejected");
    world.event(pki::CSR_TOO_LARGE).await;
    assert_eq!(paper.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_storm_of_requests_is_answered_once_and_an_authority_that_is_down_is_named() {
    let paper = Arc::new(Paper {
        down: true,
        ..Paper::default()
    });
    let world = world(&paper).await;
    let mut station = world.station("CS-1").await;
    station.boot().await;
    let mut accepted = 0;
    for _ in 0..20 {
        let answer = station
            .ok("SignCertificate", ask(&request("X"), "V2GCertificate"))
            .await;
        accepted += usize::from(answer["status"] == "Accepted");
    }
    assert!((1..20).contains(&accepted), "{accepted} of 20 were taken up");
    assert_eq!(paper.asked.load(Ordering::SeqCst), accepted);
    let event = world.event(codes::SIGNING_UNAVAILABLE).await;
    assert!(event.message.contains("the authority is down"));
}

#[tokio::test]
async fn without_an_authority_the_request_is_refused_with_the_reason() {
    let world = World::new().await;
    let mut station = world.station("CS-1").await;
    station.boot().await;
    let answer = station
        .ok(
            "SignCertificate",
            ask(&request("CS-1"), "ChargingStationCertificate"),
        )
        .await;
    assert_eq!(answer["status"], "Rejected");
    world.event(codes::SIGNING_UNAVAILABLE).await;
}

#[tokio::test]
async fn roots_are_installed_listed_and_removed_at_the_operators_word() {
    let world = World::new().await;
    let mut station = world.station("CS-1").await;
    station.boot().await;
    let order = |command: Command| {
        let state = world.handle.state.clone();
        tokio::spawn(async move { state.command(&id("CS-1"), command, "operator").await })
    };
    let install = order(Command::InstallRoot {
        usage: "V2GRootCertificate".to_owned(),
        pem: "PEM".to_owned(),
    });
    let call = station.next().await.unwrap();
    assert_eq!(
        (&call[2], &call[3]["certificateType"]),
        (&json!("InstallCertificate"), &json!("V2GRootCertificate"))
    );
    let info = json!({ "reasonCode": "InvalidCertificate", "additionalInfo": "custody.no_root: a leaf" });
    station
        .send(json!([3, call[1], {"status": "Rejected", "statusInfo": info}]).to_string())
        .await;
    let error = install.await.unwrap().unwrap_err();
    assert_eq!(error.code, platform::COMMAND_REFUSED);
    assert!(error.message.contains("custody.no_root"), "{error}");

    let state = world.handle.state.clone();
    let list = tokio::spawn(async move { state.installed_certificates(&id("CS-1")).await });
    let call = station.next().await.unwrap();
    assert_eq!(call[2], "GetInstalledCertificateIds");
    let hash = json!({ "hashAlgorithm": "SHA256", "issuerNameHash": "ab", "issuerKeyHash": "cd", "serialNumber": "1" });
    let chain = json!([{ "certificateType": "MORootCertificate", "certificateHashData": hash }]);
    station
        .send(json!([3, call[1], {"status": "Accepted", "certificateHashDataChain": chain}]).to_string())
        .await;
    let listed = list.await.unwrap().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].usage, "MORootCertificate");

    let remove = order(Command::RemoveRoot(listed[0].certificate.clone()));
    let call = station.next().await.unwrap();
    assert_eq!(call[2], "DeleteCertificate");
    assert_eq!(call[3]["certificateHashData"], hash);
    station
        .send(json!([3, call[1], {"status": "Accepted"}]).to_string())
        .await;
    assert_eq!(remove.await.unwrap().unwrap().status, "Accepted");

    let renew = order(Command::RenewCertificate(StationCertificate::Vehicle20));
    let call = station.next().await.unwrap();
    assert_eq!(call[3]["requestedMessage"], "SignV2G20Certificate");
    station
        .send(json!([3, call[1], {"status": "NotImplemented"}]).to_string())
        .await;
    assert_eq!(renew.await.unwrap().unwrap_err().code, platform::COMMAND_REFUSED);
}
