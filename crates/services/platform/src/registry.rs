//! Which stations are connected, and the way to each.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use gridlatch_host::Shutdown;
use gridlatch_ocpp::{CallError, Version};
use gridlatch_vocab::StationId;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

/// How many commands may wait for one station.
const MAILBOX: usize = 16;

/// How strongly a peer proved who it is. Ordered: later is stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Strength {
    /// It only says so (security profile 0).
    Claimed,
    /// By its certificate (security profile 3).
    Certificate,
}

/// A command on its way to a station.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) action: &'static str,
    pub(crate) payload: Value,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// What came of a command.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The station's answer.
    Answer(Value),
    /// The station answered an error.
    Error(CallError),
    /// No answer in time.
    TimedOut,
    /// The queue towards the station is full.
    Busy,
}

/// The way to a connected station.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) version: Version,
    pub(crate) generation: i64,
    pub(crate) mailbox: mpsc::Sender<Outbound>,
    strength: Strength,
    fence: Shutdown,
}

/// The receiving end of a [`Link`], held by the connection.
#[derive(Debug)]
pub(crate) struct LinkEnd {
    pub(crate) mailbox: mpsc::Receiver<Outbound>,
    /// Cancelled when a newer connection took this one's place.
    pub(crate) fence: Shutdown,
}

/// All connected stations of this process.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    links: Mutex<HashMap<StationId, Link>>,
}

/// What a new connection found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entered {
    /// Nobody was there.
    Fresh,
    /// An older connection was fenced off.
    Displaced,
    /// A stronger one is there: the new one has to go.
    Weaker,
}

impl Registry {
    /// Enters a connection. Keeping the newer one lets a station come back at once after a lost network;
    /// doing so only at equal strength keeps an unauthenticated peer from taking a session over.
    pub(crate) fn enter(
        &self,
        station: &StationId,
        version: Version,
        generation: i64,
        strength: Strength,
    ) -> (Entered, Option<LinkEnd>) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let old = links.get(station);
        if old.is_some_and(|old| old.strength > strength) {
            return (Entered::Weaker, None);
        }
        let entered = match old {
            Some(old) => {
                old.fence.cancel();
                Entered::Displaced
            }
            None => Entered::Fresh,
        };
        let (sender, mailbox) = mpsc::channel(MAILBOX);
        let fence = Shutdown::new();
        let link = Link {
            version,
            generation,
            mailbox: sender,
            strength,
            fence: fence.clone(),
        };
        links.insert(station.clone(), link);
        (entered, Some(LinkEnd { mailbox, fence }))
    }

    /// Whether a connection of this strength would be let in.
    pub(crate) fn admits(&self, station: &StationId, strength: Strength) -> bool {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.get(station).is_none_or(|old| old.strength <= strength)
    }

    /// Removes a connection; one that took its place stays.
    pub(crate) fn leave(&self, station: &StationId, generation: i64) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if links
            .get(station)
            .is_some_and(|link| link.generation == generation)
        {
            links.remove(station);
        }
    }

    /// The way to a station, if it is connected.
    pub(crate) fn find(&self, station: &StationId) -> Option<Link> {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.get(station).cloned()
    }
}
