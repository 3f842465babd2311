//! Answers: certificates, attributes, and refusals that say why.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, StatusCode};
use axum::response::Response;
use const_oid::ObjectIdentifier;
use der::asn1::SetOfVec;
use der::{Any, Encode as _};
use gridlatch_trust::KeyAlgorithm;
use gridlatch_trust::build::BuildError;
use gridlatch_vocab::Code;
use gridlatch_vocab::catalogue::{enrolment, pki};
use x509_cert::attr::Attribute;

use super::{ASK_AGAIN, BodyFault, CaError, Unknown, body};

const TRANSFER_ENCODING: HeaderName = HeaderName::from_static("content-transfer-encoding");

/// Certificates.
pub(super) fn pkcs7(der: &[u8]) -> Response {
    base64("application/pkcs7-mime; smime-type=certs-only", der)
}

/// RFC 7030, 4.5.2: the curves a key may be on and the signatures a request may have.
pub(super) fn csrattrs(algorithms: &[KeyAlgorithm]) -> Response {
    match attributes(algorithms) {
        Ok(der) => base64("application/csrattrs", &der),
        Err(_) => Fault::new(500, pki::MALFORMED, "the attributes cannot be encoded").response(),
    }
}

fn attributes(algorithms: &[KeyAlgorithm]) -> Result<Vec<u8>, der::Error> {
    const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
    const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
    const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
    let mut curves = SetOfVec::new();
    let mut all = Vec::new();
    for algorithm in algorithms {
        all.push(Any::encode_from(&algorithm.signature_oid())?);
        match algorithm {
            KeyAlgorithm::P256 => curves.insert(Any::encode_from(&P256)?)?,
            KeyAlgorithm::P521 => curves.insert(Any::encode_from(&P521)?)?,
            // Its signature says it all.
            KeyAlgorithm::Ed448 => {}
        }
    }
    if !curves.is_empty() {
        let attribute = Attribute {
            oid: EC,
            values: curves,
        };
        all.insert(0, Any::encode_from(&attribute)?);
    }
    all.to_der()
}

fn base64(kind: &'static str, der: &[u8]) -> Response {
    Response::builder()
        .header(CONTENT_TYPE, kind)
        .header(TRANSFER_ENCODING, "base64")
        .header(CACHE_CONTROL, "no-store")
        .body(Body::from(body::encode(der)))
        .unwrap_or_default()
}

/// A refusal.
#[derive(Debug)]
pub(super) struct Fault {
    status: u16,
    pub(super) code: Code,
    pub(super) message: String,
    ask_again: Option<u32>,
}

impl Fault {
    pub(super) fn new(status: u16, code: Code, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            ask_again: None,
        }
    }

    pub(super) const fn ask_again(mut self, seconds: u32) -> Self {
        self.ask_again = Some(seconds);
        self
    }

    pub(super) fn unprotected() -> Self {
        Self::new(403, enrolment::UNPROTECTED, "enrolment takes https")
    }

    pub(super) fn unknown_label() -> Self {
        Self::new(
            404,
            enrolment::UNKNOWN_LABEL,
            "no such kind of certificate is issued here",
        )
    }

    pub(super) fn wrong_key() -> Self {
        Self::new(
            400,
            pki::WRONG_CURVE,
            "the key is not of a type that this path issues for",
        )
    }

    pub(super) fn key_generation_off() -> Self {
        Self::new(
            501,
            enrolment::KEY_GENERATION_OFF,
            "keys are made by clients, never here",
        )
    }

    /// RFC 7030, 4.2.3: 202 and when to ask again, with the same request.
    pub(super) fn pending(id: &str) -> Self {
        let short: String = id.chars().take(12).collect();
        Self::new(
            202,
            enrolment::PENDING,
            format!("request {short} waits for approval"),
        )
        .ask_again(ASK_AGAIN)
    }

    pub(super) fn body(fault: BodyFault) -> Self {
        match fault {
            BodyFault::TooLarge => Self::new(
                413,
                enrolment::TOO_LARGE,
                format!("a request has at most {} bytes", body::MAX_BODY),
            ),
            BodyFault::Slow => Self::new(408, enrolment::TOO_SLOW, "the body did not arrive in time"),
            BodyFault::Broken => Self::new(400, enrolment::NOT_A_REQUEST, "the body broke off"),
        }
    }

    pub(super) fn unknown(unknown: Unknown) -> Self {
        match unknown {
            Unknown::Nothing => Self::new(
                401,
                enrolment::UNAUTHENTICATED,
                "neither a client certificate nor a name and a secret were given",
            ),
            Unknown::Refused(code, message) => Self::new(401, code, message),
            Unknown::Failed(error) => Self::from_ca(error),
        }
    }

    pub(super) fn from_ca(error: CaError) -> Self {
        let code = error.code();
        let status = match &error {
            CaError::Replayed => 409,
            CaError::Policy(_) | CaError::WrongIssuer { .. } => 403,
            CaError::UnknownAuthority(_) => 404,
            CaError::ApprovalNeeded { .. } => {
                return Self::new(202, code, error.to_string()).ask_again(ASK_AGAIN);
            }
            _ if code == pki::LINT_REFUSED => 403,
            CaError::Build(error) if !matches!(error, BuildError::Sign(_)) => 400,
            _ if ours(&error) => {
                // What failed inside is the operator's to read, in the CA's own event.
                return Self::new(503, code, "the CA cannot issue now").ask_again(ASK_AGAIN);
            }
            _ => 400,
        };
        Self::new(status, code, error.to_string())
    }

    /// What happened, its code and what to do, as text (RFC 7030, 4.2.3).
    pub(super) fn response(&self) -> Response {
        let text = format!("{}: {}\n{}\n", self.code, self.message, self.code.row().remedy);
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = Response::builder()
            .status(status)
            .header(CONTENT_TYPE, "text/plain; charset=utf-8");
        if let Some(seconds) = self.ask_again {
            response = response.header(RETRY_AFTER, seconds);
        }
        if status == StatusCode::UNAUTHORIZED {
            response = response.header(WWW_AUTHENTICATE, "Basic realm=\"enrolment\", charset=\"UTF-8\"");
        }
        response.body(Body::from(text)).unwrap_or_default()
    }
}

/// Whether the fault lies with the CA and not with what was asked.
const fn ours(error: &CaError) -> bool {
    matches!(
        error,
        CaError::AuthorityUnusable { .. }
            | CaError::Store(_)
            | CaError::File { .. }
            | CaError::Key { .. }
            | CaError::KeyScheme(_)
            | CaError::Damaged { .. }
            | CaError::Build(_)
            | CaError::PolicyFile(_)
            | CaError::NotInitialised
            | CaError::Entropy
            | CaError::Dev(_)
    )
}
