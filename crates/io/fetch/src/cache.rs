//! What was fetched, for the next verdict: bounded, and asked again soon.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use hyper::body::Bytes;

/// Answers and lists that are kept.
pub(crate) const MAX_KEPT: usize = 4096;
/// All of them together, in octets: a list may be large.
pub(crate) const MAX_OCTETS: usize = 64 * 1024 * 1024;

#[derive(Debug, Clone)]
struct Kept {
    body: Option<Bytes>,
    /// The last attempt failed; `body` is from before.
    failing: bool,
    /// Not asked again before.
    until: Instant,
    used: Instant,
}

/// What is known about one address (and question).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    /// Recent: not asked again.
    Fresh(Bytes),
    /// Asked a moment ago without success; an older answer, where there is one.
    Failing(Option<Bytes>),
    /// To be asked; an older answer, where there is one.
    Ask(Option<Bytes>),
}

#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<BTreeMap<Vec<u8>, Kept>>);

impl Cache {
    pub(crate) fn find(&self, key: &[u8], now: Instant) -> Known {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = kept.get_mut(key) else {
            return Known::Ask(None);
        };
        entry.used = now;
        match (&entry.body, now < entry.until) {
            (Some(body), true) if !entry.failing => Known::Fresh(body.clone()),
            (body, true) => Known::Failing(body.clone()),
            (body, false) => Known::Ask(body.clone()),
        }
    }

    pub(crate) fn keep(&self, key: Vec<u8>, body: Bytes, now: Instant, life: Duration) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(
            key,
            Kept {
                body: Some(body),
                failing: false,
                until: now + life,
                used: now,
            },
        );
        // The least used goes first. Eviction is rare, and a scan of some thousand entries is cheap.
        let size = |kept: &BTreeMap<Vec<u8>, Kept>| -> usize {
            kept.values()
                .map(|entry| entry.body.as_ref().map_or(0, Bytes::len))
                .sum()
        };
        while kept.len() > MAX_KEPT || size(&kept) > MAX_OCTETS {
            let Some(oldest) = kept
                .iter()
                .min_by_key(|(_, entry)| entry.used)
                .map(|(key, _)| key.clone())
            else {
                return;
            };
            kept.remove(&oldest);
        }
    }

    /// An attempt failed: an older answer stays at hand.
    pub(crate) fn failed(&self, key: Vec<u8>, now: Instant, pause: Duration) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.contains_key(&key) && kept.len() >= MAX_KEPT {
            return;
        }
        let entry = kept.entry(key).or_insert(Kept {
            body: None,
            failing: true,
            until: now,
            used: now,
        });
        entry.failing = true;
        entry.until = now + pause;
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
