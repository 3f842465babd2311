//! The REST interface under `/api/v1`: what the console shows, and the commands an operator gives.
//!
//! Every refusal is a problem document (RFC 9457) that carries a code of the catalogue. The description at
//! `/api/v1/openapi.json` is generated from the handlers; `docs/openapi.json` is the same, checked by a test.

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, StatusCode, Uri};
use gridlatch_vocab::catalogue;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::PlatformState;

pub mod auth;
mod campaigns;
mod cdrs;
mod certificates;
mod commands;
mod events;
mod health;
mod input;
mod meter_keys;
mod problem;
mod sessions;
mod stations;
mod tariff;
mod trust;

pub use problem::Problem;

/// The largest request body.
const BODY: usize = 64 * 1024;
/// The largest page of a list.
const PAGE: u32 = 500;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Gridlatch platform",
        description = "Charging stations, sessions, bills, events and commands of one platform. Signs: power is \
            positive into the vehicle and negative out of it. Refusals are problem documents (RFC 9457) with a \
            `code` that `gridlatch explain` knows.",
        license(name = "MIT OR Apache-2.0")
    ),
    tags(
        (name = "stations", description = "Charging stations and commands to them"),
        (name = "sessions", description = "Charging sessions and their samples"),
        (name = "bills", description = "Charge detail records and the tariff"),
        (name = "events", description = "What happened"),
        (name = "trust", description = "Who holds which certificates and roots"),
        (name = "health", description = "Whether the platform works")
    )
)]
struct Description;

fn routes() -> OpenApiRouter<PlatformState> {
    let api = OpenApiRouter::new()
        .routes(routes!(health::health))
        .routes(routes!(stations::list))
        .routes(routes!(stations::detail))
        .routes(routes!(stations::variables))
        .routes(routes!(meter_keys::list, meter_keys::register))
        .routes(routes!(sessions::running))
        .routes(routes!(sessions::finished))
        .routes(routes!(sessions::detail))
        .routes(routes!(sessions::samples))
        .routes(routes!(cdrs::list))
        .routes(routes!(cdrs::detail))
        .routes(routes!(cdrs::signed))
        .routes(routes!(cdrs::readings))
        .routes(routes!(events::list))
        .routes(routes!(commands::start))
        .routes(routes!(commands::stop))
        .routes(routes!(commands::setpoint))
        .routes(routes!(commands::reset))
        .routes(routes!(commands::get_variables))
        .routes(routes!(commands::set_variables))
        .routes(routes!(certificates::installed))
        .routes(routes!(certificates::renew))
        .routes(routes!(certificates::install))
        .routes(routes!(certificates::remove))
        .routes(routes!(trust::ask, trust::asked))
        .routes(routes!(campaigns::list, campaigns::start))
        .routes(routes!(campaigns::detail))
        .routes(routes!(campaigns::stations))
        .routes(routes!(campaigns::stop))
        .routes(routes!(campaigns::resume))
        .routes(routes!(campaigns::undo))
        .routes(routes!(trust::inventory))
        .routes(routes!(tariff::current, tariff::change));
    OpenApiRouter::with_openapi(Description::openapi()).nest("/api/v1", api)
}

/// The description of the interface.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    routes().into_openapi()
}

/// The router of `/api/v1`. Wrap it in [`auth::require_operator`] before serving it.
pub fn router(state: PlatformState) -> Router {
    let (router, api) = routes().split_for_parts();
    let description = api.to_json().unwrap_or_else(|_| "{}".to_owned());
    let serve = move || async move { ([("content-type", "application/json")], description) };
    router
        .route("/api/v1/openapi.json", axum::routing::get(serve))
        .route("/api/v1/{*rest}", axum::routing::any(nothing_here))
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(state)
}

async fn nothing_here(State(state): State<PlatformState>, uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(100).collect();
    Problem::new(
        &state,
        StatusCode::NOT_FOUND,
        catalogue::platform::REST_NOT_FOUND,
        format!("there is nothing at {path}"),
    )
}

async fn wrong_method(State(state): State<PlatformState>, method: Method) -> Problem {
    Problem::new(
        &state,
        StatusCode::METHOD_NOT_ALLOWED,
        catalogue::platform::REST_BAD_REQUEST,
        format!("{method} is not possible here"),
    )
}
