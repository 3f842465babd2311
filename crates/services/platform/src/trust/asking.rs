//! Asking the whole fleet what it holds, some stations at a time, with progress.

use std::sync::{Arc, Mutex, PoisonError};

use gridlatch_host::now;
use gridlatch_vocab::{Event, EventSink as _, StationId, Timestamp, catalogue};
use serde::Serialize;
use tokio::task::JoinSet;
use utoipa::ToSchema;

use crate::state::PlatformState;

/// Stations asked at a time.
const AT_ONCE: usize = 32;
/// Stations read from the store at a time.
const PAGE: u32 = 500;

/// How far asking has come.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct AskProgress {
    /// Whether stations are being asked now.
    pub running: bool,
    /// When it began, RFC 3339.
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When it ended.
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
    /// Stations that are registered, as far as they were counted.
    pub stations: usize,
    /// Stations that answered.
    pub answered: usize,
    /// Stations that are not connected.
    pub offline: usize,
    /// Stations that are connected and did not answer, or answered with an error.
    pub failed: usize,
}

/// The latest round.
#[derive(Debug, Default)]
pub(crate) struct Asking(Arc<Mutex<AskProgress>>);

impl Asking {
    fn change(&self, change: impl FnOnce(&mut AskProgress)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

enum Told {
    Answered,
    Offline,
    Failed,
}

impl PlatformState {
    /// How far the latest round of [`Self::ask_everybody`] has come.
    #[must_use]
    pub fn asked(&self) -> AskProgress {
        let progress = &self.asking().0;
        progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts asking every registered station what it holds; a round that is under way goes on instead.
    pub fn ask_everybody(&self) -> AskProgress {
        let mut fresh = false;
        self.asking().change(|progress| {
            if !progress.running {
                fresh = true;
                *progress = AskProgress {
                    running: true,
                    started_at: Some(now().to_rfc3339()),
                    ..AskProgress::default()
                };
            }
        });
        if fresh {
            let state = self.clone();
            tokio::spawn(async move { state.ask_round(now()).await });
        }
        self.asked()
    }

    async fn ask_round(self, began: Timestamp) {
        let stop = self.shutdown().clone();
        let mut running = JoinSet::new();
        let mut after = String::new();
        let count = |told: Option<Result<Told, tokio::task::JoinError>>| {
            self.asking().change(|progress| match told {
                Some(Ok(Told::Answered)) => progress.answered += 1,
                Some(Ok(Told::Offline)) => progress.offline += 1,
                Some(_) => progress.failed += 1,
                None => {}
            });
        };
        'pages: loop {
            let page = match self.store().trust_answers(&after, PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    self.store_failed(None, "list stations to ask what they hold", &error);
                    break;
                }
            };
            let Some(last) = page.last() else { break };
            after = last.station.to_string();
            self.asking().change(|progress| progress.stations += page.len());
            for row in page {
                if stop.is_cancelled() {
                    break 'pages;
                }
                if running.len() >= AT_ONCE {
                    count(running.join_next().await);
                }
                let state = self.clone();
                running.spawn(async move { state.told(row.station).await });
            }
        }
        while let Some(told) = running.join_next().await {
            count(Some(told));
        }
        self.asking().change(|progress| {
            progress.running = false;
            progress.ended_at = Some(now().to_rfc3339());
        });
        let done = self.asked();
        self.hub().emit(
            Event::new(
                now(),
                catalogue::rollover::INVENTORY_COLLECTED,
                crate::SOURCE,
                format!(
                    "{} of {} stations said what they hold; {} are not connected, {} did not answer",
                    done.answered, done.stations, done.offline, done.failed
                ),
            )
            .with("seconds", (now().0 - began.0).whole_seconds()),
        );
    }

    async fn told(&self, station: StationId) -> Told {
        match self.ask_installed(&station).await {
            Ok(_) => Told::Answered,
            Err(error) if error.code == catalogue::platform::COMMAND_OFFLINE => Told::Offline,
            Err(_) => Told::Failed,
        }
    }
}
