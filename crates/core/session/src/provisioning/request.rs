//! What the vehicle asks, read and made.

use gridlatch_vocab::{Personal, Timestamp};
use iso15118::pnc::pki::{Certificate, Curve as CertificateCurve};
use iso15118::pnc::rustcrypto::VerifyingKey;

use super::{Action, ContractSigner, Generation, MAX_MESSAGE, ProvisioningFault, iso2, iso20};

/// A root certificate as vehicles name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootId {
    /// The issuer's distinguished name, as text.
    pub issuer: String,
    /// The serial number; EXI carries 64 bits of it here.
    pub serial: i64,
}

/// What a vehicle asks for.
#[derive(Debug, Clone)]
pub struct InstallationRequest {
    /// Which standard.
    pub generation: Generation,
    /// What it wants.
    pub action: Action,
    /// The session id of the header, at most 8 bytes.
    pub session: Vec<u8>,
    /// The certificate it identifies itself by, leaf first: the provisioning certificate (alone in
    /// ISO 15118-2, with sub-CAs in -20), or for an update the contract certificate with its sub-CAs.
    pub chain: Vec<Vec<u8>>,
    /// V2G roots it can verify.
    pub roots: Vec<RootId>,
    /// Contracts it asks for: the one to be updated, or those it prefers (ISO 15118-20).
    pub emaids: Vec<Personal<String>>,
    /// How many contracts it takes; 1 in ISO 15118-2.
    pub maximum: u8,
    signed: Signed,
}

/// The signed part as it came.
#[derive(Debug, Clone)]
pub(super) enum Signed {
    Iso2(Box<iso2::SignedRequest>),
    Iso20(Box<iso20::SignedRequest>),
}

/// What a vehicle wants to ask; [`InstallationRequest`] is how it arrives.
#[derive(Debug, Clone)]
pub struct Installation {
    /// Which standard.
    pub generation: Generation,
    /// Install or update; ISO 15118-20 has only the former.
    pub action: Action,
    /// The session id, 8 bytes.
    pub session: Vec<u8>,
    /// As [`InstallationRequest::chain`].
    pub chain: Vec<Vec<u8>>,
    /// At least one root.
    pub roots: Vec<RootId>,
    /// As [`InstallationRequest::emaids`].
    pub emaids: Vec<Personal<String>>,
    /// As [`InstallationRequest::maximum`].
    pub maximum: u8,
    /// For the header of ISO 15118-20.
    pub now: Timestamp,
}

impl Installation {
    /// The signed request in EXI.
    ///
    /// # Errors
    /// A value does not fit the message, or the key refused.
    pub fn encode(&self, signer: &dyn ContractSigner) -> Result<Vec<u8>, ProvisioningFault> {
        match self.generation {
            Generation::Iso2 => iso2::encode_request(self, signer),
            Generation::Iso20 => iso20::encode_request(self, signer),
        }
    }
}

impl InstallationRequest {
    /// Reads a request of at most [`MAX_MESSAGE`] bytes. Nothing is believed yet.
    ///
    /// # Errors
    /// It is not the message that `generation` and `action` say.
    pub fn decode(generation: Generation, action: Action, exi: &[u8]) -> Result<Self, ProvisioningFault> {
        if exi.len() > MAX_MESSAGE {
            return Err(ProvisioningFault::TooLarge(exi.len()));
        }
        match generation {
            Generation::Iso2 => iso2::decode_request(action, exi),
            Generation::Iso20 => iso20::decode_request(action, exi),
        }
    }

    /// The certificate the vehicle identifies itself by (DER).
    #[must_use]
    pub fn leaf(&self) -> &[u8] {
        self.chain.first().map_or(&[], Vec::as_slice)
    }

    /// Whether the request is signed by the key of [`Self::leaf`]. Whether that certificate is to be believed
    /// is another question.
    ///
    /// # Errors
    /// It is not signed, or not by that key.
    pub fn verify(&self) -> Result<(), ProvisioningFault> {
        let key = verifying_key(self.leaf(), "the vehicle's certificate")?;
        match &self.signed {
            Signed::Iso2(signed) => signed.verify(&key),
            Signed::Iso20(signed) => signed.verify(&key),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one call in each standard's module")]
    pub(super) const fn new(
        generation: Generation,
        action: Action,
        session: Vec<u8>,
        chain: Vec<Vec<u8>>,
        roots: Vec<RootId>,
        emaids: Vec<Personal<String>>,
        maximum: u8,
        signed: Signed,
    ) -> Self {
        Self {
            generation,
            action,
            session,
            chain,
            roots,
            emaids,
            maximum,
            signed,
        }
    }
}

/// The key of a certificate, for checking signatures.
pub(super) fn verifying_key(
    certificate: &[u8],
    what: &'static str,
) -> Result<VerifyingKey, ProvisioningFault> {
    let unreadable = |why: String| ProvisioningFault::Certificate { what, why };
    let certificate = Certificate::parse(certificate).map_err(|error| unreadable(error.to_string()))?;
    match certificate.curve {
        CertificateCurve::P256 => VerifyingKey::p256_sec1(certificate.public_key),
        CertificateCurve::P521 => VerifyingKey::p521_sec1(certificate.public_key),
        _ => {
            return Err(unreadable(
                "its key is on a curve that signs nothing here".to_owned(),
            ));
        }
    }
    .map_err(|error| unreadable(error.to_string()))
}
