//! Signed lists of roots: how a root gets into a vehicle, a station or a back end after it was built.
//!
//! A list is a whole, never a change: who installs one drops what it does not name. Its number only
//! grows, so that an old list with a withdrawn root cannot be played again.

use core::time::Duration;

use der::asn1::{BitString, GeneralizedTime, OctetString};
use der::{Decode as _, Encode as _, Sequence};
use gridlatch_vocab::catalogue::{pki, rollover};
use gridlatch_vocab::{Code, Timestamp};
use thiserror::Error;

use crate::build::{BuildError, Sign};
use crate::profile::Kind;
use crate::{Generation, KeyAlgorithm, Profile, Verify, certificate, lint};

/// Roots in one list: ten per authority [V2G2-878], and some authorities.
pub const MAX_ROOTS: usize = 64;
/// A list in octets: [`MAX_ROOTS`] certificates of 1600 octets and what is around them.
pub const MAX_OCTETS: usize = 112 * 1024;

/// What a holder of roots should trust, and until when it may believe so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustList {
    /// Grows by at least one with every list of a signer.
    pub number: u64,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// After this a newer one must have been fetched; an installed list stays in use.
    pub valid_until: Timestamp,
    /// The roots in DER.
    pub roots: Vec<Vec<u8>>,
}

/// A list is not to be installed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the trust list is refused: {message}")]
pub struct TrustListError {
    /// The row of the catalogue.
    pub code: Code,
    /// Which rule it breaks.
    pub message: String,
}

#[derive(Sequence)]
struct Body {
    number: u64,
    issued_at: GeneralizedTime,
    valid_until: GeneralizedTime,
    roots: Vec<OctetString>,
}

#[derive(Sequence)]
struct Signed {
    body: OctetString,
    algorithm: der::asn1::ObjectIdentifier,
    signature: BitString,
}

impl TrustList {
    /// Has the list signed: DER of `SEQUENCE { body OCTET STRING, algorithm OID, signature BIT STRING }`.
    ///
    /// # Errors
    /// More than [`MAX_ROOTS`] roots, a date before 1970, or the key refused.
    pub fn sign(&self, algorithm: KeyAlgorithm, sign: &Sign<'_>) -> Result<Vec<u8>, BuildError> {
        if self.roots.len() > MAX_ROOTS {
            return Err(BuildError::Input("a trust list has at most 64 roots"));
        }
        let body = Body {
            number: self.number,
            issued_at: time(self.issued_at)?,
            valid_until: time(self.valid_until)?,
            roots: self
                .roots
                .iter()
                .map(|root| OctetString::new(root.as_slice()))
                .collect::<Result<_, _>>()?,
        }
        .to_der()?;
        let signature = sign(&body).map_err(BuildError::Sign)?;
        Ok(Signed {
            body: OctetString::new(body)?,
            algorithm: algorithm.signature_oid(),
            signature: BitString::from_bytes(&signature)?,
        }
        .to_der()?)
    }

    /// Checks a list from outside with the public key `spki` (DER) its holder has been built with, and
    /// each root in it. `installed` is the number of the list in use.
    ///
    /// # Errors
    /// Which rule it breaks; then nothing of it may be installed.
    pub fn verify(
        der: &[u8],
        (algorithm, spki): (KeyAlgorithm, &[u8]),
        installed: Option<u64>,
        now: Timestamp,
        verifier: &dyn Verify,
    ) -> Result<Self, TrustListError> {
        let refuse = |message: String| TrustListError {
            code: rollover::TRUST_LIST_REFUSED,
            message,
        };
        if der.len() > MAX_OCTETS {
            return Err(refuse(format!("it is larger than {MAX_OCTETS} octets")));
        }
        let signed = Signed::from_der(der).map_err(|_| refuse("it is not DER of a trust list".to_owned()))?;
        if signed.algorithm != algorithm.signature_oid()
            || verifier.verify(
                algorithm,
                spki,
                signed.body.as_bytes(),
                signed.signature.as_bytes().unwrap_or_default(),
            ) != Some(true)
        {
            return Err(refuse(
                "it is not signed by the back end this holder was built for".to_owned(),
            ));
        }
        let body = Body::from_der(signed.body.as_bytes())
            .map_err(|_| refuse("its signed part is not DER of a trust list".to_owned()))?;
        if body.roots.len() > MAX_ROOTS {
            return Err(refuse(format!("it has more than {MAX_ROOTS} roots")));
        }
        if body.roots.is_empty() {
            return Err(refuse(
                "it has no root: its holder could trust nobody any more".to_owned(),
            ));
        }
        if installed.is_some_and(|installed| body.number <= installed) {
            return Err(refuse(format!(
                "number {} is not newer than {}, which is installed",
                body.number,
                installed.unwrap_or_default()
            )));
        }
        let at = |time: &GeneralizedTime| {
            let millis = i64::try_from(time.to_unix_duration().as_millis()).unwrap_or(i64::MAX);
            Timestamp::from_unix_millis(millis)
        };
        let (issued_at, valid_until) = (at(&body.issued_at), at(&body.valid_until));
        // Whole seconds are all the encoding keeps.
        if issued_at > now || valid_until < now {
            return Err(refuse(format!(
                "it is valid from {issued_at} to {valid_until}, and it is {now}"
            )));
        }
        let roots: Vec<Vec<u8>> = body.roots.into_iter().map(OctetString::into_bytes).collect();
        for root in &roots {
            check_root(root, now, verifier)?;
        }
        Ok(Self {
            number: body.number,
            issued_at,
            valid_until,
            roots,
        })
    }
}

/// Whether a certificate may be installed as a V2G root: by its profile, signed by itself, valid now.
///
/// # Errors
/// Which rule it breaks. EVs and stations that install whatever a back end sends have been seen to
/// install leaves as roots.
pub fn check_root(der: &[u8], now: Timestamp, verifier: &dyn Verify) -> Result<(), TrustListError> {
    let refuse = |code: Code, message: String| TrustListError { code, message };
    let parsed = certificate::parse(der)
        .map_err(|error| refuse(pki::MALFORMED, format!("one of its roots is {error}")))?;
    let tbs = &parsed.tbs_certificate;
    let name = certificate::names(&tbs.subject).common_name.unwrap_or_default();
    let algorithm = certificate::key_algorithm(&tbs.subject_public_key_info).ok_or_else(|| {
        refuse(
            pki::WRONG_CURVE,
            format!("the key of {name:?} is of a type that no profile allows"),
        )
    })?;
    let generation = if algorithm == KeyAlgorithm::P256 {
        Generation::Iso2
    } else {
        Generation::Iso20
    };
    let profile = Profile {
        kind: Kind::V2gRoot,
        generation,
    };
    if let Some(fault) = lint::accept(tbs, der.len(), profile).into_iter().next() {
        return Err(refuse(fault.code, format!("{name:?}: {}", fault.message)));
    }
    let valid =
        crate::build::timestamp(&tbs.validity.not_before)..=crate::build::timestamp(&tbs.validity.not_after);
    if !valid.contains(&now) {
        return Err(refuse(
            pki::EXPIRED,
            format!("{name:?} is valid from {} to {}", valid.start(), valid.end()),
        ));
    }
    let own = tbs.subject_public_key_info.to_der().ok();
    let message = tbs.to_der().ok();
    let signed = tbs.issuer == tbs.subject
        && own.zip(message).is_some_and(|(spki, message)| {
            verifier.verify(algorithm, &spki, &message, parsed.signature.raw_bytes()) == Some(true)
        });
    if signed {
        Ok(())
    } else {
        Err(refuse(
            pki::BAD_SIGNATURE,
            format!("{name:?} is not signed by itself: it is no root"),
        ))
    }
}

fn time(at: Timestamp) -> Result<GeneralizedTime, BuildError> {
    let seconds = u64::try_from(at.0.unix_timestamp())
        .map_err(|_| BuildError::Input("a trust list is not from before 1970"))?;
    Ok(GeneralizedTime::from_unix_duration(Duration::from_secs(seconds))?)
}
