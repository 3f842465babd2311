//! Addresses: which page answers which, and what is accepted in a query.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use gridlatch_vocab::{Code, Severity, StationId, TransactionId};
use maud::Markup;
use serde::Deserialize;

use crate::live::{self, Subject};
use crate::model::EventFilter;
use crate::orders::{self, station_id};
use crate::pages::problem::Problem;
use crate::{ConsoleState, assets, certificates, pages, reads};

/// Nothing from elsewhere, nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The largest form.
const FORM: usize = 4 * 1024;

type App = State<Arc<ConsoleState>>;
type Page = Result<Markup, Problem>;

pub(crate) fn router(state: Arc<ConsoleState>) -> Router {
    Router::new()
        .route("/", get(overview))
        .route("/stations/{station}", get(station))
        .route("/stations/{station}/start", post(orders::start))
        .route("/stations/{station}/stop", post(orders::stop))
        .route("/stations/{station}/setpoint", post(orders::setpoint))
        .route(
            "/stations/{station}/reset",
            get(orders::ask_reset).post(orders::reset),
        )
        .route("/sessions", get(sessions))
        .route("/sessions/{station}/{transaction}", get(session))
        .route("/events", get(events))
        .route("/codes", get(|| async { pages::codes::list() }))
        .route("/codes/{code}", get(code))
        .route("/live/overview", get(live_overview))
        .route("/live/stations/{station}", get(live_station))
        .route("/live/sessions/{station}/{transaction}", get(live_session))
        .route("/live/events", get(live_events))
        .merge(certificates::routes())
        .fallback(nowhere)
        .layer(DefaultBodyLimit::max(FORM))
        .with_state(state)
        .merge(assets::routes())
        .layer(from_fn(headers))
}

async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Not `no-referrer`: with it browsers send `Origin: null` on forms, which looks like a foreign origin.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn overview(State(state): App) -> Page {
    let overview = reads::overview(&state.store, &state.hub, gridlatch_host::now()).await?;
    Ok(pages::overview::render(&overview))
}

#[derive(Deserialize)]
struct Done {
    done: Option<String>,
}

async fn station(
    State(state): App,
    Path(id): Path<String>,
    done: Result<Query<Done>, QueryRejection>,
) -> Page {
    let (station, events) = live::station(&state, &station_id(&id)?).await?;
    let done = done.ok().and_then(|Query(done)| done.done);
    Ok(pages::station::render(
        &station,
        &events,
        &orders::done(done.as_deref()),
    ))
}

async fn session(
    State(state): App,
    Path(ids): Path<(String, String)>,
    done: Result<Query<Done>, QueryRejection>,
) -> Page {
    let (station, transaction) = session_ids(&ids)?;
    let detail = reads::session(&station, &transaction, &state)
        .await?
        .ok_or_else(|| Problem::NotFound(format!("There is no session {transaction} on {station}.")))?;
    let done = done.ok().and_then(|Query(done)| done.done);
    Ok(pages::session::render(&detail, &orders::done(done.as_deref())))
}

#[derive(Deserialize)]
struct Cursor {
    before: Option<i64>,
}

async fn sessions(State(state): App, cursor: Result<Query<Cursor>, QueryRejection>) -> Page {
    let Query(cursor) = cursor.map_err(|_| bad_cursor())?;
    let (sessions, next) = reads::sessions(&state.store, cursor.before, pages::sessions::PER_PAGE).await?;
    Ok(pages::sessions::render(&sessions, cursor.before.is_none(), next))
}

#[derive(Deserialize)]
struct EventsQuery {
    severity: Option<String>,
    code: Option<String>,
    station: Option<String>,
    before: Option<i64>,
}

impl EventsQuery {
    /// The filter, and a sentence on what of it could not be used.
    fn filter(&self) -> (EventFilter, Option<String>) {
        fn given(text: Option<&String>) -> Option<&str> {
            text.map(|text| text.trim()).filter(|text| !text.is_empty())
        }
        let mut complaint = None;
        let severity = given(self.severity.as_ref()).and_then(|text| {
            let found = severity(text);
            if found.is_none() {
                complaint = Some("There is no such severity; all are shown.".to_owned());
            }
            found
        });
        let code = given(self.code.as_ref()).and_then(|text| {
            let found = Code::find(text);
            if found.is_none() {
                let text: String = text.chars().take(64).collect();
                complaint = Some(format!(
                    "There is no code \u{201c}{text}\u{201d}; events of all codes are shown."
                ));
            }
            found
        });
        let station = given(self.station.as_ref()).and_then(|text| {
            let found = text.parse::<StationId>().ok();
            if found.is_none() {
                complaint = Some("No station can have that id; events of all stations are shown.".to_owned());
            }
            found
        });
        let filter = EventFilter {
            severity,
            code,
            station,
        };
        (filter, complaint)
    }
}

async fn events(State(state): App, query: Result<Query<EventsQuery>, QueryRejection>) -> Page {
    let Query(query) = query.map_err(|_| bad_cursor())?;
    let (filter, complaint) = query.filter();
    let (mut list, next) =
        reads::event_page(&state.store, &filter, query.before, pages::events::PER_PAGE).await?;
    if query.before.is_none() {
        list = reads::events(&state.store, &state.hub, &filter, pages::events::PER_PAGE).await?;
    }
    let stations: Vec<StationId> = state
        .store
        .station_list()
        .await?
        .into_iter()
        .take(pages::events::STATIONS)
        .map(|s| s.id)
        .collect();
    let view = pages::events::View {
        filter: &filter,
        stations: &stations,
        complaint: complaint.as_deref(),
        first: query.before.is_none(),
        next,
    };
    Ok(pages::events::render(&list, &view))
}

async fn code(State(state): App, Path(text): Path<String>) -> Result<Response, Problem> {
    let text: String = text.chars().take(200).collect();
    let code = Code::find(&text).ok_or_else(|| {
        Problem::NotFound(format!(
            "There is no code \u{201c}{text}\u{201d}. The list of all codes is under Codes."
        ))
    })?;
    let filter = EventFilter {
        code: Some(code),
        ..EventFilter::default()
    };
    let latest = reads::events(&state.store, &state.hub, &filter, 20).await?;
    Ok(pages::codes::one(code, &latest).into_response())
}

async fn nowhere() -> Problem {
    Problem::NotFound("There is no page at this address.".to_owned())
}

async fn live_overview(State(state): App) -> Response {
    live::respond(state, Subject::Overview).await
}

async fn live_station(State(state): App, Path(id): Path<String>) -> Result<Response, Problem> {
    Ok(live::respond(state, Subject::Station(station_id(&id)?)).await)
}

async fn live_session(State(state): App, Path(ids): Path<(String, String)>) -> Result<Response, Problem> {
    let (station, transaction) = session_ids(&ids)?;
    Ok(live::respond(state, Subject::Session(station, transaction)).await)
}

async fn live_events(
    State(state): App,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|_| bad_cursor())?;
    Ok(live::respond(state, Subject::Events(query.filter().0)).await)
}

fn session_ids((station, transaction): &(String, String)) -> Result<(StationId, TransactionId), Problem> {
    let transaction = transaction
        .parse()
        .map_err(|_| Problem::NotFound("No session can have that id.".to_owned()))?;
    Ok((station_id(station)?, transaction))
}

fn severity(text: &str) -> Option<Severity> {
    pages::events::SEVERITIES
        .into_iter()
        .find(|severity| severity.as_str() == text)
}

fn bad_cursor() -> Problem {
    Problem::BadRequest("The address has a part that cannot be read.".to_owned())
}
