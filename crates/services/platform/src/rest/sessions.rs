//! Charging sessions.

use axum::Json;
use axum::extract::State;
use gridlatch_store::{Sample as Kept, Session as Stored};
use gridlatch_vocab::{StationId, Timestamp, TransactionId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Problem;
use super::input::{Parameters, Place, page};
use crate::state::PlatformState;

/// A charging session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Session {
    /// Counts up over all stations; the cursor of lists.
    number: i64,
    /// The station.
    station: String,
    /// The transaction.
    transaction: String,
    /// The EVSE.
    evse: Option<u16>,
    /// The connector.
    connector: Option<u16>,
    /// When it began, RFC 3339; absent when its start never arrived.
    #[schema(format = DateTime)]
    started_at: Option<String>,
    /// When it ended, RFC 3339.
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// OCPP's charging state.
    charging_state: Option<String>,
    /// OCPP's stop reason.
    stop_reason: Option<String>,
    /// OCPP's token type.
    auth_kind: Option<String>,
    /// The token or contract, masked.
    auth_label: Option<String>,
    /// Watt hours into the vehicle.
    imported_wh: f64,
    /// Watt hours out of the vehicle.
    exported_wh: f64,
    /// A register went down: the bill needs a look.
    backwards: bool,
    /// The latest sample, for running sessions and single sessions.
    latest: Option<Sample>,
    /// The bill, once issued.
    bill: Option<Bill>,
}

/// The figures of a bill.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Bill {
    /// The charge detail record.
    cdr: String,
    /// ISO 4217.
    currency: String,
    /// Total without tax, a decimal; negative when the driver is owed.
    total_excl: String,
    /// Total with tax, a decimal.
    total_incl: String,
}

/// What the meter said at one moment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sample {
    /// When, RFC 3339.
    #[schema(format = DateTime)]
    at: String,
    /// Watts; negative while the vehicle feeds back.
    power: Option<f64>,
    /// The import register, watt hours.
    imported_wh: Option<f64>,
    /// The export register, watt hours.
    exported_wh: Option<f64>,
    /// Volts.
    voltage: Option<f64>,
    /// Amperes; negative while the vehicle feeds back.
    current: Option<f64>,
    /// State of charge, per cent.
    soc: Option<f64>,
    /// The set-point in force, watts.
    setpoint: Option<f64>,
}

impl From<Stored> for Session {
    fn from(session: Stored) -> Self {
        Self {
            number: session.number,
            station: session.station.into(),
            transaction: session.transaction.into(),
            evse: session.evse.map(|evse| evse.0),
            connector: session.connector.map(|connector| connector.0),
            started_at: session.started_at.map(Timestamp::to_rfc3339),
            ended_at: session.ended_at.map(Timestamp::to_rfc3339),
            charging_state: session.charging_state,
            stop_reason: session.stop_reason,
            auth_kind: session.auth_kind,
            auth_label: session.auth_label,
            imported_wh: session.imported.watt_hours(),
            exported_wh: session.exported.watt_hours(),
            backwards: session.backwards,
            latest: session.latest.map(Sample::from),
            bill: session.bill.map(|bill| Bill {
                cdr: bill.cdr,
                currency: bill.currency,
                total_excl: bill.total_excl,
                total_incl: bill.total_incl,
            }),
        }
    }
}

impl From<Kept> for Sample {
    fn from(sample: Kept) -> Self {
        Self {
            at: sample.at.to_rfc3339(),
            power: sample.power.map(|v| v.0),
            imported_wh: sample.imported.map(|v| v.watt_hours()),
            exported_wh: sample.exported.map(|v| v.watt_hours()),
            voltage: sample.voltage.map(|v| v.0),
            current: sample.current.map(|v| v.0),
            soc: sample.soc.map(|v| v.0),
            setpoint: sample.setpoint.map(|v| v.0),
        }
    }
}

/// A place in a list that runs from the latest to the oldest.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// Only entries with a number below this; pass the number of the last entry to go on.
    pub(crate) before: Option<i64>,
    /// How many, 1 to 500; 50 unless told.
    pub(crate) limit: Option<u32>,
}

/// A stretch of samples.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Stretch {
    /// Only samples taken after this, RFC 3339; pass the time of the last one to go on.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// How many, 1 to 5000; 1000 unless told.
    limit: Option<u32>,
}

/// The largest stretch of samples.
const SAMPLES: u32 = 5000;

/// Running sessions with their latest sample, oldest first.
#[utoipa::path(get, path = "/sessions/running", tag = "sessions", responses(
    (status = 200, body = Vec<Session>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn running(State(state): State<PlatformState>) -> Result<Json<Vec<Session>>, Problem> {
    let sessions = state.store().session_running(super::PAGE).await;
    let sessions = sessions.map_err(|error| Problem::store(&state, &error))?;
    Ok(Json(sessions.into_iter().map(Session::from).collect()))
}

/// Finished sessions with their bill, latest first.
#[utoipa::path(get, path = "/sessions/finished", tag = "sessions", params(Page), responses(
    (status = 200, body = Vec<Session>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn finished(
    State(state): State<PlatformState>,
    Parameters(wanted): Parameters<Page>,
) -> Result<Json<Vec<Session>>, Problem> {
    let limit = page(&state, wanted.limit)?;
    let sessions = state.store().session_finished(wanted.before, limit).await;
    let sessions = sessions.map_err(|error| Problem::store(&state, &error))?;
    Ok(Json(sessions.into_iter().map(Session::from).collect()))
}

/// One session.
#[utoipa::path(get, path = "/sessions/{station}/{transaction}", tag = "sessions",
    params(("station" = String, Path, description = "The station's id"),
        ("transaction" = String, Path, description = "The transaction's id")), responses(
    (status = 200, body = Session), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn detail(
    State(state): State<PlatformState>,
    Place((station, transaction)): Place<(StationId, TransactionId)>,
) -> Result<Json<Session>, Problem> {
    match state.store().session_find(&station, &transaction).await {
        Ok(Some(session)) => Ok(Json(session.into())),
        Ok(None) => Err(Problem::not_found(&state, "session")),
        Err(error) => Err(Problem::store(&state, &error)),
    }
}

/// Samples of a session, oldest first.
#[utoipa::path(get, path = "/sessions/{station}/{transaction}/samples", tag = "sessions",
    params(("station" = String, Path, description = "The station's id"),
        ("transaction" = String, Path, description = "The transaction's id"), Stretch), responses(
    (status = 200, body = Vec<Sample>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn samples(
    State(state): State<PlatformState>,
    Place((station, transaction)): Place<(StationId, TransactionId)>,
    Parameters(wanted): Parameters<Stretch>,
) -> Result<Json<Vec<Sample>>, Problem> {
    let limit = match wanted.limit {
        None => 1000,
        Some(limit @ 1..=SAMPLES) => limit,
        Some(_) => return Err(Problem::bad(&state, format!("limit must be 1 to {SAMPLES}"))),
    };
    let failed = |error| Problem::store(&state, &error);
    if state
        .store()
        .session_find(&station, &transaction)
        .await
        .map_err(failed)?
        .is_none()
    {
        return Err(Problem::not_found(&state, "session"));
    }
    let samples = state
        .store()
        .sample_list(&station, &transaction, wanted.since, limit)
        .await;
    Ok(Json(
        samples.map_err(failed)?.into_iter().map(Sample::from).collect(),
    ))
}
