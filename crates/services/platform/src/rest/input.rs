//! Reading requests: every malformed one ends in a problem document.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use gridlatch_vocab::{StationId, catalogue};
use serde::de::DeserializeOwned;

use super::Problem;
use crate::state::PlatformState;

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<PlatformState> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &PlatformState) -> Result<Self, Problem> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(JsonRejection::BytesRejection(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                let code = catalogue::platform::REST_TOO_LARGE;
                let detail = "the body is larger than 64 KiB";
                Err(Problem::new(state, StatusCode::PAYLOAD_TOO_LARGE, code, detail))
            }
            Err(error) => Err(Problem::bad(state, shown(&error.body_text()))),
        }
    }
}

/// Query parameters.
pub(crate) struct Parameters<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<PlatformState> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &PlatformState) -> Result<Self, Problem> {
        let read: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        read.map(|Query(value)| Self(value))
            .map_err(|error| Problem::bad(state, shown(&error.body_text())))
    }
}

/// Path parameters.
pub(crate) struct Place<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<PlatformState> for Place<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &PlatformState) -> Result<Self, Problem> {
        let read: Result<Path<T>, PathRejection> = Path::from_request_parts(parts, state).await;
        read.map(|Path(value)| Self(value))
            .map_err(|error| Problem::bad(state, shown(&error.body_text())))
    }
}

/// Parser messages may repeat what was sent: bounded, and without control characters.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

/// A page size within its bound.
pub(crate) fn page(state: &PlatformState, limit: Option<u32>) -> Result<u32, Problem> {
    match limit {
        None => Ok(50),
        Some(limit @ 1..=super::PAGE) => Ok(limit),
        Some(_) => Err(Problem::bad(state, format!("limit must be 1 to {}", super::PAGE))),
    }
}

/// A registered station.
pub(crate) async fn known(state: &PlatformState, station: &StationId) -> Result<(), Problem> {
    match state.store().station_exists(station).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Problem::not_found(state, "charging station")),
        Err(error) => Err(Problem::store(state, &error)),
    }
}
