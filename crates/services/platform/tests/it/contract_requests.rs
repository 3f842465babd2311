//! Get15118EVCertificate: what a station is told, whatever the provider of contracts does.

use core::time::Duration;
use std::sync::{Arc, Mutex};

use gridlatch_platform::{
    ContractProvider, PlatformConfig, ProvidedContract, Providing, ProvisioningAction, ProvisioningRefusal,
};
use gridlatch_store::Store;
use gridlatch_vocab::catalogue::{pnc, provisioning};
use serde_json::json;

use crate::support::World;

const ISO2: &str = "urn:iso:15118:2:2013:MsgDef";

/// Answers by what it is asked, and remembers it.
#[derive(Debug, Default)]
struct Service(Mutex<Vec<(String, ProvisioningAction, Vec<u8>)>>);

impl ContractProvider for Service {
    fn get_15118_ev_certificate(
        &self,
        schema_version: String,
        action: ProvisioningAction,
        exi: Vec<u8>,
    ) -> Providing<'_> {
        self.0.lock().unwrap().push((schema_version, action, exi.clone()));
        Box::pin(async move {
            match exi.as_slice() {
                b"good" => Ok(ProvidedContract {
                    exi: b"contract".to_vec(),
                    remaining: 2,
                }),
                b"forged" => Err(ProvisioningRefusal {
                    code: provisioning::SIGNATURE_INVALID,
                    message: "the signature of the vehicle does not verify".to_owned(),
                    exi: Some(b"refusal".to_vec()),
                }),
                b"silent" => {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                    Err(ProvisioningRefusal {
                        code: provisioning::NO_CONTRACT,
                        message: String::new(),
                        exi: None,
                    })
                }
                _ => Err(ProvisioningRefusal {
                    code: provisioning::REQUEST_MALFORMED,
                    message: "it is no EXI".to_owned(),
                    exi: None,
                }),
            }
        })
    }
}

fn asked(action: &str, exi: &str) -> serde_json::Value {
    json!({ "iso15118SchemaVersion": ISO2, "action": action, "exiRequest": exi })
}

#[tokio::test]
async fn a_request_goes_to_the_provider_byte_for_byte_and_its_word_comes_back() {
    let service = Arc::new(Service::default());
    let contracts = Arc::clone(&service);
    let world = World::with(Store::open(":memory:").await.unwrap(), |config| PlatformConfig {
        contracts: Some(contracts),
        ..config
    })
    .await;
    let mut station = world.station("CS-1").await;
    station.boot().await;
    let answer = station
        .ok("Get15118EVCertificate", asked("Install", "Z29vZA=="))
        .await;
    assert_eq!(answer["status"], "Accepted", "{answer}");
    assert_eq!(answer["exiResponse"], "Y29udHJhY3Q=", "{answer}");
    assert_eq!(answer["remainingContracts"], 2, "{answer}");
    world.event(provisioning::CONTRACT_DELIVERED).await;
    assert_eq!(
        *service.0.lock().unwrap(),
        [(ISO2.to_owned(), ProvisioningAction::Install, b"good".to_vec())]
    );

    // A refusal carries the provider's own words for the vehicle, and the reason for the operator.
    let answer = station
        .ok("Get15118EVCertificate", asked("Update", "Zm9yZ2Vk"))
        .await;
    assert_eq!(answer["status"], "Failed", "{answer}");
    assert_eq!(answer["exiResponse"], "cmVmdXNhbA==", "{answer}");
    assert!(answer.to_string().contains("does not verify"), "{answer}");
    world.event(provisioning::SIGNATURE_INVALID).await;

    let answer = station
        .ok("Get15118EVCertificate", asked("Install", "AAEC"))
        .await;
    assert_eq!(
        (&answer["status"], &answer["exiResponse"]),
        (&json!("Failed"), &json!(""))
    );
    world.event(provisioning::REQUEST_MALFORMED).await;

    // What is no base64 or longer than OCPP allows never reaches it.
    let before = service.0.lock().unwrap().len();
    station
        .error("Get15118EVCertificate", asked("Install", "no base64!"))
        .await;
    station
        .error("Get15118EVCertificate", asked("Install", &"A".repeat(40_000)))
        .await;
    station
        .error("Get15118EVCertificate", asked("Steal", "Z29vZA=="))
        .await;
    assert_eq!(service.0.lock().unwrap().len(), before);

    // Silence is bounded by what the vehicle waits, and the connection goes on.
    let began = std::time::Instant::now();
    let answer = station
        .ok("Get15118EVCertificate", asked("Install", "c2lsZW50"))
        .await;
    assert_eq!(answer["status"], "Failed", "{answer}");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    world.event(pnc::CONTRACT_NOT_PROVIDED).await;
    station.ok("Heartbeat", json!({})).await;
}

#[tokio::test]
async fn a_platform_without_a_provider_says_so() {
    let world = World::new().await;
    let mut station = world.station("CS-1").await;
    station.boot().await;
    let answer = station
        .ok("Get15118EVCertificate", asked("Install", "Z29vZA=="))
        .await;
    assert_eq!(answer["status"], "Failed", "{answer}");
    world.event(pnc::CONTRACT_NOT_PROVIDED).await;
}
