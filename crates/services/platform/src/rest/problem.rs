//! The one shape of every refusal (RFC 9457).

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use gridlatch_host::{Hub, now};
use gridlatch_store::StoreError;
use gridlatch_vocab::{Code, Event, EventSink as _, catalogue};
use serde::Serialize;
use utoipa::ToSchema;

use crate::commands::CommandError;
use crate::state::PlatformState;

/// A problem document.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// Names the kind of problem: `urn:gridlatch:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// What happened, in general.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What happened, in particular.
    detail: String,
    /// The code; `gridlatch explain` says more.
    code: &'static str,
    /// What to do about it.
    remedy: &'static str,
}

impl Problem {
    /// A refusal, and its event.
    pub(crate) fn new(
        state: &PlatformState,
        status: StatusCode,
        code: Code,
        detail: impl Into<String>,
    ) -> Self {
        Self::emitted(state.hub(), status, code, detail)
    }

    pub(crate) fn emitted(hub: &Hub, status: StatusCode, code: Code, detail: impl Into<String>) -> Self {
        let problem = Self::quiet(status, code, detail);
        hub.emit(
            Event::new(now(), code, crate::SOURCE, problem.detail.clone()).with("status", status.as_u16()),
        );
        problem
    }

    /// A refusal whose event was emitted where it happened.
    fn quiet(status: StatusCode, code: Code, detail: impl Into<String>) -> Self {
        let row = code.row();
        Self {
            kind: format!("urn:gridlatch:{code}"),
            title: row.what,
            status: status.as_u16(),
            detail: detail.into(),
            code: row.code,
            remedy: row.remedy,
        }
    }

    /// Something that is not there.
    pub(crate) fn not_found(state: &PlatformState, what: &str) -> Self {
        let detail = format!("there is no such {what}");
        Self::new(
            state,
            StatusCode::NOT_FOUND,
            catalogue::platform::REST_NOT_FOUND,
            detail,
        )
    }

    /// A request that makes no sense.
    pub(crate) fn bad(state: &PlatformState, detail: impl Into<String>) -> Self {
        Self::new(
            state,
            StatusCode::BAD_REQUEST,
            catalogue::platform::REST_BAD_REQUEST,
            detail,
        )
    }

    /// The store failed; the cause goes to the log, not to the caller.
    pub(crate) fn store(state: &PlatformState, error: &StoreError) -> Self {
        state.store_failed(None, "answer a request", error);
        Self::quiet(
            StatusCode::INTERNAL_SERVER_ERROR,
            catalogue::platform::REST_INTERNAL,
            "the database could not be read or written",
        )
    }

    /// A command that did not take effect.
    pub(crate) fn command(error: CommandError) -> Self {
        use catalogue::platform as codes;
        let status = match error.code {
            code if code == codes::COMMAND_TIMED_OUT => StatusCode::GATEWAY_TIMEOUT,
            code if code == codes::COMMAND_BUSY => StatusCode::TOO_MANY_REQUESTS,
            code if code == codes::COMMAND_UNSUPPORTED => StatusCode::UNPROCESSABLE_ENTITY,
            code if code == codes::REST_BAD_REQUEST => StatusCode::BAD_REQUEST,
            code if code == codes::STORE_FAILED => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::CONFLICT,
        };
        Self::quiet(status, error.code, error.message)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        (status, [(CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}
