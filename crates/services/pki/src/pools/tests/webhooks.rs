//! Notifications.

use std::sync::{Arc, Mutex};

use axum::routing::post as on_post;
use gridlatch_host::Shutdown;

use super::*;

/// A partner's endpoint on a real socket; answers 500 for the first `failures` requests.
struct Partner {
    port: u16,
    heard: Arc<Mutex<Vec<(String, String)>>>,
}

impl Partner {
    async fn start(failures: usize) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (told, left) = (Arc::clone(&heard), Arc::new(Mutex::new(failures)));
        let handler = move |headers: axum::http::HeaderMap, body: String| async move {
            let mut left = left.lock().unwrap();
            if *left > 0 {
                *left -= 1;
                return StatusCode::INTERNAL_SERVER_ERROR;
            }
            let signature = headers["payload-signature"].to_str().unwrap().to_owned();
            assert_eq!(
                headers["x-hubject-signature"].to_str().unwrap(),
                format!("sha256={signature}")
            );
            told.lock().unwrap().push((signature, body));
            StatusCode::OK
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let app: Router = Router::new().route("/hook", on_post(handler));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { port, heard }
    }
}

async fn register(eco: &Ecosystem, client: &str, port: u16, events: &[&str]) -> Value {
    let body = json!({"url": format!("http://127.0.0.1:{port}/hook"), "enabledEvents": events, "description": "test"});
    let (status, answer) = eco
        .send("POST", "/v1/webhook/endpoints", Some(client), Some(body))
        .await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    answer
}

async fn places(port: u16) -> Places {
    Places::only(vec![format!("http://127.0.0.1:{port}").parse().unwrap()])
}

#[tokio::test]
async fn a_maker_hears_of_contracts_for_its_vehicles_signed_and_again_after_a_failure() {
    let partner = Partner::start(1).await;
    let eco = Ecosystem::with_places(places(partner.port).await).await;
    let hook = register(
        &eco,
        "oem",
        partner.port,
        &["oem.contract.created", "oem.contract.deleted"],
    )
    .await;
    register(&eco, "oem2", partner.port, &["oem.contract.created"]).await;
    let car = eco.world.car("ivan", Generation::Iso2);
    eco.publish(&car).await;
    eco.generate(&car, "DEGDLC00000061").await;
    assert_eq!(
        eco.send(
            "DELETE",
            "/v1/ccp/signedContractData/DEGDLC00000061",
            Some("mo"),
            None
        )
        .await
        .0,
        StatusCode::OK
    );
    let stop = Shutdown::new();
    let running = tokio::spawn({
        let (pools, stop) = (eco.pools.clone(), stop.clone());
        async move { pools.deliver(stop).await }
    });
    // The first attempt fails and comes again after five seconds.
    for _ in 0..600 {
        if partner.heard.lock().unwrap().len() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    stop.cancel();
    running.await.unwrap();
    let heard = partner.heard.lock().unwrap().clone();
    assert_eq!(heard.len(), 2, "and nothing for the other maker");
    let secret = hook["secret"].as_str().unwrap();
    for (signature, body) in &heard {
        assert_eq!(*signature, deliver::signature(secret.as_bytes(), body.as_bytes()));
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["payload"]["emaid"], "DEGDLC00000061");
        assert_eq!(body["payload"]["pcid"], json!(car.vehicle.pcid().reveal()));
        assert_eq!(body["eventId"].as_str().unwrap().len(), 36);
    }
    let mut events: Vec<String> = heard
        .iter()
        .map(|(_, body)| {
            serde_json::from_str::<Value>(body).unwrap()["eventType"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    events.sort();
    assert_eq!(events, ["oem.contract.created", "oem.contract.deleted"]);
    let codes = eco.world.told.codes();
    assert!(codes.contains(&gridlatch_vocab::catalogue::pools::DELIVERY_FAILED));
}

#[tokio::test]
async fn webhooks_lead_to_allowed_places_only_and_belong_to_their_client() {
    let eco = Ecosystem::with_places(Places::only(vec!["https://oem.example".parse().unwrap()])).await;
    let path = "/v1/webhook/endpoints";
    for (body, code) in [
        (
            json!({"url": "https://evil.example/x", "enabledEvents": ["root.cert.added"]}),
            "pools.webhook_refused",
        ),
        (
            json!({"url": "http://169.254.169.254/latest", "enabledEvents": ["root.cert.added"]}),
            "pools.webhook_refused",
        ),
        (
            json!({"url": "https://oem.example/x", "enabledEvents": ["no.such.event"]}),
            "pools.bad_request",
        ),
        (json!({"url": "https://oem.example/x"}), "pools.bad_request"),
        (
            json!({"url": "https://oem.example/x", "enabledEvents": []}),
            "pools.bad_request",
        ),
        (
            json!({"url": "https://oem.example/x", "enabledEvents": ["root.cert.added"], "status": "maybe"}),
            "pools.bad_request",
        ),
        (
            json!({"url": "https://oem.example/x", "enabledEvents": ["root.cert.added"], "description": "x".repeat(2000)}),
            "pools.bad_request",
        ),
    ] {
        let (status, found, answer) = eco.full("POST", path, Some("oem"), Some(body)).await;
        assert_eq!(
            (status, found.as_str()),
            (StatusCode::BAD_REQUEST, code),
            "{answer}"
        );
    }
    let good = json!({"url": "https://oem.example/x", "enabledEvents": ["root.cert.added"]});
    let (_, hook) = eco.send("POST", path, Some("oem"), Some(good.clone())).await;
    let one = format!("{path}/{}", hook["id"].as_str().unwrap());
    for method in ["GET", "DELETE"] {
        assert_eq!(
            eco.send(method, &one, Some("mo"), None).await.0,
            StatusCode::NOT_FOUND
        );
    }
    assert_eq!(
        eco.send("PUT", &one, Some("mo"), Some(good.clone())).await.0,
        StatusCode::NOT_FOUND
    );
    let change = json!({"url": "https://oem.example/y", "status": "disabled"});
    let (_, changed) = eco.send("PUT", &one, Some("oem"), Some(change)).await;
    assert_eq!(
        (&changed["url"], &changed["status"]),
        (&json!("https://oem.example/y"), &json!("disabled"))
    );
    for _ in 0..7 {
        assert_eq!(
            eco.send(
                "POST",
                "/opnc/v1/event/endpoints",
                Some("oem"),
                Some(good.clone())
            )
            .await
            .0,
            StatusCode::CREATED
        );
    }
    assert_eq!(
        eco.send("POST", path, Some("oem"), Some(good)).await.0,
        StatusCode::INSUFFICIENT_STORAGE
    );
    let (_, all) = eco.send("GET", path, Some("oem"), None).await;
    assert_eq!(all.as_array().unwrap().len(), 8);
    assert_eq!(
        eco.send("DELETE", &one, Some("oem"), None).await.0,
        StatusCode::OK
    );
}
