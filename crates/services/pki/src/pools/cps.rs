//! The provisioning service: signing contract data, and making it.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use gridlatch_session::provisioning::{Action, ContractData, Delivery, SignedContract};
use gridlatch_trust::profile::Kind;
use gridlatch_trust::{Generation, certificate};
use gridlatch_vocab::catalogue::provisioning;
use gridlatch_vocab::{Emaid, Personal};
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::{Caller, Role};
use super::answer::{Answer, Refused};
use super::contract::{accept, owner_of, root_id};
use super::root::distinguished_name;
use super::{Dialect, Pools, hook, input, vehicle};
use crate::provisioning::conclude::choose;
use crate::provisioning::trust::fingerprint;
use crate::provisioning::{CpsSigner, Order, ProvisioningError, RootKind, sign_contract_data};

/// The largest encrypted key of any delivery, bytes.
const MAX_KEY: usize = 206;
/// The largest public key of any delivery, bytes.
const MAX_POINT: usize = 133;

// --- signing what an operator has made ------------------------------------------------------------------------

/// Contract data with its names, whatever the dialect.
struct Unsigned {
    emaid: Personal<Emaid>,
    pcid: Option<Personal<String>>,
    generation: Generation,
    root: Option<String>,
    data: ContractData,
}

#[derive(Deserialize)]
struct Request {
    #[serde(rename = "xsdMsgDefNamespace")]
    namespace: Option<String>,
    emaid: String,
    pcid: Option<String>,
    #[serde(rename = "cpsRootCertificateId")]
    root_id: Option<String>,
    #[serde(rename = "contractData")]
    data: Data,
}

/// The two forms of OPCP: the present one with a field per certificate, the deprecated one with a chain.
#[derive(Deserialize)]
struct Data {
    #[serde(rename = "contractCertificate")]
    leaf: Option<String>,
    #[serde(rename = "contractSubCa2Certificate")]
    sub2: Option<String>,
    #[serde(rename = "contractSubCa1Certificate")]
    sub1: Option<String>,
    #[serde(rename = "contractSignatureCertChain")]
    chain: Option<OldChain>,
    #[serde(rename = "contractSignatureEncryptedPrivateKey")]
    key: String,
    #[serde(rename = "dHpublickey")]
    dh: String,
    emaid: Option<String>,
}

#[derive(Deserialize)]
struct OldChain {
    #[serde(rename = "contractSignatureCertChainCertificate")]
    leaf: String,
    #[serde(rename = "contractSignatureCertChainSubCertificates")]
    subs: Vec<String>,
}

#[derive(Deserialize)]
struct RequestOpnc {
    #[serde(rename = "xsdMsgDefNamespace")]
    namespace: Option<String>,
    #[serde(rename = "cpsV2GRootCertificateFingerprint")]
    root: Option<String>,
    #[serde(rename = "contractCertificateBundle")]
    bundle: Bundle,
}

#[derive(Deserialize)]
struct Bundle {
    pcid: String,
    emaid: String,
    #[serde(rename = "contractCertificateChain")]
    chain: vehicle::Chain,
    #[serde(rename = "contractSignatureEncryptedPrivateKey")]
    key: String,
    #[serde(rename = "dHpublickey")]
    dh: String,
}

impl Data {
    fn chain(&self) -> Result<Vec<Vec<u8>>, Refused> {
        if let Some(old) = &self.chain {
            if old.subs.len() > 2 {
                return Err(Refused::bad(
                    "contractSignatureCertChainSubCertificates : has more than 2",
                ));
            }
            let leaf = input::certificate(&old.leaf, "contractSignatureCertChainCertificate")?;
            return std::iter::once(Ok(leaf))
                .chain(
                    old.subs
                        .iter()
                        .map(|sub| input::certificate(sub, "contractSignatureCertChainSubCertificates list")),
                )
                .collect();
        }
        let leaf = self
            .leaf
            .as_deref()
            .ok_or_else(|| Refused::bad("contractCertificate : is missing"))?;
        let mut chain = vec![input::certificate(leaf, "contractCertificate")?];
        for (sub, field) in [
            (&self.sub2, "contractSubCa2Certificate"),
            (&self.sub1, "contractSubCa1Certificate"),
        ] {
            if let Some(sub) = sub.as_deref().filter(|text| !text.is_empty()) {
                chain.push(input::certificate(sub, field)?);
            }
        }
        Ok(chain)
    }
}

/// Which delivery an encrypted key of this length is.
fn delivery(generation: Generation, length: usize) -> Result<Delivery, Refused> {
    let candidates: &[Delivery] = match generation {
        Generation::Iso2 => &[Delivery::P256],
        Generation::Iso20 => &[Delivery::P521, Delivery::X448, Delivery::Tpm],
    };
    candidates
        .iter()
        .copied()
        .find(|one| one.length() == length)
        .ok_or_else(|| {
            Refused::bad("contractSignatureEncryptedPrivateKey : has not the length of its standard (48; 94, 84 or 206)")
        })
}

fn assemble(
    emaid: &Personal<Emaid>,
    chain: Vec<Vec<u8>>,
    key: &str,
    dh: &str,
    generation: Generation,
) -> Result<ContractData, Refused> {
    let encrypted_key = input::base64(key, "contractSignatureEncryptedPrivateKey", MAX_KEY)?;
    Ok(ContractData {
        emaid: Personal::new(emaid.reveal().as_str().to_owned()),
        chain,
        delivery: delivery(generation, encrypted_key.len())?,
        encrypted_key,
        dh_public_key: input::base64(dh, "dHpublickey", MAX_POINT)?,
    })
}

/// See [`crate::fuzz`].
pub(super) fn fuzz_body(data: &[u8]) {
    if let Ok(request) = serde_json::from_slice::<Request>(data)
        && let (Ok(generation), Ok(emaid), Ok(chain)) = (
            input::generation(request.namespace.as_deref()),
            input::emaid(&request.emaid),
            request.data.chain(),
        )
    {
        let _ = assemble(&emaid, chain, &request.data.key, &request.data.dh, generation);
    }
    if let Ok(request) = serde_json::from_slice::<RequestOpnc>(data) {
        let _ = request.bundle.chain.read("certificate");
    }
    let _ = serde_json::from_slice::<Generate>(data);
}

async fn read(pools: &Pools, caller: &Caller, body: Body) -> Result<Unsigned, Refused> {
    caller.must_be(&[Role::Mo])?;
    let request: Request = input::json(body).await?;
    let generation = input::generation(request.namespace.as_deref())?;
    let emaid = input::emaid(&request.emaid)?;
    if let Some(inner) = &request.data.emaid
        && input::emaid(inner)?.reveal() != emaid.reveal()
    {
        return Err(Refused::bad(
            "contractData.emaid : is not the emaid of the request",
        ));
    }
    let root = match &request.root_id {
        None => None,
        Some(id) => Some(
            pools
                .provisioner
                .store()
                .pool_root(id)
                .await?
                .ok_or_else(|| Refused::bad("cpsRootCertificateId : is not in the root pool"))?
                .fingerprint,
        ),
    };
    let chain = request.data.chain()?;
    Ok(Unsigned {
        data: assemble(&emaid, chain, &request.data.key, &request.data.dh, generation)?,
        pcid: request.pcid.as_deref().map(input::pcid).transpose()?,
        emaid,
        generation,
        root,
    })
}

async fn read_opnc(caller: &Caller, body: Body) -> Result<Unsigned, Refused> {
    caller.must_be(&[Role::Mo])?;
    let request: RequestOpnc = input::json(body).await?;
    let generation = input::generation(request.namespace.as_deref())?;
    let emaid = input::emaid(&request.bundle.emaid)?;
    let chain = request.bundle.chain.read("certificate")?;
    Ok(Unsigned {
        data: assemble(&emaid, chain, &request.bundle.key, &request.bundle.dh, generation)?,
        pcid: Some(input::pcid(&request.bundle.pcid)?),
        emaid,
        generation,
        root: request.root.map(|text| text.to_ascii_lowercase()),
    })
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

// --- who signs ------------------------------------------------------------------------------------------------

pub(super) async fn signers(caller: Caller, State(pools): State<Pools>) -> Answer {
    let listed = all_signers(&pools, &caller, Dialect::Opcp).await?;
    Ok(Json(json!({"cpsCertificates": listed})).into_response())
}

pub(super) async fn signers_opnc(caller: Caller, State(pools): State<Pools>) -> Answer {
    let listed = all_signers(&pools, &caller, Dialect::Opnc).await?;
    Ok(Json(json!({"cpsCertificateDataCollection": listed})).into_response())
}

async fn all_signers(pools: &Pools, caller: &Caller, dialect: Dialect) -> Result<Vec<Value>, Refused> {
    caller
        .must_be(&[Role::Mo, Role::Admin])
        .map_err(|refused| refused.told(pools))?;
    let authority = std::sync::Arc::clone(pools.provisioner.authority());
    let found = tokio::task::spawn_blocking(move || {
        let mut all = Vec::new();
        for generation in [Generation::Iso2, Generation::Iso20] {
            all.extend(
                authority
                    .cps(generation)?
                    .into_iter()
                    .map(|signer| (generation, signer)),
            );
        }
        Ok::<_, ProvisioningError>(all)
    })
    .await
    .map_err(|_| ProvisioningError::stopped())??;
    let mut out = Vec::with_capacity(found.len());
    for (generation, signer) in found {
        let leaf = signer.chain.first().map_or(&[][..], Vec::as_slice);
        let summary = certificate::summary(leaf).map_err(|error| Refused::bad(error.to_string()))?;
        let certificates: Vec<String> = signer.chain.iter().map(|der| input::text(der)).collect();
        let part = |index: usize| certificates.get(index).cloned().unwrap_or_default();
        let (sub2, sub1) = if certificates.len() > 2 {
            (part(1), part(2))
        } else {
            (String::new(), part(1))
        };
        let name = distinguished_name(leaf);
        let root = distinguished_name(&signer.root);
        let common = json!({
            "cpsDistinguishedName": name,
            "validFrom": summary.not_before.to_rfc3339(),
            "validTo": summary.not_after.to_rfc3339(),
            "organizationName": summary.subject_o.unwrap_or_default(),
        });
        let more = match dialect {
            Dialect::Opcp => json!({
                "cpsCertificate": part(0),
                "cpsCa2Certificate": sub2,
                "cpsCa1Certificate": sub1,
                "cpsRootCertificateId": root_id(pools, &fingerprint(&signer.root)).await?,
                "cpsRootDistinguishedName": root,
            }),
            Dialect::Opnc => json!({
                "cpsCertificateChain": {"certificate": part(0), "subCa2Certificate": sub2, "subCa1Certificate": sub1},
                "cpsV2GRootCertificateFingerprint": fingerprint(&signer.root),
                "cpsV2GRootDistinguishedName": root,
                "xsdMsgDefNamespace": input::namespace(generation),
            }),
        };
        let mut value = common;
        if let (Some(fields), Value::Object(more)) = (value.as_object_mut(), more) {
            fields.extend(more);
        }
        out.push(value);
    }
    Ok(out)
}
