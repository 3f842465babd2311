//! The OCPP port behind TLS with client certificates: security profile 3.

use std::net::SocketAddr;

use gridlatch_tls::{PlatformServer, TlsStream};
use gridlatch_trust::certificate;
use gridlatch_vocab::catalogue;
use tokio::net::TcpStream;

use crate::accept::{Accept, Peer, Refused};

impl Accept for PlatformServer {
    type Stream = TlsStream;

    async fn accept(&self, tcp: TcpStream, address: SocketAddr) -> Result<(TlsStream, Peer), Refused> {
        let (stream, handshake) = Self::accept(self, tcp).await.map_err(|refusal| Refused {
            code: refusal.code,
            message: refusal.message,
        })?;
        // The chain was verified by the handshake; here it is only read.
        let leaf = handshake.peer_chain.first();
        let name = leaf.and_then(|leaf| certificate::summary(leaf).ok());
        let Some(name) = name
            .map(|summary| summary.subject_cn)
            .filter(|name| !name.is_empty())
        else {
            return Err(Refused {
                code: catalogue::platform::IDENTITY_MISMATCH,
                message: format!("the station certificate of {address} has no common name"),
            });
        };
        let peer = Peer {
            address,
            common_name: Some(name),
            security: format!("{} {}", handshake.version, handshake.suite),
            path: handshake.peer_path,
            chain: handshake.peer_chain,
        };
        Ok((stream, peer))
    }
}
