//! The latest events.

use axum::Json;
use axum::extract::State;
use gridlatch_store::StoredEvent;
use gridlatch_vocab::StationId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Problem;
use super::input::{Parameters, page};
use crate::state::PlatformState;

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Event {
    /// Counts up; the cursor of lists.
    number: i64,
    /// When, RFC 3339.
    #[schema(format = DateTime)]
    at: String,
    /// The code; `gridlatch explain` says more.
    code: &'static str,
    /// `info`, `notice`, `warning`, `error` or `critical`.
    severity: &'static str,
    /// Which component says so.
    source: String,
    /// The station concerned.
    station: Option<String>,
    /// The EVSE concerned.
    evse: Option<u16>,
    /// The V2G session concerned.
    session: Option<String>,
    /// The transaction concerned.
    transaction: Option<String>,
    /// One sentence.
    message: String,
    /// The same facts for a machine.
    #[schema(value_type = Object)]
    fields: std::collections::BTreeMap<String, serde_json::Value>,
}

impl From<StoredEvent> for Event {
    fn from(stored: StoredEvent) -> Self {
        let event = stored.event;
        Self {
            number: stored.number,
            at: event.at.to_rfc3339(),
            code: event.code.as_str(),
            severity: event.severity.as_str(),
            source: event.source,
            station: event.station.map(String::from),
            evse: event.evse.map(|evse| evse.0),
            session: event.session,
            transaction: event.transaction.map(String::from),
            message: event.message,
            fields: event.fields,
        }
    }
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Only events with a number below this; pass the number of the last one to go on.
    before: Option<i64>,
    /// How many, 1 to 500; 50 unless told.
    limit: Option<u32>,
    /// Only events of this station.
    #[param(value_type = Option<String>)]
    station: Option<StationId>,
}

/// Events, latest first.
#[utoipa::path(get, path = "/events", tag = "events", params(Wanted), responses(
    (status = 200, body = Vec<Event>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(state): State<PlatformState>,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<Vec<Event>>, Problem> {
    let limit = page(&state, wanted.limit)?;
    let events = state
        .store()
        .event_list(wanted.before, wanted.station.as_ref(), limit)
        .await;
    let events = events.map_err(|error| Problem::store(&state, &error))?;
    Ok(Json(events.into_iter().map(Event::from).collect()))
}
