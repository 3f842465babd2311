//! What stations, vehicles and the platform hold.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Problem;
use super::input::{Parameters, page};
use crate::state::PlatformState;
use crate::trust::{AskProgress, TrustPage};

/// Which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Pages {
    /// `next` of the page before.
    after: Option<String>,
    /// At most so many, 1 to 500; 50 unless told.
    limit: Option<u32>,
}

/// Ask every charging station what certificates it holds (GetInstalledCertificateIds); a round that is under way
/// goes on.
#[utoipa::path(post, path = "/trust/ask", tag = "trust", responses(
    (status = 200, body = AskProgress), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn ask(State(state): State<PlatformState>) -> Json<AskProgress> {
    Json(state.ask_everybody())
}

/// How far asking has come.
#[utoipa::path(get, path = "/trust/ask", tag = "trust", responses(
    (status = 200, body = AskProgress), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn asked(State(state): State<PlatformState>) -> Json<AskProgress> {
    Json(state.asked())
}

/// What everybody holds, as far as the platform knows, each with its date: the platform itself, charging stations,
/// vehicles.
#[utoipa::path(get, path = "/trust/inventory", tag = "trust", params(Pages), responses(
    (status = 200, body = TrustPage), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn inventory(
    State(state): State<PlatformState>,
    Parameters(pages): Parameters<Pages>,
) -> Result<Json<TrustPage>, Problem> {
    let limit = page(&state, pages.limit)?;
    let after = pages.after.unwrap_or_default();
    if after.len() > 200 {
        return Err(Problem::bad(&state, "after is `next` of the page before"));
    }
    let page = state.trust_page(&after, limit).await;
    page.map(Json).map_err(|error| Problem::store(&state, &error))
}
