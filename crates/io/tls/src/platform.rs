//! OCPP security profile 3: mutual TLS between charging station and platform.

use core::time::Duration;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslMethod, SslOptions, SslSessionCacheMode, SslVerifyMode, SslVersion,
};
use tokio::net::TcpStream;

use crate::context::{self, GCM};
use crate::handshake::{self, Role, internal};
use crate::observed::Watch;
use crate::refusal::{Peer, Refusal};
use crate::revoked::Revoked;
use crate::{Credential, Handshake, TlsError, TlsStream, openssl_failed};

/// How the platform serves stations.
#[derive(Debug, Clone)]
pub struct PlatformServerConfig {
    /// The platform's certificate.
    pub credential: Credential,
    /// Roots of station certificates, in DER.
    pub station_roots: Vec<Vec<u8>>,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
}

/// Accepts stations. A client certificate is required, each time: sessions are not resumed, so that every
/// connection shows its path.
#[derive(Debug)]
pub struct PlatformServer {
    current: ArcSwap<Current>,
    revoked: ArcSwap<Revoked>,
    station_roots: Vec<Vec<u8>>,
    handshake_timeout: Duration,
}

#[derive(Debug)]
struct Current {
    context: SslContext,
    credential: Credential,
}

impl PlatformServer {
    /// Sets the listener up.
    ///
    /// # Errors
    /// No root is given, or a root or the credential is broken.
    pub fn new(config: PlatformServerConfig) -> Result<Self, TlsError> {
        if config.station_roots.is_empty() {
            return Err(TlsError::Config(
                "OCPP security profile 3 needs the roots of station certificates",
            ));
        }
        Ok(Self {
            current: ArcSwap::from_pointee(current(config.credential, &config.station_roots)?),
            revoked: ArcSwap::default(),
            station_roots: config.station_roots,
            handshake_timeout: config.handshake_timeout,
        })
    }

    /// Shows another certificate from the next connection on; those that are open go on.
    ///
    /// # Errors
    /// The credential is broken; the old one stays.
    pub fn replace(&self, credential: Credential) -> Result<(), TlsError> {
        self.current
            .store(current(credential, &self.station_roots)?.into());
        Ok(())
    }

    /// Refuses stations whose path holds this certificate (DER) in the handshake from now on.
    ///
    /// # Errors
    /// It is no certificate.
    pub fn revoke(&self, certificate: &[u8]) -> Result<(), TlsError> {
        let mut one = Revoked::default();
        one.insert_certificate(certificate)
            .map_err(openssl_failed("read a revoked certificate"))?;
        self.revoked.rcu(|known| known.with(&one));
        Ok(())
    }

    /// Runs the server's side of a handshake.
    ///
    /// # Errors
    /// Why the station was refused, or refused this side.
    pub async fn accept(&self, tcp: TcpStream) -> Result<(TlsStream, Handshake), Refusal> {
        let current = self.current.load_full();
        let (ssl, watch) = start(
            &current.context,
            SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT,
            &current.credential,
            self.revoked.load_full(),
        )?;
        handshake::run(
            Role::Accept,
            ssl,
            &watch,
            tcp,
            self.handshake_timeout,
            Peer::StationClient,
        )
        .await
    }
}

fn current(credential: Credential, station_roots: &[Vec<u8>]) -> Result<Current, TlsError> {
    let failed = openssl_failed("set the TLS policy of the platform");
    let mut builder = policy(SslMethod::tls_server())?;
    context::install(&mut builder, &credential)?;
    context::staple(&mut builder, &credential)?;
    builder.set_cert_store(context::store(station_roots)?);
    builder.set_client_ca_list(context::names(station_roots)?);
    builder
        .set_session_id_context(b"gridlatch-platform")
        .map_err(&failed)?;
    builder.set_options(SslOptions::NO_TICKET);
    builder.set_num_tickets(0).map_err(&failed)?;
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    Ok(Current {
        context: builder.build(),
        credential,
    })
}

/// How a station connects to the platform.
#[derive(Debug, Clone)]
pub struct PlatformClientConfig {
    /// The station's certificate.
    pub identity: Credential,
    /// Roots of the platform's certificate, in DER.
    pub platform_roots: Vec<Vec<u8>>,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
}

/// Connects to the platform.
#[derive(Debug)]
pub struct PlatformClient {
    context: SslContext,
    config: PlatformClientConfig,
}

impl PlatformClient {
    /// Sets the client up.
    ///
    /// # Errors
    /// No root is given, or a root or the identity is broken.
    pub fn new(config: PlatformClientConfig) -> Result<Self, TlsError> {
        if config.platform_roots.is_empty() {
            return Err(TlsError::Config(
                "a station needs the root of its platform's certificate",
            ));
        }
        let mut builder = policy(SslMethod::tls_client())?;
        context::install(&mut builder, &config.identity)?;
        builder.set_cert_store(context::store(&config.platform_roots)?);
        Ok(Self {
            context: builder.build(),
            config,
        })
    }

    /// Runs the client's side of a handshake; the certificate must be valid for `host`, a name or an
    /// address (IPv6 without brackets).
    ///
    /// # Errors
    /// Why the platform was refused, or refused this side; see [`crate::refusal_of`] for what comes later.
    pub async fn connect(&self, tcp: TcpStream, host: &str) -> Result<(TlsStream, Handshake), Refusal> {
        let (mut ssl, watch) = start(
            &self.context,
            SslVerifyMode::PEER,
            &self.config.identity,
            Arc::default(),
        )?;
        match host.parse::<IpAddr>() {
            Ok(address) => ssl.param_mut().set_ip(address),
            Err(_) => ssl
                .set_hostname(host)
                .and_then(|()| ssl.param_mut().set_host(host)),
        }
        .map_err(|error| internal(&error))?;
        handshake::run(
            Role::Connect,
            ssl,
            &watch,
            tcp,
            self.config.handshake_timeout,
            Peer::Platform,
        )
        .await
    }
}

/// OCPP 2.0.1 A00.FR.317 and around: TLS 1.2 or later, AEAD only.
pub(crate) fn policy(method: SslMethod) -> Result<SslContextBuilder, TlsError> {
    let failed = openssl_failed("set the TLS policy of OCPP");
    let mut builder = context::builder(method, SslVersion::TLS1_2, SslVersion::TLS1_3)?;
    builder.set_cipher_list(GCM).map_err(&failed)?;
    Ok(builder)
}

pub(crate) fn start(
    context: &SslContext,
    mode: SslVerifyMode,
    own: &Credential,
    revoked: Arc<Revoked>,
) -> Result<(Ssl, Watch), Refusal> {
    let mut ssl = Ssl::new(context).map_err(|error| internal(&error))?;
    let watch = Watch::attach(&mut ssl).map_err(|error| internal(&error))?;
    watch.with(|observed| observed.chosen = Some((own.label.clone(), "the only one")));
    let observer = watch.clone();
    ssl.set_verify_callback(mode, move |ok, store| revoked.judge(ok, store, &observer));
    Ok((ssl, watch))
}
