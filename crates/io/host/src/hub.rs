//! Where every event of the process arrives and fans out: `tracing`, the security log, live listeners.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use gridlatch_vocab::{Event, EventSink, Severity, Telemetry};
use tokio::sync::broadcast;

use crate::SecurityLog;

/// Bounds of a hub.
#[derive(Debug, Clone, Copy)]
pub struct HubConfig {
    /// How many of the latest events are kept in memory for pages that open later.
    pub recent: usize,
    /// How many events or samples a slow live listener may fall behind before it loses the oldest.
    pub backlog: usize,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            recent: 500,
            backlog: 1024,
        }
    }
}

/// The hub. Cheap to clone; all clones are the same hub.
#[derive(Debug, Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: HubConfig,
    recent: Mutex<VecDeque<Event>>,
    events: broadcast::Sender<Event>,
    telemetry: broadcast::Sender<Telemetry>,
    log: Option<SecurityLog>,
}

impl Hub {
    /// A hub; `log` receives every event as one JSON line.
    #[must_use]
    pub fn new(config: HubConfig, log: Option<SecurityLog>) -> Self {
        Self {
            inner: Arc::new(Inner {
                config,
                recent: Mutex::new(VecDeque::with_capacity(config.recent)),
                events: broadcast::Sender::new(config.backlog),
                telemetry: broadcast::Sender::new(config.backlog),
                log,
            }),
        }
    }

    /// Events from now on. A listener that falls behind by the backlog sees `Lagged` and continues.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.inner.events.subscribe()
    }

    /// Samples of running sessions from now on.
    #[must_use]
    pub fn telemetry(&self) -> broadcast::Receiver<Telemetry> {
        self.inner.telemetry.subscribe()
    }

    /// Publishes one sample to live listeners. Samples are not kept here; the store keeps them.
    pub fn sample(&self, sample: Telemetry) {
        // No listener is not a fault: nobody has a page open.
        let _ = self.inner.telemetry.send(sample);
    }

    /// The latest events, newest first.
    #[must_use]
    pub fn recent(&self, limit: usize) -> Vec<Event> {
        let recent = self.inner.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().rev().take(limit).cloned().collect()
    }
}

impl EventSink for Hub {
    fn emit(&self, event: Event) {
        trace(&event);
        if let Some(log) = &self.inner.log {
            log.append(&event);
        }
        {
            let mut recent = self.inner.recent.lock().unwrap_or_else(PoisonError::into_inner);
            if recent.len() == self.inner.config.recent {
                recent.pop_front();
            }
            recent.push_back(event.clone());
        }
        let _ = self.inner.events.send(event);
    }
}

/// Writes the event to `tracing` at the level its severity calls for.
fn trace(event: &Event) {
    let station = event.station.as_ref().map(tracing::field::display);
    let evse = event.evse.map(|evse| evse.0);
    let session = event.session.as_deref();
    macro_rules! at {
        ($level:ident) => {
            tracing::$level!(target: "gridlatch::event", code = %event.code, source = event.source, station, evse, session, "{}", event.message)
        };
    }
    match event.severity {
        Severity::Info | Severity::Notice => at!(info),
        Severity::Warning => at!(warn),
        Severity::Error | Severity::Critical => at!(error),
    }
}
