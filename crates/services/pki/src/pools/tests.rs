//! The pools as their clients meet them.
mod foreign;
mod refusals;
mod rights;
mod stories;
mod webhooks;

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use gridlatch_trust::Generation;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::provisioning::tests::{Car, World};

pub(super) struct Ecosystem {
    pub(super) world: World,
    pub(super) pools: Pools,
    pub(super) router: Router,
    pub(super) secrets: BTreeMap<&'static str, String>,
    tokens: BTreeMap<&'static str, String>,
}

/// Every client of the tests: its name, its role, and what it is registered for.
pub(super) const CLIENTS: [(&str, Role, &[&str]); 7] = [
    ("admin", Role::Admin, &[]),
    ("oem", Role::Oem, &["GLD"]),
    ("oem2", Role::Oem, &["WVW"]),
    ("mo", Role::Mo, &["DE-GDL"]),
    ("mo2", Role::Mo, &["NLXYZ"]),
    ("cpo", Role::Cpo, &[]),
    ("cps", Role::Cps, &[]),
];

impl Ecosystem {
    pub(super) async fn new() -> Self {
        Self::with_places(Places::default()).await
    }

    pub(super) async fn with_places(places: Places) -> Self {
        let world = World::new(false).await;
        let pools = Pools::new(world.provisioner.clone(), places);
        let mut this = Self {
            router: router(pools.clone()),
            pools,
            world,
            secrets: BTreeMap::new(),
            tokens: BTreeMap::new(),
        };
        for (name, role, share) in CLIENTS {
            let share: Vec<String> = share.iter().map(|one| (*one).to_owned()).collect();
            let client = NewClient {
                roles: vec![role],
                wmis: if role == Role::Oem {
                    share.clone()
                } else {
                    Vec::new()
                },
                providers: if role == Role::Mo { share } else { Vec::new() },
            };
            let secret = this.pools.register(name, &client).await.unwrap().expose().clone();
            let body = json!({"client_id": name, "client_secret": secret, "audience": "https://x", "grant_type": "client_credentials"});
            let (status, answer) = this.send("POST", "/oauth/token", None, Some(body)).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
            assert_eq!(
                (&answer["expires_in"], &answer["token_type"]),
                (&json!(86400), &json!("Bearer"))
            );
            this.tokens
                .insert(name, answer["access_token"].as_str().unwrap().to_owned());
            this.secrets.insert(name, secret);
        }
        this
    }

    pub(super) fn token(&self, client: &str) -> &str {
        &self.tokens[client]
    }

    pub(super) async fn raw(
        &self,
        request: Request<Body>,
    ) -> (StatusCode, BTreeMap<String, String>, Vec<u8>) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let headers = headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, headers, body.to_vec())
    }

    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        client: Option<&str>,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let (status, _, answer) = self.full(method, path, client, body).await;
        (status, answer)
    }

    /// With the code of the refusal, if it is one.
    pub(super) async fn full(
        &self,
        method: &str,
        path: &str,
        client: Option<&str>,
        body: Option<Value>,
    ) -> (StatusCode, String, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(client) = client {
            request = request.header("authorization", format!("Bearer {}", self.token(client)));
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = request
            .header("content-type", "application/json")
            .body(body)
            .unwrap();
        let (status, headers, body) = self.raw(request).await;
        let code = headers.get("x-gridlatch-code").cloned().unwrap_or_default();
        let value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        (status, code, value)
    }

    /// The manufacturer publishes a vehicle in OPCP's form.
    pub(super) async fn publish(&self, car: &Car) -> Value {
        let body = publication(car);
        let (status, answer) = self
            .send("PUT", "/v1/oem/provCerts", Some("oem"), Some(body))
            .await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }

    pub(super) async fn generate(&self, car: &Car, emaid: &str) {
        let body = order(car, emaid);
        let path = "/v1/cps/generate/signedContractData";
        let (status, answer) = self.send("PUT", path, Some("mo"), Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
    }
}

pub(super) fn publication(car: &Car) -> Value {
    json!({
        "vehicleCertificate": input::text(&car.chain[0]),
        "subCA2Certificate": input::text(&car.chain[1]),
        "subCA1Certificate": input::text(&car.chain[2]),
        "xsdMsgDefNamespace": input::namespace(car.generation),
        "v2gRootAuthorityKeyIdentifiers": ["ab:cd"],
    })
}

pub(super) fn order(car: &Car, emaid: &str) -> Value {
    let now = crate::provisioning::tests::clock();
    json!({
        "contractBegins": gridlatch_vocab::Timestamp(now.0 - time::Duration::HOUR).to_rfc3339(),
        "contractEnds": gridlatch_vocab::Timestamp(now.0 + time::Duration::days(100)).to_rfc3339(),
        "pcid": car.vehicle.pcid().reveal(),
        "emaid": emaid,
        "xsdMsgDefNamespace": input::namespace(car.generation),
    })
}

pub(super) fn asked(car: &Car) -> Value {
    json!({
        "certificateInstallationReq": input::text(&car.ask()),
        "xsdMsgDefNamespace": input::namespace(car.generation),
    })
}

pub(super) const BOTH: [Generation; 2] = [Generation::Iso2, Generation::Iso20];
