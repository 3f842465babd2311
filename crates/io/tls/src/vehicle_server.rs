//! The station's end of the cable: one listener for both generations.

use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use openssl::error::ErrorStack;
use openssl::ssl::{
    ClientHelloResponse, ExtensionContext, SniError, Ssl, SslAlert, SslContext, SslContextBuilder, SslMethod,
    SslRef, SslVerifyMode, SslVersion,
};
use tokio::net::TcpStream;

use crate::choose::{Facts, NAMES_ITS_ROOT, choose};
use crate::context::{self, GCM, KeyLog, LEGACY_CBC, Staples, TLS13};
use crate::handshake::{self, Role, internal};
use crate::hello::{Extensions, Offer};
use crate::observed::Watch;
use crate::refusal::{Peer, Refusal};
use crate::revoked::Revoked;
use crate::{Credential, Handshake, TlsError, TlsStream, ffi, openssl_failed};

/// How a station serves vehicles.
#[derive(Debug, Clone)]
pub struct VehicleServerConfig {
    /// Certificates to choose from, the preferred first among equals.
    pub credentials: Vec<Credential>,
    /// Roots of vehicle certificates, in DER, for ISO 15118-20.
    pub vehicle_roots: Vec<Vec<u8>>,
    /// Serve ISO 15118-2: TLS 1.2, the vehicle shows no certificate.
    pub iso2: bool,
    /// Serve ISO 15118-20: TLS 1.3, the vehicle must show a certificate.
    pub iso20: bool,
    /// Allow 0xC023, the only suite most vehicles of ISO 15118-2 have.
    pub allow_legacy_cbc: bool,
    /// Where to write TLS secrets for decrypting captures; `None` in the field.
    pub key_log: Option<PathBuf>,
    /// How long a handshake may take, from the accepted TCP connection on.
    pub handshake_timeout: Duration,
}

/// Accepts TLS from vehicles. Cheap to share behind an `Arc`.
pub struct VehicleServer {
    /// The context every handshake begins with. It holds the keys of session tickets: a new one ends
    /// resumption.
    base: ArcSwap<SslContext>,
    revoked: ArcSwap<Revoked>,
    config: VehicleServerConfig,
    key_log: Option<KeyLog>,
    roots: Vec<Vec<u8>>,
    choices: Arc<ArcSwap<Choices>>,
}

struct Choices {
    facts: Vec<Facts>,
    ready: Vec<Ready>,
}

/// A credential with its context.
struct Ready {
    label: String,
    issuer: String,
    chain: Vec<Vec<u8>>,
    staples: Staples,
    context: SslContext,
}

impl VehicleServer {
    /// Sets the listener up.
    ///
    /// # Errors
    /// Neither generation is served, no credential fits one that is, a credential is broken, or the
    /// key log cannot be opened.
    pub fn new(config: VehicleServerConfig) -> Result<Self, TlsError> {
        Self::with_roots(config, Vec::new())
    }

    /// As [`Self::new`]; `roots` (the V2G roots of the credentials, in DER) let a vehicle name the
    /// root it trusts by the hash of its certificate as well.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_roots(config: VehicleServerConfig, roots: Vec<Vec<u8>>) -> Result<Self, TlsError> {
        if !config.iso2 && !config.iso20 {
            return Err(TlsError::Config(
                "a listener must serve ISO 15118-2 or ISO 15118-20",
            ));
        }
        if config.iso20 && config.vehicle_roots.is_empty() {
            return Err(TlsError::Config(
                "ISO 15118-20 needs the roots of vehicle certificates",
            ));
        }
        let key_log = config.key_log.as_deref().map(KeyLog::open).transpose()?;
        let choices = Arc::new(ArcSwap::from_pointee(prepare(
            &config,
            key_log.as_ref(),
            &roots,
            &config.credentials,
        )?));
        let base = base(&config, key_log.as_ref(), &choices)?;
        Ok(Self {
            base: ArcSwap::from_pointee(base),
            revoked: ArcSwap::default(),
            config,
            key_log,
            roots,
            choices,
        })
    }

    /// Swaps all credentials at once. Connections that are up, and handshakes that have chosen, keep
    /// what they have.
    ///
    /// # Errors
    /// As [`Self::new`]; the old credentials then stay in use.
    pub fn replace_credentials(&self, credentials: &[Credential]) -> Result<(), TlsError> {
        let choices = prepare(&self.config, self.key_log.as_ref(), &self.roots, credentials)?;
        // What the issuer said of a certificate stays true when its neighbour is exchanged.
        for old in &self.choices.load().ready {
            for new in choices.ready.iter().filter(|new| new.chain == old.chain) {
                let (old, newer) = (old.staples.load(), new.staples.load());
                let kept = newer
                    .iter()
                    .zip(old.iter())
                    .map(|(new, old)| new.clone().or_else(|| old.clone()));
                new.staples.store(Arc::new(kept.collect()));
            }
        }
        self.choices.store(Arc::new(choices));
        Ok(())
    }

    /// The chains that are shown, leaf first, with the names of their credentials.
    #[must_use]
    pub fn chains(&self) -> Vec<(String, Vec<Vec<u8>>)> {
        let choices = self.choices.load();
        choices
            .ready
            .iter()
            .map(|one| (one.label.clone(), one.chain.clone()))
            .collect()
    }

    /// Whether vehicles that ask get an OCSP answer about every certificate of the chain in TLS 1.3, not about the
    /// leaf alone: that takes OpenSSL 3.6.
    #[must_use]
    pub fn staples_whole_chain(&self) -> bool {
        self.config.iso20 && context::whole_chain()
    }

    /// The V2G roots it was set up with.
    #[must_use]
    pub fn roots(&self) -> &[Vec<u8>] {
        &self.roots
    }

    /// Staples `staple`, a DER `OCSPResponse`, to `certificate` (DER), a leaf or a sub-CA of a chain in use, from the
    /// next handshake on, or nothing any more. False where no such certificate is in use.
    ///
    /// # Errors
    /// The staple is empty or too long; the old one stays.
    pub fn set_staple(&self, certificate: &[u8], staple: Option<&[u8]>) -> Result<bool, TlsError> {
        context::check_staple("the station's", staple)?;
        let mut known = false;
        for one in &self.choices.load().ready {
            let Some(place) = one.chain.iter().position(|der| der == certificate) else {
                continue;
            };
            one.staples.rcu(|staples| {
                let mut staples = Vec::clone(staples);
                if let Some(slot) = staples.get_mut(place) {
                    *slot = staple.map(<[u8]>::to_vec);
                }
                staples
            });
            known = true;
        }
        Ok(known)
    }

    /// Refuses vehicles whose chain holds one of these certificates from now on. When the set is not
    /// the one in use, nothing that was agreed before can be resumed: a resumed session shows no chain.
    ///
    /// # Errors
    /// OpenSSL cannot make a context; the old set stays.
    pub fn set_revoked(&self, revoked: Revoked) -> Result<(), TlsError> {
        if **self.revoked.load() == revoked {
            return Ok(());
        }
        let base = base(&self.config, self.key_log.as_ref(), &self.choices)?;
        self.revoked.store(Arc::new(revoked));
        self.base.store(Arc::new(base));
        Ok(())
    }

    /// Adds one certificate (DER) to those that are refused, as [`Self::set_revoked`].
    ///
    /// # Errors
    /// It is no certificate, or OpenSSL cannot make a context.
    pub fn revoke(&self, certificate: &[u8]) -> Result<(), TlsError> {
        let mut one = Revoked::default();
        one.insert_certificate(certificate)
            .map_err(openssl_failed("read a revoked certificate"))?;
        self.set_revoked(self.revoked.load().with(&one))
    }

    /// Runs the server's side of a handshake.
    ///
    /// # Errors
    /// Why the vehicle was refused, or refused this side.
    pub async fn accept(&self, tcp: TcpStream) -> Result<(TlsStream, Handshake), Refusal> {
        let mut ssl = Ssl::new(&self.base.load_full()).map_err(|error| internal(&error))?;
        let watch = Watch::attach(&mut ssl).map_err(|error| internal(&error))?;
        let observer = watch.clone();
        // The mode stays "ask nothing" until the version is known: a TLS 1.2 vehicle has no certificate.
        let revoked = self.revoked.load_full();
        ssl.set_verify_callback(SslVerifyMode::NONE, move |ok, store| {
            revoked.judge(ok, store, &observer)
        });
        handshake::run(
            Role::Accept,
            ssl,
            &watch,
            tcp,
            self.config.handshake_timeout,
            Peer::Vehicle,
        )
        .await
    }
}

impl std::fmt::Debug for VehicleServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VehicleServer")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// The context of a handshake until its credential is chosen.
fn base(
    config: &VehicleServerConfig,
    key_log: Option<&KeyLog>,
    choices: &Arc<ArcSwap<Choices>>,
) -> Result<SslContext, TlsError> {
    let mut base = shared(config, key_log)?;
    base.set_client_hello_callback(read_hello);
    let available = Arc::clone(choices);
    base.set_servername_callback(move |ssl, alert| pick(ssl, alert, &available.load()));
    Ok(base.build())
}

/// One context per credential: OpenSSL has a single slot for all EC certificates of a context.
fn prepare(
    config: &VehicleServerConfig,
    key_log: Option<&KeyLog>,
    roots: &[Vec<u8>],
    credentials: &[Credential],
) -> Result<Choices, TlsError> {
    let mut choices = Choices {
        facts: Vec::new(),
        ready: Vec::new(),
    };
    for credential in credentials {
        let mut builder = shared(config, key_log)?;
        context::install(&mut builder, credential)?;
        choices.facts.push(context::facts(credential, roots)?);
        choices.ready.push(Ready {
            label: credential.label.clone(),
            issuer: context::top_issuer(credential),
            chain: credential.chain.clone(),
            staples: context::staple(&mut builder, credential)?,
            context: builder.build(),
        });
    }
    if choices.facts.is_empty() {
        return Err(TlsError::Config("a listener needs at least one credential"));
    }
    if config.iso2
        && !choices
            .facts
            .iter()
            .any(|facts| facts.algorithm == gridlatch_trust::KeyAlgorithm::P256)
    {
        return Err(TlsError::Config(
            "ISO 15118-2 needs a credential with a secp256r1 key",
        ));
    }
    Ok(choices)
}

/// What the first context and those of the credentials share: switching keeps the connection's
/// versions and suites, but takes trust store, session id context and extensions from the new one.
fn shared(config: &VehicleServerConfig, key_log: Option<&KeyLog>) -> Result<SslContextBuilder, TlsError> {
    let failed = openssl_failed("set the TLS policy of the vehicle link");
    let min = if config.iso2 {
        SslVersion::TLS1_2
    } else {
        SslVersion::TLS1_3
    };
    let max = if config.iso20 {
        SslVersion::TLS1_3
    } else {
        SslVersion::TLS1_2
    };
    let mut builder = context::builder(SslMethod::tls_server(), min, max)?;
    let suites = if config.allow_legacy_cbc {
        format!("{GCM}:{LEGACY_CBC}")
    } else {
        GCM.to_owned()
    };
    builder.set_cipher_list(&suites).map_err(&failed)?;
    builder.set_ciphersuites(TLS13).map_err(&failed)?;
    // secp256r1 last: for ISO 15118-2, and for -20 stacks that stopped there (Josev).
    builder.set_groups_list("P-521:X448:P-256").map_err(&failed)?;
    builder
        .set_sigalgs_list("ecdsa_secp521r1_sha512:ed448:ecdsa_secp256r1_sha256")
        .map_err(&failed)?;
    builder.set_cert_store(context::store(&config.vehicle_roots)?);
    builder.set_client_ca_list(context::names(&config.vehicle_roots)?);
    // Without a session id context OpenSSL refuses to resume where client certificates are asked for.
    builder
        .set_session_id_context(b"gridlatch-vehicle")
        .map_err(&failed)?;
    builder.set_num_tickets(1).map_err(&failed)?;
    builder
        .add_custom_ext(
            TRUSTED_CA_KEYS,
            ExtensionContext::CLIENT_HELLO | ExtensionContext::TLS1_2_SERVER_HELLO,
            // RFC 6066, section 6: a server that used the extension answers it with an empty one.
            |_, _, _| Ok(Some(Vec::new())),
            // Read and judged in the ClientHello callback.
            |_, _, _, _| Ok(()),
        )
        .map_err(&failed)?;
    if let Some(key_log) = key_log {
        key_log.install(&mut builder);
    }
    Ok(builder)
}

/// Reads the offer before OpenSSL acts on it.
fn read_hello(ssl: &mut SslRef, alert: &mut SslAlert) -> Result<ClientHelloResponse, ErrorStack> {
    let offer = Offer::parse(
        ssl.client_hello_ciphers().unwrap_or_default(),
        &Extensions {
            supported_versions: ffi::client_hello_extension(ssl, 43),
            supported_groups: ffi::client_hello_extension(ssl, 10),
            signature_algorithms: ffi::client_hello_extension(ssl, 13),
            trusted_ca_keys: ffi::client_hello_extension(ssl, TRUSTED_CA_KEYS),
            certificate_authorities: ffi::client_hello_extension(ssl, 47),
        },
    );
    let Some(watch) = Watch::of(ssl) else {
        *alert = SslAlert::INTERNAL_ERROR;
        return Err(ErrorStack::get());
    };
    match offer {
        Ok(offer) => {
            watch.with(|observed| observed.offer = Some(offer));
            Ok(ClientHelloResponse::SUCCESS)
        }
        Err(extension) => {
            watch.with(|observed| observed.malformed = Some(extension));
            *alert = SslAlert::DECODE_ERROR;
            Err(ErrorStack::get())
        }
    }
}

/// Chooses the credential. Runs as the server-name callback, which OpenSSL calls with or without SNI,
/// after the version is negotiated and before anything depends on the certificate.
fn pick(ssl: &mut SslRef, alert: &mut SslAlert, choices: &Choices) -> Result<(), SniError> {
    let fail = |alert: &mut SslAlert, which| {
        *alert = which;
        Err(SniError::ALERT_FATAL)
    };
    let Some(watch) = Watch::of(ssl) else {
        return fail(alert, SslAlert::INTERNAL_ERROR);
    };
    let tls13 = ssl.version2() == Some(SslVersion::TLS1_3);
    let offer = watch.with(|observed| observed.offer.clone()).unwrap_or_default();
    let Some((index, reason)) = choose(&choices.facts, tls13, &offer) else {
        watch.with(|observed| observed.no_credential = true);
        return fail(alert, SslAlert::HANDSHAKE_FAILURE);
    };
    let Some(Ready {
        label,
        issuer,
        context,
        ..
    }) = choices.ready.get(index)
    else {
        return fail(alert, SslAlert::INTERNAL_ERROR);
    };
    if ssl.set_ssl_context(context).is_err() {
        return fail(alert, SslAlert::INTERNAL_ERROR);
    }
    if tls13 {
        ssl.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    }
    watch.with(|observed| {
        observed.chosen = Some((label.clone(), reason));
        observed.named_root = reason == NAMES_ITS_ROOT;
        observed.own_issuer = Some(issuer.clone());
    });
    Ok(())
}

/// `trusted_ca_keys`, RFC 6066, section 6.
pub(crate) const TRUSTED_CA_KEYS: u16 = 3;
