//! Campaigns: roots and certificates of many charging stations.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use gridlatch_store::{CampaignRow, CampaignStation};
use gridlatch_vocab::StationId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Problem;
use super::input::{Body, Parameters, Place, page};
use crate::campaign::{CampaignAction, CampaignError, CampaignOrder};
use crate::state::PlatformState;

/// Who asks, for the record: the holder of the operator token.
const OPERATOR: &str = "operator";
/// Stations that one order may name.
const STATIONS: usize = 1_000;

/// A campaign to start.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCampaign {
    /// Its name: 1 to 48 letters, digits, `-`, `_` and `.`.
    #[schema(max_length = 48)]
    id: String,
    /// `install`, `renew` or `remove`.
    action: String,
    /// A root's use (`V2GRootCertificate`, ...); to renew, a certificate's (`V2GCertificate`, `V2G20Certificate`).
    #[schema(example = "V2GRootCertificate")]
    usage: String,
    /// The root to install or remove; to renew, the one that new certificates must lead to. PEM.
    root: String,
    /// The old root that vouches for the one to install, or the root that must be held before one is removed. PEM.
    other: Option<String>,
    /// The link certificate, new-with-old, PEM.
    link: Option<String>,
    /// Install although no old root vouches for the new one.
    #[serde(default)]
    without_link: bool,
    /// At these charging stations, up to 1000; at every registered one if not given.
    #[schema(value_type = Option<Vec<String>>)]
    stations: Option<Vec<StationId>>,
    /// Stations at a time, 1 to 64; 8 unless told.
    at_once: Option<u32>,
    /// Stop at so many failures; 5 unless told.
    stop_after: Option<u32>,
}

/// A campaign and how far it is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Campaign {
    /// Its name.
    id: String,
    /// `install`, `renew` or `remove`.
    action: String,
    /// The root's or certificate's use.
    usage: String,
    /// `running`, `stopped` or `done`.
    state: String,
    /// Stations at a time.
    at_once: u32,
    /// It stops at so many failures.
    stop_after: u32,
    /// Who started it.
    asked_by: String,
    /// When, RFC 3339.
    #[schema(format = DateTime)]
    at: String,
    /// Not reached yet.
    waiting: u64,
    /// Told, without a result that is known.
    sent: u64,
    /// Changed by this campaign.
    done: u64,
    /// Nothing had to be changed.
    already: u64,
    /// The station said no, or must not be changed.
    refused: u64,
    /// It did not answer, or what it lists contradicts its answer.
    failed: u64,
    /// Of those waiting and told: not connected.
    offline: u64,
}

/// A charging station's result.
#[derive(Serialize, ToSchema)]
pub(crate) struct CampaignResult {
    /// The station.
    station: String,
    /// `waiting`, `sent`, `done`, `already`, `refused` or `failed`.
    state: String,
    /// How often it was tried.
    attempts: i64,
    /// The code of the result.
    code: Option<String>,
    /// Its particulars.
    message: Option<String>,
    /// When, RFC 3339.
    #[schema(format = DateTime)]
    at: Option<String>,
    /// Whether it is connected.
    connected: bool,
    /// When it was last heard of.
    #[schema(format = DateTime)]
    last_seen: Option<String>,
}

/// How to go on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resume {
    /// Tell stations that refused or failed again.
    #[serde(default)]
    retry: bool,
}

/// Which stations.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// In this state only.
    state: Option<String>,
    /// The last station of the page before.
    after: Option<String>,
    /// At most so many, 1 to 500; 50 unless told.
    limit: Option<u32>,
}

impl From<CampaignRow> for Campaign {
    fn from(row: CampaignRow) -> Self {
        Self {
            id: row.campaign.id,
            action: row.campaign.action,
            usage: row.campaign.usage,
            state: row.state,
            at_once: row.campaign.at_once,
            stop_after: row.campaign.stop_after,
            asked_by: row.campaign.asked_by,
            at: row.campaign.at.to_rfc3339(),
            waiting: row.counts.waiting,
            sent: row.counts.sent,
            done: row.counts.done,
            already: row.counts.already,
            refused: row.counts.refused,
            failed: row.counts.failed,
            offline: row.counts.offline,
        }
    }
}

impl From<CampaignStation> for CampaignResult {
    fn from(row: CampaignStation) -> Self {
        Self {
            station: row.station.to_string(),
            state: row.state,
            attempts: row.attempts,
            code: row.code,
            message: row.message,
            at: row.at.map(|at| at.to_rfc3339()),
            connected: row.connected,
            last_seen: row.last_seen.map(|at| at.to_rfc3339()),
        }
    }
}

fn problem(state: &PlatformState, error: CampaignError) -> Problem {
    match error {
        CampaignError::Refused(code, detail) => Problem::new(state, StatusCode::CONFLICT, code, detail),
        CampaignError::Unknown => Problem::not_found(state, "campaign"),
        CampaignError::Store(error) => Problem::store(state, &error),
    }
}

type Answer = Result<Json<Campaign>, Problem>;

fn answer(state: &PlatformState, result: Result<CampaignRow, CampaignError>) -> Answer {
    match result {
        Ok(row) => Ok(Json(row.into())),
        Err(error) => Err(problem(state, error)),
    }
}

/// Install or remove a root, or renew certificates, at many charging stations: some at a time, no further than so many
/// failures, from where it stopped after a restart.
#[utoipa::path(post, path = "/campaigns", tag = "trust", request_body = NewCampaign, responses(
    (status = 200, body = Campaign), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn start(State(state): State<PlatformState>, Body(new): Body<NewCampaign>) -> Answer {
    let Some(action) = CampaignAction::from_word(&new.action) else {
        return Err(Problem::bad(&state, "action is install, renew or remove"));
    };
    if new
        .stations
        .as_ref()
        .is_some_and(|all| all.is_empty() || all.len() > STATIONS)
    {
        return Err(Problem::bad(
            &state,
            format!("name 1 to {STATIONS} stations, or none for all"),
        ));
    }
    for station in new.stations.iter().flatten() {
        super::input::known(&state, station).await?;
    }
    let order = CampaignOrder {
        id: new.id,
        action,
        usage: new.usage,
        root: new.root,
        other: new.other,
        link: new.link,
        without_link: new.without_link,
        stations: new.stations,
        at_once: new.at_once.unwrap_or(8),
        stop_after: new.stop_after.unwrap_or(5),
        asked_by: OPERATOR.to_owned(),
    };
    let result = state.start_campaign(order).await;
    answer(&state, result)
}

/// Campaigns, latest first, at most a hundred.
#[utoipa::path(get, path = "/campaigns", tag = "trust", responses(
    (status = 200, body = Vec<Campaign>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(State(state): State<PlatformState>) -> Result<Json<Vec<Campaign>>, Problem> {
    let rows = state.store().campaign_list().await;
    let rows = rows.map_err(|error| Problem::store(&state, &error))?;
    Ok(Json(rows.into_iter().map(Campaign::from).collect()))
}

/// One campaign.
#[utoipa::path(get, path = "/campaigns/{campaign}", tag = "trust",
    params(("campaign" = String, Path, description = "Its name")), responses(
    (status = 200, body = Campaign), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn detail(State(state): State<PlatformState>, Place(id): Place<String>) -> Answer {
    let result = state.campaign(&id).await;
    answer(&state, result)
}

/// Its charging stations with their results, by id.
#[utoipa::path(get, path = "/campaigns/{campaign}/stations", tag = "trust",
    params(("campaign" = String, Path, description = "Its name"), Which), responses(
    (status = 200, body = Vec<CampaignResult>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn stations(
    State(state): State<PlatformState>,
    Place(id): Place<String>,
    Parameters(which): Parameters<Which>,
) -> Result<Json<Vec<CampaignResult>>, Problem> {
    let limit = page(&state, which.limit)?;
    let row = state
        .campaign(&id)
        .await
        .map_err(|error| problem(&state, error))?;
    let (wanted, after) = (which.state.unwrap_or_default(), which.after.unwrap_or_default());
    let rows = state
        .store()
        .campaign_stations(row.number, &wanted, &after, limit)
        .await;
    let rows = rows.map_err(|error| Problem::store(&state, &error))?;
    Ok(Json(rows.into_iter().map(CampaignResult::from).collect()))
}

/// Stop it: no further charging station is told.
#[utoipa::path(post, path = "/campaigns/{campaign}/stop", tag = "trust",
    params(("campaign" = String, Path, description = "Its name")), responses(
    (status = 200, body = Campaign), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn stop(State(state): State<PlatformState>, Place(id): Place<String>) -> Answer {
    let result = state.stop_campaign(&id, OPERATOR).await;
    answer(&state, result)
}

/// Go on where it stopped; as many further failures are allowed as at first.
#[utoipa::path(post, path = "/campaigns/{campaign}/resume", tag = "trust", request_body = Resume,
    params(("campaign" = String, Path, description = "Its name")), responses(
    (status = 200, body = Campaign), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn resume(
    State(state): State<PlatformState>,
    Place(id): Place<String>,
    Body(how): Body<Resume>,
) -> Answer {
    let result = state.resume_campaign(&id, how.retry).await;
    answer(&state, result)
}

/// Take back what it did, where it did it, as a campaign of its own (`<name>.undo`).
#[utoipa::path(post, path = "/campaigns/{campaign}/undo", tag = "trust",
    params(("campaign" = String, Path, description = "Its name")), responses(
    (status = 200, body = Campaign), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn undo(State(state): State<PlatformState>, Place(id): Place<String>) -> Answer {
    let result = state.undo_campaign(&id, OPERATOR).await;
    answer(&state, result)
}
