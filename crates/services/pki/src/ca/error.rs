//! Why the CA refused or failed.

use std::path::PathBuf;

use gridlatch_keys::KeyError;
use gridlatch_store::StoreError;
use gridlatch_trust::build::BuildError;
use gridlatch_vocab::{Code, Timestamp, catalogue::ca, catalogue::pki};
use thiserror::Error;

use super::policy::{PolicyError, Refusal};
use super::serial::Serial;

/// The CA did not do what it was asked; nothing was issued, revoked or changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CaError {
    /// No CA of this name.
    #[error("there is no CA named {0}")]
    UnknownAuthority(String),
    /// The CA signs nothing any more.
    #[error("{name} signs nothing: {reason}")]
    AuthorityUnusable {
        /// The CA.
        name: String,
        /// Expired, revoked or retired.
        reason: &'static str,
    },
    /// The profile does not let this CA sign this kind.
    #[error("{authority} may not sign a {kind}: {reason}")]
    WrongIssuer {
        /// The CA.
        authority: String,
        /// What was asked for.
        kind: &'static str,
        /// The rule.
        reason: &'static str,
    },
    /// The policy does not allow it.
    #[error(transparent)]
    Policy(#[from] Refusal),
    /// A policy cannot be used.
    #[error(transparent)]
    PolicyFile(#[from] PolicyError),
    /// It takes two operators.
    #[error("{what} takes the approval of {needed} operators")]
    ApprovalNeeded {
        /// What was asked for.
        what: &'static str,
        /// How many operators.
        needed: usize,
    },
    /// An approval does not count.
    #[error("the approval does not count: {0}")]
    ApprovalRefused(&'static str),
    /// The certificate would break its profile, or the key refused.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A certificate request cannot be read, or does not prove possession of its key.
    #[error(transparent)]
    Csr(#[from] gridlatch_trust::csr::CsrError),
    /// A certificate request asks for what its profile does not give.
    #[error("the certificate request is refused: {reason}")]
    Request {
        /// The row of the catalogue.
        code: Code,
        /// What it asks for.
        reason: &'static str,
    },
    /// This certificate request was used before.
    #[error("this certificate request was used before")]
    Replayed,
    /// The authority never issued this serial number.
    #[error("{authority} never issued a certificate with serial number {serial}")]
    UnknownCertificate {
        /// The CA.
        authority: String,
        /// The serial number.
        serial: Serial,
    },
    /// There is no hold to lift.
    #[error("serial number {serial} of {authority} is not on hold")]
    NotHeld {
        /// The CA.
        authority: String,
        /// The serial number.
        serial: Serial,
    },
    /// Revoked before.
    #[error("serial number {serial} of {authority} was revoked at {at}")]
    AlreadyRevoked {
        /// The CA.
        authority: String,
        /// The serial number.
        serial: Serial,
        /// When.
        at: Timestamp,
    },
    /// A key could not be used.
    #[error("cannot use the key {uri}")]
    Key {
        /// Where it is.
        uri: String,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// No opened key store knows this reference.
    #[error("no key store for {0} is open in this process")]
    KeyScheme(String),
    /// Key and certificate do not belong together, or a stored certificate cannot be read.
    #[error("{what} is damaged: {reason}")]
    Damaged {
        /// Which authority or file.
        what: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The database did not take it.
    #[error("the CA's database failed")]
    Store(#[from] StoreError),
    /// A backup cannot be opened or is not whole.
    #[error("{path}: {reason}", path = .path.display())]
    Backup {
        /// The row of the catalogue.
        code: Code,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file could not be used.
    #[error("cannot {operation} {path}", path = .path.display())]
    File {
        /// What was attempted.
        operation: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something is in the way and is not overwritten.
    #[error("{0} exists already and is not overwritten")]
    Exists(String),
    /// A plan or a request cannot be meant as it is.
    #[error("this cannot be carried out: {0}")]
    Plan(&'static str),
    /// The store holds no CA.
    #[error("there is no CA here yet")]
    NotInitialised,
    /// The system gave no random numbers.
    #[error("the system gave no random numbers")]
    Entropy,
    /// The development PKI failed.
    #[error(transparent)]
    Dev(#[from] crate::PkiError),
}

impl CaError {
    /// The row of the catalogue.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::UnknownAuthority(_) => ca::UNKNOWN_AUTHORITY,
            Self::AuthorityUnusable { .. } => ca::AUTHORITY_UNUSABLE,
            Self::WrongIssuer { .. } => ca::WRONG_ISSUER,
            Self::Policy(_) => ca::POLICY_REFUSED,
            Self::PolicyFile(_) => ca::POLICY_INVALID,
            Self::ApprovalNeeded { .. } => ca::APPROVAL_NEEDED,
            Self::ApprovalRefused(_) => ca::APPROVAL_REFUSED,
            Self::Build(error) => of_key(error).unwrap_or_else(|| error.code()),
            Self::Csr(error) => error.code(),
            Self::Request { code, .. } => *code,
            Self::Replayed => ca::REPLAYED,
            Self::UnknownCertificate { .. } => ca::UNKNOWN_CERTIFICATE,
            Self::NotHeld { .. } => ca::NOT_HELD,
            Self::AlreadyRevoked { .. } => ca::ALREADY_REVOKED,
            Self::KeyScheme(_) => ca::KEY_SCHEME,
            Self::Key { source, .. } if is_full(source) => ca::DISK_FULL,
            Self::Key { source, .. } => source.code(),
            Self::Entropy => pki::KEY_UNAVAILABLE,
            Self::Damaged { .. } => pki::STORE_DAMAGED,
            Self::Store(error) if is_full(error) => ca::DISK_FULL,
            Self::File { source, .. } if is_full(source) => ca::DISK_FULL,
            Self::Store(_) | Self::File { .. } => ca::STORE_FAILED,
            Self::Backup { code, .. } => *code,
            Self::Exists(_) => ca::EXISTS,
            Self::Plan(_) => ca::PLAN_INVALID,
            Self::NotInitialised => ca::NOT_INITIALISED,
            Self::Dev(error) => error.code(),
        }
    }
}

/// What the key itself said, where a certificate was not signed because of it.
fn of_key(error: &BuildError) -> Option<Code> {
    let BuildError::Sign(cause) = error else {
        return None;
    };
    cause.downcast_ref::<KeyError>().map(KeyError::code)
}

/// Whether the file system or SQLite says that there is no room, anywhere among the causes.
fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if matches!(
            kind,
            Some(
                std::io::ErrorKind::StorageFull
                    | std::io::ErrorKind::QuotaExceeded
                    | std::io::ErrorKind::FileTooLarge
            )
        ) || error.to_string().contains("database or disk is full")
        {
            return true;
        }
        cause = error.source();
    }
    false
}
