//! From a TCP connection to one whose peer has proven who it is.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use gridlatch_vocab::Code;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// What is known of the other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where it comes from.
    pub address: SocketAddr,
    /// The common name of its verified certificate; `None` on a port without TLS.
    pub common_name: Option<String>,
    /// The chain it proved itself with, DER, leaf first; empty on a port without TLS.
    pub chain: Vec<Vec<u8>>,
    /// TLS version and suite, for the log.
    pub security: String,
    /// The path its certificate was believed by, DER: leaf first, root last; empty without TLS.
    pub path: Vec<Vec<u8>>,
}

/// Why a connection was not accepted.
#[derive(Debug)]
pub struct Refused {
    /// The catalogue's code.
    pub code: Code,
    /// Who failed, where, why.
    pub message: String,
}

/// Something that turns TCP connections into authenticated streams.
pub trait Accept: Send + Sync + 'static {
    /// The stream after the handshake.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Does the handshake. The caller bounds how long it may take.
    fn accept(
        &self,
        tcp: TcpStream,
        address: SocketAddr,
    ) -> impl Future<Output = Result<(Self::Stream, Peer), Refused>> + Send;
}

impl<A: Accept> Accept for Arc<A> {
    type Stream = A::Stream;

    fn accept(
        &self,
        tcp: TcpStream,
        address: SocketAddr,
    ) -> impl Future<Output = Result<(Self::Stream, Peer), Refused>> + Send {
        self.as_ref().accept(tcp, address)
    }
}

/// No TLS: security profile 0, for tests only. Stations are taken at their word.
#[derive(Debug, Clone, Copy)]
pub struct Plaintext;

impl Accept for Plaintext {
    type Stream = TcpStream;

    async fn accept(&self, tcp: TcpStream, address: SocketAddr) -> Result<(TcpStream, Peer), Refused> {
        let peer = Peer {
            address,
            common_name: None,
            chain: Vec::new(),
            security: "none".to_owned(),
            path: Vec::new(),
        };
        Ok((tcp, peer))
    }
}
