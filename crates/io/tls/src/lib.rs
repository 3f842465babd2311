//! TLS on the cable and on OCPP connections, on the system's OpenSSL: policy by generation of
//! ISO 15118, choice of the certificate by what the vehicle can verify, and a coded [`Refusal`] for
//! every handshake that fails, naming the certificate and the side.
//!
//! Deliberately absent: private keys (`io/keys`), certificate profiles (`core/trust`), and any way to
//! carry on without TLS after a failure.

// `ffi` is the only module with unsafe code: the calls that the `openssl` crate does not wrap.
#![deny(unsafe_code)]

mod choose;
mod context;
#[allow(unsafe_code, reason = "the calls that the `openssl` crate does not wrap")]
mod ffi;
mod handshake;
pub mod hello;
mod observed;
mod platform;
mod probe;
mod refusal;
mod revoked;
mod vehicle_client;
mod vehicle_server;
mod web;
mod web_client;

use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;

use gridlatch_keys::Signer;
use thiserror::Error;

pub use gridlatch_trust::Generation;
pub use platform::{PlatformClient, PlatformClientConfig, PlatformServer, PlatformServerConfig};
pub use probe::{Shown, look};
pub use refusal::{Refusal, refusal_of};
pub use revoked::Revoked;
pub use vehicle_client::{Judging, VehicleClient, VehicleClientConfig};
pub use vehicle_server::{VehicleServer, VehicleServerConfig};
pub use web::{WebServer, WebServerConfig, channel_bindings};
pub use web_client::{WebClient, WebRefusal};

/// An established connection.
pub type TlsStream = tokio_openssl::SslStream<tokio::net::TcpStream>;

/// A certificate chain and its key, ready to be shown to a peer.
#[derive(Debug, Clone)]
pub struct Credential {
    /// A name for logs: which of the configured credentials this is.
    pub label: String,
    /// The certificates in DER, leaf first, without the root.
    pub chain: Vec<Vec<u8>>,
    /// The leaf's private key, wherever it lives. P-256 and P-521 may be in hardware, Ed448 only in a
    /// file: OpenSSL has no way to sign with Ed448 outside itself.
    pub key: Arc<dyn Signer>,
    /// A DER `OCSPResponse` about the leaf, given to peers that ask for it (RFC 6066 section 8).
    pub staple: Option<Vec<u8>>,
}

impl Credential {
    /// A credential without a staple.
    #[must_use]
    pub fn new(label: impl Into<String>, chain: Vec<Vec<u8>>, key: Arc<dyn Signer>) -> Self {
        Self {
            label: label.into(),
            chain,
            key,
            staple: None,
        }
    }
}

/// What a completed handshake agreed on.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// The cipher suite by OpenSSL's name.
    pub suite: String,
    /// The key-exchange group by OpenSSL's name (`prime256v1`, `secp521r1`, `X448`), where known.
    pub group: Option<String>,
    /// The peer's certificates in DER, leaf first. After resumption the leaf at most.
    pub peer_chain: Vec<Vec<u8>>,
    /// The path by which the peer was believed, in DER: leaf first, the trusted root last. Empty where
    /// nobody was asked for a certificate, and after a resumption.
    pub peer_path: Vec<Vec<u8>>,
    /// Which of our credentials was shown.
    pub own_label: Option<String>,
    /// Whether a session ticket spared the certificates.
    pub resumed: bool,
    /// Whether the suite is the CBC suite of ISO 15118-2 (0xC023).
    pub legacy: bool,
    /// The DER `OCSPResponse` about the peer's leaf that came with the handshake, not verified. Clients
    /// ask for one; it comes with the certificates, so not after a resumption.
    pub staple: Option<Vec<u8>>,
    /// Further answers, not verified, about sub-CAs in any order: TLS 1.3 with OpenSSL 3.6 on both ends. A peer that
    /// has none about its leaf has its first one above.
    pub more_staples: Vec<Vec<u8>>,
    /// How long the handshake took.
    pub duration: Duration,
}

/// A TLS endpoint could not be set up.
#[derive(Debug, Error)]
pub enum TlsError {
    /// OpenSSL refused.
    #[error("cannot {operation}")]
    Openssl {
        /// What was attempted.
        operation: &'static str,
        /// Why it failed.
        #[source]
        source: openssl::error::ErrorStack,
    },
    /// A credential cannot be used.
    #[error("credential {label:?}: {reason}")]
    Credential {
        /// The credential's name.
        label: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The configuration contradicts itself.
    #[error("TLS configuration: {0}")]
    Config(&'static str),
    /// The key log cannot be opened.
    #[error("cannot open the TLS key log {path}", path = .path.display())]
    KeyLog {
        /// The file concerned.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

pub(crate) fn openssl_failed(operation: &'static str) -> impl Fn(openssl::error::ErrorStack) -> TlsError {
    move |source| TlsError::Openssl { operation, source }
}

#[cfg(test)]
mod tests;
