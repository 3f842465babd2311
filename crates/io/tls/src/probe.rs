//! Looking at a TLS endpoint without trusting it: which chain it shows, and how the handshake ended.
//!
//! Nothing is sent over such a connection and nothing that was read from it is believed; the chain goes
//! to `core/trust`, which says whether it would be.

use core::pin::Pin;
use core::time::Duration;

use gridlatch_vocab::catalogue::tls;
use openssl::ssl::{Ssl, SslContextBuilder, SslMethod, SslVerifyMode, SslVersion, StatusType};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use crate::context;
use crate::handshake::internal;
use crate::refusal::Refusal;
use crate::{Generation, TlsError, openssl_failed};

/// What an endpoint shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// The cipher suite by OpenSSL's name; empty if the handshake did not get so far.
    pub suite: String,
    /// The certificates in DER, as sent.
    pub chain: Vec<Vec<u8>>,
    /// The OCSP answer it stapled, in DER.
    pub staple: Option<Vec<u8>>,
    /// Why the endpoint ended the handshake, in OpenSSL's words; an endpoint that demands a certificate
    /// of its client does so after it has shown its own.
    pub ended: Option<String>,
}

/// Looks at the endpoint behind `tcp` with the TLS of `generation`. Any certificate is looked at, also of
/// RSA and of weak keys; `server_name` is sent as SNI unless it is an address.
///
/// # Errors
/// The endpoint showed no certificate within `limit`, or does not speak this TLS.
pub async fn look(
    tcp: TcpStream,
    generation: Generation,
    server_name: Option<&str>,
    limit: Duration,
) -> Result<Shown, Refusal> {
    let context = context(generation).map_err(|error| Refusal::new(tls::INTERNAL, error.to_string()))?;
    let mut ssl = Ssl::new(&context).map_err(|error| internal(&error))?;
    ssl.set_status_type(StatusType::OCSP)
        .map_err(|error| internal(&error))?;
    if let Some(name) =
        server_name.filter(|name| !name.contains([':', '%']) && name.parse::<std::net::IpAddr>().is_err())
    {
        ssl.set_hostname(name).map_err(|error| internal(&error))?;
    }
    let mut stream = SslStream::new(ssl, tcp).map_err(|error| internal(&error))?;
    let ended = tokio::time::timeout(limit, async {
        if let Err(error) = Pin::new(&mut stream).connect().await {
            return Some(error.to_string());
        }
        // In TLS 1.3 an endpoint says only now that it wanted a certificate.
        let mut octet = [0; 1];
        let heard = tokio::time::timeout(AFTERWARDS, stream.read(&mut octet)).await;
        match heard {
            Ok(Err(error)) => Some(error.to_string()),
            _ => None,
        }
    })
    .await;
    // As sent: also a certificate that was sent twice.
    let chain: Vec<Vec<u8>> = stream
        .ssl()
        .peer_cert_chain()
        .into_iter()
        .flatten()
        .filter_map(|certificate| certificate.to_der().ok())
        .collect();
    match ended {
        Ok(ended) if !chain.is_empty() => Ok(Shown {
            version: stream.ssl().version_str().to_owned(),
            suite: stream
                .ssl()
                .current_cipher()
                .map(|cipher| cipher.name().to_owned())
                .unwrap_or_default(),
            staple: stream.ssl().ocsp_status().map(<[u8]>::to_vec),
            chain,
            ended,
        }),
        Ok(ended) => Err(Refusal::new(
            if ended.is_some() {
                tls::PEER_ALERT
            } else {
                tls::CONNECTION_LOST
            },
            format!(
                "the endpoint showed no certificate in {}: {}",
                version_of(generation),
                ended.unwrap_or_else(|| "the handshake ended without one".to_owned())
            ),
        )),
        Err(_) => Err(Refusal::new(
            tls::HANDSHAKE_TIMEOUT,
            format!(
                "the endpoint showed no certificate within {} ms",
                limit.as_millis()
            ),
        )),
    }
}

/// How long an endpoint may take to say that it wanted a certificate.
const AFTERWARDS: Duration = Duration::from_millis(300);

const fn version_of(generation: Generation) -> &'static str {
    match generation {
        Generation::Iso2 => "TLS 1.2",
        Generation::Iso20 => "TLS 1.3",
    }
}

fn context(generation: Generation) -> Result<openssl::ssl::SslContext, TlsError> {
    let failed = openssl_failed("set up a TLS context");
    let version = match generation {
        Generation::Iso2 => SslVersion::TLS1_2,
        Generation::Iso20 => SslVersion::TLS1_3,
    };
    let mut builder: SslContextBuilder = context::builder(SslMethod::tls_client(), version, version)?;
    // Whatever is shown is looked at; security level 0 lets weak keys and digests be seen, too.
    builder
        .set_cipher_list("ALL:eNULL:!aNULL:!PSK:!SRP:@SECLEVEL=0")
        .map_err(&failed)?;
    builder.set_security_level(0);
    builder
        .set_groups_list("P-256:P-521:X448:P-384:X25519")
        .map_err(&failed)?;
    builder.set_verify_callback(SslVerifyMode::PEER, |_, _| true);
    Ok(builder.build())
}
