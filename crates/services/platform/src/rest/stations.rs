//! Charging stations.

use axum::Json;
use axum::extract::State;
use gridlatch_store::{SetpointRecord, StationRecord, VariableRecord};
use gridlatch_vocab::StationId;
use serde::Serialize;
use utoipa::ToSchema;

use super::Problem;
use super::input::{Place, known};
use crate::state::PlatformState;
use crate::trust::{RefusedChange, refused};

/// A charging station.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Station {
    /// Its id.
    id: String,
    /// Whether it is connected now.
    connected: bool,
    /// Maker.
    vendor: Option<String>,
    /// Model.
    model: Option<String>,
    /// Serial number.
    serial: Option<String>,
    /// Firmware version.
    firmware: Option<String>,
    /// `2.0.1` or `2.1`.
    ocpp_version: Option<String>,
    /// When it last started, RFC 3339.
    #[schema(format = DateTime)]
    booted_at: Option<String>,
    /// When it was last heard of, RFC 3339.
    #[schema(format = DateTime)]
    last_seen: Option<String>,
    /// Its connectors.
    connectors: Vec<Connector>,
    /// What it refused when roots and certificates were distributed, and has not taken since; latest first.
    refused: Vec<RefusedChange>,
}

/// A connector.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Connector {
    /// The EVSE.
    evse: u16,
    /// Its number at the EVSE.
    connector: u16,
    /// OCPP's word: `Available`, `Occupied`, `Unavailable`, `Faulted`, `Reserved`.
    status: String,
    /// Since when, RFC 3339.
    #[schema(format = DateTime)]
    at: String,
}

/// A charging station with the set-points in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StationDetail {
    /// The station.
    #[serde(flatten)]
    station: Station,
    /// Set-points it accepted.
    setpoints: Vec<Setpoint>,
}

/// A set-point in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Setpoint {
    /// The EVSE.
    evse: u16,
    /// Watts; negative discharges.
    watts: f64,
    /// The transaction it was given for.
    transaction: Option<String>,
    /// Who asked.
    asked_by: String,
    /// When, RFC 3339.
    #[schema(format = DateTime)]
    at: String,
}

/// One attribute of the device model.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Variable {
    /// The component.
    component: String,
    /// Its EVSE; 0 for the station.
    evse: i64,
    /// The variable.
    name: String,
    /// `Actual`, `Target`, `MinSet` or `MaxSet`.
    attribute: String,
    /// Its value.
    value: Option<String>,
}

impl Station {
    fn of(record: StationRecord, refused: Option<Vec<RefusedChange>>) -> Self {
        Self {
            id: record.id.into(),
            connected: record.connected,
            vendor: record.vendor,
            model: record.model,
            serial: record.serial,
            firmware: record.firmware,
            ocpp_version: record.ocpp_version,
            booted_at: record.booted_at.map(|at| at.to_rfc3339()),
            last_seen: record.last_seen.map(|at| at.to_rfc3339()),
            connectors: record
                .connectors
                .into_iter()
                .map(|connector| Connector {
                    evse: connector.evse.0,
                    connector: connector.connector.0,
                    status: connector.status,
                    at: connector.at.to_rfc3339(),
                })
                .collect(),
            refused: refused.unwrap_or_default(),
        }
    }
}

impl From<SetpointRecord> for Setpoint {
    fn from(record: SetpointRecord) -> Self {
        Self {
            evse: record.evse.0,
            watts: record.setpoint.0,
            transaction: record.transaction.map(String::from),
            asked_by: record.asked_by,
            at: record.at.to_rfc3339(),
        }
    }
}

impl From<VariableRecord> for Variable {
    fn from(record: VariableRecord) -> Self {
        Self {
            component: record.component,
            evse: record.evse,
            name: record.name,
            attribute: record.attribute,
            value: record.value,
        }
    }
}

/// All charging stations.
#[utoipa::path(get, path = "/stations", tag = "stations", responses(
    (status = 200, body = Vec<Station>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(State(state): State<PlatformState>) -> Result<Json<Vec<Station>>, Problem> {
    let failed = |error| Problem::store(&state, &error);
    let stations = state.store().station_list().await.map_err(failed)?;
    let last = stations
        .iter()
        .map(|one| one.id.as_str())
        .max()
        .unwrap_or_default();
    let mut refusals = refused::of(&state, "", last).await.map_err(failed)?;
    Ok(Json(
        stations
            .into_iter()
            .map(|record| {
                let refused = refusals.remove(record.id.as_str());
                Station::of(record, refused)
            })
            .collect(),
    ))
}

/// One charging station.
#[utoipa::path(get, path = "/stations/{station}", tag = "stations",
    params(("station" = String, Path, description = "The station's id")), responses(
    (status = 200, body = StationDetail), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn detail(
    State(state): State<PlatformState>,
    Place(station): Place<StationId>,
) -> Result<Json<StationDetail>, Problem> {
    let failed = |error| Problem::store(&state, &error);
    let Some(record) = state.store().station_find(&station).await.map_err(failed)? else {
        return Err(Problem::not_found(&state, "charging station"));
    };
    let setpoints = state.store().setpoint_list(&station).await.map_err(failed)?;
    let id = station.as_str();
    let refused = refused::of(&state, id, id).await.map_err(failed)?.remove(id);
    Ok(Json(StationDetail {
        station: Station::of(record, refused),
        setpoints: setpoints.into_iter().map(Setpoint::from).collect(),
    }))
}

/// What a charging station reported of its device model.
#[utoipa::path(get, path = "/stations/{station}/variables", tag = "stations",
    params(("station" = String, Path, description = "The station's id")), responses(
    (status = 200, body = Vec<Variable>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn variables(
    State(state): State<PlatformState>,
    Place(station): Place<StationId>,
) -> Result<Json<Vec<Variable>>, Problem> {
    known(&state, &station).await?;
    let variables = state.store().variable_list(&station).await;
    let variables = variables.map_err(|error| Problem::store(&state, &error))?;
    Ok(Json(variables.into_iter().map(Variable::from).collect()))
}
