//! Live updates by Server-Sent Events.
//!
//! The server renders; the browser only puts in place what changed. Per open page one task follows the hub,
//! draws at most [`FRAME`] often, and sends only the regions that differ from what it sent before. A client
//! that does not take its updates for [`PATIENCE`] is dropped: nothing is kept for it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, RETRY_AFTER};
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use gridlatch_vocab::{Event, MilliWattHours, StationId, Telemetry, TransactionId};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::ConsoleState;
use crate::certificates::{self, Campaign, Certificates, Shown, Which};
use crate::model::{EventFilter, Overview, Sample, Session, SessionDetail, Station};
use crate::pages::problem::Problem;
use crate::pages::{self, Regions};
use crate::{plot, reads};

/// How many pages may be open with live updates at once.
pub(crate) const CONNECTIONS: usize = 64;
/// The shortest time between two updates of one page.
const FRAME: Duration = Duration::from_millis(250);
/// The shortest time between two reads of the store for one page.
const RELOAD: Duration = Duration::from_millis(700);
/// The store is read again at least this often, for changes that no event told.
const REFRESH: Duration = Duration::from_secs(20);
/// How long a client may leave its updates untaken.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a page follows.
#[derive(Debug, Clone)]
pub(crate) enum Subject {
    Overview,
    Station(StationId),
    Session(StationId, TransactionId),
    Events(EventFilter),
    Certificates(Shown),
    Campaign(String, Which),
}

/// What is on the page.
enum View {
    Overview(Overview),
    Station(Station, Vec<Event>),
    Session(Box<SessionDetail>),
    Events(EventFilter, Vec<Event>),
    Certificates(Certificates),
    Campaign(Box<Campaign>),
}

/// What a fact from the hub means for a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    Nothing,
    Redraw,
    Reload,
}

/// Answers a request for live updates, or refuses honestly.
pub(crate) async fn respond(state: Arc<ConsoleState>, subject: Subject) -> Response {
    let Ok(permit) = Arc::clone(&state.live).try_acquire_owned() else {
        let text =
            format!("{CONNECTIONS} live pages are open already. Close one, or go on without live updates.");
        return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "15")], text).into_response();
    };
    // Listening starts before the store is read, so that nothing falls between the two.
    let listeners = (state.hub.events(), state.hub.telemetry());
    let view = match View::load(&state, &subject).await {
        Ok(view) => view,
        Err(problem) => return problem.into_response(),
    };
    let (sender, receiver) = mpsc::channel(1);
    let feed = Feed {
        state,
        subject,
        view,
        sent: HashMap::new(),
        sender,
        _permit: permit,
    };
    tokio::spawn(feed.run(listeners));
    let messages = stream::unfold(receiver, |mut receiver| async move {
        let message: Message = receiver.recv().await?;
        Some((Ok::<_, Infallible>(message), receiver))
    });
    let sse = Sse::new(messages).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)));
    ([(CACHE_CONTROL, "no-store")], sse).into_response()
}

type Listeners = (
    tokio::sync::broadcast::Receiver<Event>,
    tokio::sync::broadcast::Receiver<Telemetry>,
);

struct Feed {
    state: Arc<ConsoleState>,
    subject: Subject,
    view: View,
    /// What the browser has, by region.
    sent: HashMap<&'static str, String>,
    sender: mpsc::Sender<Message>,
    _permit: OwnedSemaphorePermit,
}

impl Feed {
    async fn run(mut self, (mut events, mut telemetry): Listeners) {
        let shutdown = self.state.shutdown.clone();
        let mut frame = interval(FRAME);
        frame.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut refresh = interval(REFRESH);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        refresh.reset();
        let mut loaded = Instant::now();
        let mut due = Effect::Redraw;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.sender.closed() => return,
                event = events.recv() => match event {
                    Ok(event) => due = due.max(self.view.event(&event)),
                    Err(RecvError::Lagged(_)) => due = Effect::Reload,
                    Err(RecvError::Closed) => return,
                },
                sample = telemetry.recv() => match sample {
                    Ok(sample) => due = due.max(self.view.sample(&sample)),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
                _ = refresh.tick() => due = Effect::Reload,
                _ = frame.tick(), if due != Effect::Nothing => {
                    if due == Effect::Reload {
                        if loaded.elapsed() < RELOAD {
                            continue;
                        }
                        match View::load(&self.state, &self.subject).await {
                            Ok(view) => self.view = view,
                            Err(problem) => tracing::warn!(?problem, "a live page could not be read again"),
                        }
                        loaded = Instant::now();
                    }
                    due = Effect::Nothing;
                    if !self.send().await {
                        return;
                    }
                }
            }
        }
    }

    /// Sends what changed; `false` when the client is gone, too slow, or needs nothing more.
    async fn send(&mut self) -> bool {
        for (name, content) in self.view.regions() {
            let content = content.into_string();
            if self.sent.get(name).is_some_and(|sent| *sent == content) {
                continue;
            }
            let message = Message::default()
                .event("region")
                .data(format!("{name}\n{content}"));
            if !self.put(message).await {
                return false;
            }
            self.sent.insert(name, content);
        }
        let message = Message::default()
            .event("state")
            .data(gridlatch_host::now().to_rfc3339());
        if !self.put(message).await {
            return false;
        }
        if self.view.settled() {
            let _ = self.put(Message::default().event("settled").data("final")).await;
            return false;
        }
        true
    }

    async fn put(&self, message: Message) -> bool {
        matches!(timeout(PATIENCE, self.sender.send(message)).await, Ok(Ok(())))
    }
}

impl View {
    async fn load(state: &ConsoleState, subject: &Subject) -> Result<Self, Problem> {
        let (store, hub) = (&state.store, &state.hub);
        Ok(match subject {
            Subject::Overview => Self::Overview(reads::overview(store, hub, gridlatch_host::now()).await?),
            Subject::Station(id) => {
                let (station, events) = station(state, id).await?;
                Self::Station(station, events)
            }
            Subject::Session(station, transaction) => {
                let found = reads::session(station, transaction, state).await?;
                Self::Session(Box::new(found.ok_or_else(|| {
                    Problem::NotFound(format!("There is no session {transaction} on {station}."))
                })?))
            }
            Subject::Events(filter) => Self::Events(
                filter.clone(),
                reads::events(store, hub, filter, pages::events::PER_PAGE).await?,
            ),
            Subject::Certificates(shown) => Self::Certificates(certificates::read(state, shown).await?),
            Subject::Campaign(id, which) => {
                Self::Campaign(Box::new(certificates::read_campaign(state, id, which).await?))
            }
        })
    }

    fn regions(&self) -> Regions {
        match self {
            Self::Overview(overview) => pages::overview::regions(overview),
            Self::Station(station, events) => pages::station::regions(station, events),
            Self::Session(detail) => pages::session::regions(detail),
            Self::Events(filter, events) => pages::events::regions(events, filter),
            Self::Certificates(view) => pages::certificates::regions(view),
            Self::Campaign(view) => pages::campaign::regions(view),
        }
    }

    /// Nothing on this page will change any more.
    fn settled(&self) -> bool {
        matches!(self, Self::Session(detail) if !detail.session.running() && detail.bill.is_some())
    }

    fn event(&mut self, event: &Event) -> Effect {
        match self {
            Self::Overview(overview) => {
                reads::merge(&mut overview.events, vec![event.clone()]);
                overview.events.truncate(reads::EVENTS);
                if event.station.is_some() {
                    Effect::Reload
                } else {
                    Effect::Redraw
                }
            }
            Self::Station(station, events) => {
                if event.station.as_ref() != Some(&station.id) {
                    return Effect::Nothing;
                }
                reads::merge(events, vec![event.clone()]);
                events.truncate(reads::EVENTS);
                Effect::Reload
            }
            Self::Session(detail) => {
                if !reads::of_session(&detail.session, event) {
                    return Effect::Nothing;
                }
                reads::merge(&mut detail.events, vec![event.clone()]);
                detail.events.truncate(reads::SESSION_EVENTS);
                Effect::Reload
            }
            Self::Events(filter, events) => {
                if !filter.admits(event) {
                    return Effect::Nothing;
                }
                reads::merge(events, vec![event.clone()]);
                events.truncate(pages::events::PER_PAGE);
                Effect::Redraw
            }
            // Campaigns and rounds of asking tell their steps; everything else comes with the next refresh.
            Self::Certificates(_) | Self::Campaign(_) => {
                if event.code.as_str().starts_with("rollover.") {
                    Effect::Reload
                } else {
                    Effect::Nothing
                }
            }
        }
    }

    fn sample(&mut self, sample: &Telemetry) -> Effect {
        match self {
            Self::Overview(overview) => {
                let station = overview.stations.iter_mut().find(|s| s.id == sample.station);
                station.map_or(Effect::Reload, |station| station_sample(station, sample))
            }
            Self::Station(station, _) if station.id == sample.station => station_sample(station, sample),
            Self::Session(detail) => {
                let session = &mut detail.session;
                if sample.transaction.as_ref() != Some(&session.transaction)
                    || sample.station != session.station
                    || !session.running()
                {
                    return Effect::Nothing;
                }
                apply(session, sample);
                if let Some(now) = &session.now {
                    plot::push(&mut detail.samples, now.clone());
                }
                Effect::Redraw
            }
            Self::Station(..) | Self::Events(..) | Self::Certificates(..) | Self::Campaign(..) => {
                Effect::Nothing
            }
        }
    }
}

/// A station and its latest events, or why not.
pub(crate) async fn station(state: &ConsoleState, id: &StationId) -> Result<(Station, Vec<Event>), Problem> {
    let station = reads::station(&state.store, id)
        .await?
        .ok_or_else(|| Problem::NotFound(format!("There is no station {id}.")))?;
    let filter = EventFilter {
        station: Some(id.clone()),
        ..EventFilter::default()
    };
    let events = reads::events(&state.store, &state.hub, &filter, reads::EVENTS).await?;
    Ok((station, events))
}

fn station_sample(station: &mut Station, sample: &Telemetry) -> Effect {
    let Some(transaction) = &sample.transaction else {
        return Effect::Nothing;
    };
    let running = station
        .evses
        .iter_mut()
        .filter_map(|evse| evse.running.as_mut())
        .find(|session| session.transaction == *transaction);
    match running {
        Some(session) => {
            apply(session, sample);
            Effect::Redraw
        }
        // A session this page has not heard of yet.
        None => Effect::Reload,
    }
}

fn apply(session: &mut Session, sample: &Telemetry) {
    if session.now.as_ref().is_some_and(|now| now.at > sample.at) {
        return;
    }
    // Zero is what a new meter reads, not only what is not known yet.
    let unread = session.now.is_none();
    let advance = |first: &mut MilliWattHours, last: &mut MilliWattHours, now: MilliWattHours| {
        if unread && *last == MilliWattHours(0) {
            *first = now;
        }
        *last = now.max(*last);
    };
    let r = &mut session.registers;
    advance(&mut r.first_imported, &mut r.last_imported, sample.imported);
    advance(&mut r.first_exported, &mut r.last_exported, sample.exported);
    session.now = Some(Sample {
        at: sample.at,
        power: Some(sample.power),
        imported: Some(sample.imported),
        exported: Some(sample.exported),
        soc: sample
            .soc
            .or_else(|| session.now.as_ref().and_then(|now| now.soc)),
        setpoint: sample.setpoint,
    });
}
