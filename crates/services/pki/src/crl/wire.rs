//! Revocation lists over HTTP.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, EXPIRES, IF_NONE_MATCH, LAST_MODIFIED};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::get;

use super::Publisher;
use crate::http::date;

/// What a cache on the way may keep a list for: a list is never known to be the last before it runs out.
const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=60, must-revalidate");

pub(super) fn router(publisher: Publisher) -> Router {
    Router::new()
        .route("/crl/{tree}/{file}", get(list))
        .with_state(publisher)
}

async fn list(
    State(publisher): State<Publisher>,
    Path((tree, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let not_found = || {
        let mut response = Response::new(Body::from("there is no such revocation list\n"));
        *response.status_mut() = StatusCode::NOT_FOUND;
        response
    };
    let Some(stem) = file.strip_suffix(".crl") else {
        return not_found();
    };
    let (name, delta) = match stem.strip_suffix("-delta") {
        Some(name) => (name, true),
        None => (stem, false),
    };
    let Some(list) = publisher.find(&format!("{tree}/{name}"), delta) else {
        return not_found();
    };
    let known = headers.get(IF_NONE_MATCH).is_some_and(|etag| *etag == list.etag);
    let mut response = if known {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        Response::new(Body::from(list.body.clone()))
    };
    let head = response.headers_mut();
    head.insert(CONTENT_TYPE, HeaderValue::from_static("application/pkix-crl"));
    head.insert(CACHE_CONTROL, CACHED);
    head.insert(ETAG, list.etag.clone());
    for (name, at) in [(LAST_MODIFIED, list.this_update), (EXPIRES, list.next_update)] {
        if let Some(value) = date(at) {
            head.insert(name, value);
        }
    }
    response
}
