//! Revocation in the bench: answers that a station staples, lists that it looks at, and what a vehicle
//! does when it learns nothing.

use anyhow::{Context as _, Result};
use gridlatch_keys::{OpensslVerifier, Signer as _};
use gridlatch_tls::Revoked as TlsRevoked;
use gridlatch_trust::certificate;
use gridlatch_trust::crl::{self, CrlRequest};
use gridlatch_trust::ocsp::{self, CertId, Hash, NonceRule, Single};
use gridlatch_trust::revocation::{Reason, Revoked, Status};
use gridlatch_trust::verdict::Accepted;
use gridlatch_vocab::catalogue::revocation;
use gridlatch_vocab::{Code, Event, Timestamp};
use time::Duration;
use tokio::net::{TcpListener, TcpStream};

use super::world::Ca;

/// What a vehicle does if it cannot learn whether the station's certificate is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// It goes on.
    GoOn,
    /// It refuses.
    Refuse,
}

impl Policy {
    /// Judges the answer stapled to the handshake; says what to note, or why to refuse.
    pub(super) fn judge(
        self,
        staple: Option<&[u8]>,
        accepted: &Accepted,
        now: Timestamp,
    ) -> Result<String, (Code, String)> {
        let Some(staple) = staple else {
            let what = "the station stapled no OCSP answer, and nothing else is known of its certificate";
            return match self {
                Self::GoOn => Ok(format!("{what} ({}): policy is to go on", revocation::UNKNOWN)),
                Self::Refuse => Err((revocation::UNKNOWN, format!("{what}: policy is to refuse"))),
            };
        };
        let issuer = accepted.path.get(1).unwrap_or(&accepted.anchor);
        let status = accepted
            .path
            .first()
            .ok_or_else(|| (revocation::MALFORMED, "an empty path".to_owned()))
            .and_then(|leaf| status(staple, leaf, issuer, now))?;
        match status {
            Status::Good => Ok("the stapled OCSP answer is good".to_owned()),
            Status::Revoked { at, reason } => Err((
                revocation::REVOKED,
                format!(
                    "the station's certificate was revoked at {at} ({reason}), says the answer it stapled"
                ),
            )),
            Status::Unknown => Err((
                revocation::UNKNOWN,
                "the stapled OCSP answer does not know the station's certificate".to_owned(),
            )),
        }
    }
}

fn status(staple: &[u8], leaf: &[u8], issuer: &[u8], now: Timestamp) -> Result<Status, (Code, String)> {
    let told = |error: ocsp::OcspError| (error.code(), format!("the stapled OCSP answer: {error}"));
    let serial = serial(leaf).map_err(|error| (revocation::MALFORMED, error.to_string()))?;
    let response = ocsp::parse_response(staple).map_err(told)?;
    ocsp::verify_response(
        &response,
        issuer,
        &serial,
        NonceRule::NotSent,
        now,
        &OpensslVerifier,
    )
    .map_err(told)
}

/// An answer about `leaf` by the responder its CA has delegated, good for a day.
///
/// # Errors
/// The certificate cannot be read, or the key failed.
pub(super) fn answer(ca: &Ca, responder: &Ca, leaf: &[u8], revoked: bool, now: Timestamp) -> Result<Vec<u8>> {
    let single = Single {
        id: CertId::new(&ca.der, &serial(leaf)?, Hash::Sha1)?,
        status: if revoked {
            Status::Revoked {
                at: Timestamp(now.0 - Duration::HOUR),
                reason: Reason::KeyCompromise,
            }
        } else {
            Status::Good
        },
        this_update: Timestamp(now.0 - Duration::MINUTE),
        next_update: Some(Timestamp(now.0 + Duration::DAY)),
    };
    Ok(ocsp::build_response(
        &responder.der,
        now,
        &[single],
        None,
        std::slice::from_ref(&responder.der),
        responder.key.algorithm(),
        &|message| responder.key.sign(message).map_err(Into::into),
    )?)
}

/// The list of `ca` with `leaf` on it.
///
/// # Errors
/// The certificate cannot be read, or the key failed.
pub(super) fn list(ca: &Ca, leaf: &[u8], now: Timestamp) -> Result<Vec<u8>> {
    let revoked = [Revoked {
        serial: serial(leaf)?,
        at: Timestamp(now.0 - Duration::HOUR),
        reason: Reason::KeyCompromise,
    }];
    let request = CrlRequest {
        issuer: &ca.der,
        number: 1,
        base: None,
        this_update: Timestamp(now.0 - Duration::MINUTE),
        next_update: Timestamp(now.0 + Duration::DAY),
        revoked: &revoked,
        delta_url: None,
    };
    Ok(crl::build(&request, ca.key.algorithm(), &|message| {
        ca.key.sign(message).map_err(Into::into)
    })?)
}

/// What a station that has fetched this list tells its listener: it believes the list only if the CA
/// signed it.
///
/// # Errors
/// The list is not to be believed.
pub(super) fn fetched(list: &[u8], ca: &Ca, leaf: &[u8], now: Timestamp) -> Result<TlsRevoked> {
    let list = crl::parse(list)?;
    list.verify(&ca.der, &OpensslVerifier, now)?;
    let serial = serial(leaf)?;
    let mut revoked = TlsRevoked::default();
    if matches!(list.status(&serial), Status::Revoked { .. }) {
        revoked.insert(&certificate::subject_der(&ca.der)?, &serial)?;
    }
    Ok(revoked)
}

/// The station asks a responder that is down, and has nothing to staple.
///
/// # Errors
/// No socket on loopback, or somebody answers where nobody should.
pub(super) async fn responder_down(now: Timestamp) -> Result<Event> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    drop(listener);
    let error = TcpStream::connect(address)
        .await
        .err()
        .context("somebody listens where the responder was taken down")?;
    Ok(Event::new(
        now,
        revocation::FETCH_FAILED,
        "station",
        format!("the OCSP responder http://{address} does not answer ({error}): nothing to staple"),
    ))
}

fn serial(der: &[u8]) -> Result<Vec<u8>> {
    Ok(certificate::parse(der)?
        .tbs_certificate
        .serial_number
        .as_bytes()
        .to_vec())
}
