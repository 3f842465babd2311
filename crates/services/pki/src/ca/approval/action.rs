//! What takes two operators, as it is written down, shown and approved.

use gridlatch_store::pki::RequestRow;
use gridlatch_trust::profile::Kind;
use gridlatch_trust::{Generation, Profile};
use gridlatch_vocab::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::ca::{CaError, Issued, Order};

/// Something that takes two operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// Issue a certificate, from a root.
    Issue {
        /// The CA.
        authority: String,
        /// The kind's word.
        kind: String,
        /// CN.
        common_name: String,
        /// O.
        organization: Option<String>,
        /// C.
        country: Option<String>,
        /// The public key, DER in hex.
        key: String,
        /// `role:id` of who asked.
        requester: String,
    },
    /// Give a CA a new certificate.
    RenewAuthority {
        /// The CA.
        authority: String,
    },
    /// Give a CA a new OCSP signer, with a key made here.
    OcspSigner {
        /// The CA.
        authority: String,
    },
    /// Revoke the certificate of a CA.
    Revoke {
        /// The issuer.
        authority: String,
        /// The serial number.
        serial: String,
        /// The reason's name.
        reason: String,
    },
    /// Replace the policy.
    Policy {
        /// The text.
        text: String,
    },
    /// Register another operator.
    Operator {
        /// The name.
        name: String,
        /// The public key, DER in hex.
        key: String,
    },
    /// Take an operator off the register; what they approved and is not done yet no longer counts.
    RemoveOperator {
        /// The name.
        name: String,
    },
}

impl Action {
    /// The action that issues what `order` asks for. Alternative names and own dates are not among what
    /// roots sign.
    #[must_use]
    pub fn issue(order: &Order) -> Self {
        Self::Issue {
            authority: order.authority.clone(),
            kind: order.profile.kind.slug().to_owned(),
            common_name: order.subject.common_name.clone(),
            organization: order.subject.organization.clone(),
            country: order.subject.country.clone(),
            key: hex::encode(&order.spki),
            requester: format!("{}:{}", order.requester.role, order.requester.id),
        }
    }

    /// One line for lists.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::Issue {
                authority,
                kind,
                common_name,
                ..
            } => format!("issue a {kind} named {common_name:?} from {authority}"),
            Self::RenewAuthority { authority } => format!("renew the CA {authority}"),
            Self::OcspSigner { authority } => format!("issue a new OCSP signer for {authority}"),
            Self::Revoke {
                authority,
                serial,
                reason,
            } => format!("revoke {serial} of {authority}: {reason}"),
            Self::Policy { text } => format!("replace the policy ({} bytes)", text.len()),
            Self::Operator { name, .. } => format!("register the operator {name}"),
            Self::RemoveOperator { name } => format!("remove the operator {name}"),
        }
    }
}

/// A request as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRequest {
    /// Its name.
    pub id: String,
    /// What is to be done.
    pub action: Action,
    /// Who asked.
    pub asked_by: String,
    /// When.
    pub at: Timestamp,
    /// `open`, `executed` or `withdrawn`.
    pub state: String,
    /// Operators who approved.
    pub approved_by: Vec<String>,
    /// What an operator signs to approve it.
    pub message: Vec<u8>,
}

/// What an approval led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It counts, and more are needed.
    Waiting {
        /// How many have approved.
        given: usize,
        /// How many are needed.
        needed: usize,
    },
    /// It was the last: a certificate was issued.
    Issued(Box<Issued>),
    /// It was the last: a CA has this new certificate.
    Renewed(Vec<u8>),
    /// It was the last, and it is done.
    Done,
}

/// What an operator's key signs to approve a request: its name and the digest of everything in it.
#[must_use]
pub fn approval_message(id: &str, action: &str) -> Vec<u8> {
    let digest = Sha256::digest(action.as_bytes());
    format!("gridlatch pki approval 1\n{id}\n{}\n", hex::encode(digest)).into_bytes()
}

pub(super) fn parse(row: &RequestRow) -> Result<Action, CaError> {
    serde_json::from_str(&row.action).map_err(|_| CaError::Damaged {
        what: format!("the request {}", row.id),
        reason: "it was not written by this release",
    })
}

/// What an event may say: no common names, which may stand for people.
pub(super) fn action_event(action: &Action) -> String {
    match action {
        Action::Issue { authority, kind, .. } => format!("issue a {kind} from {authority}"),
        other => other.summary(),
    }
}

pub(super) fn profile(kind: &str, generation: Generation) -> Option<Profile> {
    Kind::from_slug(kind).map(|kind| Profile { kind, generation })
}
