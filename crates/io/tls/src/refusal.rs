//! From OpenSSL's error to a code, the guilty side and the certificate.

use std::fmt;
use std::io;

use gridlatch_vocab::Code;
use gridlatch_vocab::catalogue::{pki, tls};
use openssl::ssl::{Error, SslAlert};

use crate::observed::{Observed, VerifyFailure, VerifyFault};

/// Why a handshake failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The row of the catalogue.
    pub code: Code,
    /// One sentence: who failed, where, why. Holds no personal data.
    pub message: String,
    /// The alert by which the peer ended the handshake (RFC 8446, section 6); `None` where this side
    /// did, or the connection broke.
    pub alert: Option<u8>,
}

impl Refusal {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            alert: None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for Refusal {}

/// Who is at the other end, as a message names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Vehicle,
    Station,
    Platform,
    StationClient,
    /// Whoever uses a web service.
    WebClient,
}

impl Peer {
    pub(crate) const fn noun(self) -> &'static str {
        match self {
            Self::Vehicle => "vehicle",
            Self::Station | Self::StationClient => "station",
            Self::Platform => "platform",
            Self::WebClient => "client",
        }
    }
}

/// The refusal behind a failed read or write on an established stream, if TLS is the cause.
///
/// In TLS 1.3 a server judges the client's certificate after the client's handshake is complete: what
/// it thinks of it arrives with the first read.
#[must_use]
pub fn refusal_of(error: &io::Error) -> Option<Refusal> {
    let inner = error.get_ref()?;
    let stack = match inner.downcast_ref::<Error>() {
        Some(error) => error.ssl_error()?,
        None => inner.downcast_ref::<openssl::error::ErrorStack>()?,
    };
    let reason = stack.errors().first()?.reason_code();
    let alert = SslAlert::from_reason_code(reason)?;
    Some(from_alert(alert, "peer", &Observed::default()))
}

/// Maps a failed handshake.
pub(crate) fn explain(error: &Error, peer: Peer, observed: &Observed) -> Refusal {
    let who = peer.noun();
    if let Some(extension) = observed.malformed {
        return Refusal::new(
            tls::MALFORMED,
            format!("the {who} sent a malformed {extension} in its ClientHello"),
        );
    }
    if let Some(failure) = &observed.verify {
        return judged(failure, peer);
    }
    if let Some(io) = error.io_error() {
        return Refusal::new(
            tls::CONNECTION_LOST,
            format!("the {who} ended the connection during the handshake: {io}"),
        );
    }
    let Some(first) = error.ssl_error().and_then(|stack| stack.errors().first()) else {
        return Refusal::new(
            tls::CONNECTION_LOST,
            format!("the {who} closed the connection during the handshake"),
        );
    };
    let reason = first.reason_code();
    if let Some(alert) = SslAlert::from_reason_code(reason) {
        return from_alert(alert, who, observed);
    }
    let said = first.reason().unwrap_or("unknown error");
    let code = match reason {
        NO_SHARED_CIPHER
        | NO_SUITABLE_KEY_SHARE
        | NO_SUITABLE_SIGNATURE_ALGORITHM
        | NO_SHARED_SIGNATURE_ALGORITHMS
        | WRONG_SIGNATURE_TYPE
        | BAD_ECPOINT
        | WRONG_CURVE
        | NO_SUITABLE_GROUPS
        | WRONG_CIPHER_RETURNED
        | UNKNOWN_CIPHER_RETURNED => {
            return no_common(who, observed);
        }
        // OpenSSL reports the empty choice of credential as a callback failure.
        CALLBACK_FAILED | CLIENTHELLO_TLSEXT if observed.no_credential => return no_common(who, observed),
        UNSUPPORTED_PROTOCOL
        | VERSION_TOO_LOW
        | WRONG_SSL_VERSION
        | NO_PROTOCOLS_AVAILABLE
        | INAPPROPRIATE_FALLBACK => tls::PROTOCOL_VERSION,
        PEER_DID_NOT_RETURN_A_CERTIFICATE => {
            return Refusal::new(
                tls::CERTIFICATE_REQUIRED,
                format!("the {who} showed no certificate, and policy demands one"),
            );
        }
        HTTP_REQUEST | HTTPS_PROXY_REQUEST | WRONG_VERSION_NUMBER => tls::NOT_TLS,
        UNEXPECTED_EOF => {
            return Refusal::new(
                tls::CONNECTION_LOST,
                format!("the {who} closed the connection during the handshake"),
            );
        }
        CERTIFICATE_VERIFY_FAILED => tls::CERTIFICATE_REJECTED,
        INTERNAL_ERROR => tls::INTERNAL,
        _ => tls::MALFORMED,
    };
    Refusal::new(code, format!("handshake with the {who} failed: {said}"))
}

fn no_common(who: &str, observed: &Observed) -> Refusal {
    let offer = observed.offer.as_ref();
    if offer.is_some_and(crate::hello::Offer::only_static_ecdh) {
        return Refusal::new(
            tls::STATIC_ECDH_ONLY,
            format!("the {who} offers only static ECDH, which OpenSSL no longer has"),
        );
    }
    let offered = offer
        .map(|offer| format!(": it {}", offer.describe()))
        .unwrap_or_default();
    let what = if observed.no_credential {
        "no configured certificate has a key type this peer can verify"
    } else {
        "no common cipher suite, group or signature algorithm"
    };
    Refusal::new(tls::NO_COMMON_SUITE, format!("{what} with the {who}{offered}"))
}

fn from_alert(alert: SslAlert, who: &str, observed: &Observed) -> Refusal {
    let number = alert.reason_code() - 1000;
    let code = match alert {
        SslAlert::UNKNOWN_CA => tls::UNKNOWN_CA,
        SslAlert::CERTIFICATE_EXPIRED => tls::CERTIFICATE_EXPIRED,
        SslAlert::CERTIFICATE_REVOKED => tls::CERTIFICATE_REVOKED,
        SslAlert::BAD_CERTIFICATE | SslAlert::UNSUPPORTED_CERTIFICATE | SslAlert::CERTIFICATE_UNKNOWN => {
            tls::CERTIFICATE_REJECTED
        }
        SslAlert::CERTIFICATE_REQUIRED => tls::CERTIFICATE_REQUIRED,
        SslAlert::PROTOCOL_VERSION | SslAlert::INAPPROPRIATE_FALLBACK => tls::PROTOCOL_VERSION,
        SslAlert::HANDSHAKE_FAILURE | SslAlert::INSUFFICIENT_SECURITY => tls::NO_COMMON_SUITE,
        SslAlert::DECODE_ERROR
        | SslAlert::ILLEGAL_PARAMETER
        | SslAlert::UNEXPECTED_MESSAGE
        | SslAlert::BAD_RECORD_MAC
        | SslAlert::DECRYPT_ERROR => tls::MALFORMED,
        _ => tls::PEER_ALERT,
    };
    let mut message = format!("the {who} ended the handshake with alert {number} ({alert})");
    if let Some((label, reason)) = &observed.chosen {
        message.push_str(&format!("; it was shown {label:?} ({reason})"));
    }
    if let Some(issuer) = &observed.own_issuer {
        message.push_str(&format!(", whose chain leads to {issuer}"));
    }
    if let Some(offer) = &observed.offer
        && code == tls::UNKNOWN_CA
        && !observed.named_root
    {
        message.push_str(match offer.authorities.len() {
            0 => "; it did not say which roots it trusts",
            _ => "; it named other roots",
        });
    }
    Refusal {
        alert: u8::try_from(number).ok(),
        ..Refusal::new(code, message)
    }
}

fn judged(failure: &VerifyFailure, peer: Peer) -> Refusal {
    let who = peer.noun();
    let whose = match (peer, failure.depth) {
        // The subject of a vehicle or a contract is personal data, and any of them may enrol.
        (Peer::Vehicle | Peer::WebClient, 0) => {
            format!("the {who}'s own certificate, issued by {}", failure.issuer)
        }
        (_, 0) => format!(
            "the {who}'s own certificate {}, issued by {}",
            failure.subject, failure.issuer
        ),
        (_, depth) => {
            format!(
                "certificate {depth} of the {who}'s chain ({}, issued by {})",
                failure.subject, failure.issuer
            )
        }
    };
    let result = match &failure.result {
        VerifyFault::Openssl(result) => result,
        VerifyFault::DomainComponent => {
            return Refusal::new(
                tls::WRONG_DOMAIN,
                format!("{whose}, does not carry DC=CPO [V2G2-925]"),
            );
        }
        VerifyFault::Odd(code, why) => return Refusal::new(*code, format!("{whose}: {why}")),
    };
    let code = match result.as_raw() {
        // X509_V_ERR_*: unable to get issuer, self-signed leaf or top, unable to verify the leaf.
        2 | 18..=21 => tls::UNKNOWN_CA,
        10 => tls::CERTIFICATE_EXPIRED,
        9 => tls::CERTIFICATE_NOT_YET_VALID,
        22 => pki::PATH_TOO_LONG,
        23 => tls::CERTIFICATE_REVOKED,
        62..=64 => tls::NAME_MISMATCH,
        _ => tls::CERTIFICATE_REJECTED,
    };
    Refusal::new(code, format!("{whose}: {}", result.error_string()))
}

// Reason codes of <openssl/sslerr.h>, stable since 1.1.0.
const BAD_ECPOINT: i32 = 306;
const CALLBACK_FAILED: i32 = 234;
const CERTIFICATE_VERIFY_FAILED: i32 = 134;
const CLIENTHELLO_TLSEXT: i32 = 226;
const HTTPS_PROXY_REQUEST: i32 = 155;
const HTTP_REQUEST: i32 = 156;
const INAPPROPRIATE_FALLBACK: i32 = 373;
const INTERNAL_ERROR: i32 = 0xC0103;
const NO_PROTOCOLS_AVAILABLE: i32 = 191;
const NO_SHARED_CIPHER: i32 = 193;
const NO_SHARED_SIGNATURE_ALGORITHMS: i32 = 376;
const NO_SUITABLE_GROUPS: i32 = 295;
const NO_SUITABLE_KEY_SHARE: i32 = 101;
const NO_SUITABLE_SIGNATURE_ALGORITHM: i32 = 118;
const PEER_DID_NOT_RETURN_A_CERTIFICATE: i32 = 199;
const UNEXPECTED_EOF: i32 = 294;
const UNKNOWN_CIPHER_RETURNED: i32 = 248;
const UNSUPPORTED_PROTOCOL: i32 = 258;
const VERSION_TOO_LOW: i32 = 396;
const WRONG_CIPHER_RETURNED: i32 = 261;
const WRONG_CURVE: i32 = 378;
const WRONG_SIGNATURE_TYPE: i32 = 370;
const WRONG_SSL_VERSION: i32 = 266;
const WRONG_VERSION_NUMBER: i32 = 267;
