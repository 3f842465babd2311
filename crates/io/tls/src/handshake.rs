//! Running one handshake to its end, in its time.

use core::pin::Pin;
use core::time::Duration;
use std::time::Instant;

use gridlatch_vocab::catalogue::tls;
use openssl::asn1::Asn1Time;
use openssl::ssl::{Ssl, SslRef, StatusType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use crate::context::{self, LEGACY_CBC, peer_chain, peer_path};
use crate::observed::Watch;
use crate::refusal::{Peer, Refusal, explain};
use crate::{Handshake, TlsStream, ffi};

/// Which end of the handshake this side is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Accept,
    Connect,
}

/// Runs the handshake of `ssl` over `tcp`.
pub(crate) async fn run(
    role: Role,
    mut ssl: Ssl,
    watch: &Watch,
    tcp: TcpStream,
    limit: Duration,
    peer: Peer,
) -> Result<(TlsStream, Handshake), Refusal> {
    let started = Instant::now();
    let who = peer.noun();
    let handshake = async {
        // Messages are small and answered one by one: waiting for more to send only adds delay. A
        // socket that refuses the option still works.
        let _ = tcp.set_nodelay(true);
        match role {
            Role::Accept => expect_tls(&tcp, who).await?,
            // A server without a staple ignores the question.
            Role::Connect => ssl
                .set_status_type(StatusType::OCSP)
                .map_err(|error| internal(&error))?,
        }
        let mut stream = SslStream::new(ssl, tcp).map_err(|error| internal(&error))?;
        let result = match role {
            Role::Accept => Pin::new(&mut stream).accept().await,
            Role::Connect => Pin::new(&mut stream).connect().await,
        };
        match result {
            Ok(()) => Ok(stream),
            Err(error) => {
                let refusal = match ffi::take_failure() {
                    // OpenSSL only knows that the signature failed.
                    Some(key) => Refusal::new(key.code(), format!("this side cannot sign: {key}")),
                    None => watch.with(|observed| explain(&error, peer, observed)),
                };
                if role == Role::Accept {
                    tokio::spawn(linger(stream));
                }
                Err(refusal)
            }
        }
    };
    let stream = tokio::time::timeout(limit, handshake).await.unwrap_or_else(|_| {
        Err(Refusal::new(
            tls::HANDSHAKE_TIMEOUT,
            format!(
                "the {who} did not finish the TLS handshake within {} ms",
                limit.as_millis()
            ),
        ))
    })?;
    let mut handshake = summary(stream.ssl(), watch, started.elapsed());
    if role == Role::Connect {
        if context::whole_chain() {
            let mut all = ffi::staples(stream.ssl()).into_iter();
            handshake.staple = all.next();
            handshake.more_staples = all.collect();
        } else {
            handshake.staple = stream.ssl().ocsp_status().map(<[u8]>::to_vec);
        }
    }
    if handshake.resumed {
        still_valid(stream.ssl(), who)?;
    }
    Ok((stream, handshake))
}

/// How long a refused peer has to take note of the alert.
const LINGER: Duration = Duration::from_millis(500);

/// In TLS 1.3 a client whose certificate is refused has begun to talk. Closing on what it says would reset the
/// connection and take the alert away from it, so it is read past until the peer has gone.
async fn linger(mut stream: SslStream<TcpStream>) {
    let tcp = stream.get_mut();
    let mut rest = [0; 1024];
    let gone = async {
        let _ = tcp.shutdown().await;
        while matches!(tcp.read(&mut rest).await, Ok(1..)) {}
    };
    let _ = tokio::time::timeout(LINGER, gone).await;
}

/// Looks at the first octet before OpenSSL does, so that a vehicle that ignored SDP is told apart from
/// one with a faulty TLS stack.
async fn expect_tls(tcp: &TcpStream, who: &str) -> Result<(), Refusal> {
    const HANDSHAKE_RECORD: u8 = 0x16;
    let mut first = [0; 2];
    let seen = tcp.peek(&mut first).await.map_err(|error| {
        Refusal::new(
            tls::CONNECTION_LOST,
            format!("the {who} ended the connection before the handshake: {error}"),
        )
    })?;
    match first {
        _ if seen == 0 => Err(Refusal::new(
            tls::CONNECTION_LOST,
            format!("the {who} closed the connection before the handshake"),
        )),
        [HANDSHAKE_RECORD, _] => Ok(()),
        // V2GTP version 1 and its inverse; one octet may have to do.
        [0x01, 0xFE] => Err(Refusal::new(
            tls::NOT_TLS,
            format!("the {who} spoke plain V2GTP on the TLS port, although SDP announced TLS"),
        )),
        [octet, _] => Err(Refusal::new(
            tls::NOT_TLS,
            format!("the {who} did not speak TLS: its first octet is 0x{octet:02X}, not 0x16"),
        )),
    }
}

fn summary(ssl: &SslRef, watch: &Watch, duration: Duration) -> Handshake {
    let suite = ssl
        .current_cipher()
        .map_or("(none)", |cipher| cipher.name())
        .to_owned();
    Handshake {
        version: ssl.version_str().to_owned(),
        group: ffi::negotiated_group(ssl),
        peer_chain: peer_chain(ssl),
        peer_path: peer_path(ssl),
        own_label: watch.with(|observed| observed.chosen.as_ref().map(|(label, _)| label.clone())),
        resumed: ssl.session_reused(),
        legacy: suite == LEGACY_CBC,
        staple: None,
        more_staples: Vec::new(),
        duration,
        suite,
    }
}

/// A resumed session skips OpenSSL's look at the certificates; they may have expired since.
fn still_valid(ssl: &SslRef, who: &str) -> Result<(), Refusal> {
    let Some(leaf) = ssl.peer_certificate() else {
        return Ok(());
    };
    let now = Asn1Time::days_from_now(0).map_err(|error| internal(&error))?;
    if leaf.not_after() < now {
        return Err(Refusal::new(
            tls::CERTIFICATE_EXPIRED,
            format!("the {who} resumed a session, but its certificate has expired since"),
        ));
    }
    Ok(())
}

pub(crate) fn internal(error: &openssl::error::ErrorStack) -> Refusal {
    Refusal::new(
        tls::INTERNAL,
        format!("the TLS library failed on this side: {error}"),
    )
}
