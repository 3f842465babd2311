//! Answers.

use der::asn1::{BitString, GeneralizedTime, OctetString};
use der::{Decode as _, Encode as _, Reader as _, SliceReader};
use gridlatch_vocab::Timestamp;
use sha1::{Digest as _, Sha1};
use x509_cert::Certificate;
use x509_cert::ext::pkix::ExtendedKeyUsage;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_cert::time::Time;
use x509_ocsp::{
    BasicOcspResponse, CertStatus, OcspGeneralizedTime, OcspResponse, OcspResponseStatus, ResponderId,
    ResponseBytes, ResponseData, RevokedInfo, SingleResponse,
};

use super::{
    CertId, Hash, Kind, MAX_IDS, MAX_NONCE, MAX_RESPONSE, OcspError, Single, malformed, nonce_extension,
    nonce_of,
};
use crate::build::{BuildError, Sign, timestamp};
use crate::profile::usage;
use crate::revocation::{Reason, SKEW, Stale, Status, fresh};
use crate::signed::{SignatureFault, Signed};
use crate::{KeyAlgorithm, Verify, certificate, lint};

/// Builds an answer and has it signed by the key of `responder` (DER): the CA itself, or a signer it has
/// delegated, whose certificate then belongs into `include_certs`. The responder is named by its key.
///
/// # Errors
/// No status or too many, a nonce of another length than allowed, a time that cannot be written, or the
/// key refused.
pub fn build_response(
    responder: &[u8],
    produced_at: Timestamp,
    singles: &[Single],
    nonce: Option<&[u8]>,
    include_certs: &[Vec<u8>],
    algorithm: KeyAlgorithm,
    sign: &Sign<'_>,
) -> Result<Vec<u8>, BuildError> {
    if !(1..=MAX_IDS).contains(&singles.len()) {
        return Err(BuildError::Input("an answer has 1 to 64 statuses"));
    }
    if nonce.is_some_and(|nonce| !(1..=MAX_NONCE).contains(&nonce.len())) {
        return Err(BuildError::Input("a nonce has 1 to 32 octets"));
    }
    let responder = Certificate::from_der(responder)?;
    let data = ResponseData {
        version: x509_ocsp::Version::V1,
        responder_id: ResponderId::ByKey(OctetString::new(key_hash(&responder))?),
        produced_at: general_time(produced_at)?,
        responses: singles.iter().map(single).collect::<Result<_, _>>()?,
        response_extensions: nonce
            .map(nonce_extension)
            .transpose()?
            .map(|extension| vec![extension]),
    };
    let signature = sign(&data.to_der()?).map_err(BuildError::Sign)?;
    let certs = include_certs
        .iter()
        .map(|der| Certificate::from_der(der))
        .collect::<Result<Vec<_>, _>>()?;
    let basic = BasicOcspResponse {
        tbs_response_data: data,
        signature_algorithm: AlgorithmIdentifierOwned {
            oid: algorithm.signature_oid(),
            parameters: None,
        },
        signature: BitString::from_bytes(&signature)?,
        certs: (!certs.is_empty()).then_some(certs),
    };
    Ok(OcspResponse::successful(basic)?.to_der()?)
}

fn single(single: &Single) -> Result<SingleResponse, BuildError> {
    Ok(SingleResponse {
        cert_id: single.id.to_asn1()?,
        cert_status: match single.status {
            Status::Good => CertStatus::good(),
            Status::Unknown => CertStatus::unknown(),
            Status::Revoked { at, reason } => CertStatus::revoked(RevokedInfo {
                revocation_time: general_time(at)?,
                revocation_reason: (reason != Reason::Unspecified).then(|| reason.to_asn1()),
            }),
        },
        this_update: general_time(single.this_update)?,
        next_update: single.next_update.map(general_time).transpose()?,
        single_extensions: None,
    })
}

/// OCSP writes every time as GeneralizedTime, whatever the year.
fn general_time(at: Timestamp) -> Result<OcspGeneralizedTime, BuildError> {
    let seconds =
        u64::try_from(at.0.unix_timestamp()).map_err(|_| BuildError::Input("a time lies before 1970"))?;
    let time = GeneralizedTime::from_unix_duration(core::time::Duration::from_secs(seconds))?;
    Ok(OcspGeneralizedTime(time))
}

fn time_of(time: &OcspGeneralizedTime) -> Timestamp {
    timestamp(&Time::GeneralTime(time.0))
}

fn key_hash(certificate: &Certificate) -> Vec<u8> {
    let spki = &certificate.tbs_certificate.subject_public_key_info;
    Sha1::digest(spki.subject_public_key.raw_bytes()).to_vec()
}

/// An answer that answers nothing.
#[must_use]
pub fn error_response(kind: Kind) -> Vec<u8> {
    let status = match kind {
        Kind::MalformedRequest => 1,
        Kind::InternalError => 2,
        Kind::TryLater => 3,
        Kind::SigRequired => 5,
        Kind::Unauthorized => 6,
    };
    // SEQUENCE { ENUMERATED }: five octets, spelled out so that it cannot fail.
    vec![0x30, 0x03, 0x0a, 0x01, status]
}

/// How an answer names its signer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Responder {
    /// By its subject, in DER.
    Name(Vec<u8>),
    /// By the SHA-1 hash of its key bits.
    Key(Vec<u8>),
}

impl Responder {
    fn is(&self, certificate: &Certificate) -> bool {
        match self {
            Self::Name(name) => certificate
                .tbs_certificate
                .subject
                .to_der()
                .is_ok_and(|subject| subject == *name),
            Self::Key(hash) => key_hash(certificate) == *hash,
        }
    }
}

/// An answer that was read. Nothing in it is believed before [`verify_response`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Who says it signed.
    pub responder: Responder,
    /// When.
    pub produced_at: Timestamp,
    /// What it says.
    pub singles: Vec<Single>,
    /// The nonce it repeats.
    pub nonce: Option<Vec<u8>>,
    /// Certificates it brought along (DER).
    pub certs: Vec<Vec<u8>>,
    /// The signed part and what follows, as sent.
    basic: Vec<u8>,
}

/// Reads an answer.
///
/// # Errors
/// Too large, not an answer, or the responder said that it does not answer.
pub fn parse_response(der: &[u8]) -> Result<Response, OcspError> {
    if der.len() > MAX_RESPONSE {
        return Err(OcspError::TooLarge);
    }
    let response = OcspResponse::from_der(der).map_err(malformed)?;
    let refused = |kind| Err(OcspError::Refused(kind));
    let bytes = match response.response_status {
        OcspResponseStatus::Successful => response.response_bytes,
        OcspResponseStatus::MalformedRequest => return refused(Kind::MalformedRequest),
        OcspResponseStatus::InternalError => return refused(Kind::InternalError),
        OcspResponseStatus::TryLater => return refused(Kind::TryLater),
        OcspResponseStatus::SigRequired => return refused(Kind::SigRequired),
        OcspResponseStatus::Unauthorized => return refused(Kind::Unauthorized),
    };
    let Some(ResponseBytes {
        response_type,
        response,
    }) = bytes
    else {
        return Err(malformed("a successful answer without content"));
    };
    if response_type != const_oid::db::rfc6960::ID_PKIX_OCSP_BASIC {
        return Err(malformed(format!("an answer of the type {response_type}")));
    }
    let basic = response.into_bytes();
    let signed = Signed::split(&basic).map_err(malformed)?;
    let data = ResponseData::from_der(signed.body).map_err(malformed)?;
    if data.responses.len() > MAX_IDS {
        return Err(OcspError::TooLarge);
    }
    let nonce = nonce_of(data.response_extensions.as_deref().unwrap_or_default())?;
    let singles = data.responses.iter().map(read_single).collect::<Result<_, _>>()?;
    let certs = certificates(signed.rest).map_err(malformed)?;
    Ok(Response {
        responder: match data.responder_id {
            ResponderId::ByName(name) => Responder::Name(name.to_der().map_err(malformed)?),
            ResponderId::ByKey(hash) => Responder::Key(hash.into_bytes()),
        },
        produced_at: time_of(&data.produced_at),
        singles,
        nonce,
        certs,
        basic,
    })
}

fn read_single(single: &SingleResponse) -> Result<Single, OcspError> {
    let extensions = single.single_extensions.as_deref().unwrap_or_default();
    if let Some(extension) = extensions.iter().find(|extension| extension.critical) {
        let oid = extension.extn_id;
        return Err(malformed(format!(
            "the critical extension {oid} is not understood"
        )));
    }
    Ok(Single {
        id: CertId::from_asn1(&single.cert_id)?,
        status: match &single.cert_status {
            CertStatus::Good(_) => Status::Good,
            CertStatus::Unknown(_) => Status::Unknown,
            CertStatus::Revoked(info) => Status::Revoked {
                at: time_of(&info.revocation_time),
                reason: info.revocation_reason.map_or(Reason::Unspecified, Reason::of),
            },
        },
        this_update: time_of(&single.this_update),
        next_update: single.next_update.as_ref().map(time_of),
    })
}

/// `certs [0] EXPLICIT SEQUENCE OF Certificate`, each as it was sent.
fn certificates(rest: &[u8]) -> der::Result<Vec<Vec<u8>>> {
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = SliceReader::new(rest)?;
    let header: der::Header = reader.decode()?;
    header.tag.assert_eq(der::Tag::ContextSpecific {
        constructed: true,
        number: der::TagNumber::N0,
    })?;
    let list = reader.read_slice(header.length)?;
    let mut reader = SliceReader::new(reader.finish(list)?)?;
    let mut found = Vec::new();
    reader.sequence(|list| {
        while !list.is_finished() {
            found.push(list.tlv_bytes()?.to_vec());
        }
        Ok(())
    })?;
    reader.finish(found)
}

/// What is asked of the nonce of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonceRule<'a> {
    /// None was sent: a stapled or cached answer.
    NotSent,
    /// It was sent; an answer without one is believed for its dates, one with another is not.
    Preferred(&'a [u8]),
    /// It was sent and must come back.
    Required(&'a [u8]),
}

/// What the answer says about the certificate `serial` (unsigned, big-endian) of the CA `issuer` (DER),
/// if it is to be believed at `now`.
///
/// # Errors
/// Why it is not believed.
pub fn verify_response(
    response: &Response,
    issuer: &[u8],
    serial: &[u8],
    nonce: NonceRule<'_>,
    now: Timestamp,
    verifier: &dyn Verify,
) -> Result<Status, OcspError> {
    let issuer = certificate::parse(issuer).map_err(malformed)?;
    let single = about(response, &issuer, serial)?;
    if response.produced_at.0 > now.0.saturating_add(SKEW) {
        return Err(OcspError::Future(response.produced_at));
    }
    fresh(single.this_update, single.next_update, now).map_err(|stale| match stale {
        Stale::Future => OcspError::Future(single.this_update),
        Stale::Old => OcspError::Old(single.next_update.unwrap_or(single.this_update)),
    })?;
    authentic(response, &issuer, nonce, now, verifier)?;
    Ok(single.status)
}

/// Whether the answer repeats the nonce and an authorised responder signed it, whenever that was.
pub(crate) fn authentic(
    response: &Response,
    issuer: &Certificate,
    nonce: NonceRule<'_>,
    now: Timestamp,
    verifier: &dyn Verify,
) -> Result<(), OcspError> {
    match (nonce, &response.nonce) {
        (NonceRule::NotSent, _) | (NonceRule::Preferred(_), None) => {}
        (NonceRule::Required(_), None) => return Err(OcspError::Nonce("lacks")),
        (NonceRule::Preferred(sent) | NonceRule::Required(sent), Some(got)) if sent == got => {}
        (NonceRule::Preferred(_) | NonceRule::Required(_), Some(_)) => {
            return Err(OcspError::Nonce("does not repeat"));
        }
    }
    signed_by_an_authorised(response, issuer, now, verifier)
}

/// The status that counts: an answer may name a certificate twice, by both hashes; then the worst of them.
pub(crate) fn about<'r>(
    response: &'r Response,
    issuer: &Certificate,
    serial: &[u8],
) -> Result<&'r Single, OcspError> {
    let mut names = Vec::new();
    for hash in Hash::ALL {
        names.push(CertId::of(issuer, serial, hash)?);
    }
    let rank = |single: &&Single| match single.status {
        Status::Good => 0,
        Status::Unknown => 1,
        Status::Revoked { .. } => 2,
    };
    response
        .singles
        .iter()
        .filter(|single| names.contains(&single.id))
        .max_by_key(rank)
        .ok_or(OcspError::OtherCertificate)
}

/// RFC 6960, 4.2.2.2.
fn signed_by_an_authorised(
    response: &Response,
    issuer: &Certificate,
    now: Timestamp,
    verifier: &dyn Verify,
) -> Result<(), OcspError> {
    let signed = Signed::split(&response.basic).map_err(malformed)?;
    let check = |by: &Certificate| {
        let key = &by.tbs_certificate.subject_public_key_info;
        signed
            .made_by(key, verifier)
            .map(|_| ())
            .map_err(|fault| match fault {
                SignatureFault::Unsupported(algorithm) => {
                    OcspError::Unauthorised(format!("no profile allows {algorithm}"))
                }
                SignatureFault::OtherKey(_) | SignatureFault::Wrong => OcspError::Signature,
            })
    };
    if response.responder.is(issuer) {
        return check(issuer);
    }
    let mut refusal = OcspError::Unauthorised(
        "the answer names a signer that is neither the CA nor among the certificates it brought".to_owned(),
    );
    // Of the few certificates an answer brings, those that carry the signer's name or key.
    for der in response.certs.iter().take(MAX_SIGNERS) {
        let Ok(signer) = certificate::parse(der) else {
            continue;
        };
        if !response.responder.is(&signer) {
            continue;
        }
        match delegated(der, &signer, issuer, now, verifier).and_then(|()| check(&signer)) {
            Ok(()) => return Ok(()),
            Err(why) => refusal = why,
        }
    }
    Err(refusal)
}

/// Certificates of an answer that are looked at as its signer.
const MAX_SIGNERS: usize = 4;

fn delegated(
    der: &[u8],
    signer: &Certificate,
    issuer: &Certificate,
    now: Timestamp,
    verifier: &dyn Verify,
) -> Result<(), OcspError> {
    let refuse = |why: &str| Err(OcspError::Unauthorised(why.to_owned()));
    let tbs = &signer.tbs_certificate;
    if tbs.issuer != issuer.tbs_certificate.subject {
        return refuse("its certificate is of another CA");
    }
    // No verdict looks at it: what a chain's certificate must be by itself is asked here.
    crate::verdict::plain_alone(der).map_err(|rejected| OcspError::Unauthorised(rejected.message))?;
    let (start, end) = (
        timestamp(&tbs.validity.not_before),
        timestamp(&tbs.validity.not_after),
    );
    if now < start || now > end {
        return refuse(&format!("its certificate is valid from {start} to {end}"));
    }
    let purposes = tbs.get::<ExtendedKeyUsage>().ok().flatten();
    if !purposes.is_some_and(|(_, purposes)| purposes.0.contains(&const_oid::db::rfc5280::ID_KP_OCSP_SIGNING))
    {
        return refuse("its certificate lacks the purpose OCSPSigning");
    }
    if lint::key_usage(tbs).is_some_and(|(_, bits)| bits & usage::DIGITAL_SIGNATURE == 0) {
        return refuse("its key usage lacks digitalSignature");
    }
    let no_check = |extension: &x509_cert::ext::Extension| {
        extension.extn_id == const_oid::db::rfc6960::ID_PKIX_OCSP_NOCHECK
    };
    if !tbs.extensions.iter().flatten().any(no_check) {
        return refuse("its certificate lacks ocsp-nocheck, and whether it was revoked is not known");
    }
    let signed = Signed::alone(der).map_err(malformed)?;
    if signed
        .made_by(&issuer.tbs_certificate.subject_public_key_info, verifier)
        .is_err()
    {
        return refuse("its certificate is not signed by the CA");
    }
    Ok(())
}
