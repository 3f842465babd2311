//! SECC discovery: which requests are answered, and with what.
//!
//! The answer follows from policy alone and is the same for everybody: no request changes what the
//! station listens with, so nobody can talk another vehicle's connection down to plaintext.

use std::net::SocketAddrV6;

use gridlatch_vocab::Code;
use gridlatch_vocab::catalogue::cable as codes;
use iso15118::sdp::{Request, Response, SdpError, TransportProtocol};
use iso15118::session::Security;

/// Where vehicles are sent.
#[derive(Debug, Clone, Copy)]
pub struct Endpoints {
    /// The port that speaks TLS, if TLS is up.
    pub tls: Option<SocketAddrV6>,
    /// The port without TLS, only where policy allows plaintext external identification.
    pub plain: Option<SocketAddrV6>,
}

/// What to do with a datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reaction {
    /// Send this back.
    Answer {
        /// The response datagram.
        datagram: Vec<u8>,
        /// The vehicle is sent to the TLS port.
        tls: bool,
        /// It had asked for a connection without TLS and policy forbids that.
        upgraded: bool,
    },
    /// Drop it and count it under this code.
    Drop {
        /// What it was.
        code: Code,
        /// The particulars.
        message: String,
    },
}

/// Judges one datagram.
#[must_use]
pub fn answer(datagram: &[u8], endpoints: Endpoints) -> Reaction {
    let drop = |code: Code, message: String| Reaction::Drop { code, message };
    let request = match Request::from_frame(datagram) {
        Ok(request) => request,
        Err(error @ (SdpError::UnknownSecurity(_) | SdpError::UnknownTransport(_))) => {
            return drop(codes::SDP_BAD_FIELD, error.to_string());
        }
        Err(error) => return drop(codes::SDP_MALFORMED, error.to_string()),
    };
    if request.transport != TransportProtocol::Tcp {
        return drop(codes::SDP_BAD_FIELD, "transport UDP was requested".to_owned());
    }
    // A vehicle that asks for TLS gets TLS or nothing. One that asks for plaintext gets it where
    // policy allows, and is otherwise told of the TLS port, as the standard lets a station do.
    let (endpoint, security) = match (request.security, endpoints.tls, endpoints.plain) {
        (Security::Tls, Some(tls), _) | (Security::None, Some(tls), None) => (tls, Security::Tls),
        (Security::None, _, Some(plain)) => (plain, Security::None),
        (Security::Tls, None, _) => {
            return drop(
                codes::STATION_INOPERATIVE,
                "TLS was requested and is not available".to_owned(),
            );
        }
        (Security::None, None, None) => {
            return drop(
                codes::SDP_NO_TLS_REFUSED,
                "plaintext was requested and is not allowed".to_owned(),
            );
        }
    };
    let response = Response::from_ipv6(*endpoint.ip(), endpoint.port(), security, TransportProtocol::Tcp);
    let mut bytes = [0; 64];
    match response.write_frame(&mut bytes, false) {
        Ok(length) => Reaction::Answer {
            datagram: bytes[..length].to_vec(),
            tls: security == Security::Tls,
            upgraded: security == Security::Tls && request.security == Security::None,
        },
        Err(error) => drop(codes::SDP_MALFORMED, error.to_string()),
    }
}
