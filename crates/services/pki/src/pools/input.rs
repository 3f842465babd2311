//! Reading requests: bounded, typed, and refused by the name of the field.

use axum::body::Body;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gridlatch_trust::profile::CommonName;
use gridlatch_trust::{Generation, certificate};
use gridlatch_vocab::catalogue::pools;
use gridlatch_vocab::{Emaid, Personal, Timestamp};
use serde::de::DeserializeOwned;

use super::answer::Refused;
use crate::http::{self, BodyFault};

/// The largest body, bytes: contract data of ISO 15118-20 in Base64, twice.
pub(super) const MAX_BODY: usize = 64 * 1024;
/// The largest certificate of any profile, bytes.
const MAX_CERTIFICATE: usize = 1600;

pub(super) const ISO2: &str = "urn:iso:15118:2:2013:MsgDef";
/// OPNC spells the year of the draft, OPCP's events that of the standard, and the schema says `CommonMessages`.
const ISO20: [&str; 3] = [
    "urn:iso:15118:20:2022:MsgDef",
    "urn:iso:15118:20:2020:MsgDef",
    "urn:iso:std:iso:15118:-20:CommonMessages",
];

pub(super) async fn bytes(body: Body) -> Result<axum::body::Bytes, Refused> {
    http::body(body, MAX_BODY).await.map_err(|fault| match fault {
        BodyFault::TooLarge => Refused::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            pools::BAD_REQUEST,
            format!("the body is larger than {MAX_BODY} bytes"),
        ),
        BodyFault::Slow => Refused::new(
            StatusCode::REQUEST_TIMEOUT,
            pools::BAD_REQUEST,
            "the body did not arrive in time",
        ),
        BodyFault::Broken => Refused::bad("the body did not arrive whole"),
    })
}

pub(super) async fn json<T: DeserializeOwned>(body: Body) -> Result<T, Refused> {
    let bytes = bytes(body).await?;
    // The parser's message names the field and the place, never the value.
    serde_json::from_slice(&bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            Refused::bad(format!("the body is not what this path takes: {}", field(&error)))
        }
        _ => Refused::bad(format!(
            "the body is not JSON (line {}, column {})",
            error.line(),
            error.column()
        )),
    })
}

/// The part of the message before a value could be quoted.
fn field(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let kind = text.split(':').next().unwrap_or_default();
    let named = text.starts_with("missing field")
        || text.starts_with("unknown field")
        || text.starts_with("duplicate field");
    let what = if named {
        text.split(" at line").next().unwrap_or_default()
    } else {
        kind
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

pub(super) fn pcid(text: &str) -> Result<Personal<String>, Refused> {
    if CommonName::Pcid.accepts(text) {
        Ok(Personal::new(text.to_owned()))
    } else {
        Err(Refused::bad("pcid : must match \"^[a-zA-Z0-9]{17,18}$\""))
    }
}

pub(super) fn emaid(text: &str) -> Result<Personal<Emaid>, Refused> {
    text.parse()
        .map(Personal::new)
        .map_err(|_| Refused::bad("emaid : must match \"^[A-Za-z]{2}[-]?\\w{3}[-]?\\w{9}[-]?(\\w{1})?$\""))
}

/// Which standard, from the name of its schema; ISO 15118-2 when left out.
pub(super) fn generation(namespace: Option<&str>) -> Result<Generation, Refused> {
    match namespace {
        None | Some(ISO2 | "") => Ok(Generation::Iso2),
        Some(other) if ISO20.contains(&other) => Ok(Generation::Iso20),
        Some(_) => Err(Refused::bad(
            "xsdMsgDefNamespace : is neither of ISO 15118-2 nor of ISO 15118-20",
        )),
    }
}

pub(super) const fn namespace(generation: Generation) -> &'static str {
    match generation {
        Generation::Iso2 => ISO2,
        Generation::Iso20 => ISO20[0],
    }
}

/// Base64 with or without line breaks.
pub(super) fn base64(text: &str, field: &str, limit: usize) -> Result<Vec<u8>, Refused> {
    let plain: String = text.split_ascii_whitespace().collect();
    let bytes = STANDARD
        .decode(plain)
        .map_err(|_| Refused::bad(format!("{field} : is not Base64")))?;
    if bytes.len() > limit {
        return Err(Refused::bad(format!("{field} : is larger than {limit} bytes")));
    }
    Ok(bytes)
}

/// A certificate in Base64 of its DER; PEM is taken as well, and so is what some clients make of it: Base64 of
/// PEM.
pub(super) fn certificate(text: &str, field: &str) -> Result<Vec<u8>, Refused> {
    let refuse = || Refused::bad(format!("Invalid certificate format on {field}"));
    let der = if text.trim_start().starts_with("-----BEGIN") {
        one_pem(text.as_bytes()).ok_or_else(refuse)?
    } else {
        let bytes = base64(text, field, 2 * MAX_CERTIFICATE)?;
        if bytes.starts_with(b"-----BEGIN") {
            one_pem(&bytes).ok_or_else(refuse)?
        } else {
            bytes
        }
    };
    if der.len() > MAX_CERTIFICATE || certificate::parse(&der).is_err() {
        return Err(refuse());
    }
    Ok(der)
}

fn one_pem(text: &[u8]) -> Option<Vec<u8>> {
    let mut found = certificate::from_pem(text).ok()?;
    (found.len() == 1).then(|| found.remove(0))
}

/// A time in RFC 3339.
pub(super) fn time(text: &str, field: &str) -> Result<Timestamp, Refused> {
    time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339)
        .map(Timestamp)
        .map_err(|_| Refused::bad(format!("{field} : does not match the specification (RFC 3339)")))
}

/// Bytes as the pools write them.
pub(super) fn text(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// See [`crate::fuzz`].
pub(super) fn fuzz_body(data: &[u8]) {
    if let Ok(text) = core::str::from_utf8(data) {
        if let Ok(der) = certificate(text, "field") {
            assert!(der.len() <= MAX_CERTIFICATE);
        }
        let _ = (
            emaid(text),
            pcid(text),
            time(text, "field"),
            generation(Some(text)),
        );
    }
}
