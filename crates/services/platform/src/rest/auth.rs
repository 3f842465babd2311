//! Who may use the console and the REST interface: the holder of the operator token, from a page of ours.
//!
//! As in Jupyter: a page opened with `?token=` sets a cookie that scripts cannot read and other sites do
//! not send; programs send `Authorization: Bearer`. Three more checks keep web pages elsewhere out: the
//! `Host` must be one of ours (DNS rebinding), a changing request must not come from another origin, and
//! the token is compared in constant time.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE, HOST, LOCATION, ORIGIN, REFERRER_POLICY, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use gridlatch_host::Hub;
use gridlatch_vocab::{Secret, catalogue};

use super::Problem;

/// The cookie's name. Not `__Host-`: that needs https, and the console speaks plain http on loopback.
const COOKIE_NAME: &str = "gridlatch_operator";
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What [`require_operator`] checks against.
#[derive(Debug, Clone)]
pub struct Operator {
    token: Secret<String>,
    hosts: Vec<String>,
    hub: Hub,
}

impl Operator {
    /// The holder of this token, on loopback names only. Refusals go to `hub`.
    #[must_use]
    pub fn new(token: Secret<String>, hub: Hub) -> Self {
        Self {
            token,
            hosts: Vec::new(),
            hub,
        }
    }

    /// Allows another host name (without port), such as the one a reverse proxy serves.
    #[must_use]
    pub fn host(mut self, name: &str) -> Self {
        self.hosts.push(name.to_ascii_lowercase());
        self
    }

    fn is_host(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        matches!(name.as_str(), "localhost" | "127.0.0.1" | "[::1]") || self.hosts.contains(&name)
    }

    fn is_token(&self, text: &str) -> bool {
        same(text.as_bytes(), self.token.expose().as_bytes())
    }
}

/// Lets only the operator through to `router`.
pub fn require_operator(operator: Operator, router: Router) -> Router {
    router.layer(middleware::from_fn_with_state(Arc::new(operator), check))
}

async fn check(State(operator): State<Arc<Operator>>, request: Request, next: Next) -> Response {
    let refuse =
        |status, code, detail: &str| Problem::emitted(&operator.hub, status, code, detail).into_response();
    let headers = request.headers();

    // HTTP/1.1 has exactly one Host; without it there is nothing to trust.
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    if !host.is_some_and(|host| operator.is_host(name_of(host))) || headers.get_all(HOST).iter().count() != 1
    {
        return refuse(
            StatusCode::MISDIRECTED_REQUEST,
            catalogue::platform::REST_FOREIGN_HOST,
            "the request names another host",
        );
    }
    let reading = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reading && comes_from_elsewhere(headers, host.unwrap_or_default()) {
        return refuse(
            StatusCode::FORBIDDEN,
            catalogue::platform::REST_CROSS_ORIGIN,
            "the request comes from another web page",
        );
    }

    if let Some(given) = token_in(request.uri()) {
        if reading && operator.is_token(&given) {
            return signed_in(&operator, request.uri());
        }
    } else if bearer(headers).is_some_and(|token| operator.is_token(token))
        || cookie(headers).is_some_and(|token| operator.is_token(token))
    {
        let mut response = next.run(request).await;
        // The address bar held the token once: it must not travel to other sites. Not `no-referrer`: with it browsers
        // send `Origin: null` with the console's own forms, which is refused above as a foreign origin.
        response
            .headers_mut()
            .insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        return response;
    }
    refuse(
        StatusCode::UNAUTHORIZED,
        catalogue::platform::REST_UNAUTHENTICATED,
        "the operator token is missing or wrong",
    )
}

/// Sets the cookie and leads to the same page without the token in its address.
fn signed_in(operator: &Operator, uri: &Uri) -> Response {
    let kept: Vec<&str> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("token="))
        .collect();
    // One slash only: `//name` would lead to another site.
    let path = format!("/{}", uri.path().trim_start_matches('/'));
    let target = if kept.is_empty() {
        path
    } else {
        format!("{path}?{}", kept.join("&"))
    };
    let cookie = format!(
        "{COOKIE_NAME}={}; Path=/; HttpOnly; SameSite=Strict",
        operator.token.expose()
    );
    (
        StatusCode::SEE_OTHER,
        [
            (SET_COOKIE, cookie),
            (LOCATION, target),
            (REFERRER_POLICY, "no-referrer".to_owned()),
        ],
    )
        .into_response()
}

/// The host of `host:port`.
fn name_of(host: &str) -> &str {
    if host.starts_with('[') {
        return host.find(']').map_or(host, |end| &host[..=end]);
    }
    host.split(':').next().unwrap_or(host)
}

/// Browsers say where a changing request comes from; programs say nothing, and need the token anyway.
fn comes_from_elsewhere(headers: &HeaderMap, host: &str) -> bool {
    if let Some(site) = headers.get(FETCH_SITE)
        && !matches!(site.as_bytes(), b"same-origin" | b"none")
    {
        return true;
    }
    headers.get(ORIGIN).is_some_and(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        let authority = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        !authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    })
}

fn token_in(uri: &Uri) -> Option<String> {
    uri.query()?
        .split('&')
        .find_map(|pair| pair.strip_prefix("token="))
        .map(str::to_owned)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE_NAME)?.strip_prefix('='))
}

/// Compares without telling by its duration where the texts differ. The length is no secret.
fn same(given: &[u8], expected: &[u8]) -> bool {
    if given.len() != expected.len() || expected.is_empty() {
        return false;
    }
    let difference = given
        .iter()
        .zip(expected)
        .fold(0_u8, |difference, (a, b)| difference | (a ^ b));
    std::hint::black_box(difference) == 0
}
