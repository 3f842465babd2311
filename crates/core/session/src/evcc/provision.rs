//! A vehicle without a contract asks for one at the station, and believes only what it can verify.

use core::fmt;

use gridlatch_vocab::{Code, Personal, Timestamp};
use iso15118::Protocol;
use iso15118::message::Message;
use iso15118::v2gtp::PayloadType;

use super::config::Generation;
use super::contract::{Contract, ContractSigner};
use super::policy::{Context, Next};
use super::refusal;
use crate::provisioning::{Action, Answer, Installation, ProvisioningFault, RootId, SignedContract};

/// How a vehicle asks for a contract, or for a new certificate of the one it holds.
#[derive(Debug)]
pub struct ContractWish {
    /// Install or update; ISO 15118-20 has only the former.
    pub action: Action,
    /// What it identifies itself by, DER, leaf first: the provisioning certificate with its sub-CAs, or the contract
    /// chain for an update.
    pub chain: Vec<Vec<u8>>,
    /// The key of the leaf.
    pub signer: Box<dyn ContractSigner>,
    /// The V2G roots it knows; at least one.
    pub roots: Vec<RootId>,
    /// The contract to be updated, or those it prefers.
    pub emaids: Vec<Personal<String>>,
    /// Judges, opens and keeps what comes.
    pub acceptance: Box<dyn ContractAcceptance>,
}

/// What a vehicle does with a contract that is signed by the certificate it came with.
pub trait ContractAcceptance: Send + fmt::Debug {
    /// Judges the chains against the vehicle's roots, decrypts the key, makes sure that it is the certificate's
    /// [V2G2-823], and keeps it before it is used.
    ///
    /// # Errors
    /// The row of the catalogue, and a sentence with the particulars.
    fn accept(&self, offered: &SignedContract) -> Result<Contract, (Code, String)>;
}

/// The signed request.
pub(super) fn request(ctx: &Context<'_>, wish: &ContractWish) -> Result<Message, ProvisioningFault> {
    let generation = ctx.config.generation;
    let exi = Installation {
        generation,
        action: wish.action,
        session: ctx.session_id.clone(),
        chain: wish.chain.clone(),
        roots: wish.roots.clone(),
        emaids: wish.emaids.clone(),
        maximum: 1,
        now: Timestamp::from_unix_millis(i64::try_from(ctx.now.unix_s * 1000).unwrap_or(0)),
    }
    .encode(&*wish.signer)?;
    let (protocol, kind) = match generation {
        Generation::Iso2 => (Protocol::Iso2, PayloadType::ExiEncodedV2gMessage),
        Generation::Iso20 => (Protocol::Iso20, PayloadType::Part20Main),
    };
    Message::decode(Some(protocol), kind, &exi).map_err(|error| ProvisioningFault::Exi(error.to_string()))
}

/// What to make of the answer.
pub(super) fn take(ctx: &Context<'_>, wish: &ContractWish, response: &Message) -> Next {
    let answer = response
        .encode()
        .map_err(|error| ProvisioningFault::Exi(error.to_string()))
        .and_then(|(_, exi)| Answer::decode(ctx.config.generation, wish.action, &exi));
    let offered = match answer {
        Ok(Answer::Contract(offered)) => offered,
        Ok(Answer::Refused(code)) => {
            let failure = refusal::failure(ctx.log.current(), request_name(wish.action), code);
            return Next::GiveUp(failure);
        }
        Err(fault) => return ctx.give_up(fault.code(), format!("the offered contract: {fault}")),
    };
    if let Err(fault) = offered.verify() {
        return ctx.give_up(
            fault.code(),
            format!("the offered contract is not believed: {fault}"),
        );
    }
    match wish.acceptance.accept(&offered) {
        Ok(contract) => Next::Adopt(Box::new(contract)),
        Err((code, why)) => ctx.give_up(code, why),
    }
}

const fn request_name(action: Action) -> &'static str {
    match action {
        Action::Install => "CertificateInstallationReq",
        Action::Update => "CertificateUpdateReq",
    }
}
