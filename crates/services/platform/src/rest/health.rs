//! Whether the platform works.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Problem;
use crate::state::PlatformState;

/// A working platform.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`.
    status: &'static str,
    /// How many charging stations are connected.
    stations_connected: usize,
}

/// Answers 200 when the database answers.
#[utoipa::path(get, path = "/health", tag = "health", responses(
    (status = 200, body = Health), (status = 500, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn health(State(state): State<PlatformState>) -> Result<Json<Health>, Problem> {
    let stations = state
        .store()
        .station_list()
        .await
        .map_err(|error| Problem::store(&state, &error))?;
    Ok(Json(Health {
        status: "ok",
        stations_connected: stations.iter().filter(|station| station.connected).count(),
    }))
}
