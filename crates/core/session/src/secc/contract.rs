//! What the station reads from a contract certificate chain, and the checks of the signatures made
//! with its key.

use gridlatch_vocab::catalogue::pnc as codes;
use gridlatch_vocab::{Code, Emaid, Personal, Timestamp};
use iso15118::pnc::PncError;
use iso15118::pnc::pki::{Certificate, Curve};
use iso15118::pnc::rustcrypto::VerifyingKey;

use super::types::{ContractCheck, ContractFault};

/// Certificates in a chain, the leaf included. ISO 15118 allows two sub-CAs; one more is looked at so
/// that the refusal names the right fault.
const MAX_CHAIN: usize = 4;

/// A contract whose chain was read and judged.
#[derive(Debug)]
pub(super) struct Contract {
    pub(super) emaid: Personal<String>,
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) key: VerifyingKey,
}

/// A refused contract: the event code, the fault in the words of the standard, and a sentence.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) code: Code,
    pub(super) fault: ContractFault,
    pub(super) message: String,
}

impl Refused {
    fn new(code: Code, fault: ContractFault, message: impl Into<String>) -> Self {
        Self {
            code,
            fault,
            message: message.into(),
        }
    }
}

/// Reads and judges a chain. `claimed` is the contract id the vehicle named next to it (-2 only).
pub(super) fn examine(
    chain: Vec<Vec<u8>>,
    claimed: Option<&str>,
    check: Option<&dyn ContractCheck>,
    now: Timestamp,
) -> Result<Contract, Refused> {
    let malformed = |message: String| Refused::new(codes::CONTRACT_MALFORMED, ContractFault::Chain, message);
    if chain.len() > MAX_CHAIN {
        return Err(malformed(format!("the chain has {} certificates", chain.len())));
    }
    let Some(leaf) = chain.first() else {
        return Err(malformed("the chain is empty".to_owned()));
    };
    let (emaid, key) = {
        let leaf = Certificate::parse(leaf)
            .map_err(|error| malformed(format!("the contract certificate: {error}")))?;
        let seconds = now.unix_millis() / 1000;
        if !leaf.is_valid_at(seconds) {
            return Err(Refused::new(
                codes::CONTRACT_EXPIRED,
                ContractFault::Expired,
                "the contract certificate is not valid now",
            ));
        }
        let name = leaf.subject.common_name.unwrap_or_default();
        let emaid: Emaid = name
            .parse()
            .map_err(|error| malformed(format!("the common name of the contract certificate is {error}")))?;
        let key = match leaf.curve {
            Curve::P256 => VerifyingKey::p256_sec1(leaf.public_key),
            Curve::P521 => VerifyingKey::p521_sec1(leaf.public_key),
            _ => Err(PncError::Backend("a curve ISO 15118 does not allow")),
        }
        .map_err(|error| malformed(format!("the key of the contract certificate: {error}")))?;
        (emaid, key)
    };
    if let Some(claimed) = claimed
        && claimed.parse::<Emaid>().ok().as_ref() != Some(&emaid)
    {
        return Err(Refused::new(
            codes::EMAID_MISMATCH,
            ContractFault::Chain,
            "the contract id in the message is not the one in the certificate",
        ));
    }
    if let Some(check) = check {
        check.check(&chain, now).map_err(|(fault, message)| {
            let code = if fault == ContractFault::Expired {
                codes::CONTRACT_EXPIRED
            } else {
                codes::CONTRACT_UNTRUSTED
            };
            Refused::new(code, fault, message)
        })?;
    }
    Ok(Contract {
        emaid: Personal::new(emaid.as_str().to_owned()),
        chain,
        key,
    })
}

/// Whether a signature failed because of the challenge rather than the mathematics.
pub(super) const fn is_challenge_fault(error: &PncError) -> bool {
    matches!(
        error,
        PncError::ChallengeMismatch | PncError::MissingChallenge | PncError::BadChallengeLength { .. }
    )
}
