//! The messages of ISO 15118-2.

use gridlatch_vocab::Personal;
use iso15118::exi::{ExiDocument as _, ValueCoding};
use iso15118::iso2::{
    Body, BodyChoice, CertificateChain, CertificateInstallationReq, CertificateInstallationRes,
    CertificateUpdateReq, CertificateUpdateRes, ContractSignatureEncryptedPrivateKey, DiffieHellmanPublickey,
    Document, EMAID, ListOfRootCertificateIDs, MessageHeader, ResponseCode, Signature, SubCertificates,
    V2GMessage, X509IssuerSerial,
};
use iso15118::pnc::rustcrypto::{Sha2, VerifyingKey};
use iso15118::pnc::{self, PncError, Signed as Element};

use super::answer::{self, Answer, Refusal, SignedContract};
use super::request::{self, Installation, InstallationRequest, RootId};
use super::{
    Action, ContractData, ContractSigner, Delivery, Generation, MAX_ROOTS, ProvisioningFault, fragment,
};
use crate::evcc::SignWith;

/// Largest certificate, bytes [V2G2-010].
const MAX_CERTIFICATE: usize = 800;
/// Sub-certificates in a chain (`SubCertificatesType`).
const MAX_SUBS: usize = 4;

fn encode(
    session: &[u8],
    choice: BodyChoice,
    signature: Option<Signature>,
) -> Result<Vec<u8>, ProvisioningFault> {
    if session.len() > 8 {
        return Err(ProvisioningFault::Unmakeable(
            "the session id is longer than 8 bytes",
        ));
    }
    Document::V2GMessage(V2GMessage {
        header: MessageHeader {
            session_id: session.to_vec(),
            notification: None,
            signature,
        },
        body: Body { choice: Some(choice) },
    })
    .to_vec()
    .map_err(|error| ProvisioningFault::exi(&error))
}

fn decode(exi: &[u8]) -> Result<(MessageHeader, Option<BodyChoice>), ProvisioningFault> {
    match Document::from_bytes(exi).map_err(|error| ProvisioningFault::exi(&error))? {
        Document::V2GMessage(message) => Ok((message.header, message.body.choice)),
        _ => Err(ProvisioningFault::OtherMessage {
            expected: "V2G_Message",
        }),
    }
}

fn chain_of(chain: &[Vec<u8>], id: Option<&str>) -> Result<CertificateChain, ProvisioningFault> {
    let (leaf, subs) = chain
        .split_first()
        .ok_or(ProvisioningFault::Unmakeable("a chain is empty"))?;
    if subs.len() > MAX_SUBS || chain.iter().any(|der| der.len() > MAX_CERTIFICATE) {
        return Err(ProvisioningFault::Unmakeable(
            "a chain has more than five certificates, or one of more than 800 bytes [V2G2-010]",
        ));
    }
    Ok(CertificateChain {
        id: id.map(str::to_owned),
        certificate: leaf.clone(),
        sub_certificates: (!subs.is_empty()).then(|| SubCertificates {
            certificate: subs.to_vec(),
        }),
    })
}

fn list_of(chain: &CertificateChain) -> Vec<Vec<u8>> {
    std::iter::once(chain.certificate.clone())
        .chain(
            chain
                .sub_certificates
                .iter()
                .flat_map(|subs| subs.certificate.iter().cloned()),
        )
        .collect()
}

// --- the request ---------------------------------------------------------------------------------------------

/// A request with its signature.
#[derive(Debug, Clone)]
pub(super) struct SignedRequest {
    body: Asked,
    signature: Option<Signature>,
}

#[derive(Debug, Clone)]
enum Asked {
    Install(CertificateInstallationReq),
    Update(CertificateUpdateReq),
}

impl Asked {
    fn id(&self) -> &str {
        match self {
            Self::Install(request) => &request.id,
            Self::Update(request) => &request.id,
        }
    }

    fn fragment(&self, coding: ValueCoding) -> Result<Vec<u8>, PncError> {
        Ok(match self {
            Self::Install(request) => request.to_fragment_with(coding)?,
            Self::Update(request) => request.to_fragment_with(coding)?,
        })
    }
}

impl SignedRequest {
    pub(super) fn verify(&self, key: &VerifyingKey) -> Result<(), ProvisioningFault> {
        let signature = self.signature.as_ref().ok_or(ProvisioningFault::Unsigned)?;
        either_coding(|coding| {
            let covered = self.body.fragment(coding)?;
            pnc::iso2::verify_with(
                signature,
                &[Element::new(self.body.id(), &covered)],
                &Sha2,
                key,
                coding,
            )
        })
        .map_err(ProvisioningFault::signature("the vehicle"))
    }
}

/// Signers write repeated strings in full; Canonical EXI would refer back. Both are tried.
fn either_coding(attempt: impl Fn(ValueCoding) -> Result<(), PncError>) -> Result<(), PncError> {
    match attempt(ValueCoding::Literal) {
        Err(first) if matches!(first, PncError::BadSignature | PncError::DigestMismatch { .. }) => {
            attempt(ValueCoding::Referenced).map_err(|_| first)
        }
        other => other,
    }
}

pub(super) fn decode_request(action: Action, exi: &[u8]) -> Result<InstallationRequest, ProvisioningFault> {
    let (header, choice) = decode(exi)?;
    let (chain, roots, emaids, body) = match (action, choice) {
        (Action::Install, Some(BodyChoice::CertificateInstallationReq(request))) => (
            vec![request.oem_provisioning_cert.clone()],
            roots_of(&request.list_of_root_certificate_i_ds),
            Vec::new(),
            Asked::Install(request),
        ),
        (Action::Update, Some(BodyChoice::CertificateUpdateReq(request))) => (
            list_of(&request.contract_signature_cert_chain),
            roots_of(&request.list_of_root_certificate_i_ds),
            vec![Personal::new(request.e_maid.clone())],
            Asked::Update(request),
        ),
        (Action::Install, _) => {
            return Err(ProvisioningFault::OtherMessage {
                expected: "CertificateInstallationReq",
            });
        }
        (Action::Update, _) => {
            return Err(ProvisioningFault::OtherMessage {
                expected: "CertificateUpdateReq",
            });
        }
    };
    let signed = SignedRequest {
        body,
        signature: header.signature,
    };
    Ok(InstallationRequest::new(
        Generation::Iso2,
        action,
        header.session_id,
        chain,
        roots,
        emaids,
        1,
        request::Signed::Iso2(Box::new(signed)),
    ))
}

fn roots_of(list: &ListOfRootCertificateIDs) -> Vec<RootId> {
    list.root_certificate_id
        .iter()
        .take(MAX_ROOTS)
        .map(|root| RootId {
            issuer: root.x509_issuer_name.clone(),
            serial: root.x509_serial_number,
        })
        .collect()
}

pub(super) fn encode_request(
    asked: &Installation,
    signer: &dyn ContractSigner,
) -> Result<Vec<u8>, ProvisioningFault> {
    if asked.roots.is_empty() || asked.roots.len() > MAX_ROOTS {
        return Err(ProvisioningFault::Unmakeable("between 1 and 20 roots are named"));
    }
    let list_of_root_certificate_i_ds = ListOfRootCertificateIDs {
        root_certificate_id: asked
            .roots
            .iter()
            .map(|root| X509IssuerSerial {
                x509_issuer_name: root.issuer.clone(),
                x509_serial_number: root.serial,
            })
            .collect(),
    };
    let id = pnc::DEFAULT_ID.to_owned();
    let body = match asked.action {
        Action::Install => Asked::Install(CertificateInstallationReq {
            id,
            oem_provisioning_cert: chain_of(asked.chain.get(..1).unwrap_or_default(), None)?.certificate,
            list_of_root_certificate_i_ds,
        }),
        Action::Update => Asked::Update(CertificateUpdateReq {
            id,
            contract_signature_cert_chain: chain_of(&asked.chain, None)?,
            e_maid: asked
                .emaids
                .first()
                .map(|emaid| emaid.reveal().clone())
                .ok_or(ProvisioningFault::Unmakeable("an update names its contract"))?,
            list_of_root_certificate_i_ds,
        }),
    };
    let covered = body
        .fragment(ValueCoding::Literal)
        .map_err(|error| ProvisioningFault::Exi(error.to_string()))?;
    let signature = sign(&[Element::new(body.id(), &covered)], signer)?;
    let choice = match body {
        Asked::Install(request) => BodyChoice::CertificateInstallationReq(request),
        Asked::Update(request) => BodyChoice::CertificateUpdateReq(request),
    };
    encode(&asked.session, choice, Some(signature))
}

fn sign(elements: &[Element<'_>], signer: &dyn ContractSigner) -> Result<Signature, ProvisioningFault> {
    let signer = SignWith::new(signer);
    pnc::iso2::sign(elements, &Sha2, &signer)
        .map_err(|error| ProvisioningFault::Signer(signer.explain("the key", &error)))
}

// --- the answer ----------------------------------------------------------------------------------------------

/// The signed elements and the signature over them.
#[derive(Debug, Clone)]
pub(super) struct Seal {
    pub(super) cps: CertificateChain,
    pub(super) chain: CertificateChain,
    pub(super) key: ContractSignatureEncryptedPrivateKey,
    pub(super) dh: DiffieHellmanPublickey,
    pub(super) emaid: EMAID,
    pub(super) signature: Signature,
}

impl Seal {
    pub(super) fn make(
        contract: &ContractData,
        cps_chain: &[Vec<u8>],
        signer: &dyn ContractSigner,
    ) -> Result<Self, ProvisioningFault> {
        if contract.delivery != Delivery::P256
            || contract.encrypted_key.len() != Delivery::P256.length()
            || contract.dh_public_key.len() != 65
        {
            return Err(ProvisioningFault::Unmakeable(
                "ISO 15118-2 carries a secp256r1 key of 48 encrypted bytes and a public key of 65",
            ));
        }
        let mut seal = Self {
            cps: chain_of(cps_chain, None)?,
            chain: chain_of(&contract.chain, Some("id1"))?,
            key: ContractSignatureEncryptedPrivateKey {
                id: "id2".to_owned(),
                value: contract.encrypted_key.clone(),
            },
            dh: DiffieHellmanPublickey {
                id: "id3".to_owned(),
                value: contract.dh_public_key.clone(),
            },
            emaid: EMAID {
                id: "id4".to_owned(),
                value: contract.emaid.reveal().clone(),
            },
            signature: Signature::minimal(),
        };
        let fragments = seal
            .fragments(ValueCoding::Literal)
            .map_err(|error| ProvisioningFault::Exi(error.to_string()))?;
        seal.signature = sign(&seal.elements(&fragments)?, signer)?;
        Ok(seal)
    }

    fn fragments(&self, coding: ValueCoding) -> Result<[Vec<u8>; 4], PncError> {
        Ok([
            fragment::contract_chain(&self.chain, coding)?,
            self.key.to_fragment_with(coding)?,
            self.dh.to_fragment_with(coding)?,
            fragment::emaid(&self.emaid, coding)?,
        ])
    }

    /// The four elements in the order of the message; the chain must have an `Id` to be signed.
    fn elements<'a>(&'a self, fragments: &'a [Vec<u8>; 4]) -> Result<[Element<'a>; 4], ProvisioningFault> {
        let chain_id = self.chain.id.as_deref().ok_or(ProvisioningFault::Unsigned)?;
        let ids = [chain_id, &self.key.id, &self.dh.id, &self.emaid.id];
        let [a, b, c, d] = fragments;
        let [i, j, k, l] = ids;
        Ok([
            Element::new(i, a),
            Element::new(j, b),
            Element::new(k, c),
            Element::new(l, d),
        ])
    }

    pub(super) fn verify(&self, key: &VerifyingKey) -> Result<(), ProvisioningFault> {
        if self.chain.id.is_none() {
            return Err(ProvisioningFault::Unsigned);
        }
        either_coding(|coding| {
            let fragments = self.fragments(coding)?;
            let elements = self.elements(&fragments).map_err(|_| PncError::MissingId)?;
            pnc::iso2::verify_with(&self.signature, &elements, &Sha2, key, coding)
        })
        .map_err(ProvisioningFault::signature("the provisioning service"))
    }

    pub(super) fn encode(&self, action: Action, session: &[u8]) -> Result<Vec<u8>, ProvisioningFault> {
        let choice = match action {
            Action::Install => BodyChoice::CertificateInstallationRes(CertificateInstallationRes {
                response_code: ResponseCode::OK,
                sa_provisioning_certificate_chain: self.cps.clone(),
                contract_signature_cert_chain: self.chain.clone(),
                contract_signature_encrypted_private_key: self.key.clone(),
                dh_public_key: self.dh.clone(),
                e_maid: self.emaid.clone(),
            }),
            Action::Update => BodyChoice::CertificateUpdateRes(CertificateUpdateRes {
                response_code: ResponseCode::OK,
                sa_provisioning_certificate_chain: self.cps.clone(),
                contract_signature_cert_chain: self.chain.clone(),
                contract_signature_encrypted_private_key: self.key.clone(),
                dh_public_key: self.dh.clone(),
                e_maid: self.emaid.clone(),
                retry_counter: None,
            }),
        };
        encode(session, choice, Some(self.signature.clone()))
    }

    /// The contract data that these elements carry.
    fn contract(&self) -> ContractData {
        ContractData {
            emaid: Personal::new(self.emaid.value.clone()),
            chain: list_of(&self.chain),
            delivery: Delivery::P256,
            encrypted_key: self.key.value.clone(),
            dh_public_key: self.dh.value.clone(),
        }
    }
}

pub(super) fn decode_answer(action: Action, exi: &[u8]) -> Result<Answer, ProvisioningFault> {
    let (header, choice) = decode(exi)?;
    let (code, seal) = match (action, choice) {
        (Action::Install, Some(BodyChoice::CertificateInstallationRes(answer))) => (
            answer.response_code,
            Seal {
                cps: answer.sa_provisioning_certificate_chain,
                chain: answer.contract_signature_cert_chain,
                key: answer.contract_signature_encrypted_private_key,
                dh: answer.dh_public_key,
                emaid: answer.e_maid,
                signature: Signature::minimal(),
            },
        ),
        (Action::Update, Some(BodyChoice::CertificateUpdateRes(answer))) => (
            answer.response_code,
            Seal {
                cps: answer.sa_provisioning_certificate_chain,
                chain: answer.contract_signature_cert_chain,
                key: answer.contract_signature_encrypted_private_key,
                dh: answer.dh_public_key,
                emaid: answer.e_maid,
                signature: Signature::minimal(),
            },
        ),
        (Action::Install, _) => {
            return Err(ProvisioningFault::OtherMessage {
                expected: "CertificateInstallationRes",
            });
        }
        (Action::Update, _) => {
            return Err(ProvisioningFault::OtherMessage {
                expected: "CertificateUpdateRes",
            });
        }
    };
    if !is_ok(code) {
        return Ok(Answer::Refused(code.as_str()));
    }
    let signature = header.signature.ok_or(ProvisioningFault::Unsigned)?;
    let seal = Seal { signature, ..seal };
    Ok(Answer::Contract(Box::new(SignedContract {
        contract: seal.contract(),
        cps_chain: list_of(&seal.cps),
        seal: answer::Seal::Iso2(Box::new(seal)),
    })))
}

const fn is_ok(code: ResponseCode) -> bool {
    matches!(
        code,
        ResponseCode::OK
            | ResponseCode::OKNewSessionEstablished
            | ResponseCode::OKOldSessionJoined
            | ResponseCode::OKCertificateExpiresSoon
    )
}

const fn code_of(refusal: Refusal) -> ResponseCode {
    match refusal {
        Refusal::Failed => ResponseCode::FAILED,
        Refusal::Signature => ResponseCode::FAILEDSignatureError,
        Refusal::Expired => ResponseCode::FAILEDCertificateExpired,
        Refusal::Revoked => ResponseCode::FAILEDCertificateRevoked,
        Refusal::Chain => ResponseCode::FAILEDCertChainError,
        Refusal::NoContract => ResponseCode::FAILEDNoCertificateAvailable,
        Refusal::Cancelled => ResponseCode::FAILEDContractCanceled,
    }
}

pub(super) fn encode_refusal(
    action: Action,
    session: &[u8],
    refusal: Refusal,
) -> Result<Vec<u8>, ProvisioningFault> {
    let response_code = code_of(refusal);
    let choice = match action {
        Action::Install => BodyChoice::CertificateInstallationRes(CertificateInstallationRes {
            response_code,
            ..CertificateInstallationRes::minimal()
        }),
        Action::Update => BodyChoice::CertificateUpdateRes(CertificateUpdateRes {
            response_code,
            ..CertificateUpdateRes::minimal()
        }),
    };
    encode(session, choice, None)
}
