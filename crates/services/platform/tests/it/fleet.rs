//! A fleet of stations that hold roots: honest ones, ones that refuse, lie or say nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use gridlatch_keys::{FileKey, KeyAlgorithm, Signer as _};
use gridlatch_trust::build::{Issuer, Request, Subject, build};
use gridlatch_trust::cross::{Link, link};
use gridlatch_trust::profile::Kind;
use gridlatch_trust::{Profile, certificate};
use gridlatch_vocab::Timestamp;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// An old root, a new one, and what joins them.
pub(crate) struct Roots {
    pub(crate) old: Vec<u8>,
    pub(crate) new: Vec<u8>,
    pub(crate) link: Vec<u8>,
}

pub(crate) fn pem(der: &[u8]) -> String {
    certificate::to_pem(der)
}

pub(crate) fn roots() -> Roots {
    let now = gridlatch_host::now();
    let from = Timestamp(now.0 - time::Duration::DAY);
    let root = |name: &str, key: &FileKey| {
        let request = Request {
            profile: Profile::iso2(Kind::V2gRoot),
            subject: Subject {
                common_name: name.to_owned(),
                organization: None,
                country: None,
            },
            spki: key.public_key_der(),
            serial: &[1, 2, 3],
            not_before: from,
            not_after: None,
            alt_names: Vec::new(),
            ocsp_url: None,
            crl_url: None,
        };
        build(&request, Issuer::Itself, KeyAlgorithm::P256, &|message| {
            key.sign(message).map_err(Into::into)
        })
        .unwrap()
    };
    let (first, second) = (
        FileKey::generate(KeyAlgorithm::P256).unwrap(),
        FileKey::generate(KeyAlgorithm::P256).unwrap(),
    );
    let (old, new) = (root("Root G1", &first), root("Root G2", &second));
    let link = link(
        (&old, &new),
        Link::NewWithOld,
        Profile::iso2(Kind::V2gRoot),
        (&[9, 9, 9], from),
        KeyAlgorithm::P256,
        &|message| first.sign(message).map_err(Into::into),
    )
    .unwrap();
    Roots { old, new, link }
}

/// How a station answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Does what it says.
    Honest,
    /// Refuses to install anything.
    Refuses,
    /// Says Accepted and installs nothing.
    Lies,
    /// Answers nothing about certificates.
    Silent,
    /// Does not hold the old root.
    Bare,
}

/// What a station was told and holds, whoever is connected.
#[derive(Debug, Default, Clone)]
pub(crate) struct Held {
    pub(crate) roots: Vec<Vec<u8>>,
    pub(crate) installs: usize,
    pub(crate) removes: usize,
}

pub(crate) type Fleet = Arc<Mutex<BTreeMap<String, Held>>>;

fn hashes(der: &[u8]) -> Value {
    let data = certificate::hash_data(der, der).unwrap();
    json!({
        "hashAlgorithm": "SHA256", "issuerNameHash": data.issuer_name_hash,
        "issuerKeyHash": data.issuer_key_hash, "serialNumber": data.serial_number,
    })
}

fn answer(action: &str, payload: &Value, manner: Manner, held: &mut Held) -> Option<Value> {
    Some(match action {
        _ if manner == Manner::Silent => return None,
        "GetInstalledCertificateIds" => {
            let rows: Vec<Value> = held
                .roots
                .iter()
                .map(|root| json!({ "certificateType": "V2GRootCertificate", "certificateHashData": hashes(root) }))
                .collect();
            if rows.is_empty() {
                json!({ "status": "NotFound" })
            } else {
                json!({ "status": "Accepted", "certificateHashDataChain": rows })
            }
        }
        "InstallCertificate" => {
            held.installs += 1;
            if manner == Manner::Refuses {
                json!({ "status": "Rejected", "statusInfo": { "reasonCode": "InvalidCertificate" } })
            } else {
                let text = payload["certificate"].as_str().unwrap_or_default();
                let der = certificate::from_pem(text.as_bytes()).expect("PEM").remove(0);
                if manner != Manner::Lies && !held.roots.contains(&der) {
                    held.roots.push(der);
                }
                json!({ "status": "Accepted" })
            }
        }
        "DeleteCertificate" => {
            held.removes += 1;
            let wanted = &payload["certificateHashData"];
            let before = held.roots.len();
            held.roots
                .retain(|root| hashes(root)["issuerKeyHash"] != wanted["issuerKeyHash"]);
            json!({ "status": if held.roots.len() < before { "Accepted" } else { "NotFound" } })
        }
        _ => json!({}),
    })
}

/// A station that connects, and connects again whenever the platform is gone.
pub(crate) async fn run(address: SocketAddr, name: String, manner: Manner, fleet: Fleet) {
    loop {
        let mut request = format!("ws://{address}/ocpp/{name}")
            .into_client_request()
            .unwrap();
        request
            .headers_mut()
            .insert("sec-websocket-protocol", "ocpp2.0.1".parse().unwrap());
        let Ok((mut socket, _)) = tokio_tungstenite::connect_async(request).await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else { continue };
            let frame: Value = serde_json::from_str(text.as_str()).unwrap();
            if frame[0] != 2 {
                continue;
            }
            let said = {
                let mut fleet = fleet.lock().unwrap();
                let held = fleet.get_mut(&name).unwrap();
                answer(frame[2].as_str().unwrap(), &frame[3], manner, held)
            };
            // The work is done, the answer is under way for a moment: that is when a platform dies.
            tokio::time::sleep(Duration::from_millis(5)).await;
            if let Some(said) = said
                && socket
                    .send(Message::Text(json!([3, frame[1], said]).to_string().into()))
                    .await
                    .is_err()
            {
                break;
            }
        }
    }
}
