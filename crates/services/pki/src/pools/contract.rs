//! The contract certificate pool: what is stored and withdrawn here, how a vehicle's request is answered
//! ([`request`]), what operators and manufacturers read ([`reading`]).

pub(super) mod reading;
pub(super) mod request;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use gridlatch_session::provisioning::{Action, Answer as Message, MAX_MESSAGE, MAX_XML, SignedContract};
use gridlatch_trust::profile::Kind;
use gridlatch_trust::{Generation, certificate};
use gridlatch_vocab::catalogue::{pools as codes, provisioning};
use gridlatch_vocab::{Emaid, Personal};
use serde::Deserialize;
use serde_json::json;

use super::access::{Caller, Role};
use super::answer::{Answer, Refused};
use super::{Pools, hook, input};
use crate::provisioning::trust::fingerprint;
use crate::provisioning::{RootKind, session_generation};

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

pub(super) async fn withdraw(
    caller: Caller,
    State(pools): State<Pools>,
    Path(emaid): Path<String>,
) -> Answer {
    let gone = async {
        caller.must_be(&[Role::Mo])?;
        let emaid = input::emaid(&emaid)?;
        caller.must_provide(&emaid)?;
        let store = pools.provisioner.store();
        let contracts = store.pool_contract(emaid.reveal().as_str(), None).await?;
        if !store.pool_contract_remove(emaid.reveal().as_str()).await? {
            return Err(Refused::absent("The contract for the given EMAID not found."));
        }
        for contract in &contracts {
            hook::contract_deleted(&pools, contract).await?;
        }
        Ok(())
    };
    gone.await.map_err(|refused: Refused| refused.told(&pools))?;
    pools.provisioner.emit(
        codes::CONTRACT_WITHDRAWN,
        format!(
            "{} withdrew a contract; its certificate was not revoked by this",
            caller.id
        ),
    );
    Ok(Json(json!({})).into_response())
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
