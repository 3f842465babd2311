//! Addresses of certificates and campaigns: what of the picture is asked for, and the order to ask everybody.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{Redirect, Response};
use axum::routing::{get, post};
use gridlatch_store::{CampaignRow, CampaignStation};
use maud::Markup;
use serde::Deserialize;

use crate::live::{self, Subject};
use crate::pages::problem::Problem;
use crate::trust::TrustPicture;
use crate::{ConsoleState, pages};

/// The longest name that is looked for.
const FIND: usize = 64;

type App = State<Arc<ConsoleState>>;

pub(crate) fn routes() -> Router<Arc<ConsoleState>> {
    Router::new()
        .route("/certificates", get(page))
        .route("/certificates/ask", post(ask))
        .route("/certificates/campaigns/{campaign}", get(campaign))
        .route("/live/certificates", get(live_page))
        .route("/live/certificates/campaigns/{campaign}", get(live_campaign))
}

/// Which holders are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Shown {
    /// Part of a name.
    #[serde(default)]
    pub(crate) find: String,
    /// So many are passed over.
    #[serde(default)]
    pub(crate) from: usize,
}

/// Which stations of a campaign are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Which {
    /// With this result.
    #[serde(default)]
    pub(crate) state: String,
    /// After this one.
    #[serde(default)]
    pub(crate) after: String,
}

/// What the certificates page shows.
pub(crate) struct Certificates {
    pub(crate) shown: Shown,
    pub(crate) picture: Result<Arc<TrustPicture>, String>,
    pub(crate) campaigns: Vec<CampaignRow>,
}

/// What the page of a campaign shows.
pub(crate) struct Campaign {
    pub(crate) which: Which,
    pub(crate) row: CampaignRow,
    /// One more than fits, if there are more.
    pub(crate) stations: Vec<CampaignStation>,
}

pub(crate) async fn read(state: &ConsoleState, shown: &Shown) -> Result<Certificates, Problem> {
    let picture = match &state.trust {
        Some(trust) => trust.picture().await,
        None => Err("This console was started without an inventory.".to_owned()),
    };
    Ok(Certificates {
        shown: shown.clone(),
        picture,
        campaigns: state.store.campaign_list().await?,
    })
}

pub(crate) async fn read_campaign(
    state: &ConsoleState,
    id: &str,
    which: &Which,
) -> Result<Campaign, Problem> {
    // An empty name would find the latest one.
    let found = match id {
        "" => None,
        id => state.store.campaign_find(id).await?,
    };
    let row = found.ok_or_else(|| {
        let id: String = id.chars().take(64).collect();
        Problem::NotFound(format!("There is no campaign {id}."))
    })?;
    let stations = state
        .store
        .campaign_stations(
            row.number,
            &which.state,
            &which.after,
            pages::campaign::PER_PAGE + 1,
        )
        .await?;
    Ok(Campaign {
        which: which.clone(),
        row,
        stations,
    })
}

fn shown(query: Result<Query<Shown>, QueryRejection>) -> Result<Shown, Problem> {
    let Query(mut shown) = query.map_err(|_| unreadable())?;
    shown.find = shown.find.trim().chars().take(FIND).collect();
    Ok(shown)
}

fn which(query: Result<Query<Which>, QueryRejection>) -> Result<Which, Problem> {
    let Query(which) = query.map_err(|_| unreadable())?;
    let known = which.state.is_empty() || pages::campaign::STATES.contains(&which.state.as_str());
    if !known || which.after.len() > 200 {
        return Err(unreadable());
    }
    Ok(which)
}

async fn page(State(state): App, query: Result<Query<Shown>, QueryRejection>) -> Result<Markup, Problem> {
    let view = read(&state, &shown(query)?).await?;
    Ok(pages::certificates::render(&view))
}

async fn ask(State(state): App) -> Redirect {
    if let Some(trust) = &state.trust {
        trust.ask();
    }
    Redirect::to("/certificates")
}

async fn campaign(
    State(state): App,
    Path(id): Path<String>,
    query: Result<Query<Which>, QueryRejection>,
) -> Result<Markup, Problem> {
    let view = read_campaign(&state, &id, &which(query)?).await?;
    Ok(pages::campaign::render(&view))
}

async fn live_page(
    State(state): App,
    query: Result<Query<Shown>, QueryRejection>,
) -> Result<Response, Problem> {
    Ok(live::respond(state, Subject::Certificates(shown(query)?)).await)
}

async fn live_campaign(
    State(state): App,
    Path(id): Path<String>,
    query: Result<Query<Which>, QueryRejection>,
) -> Result<Response, Problem> {
    Ok(live::respond(state, Subject::Campaign(id, which(query)?)).await)
}

fn unreadable() -> Problem {
    Problem::BadRequest("The address has a part that cannot be read.".to_owned())
}
