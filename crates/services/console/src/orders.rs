//! Orders from forms. Each is checked here, then goes through [`crate::Commands`] like any REST call.

use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use gridlatch_vocab::{EvseId, Personal, StationId, TransactionId, Watts};
use serde::Deserialize;

use crate::commands::{Outcome, Refused};
use crate::format::{encode, station_href};
use crate::pages::problem::Problem;
use crate::pages::station::{MOST_KW, Notice};
use crate::{ConsoleState, live, pages, reads};

/// The longest token OCPP 2.0.1 allows (IdTokenType, identifierString[36]).
const TOKEN: usize = 36;

type App = State<Arc<ConsoleState>>;

#[derive(Deserialize)]
pub(crate) struct Start {
    evse: EvseId,
    token: String,
}

#[derive(Deserialize)]
pub(crate) struct Stop {
    evse: EvseId,
    transaction: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Setpoint {
    evse: EvseId,
    #[serde(default)]
    kw: String,
    clear: Option<String>,
    transaction: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Reset {
    when: String,
    confirm: String,
}

pub(crate) async fn start(
    State(state): App,
    Path(station): Path<String>,
    form: Result<Form<Start>, FormRejection>,
) -> Result<Response, Problem> {
    let station = station_id(&station)?;
    let Form(form) = form.map_err(unreadable)?;
    let token = form.token.trim();
    if token.is_empty() || token.len() > TOKEN {
        return Err(Problem::BadRequest(format!(
            "A token has 1 to {TOKEN} characters."
        )));
    }
    let token = Personal::new(token.to_owned());
    let outcome = state.commands.start(station.clone(), form.evse, token).await;
    finish(&state, &station, None, outcome, "started").await
}

pub(crate) async fn stop(
    State(state): App,
    Path(station): Path<String>,
    form: Result<Form<Stop>, FormRejection>,
) -> Result<Response, Problem> {
    let station = station_id(&station)?;
    let Form(form) = form.map_err(unreadable)?;
    let page = transaction_id(form.transaction.as_deref())?;
    let transaction = match &page {
        Some(transaction) => transaction.clone(),
        None => match state.store.session_at(&station, form.evse).await? {
            Some(session) => session.transaction,
            None => {
                let refused = Refused {
                    code: None,
                    message: format!("No session is running at EVSE {}.", form.evse),
                };
                return finish(&state, &station, None, Err(refused), "stopped").await;
            }
        },
    };
    let outcome = state.commands.stop(station.clone(), transaction).await;
    finish(&state, &station, page, outcome, "stopped").await
}

pub(crate) async fn setpoint(
    State(state): App,
    Path(station): Path<String>,
    form: Result<Form<Setpoint>, FormRejection>,
) -> Result<Response, Problem> {
    let station = station_id(&station)?;
    let Form(form) = form.map_err(unreadable)?;
    let page = transaction_id(form.transaction.as_deref())?;
    if form.clear.is_some() {
        let outcome = state.commands.clear_setpoint(station.clone(), form.evse).await;
        return finish(&state, &station, page, outcome, "lifted").await;
    }
    // A comma as the decimal sign is what half of the world types.
    let kw: f64 = form
        .kw
        .trim()
        .replace(',', ".")
        .replace('\u{2212}', "-")
        .parse()
        .ok()
        .filter(|kw: &f64| kw.abs() <= MOST_KW)
        .ok_or_else(|| {
            Problem::BadRequest(format!(
                "A set-point is a number of kW between \u{2212}{MOST_KW} and {MOST_KW}; negative feeds back."
            ))
        })?;
    let power = Watts((kw * 1000.0).round());
    let outcome = state.commands.setpoint(station.clone(), form.evse, power).await;
    finish(&state, &station, page, outcome, "set").await
}

/// Asks first.
pub(crate) async fn ask_reset(State(state): App, Path(station): Path<String>) -> Result<Response, Problem> {
    let id = station_id(&station)?;
    let (station, _) = live::station(&state, &id).await?;
    Ok(pages::station::confirm_reset(&station).into_response())
}

pub(crate) async fn reset(
    State(state): App,
    Path(station): Path<String>,
    form: Result<Form<Reset>, FormRejection>,
) -> Result<Response, Problem> {
    let station = station_id(&station)?;
    let Form(form) = form.map_err(unreadable)?;
    let immediate = match form.when.as_str() {
        "now" => true,
        "idle" => false,
        _ => {
            return Err(Problem::BadRequest(
                "A reset happens now or when idle.".to_owned(),
            ));
        }
    };
    if form.confirm != "yes" {
        return Err(Problem::BadRequest("The reset was not confirmed.".to_owned()));
    }
    let outcome = state.commands.reset(station.clone(), immediate).await;
    finish(&state, &station, None, outcome, "reset").await
}

/// The sentence for what was done. The address carries only its key: text in an address could be anybody's.
pub(crate) fn done(key: Option<&str>) -> Notice<'static> {
    match key {
        Some("started") => {
            Notice::Done("The station accepted the start. The session appears once the vehicle is ready.")
        }
        Some("stopped") => {
            Notice::Done("The station accepted the stop. The session ends in order; the bill follows.")
        }
        Some("set") => Notice::Done("The station accepted the set-point."),
        Some("lifted") => Notice::Done("The set-point is lifted."),
        Some("reset") => Notice::Done("The station accepted the reset. It disconnects and comes back."),
        _ => Notice::None,
    }
}

/// Back to the page the order came from; a refusal is shown on it.
async fn finish(
    state: &Arc<ConsoleState>,
    station: &StationId,
    transaction: Option<TransactionId>,
    outcome: Outcome,
    key: &'static str,
) -> Result<Response, Problem> {
    let refused = match outcome {
        Ok(()) => {
            let page = match &transaction {
                Some(transaction) => format!(
                    "/sessions/{}/{}",
                    encode(station.as_str()),
                    encode(transaction.as_str())
                ),
                None => station_href(station),
            };
            return Ok(Redirect::to(&format!("{page}?done={key}")).into_response());
        }
        Err(refused) => refused,
    };
    let notice = Notice::Refused(&refused);
    let page = match &transaction {
        Some(transaction) => {
            let detail = reads::session(station, transaction, state).await?;
            let detail = detail.ok_or_else(|| {
                Problem::NotFound(format!("There is no session {transaction} on {station}."))
            })?;
            pages::session::render(&detail, &notice)
        }
        None => {
            let (station, events) = live::station(state, station).await?;
            pages::station::render(&station, &events, &notice)
        }
    };
    Ok((StatusCode::CONFLICT, page).into_response())
}

pub(crate) fn station_id(text: &str) -> Result<StationId, Problem> {
    text.parse()
        .map_err(|_| Problem::NotFound("No station can have that id.".to_owned()))
}

fn transaction_id(text: Option<&str>) -> Result<Option<TransactionId>, Problem> {
    text.map(str::parse)
        .transpose()
        .map_err(|_| Problem::BadRequest("That is not a transaction id.".to_owned()))
}

fn unreadable(_: FormRejection) -> Problem {
    Problem::BadRequest(
        "The form could not be read; a field is missing or has the wrong kind of value.".to_owned(),
    )
}
