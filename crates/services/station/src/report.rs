//! Events with the station's and the outlet's names on them.

use std::sync::Arc;

use gridlatch_session::secc::Notice;
use gridlatch_vocab::{Code, Event, EventSink, EvseId, StationId, TransactionId};

/// Names the station in every event it emits.
#[derive(Clone)]
pub(crate) struct Reporter {
    sink: Arc<dyn EventSink>,
    station: StationId,
    evse: Option<EvseId>,
}

impl core::fmt::Debug for Reporter {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Reporter")
            .field("station", &self.station)
            .field("evse", &self.evse)
            .finish_non_exhaustive()
    }
}

impl Reporter {
    pub(crate) fn new(sink: Arc<dyn EventSink>, station: StationId) -> Self {
        Self {
            sink,
            station,
            evse: None,
        }
    }

    pub(crate) fn at(&self, evse: EvseId) -> Self {
        Self {
            evse: Some(evse),
            ..self.clone()
        }
    }

    pub(crate) fn event(&self, code: Code, message: impl Into<String>) -> Event {
        let event = Event::new(gridlatch_host::now(), code, "station", message).station(&self.station);
        match self.evse {
            Some(evse) => event.evse(evse),
            None => event,
        }
    }

    pub(crate) fn emit(&self, event: Event) {
        self.sink.emit(event);
    }

    pub(crate) fn say(&self, code: Code, message: impl Into<String>) {
        self.emit(self.event(code, message));
    }

    /// A notice of the session, with the names of the session and the transaction.
    pub(crate) fn notice(&self, notice: Notice, session: Option<&str>, transaction: Option<&TransactionId>) {
        let mut event = self.event(notice.code, notice.message);
        if let Some(session) = session {
            event = event.session(session);
        }
        if let Some(transaction) = transaction {
            event = event.transaction(transaction);
        }
        for (key, value) in notice.fields {
            event = event.with(key, value);
        }
        self.emit(event);
    }
}
