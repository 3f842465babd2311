//! Revocation of a path that somebody else has verified: the one a TLS library accepted.

use gridlatch_vocab::{Timestamp, catalogue::pki};

use super::link::Link;
use super::{Checked, Evidence, MAX_SENT, Policy, Rejected, reject};
use crate::Verify;
use crate::revocation::Reason;

/// A certificate of the path is not to be believed any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// Which one, and why.
    pub rejected: Rejected,
    /// Why it was revoked; `None` where nothing is known and the policy does not tolerate that.
    pub reason: Option<Reason>,
    /// Since when it is.
    pub at: Option<Timestamp>,
    /// The certificate in DER; empty where the path cannot be read.
    pub certificate: Vec<u8>,
}

impl Unfit {
    /// Whether no later word can lift this: it was revoked, and not just suspended.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.reason
            .is_some_and(|reason| reason != Reason::CertificateHold)
    }
}

/// What is known about the revocation of `path` (DER: leaf first, its anchor last), as far as `policy` asks;
/// an anchor is trusted by decree. Signatures, dates and profiles of the path itself are not looked at:
/// whoever asks has done so.
///
/// # Errors
/// The first certificate, from the top, that is not to be believed; also where the path cannot be read.
pub fn standing(
    path: &[Vec<u8>],
    now: Timestamp,
    evidence: &Evidence,
    policy: &Policy,
    verifier: &dyn Verify,
) -> Result<Vec<Checked>, Box<Unfit>> {
    let unreadable = |rejected| {
        Box::new(Unfit {
            rejected,
            reason: None,
            at: None,
            certificate: Vec::new(),
        })
    };
    if path.len() > MAX_SENT {
        let message = format!(
            "the path has {} certificates, at most {MAX_SENT} are looked at",
            path.len()
        );
        return Err(unreadable(reject(pki::TOO_LARGE, message, None, None)));
    }
    let links: Vec<Link<'_>> = path
        .iter()
        .enumerate()
        .map(|(depth, der)| Link::read(der, depth).map_err(unreadable))
        .collect::<Result<_, _>>()?;
    let mut signatures = 0;
    let mut checked = Vec::new();
    // From the top: what a revoked CA says of those below it is worth nothing.
    for (depth, pair) in links.windows(2).enumerate().rev() {
        let [link, issuer] = pair else { continue };
        if !policy.asks(depth) {
            continue;
        }
        let known = evidence.about(link, issuer, now, policy, verifier, &mut signatures);
        let (at, reason) = known.since().unzip();
        let fit = known.decide(link, depth, policy).map_err(|rejected| {
            Box::new(Unfit {
                rejected,
                reason,
                at,
                certificate: link.der.to_vec(),
            })
        })?;
        checked.push(fit);
    }
    checked.reverse();
    Ok(checked)
}
