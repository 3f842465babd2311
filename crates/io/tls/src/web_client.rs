//! HTTPS to partners: TLS 1.2 or later, the server's name and chain checked; a certificate is shown where the caller has one.

use std::pin::Pin;

use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode, SslVersion};
use thiserror::Error;
use tokio::net::TcpStream;

use crate::{Credential, TlsError, TlsStream, context, openssl_failed};

/// Connects to web servers.
pub struct WebClient {
    connector: SslConnector,
}

impl core::fmt::Debug for WebClient {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("WebClient")
    }
}

/// The server was not believed, or the handshake broke.
#[derive(Debug, Error)]
#[error("TLS with {host}: {reason}")]
pub struct WebRefusal {
    host: String,
    reason: String,
}

impl WebClient {
    /// Believes servers below `roots` (DER), or below the system's roots where none are given.
    ///
    /// # Errors
    /// A root is broken, or OpenSSL refused.
    pub fn new(roots: &[Vec<u8>]) -> Result<Self, TlsError> {
        Self::build(roots, None)
    }

    /// As [`Self::new`], and shows `credential` to servers that ask for a client's certificate.
    ///
    /// # Errors
    /// As [`Self::new`], or key and certificate do not belong together.
    pub fn showing(roots: &[Vec<u8>], credential: &Credential) -> Result<Self, TlsError> {
        Self::build(roots, Some(credential))
    }

    fn build(roots: &[Vec<u8>], credential: Option<&Credential>) -> Result<Self, TlsError> {
        let failed = openssl_failed("set the TLS policy of a web client");
        // The builder loads the system's roots and checks the host name.
        let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(&failed)?;
        builder.set_verify(SslVerifyMode::PEER);
        builder
            .set_min_proto_version(Some(SslVersion::TLS1_2))
            .map_err(&failed)?;
        if !roots.is_empty() {
            builder.set_cert_store(context::store(roots)?);
        }
        if let Some(credential) = credential {
            context::install(&mut builder, credential)?;
        }
        Ok(Self {
            connector: builder.build(),
        })
    }

    /// Runs the client's side of a handshake; the caller bounds its time.
    ///
    /// # Errors
    /// The server's chain or name is not believed, or the connection broke.
    pub async fn connect(&self, tcp: TcpStream, host: &str) -> Result<TlsStream, WebRefusal> {
        let refuse = |reason: String| WebRefusal {
            host: host.to_owned(),
            reason,
        };
        let ssl = self
            .connector
            .configure()
            .and_then(|configured| configured.into_ssl(host))
            .map_err(|error| refuse(error.to_string()))?;
        let mut stream = TlsStream::new(ssl, tcp).map_err(|error| refuse(error.to_string()))?;
        if let Err(error) = Pin::new(&mut stream).connect().await {
            let verdict = stream.ssl().verify_result();
            let reason = if verdict == openssl::x509::X509VerifyResult::OK {
                error.to_string()
            } else {
                verdict.error_string().to_owned()
            };
            return Err(refuse(reason));
        }
        Ok(stream)
    }
}
