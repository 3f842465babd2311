//! Keeps the latest events in the database for pages and REST.

use gridlatch_host::{Hub, Shutdown};
use gridlatch_store::Store;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

/// How many events are written at once.
const BATCH: usize = 200;

/// Starts the task. The security log has every event; this copy may skip some under a flood.
pub(crate) fn start(store: Store, hub: &Hub, shutdown: Shutdown) {
    let mut events = hub.events();
    tokio::spawn(async move {
        let mut stopping = false;
        while !stopping {
            let first = tokio::select! {
                event = events.recv() => event,
                () = shutdown.cancelled() => {
                    stopping = true;
                    Err(RecvError::Lagged(0))
                }
            };
            let mut batch = match first {
                Ok(event) => vec![event],
                Err(RecvError::Lagged(_)) => Vec::new(),
                Err(RecvError::Closed) => return,
            };
            while batch.len() < BATCH {
                match events.try_recv() {
                    Ok(event) => batch.push(event),
                    Err(TryRecvError::Lagged(_)) => {}
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                }
            }
            if batch.is_empty() {
                continue;
            }
            // Not an event of its own: it would come back here and fail again.
            if let Err(error) = store.event_append(batch).await {
                tracing::error!(error = crate::describe(&error), "events could not be kept");
            }
        }
    });
}
