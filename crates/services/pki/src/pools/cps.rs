//! The provisioning service: signing contract data, and making it.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use gridlatch_session::provisioning::{Action, SignedContract};
use gridlatch_trust::certificate;
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::Personal;
use gridlatch_vocab::catalogue::provisioning;
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::{Caller, Role};
use super::answer::{Answer, Refused};
use super::contract::{accept, owner_of, root_id};
use super::root::distinguished_name;
use super::{Pools, hook, input};
use crate::provisioning::conclude::choose;
use crate::provisioning::trust::fingerprint;
use crate::provisioning::{CpsSigner, Order, ProvisioningError, RootKind, sign_contract_data};

mod reading;
mod signers;

use reading::{Unsigned, read, read_opnc};
pub(super) use signers::{signers, signers_opnc};

// --- signing what an operator has made ------------------------------------------------------------------------

/// See [`crate::fuzz`].
pub(super) fn fuzz_body(data: &[u8]) {
    reading::fuzz_body(data);
    let _ = serde_json::from_slice::<Generate>(data);
}

/// Checks and signs contract data that a mobility operator made itself.
async fn signed(
    pools: &Pools,
    caller: &Caller,
    unsigned: &Unsigned,
) -> Result<(SignedContract, CpsSigner), Refused> {
    caller.must_provide(&unsigned.emaid)?;
    let kinds = [RootKind::Mo, RootKind::V2g];
    pools
        .provisioner
        .judge(
            &unsigned.data.chain,
            &kinds,
            unsigned.generation,
            Kind::ContractLeaf,
        )
        .await?;
    let certified = certificate::emaid_of(unsigned.data.chain.first().map_or(&[], Vec::as_slice))
        .map_err(|error| Refused::bad(error.to_string()))?;
    if certified.reveal() != unsigned.emaid.reveal() {
        return Err(Refused::new(
            StatusCode::BAD_REQUEST,
            provisioning::CERTIFICATE_REFUSED,
            "emaid : is not the one in the contract certificate",
        ));
    }
    let (authority, generation) = (
        std::sync::Arc::clone(pools.provisioner.authority()),
        unsigned.generation,
    );
    let (data, root) = (unsigned.data.clone(), unsigned.root.clone());
    let made = tokio::task::spawn_blocking(move || {
        let signer = choose(&*authority, generation, root.as_deref())?;
        Ok::<_, ProvisioningError>((sign_contract_data(generation, data, &signer)?, signer))
    })
    .await
    .map_err(|_| ProvisioningError::stopped())??;
    Ok(made)
}

/// `PUT /v1/cps/contractData/signed`: signs, and stores where a PCID is given.
pub(super) async fn sign(caller: Caller, State(pools): State<Pools>, body: Body) -> Answer {
    let unsigned = read(&pools, &caller, body)
        .await
        .map_err(|refused| refused.told(&pools))?;
    let store = unsigned.pcid.is_some();
    let value = run(&pools, &caller, &unsigned, store).await?;
    Ok((StatusCode::CREATED, Json(value)).into_response())
}

/// `PUT /v1/cps/signedContractData`, deprecated: signs and never stores.
pub(super) async fn sign_old(caller: Caller, State(pools): State<Pools>, body: Body) -> Answer {
    let unsigned = read(&pools, &caller, body)
        .await
        .map_err(|refused| refused.told(&pools))?;
    Ok(Json(run(&pools, &caller, &unsigned, false).await?).into_response())
}

/// `PUT /v1/cps/forward/signedContractData`, deprecated: signs and stores.
pub(super) async fn forward(caller: Caller, State(pools): State<Pools>, body: Body) -> Answer {
    let unsigned = read(&pools, &caller, body)
        .await
        .map_err(|refused| refused.told(&pools))?;
    if unsigned.pcid.is_none() {
        return Err(Refused::bad("pcid : is missing"));
    }
    run(&pools, &caller, &unsigned, true).await?;
    Ok((StatusCode::CREATED, Json(json!({}))).into_response())
}

async fn run(pools: &Pools, caller: &Caller, unsigned: &Unsigned, store: bool) -> Result<Value, Refused> {
    let done = async {
        let (contract, signer) = signed(pools, caller, unsigned).await?;
        if let Some(pcid) = unsigned.pcid.clone().filter(|_| store) {
            accept(
                pools,
                caller,
                &unsigned.emaid,
                pcid,
                unsigned.generation,
                &contract,
            )
            .await?;
        }
        described(pools, unsigned, &contract, &signer).await
    };
    done.await.map_err(|refused: Refused| refused.told(pools))
}

async fn described(
    pools: &Pools,
    unsigned: &Unsigned,
    contract: &SignedContract,
    signer: &CpsSigner,
) -> Result<Value, Refused> {
    // XML is defined for ISO 15118-2 only; the other standard's data goes as EXI.
    let signed_data = match contract.to_xml() {
        Some(xml) => input::text(xml.as_bytes()),
        None => input::text(&contract.encode(Action::Install, &[0; 8], 0, pools.provisioner.now())?),
    };
    let mut value = json!({
        "emaid": unsigned.emaid.reveal().as_str(),
        "xsdMsgDefNamespace": input::namespace(unsigned.generation),
        "signedData": signed_data,
        "cpsRootDistinguishedName": distinguished_name(&signer.root),
    });
    if let Some(fields) = value.as_object_mut() {
        if let Some(pcid) = &unsigned.pcid {
            fields.insert("pcid".into(), pcid.reveal().clone().into());
        }
        if let Some(id) = root_id(pools, &fingerprint(&signer.root)).await? {
            fields.insert("cpsRootCertificateId".into(), id.into());
        }
    }
    Ok(value)
}

pub(super) async fn sign_opnc(caller: Caller, State(pools): State<Pools>, body: Body) -> Answer {
    let done = async {
        let unsigned = read_opnc(&caller, body).await?;
        let (contract, signer) = signed(&pools, &caller, &unsigned).await?;
        let pcid = unsigned
            .pcid
            .clone()
            .unwrap_or_else(|| Personal::new(String::new()));
        accept(
            &pools,
            &caller,
            &unsigned.emaid,
            pcid.clone(),
            unsigned.generation,
            &contract,
        )
        .await?;
        let exi = contract.encode(Action::Install, &[0; 8], 0, pools.provisioner.now())?;
        Ok(json!({"signedContractData": {
            "certificateInstallationRes": input::text(&exi),
            "emaid": unsigned.emaid.reveal().as_str(),
            "pcid": pcid.reveal(),
            "xsdMsgDefNamespace": input::namespace(unsigned.generation),
            "cpsV2GRootCertificateFingerprint": fingerprint(&signer.root),
            "cpsRootDistinguishedName": distinguished_name(&signer.root),
        }}))
    };
    let value: Value = done.await.map_err(|refused: Refused| refused.told(&pools))?;
    Ok((StatusCode::CREATED, Json(value)).into_response())
}

// --- making it ------------------------------------------------------------------------------------------------

#[derive(Deserialize)]
struct Generate {
    #[serde(rename = "contractBegins")]
    begins: String,
    #[serde(rename = "contractEnds")]
    ends: String,
    emaid: String,
    pcid: String,
    #[serde(rename = "xsdMsgDefNamespace")]
    namespace: Option<String>,
    #[serde(rename = "cpsRootCertificateId")]
    root_id: Option<String>,
    #[serde(rename = "cpsV2GRootCertificateFingerprint")]
    root: Option<String>,
}

pub(super) async fn generate(caller: Caller, State(pools): State<Pools>, body: Body) -> Answer {
    let made = async {
        caller.must_be(&[Role::Mo])?;
        let asked: Generate = input::json(body).await?;
        let (emaid, pcid) = (input::emaid(&asked.emaid)?, input::pcid(&asked.pcid)?);
        caller.must_provide(&emaid)?;
        let generation = input::generation(asked.namespace.as_deref())?;
        let (begins, ends) = (
            input::time(&asked.begins, "contractBegins")?,
            input::time(&asked.ends, "contractEnds")?,
        );
        if ends <= pools.provisioner.now() {
            return Err(Refused::bad("The given contractEnds date is in the past."));
        }
        if begins >= ends {
            return Err(Refused::bad("contractBegins : is not before contractEnds"));
        }
        let cps_root = match (asked.root, asked.root_id) {
            (Some(root), _) => Some(root.to_ascii_lowercase()),
            (None, Some(id)) => Some(
                pools
                    .provisioner
                    .store()
                    .pool_root(&id)
                    .await?
                    .ok_or_else(|| Refused::bad("cpsRootCertificateId : is not in the root pool"))?
                    .fingerprint,
            ),
            (None, None) => None,
        };
        let concluded = pools
            .provisioner
            .conclude(Order {
                owner: owner_of(&emaid),
                pcid: pcid.clone(),
                emaid: emaid.clone(),
                generation,
                not_before: Some(begins),
                not_after: Some(ends),
                cps_root,
            })
            .await?;
        hook::contract_changed(&pools, concluded.stored, &emaid, &pcid, generation).await
    };
    made.await.map_err(|refused: Refused| refused.told(&pools))?;
    Ok((StatusCode::CREATED, Json(json!({}))).into_response())
}
