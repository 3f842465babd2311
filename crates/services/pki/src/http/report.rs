//! Refusals as events, in bounded number: a flood of the same refusal becomes one event a second with a count.

use core::fmt;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gridlatch_host::now;
use gridlatch_vocab::{Code, Event, EventSink};

/// How often one code is reported.
const EVERY: Duration = Duration::from_secs(1);

/// Where the services report to; cheap to clone.
#[derive(Clone)]
pub struct Report {
    sink: Arc<dyn EventSink>,
    said: Arc<Mutex<BTreeMap<&'static str, Said>>>,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    unsaid: u64,
}

impl Report {
    /// Reports to `sink`.
    #[must_use]
    pub fn new(sink: Arc<dyn EventSink>) -> Self {
        Self {
            sink,
            said: Arc::default(),
        }
    }

    /// Something was refused. The first of a kind is reported at once, more of it once a second.
    pub fn refused(&self, code: Code, address: SocketAddr, message: impl Into<String>) {
        if let Some(unsaid) = self.turn(code) {
            let mut event = Event::new(now(), code, "pki", message).with("peer", address.to_string());
            if unsaid > 0 {
                event = event.with("repeated", unsaid);
            }
            self.sink.emit(event);
        }
    }

    /// Something happened that happens rarely.
    pub fn happened(&self, code: Code, message: impl Into<String>) {
        self.sink.emit(Event::new(now(), code, "pki", message));
    }

    /// How many of this code went unsaid before this one, if it is its turn.
    fn turn(&self, code: Code) -> Option<u64> {
        // One entry per code of the catalogue: bounded by it.
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match said.get_mut(code.as_str()) {
            Some(said) if now.duration_since(said.at) < EVERY => {
                said.unsaid += 1;
                None
            }
            Some(said) => {
                said.at = now;
                Some(std::mem::take(&mut said.unsaid))
            }
            None => {
                said.insert(code.as_str(), Said { at: now, unsaid: 0 });
                Some(0)
            }
        }
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").finish_non_exhaustive()
    }
}
