//! Certificates as a service: the CA that can be run ([`ca`]), and the development PKI ([`dev`]), which
//! is every certificate a laptop needs to play vehicle, station, platform and contract issuer at once,
//! made on first use. All of it by the profiles of `gridlatch_trust`.
//!
//! Deliberately absent: judging certificates (`core/trust`), private keys (`io/keys`), SQL (`io/store`).
#![forbid(unsafe_code)]

pub mod ca;
pub mod crl;
pub mod dev;
pub mod est;
#[doc(hidden)]
pub mod fuzz;
pub mod http;
mod josev;
pub mod ocsp;
pub mod pools;
pub mod provisioning;
pub mod rollover;
mod store;
mod tree;

use std::path::PathBuf;

use gridlatch_keys::KeyError;
use gridlatch_trust::build::BuildError;
use gridlatch_vocab::{Code, catalogue::pki};
use thiserror::Error;

/// A certificate could not be made, stored or loaded.
#[derive(Debug, Error)]
pub enum PkiError {
    /// The folder could not be used.
    #[error("cannot {operation} {path}", path = .path.display())]
    File {
        /// What was attempted.
        operation: &'static str,
        /// The file or folder concerned.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A stored certificate does not fit its key, its kind or its issuer, or cannot be read.
    #[error("{path} is damaged: {reason}", path = .path.display())]
    Damaged {
        /// The file concerned.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// A key failed.
    #[error("a key of the development PKI failed")]
    Key(#[from] KeyError),
    /// A certificate was refused by its profile or by its issuer's key.
    #[error("cannot issue {name}")]
    Issue {
        /// Which certificate of the tree.
        name: String,
        /// Why.
        #[source]
        source: BuildError,
    },
    /// The system gave no random numbers.
    #[error("the system gave no random numbers")]
    Entropy,
}

impl PkiError {
    /// The row of the catalogue.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::File { .. } | Self::Damaged { .. } => pki::STORE_DAMAGED,
            Self::Key(_) | Self::Entropy => pki::KEY_UNAVAILABLE,
            Self::Issue { source, .. } => source.code(),
        }
    }
}

#[cfg(test)]
mod tests;
