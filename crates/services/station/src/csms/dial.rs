//! TCP, TLS with the station's certificate, WebSocket with the OCPP subprotocols.

use core::pin::Pin;
use core::time::Duration;

use gridlatch_fetch::RevocationCheck;
use gridlatch_keys::OpensslVerifier;
use gridlatch_ocpp::Version;
use gridlatch_tls::{Credential, Handshake, PlatformClient, PlatformClientConfig};
use gridlatch_trust::verdict::Unfit;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, tungstenite};

use super::{CsmsConfig, CsmsError};
use crate::custody::RootUse;

/// A byte stream to the platform.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// An open connection.
pub(super) struct Dialled {
    pub(super) socket: WebSocketStream<Box<dyn Stream>>,
    pub(super) version: Version,
    /// For the event: how it is secured.
    pub(super) security: String,
    /// Ends when a certificate of the platform is revoked.
    pub(super) watch: Watch,
}

/// Says why the connection has to end, if it has to.
pub(super) type Watch = Pin<Box<dyn Future<Output = String> + Send>>;

/// How to get one.
pub(super) struct Dialler {
    host: String,
    port: u16,
    url: String,
    tls: Option<PlatformClient>,
    check: Option<RevocationCheck>,
}

/// TCP and WebSocket handshake; TLS has its own.
const CONNECT: Duration = Duration::from_secs(10);

/// The default 128 KiB per connection buys nothing at OCPP's message sizes.
const READ_BUFFER: usize = 4096;

impl Dialler {
    /// `attempt` counts failures in a row: with several certificates each attempt shows the next.
    pub(super) fn new(config: &CsmsConfig, attempt: usize) -> Result<Self, CsmsError> {
        let (scheme, rest) = config
            .url
            .split_once("://")
            .ok_or(CsmsError::Config("the platform's URL has no scheme"))?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = split_authority(authority, if scheme == "wss" { 443 } else { 80 })
            .ok_or(CsmsError::Config("the platform's URL has no host and port"))?;
        let (identity, platform_roots) = trusted(config, attempt);
        let tls = match (scheme, identity) {
            ("wss", Some(identity)) => Some(
                PlatformClient::new(PlatformClientConfig {
                    identity,
                    platform_roots,
                    handshake_timeout: CONNECT,
                })
                .map_err(CsmsError::Tls)?,
            ),
            ("ws", None) => None,
            ("ws", Some(_)) => {
                return Err(CsmsError::Config(
                    "a station with a certificate does not speak without TLS",
                ));
            }
            ("wss", None) => return Err(CsmsError::Config("a station needs a certificate for wss")),
            _ => return Err(CsmsError::Config("the platform's URL is neither wss nor ws")),
        };
        let path = path.trim_end_matches('/');
        let slash = if path.is_empty() { "" } else { "/" };
        let id = percent_encoded(config.station.as_str());
        let url = format!("{scheme}://{authority}/{path}{slash}{id}");
        let check = config.platform_revocation.clone();
        Ok(Self {
            host,
            port,
            url,
            tls,
            check,
        })
    }

    /// One attempt. The error is a sentence for the event.
    pub(super) async fn dial(&self) -> Result<Dialled, String> {
        let tcp = timeout(CONNECT, TcpStream::connect((self.host.as_str(), self.port)))
            .await
            .map_err(|_| "the platform does not answer on TCP".to_owned())?
            .map_err(|error| format!("TCP: {error}"))?;
        // Frames are small and wait for answers.
        let _ = tcp.set_nodelay(true);
        let mut watch: Watch = Box::pin(core::future::pending());
        let (stream, security): (Box<dyn Stream>, String) = match &self.tls {
            Some(tls) => {
                let (stream, handshake) = tls
                    .connect(tcp, &self.host)
                    .await
                    .map_err(|refusal| format!("TLS ({}): {}", refusal.code, refusal.message))?;
                if let Some(check) = &self.check {
                    watch = unrevoked(check, &handshake).await?;
                }
                (
                    Box::new(stream),
                    format!("{} {}", handshake.version, handshake.suite),
                )
            }
            None => (Box::new(tcp), "no TLS".to_owned()),
        };
        let mut request = self
            .url
            .as_str()
            .into_client_request()
            .map_err(|error| format!("URL: {error}"))?;
        request.headers_mut().insert(
            "Sec-WebSocket-Protocol",
            HeaderValue::from_static("ocpp2.1, ocpp2.0.1"),
        );
        let bound = Version::V21.max_frame();
        let limits = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_message_size(Some(bound))
            .max_frame_size(Some(bound));
        let upgrade = tokio_tungstenite::client_async_with_config(request, stream, Some(limits));
        let (socket, response) = timeout(CONNECT, upgrade)
            .await
            .map_err(|_| "the platform does not answer the WebSocket handshake".to_owned())?
            .map_err(|error| refused(&error))?;
        let version = response
            .headers()
            .get("Sec-WebSocket-Protocol")
            .and_then(|name| name.to_str().ok())
            .and_then(Version::from_subprotocol)
            .filter(|version| *version != Version::V16)
            .ok_or("the platform speaks neither ocpp2.1 nor ocpp2.0.1")?;
        Ok(Dialled {
            socket,
            version,
            security,
            watch,
        })
    }
}

/// In TLS 1.3 what the platform thinks of our certificate comes with the first read.
fn refused(error: &tungstenite::Error) -> String {
    let tls = match error {
        tungstenite::Error::Io(error) => gridlatch_tls::refusal_of(error),
        _ => None,
    };
    tls.map_or_else(
        || format!("WebSocket: {error}"),
        |refusal| format!("TLS ({}): {}", refusal.code, refusal.message),
    )
}

/// Whether the platform may be spoken to; then, a watch over the certificates it showed.
async fn unrevoked(check: &RevocationCheck, handshake: &Handshake) -> Result<Watch, String> {
    let (path, now) = (handshake.peer_path.clone(), gridlatch_host::now());
    let said = |unfit: &Unfit| {
        let rejected = &unfit.rejected;
        format!(
            "the platform's certificates ({}): {}",
            rejected.code, rejected.message
        )
    };
    let staple = handshake.staple.as_deref();
    let standing = check.standing(&path, staple, now, &OpensslVerifier).await;
    standing.map_err(|unfit| said(&unfit))?;
    let check = check.clone();
    Ok(Box::pin(async move {
        said(
            &*check
                .until_revoked(&path, gridlatch_host::now, &OpensslVerifier)
                .await,
        )
    }))
}

/// What to show the platform and which of its roots to believe, now.
fn trusted(config: &CsmsConfig, attempt: usize) -> (Option<Credential>, Vec<Vec<u8>>) {
    let Some(custody) = &config.custody else {
        return (config.identity.clone(), config.platform_roots.clone());
    };
    let mut held = custody.platform_credentials(gridlatch_host::now());
    let identity = if held.is_empty() {
        config.identity.clone()
    } else {
        Some(held.swap_remove(attempt % held.len()))
    };
    let mut roots = custody.roots(RootUse::Csms);
    roots.extend(config.platform_roots.iter().cloned());
    (identity, roots)
}

/// `host:port`, `[v6]:port` or without a port.
fn split_authority(authority: &str, default: u16) -> Option<(String, u16)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        let port = if port.is_empty() {
            default
        } else {
            port.strip_prefix(':')?.parse().ok()?
        };
        return Some((host.to_owned(), port));
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (authority, default),
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

fn percent_encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~*@:=+".contains(&byte) {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
