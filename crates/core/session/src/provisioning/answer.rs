//! What the secondary actors answer: signed contract data, or a refusal in the words of the standard.

use gridlatch_vocab::Timestamp;

use super::request::verifying_key;
use super::{Action, ContractData, ContractSigner, Generation, MAX_MESSAGE, ProvisioningFault, iso2, iso20};

/// Contract data with the signature of the provisioning service over it.
#[derive(Debug, Clone)]
pub struct SignedContract {
    pub(super) contract: ContractData,
    pub(super) cps_chain: Vec<Vec<u8>>,
    pub(super) seal: Seal,
}

#[derive(Debug, Clone)]
pub(super) enum Seal {
    Iso2(Box<iso2::Seal>),
    Iso20(Box<iso20::Seal>),
}

/// Why no contract comes, as vehicles are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Anything that has no word of its own.
    Failed,
    /// The request's signature.
    Signature,
    /// The certificate it was signed with has expired.
    Expired,
    /// ... was revoked.
    Revoked,
    /// ... does not lead to a trusted root.
    Chain,
    /// There is no contract for this vehicle.
    NoContract,
    /// The contract was cancelled.
    Cancelled,
}

/// What the vehicle gets.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A contract; check it with [`SignedContract::verify`].
    Contract(Box<SignedContract>),
    /// None, and the response code of the standard.
    Refused(&'static str),
}

impl SignedContract {
    /// Signs contract data with the key of the first certificate of `cps_chain` (DER, leaf first, without the
    /// root).
    ///
    /// # Errors
    /// The data does not fit the messages of the standard, or the key refused.
    pub fn sign(
        generation: Generation,
        contract: ContractData,
        cps_chain: Vec<Vec<u8>>,
        signer: &dyn ContractSigner,
    ) -> Result<Self, ProvisioningFault> {
        let seal = match generation {
            Generation::Iso2 => Seal::Iso2(Box::new(iso2::Seal::make(&contract, &cps_chain, signer)?)),
            Generation::Iso20 => Seal::Iso20(Box::new(iso20::Seal::make(&contract, &cps_chain, signer)?)),
        };
        Ok(Self {
            contract,
            cps_chain,
            seal,
        })
    }

    /// Which standard's messages it fits.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        match self.seal {
            Seal::Iso2(_) => Generation::Iso2,
            Seal::Iso20(_) => Generation::Iso20,
        }
    }

    /// What was signed.
    #[must_use]
    pub const fn contract(&self) -> &ContractData {
        &self.contract
    }

    /// The provisioning service's certificate and sub-CAs in DER, leaf first.
    #[must_use]
    pub fn cps_chain(&self) -> &[Vec<u8>] {
        &self.cps_chain
    }

    /// Whether all signed elements are as the holder of the first certificate of [`Self::cps_chain`] signed
    /// them. Whether that certificate is to be believed is another question.
    ///
    /// # Errors
    /// They are not.
    pub fn verify(&self) -> Result<(), ProvisioningFault> {
        let leaf = self.cps_chain.first().map_or(&[][..], Vec::as_slice);
        let key = verifying_key(leaf, "the certificate of the provisioning service")?;
        match &self.seal {
            Seal::Iso2(seal) => seal.verify(&key),
            Seal::Iso20(seal) => seal.verify(&key),
        }
    }

    /// The response in EXI. `remaining` is how many more contracts the vehicle may ask for (ISO 15118-20).
    ///
    /// # Errors
    /// The data does not fit the message.
    pub fn encode(
        &self,
        action: Action,
        session: &[u8],
        remaining: u8,
        now: Timestamp,
    ) -> Result<Vec<u8>, ProvisioningFault> {
        match &self.seal {
            Seal::Iso2(seal) => seal.encode(action, session),
            Seal::Iso20(seal) => seal.encode(session, remaining, now),
        }
    }
}

impl Answer {
    /// Reads a response of at most [`MAX_MESSAGE`] bytes. Nothing is believed yet.
    ///
    /// # Errors
    /// It is not the message that `generation` and `action` say.
    pub fn decode(generation: Generation, action: Action, exi: &[u8]) -> Result<Self, ProvisioningFault> {
        if exi.len() > MAX_MESSAGE {
            return Err(ProvisioningFault::TooLarge(exi.len()));
        }
        match generation {
            Generation::Iso2 => iso2::decode_answer(action, exi),
            Generation::Iso20 => iso20::decode_answer(exi),
        }
    }
}

/// A refusal in EXI.
///
/// # Errors
/// The session id is longer than 8 bytes.
pub fn refuse(
    generation: Generation,
    action: Action,
    session: &[u8],
    refusal: Refusal,
    now: Timestamp,
) -> Result<Vec<u8>, ProvisioningFault> {
    match generation {
        Generation::Iso2 => iso2::encode_refusal(action, session, refusal),
        Generation::Iso20 => iso20::encode_refusal(session, refusal, now),
    }
}
