//! The vehicle's end of the cable.

use core::time::Duration;
use std::path::PathBuf;

use gridlatch_vocab::Timestamp;
use openssl::nid::Nid;
use openssl::ssl::{
    ExtensionContext, Ssl, SslContext, SslContextBuilder, SslMethod, SslVerifyMode, SslVersion,
};
use openssl::x509::{X509, X509Ref, X509VerifyResult};
use tokio::net::TcpStream;

use crate::context::{self, GCM, KeyLog, LEGACY_CBC, TLS13};
use crate::handshake::{self, Role, internal};
use crate::observed::{VerifyFault, Watch};
use crate::refusal::{Peer, Refusal};
use crate::vehicle_server::TRUSTED_CA_KEYS;
use crate::{Credential, Generation, Handshake, TlsError, TlsStream, ffi, openssl_failed};

/// How a vehicle connects.
#[derive(Debug, Clone)]
pub struct VehicleClientConfig {
    /// Which generation's TLS to speak.
    pub generation: Generation,
    /// The V2G roots the vehicle trusts, in DER.
    pub roots: Vec<Vec<u8>>,
    /// The vehicle's certificate; ISO 15118-20 stations demand one, ISO 15118-2 ones do not ask.
    pub identity: Option<Credential>,
    /// Where to write TLS secrets for decrypting captures; `None` in the field.
    pub key_log: Option<PathBuf>,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
}

/// How a vehicle judges the station's chain, where it differs from the usual.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Judging {
    /// Refuse more than three certificates below the root, as [V2G2-009] has it. The usual is to bear
    /// with one more, for a cross-certificate over a root.
    pub strict_path: bool,
    /// The vehicle's clock; `None` for the machine's.
    pub clock: Option<Timestamp>,
}

/// Connects to stations.
#[derive(Debug)]
pub struct VehicleClient {
    context: SslContext,
    config: VehicleClientConfig,
}

impl VehicleClient {
    /// Sets the client up.
    ///
    /// # Errors
    /// A root or the identity is broken, no root is given, or the key log cannot be opened.
    pub fn new(config: VehicleClientConfig) -> Result<Self, TlsError> {
        Self::judging(config, Judging::default())
    }

    /// As [`Self::new`], with a vehicle that is stricter than usual or whose clock is wrong.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn judging(config: VehicleClientConfig, judging: Judging) -> Result<Self, TlsError> {
        if config.roots.is_empty() {
            return Err(TlsError::Config("a vehicle needs at least one V2G root"));
        }
        let failed = openssl_failed("set the TLS policy of the vehicle");
        let mut builder = match config.generation {
            Generation::Iso2 => iso2(&config)?,
            Generation::Iso20 => iso20(&config)?,
        };
        builder.set_cert_store(context::store(&config.roots)?);
        builder
            .set_session_id_context(b"gridlatch-evcc")
            .map_err(&failed)?;
        if judging.strict_path {
            builder.set_verify_depth(STRICT_SUB_CAS);
        }
        if let Some(clock) = judging.clock {
            builder.verify_param_mut().set_time(clock.0.unix_timestamp());
        }
        if let Some(identity) = &config.identity {
            context::install(&mut builder, identity)?;
        }
        if let Some(path) = &config.key_log {
            KeyLog::open(path)?.install(&mut builder);
        }
        Ok(Self {
            context: builder.build(),
            config,
        })
    }

    /// Runs the client's side of a handshake. `server_name` is sent as SNI unless it is an address.
    ///
    /// # Errors
    /// Why the station was refused, or refused this side. In TLS 1.3 what the station thinks of the
    /// vehicle's certificate arrives only with the first read: see [`crate::refusal_of`].
    pub async fn connect(
        &self,
        tcp: TcpStream,
        server_name: Option<&str>,
    ) -> Result<(TlsStream, Handshake), Refusal> {
        let mut ssl = Ssl::new(&self.context).map_err(|error| internal(&error))?;
        let watch = Watch::attach(&mut ssl).map_err(|error| internal(&error))?;
        if let Some(name) =
            server_name.filter(|name| !name.contains([':', '%']) && name.parse::<std::net::IpAddr>().is_err())
        {
            ssl.set_hostname(name).map_err(|error| internal(&error))?;
        }
        let observer = watch.clone();
        ssl.set_verify_callback(SslVerifyMode::PEER, move |ok, store| {
            if !ok {
                observer.refuse(store, VerifyFault::Openssl(store.error()));
                return false;
            }
            if !observer.plain(store) {
                return false;
            }
            if store.error_depth() == 0 && !store.current_cert().is_some_and(is_cpo) {
                observer.refuse(store, VerifyFault::DomainComponent);
                store.set_error(X509VerifyResult::APPLICATION_VERIFICATION);
                return false;
            }
            true
        });
        if let Some(identity) = &self.config.identity {
            watch.with(|observed| observed.chosen = Some((identity.label.clone(), "the vehicle's identity")));
        }
        handshake::run(
            Role::Connect,
            ssl,
            &watch,
            tcp,
            self.config.handshake_timeout,
            Peer::Station,
        )
        .await
    }
}

/// Sub-CAs between leaf and root by [V2G2-009].
const STRICT_SUB_CAS: u32 = 2;

/// [V2G2-602] and around: TLS 1.2, secp256r1, ECDSA with SHA-256. AES-GCM is offered before the suite
/// the standard names, so that two current stacks meet on the better one.
fn iso2(config: &VehicleClientConfig) -> Result<SslContextBuilder, TlsError> {
    let failed = openssl_failed("set the TLS policy of ISO 15118-2");
    let mut builder = context::builder(SslMethod::tls_client(), SslVersion::TLS1_2, SslVersion::TLS1_2)?;
    builder
        .set_cipher_list(&format!("{GCM}:{LEGACY_CBC}"))
        .map_err(&failed)?;
    builder.set_groups_list("P-256").map_err(&failed)?;
    builder
        .set_sigalgs_list("ecdsa_secp256r1_sha256")
        .map_err(&failed)?;
    let body = trusted_ca_keys(&config.roots)?;
    builder
        .add_custom_ext(
            TRUSTED_CA_KEYS,
            ExtensionContext::CLIENT_HELLO | ExtensionContext::TLS1_2_SERVER_HELLO,
            move |_, _, _| Ok(Some(body.clone())),
            |_, _, _, _| Ok(()),
        )
        .map_err(&failed)?;
    Ok(builder)
}

/// TLS 1.3 with secp521r1 or X448. secp256r1 is offered last, for stations that stopped there (Josev).
fn iso20(config: &VehicleClientConfig) -> Result<SslContextBuilder, TlsError> {
    let failed = openssl_failed("set the TLS policy of ISO 15118-20");
    let mut builder = context::builder(SslMethod::tls_client(), SslVersion::TLS1_3, SslVersion::TLS1_3)?;
    builder.set_ciphersuites(TLS13).map_err(&failed)?;
    builder.set_groups_list("P-521:X448:P-256").map_err(&failed)?;
    builder
        .set_sigalgs_list("ecdsa_secp521r1_sha512:ed448:ecdsa_secp256r1_sha256")
        .map_err(&failed)?;
    ffi::set_certificate_authorities(&mut builder, context::names(&config.roots)?);
    Ok(builder)
}

/// The roots by name, as RFC 6066 section 6 lists them.
fn trusted_ca_keys(roots: &[Vec<u8>]) -> Result<Vec<u8>, TlsError> {
    const X509_NAME: u8 = 2;
    let failed = openssl_failed("name a trusted root");
    let too_long = |_| TlsError::Config("the names of the trusted roots do not fit a ClientHello");
    let mut list = Vec::new();
    for root in roots {
        let root = X509::from_der(root).map_err(&failed)?;
        let name = root.subject_name().to_der().map_err(&failed)?;
        list.push(X509_NAME);
        list.extend(u16::try_from(name.len()).map_err(too_long)?.to_be_bytes());
        list.extend(name);
    }
    let mut body = u16::try_from(list.len())
        .map_err(too_long)?
        .to_be_bytes()
        .to_vec();
    body.extend(list);
    Ok(body)
}

/// [V2G2-925]: a station's certificate carries the domain component CPO.
fn is_cpo(leaf: &X509Ref) -> bool {
    leaf.subject_name()
        .entries_by_nid(Nid::DOMAINCOMPONENT)
        .any(|entry| entry.data().as_slice() == b"CPO")
}
