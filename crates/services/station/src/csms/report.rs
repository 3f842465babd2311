//! What the link tells the event hub.

use gridlatch_host::Hub;
use gridlatch_vocab::{Code, Event, EventSink as _, StationId};

/// Emits events in the name of this station.
#[derive(Debug, Clone)]
pub(super) struct Reporter {
    hub: Hub,
    station: StationId,
}

impl Reporter {
    pub(super) fn new(hub: Hub, station: StationId) -> Self {
        Self { hub, station }
    }

    pub(super) fn event(&self, code: Code, message: impl Into<String>) {
        let event = Event::new(gridlatch_host::now(), code, "station", message).station(&self.station);
        self.hub.emit(event);
    }
}
