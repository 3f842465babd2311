//! Private keys and the one trait that uses them, [`Signer`].
//!
//! Deliberately absent: TLS (`io/tls`), certificates (`core/trust`), and any fallback from one kind of
//! key to another: a key that cannot be used is an error, never a reason to use a weaker one.
#![forbid(unsafe_code)]

mod file;
mod files;
mod verify;

use core::fmt::Debug;
use std::path::PathBuf;

use thiserror::Error;

pub use file::FileKey;
pub use files::write_atomically;
pub use gridlatch_trust::KeyAlgorithm;
pub use verify::{OpensslVerifier, verify};

/// Something that holds a private key and signs with it, wherever the key lives.
///
/// Signing may block (a TPM takes a millisecond or more): callers on an async thread bound how many
/// run at once.
pub trait Signer: Send + Sync + Debug {
    /// The key's type.
    fn algorithm(&self) -> KeyAlgorithm;

    /// The public key as DER SubjectPublicKeyInfo.
    fn public_key_der(&self) -> &[u8];

    /// Signs `message`. ECDSA: a DER `ECDSA-Sig-Value` over SHA-256 (P-256) or SHA-512 (P-521) of the
    /// message; Ed448: the 114 octets of RFC 8032.
    ///
    /// # Errors
    /// The key is not available or refused to sign.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError>;
}

/// A key could not be made, read, stored or used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// OpenSSL refused.
    #[error("cannot {operation}")]
    Crypto {
        /// What was attempted.
        operation: &'static str,
        /// Why it failed.
        #[source]
        source: openssl::error::ErrorStack,
    },
    /// The file system refused.
    #[error("cannot {operation} {path}", path = .path.display())]
    File {
        /// What was attempted.
        operation: &'static str,
        /// The file concerned.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The key is of a type that no profile allows.
    #[error("the key is neither P-256, P-521 nor Ed448")]
    Unsupported,
    /// Other accounts can read the key file.
    #[error("{path} is readable by others (mode {mode:03o}); a key file must be 600", path = .path.display())]
    Exposed {
        /// The file concerned.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

#[cfg(test)]
mod tests;
