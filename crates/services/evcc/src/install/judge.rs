//! Whether the vehicle believes a contract it was offered: who signed it, who issued it, whose it is.

use gridlatch_keys::OpensslVerifier;
use gridlatch_session::evcc::Generation;
use gridlatch_session::provisioning::{Action, SignedContract};
use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_trust::verdict::{Rejected, check_with};
use gridlatch_trust::{KeyAlgorithm, certificate};
use gridlatch_vocab::catalogue::pnc;
use gridlatch_vocab::{Code, Emaid, Timestamp};

use super::InstallCredential;

/// What a vehicle does with a contract when it knows no root of any mobility operator of that standard.
///
/// ISO 15118-2 asks a vehicle to know V2G roots and leaves mobility operators' roots to it [V2G2-926]: the
/// provisioning service, whose signature covers the whole contract, vouches for the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WithoutMoRoot {
    /// The provisioning service's word is enough; the chain must still hold up to its own top.
    #[default]
    Believe,
    /// No contract is taken.
    Refuse,
}

/// By what the operator's chain was believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Basis {
    /// A root this vehicle knows.
    Root(String),
    /// The provisioning service's signature alone.
    Service,
}

impl Basis {
    /// For the event.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Root(name) => format!("its chain leads to the operator's root {name:?}"),
            Self::Service => {
                "this vehicle knows no mobility operator's root of this standard: the provisioning service vouches for \
                 the operator"
                    .to_owned()
            }
        }
    }
}

type Refused = (Code, String);

/// Judges an offer whose signature verified: the signer's chain, the operator's chain, and the contract id.
///
/// # Errors
/// [`pnc::OFFER_UNTRUSTED`], and which certificate or id, and why.
pub(super) fn judge(
    credential: &InstallCredential,
    offered: &SignedContract,
    now: Timestamp,
) -> Result<Basis, Refused> {
    let generation = offered.generation();
    let (signer, leaf) = match generation {
        Generation::Iso2 => (Profile::iso2(Kind::CpsLeaf), Profile::iso2(Kind::ContractLeaf)),
        Generation::Iso20 => (Profile::iso20(Kind::CpsLeaf), Profile::iso20(Kind::ContractLeaf)),
    };
    check_with(
        offered.cps_chain(),
        &credential.roots,
        signer,
        now,
        &OpensslVerifier,
    )
    .map_err(|rejected| untrusted("the provisioning service's chain", &described(&rejected)))?;
    let basis = issuer(credential, offered, leaf, now)?;
    identity(credential, offered)?;
    Ok(basis)
}

/// The operator's chain: to a root this vehicle knows, or by its policy.
fn issuer(
    credential: &InstallCredential,
    offered: &SignedContract,
    profile: Profile,
    now: Timestamp,
) -> Result<Basis, Refused> {
    let chain = &offered.contract().chain;
    let what = "the contract certificate";
    let known: Vec<Vec<u8>> = credential
        .mo_roots
        .iter()
        .filter(|root| of_generation(root, offered.generation()))
        .cloned()
        .collect();
    if !known.is_empty() {
        let accepted = check_with(chain, &known, profile, now, &OpensslVerifier)
            .map_err(|rejected| untrusted(what, &described(&rejected)))?;
        let root =
            certificate::summary(&accepted.anchor).map_or_else(|_| String::new(), |root| root.subject_cn);
        return Ok(Basis::Root(root));
    }
    if credential.without_mo_root == WithoutMoRoot::Refuse {
        return Err(untrusted(
            what,
            "this vehicle knows no mobility operator's root of this standard, and takes no contract on the \
             provisioning service's word alone",
        ));
    }
    // What can be seen without a root: that it is a contract's, in time, and issued by the sub-CAs beside it.
    let Some((top, below)) = chain.split_last().filter(|(_, below)| !below.is_empty()) else {
        return Err(untrusted(what, "it came without the sub-CA that issued it"));
    };
    check_with(below, std::slice::from_ref(top), profile, now, &OpensslVerifier)
        .map_err(|rejected| untrusted(what, &described(&rejected)))?;
    Ok(Basis::Service)
}

/// The id that was signed is the certificate's, and for an update the one that was asked about.
fn identity(credential: &InstallCredential, offered: &SignedContract) -> Result<(), Refused> {
    let contract = offered.contract();
    let leaf = contract.chain.first().map_or(&[][..], Vec::as_slice);
    let named = certificate::emaid_of(leaf)
        .map_err(|error| untrusted("the contract certificate", &error.to_string()))?;
    let is = |text: &str| text.parse::<Emaid>().is_ok_and(|emaid| emaid == *named.reveal());
    if !is(contract.emaid.reveal()) {
        return Err(untrusted(
            "the contract certificate",
            "the contract id beside it is another than the one in it",
        ));
    }
    match &credential.emaid {
        Some(asked) if credential.action == Action::Update && !is(asked.reveal()) => Err(untrusted(
            "the contract certificate",
            "it is of another contract than the one whose update was asked for",
        )),
        _ => Ok(()),
    }
}

fn of_generation(root: &[u8], generation: Generation) -> bool {
    let key = certificate::summary(root).ok().and_then(|summary| summary.key);
    match generation {
        Generation::Iso2 => key == Some(KeyAlgorithm::P256),
        Generation::Iso20 => matches!(key, Some(KeyAlgorithm::P521 | KeyAlgorithm::Ed448)),
    }
}

fn described(rejected: &Rejected) -> String {
    format!(
        "{} ({}; {})",
        rejected.message,
        rejected.code.as_str(),
        rejected.remedy.trim_end_matches('.')
    )
}

fn untrusted(what: &str, why: &str) -> Refused {
    (pnc::OFFER_UNTRUSTED, format!("{what}: {why}"))
}
