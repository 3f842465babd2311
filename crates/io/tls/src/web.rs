//! HTTPS for the certificate services: the server always shows a certificate, the client may.

use core::time::Duration;

use arc_swap::ArcSwap;
use openssl::ssl::{SslContext, SslMethod, SslOptions, SslSessionCacheMode, SslVerifyMode};
use tokio::net::TcpStream;

use crate::context;
use crate::handshake::{self, Role};
use crate::platform::{policy, start};
use crate::refusal::{Peer, Refusal};
use crate::{Credential, Handshake, TlsError, TlsStream, openssl_failed};

/// How a web service is reached.
#[derive(Debug, Clone)]
pub struct WebServerConfig {
    /// What the server shows.
    pub credential: Credential,
    /// Roots of the certificates that clients may show, in DER; without any, none is asked for.
    pub client_roots: Vec<Vec<u8>>,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
}

/// Accepts clients over TLS 1.2 or later. A client without a certificate is served, one with a
/// certificate that does not lead to a root is not.
///
/// Nothing is resumed: whoever is recognised by a certificate proves on each connection that the
/// certificate and its key are still theirs.
#[derive(Debug)]
pub struct WebServer {
    current: ArcSwap<Current>,
    client_roots: Vec<Vec<u8>>,
    handshake_timeout: Duration,
}

#[derive(Debug)]
struct Current {
    context: SslContext,
    credential: Credential,
}

impl WebServer {
    /// Sets the listener up.
    ///
    /// # Errors
    /// A root or the credential is broken.
    pub fn new(config: WebServerConfig) -> Result<Self, TlsError> {
        Ok(Self {
            current: ArcSwap::from_pointee(current(config.credential, &config.client_roots)?),
            client_roots: config.client_roots,
            handshake_timeout: config.handshake_timeout,
        })
    }

    /// Shows another certificate from the next connection on.
    ///
    /// # Errors
    /// The credential is broken; the old one stays.
    pub fn replace(&self, credential: Credential) -> Result<(), TlsError> {
        self.current
            .store(current(credential, &self.client_roots)?.into());
        Ok(())
    }

    /// Runs the server's side of a handshake.
    ///
    /// # Errors
    /// Why the client was refused, or refused this side.
    pub async fn accept(&self, tcp: TcpStream) -> Result<(TlsStream, Handshake), Refusal> {
        let current = self.current.load_full();
        let mode = if self.client_roots.is_empty() {
            SslVerifyMode::NONE
        } else {
            SslVerifyMode::PEER
        };
        let (ssl, watch) = start(
            &current.context,
            mode,
            &current.credential,
            std::sync::Arc::default(),
        )?;
        handshake::run(
            Role::Accept,
            ssl,
            &watch,
            tcp,
            self.handshake_timeout,
            Peer::WebClient,
        )
        .await
    }
}

fn current(credential: Credential, client_roots: &[Vec<u8>]) -> Result<Current, TlsError> {
    let failed = openssl_failed("set the TLS policy of a web service");
    let mut builder = policy(SslMethod::tls_server())?;
    context::install(&mut builder, &credential)?;
    builder.set_cert_store(context::store(client_roots)?);
    builder.set_client_ca_list(context::names(client_roots)?);
    builder.set_options(SslOptions::NO_TICKET);
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_num_tickets(0).map_err(&failed)?;
    Ok(Current {
        context: builder.build(),
        credential,
    })
}

/// The values by which a request inside an accepted connection can prove that it was made for this very
/// connection: `tls-unique` (RFC 5929, TLS 1.2) or `tls-exporter` (RFC 9266, TLS 1.3).
#[must_use]
pub fn channel_bindings(stream: &TlsStream) -> Vec<Vec<u8>> {
    let ssl = stream.ssl();
    let mut exported = [0; 32];
    if ssl.version_str() == "TLSv1.3" {
        return match ssl.export_keying_material(&mut exported, "EXPORTER-Channel-Binding", Some(b"")) {
            Ok(()) => vec![exported.to_vec()],
            Err(_) => Vec::new(),
        };
    }
    // Nothing is resumed here, so the client's is the first of the two Finished messages.
    let mut finished = [0; 64];
    let length = ssl.peer_finished(&mut finished);
    finished
        .get(..length)
        .filter(|binding| !binding.is_empty())
        .map(<[u8]>::to_vec)
        .into_iter()
        .collect()
}
