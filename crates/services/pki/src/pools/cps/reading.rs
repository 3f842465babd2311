//! Contract data that an operator has made, in the forms of both dialects, read within their bounds.

use axum::body::Body;
use gridlatch_session::provisioning::{ContractData, Delivery};
use gridlatch_trust::Generation;
use gridlatch_vocab::{Emaid, Personal};
use serde::Deserialize;

use crate::pools::access::{Caller, Role};
use crate::pools::answer::Refused;
use crate::pools::{Pools, input, vehicle};

/// The largest encrypted key of any delivery, bytes.
const MAX_KEY: usize = 206;
/// The largest public key of any delivery, bytes.
const MAX_POINT: usize = 133;
/// Contract data with its names, whatever the dialect.
pub(super) struct Unsigned {
    pub(super) emaid: Personal<Emaid>,
    pub(super) pcid: Option<Personal<String>>,
    pub(super) generation: Generation,
    pub(super) root: Option<String>,
    pub(super) data: ContractData,
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
}
pub(super) async fn read(pools: &Pools, caller: &Caller, body: Body) -> Result<Unsigned, Refused> {
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

pub(super) async fn read_opnc(caller: &Caller, body: Body) -> Result<Unsigned, Refused> {
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
