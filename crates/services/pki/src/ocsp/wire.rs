//! OCSP over HTTP (RFC 6960 appendix A, RFC 5019 sections 5 and 6).

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, EXPIRES, LAST_MODIFIED};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gridlatch_host::now;
use gridlatch_trust::ocsp::{Kind, MAX_REQUEST};
use gridlatch_vocab::catalogue::enrolment;

use super::{NoAnswer, Responder, cache, error_bytes};
use crate::http::{self, Arrival, BodyFault};

const RESPONSE: HeaderValue = HeaderValue::from_static("application/ocsp-response");

pub(super) fn router(responder: Responder) -> Router {
    Router::new()
        .route("/ocsp", post(by_post))
        .route("/ocsp/", post(by_post))
        .route("/ocsp/{*request}", get(by_get))
        .with_state(responder)
}

async fn by_post(
    State(responder): State<Responder>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
) -> Response {
    match http::body(request.into_body(), MAX_REQUEST).await {
        Ok(der) => answer(&responder, &arrival, &der).await,
        Err(fault) => {
            let (status, code) = match fault {
                BodyFault::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, enrolment::TOO_LARGE),
                BodyFault::Slow => (StatusCode::REQUEST_TIMEOUT, enrolment::TOO_SLOW),
                BodyFault::Broken => (StatusCode::BAD_REQUEST, enrolment::OCSP_MALFORMED),
            };
            let report = &responder.inner.report;
            report.refused(code, arrival.address, "an OCSP request was not read");
            let mut response = refusal(Kind::MalformedRequest);
            *response.status_mut() = status;
            response
        }
    }
}

async fn by_get(
    State(responder): State<Responder>,
    Extension(arrival): Extension<Arrival>,
    Path(request): Path<String>,
) -> Response {
    match from_path(&request) {
        Some(der) => answer(&responder, &arrival, &der).await,
        None => {
            let report = &responder.inner.report;
            report.refused(
                enrolment::OCSP_MALFORMED,
                arrival.address,
                "the path is no OCSP request in Base64",
            );
            refusal(Kind::MalformedRequest)
        }
    }
}

/// The request in a path whose percent-encoding is gone. A space is a plus sign that somebody decoded
/// once too often; a slash at the end may be the path's, or the sixty-fourth letter of Base64, so it
/// goes only when the text is none with it.
fn from_path(path: &str) -> Option<Vec<u8>> {
    let text = path.replace(' ', "+");
    let der = STANDARD
        .decode(&text)
        .or_else(|_| STANDARD.decode(text.strip_suffix('/').unwrap_or(&text)))
        .ok()?;
    (der.len() <= MAX_REQUEST).then_some(der)
}

/// See [`crate::fuzz`].
pub(crate) fn fuzz_path(path: &str) {
    if let Some(der) = from_path(path) {
        assert!(der.len() <= MAX_REQUEST);
        let _ = gridlatch_trust::ocsp::parse_request(&der);
    }
}

async fn answer(responder: &Responder, arrival: &Arrival, request: &[u8]) -> Response {
    match responder.answer(request).await {
        Ok(answer) => signed(&answer),
        Err(NoAnswer { kind, why }) => {
            if let Some((code, message)) = why {
                responder.inner.report.refused(code, arrival.address, message);
            }
            refusal(kind)
        }
    }
}

fn signed(answer: &cache::Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body.clone()));
    let head = response.headers_mut();
    head.insert(CONTENT_TYPE, RESPONSE);
    match &answer.until {
        None => {
            head.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        Some(until) => {
            let left = (until.at.0 - now().0).whole_seconds().max(0);
            let control = format!("max-age={left}, public, no-transform, must-revalidate");
            if let Ok(control) = HeaderValue::from_str(&control) {
                head.insert(CACHE_CONTROL, control);
            }
            head.insert(EXPIRES, until.expires.clone());
            head.insert(LAST_MODIFIED, until.last_modified.clone());
            head.insert(ETAG, until.etag.clone());
        }
    }
    response
}

/// An answer without a signature: never kept by anybody.
fn refusal(kind: Kind) -> Response {
    let mut response = Response::new(Body::from(error_bytes(kind)));
    let head = response.headers_mut();
    head.insert(CONTENT_TYPE, RESPONSE);
    head.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_at_the_end_survives_the_path() {
        for length in 1..=6 {
            for last in 0..=u8::MAX {
                let mut der = vec![0x30; length];
                der[length - 1] = last;
                let path = STANDARD.encode(&der);
                assert_eq!(from_path(&path).as_ref(), Some(&der), "{path}");
                let decoded_twice = path.replace('+', " ");
                assert_eq!(from_path(&decoded_twice).as_ref(), Some(&der), "{path}");
                if !path.ends_with('=') {
                    continue;
                }
                assert_eq!(from_path(&format!("{path}/")), Some(der), "{path}");
            }
        }
    }

    #[test]
    fn what_is_no_base64_or_too_long_is_nothing() {
        let long = STANDARD.encode(vec![0x30; MAX_REQUEST + 1]);
        for path in ["*", "MA=", "M//", &long] {
            assert_eq!(from_path(path), None, "{path:.20}");
        }
    }
}
