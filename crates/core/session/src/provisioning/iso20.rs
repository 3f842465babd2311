//! The messages of ISO 15118-20: installation only; an update is an installation there.

use gridlatch_vocab::{Personal, Timestamp};
use iso15118::exi::{ExiDocument as _, ValueCoding};
use iso15118::iso20::common::{
    ListOfRootCertificateIDs, MessageHeader, Processing, ResponseCode, Signature, X509IssuerSerial,
};
use iso15118::iso20::messages::{
    CertificateChain, CertificateInstallationReq, CertificateInstallationRes, ContractCertificateChain,
    Document, EMAIDList, EcdhCurve, SignedCertificateChain, SignedInstallationData,
    SignedInstallationDataChoice, SubCertificates,
};
use iso15118::pnc::rustcrypto::{Sha2, VerifyingKey};
use iso15118::pnc::{self, PncError, Signed as Element};

use super::answer::{self, Answer, Refusal, SignedContract};
use super::request::{self, Installation, InstallationRequest, RootId};
use super::{Action, ContractData, ContractSigner, Delivery, Generation, MAX_ROOTS, ProvisioningFault};
use crate::evcc::SignWith;

/// Largest certificate, bytes (Amendment 1).
const MAX_CERTIFICATE: usize = 1600;
/// Sub-certificates in a chain.
const MAX_SUBS: usize = 3;

fn encode(document: &Document) -> Result<Vec<u8>, ProvisioningFault> {
    document.to_vec().map_err(|error| ProvisioningFault::exi(&error))
}

fn header(
    session: &[u8],
    now: Timestamp,
    signature: Option<Signature>,
) -> Result<MessageHeader, ProvisioningFault> {
    if session.len() != 8 {
        return Err(ProvisioningFault::Unmakeable(
            "the session id of ISO 15118-20 is 8 bytes",
        ));
    }
    Ok(MessageHeader {
        session_id: session.to_vec(),
        time_stamp: u64::try_from(now.unix_millis() / 1000).unwrap_or(0),
        signature,
    })
}

fn subs_of(chain: &[Vec<u8>]) -> Result<(Vec<u8>, Option<SubCertificates>), ProvisioningFault> {
    let (leaf, subs) = chain
        .split_first()
        .ok_or(ProvisioningFault::Unmakeable("a chain is empty"))?;
    if subs.len() > MAX_SUBS || chain.iter().any(|der| der.len() > MAX_CERTIFICATE) {
        return Err(ProvisioningFault::Unmakeable(
            "a chain has more than four certificates, or one of more than 1600 bytes",
        ));
    }
    let subs = (!subs.is_empty()).then(|| SubCertificates {
        certificate: subs.to_vec(),
    });
    Ok((leaf.clone(), subs))
}

fn list_of(leaf: &[u8], subs: Option<&SubCertificates>) -> Vec<Vec<u8>> {
    std::iter::once(leaf.to_vec())
        .chain(subs.iter().flat_map(|subs| subs.certificate.iter().cloned()))
        .collect()
}

// --- the request ---------------------------------------------------------------------------------------------

/// The signed chain of a request.
#[derive(Debug, Clone)]
pub(super) struct SignedRequest {
    chain: SignedCertificateChain,
    signature: Option<Signature>,
}

impl SignedRequest {
    pub(super) fn verify(&self, key: &VerifyingKey) -> Result<(), ProvisioningFault> {
        let signature = self.signature.as_ref().ok_or(ProvisioningFault::Unsigned)?;
        verify(
            signature,
            &self.chain.id,
            |coding| Ok(self.chain.to_fragment_with(coding)?),
            key,
        )
        .map_err(ProvisioningFault::signature("the vehicle"))
    }
}

fn verify(
    signature: &Signature,
    id: &str,
    fragment: impl Fn(ValueCoding) -> Result<Vec<u8>, PncError>,
    key: &VerifyingKey,
) -> Result<(), PncError> {
    let attempt = |coding| {
        let covered = fragment(coding)?;
        let elements = [Element::new(id, &covered)];
        pnc::iso20::verify_with(signature, &elements, pnc::iso20::SUITES, &Sha2, key, coding)
    };
    match attempt(ValueCoding::Literal) {
        Err(first) if matches!(first, PncError::BadSignature | PncError::DigestMismatch { .. }) => {
            attempt(ValueCoding::Referenced).map_err(|_| first)
        }
        other => other,
    }
}

pub(super) fn decode_request(action: Action, exi: &[u8]) -> Result<InstallationRequest, ProvisioningFault> {
    let expected = "CertificateInstallationReq of ISO 15118-20";
    if action == Action::Update {
        return Err(ProvisioningFault::OtherMessage { expected });
    }
    let document = Document::from_bytes(exi).map_err(|error| ProvisioningFault::exi(&error))?;
    let Document::CertificateInstallationReq(request) = document else {
        return Err(ProvisioningFault::OtherMessage { expected });
    };
    let chain = request.oem_provisioning_certificate_chain;
    let emaids = request
        .prioritized_emai_ds
        .map(|list| list.emaid.into_iter().map(Personal::new).collect())
        .unwrap_or_default();
    let roots = request
        .list_of_root_certificate_i_ds
        .root_certificate_id
        .into_iter()
        .take(MAX_ROOTS)
        .map(|root| RootId {
            issuer: root.x509_issuer_name,
            serial: root.x509_serial_number,
        })
        .collect();
    Ok(InstallationRequest::new(
        Generation::Iso20,
        action,
        request.header.session_id,
        list_of(&chain.certificate, chain.sub_certificates.as_ref()),
        roots,
        emaids,
        request.maximum_contract_certificate_chains,
        request::Signed::Iso20(Box::new(SignedRequest {
            chain,
            signature: request.header.signature,
        })),
    ))
}

pub(super) fn encode_request(
    asked: &Installation,
    signer: &dyn ContractSigner,
) -> Result<Vec<u8>, ProvisioningFault> {
    if asked.action == Action::Update {
        return Err(ProvisioningFault::Unmakeable(
            "ISO 15118-20 has no CertificateUpdate",
        ));
    }
    if asked.roots.is_empty() || asked.roots.len() > MAX_ROOTS {
        return Err(ProvisioningFault::Unmakeable("between 1 and 20 roots are named"));
    }
    let (certificate, sub_certificates) = subs_of(&asked.chain)?;
    let chain = SignedCertificateChain {
        id: pnc::DEFAULT_ID.to_owned(),
        certificate,
        sub_certificates,
    };
    let covered = chain
        .to_fragment()
        .map_err(|error| ProvisioningFault::exi(&error))?;
    let signature = sign(&chain.id, &covered, signer)?;
    let emaids: Vec<String> = asked.emaids.iter().map(|emaid| emaid.reveal().clone()).collect();
    encode(&Document::CertificateInstallationReq(
        CertificateInstallationReq {
            header: header(&asked.session, asked.now, Some(signature))?,
            oem_provisioning_certificate_chain: chain,
            list_of_root_certificate_i_ds: ListOfRootCertificateIDs {
                root_certificate_id: asked
                    .roots
                    .iter()
                    .map(|root| X509IssuerSerial {
                        x509_issuer_name: root.issuer.clone(),
                        x509_serial_number: root.serial,
                    })
                    .collect(),
            },
            maximum_contract_certificate_chains: asked.maximum,
            prioritized_emai_ds: (!emaids.is_empty()).then_some(EMAIDList { emaid: emaids }),
        },
    ))
}

fn sign(id: &str, covered: &[u8], signer: &dyn ContractSigner) -> Result<Signature, ProvisioningFault> {
    let suite = signer.curve().suite();
    let signer = SignWith::new(signer);
    pnc::iso20::sign(suite, &[Element::new(id, covered)], &Sha2, &signer)
        .map_err(|error| ProvisioningFault::Signer(signer.explain("the key", &error)))
}

// --- the answer ----------------------------------------------------------------------------------------------

/// The signed element and the signature over it.
#[derive(Debug, Clone)]
pub(super) struct Seal {
    cps: CertificateChain,
    data: SignedInstallationData,
    signature: Signature,
}

impl Seal {
    pub(super) fn make(
        contract: &ContractData,
        cps_chain: &[Vec<u8>],
        signer: &dyn ContractSigner,
    ) -> Result<Self, ProvisioningFault> {
        let key = contract.encrypted_key.clone();
        let (ec_dh_curve, choice) = match contract.delivery {
            Delivery::P256 => {
                return Err(ProvisioningFault::Unmakeable(
                    "ISO 15118-20 carries no secp256r1 key",
                ));
            }
            Delivery::P521 => (
                EcdhCurve::SECP521,
                SignedInstallationDataChoice::SECP521EncryptedPrivateKey(key),
            ),
            Delivery::X448 => (
                EcdhCurve::X448,
                SignedInstallationDataChoice::X448EncryptedPrivateKey(key),
            ),
            Delivery::Tpm => (
                EcdhCurve::SECP521,
                SignedInstallationDataChoice::TPMEncryptedPrivateKey(key),
            ),
        };
        // The codec takes 133 bytes only, whatever the curve.
        if contract.encrypted_key.len() != contract.delivery.length() || contract.dh_public_key.len() != 133 {
            return Err(ProvisioningFault::Unmakeable(
                "the encrypted key or the public key has not the length of its field",
            ));
        }
        let (certificate, subs) = subs_of(&contract.chain)?;
        let data = SignedInstallationData {
            id: pnc::DEFAULT_ID.to_owned(),
            contract_certificate_chain: ContractCertificateChain {
                certificate,
                sub_certificates: subs
                    .ok_or(ProvisioningFault::Unmakeable("a contract chain has sub-CAs"))?,
            },
            ec_dh_curve,
            dh_public_key: contract.dh_public_key.clone(),
            choice,
        };
        let (certificate, sub_certificates) = subs_of(cps_chain)?;
        let covered = data
            .to_fragment()
            .map_err(|error| ProvisioningFault::exi(&error))?;
        let signature = sign(&data.id, &covered, signer)?;
        Ok(Self {
            cps: CertificateChain {
                certificate,
                sub_certificates,
            },
            data,
            signature,
        })
    }

    pub(super) fn verify(&self, key: &VerifyingKey) -> Result<(), ProvisioningFault> {
        verify(
            &self.signature,
            &self.data.id,
            |coding| Ok(self.data.to_fragment_with(coding)?),
            key,
        )
        .map_err(ProvisioningFault::signature("the provisioning service"))
    }

    pub(super) fn encode(
        &self,
        session: &[u8],
        remaining: u8,
        now: Timestamp,
    ) -> Result<Vec<u8>, ProvisioningFault> {
        encode(&Document::CertificateInstallationRes(
            CertificateInstallationRes {
                header: header(session, now, Some(self.signature.clone()))?,
                response_code: ResponseCode::OK,
                evse_processing: Processing::Finished,
                cp_s_certificate_chain: self.cps.clone(),
                signed_installation_data: self.data.clone(),
                remaining_contract_certificate_chains: remaining,
            },
        ))
    }

    fn contract(&self) -> Result<ContractData, ProvisioningFault> {
        let chain = list_of(
            &self.data.contract_certificate_chain.certificate,
            Some(&self.data.contract_certificate_chain.sub_certificates),
        );
        let (delivery, key) = match &self.data.choice {
            SignedInstallationDataChoice::SECP521EncryptedPrivateKey(key) => (Delivery::P521, key),
            SignedInstallationDataChoice::X448EncryptedPrivateKey(key) => (Delivery::X448, key),
            SignedInstallationDataChoice::TPMEncryptedPrivateKey(key) => (Delivery::Tpm, key),
        };
        Ok(ContractData {
            // The message names no contract; its certificate does.
            emaid: Personal::new(common_name(chain.first().map_or(&[], Vec::as_slice))?),
            chain,
            delivery,
            encrypted_key: key.clone(),
            dh_public_key: self.data.dh_public_key.clone(),
        })
    }
}

fn common_name(certificate: &[u8]) -> Result<String, ProvisioningFault> {
    let unreadable = |why: String| ProvisioningFault::Certificate {
        what: "the contract certificate",
        why,
    };
    let parsed = pnc::pki::Certificate::parse(certificate).map_err(|error| unreadable(error.to_string()))?;
    parsed
        .subject
        .common_name
        .map(str::to_owned)
        .ok_or_else(|| unreadable("it has no common name".to_owned()))
}

pub(super) fn decode_answer(exi: &[u8]) -> Result<Answer, ProvisioningFault> {
    let document = Document::from_bytes(exi).map_err(|error| ProvisioningFault::exi(&error))?;
    let Document::CertificateInstallationRes(answer) = document else {
        return Err(ProvisioningFault::OtherMessage {
            expected: "CertificateInstallationRes of ISO 15118-20",
        });
    };
    if !matches!(
        answer.response_code,
        ResponseCode::OK | ResponseCode::OKCertificateExpiresSoon
    ) {
        return Ok(Answer::Refused(answer.response_code.as_str()));
    }
    let signature = answer.header.signature.ok_or(ProvisioningFault::Unsigned)?;
    let seal = Seal {
        cps: answer.cp_s_certificate_chain,
        data: answer.signed_installation_data,
        signature,
    };
    Ok(Answer::Contract(Box::new(SignedContract {
        contract: seal.contract()?,
        cps_chain: list_of(&seal.cps.certificate, seal.cps.sub_certificates.as_ref()),
        seal: answer::Seal::Iso20(Box::new(seal)),
    })))
}

const fn code_of(refusal: Refusal) -> ResponseCode {
    match refusal {
        Refusal::Failed => ResponseCode::FAILED,
        Refusal::Signature => ResponseCode::FAILEDSignatureError,
        Refusal::Expired => ResponseCode::WARNINGCertificateExpired,
        Refusal::Revoked => ResponseCode::WARNINGCertificateRevoked,
        Refusal::Chain => ResponseCode::WARNINGCertificateValidationError,
        Refusal::NoContract => ResponseCode::WARNINGNoContractMatchingPCIDFound,
        Refusal::Cancelled => ResponseCode::WARNINGNoCertificateAvailable,
    }
}

pub(super) fn encode_refusal(
    session: &[u8],
    refusal: Refusal,
    now: Timestamp,
) -> Result<Vec<u8>, ProvisioningFault> {
    let minimal = CertificateInstallationRes::minimal();
    encode(&Document::CertificateInstallationRes(
        CertificateInstallationRes {
            header: header(session, now, None)?,
            response_code: code_of(refusal),
            evse_processing: Processing::Finished,
            ..minimal
        },
    ))
}
