//! What the vehicle makes of the OCSP answer that a station staples to its certificate.

use gridlatch_keys::OpensslVerifier;
use gridlatch_session::evcc::{Failure, StepName};
use gridlatch_tls::Handshake;
use gridlatch_trust::certificate;
use gridlatch_trust::ocsp::{OcspError, Stapled, read_staple};
use gridlatch_trust::revocation::Status;
use gridlatch_vocab::catalogue::revocation;
use gridlatch_vocab::{Code, Timestamp};

/// How much a vehicle insists on knowing that the station's certificate is not revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StaplePolicy {
    /// A certificate that is shown to be revoked is refused. A station without an answer, or with one
    /// that is not to be believed, is charged at, and said to be so: many stations staple nothing, and
    /// whoever can drop an answer on the way could as well spoil it.
    #[default]
    RefuseRevoked,
    /// Only a believed "good" will do.
    RequireGood,
}

/// What is known after a handshake.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not revoked.
    Good,
    /// A resumed session brings no answer; the one of its first handshake counts.
    Resumed,
    /// The station has no answer to give.
    Absent,
    /// There is an answer, and nothing is known all the same; why.
    Unknown(Code, String),
    /// Revoked.
    Revoked(String),
}

impl Verdict {
    /// For a log line.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Resumed => "resumed",
            Self::Absent => "absent",
            Self::Unknown(..) => "unknown",
            Self::Revoked(_) => "revoked",
        }
    }
}

/// Judges the staples of a handshake. `roots` may have issued the leaf, or the last sub-CA, themselves. What is not
/// said of a sub-CA is no fault: few TLS stacks can staple more than one answer.
pub(crate) fn judge(handshake: &Handshake, roots: &[Vec<u8>], now: Timestamp) -> Verdict {
    if handshake.resumed {
        return Verdict::Resumed;
    }
    revoked_above(handshake, roots, now).unwrap_or_else(|| leaf(handshake, roots, now))
}

/// A believed answer that a sub-CA of the chain was revoked.
fn revoked_above(handshake: &Handshake, roots: &[Vec<u8>], now: Timestamp) -> Option<Verdict> {
    let chain = &handshake.peer_chain;
    for (place, sub) in chain.iter().enumerate().skip(1) {
        for issuer in chain.iter().skip(place + 1).take(1).chain(roots) {
            for staple in handshake.staple.iter().chain(&handshake.more_staples) {
                if let Ok(Stapled {
                    status: Status::Revoked { at, reason },
                    ..
                }) = read_staple(staple, sub, issuer, now, &OpensslVerifier)
                {
                    let name =
                        certificate::summary(sub).map_or_else(|_| "?".to_owned(), |sub| sub.subject_cn);
                    return Some(Verdict::Revoked(format!(
                        "the sub-CA {name:?} above the station's certificate was revoked at {at} ({})",
                        reason.as_str()
                    )));
                }
            }
        }
    }
    None
}

fn leaf(handshake: &Handshake, roots: &[Vec<u8>], now: Timestamp) -> Verdict {
    let Some(staple) = &handshake.staple else {
        return Verdict::Absent;
    };
    let Some((leaf, issuers)) = handshake.peer_chain.split_first() else {
        return Verdict::Unknown(revocation::UNKNOWN, "the station showed no certificate".into());
    };
    let mut why = OcspError::OtherCertificate;
    // The station's own chain names the issuer first; the error about that one is the telling one.
    for issuer in issuers
        .iter()
        .take(1)
        .chain(if issuers.is_empty() { roots } else { &[] })
    {
        match read_staple(staple, leaf, issuer, now, &OpensslVerifier) {
            Ok(stapled) => {
                return match stapled.status {
                    Status::Good => Verdict::Good,
                    Status::Revoked { at, reason } => Verdict::Revoked(format!(
                        "the station's certificate was revoked at {at} ({})",
                        reason.as_str()
                    )),
                    Status::Unknown => Verdict::Unknown(
                        revocation::UNKNOWN,
                        "the station's issuer does not know its certificate".into(),
                    ),
                };
            }
            Err(error) => why = error,
        }
    }
    Verdict::Unknown(
        why.code(),
        format!("the station's OCSP answer is not believed: {why}"),
    )
}

/// Whether the vehicle goes on. An error ends the session before anything is said on it.
pub(crate) fn decide(verdict: &Verdict, policy: StaplePolicy) -> Result<(), Failure> {
    let (code, why) = match (verdict, policy) {
        (Verdict::Good | Verdict::Resumed, _)
        | (Verdict::Absent | Verdict::Unknown(..), StaplePolicy::RefuseRevoked) => return Ok(()),
        (Verdict::Absent, StaplePolicy::RequireGood) => (
            revocation::UNKNOWN,
            "the station staples no OCSP answer to its certificate, and this vehicle demands one".into(),
        ),
        (Verdict::Revoked(why), _) => (revocation::REVOKED, why.clone()),
        (Verdict::Unknown(code, why), StaplePolicy::RequireGood) => (
            *code,
            format!("{why}; this vehicle demands one that says \"good\""),
        ),
    };
    Err(Failure::new(StepName::Tls, code, why))
}

#[cfg(test)]
mod tests;
