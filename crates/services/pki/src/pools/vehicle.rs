//! The provisioning certificate pool.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::IntoResponse as _;
use gridlatch_store::{PoolVehicle, VehicleStored};
use gridlatch_trust::certificate;
use gridlatch_vocab::catalogue::pools as codes;
use gridlatch_vocab::{Code, Personal};
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::{Caller, Role};
use super::answer::{Answer, Refused};
use super::root::distinguished_name;
use super::{Dialect, Pools, hook, input};
use crate::provisioning::conclude::subject_key_id;
use crate::provisioning::trust::{fingerprint, generation_of};
use crate::provisioning::{RootKind, stored_generation};

/// V2G roots a manufacturer may name per vehicle.
const MAX_NAMED_ROOTS: usize = 20;

/// A publication; the two spellings of `subCA` both occur in the field.
#[derive(Deserialize)]
struct Publication {
    #[serde(rename = "vehicleCertificate", alias = "provisioningCertificate")]
    leaf: String,
    #[serde(rename = "subCA2Certificate", alias = "subCa2Certificate")]
    sub2: Option<String>,
    #[serde(rename = "subCA1Certificate", alias = "subCa1Certificate")]
    sub1: String,
    #[serde(flatten)]
    more: More,
}

#[derive(Deserialize)]
struct More {
    #[serde(rename = "xsdMsgDefNamespace")]
    namespace: Option<String>,
    #[serde(rename = "v2gRootAuthorityKeyIdentifiers", default)]
    roots: Vec<String>,
    #[serde(rename = "previousPcid")]
    previous: Option<String>,
}

#[derive(Deserialize)]
struct PublicationOpnc {
    #[serde(rename = "provisioningCertificateChain")]
    chain: Chain,
    #[serde(flatten)]
    more: More,
}

/// A chain as OPNC writes it.
#[derive(Deserialize)]
pub(super) struct Chain {
    certificate: String,
    #[serde(rename = "subCa2Certificate", alias = "subCA2Certificate")]
    sub2: Option<String>,
    #[serde(rename = "subCa1Certificate", alias = "subCA1Certificate")]
    sub1: Option<String>,
}

impl Chain {
    pub(super) fn read(&self, field: &str) -> Result<Vec<Vec<u8>>, Refused> {
        let mut chain = vec![input::certificate(&self.certificate, field)?];
        for (sub, name) in [
            (&self.sub2, "subCa2Certificate"),
            (&self.sub1, "subCa1Certificate"),
        ] {
            if let Some(sub) = sub.as_deref().filter(|text| !text.is_empty()) {
                chain.push(input::certificate(sub, name)?);
            }
        }
        Ok(chain)
    }
}

/// See [`crate::fuzz`].
pub(super) fn fuzz_body(data: &[u8]) {
    if let Ok(new) = serde_json::from_slice::<Publication>(data) {
        let _ = input::certificate(&new.leaf, "vehicleCertificate");
    }
    if let Ok(new) = serde_json::from_slice::<PublicationOpnc>(data) {
        let _ = new.chain.read("certificate");
    }
}

pub(super) async fn publish(caller: Caller, State(pools): State<Pools>, body: Body) -> Answer {
    let stored = async {
        caller.must_be(&[Role::Oem])?;
        let new: Publication = input::json(body).await?;
        let mut chain = vec![input::certificate(&new.leaf, "vehicleCertificate")?];
        if let Some(sub2) = new.sub2.filter(|text| !text.is_empty()) {
            chain.push(input::certificate(&sub2, "subCA2Certificate")?);
        }
        chain.push(input::certificate(&new.sub1, "subCA1Certificate")?);
        put(&pools, &caller, chain, new.more).await
    };
    let vehicle = stored.await.map_err(|refused| refused.told(&pools))?;
    Ok(Json(described(&pools, &vehicle, Dialect::Opcp).await?).into_response())
}

pub(super) async fn publish_opnc(caller: Caller, State(pools): State<Pools>, body: Body) -> Answer {
    let stored = async {
        caller.must_be(&[Role::Oem])?;
        let new: PublicationOpnc = input::json(body).await?;
        put(&pools, &caller, new.chain.read("certificate")?, new.more).await
    };
    let vehicle = stored.await.map_err(|refused| refused.told(&pools))?;
    Ok(Json(described(&pools, &vehicle, Dialect::Opnc).await?).into_response())
}

async fn put(
    pools: &Pools,
    caller: &Caller,
    chain: Vec<Vec<u8>>,
    more: More,
) -> Result<PoolVehicle, Refused> {
    let leaf = chain.first().map_or(&[][..], Vec::as_slice);
    let generation = generation_of(leaf).ok_or_else(|| {
        Refused::bad("vehicleCertificate : its key is neither secp256r1 nor secp521r1 nor Ed448")
    })?;
    if more.namespace.is_some() && input::generation(more.namespace.as_deref())? != generation {
        return Err(Refused::bad(
            "xsdMsgDefNamespace : is not the standard of the certificate's key",
        ));
    }
    let summary = certificate::summary(leaf).map_err(|error| Refused::bad(error.to_string()))?;
    let pcid = input::pcid(&summary.subject_cn)?;
    caller.must_make(&pcid)?;
    if more.roots.len() > MAX_NAMED_ROOTS || more.roots.iter().any(|id| id.len() > 64) {
        return Err(Refused::bad(
            "v2gRootAuthorityKeyIdentifiers : too many or too long",
        ));
    }
    pools.provisioner.judge_vehicle(&chain, generation).await?;
    let vehicle = PoolVehicle {
        pcid,
        generation: stored_generation(generation).to_owned(),
        owner: caller.id.clone(),
        fingerprint: fingerprint(leaf),
        previous: more.previous.as_deref().map(input::pcid).transpose()?,
        roots: more.roots,
        chain,
        at: pools.provisioner.now(),
    };
    match pools.provisioner.publish_vehicle(vehicle.clone()).await? {
        VehicleStored::Foreign => {
            return Err(refused_foreign("the PCID was published by another manufacturer"));
        }
        VehicleStored::Added => {}
        VehicleStored::Replaced => {
            let contracts = pools
                .provisioner
                .store()
                .pool_contracts_of(vehicle.pcid.reveal(), None)
                .await?;
            hook::vehicle_changed(pools, "mo.prov.cert.updated", &vehicle.pcid, &contracts).await?;
        }
    }
    pools.provisioner.emit(
        codes::VEHICLE_PUBLISHED,
        format!(
            "{} published a provisioning certificate of {generation}",
            caller.id
        ),
    );
    Ok(vehicle)
}

fn refused_foreign(message: &str) -> Refused {
    const FOREIGN: Code = codes::FOREIGN;
    Refused::new(StatusCode::FORBIDDEN, FOREIGN, message)
}

pub(super) async fn one(caller: Caller, State(pools): State<Pools>, Path(pcid): Path<String>) -> Answer {
    let vehicle = find(&pools, &caller, &pcid).await?;
    let value = described(&pools, &vehicle, Dialect::Opcp).await?;
    Ok(Json(json!({"OEMMessage": value})).into_response())
}

pub(super) async fn one_opnc(caller: Caller, State(pools): State<Pools>, Path(pcid): Path<String>) -> Answer {
    let vehicle = find(&pools, &caller, &pcid).await?;
    let value = described(&pools, &vehicle, Dialect::Opnc).await?;
    Ok(Json(json!({"provisioningCertificate": value})).into_response())
}

pub(super) async fn lookup(
    caller: Caller,
    State(pools): State<Pools>,
    Path(pcid): Path<String>,
    method: Method,
) -> Answer {
    find(&pools, &caller, &pcid).await?;
    if method == Method::HEAD {
        return Ok(StatusCode::OK.into_response());
    }
    Ok(Json(json!({})).into_response())
}

/// Mobility operators read every vehicle, manufacturers their own.
async fn find(pools: &Pools, caller: &Caller, pcid: &str) -> Result<PoolVehicle, Refused> {
    let found = async {
        caller.must_be(&[Role::Mo, Role::Oem])?;
        let pcid = input::pcid(pcid)?;
        if !caller.is(&[Role::Mo]) {
            caller.must_make(&pcid)?;
        }
        let vehicle = pools
            .provisioner
            .store()
            .pool_vehicle(pcid.reveal(), None)
            .await?
            .ok_or_else(|| {
                Refused::absent("The OEM provisioning certificate with given PCID is not found.")
            })?;
        // Not handed out when it would be refused: expired, or its root is gone.
        if let Some(generation) = generation_of(vehicle.chain.first().map_or(&[], Vec::as_slice)) {
            pools
                .provisioner
                .judge_vehicle(&vehicle.chain, generation)
                .await?;
        }
        Ok(vehicle)
    };
    found.await.map_err(|refused: Refused| refused.told(pools))
}

pub(super) async fn withdraw(caller: Caller, State(pools): State<Pools>, Path(pcid): Path<String>) -> Answer {
    let gone = async {
        caller.must_be(&[Role::Oem])?;
        let pcid = input::pcid(&pcid)?;
        caller.must_make(&pcid)?;
        let store = pools.provisioner.store();
        let contracts = store.pool_contracts_of(pcid.reveal(), None).await?;
        store.pool_vehicle_remove(pcid.reveal()).await?.ok_or_else(|| {
            Refused::absent("The OEM provisioning certificate with given PCID is not found.")
        })?;
        hook::vehicle_changed(&pools, "mo.prov.cert.deleted", &pcid, &contracts).await?;
        Ok(contracts.len())
    };
    let contracts = gone.await.map_err(|refused: Refused| refused.told(&pools))?;
    pools.provisioner.emit(
        codes::VEHICLE_WITHDRAWN,
        format!(
            "{} withdrew a provisioning certificate and {contracts} contracts with it",
            caller.id
        ),
    );
    Ok(Json(json!({})).into_response())
}

/// The chain with what follows from it; the root is the one of the pool that vouches for it.
async fn described(pools: &Pools, vehicle: &PoolVehicle, dialect: Dialect) -> Result<Value, Refused> {
    let leaf = vehicle.chain.first().map_or(&[][..], Vec::as_slice);
    let generation = generation_of(leaf).ok_or_else(|| Refused::absent("the certificate cannot be read"))?;
    let kinds = [RootKind::Oem, RootKind::V2g];
    let accepted = pools
        .provisioner
        .judge(
            &vehicle.chain,
            &kinds,
            generation,
            gridlatch_trust::profile::Kind::OemProvisioning,
        )
        .await?;
    let root = certificate::summary(&accepted.anchor).map_err(|error| Refused::bad(error.to_string()))?;
    let sub = |index: usize| vehicle.chain.get(index).map(|der| input::text(der));
    // Leaf, sub-CA 2, sub-CA 1; or leaf and the one sub-CA there is.
    let (sub1, sub2) = if vehicle.chain.len() > 2 {
        (sub(2), sub(1))
    } else {
        (sub(1), None)
    };
    let mut value = match dialect {
        Dialect::Opcp => json!({
            "vehicleCertificate": input::text(leaf),
            "rootIssuerDistinguishedName": distinguished_name(&accepted.anchor),
        }),
        Dialect::Opnc => json!({"provisioningCertificateChain": {"certificate": input::text(leaf)}}),
    };
    let (holder, names) = match dialect {
        Dialect::Opcp => (Some(&mut value), ["subCA1Certificate", "subCA2Certificate"]),
        Dialect::Opnc => (
            value.get_mut("provisioningCertificateChain"),
            ["subCa1Certificate", "subCa2Certificate"],
        ),
    };
    if let Some(fields) = holder.and_then(Value::as_object_mut) {
        for (name, der) in names.into_iter().zip([sub1, sub2]) {
            if let Some(der) = der {
                fields.insert(name.into(), der.into());
            }
        }
    }
    if let Some(fields) = value.as_object_mut() {
        fields.insert("xsdMsgDefNamespace".into(), input::namespace(generation).into());
        fields.insert(
            "rootIssuerSerialNumber".into(),
            root.serial_hex.to_ascii_lowercase().into(),
        );
        fields.insert(
            "rootAuthorityKeyIdentifier".into(),
            colons(&subject_key_id(&accepted.anchor)).into(),
        );
        fields.insert("fingerprint".into(), vehicle.fingerprint.clone().into());
        if !vehicle.roots.is_empty() {
            fields.insert("v2gRootAuthorityKeyIdentifiers".into(), json!(vehicle.roots));
        }
        if let Some(previous) = vehicle.previous.as_ref().map(Personal::reveal) {
            fields.insert("previousPcid".into(), previous.clone().into());
        }
    }
    Ok(value)
}

fn colons(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .join(":")
}
