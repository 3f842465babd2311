//! Private keys and the one trait that uses them, [`Signer`]: in files, in PKCS#11 tokens, in a TPM 2.0.
//! [`open`] finds a key by its [`KeyUri`].
//!
//! Deliberately absent: TLS (`io/tls`), certificates (`core/trust`), and any fallback from one kind of
//! key to another: a key that cannot be used is an error, never a reason to use a weaker one.
#![forbid(unsafe_code)]

pub mod archive;
pub mod delivery;
mod ec;
mod file;
mod files;
mod gate;
mod open;
mod pin;
mod pkcs11;
mod pkcs12;
mod place;
mod quiet;
#[cfg(feature = "tpm")]
mod tpm;
mod uri;
mod verify;

use core::fmt::Debug;
use std::path::PathBuf;

use gridlatch_vocab::Code;
use gridlatch_vocab::catalogue::key;
use thiserror::Error;

pub use file::FileKey;
pub use files::write_atomically;
pub use gridlatch_trust::KeyAlgorithm;
pub use open::{Listed, generate, import, list, open};
pub use pin::PinSource;
pub use pkcs12::{MAX_PKCS12, MAX_PKCS12_CERTIFICATES, MAX_PKCS12_ROUNDS, is_pkcs12, pkcs12_certificates};
pub use place::{free, remove};
pub use uri::{KeyUri, Pkcs11Uri, TpmUri};
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

    /// Signs a digest that was made elsewhere (TLS makes its own): ECDSA only, a DER `ECDSA-Sig-Value`.
    /// A digest longer than the curve is cut to the curve's size, as FIPS 186-5 section 6.4.1 says.
    ///
    /// # Errors
    /// As [`Self::sign`]; [`KeyError::Unsupported`] for Ed448, which signs messages only.
    fn sign_digest(&self, digest: &[u8]) -> Result<Vec<u8>, KeyError>;

    /// The key itself where it is held in memory; nothing for a key that hardware keeps to itself.
    fn as_file(&self) -> Option<&FileKey> {
        None
    }
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
    /// A file asks for more than is done for one; why, in one sentence.
    #[error("{0}")]
    Refused(&'static str),
    /// A key outside this process cannot be used.
    #[error("key {key}: {reason}")]
    Hardware {
        /// The row of the catalogue, whose remedy says what to do.
        code: Code,
        /// The key's URI, without a PIN.
        key: String,
        /// Why, in one sentence.
        reason: String,
    },
}

impl KeyError {
    /// The row of the catalogue for events and refusals.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Crypto { .. } | Self::File { .. } | Self::Exposed { .. } | Self::Refused(_) => key::FILE,
            Self::Unsupported => key::UNSUPPORTED,
            Self::Hardware { code, .. } => *code,
        }
    }
}

#[cfg(test)]
mod tests;
