//! TCP and TLS to the station that discovery found.

use std::io;
use std::net::SocketAddrV6;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use gridlatch_session::evcc::{Failure, Generation, StepName};
use gridlatch_tls::{Handshake, TlsStream, VehicleClient, VehicleClientConfig};
use gridlatch_vocab::catalogue::cable as codes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::config::TlsSetup;

/// The connection a session runs on.
#[derive(Debug)]
pub(crate) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

/// Connects to the station's port.
pub(crate) async fn tcp(address: SocketAddrV6, timeout: Duration) -> Result<TcpStream, Failure> {
    let refused = |reason: String| {
        Failure::new(
            StepName::Discovery,
            codes::PORT_REFUSED,
            format!("the station answered discovery, but {address} cannot be connected to: {reason}"),
        )
    };
    let stream = match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(refused(error.to_string())),
        Err(_) => return Err(refused(format!("no answer in {} s", timeout.as_secs()))),
    };
    // Requests are small and half-duplex: waiting to fill a segment would cost a delayed-ACK each.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Runs the TLS handshake; the chain is verified against the vehicle's roots and nothing else.
pub(crate) async fn tls(
    tcp: TcpStream,
    generation: Generation,
    setup: &TlsSetup,
    timeout: Duration,
) -> Result<(Transport, Handshake), Failure> {
    let client = VehicleClient::new(VehicleClientConfig {
        generation: match generation {
            Generation::Iso2 => gridlatch_tls::Generation::Iso2,
            Generation::Iso20 => gridlatch_tls::Generation::Iso20,
        },
        roots: setup.roots.clone(),
        identity: setup.identity.clone(),
        key_log: setup.key_log.clone(),
        handshake_timeout: timeout,
    })
    .map_err(|error| {
        let reason =
            std::error::Error::source(&error).map_or_else(String::new, |source| format!(": {source}"));
        Failure::new(
            StepName::Tls,
            gridlatch_vocab::catalogue::session::CONTRACT_UNUSABLE,
            format!("the vehicle's own TLS cannot be set up: {error}{reason}"),
        )
    })?;
    match client.connect(tcp, None).await {
        Ok((stream, handshake)) => Ok((Transport::Tls(Box::new(stream)), handshake)),
        Err(refusal) => Err(Failure::new(StepName::Tls, refusal.code, refusal.message)),
    }
}

macro_rules! each {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Plain($stream) => $call,
            Self::Tls(boxed) => {
                let $stream = &mut **boxed;
                $call
            }
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
