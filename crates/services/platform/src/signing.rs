//! Which stations' requests for certificates are being answered: one of a kind at a time.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use gridlatch_vocab::StationId;

use crate::authority::StationCertificate;

/// Requests under way. Bounded by the stations that are registered, times the kinds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signing(Arc<Mutex<BTreeSet<(StationId, StationCertificate)>>>);

/// One request under way; it is over when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    signing: Signing,
    key: (StationId, StationCertificate),
}

impl Signing {
    /// `None` while a request of this kind is under way.
    pub(crate) fn begin(&self, station: &StationId, usage: StationCertificate) -> Option<Turn> {
        let key = (station.clone(), usage);
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.insert(key.clone()).then(|| Turn {
            signing: self.clone(),
            key,
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut under_way = self.signing.0.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.remove(&self.key);
    }
}
