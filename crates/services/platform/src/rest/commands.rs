//! Commands to charging stations.

use axum::Json;
use axum::extract::State;
use gridlatch_vocab::{EvseId, Personal, StationId, TransactionId, Watts};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Problem;
use super::input::{Body, Place, known};
use crate::commands::{Command, CommandOutcome, VariableGet, VariableSet};
use crate::state::PlatformState;

/// The largest power that may be asked for, in watts, in either direction.
const MAX_WATTS: f64 = 1_000_000.0;
/// The most variables of one request.
const VARIABLES: usize = 50;
/// Who asks, for the record: the holder of the operator token.
const OPERATOR: &str = "operator";

/// Start charging.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    /// The EVSE.
    #[schema(minimum = 1)]
    evse: u16,
    /// The token to charge on; without it one is made for this start.
    #[schema(max_length = 255)]
    token: Option<String>,
    /// Its OCPP type; `Central` unless told.
    #[schema(max_length = 20)]
    kind: Option<String>,
}

/// Stop a transaction.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stop {
    /// The transaction.
    #[schema(value_type = String)]
    transaction: TransactionId,
}

/// Follow a power.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Setpoint {
    /// The EVSE.
    #[schema(minimum = 1)]
    evse: u16,
    /// Watts, negative to discharge; `null` lifts the set-point.
    watts: Option<f64>,
}

/// Restart.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reset {
    /// Now, ending transactions; otherwise when none runs.
    #[serde(default)]
    immediate: bool,
}

pub(super) async fn run(
    state: &PlatformState,
    station: &StationId,
    command: Command,
) -> Result<Json<CommandOutcome>, Problem> {
    known(state, station).await?;
    state
        .command(station, command, OPERATOR)
        .await
        .map(Json)
        .map_err(Problem::command)
}

fn evse(state: &PlatformState, evse: u16) -> Result<EvseId, Problem> {
    if evse == 0 {
        return Err(Problem::bad(state, "evse counts from 1"));
    }
    Ok(EvseId(evse))
}

/// Start charging (RequestStartTransaction).
#[utoipa::path(post, path = "/stations/{station}/commands/start", tag = "stations", request_body = Start,
    params(("station" = String, Path, description = "The station's id")), responses(
    (status = 200, body = CommandOutcome), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn start(
    State(state): State<PlatformState>,
    Place(station): Place<StationId>,
    Body(asked): Body<Start>,
) -> Result<Json<CommandOutcome>, Problem> {
    let evse = evse(&state, asked.evse)?;
    let kind = asked.kind.unwrap_or_else(|| "Central".to_owned());
    if asked
        .token
        .as_ref()
        .is_some_and(|token| token.is_empty() || token.len() > 255)
        || kind.len() > 20
    {
        return Err(Problem::bad(
            &state,
            "token is 1 to 255 characters, kind at most 20",
        ));
    }
    let token = asked.token.map(|token| (Personal::new(token), kind));
    run(&state, &station, Command::Start { evse, token }).await
}

/// Stop a transaction (RequestStopTransaction).
#[utoipa::path(post, path = "/stations/{station}/commands/stop", tag = "stations", request_body = Stop,
    params(("station" = String, Path, description = "The station's id")), responses(
    (status = 200, body = CommandOutcome), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn stop(
    State(state): State<PlatformState>,
    Place(station): Place<StationId>,
    Body(asked): Body<Stop>,
) -> Result<Json<CommandOutcome>, Problem> {
    let transaction = asked.transaction;
    run(&state, &station, Command::Stop { transaction }).await
}

/// Follow a power in either direction (SetChargingProfile, ClearChargingProfile).
#[utoipa::path(post, path = "/stations/{station}/commands/setpoint", tag = "stations", request_body = Setpoint,
    params(("station" = String, Path, description = "The station's id")), responses(
    (status = 200, body = CommandOutcome), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn setpoint(
    State(state): State<PlatformState>,
    Place(station): Place<StationId>,
    Body(asked): Body<Setpoint>,
) -> Result<Json<CommandOutcome>, Problem> {
    let evse = evse(&state, asked.evse)?;
    if asked
        .watts
        .is_some_and(|watts| !watts.is_finite() || watts.abs() > MAX_WATTS)
    {
        return Err(Problem::bad(&state, "watts must be -1000000 to 1000000"));
    }
    let power = asked.watts.map(Watts);
    run(&state, &station, Command::Setpoint { evse, power }).await
}

/// Restart a charging station (Reset).
#[utoipa::path(post, path = "/stations/{station}/commands/reset", tag = "stations", request_body = Reset,
    params(("station" = String, Path, description = "The station's id")), responses(
    (status = 200, body = CommandOutcome), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn reset(
    State(state): State<PlatformState>,
    Place(station): Place<StationId>,
    Body(asked): Body<Reset>,
) -> Result<Json<CommandOutcome>, Problem> {
    let immediate = asked.immediate;
    run(&state, &station, Command::Reset { immediate }).await
}

/// Read variables (GetVariables).
#[utoipa::path(post, path = "/stations/{station}/commands/get-variables", tag = "stations",
    request_body = Vec<VariableGet>, params(("station" = String, Path, description = "The station's id")), responses(
    (status = 200, body = CommandOutcome), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn get_variables(
    State(state): State<PlatformState>,
    Place(station): Place<StationId>,
    Body(asked): Body<Vec<VariableGet>>,
) -> Result<Json<CommandOutcome>, Problem> {
    counted(&state, asked.len())?;
    run(&state, &station, Command::GetVariables(asked)).await
}

/// Change variables (SetVariables).
#[utoipa::path(post, path = "/stations/{station}/commands/set-variables", tag = "stations",
    request_body = Vec<VariableSet>, params(("station" = String, Path, description = "The station's id")), responses(
    (status = 200, body = CommandOutcome), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set_variables(
    State(state): State<PlatformState>,
    Place(station): Place<StationId>,
    Body(asked): Body<Vec<VariableSet>>,
) -> Result<Json<CommandOutcome>, Problem> {
    counted(&state, asked.len())?;
    run(&state, &station, Command::SetVariables(asked)).await
}

fn counted(state: &PlatformState, count: usize) -> Result<(), Problem> {
    if (1..=VARIABLES).contains(&count) {
        return Ok(());
    }
    Err(Problem::bad(state, format!("name 1 to {VARIABLES} variables")))
}
