//! Webhooks: where partners want to be told, and putting what they should be told into the queue.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use gridlatch_store::{ContractStored, PoolContract, PoolRoot, PoolWebhook};
use gridlatch_trust::{Generation, certificate};
use gridlatch_vocab::catalogue::pools as codes;
use gridlatch_vocab::{Emaid, Personal};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::access::Caller;
use super::answer::{Answer, Refused};
use super::root::distinguished_name;
use super::{Pools, input};
use crate::provisioning::trust::{generation_of, uuid};

/// The events of OPCP 1.0.
const EVENTS: [&str; 15] = [
    "root.cert.added",
    "root.cert.expired",
    "root.cert.revoked",
    "mo.prov.cert.updated",
    "mo.prov.cert.deleted",
    "mo.prov.cert.updated.factory.reset",
    "mo.contract.delivered.to.oem",
    "mo.contract.created.sent.to.oem",
    "mo.contract.updated.sent.to.oem",
    "mo.contract.deleted.sent.to.oem",
    "mo.contract.rejected.by.oem",
    "mo.contract.queued.to.oem",
    "oem.contract.created",
    "oem.contract.updated",
    "oem.contract.deleted",
];
/// Bytes of a description, and of the metadata a client attaches.
const MAX_TEXT: usize = 1024;

/// What is kept of a webhook.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Hook {
    pub(super) url: String,
    pub(super) secret: String,
    pub(super) events: Vec<String>,
    pub(super) enabled: bool,
    description: String,
    metadata: Map<String, Value>,
    wmis: Vec<String>,
    providers: Vec<String>,
    role: String,
}

#[derive(Deserialize)]
struct Request {
    url: String,
    #[serde(rename = "enabledEvents")]
    events: Option<Vec<String>>,
    status: Option<String>,
    description: Option<String>,
    metadata: Option<Map<String, Value>>,
}

impl Request {
    fn apply(self, pools: &Pools, hook: &mut Hook) -> Result<(), Refused> {
        pools.places.admit(&self.url).map_err(|error| {
            Refused::new(StatusCode::BAD_REQUEST, codes::WEBHOOK_REFUSED, error.to_string())
        })?;
        hook.url = self.url;
        if let Some(events) = self.events {
            if events.is_empty() || events.len() > EVENTS.len() {
                return Err(Refused::bad("enabledEvents : must name 1 to 15 events"));
            }
            if events.iter().any(|event| !EVENTS.contains(&event.as_str())) {
                return Err(Refused::bad("enabledEvents : names an event that does not exist"));
            }
            hook.events = events;
        }
        match self.status.as_deref() {
            None => {}
            Some("enabled") => hook.enabled = true,
            Some("disabled") => hook.enabled = false,
            Some(_) => return Err(Refused::bad("status : must be enabled or disabled")),
        }
        if let Some(description) = self.description {
            hook.description = description;
        }
        if let Some(metadata) = self.metadata {
            hook.metadata = metadata;
        }
        if hook.description.len() > MAX_TEXT
            || Value::Object(hook.metadata.clone()).to_string().len() > MAX_TEXT
        {
            return Err(Refused::bad("description or metadata : is too long"));
        }
        if hook.events.is_empty() {
            return Err(Refused::bad("enabledEvents : is missing"));
        }
        Ok(())
    }
}

pub(super) fn read(webhook: &PoolWebhook) -> Option<Hook> {
    serde_json::from_value(webhook.document.clone()).ok()
}

fn described(webhook: &PoolWebhook, hook: &Hook) -> Value {
    json!({
        "id": webhook.id,
        "apiVersion": "v1",
        "created": webhook.at.unix_millis() / 1000,
        "description": hook.description,
        "enabledEvents": hook.events,
        "metadata": hook.metadata,
        "status": if hook.enabled { "enabled" } else { "disabled" },
        "url": hook.url,
        "secret": hook.secret,
        "providerIds": hook.providers,
        "wmis": hook.wmis,
        "userRole": hook.role,
        "userName": webhook.client,
    })
}

pub(super) async fn create(caller: Caller, State(pools): State<Pools>, body: Body) -> Answer {
    let made = async {
        let request: Request = input::json(body).await?;
        let mut hook = Hook {
            url: String::new(),
            secret: format!("{}{}", uuid()?, uuid()?).replace('-', ""),
            events: Vec::new(),
            enabled: true,
            description: String::new(),
            metadata: Map::new(),
            wmis: caller.wmis().to_vec(),
            providers: caller.providers().to_vec(),
            role: caller.roles().collect::<Vec<_>>().join(" "),
        };
        request.apply(&pools, &mut hook)?;
        let webhook = PoolWebhook {
            id: uuid()?,
            client: caller.id.clone(),
            document: serde_json::to_value(&hook).unwrap_or_default(),
            at: pools.provisioner.now(),
        };
        if !pools
            .provisioner
            .store()
            .pool_webhook_put(webhook.clone())
            .await?
        {
            return Err(Refused::new(
                StatusCode::INSUFFICIENT_STORAGE,
                codes::FULL,
                format!("{} has too many webhooks", caller.id),
            ));
        }
        Ok(described(&webhook, &hook))
    };
    let value = made.await.map_err(|refused: Refused| refused.told(&pools))?;
    Ok((StatusCode::CREATED, Json(value)).into_response())
}

pub(super) async fn all(caller: Caller, State(pools): State<Pools>) -> Answer {
    let webhooks = pools.provisioner.store().pool_webhooks(Some(&caller.id)).await?;
    let listed: Vec<Value> = webhooks
        .iter()
        .filter_map(|webhook| Some(described(webhook, &read(webhook)?)))
        .collect();
    Ok(Json(listed).into_response())
}

async fn own(pools: &Pools, caller: &Caller, id: &str) -> Result<(PoolWebhook, Hook), Refused> {
    let webhooks = pools.provisioner.store().pool_webhooks(Some(&caller.id)).await?;
    webhooks
        .into_iter()
        .find(|webhook| webhook.id == id)
        .and_then(|webhook| read(&webhook).map(|hook| (webhook, hook)))
        .ok_or_else(|| Refused::absent("no webhook of this client has that id"))
}

pub(super) async fn one(caller: Caller, State(pools): State<Pools>, Path(id): Path<String>) -> Answer {
    let (webhook, hook) = own(&pools, &caller, &id).await?;
    Ok(Json(described(&webhook, &hook)).into_response())
}

pub(super) async fn change(
    caller: Caller,
    State(pools): State<Pools>,
    Path(id): Path<String>,
    body: Body,
) -> Answer {
    let changed = async {
        let (mut webhook, mut hook) = own(&pools, &caller, &id).await?;
        let request: Request = input::json(body).await?;
        request.apply(&pools, &mut hook)?;
        webhook.document = serde_json::to_value(&hook).unwrap_or_default();
        pools
            .provisioner
            .store()
            .pool_webhook_put(webhook.clone())
            .await?;
        Ok(described(&webhook, &hook))
    };
    let value = changed.await.map_err(|refused: Refused| refused.told(&pools))?;
    Ok(Json(value).into_response())
}

pub(super) async fn remove(caller: Caller, State(pools): State<Pools>, Path(id): Path<String>) -> Answer {
    if pools
        .provisioner
        .store()
        .pool_webhook_remove(&id, &caller.id)
        .await?
    {
        Ok(Json(json!({})).into_response())
    } else {
        Err(Refused::absent("no webhook of this client has that id"))
    }
}

// --- what happened --------------------------------------------------------------------------------------------

pub(super) async fn root_added(pools: &Pools, root: &PoolRoot) -> Result<(), Refused> {
    let generation = generation_of(&root.der).unwrap_or(Generation::Iso2);
    let summary = certificate::summary(&root.der).map_err(|error| Refused::bad(error.to_string()))?;
    let payload = json!({
        "rootCertificateId": root.id,
        "distinguishedName": distinguished_name(&root.der),
        "commonName": summary.subject_cn,
        "rootType": root.kind,
        "rootSerialNumber": summary.serial_hex.to_ascii_lowercase(),
        "signatureAlgorithm": algorithm(generation),
        "fingerprintSHA256": root.fingerprint,
    });
    queue(pools, "root.cert.added", generation, &payload, |_| true).await
}

/// Tells the operators whose contracts a vehicle's change concerns.
pub(super) async fn vehicle_changed(
    pools: &Pools,
    event: &str,
    pcid: &Personal<String>,
    contracts: &[PoolContract],
) -> Result<(), Refused> {
    for contract in contracts {
        let generation = if contract.generation == "iso20" {
            Generation::Iso20
        } else {
            Generation::Iso2
        };
        let payload = json!({"emaid": contract.emaid.reveal(), "pcid": pcid.reveal()});
        let provider: String = contract.emaid.reveal().chars().take(5).collect();
        queue(pools, event, generation, &payload, |hook| {
            has(&hook.providers, &provider)
        })
        .await?;
    }
    Ok(())
}

pub(super) async fn contract_changed(
    pools: &Pools,
    stored: ContractStored,
    emaid: &Personal<Emaid>,
    pcid: &Personal<String>,
    generation: Generation,
) -> Result<(), Refused> {
    let event = if stored == ContractStored::Replaced {
        "oem.contract.updated"
    } else {
        "oem.contract.created"
    };
    tell_maker(pools, event, emaid.reveal().as_str(), pcid, generation).await
}

pub(super) async fn contract_deleted(pools: &Pools, contract: &PoolContract) -> Result<(), Refused> {
    let generation = if contract.generation == "iso20" {
        Generation::Iso20
    } else {
        Generation::Iso2
    };
    tell_maker(
        pools,
        "oem.contract.deleted",
        contract.emaid.reveal(),
        &contract.pcid,
        generation,
    )
    .await
}

async fn tell_maker(
    pools: &Pools,
    event: &str,
    emaid: &str,
    pcid: &Personal<String>,
    generation: Generation,
) -> Result<(), Refused> {
    let payload = json!({"emaid": emaid, "pcid": pcid.reveal(), "signatureAlgorithm": algorithm(generation)});
    let maker: String = pcid.reveal().chars().take(3).collect();
    queue(pools, event, generation, &payload, |hook| has(&hook.wmis, &maker)).await
}

fn has(list: &[String], one: &str) -> bool {
    list.iter()
        .any(|own| own.replace('-', "").eq_ignore_ascii_case(one))
}

const fn algorithm(generation: Generation) -> &'static str {
    match generation {
        Generation::Iso2 => "secp256r1",
        Generation::Iso20 => "secp521r1",
    }
}

/// Puts an event into the queue of every webhook that wants it and may know it.
async fn queue(
    pools: &Pools,
    event: &str,
    generation: Generation,
    payload: &Value,
    may_know: impl Fn(&Hook) -> bool,
) -> Result<(), Refused> {
    let store = pools.provisioner.store();
    let now = pools.provisioner.now();
    for webhook in store.pool_webhooks(None).await? {
        let Some(hook) = read(&webhook) else { continue };
        if !hook.enabled || !hook.events.iter().any(|wanted| wanted == event) || !may_know(&hook) {
            continue;
        }
        let body = json!({
            "timestamp": now.to_rfc3339(),
            "eventId": uuid()?,
            "eventType": event,
            "xsdMsgDefNamespace": input::namespace(generation),
            "payload": payload,
        });
        if !store
            .pool_delivery_put(&webhook.id, &body.to_string(), now)
            .await?
        {
            pools.provisioner.emit(
                codes::DELIVERY_DROPPED,
                format!(
                    "{event} for {} was dropped: too many notifications wait",
                    webhook.client
                ),
            );
        }
    }
    Ok(())
}
