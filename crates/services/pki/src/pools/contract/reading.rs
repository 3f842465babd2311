//! What operators and manufacturers read of the contracts, and which one comes first.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::IntoResponse as _;
use gridlatch_session::provisioning::Action;
use gridlatch_store::PoolContract;
use gridlatch_trust::{Generation, certificate};
use serde::Deserialize;
use serde_json::json;

use super::super::access::{Caller, Role};
use super::super::answer::{Answer, Refused};
use super::super::root::distinguished_name;
use super::super::{Dialect, Pools, input};
use super::root_id;
use crate::provisioning::install::stored;
use crate::provisioning::{RootKind, stored_generation};

#[derive(Deserialize)]
pub(in crate::pools) struct Choice {
    #[serde(rename = "xsdMsgDefNamespace")]
    namespace: Option<String>,
    #[serde(rename = "cpsRootCertificateId")]
    root_id: Option<String>,
    #[serde(rename = "cpsV2GRootCertificateFingerprint")]
    root_fingerprint: Option<String>,
    #[serde(rename = "sessionID")]
    session: Option<String>,
    priority: Option<i64>,
}

impl Choice {
    /// The standard that was asked for; both where none was.
    fn generation(&self) -> Result<Option<Generation>, Refused> {
        let name = self.namespace.as_deref();
        name.map(|name| input::generation(Some(name))).transpose()
    }
}

pub(in crate::pools) async fn by_pcid(
    caller: Caller,
    State(pools): State<Pools>,
    Path(pcid): Path<String>,
    Query(choice): Query<Choice>,
) -> Answer {
    let contracts = of_vehicle(&pools, &caller, &pcid, &choice).await?;
    listed(&pools, &contracts, Dialect::Opcp).await
}

pub(in crate::pools) async fn by_pcid_opnc(
    caller: Caller,
    State(pools): State<Pools>,
    Path(pcid): Path<String>,
    Query(choice): Query<Choice>,
) -> Answer {
    let contracts = of_vehicle(&pools, &caller, &pcid, &choice).await?;
    listed(&pools, &contracts, Dialect::Opnc).await
}

async fn of_vehicle(
    pools: &Pools,
    caller: &Caller,
    pcid: &str,
    choice: &Choice,
) -> Result<Vec<PoolContract>, Refused> {
    let found = async {
        caller.must_be(&[Role::Oem])?;
        let pcid = input::pcid(pcid)?;
        caller.must_make(&pcid)?;
        let generation = choice.generation()?;
        let store = pools.provisioner.store();
        Ok(store
            .pool_contracts_of(pcid.reveal(), generation.map(stored_generation))
            .await?)
    };
    found.await.map_err(|refused: Refused| refused.told(pools))
}

pub(in crate::pools) async fn by_emaid(
    caller: Caller,
    State(pools): State<Pools>,
    Path(emaid): Path<String>,
    Query(choice): Query<Choice>,
) -> Answer {
    let contracts = of_contract(&pools, &caller, &emaid, &choice).await?;
    listed(&pools, &contracts, Dialect::Opcp).await
}

pub(in crate::pools) async fn by_emaid_opnc(
    caller: Caller,
    State(pools): State<Pools>,
    Path(emaid): Path<String>,
    Query(choice): Query<Choice>,
) -> Answer {
    let contracts = of_contract(&pools, &caller, &emaid, &choice).await?;
    listed(&pools, &contracts, Dialect::Opnc).await
}

/// Operators see their own contracts, manufacturers those of their vehicles, charge point operators whether
/// there is one.
async fn of_contract(
    pools: &Pools,
    caller: &Caller,
    emaid: &str,
    choice: &Choice,
) -> Result<Vec<PoolContract>, Refused> {
    let found = async {
        caller.must_be(&[Role::Mo, Role::Cpo, Role::Oem])?;
        let emaid = input::emaid(emaid)?;
        if caller.is(&[Role::Mo]) && !caller.is(&[Role::Cpo, Role::Oem]) {
            caller.must_provide(&emaid)?;
        }
        let generation = choice.generation()?;
        let store = pools.provisioner.store();
        let mut contracts = store
            .pool_contract(emaid.reveal().as_str(), generation.map(stored_generation))
            .await?;
        if let Some(root) = wanted_root(pools, choice).await? {
            contracts.retain(|contract| contract.cps_root == root);
        }
        if caller.is(&[Role::Oem]) && !caller.is(&[Role::Cpo]) {
            contracts.retain(|contract| caller.must_make(&contract.pcid).is_ok());
        }
        if contracts.is_empty() {
            return Err(Refused::absent("The contract for the given EMAID not found."));
        }
        Ok(contracts)
    };
    found.await.map_err(|refused: Refused| refused.told(pools))
}

pub(in crate::pools) async fn provide(
    caller: Caller,
    State(pools): State<Pools>,
    Path((emaid, pcid)): Path<(String, String)>,
    Query(choice): Query<Choice>,
) -> Answer {
    let (contract, exi, generation) = provided(&pools, &caller, &emaid, &pcid, &choice).await?;
    let mut value = json!({
        "certificateInstallationRes": exi,
        "xsdMsgDefNamespace": input::namespace(generation),
    });
    if let (Some(id), Some(fields)) = (root_id(&pools, &contract.cps_root).await?, value.as_object_mut()) {
        fields.insert("cpsRootCertificateId".into(), id.into());
    }
    Ok(Json(value).into_response())
}

pub(in crate::pools) async fn provide_opnc(
    caller: Caller,
    State(pools): State<Pools>,
    Path((emaid, pcid)): Path<(String, String)>,
    Query(choice): Query<Choice>,
) -> Answer {
    let (contract, exi, generation) = provided(&pools, &caller, &emaid, &pcid, &choice).await?;
    Ok(Json(json!({"signedContractData": {
        "certificateInstallationRes": exi,
        "emaid": contract.emaid.reveal(),
        "pcid": contract.pcid.reveal(),
        "xsdMsgDefNamespace": input::namespace(generation),
        "cpsV2GRootCertificateFingerprint": contract.cps_root,
    }}))
    .into_response())
}

async fn provided(
    pools: &Pools,
    caller: &Caller,
    emaid: &str,
    pcid: &str,
    choice: &Choice,
) -> Result<(PoolContract, String, Generation), Refused> {
    let found = async {
        caller.must_be(&[Role::Oem])?;
        let (emaid, pcid) = (input::emaid(emaid)?, input::pcid(pcid)?);
        caller.must_make(&pcid)?;
        let generation = input::generation(choice.namespace.as_deref())?;
        let session = session_id(choice.session.as_deref(), generation)?;
        let root = wanted_root(pools, choice).await?;
        let contract = pools
            .provisioner
            .store()
            .pool_contract(emaid.reveal().as_str(), Some(stored_generation(generation)))
            .await?
            .into_iter()
            .find(|contract| {
                contract.pcid.reveal().eq_ignore_ascii_case(pcid.reveal())
                    && root.as_ref().is_none_or(|root| contract.cps_root == *root)
            })
            .ok_or_else(|| Refused::absent("The contract for the given EMAID not found."))?;
        let signed = stored(&contract, generation)?;
        let exi = signed.encode(Action::Install, &session, 0, pools.provisioner.now())?;
        Ok((contract, input::text(&exi), generation))
    };
    found.await.map_err(|refused: Refused| refused.told(pools))
}

/// A session id in hexadecimal, at most 8 bytes; ISO 15118-20 always has 8.
fn session_id(text: Option<&str>, generation: Generation) -> Result<Vec<u8>, Refused> {
    let mut session = match text {
        None | Some("") => vec![0],
        Some(text) => hex::decode(text)
            .ok()
            .filter(|bytes| bytes.len() <= 8)
            .ok_or_else(|| Refused::bad("sessionID : is not hexadecimal of at most 8 bytes"))?,
    };
    if generation == Generation::Iso20 {
        session.resize(8, 0);
    }
    Ok(session)
}

pub(in crate::pools) async fn default_opcp(
    caller: Caller,
    State(pools): State<Pools>,
    Path((pcid, emaid)): Path<(String, String)>,
    Query(choice): Query<Choice>,
) -> Answer {
    prioritise(&pools, &caller, &pcid, &emaid, choice.priority).await
}

pub(in crate::pools) async fn default_opnc(
    caller: Caller,
    State(pools): State<Pools>,
    Path((emaid, pcid)): Path<(String, String)>,
) -> Answer {
    prioritise(&pools, &caller, &pcid, &emaid, None).await
}

async fn prioritise(pools: &Pools, caller: &Caller, pcid: &str, emaid: &str, place: Option<i64>) -> Answer {
    let moved = async {
        caller.must_be(&[Role::Oem])?;
        let (emaid, pcid) = (input::emaid(emaid)?, input::pcid(pcid)?);
        caller.must_make(&pcid)?;
        let place = place.unwrap_or(1);
        if place < 1 {
            return Err(Refused::bad("priority : must be 1 or more"));
        }
        let store = pools.provisioner.store();
        if store
            .pool_contract_prioritise(pcid.reveal(), emaid.reveal().as_str(), place)
            .await?
        {
            Ok(())
        } else {
            Err(Refused::absent("The contract for the given EMAID not found."))
        }
    };
    moved.await.map_err(|refused: Refused| refused.told(pools))?;
    Ok(Json(json!({})).into_response())
}

/// The wanted V2G root by the id of the pool or by fingerprint.
async fn wanted_root(pools: &Pools, choice: &Choice) -> Result<Option<String>, Refused> {
    if let Some(fingerprint) = &choice.root_fingerprint {
        return Ok(Some(fingerprint.to_ascii_lowercase()));
    }
    match &choice.root_id {
        None => Ok(None),
        Some(id) => {
            let root = pools.provisioner.store().pool_root(id).await?;
            root.map(|root| Some(root.fingerprint))
                .ok_or_else(|| Refused::bad("cpsRootCertificateId : is not in the root pool"))
        }
    }
}

/// The contracts as a list of the protocol that asks.
async fn listed(pools: &Pools, contracts: &[PoolContract], dialect: Dialect) -> Answer {
    let roots = pools
        .provisioner
        .store()
        .pool_roots(Some(RootKind::V2g.as_str()))
        .await?;
    let mut out = Vec::with_capacity(contracts.len());
    for contract in contracts {
        let generation = if contract.generation == stored_generation(Generation::Iso20) {
            Generation::Iso20
        } else {
            Generation::Iso2
        };
        let signed = stored(contract, generation)?;
        let leaf = signed.contract().chain.first().map_or(&[][..], Vec::as_slice);
        let summary = certificate::summary(leaf).map_err(|error| Refused::bad(error.to_string()))?;
        let mut value = json!({
            "pcid": contract.pcid.reveal(),
            "emaid": contract.emaid.reveal(),
            "xsdMsgDefNamespace": input::namespace(generation),
            "contractCertificate": input::text(leaf),
            "defaultContract": contract.priority == 1,
            "certValidFrom": summary.not_before.to_rfc3339(),
            "certValidTo": summary.not_after.to_rfc3339(),
        });
        let root = roots.iter().find(|root| root.fingerprint == contract.cps_root);
        if let (Some(root), Some(fields)) = (root, value.as_object_mut()) {
            let name = distinguished_name(&root.der);
            match dialect {
                Dialect::Opcp => {
                    fields.insert("priority".into(), contract.priority.into());
                    fields.insert("cpsRootCertificateId".into(), root.id.clone().into());
                    fields.insert("cpsRootDistinguishedName".into(), name.into());
                }
                Dialect::Opnc => {
                    fields.insert(
                        "cpsV2GRootCertificateFingerprint".into(),
                        contract.cps_root.clone().into(),
                    );
                    fields.insert("cpsV2GRootDistinguishedName".into(), name.into());
                }
            }
        }
        out.push(value);
    }
    let name = match dialect {
        Dialect::Opcp => "XMLContracts",
        Dialect::Opnc => "contractDataCollection",
    };
    Ok(Json(json!({ (name): out })).into_response())
}
