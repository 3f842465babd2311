//! The contract certificate pool.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use gridlatch_session::provisioning::{Action, Answer as Message, MAX_MESSAGE, MAX_XML, SignedContract};
use gridlatch_store::PoolContract;
use gridlatch_trust::profile::Kind;
use gridlatch_trust::{Generation, certificate};
use gridlatch_vocab::catalogue::{pools as codes, provisioning};
use gridlatch_vocab::{Emaid, Personal};
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::{Caller, Role};
use super::answer::{Answer, Refused};
use super::root::distinguished_name;
use super::{Dialect, Pools, hook, input};
use crate::provisioning::install::stored;
use crate::provisioning::trust::fingerprint;
use crate::provisioning::{ProvisioningError, RootKind, session_generation, stored_generation};

#[derive(Deserialize)]
pub(super) struct Choice {
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

// --- a vehicle's request --------------------------------------------------------------------------------------

#[derive(Deserialize)]
struct Asked {
    #[serde(rename = "certificateInstallationReq", alias = "certificateUpdateReq")]
    request: String,
    #[serde(rename = "xsdMsgDefNamespace")]
    namespace: Option<String>,
    /// `Install` or `Update`, as OCPP says it; OPCP knows installations only.
    action: Option<String>,
}

pub(super) async fn install(
    caller: Caller,
    State(pools): State<Pools>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    answer(&pools, &caller, &headers, body, Dialect::Opcp).await
}

pub(super) async fn install_opnc(
    caller: Caller,
    State(pools): State<Pools>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    answer(&pools, &caller, &headers, body, Dialect::Opnc).await
}

async fn answer(pools: &Pools, caller: &Caller, headers: &HeaderMap, body: Body, dialect: Dialect) -> Answer {
    let read = async {
        caller.must_be(&[Role::Cpo])?;
        let asked: Asked = input::json(body).await?;
        let generation = input::generation(asked.namespace.as_deref())?;
        let action = match asked.action.as_deref() {
            None | Some("Install") => Action::Install,
            Some("Update") => Action::Update,
            Some(_) => return Err(Refused::bad("action : is neither Install nor Update")),
        };
        let exi = input::base64(&asked.request, "certificateInstallationReq", MAX_MESSAGE)?;
        Ok((generation, action, exi))
    };
    let (generation, action, exi) = read.await.map_err(|refused: Refused| refused.told(pools))?;
    let installed = match pools.provisioner.install(generation, action, &exi).await {
        Ok(installed) => installed,
        Err(error) => return Ok(refused(error, headers)),
    };
    let message = input::text(&installed.exi);
    let emaid = installed.emaid.reveal().as_str();
    let root = root_id(pools, &installed.cps_root).await?;
    Ok(Json(match dialect {
        Dialect::Opcp => {
            let mut definition =
                json!({"certificateInstallationRes": message, "emaid": emaid, "metaData": ""});
            if let (Some(id), Some(fields)) = (root, definition.as_object_mut()) {
                fields.insert("cpsRootCertificateId".into(), id.into());
            }
            json!({
                "CCPResponse": {"emaidContent": [{"messageDef": definition}]},
                "xsdMsgDefNamespace": input::namespace(generation),
            })
        }
        Dialect::Opnc => json!({"signedContractDataCollection": [{
            "certificateInstallationRes": message,
            "emaid": emaid,
            "pcid": installed.pcid.reveal(),
            "xsdMsgDefNamespace": input::namespace(generation),
            "cpsV2GRootCertificateFingerprint": installed.cps_root,
        }]}),
    })
    .into_response())
}

/// A refusal: in EXI for the vehicle unless the caller does not want that.
fn refused(error: ProvisioningError, headers: &HeaderMap) -> Response {
    let exi_wanted = headers
        .get("alwaysReturnEXI")
        .and_then(|value| value.to_str().ok())
        .is_none_or(|value| !value.eq_ignore_ascii_case("false"));
    let exi = error.exi().map(input::text).filter(|_| exi_wanted);
    let refused = Refused::from(error);
    let Some(exi) = exi else {
        return refused.into_response();
    };
    let (status, code, message) = (refused.status, refused.code, refused.message);
    let body = json!({
        "CCPResponse": {"emaidContent": [{"messageDef": {"certificateInstallationRes": exi}}]},
        "errorMessages": [message],
    });
    (status, [("x-gridlatch-code", code.as_str())], Json(body)).into_response()
}

// --- storing and withdrawing ----------------------------------------------------------------------------------

#[derive(Deserialize)]
struct Signed {
    emaid: String,
    pcid: String,
    #[serde(rename = "xsdMsgDefNamespace")]
    namespace: Option<String>,
    #[serde(rename = "signedContractDataXML")]
    xml: Option<String>,
    #[serde(rename = "certificateInstallationRes")]
    exi: Option<String>,
}

/// OPNC wraps the data once more.
#[derive(Deserialize)]
#[serde(untagged)]
enum SignedBody {
    Wrapped {
        #[serde(rename = "signedContractData")]
        inner: Signed,
    },
    Plain(Signed),
}

pub(super) async fn store(caller: Caller, State(pools): State<Pools>, body: Body) -> Answer {
    let kept = async {
        caller.must_be(&[Role::Cps])?;
        let signed = match input::json(body).await? {
            SignedBody::Wrapped { inner } | SignedBody::Plain(inner) => inner,
        };
        let generation = input::generation(signed.namespace.as_deref())?;
        let (emaid, pcid) = (input::emaid(&signed.emaid)?, input::pcid(&signed.pcid)?);
        let contract = match (&signed.xml, &signed.exi) {
            (Some(xml), _) => from_xml(xml)?,
            (None, Some(exi)) => from_exi(exi, generation)?,
            (None, None) => return Err(Refused::bad("signedContractDataXML : is missing")),
        };
        if session_generation(generation) != contract.generation() {
            return Err(Refused::bad(
                "xsdMsgDefNamespace : is not the standard of the message",
            ));
        }
        accept(&pools, &caller, &emaid, pcid, generation, &contract).await
    };
    kept.await.map_err(|refused: Refused| refused.told(&pools))?;
    Ok((StatusCode::CREATED, Json(json!({}))).into_response())
}

fn from_xml(text: &str) -> Result<SignedContract, Refused> {
    let bytes = input::base64(text, "signedContractDataXML", MAX_XML)?;
    let xml = String::from_utf8(bytes).map_err(|_| Refused::bad("signedContractDataXML : is not UTF-8"))?;
    Ok(SignedContract::from_xml(&xml)?)
}

fn from_exi(text: &str, generation: Generation) -> Result<SignedContract, Refused> {
    let exi = input::base64(text, "certificateInstallationRes", MAX_MESSAGE)?;
    match Message::decode(session_generation(generation), Action::Install, &exi)? {
        Message::Contract(signed) => Ok(*signed),
        Message::Refused(_) => Err(Refused::bad(
            "certificateInstallationRes : is a refusal, not a contract",
        )),
    }
}

/// Checks everything that can be checked without the vehicle's key, then keeps it for the operator of the
/// contract.
pub(super) async fn accept(
    pools: &Pools,
    caller: &Caller,
    emaid: &Personal<Emaid>,
    pcid: Personal<String>,
    generation: Generation,
    contract: &SignedContract,
) -> Result<(), Refused> {
    let provisioner = &pools.provisioner;
    contract.verify()?;
    let cps = provisioner
        .judge(contract.cps_chain(), &[RootKind::V2g], generation, Kind::CpsLeaf)
        .await?;
    let data = contract.contract();
    provisioner
        .judge(
            &data.chain,
            &[RootKind::Mo, RootKind::V2g],
            generation,
            Kind::ContractLeaf,
        )
        .await?;
    let certified = certificate::emaid_of(data.chain.first().map_or(&[], Vec::as_slice))
        .map_err(|error| Refused::bad(error.to_string()))?;
    let named = data.emaid.reveal().parse::<Emaid>().ok();
    if certified.reveal() != emaid.reveal() || named.as_ref() != Some(emaid.reveal()) {
        return Err(Refused::new(
            StatusCode::BAD_REQUEST,
            provisioning::CERTIFICATE_REFUSED,
            "emaid : is not the one in the contract certificate and in the signed data",
        ));
    }
    // The contract belongs to its operator, whoever brought it: under the operator's provider id.
    let owner = owner_of(emaid);
    let root = fingerprint(&cps.anchor);
    let kept = provisioner
        .keep(&owner, pcid.clone(), generation, contract, root)
        .await?;
    provisioner.emit(
        codes::CONTRACT_STORED,
        format!("{} stored signed contract data of {generation}", caller.id),
    );
    hook::contract_changed(pools, kept, emaid, &pcid, generation).await
}

/// Contracts of one provider have one owner, so that operator and provisioning service mean the same record.
pub(super) fn owner_of(emaid: &Personal<Emaid>) -> String {
    emaid.reveal().as_str().chars().take(5).collect()
}

pub(super) async fn withdraw_opcp(
    caller: Caller,
    State(pools): State<Pools>,
    Path(id): Path<String>,
) -> Answer {
    remove(&pools, &caller, &id).await
}

pub(super) async fn withdraw(
    caller: Caller,
    State(pools): State<Pools>,
    Path(emaid): Path<String>,
) -> Answer {
    remove(&pools, &caller, &emaid).await
}

async fn remove(pools: &Pools, caller: &Caller, emaid: &str) -> Answer {
    let gone = async {
        caller.must_be(&[Role::Mo])?;
        let emaid = input::emaid(emaid)?;
        caller.must_provide(&emaid)?;
        let store = pools.provisioner.store();
        let contracts = store.pool_contract(emaid.reveal().as_str(), None).await?;
        if !store.pool_contract_remove(emaid.reveal().as_str()).await? {
            return Err(Refused::absent("The contract for the given EMAID not found."));
        }
        for contract in &contracts {
            hook::contract_deleted(pools, contract).await?;
        }
        Ok(())
    };
    gone.await.map_err(|refused: Refused| refused.told(pools))?;
    pools.provisioner.emit(
        codes::CONTRACT_WITHDRAWN,
        format!(
            "{} withdrew a contract; its certificate was not revoked by this",
            caller.id
        ),
    );
    Ok(Json(json!({})).into_response())
}

// --- reading --------------------------------------------------------------------------------------------------

pub(super) async fn by_pcid(
    caller: Caller,
    State(pools): State<Pools>,
    Path(pcid): Path<String>,
    Query(choice): Query<Choice>,
) -> Answer {
    let contracts = of_vehicle(&pools, &caller, &pcid, &choice).await?;
    Ok(Json(json!({"XMLContracts": listed(&pools, &contracts, Dialect::Opcp).await?})).into_response())
}

pub(super) async fn by_pcid_opnc(
    caller: Caller,
    State(pools): State<Pools>,
    Path(pcid): Path<String>,
    Query(choice): Query<Choice>,
) -> Answer {
    let contracts = of_vehicle(&pools, &caller, &pcid, &choice).await?;
    Ok(
        Json(json!({"contractDataCollection": listed(&pools, &contracts, Dialect::Opnc).await?}))
            .into_response(),
    )
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
        let generation = choice
            .namespace
            .as_deref()
            .map(|name| input::generation(Some(name)))
            .transpose()?;
        let store = pools.provisioner.store();
        Ok(store
            .pool_contracts_of(pcid.reveal(), generation.map(stored_generation))
            .await?)
    };
    found.await.map_err(|refused: Refused| refused.told(pools))
}

pub(super) async fn by_emaid(
    caller: Caller,
    State(pools): State<Pools>,
    Path(emaid): Path<String>,
    Query(choice): Query<Choice>,
) -> Answer {
    let contracts = of_contract(&pools, &caller, &emaid, &choice).await?;
    Ok(Json(json!({"XMLContracts": listed(&pools, &contracts, Dialect::Opcp).await?})).into_response())
}

pub(super) async fn by_emaid_opnc(
    caller: Caller,
    State(pools): State<Pools>,
    Path(emaid): Path<String>,
    Query(choice): Query<Choice>,
) -> Answer {
    let contracts = of_contract(&pools, &caller, &emaid, &choice).await?;
    Ok(
        Json(json!({"contractDataCollection": listed(&pools, &contracts, Dialect::Opnc).await?}))
            .into_response(),
    )
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
        let generation = choice
            .namespace
            .as_deref()
            .map(|name| input::generation(Some(name)))
            .transpose()?;
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

pub(super) async fn provide(
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

pub(super) async fn provide_opnc(
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

pub(super) async fn default_opcp(
    caller: Caller,
    State(pools): State<Pools>,
    Path((pcid, emaid)): Path<(String, String)>,
    Query(choice): Query<Choice>,
) -> Answer {
    prioritise(&pools, &caller, &pcid, &emaid, choice.priority).await
}

pub(super) async fn default_opnc(
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

/// The id of a V2G root in the pool.
pub(super) async fn root_id(pools: &Pools, fingerprint: &str) -> Result<Option<String>, Refused> {
    let roots = pools
        .provisioner
        .store()
        .pool_roots(Some(RootKind::V2g.as_str()))
        .await?;
    Ok(roots
        .into_iter()
        .find(|root| root.fingerprint == fingerprint)
        .map(|root| root.id))
}

async fn listed(pools: &Pools, contracts: &[PoolContract], dialect: Dialect) -> Result<Vec<Value>, Refused> {
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
    Ok(out)
}
