//! Answers kept in memory, found by the very bytes of the request, so that a repeated question is not even
//! parsed; and statuses, for questions with a nonce, whose answer serves once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use axum::body::Bytes;
use axum::http::HeaderValue;
use gridlatch_trust::revocation::Status;
use gridlatch_vocab::Timestamp;
use sha2::{Digest as _, Sha256};

use super::LIFE;
use crate::ca::Serial;
use crate::http;

/// Answers kept at most: with their questions about 100 MB.
const MAX_KEPT: usize = 50_000;
/// Statuses kept at most: about 5 MB.
const MAX_STATUSES: usize = 50_000;
/// A question larger than this is answered and forgotten, bytes.
const MAX_QUESTION: usize = 256;

/// A signed answer with what HTTP says about it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Bytes,
    /// Until when it may be repeated; nothing that carries a nonce may.
    pub(crate) until: Option<Until>,
    made: Timestamp,
    asked: AtomicBool,
}

/// Head fields of RFC 5019, 6.2.
#[derive(Debug)]
pub(crate) struct Until {
    pub(crate) at: Timestamp,
    pub(crate) last_modified: HeaderValue,
    pub(crate) expires: HeaderValue,
    pub(crate) etag: HeaderValue,
}

impl Answer {
    pub(crate) fn new(der: Vec<u8>, made: Timestamp, until: Option<Timestamp>) -> Self {
        let until = until.and_then(|at| {
            let digest = Sha256::digest(&der);
            Some(Until {
                at,
                last_modified: http::date(made)?,
                expires: http::date(at)?,
                etag: HeaderValue::from_str(&format!("\"{}\"", hex::encode(digest))).ok()?,
            })
        });
        Self {
            body: Bytes::from(der),
            until,
            made,
            asked: AtomicBool::new(false),
        }
    }
}

/// Authority's number and serial number.
pub(crate) type Key = (i64, Serial);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    kept: RwLock<Kept>,
    /// Counts up whenever something is dropped.
    epoch: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    answers: HashMap<Box<[u8]>, (Key, Arc<Answer>)>,
    /// Questions by what they are about: the two hashes make two.
    questions: HashMap<Key, Vec<Box<[u8]>>>,
    /// What the CA's books said, and when.
    statuses: HashMap<Key, (Status, Timestamp)>,
}

impl Cache {
    /// What [`Self::keep`] has to be told: nothing read before a drop may be kept after it.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The answer to these very bytes, if it is still good.
    pub(crate) fn find(&self, request: &[u8], now: Timestamp) -> Option<Arc<Answer>> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let (_, answer) = kept.answers.get(request)?;
        if answer.until.as_ref().is_none_or(|until| until.at <= now) {
            return None;
        }
        answer.asked.store(true, Ordering::Relaxed);
        Some(Arc::clone(answer))
    }

    /// Keeps an answer whose status was read at `epoch`.
    pub(crate) fn keep(&self, request: &[u8], key: Key, answer: &Arc<Answer>, epoch: u64) {
        if request.len() > MAX_QUESTION {
            return;
        }
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if self.epoch() != epoch {
            return;
        }
        if kept.answers.len() >= MAX_KEPT && !kept.answers.contains_key(request) {
            // Rare, and cheaper than keeping an order: what is asked for comes back by being asked for.
            kept.answers = HashMap::new();
            kept.questions = HashMap::new();
        }
        let known = kept
            .answers
            .insert(request.into(), (key, Arc::clone(answer)))
            .is_some();
        if !known {
            kept.questions.entry(key).or_default().push(request.into());
        }
    }

    /// What the CA's books said of a certificate, unless that is long ago.
    pub(crate) fn status(&self, key: Key, now: Timestamp) -> Option<Status> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let (status, read) = kept.statuses.get(&key)?;
        (now.0 - read.0 < LIFE / 2).then_some(*status)
    }

    /// Keeps a status that was read at `epoch`.
    pub(crate) fn keep_status(&self, key: Key, status: Status, now: Timestamp, epoch: u64) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if self.epoch() != epoch {
            return;
        }
        if kept.statuses.len() >= MAX_STATUSES && !kept.statuses.contains_key(&key) {
            kept.statuses = HashMap::new();
        }
        kept.statuses.insert(key, (status, now));
    }

    /// Forgets every answer about one certificate.
    pub(crate) fn drop_one(&self, authority: i64, serial: Serial) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        self.epoch.fetch_add(1, Ordering::AcqRel);
        kept.statuses.remove(&(authority, serial));
        for request in kept.questions.remove(&(authority, serial)).unwrap_or_default() {
            kept.answers.remove(&request);
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        self.epoch.fetch_add(1, Ordering::AcqRel);
        *kept = Kept::default();
    }

    /// Questions whose answers are past half their life and were asked since; the others are forgotten.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<Box<[u8]>> {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        let half = LIFE / 2;
        let old: Vec<(Box<[u8]>, Key, bool)> = kept
            .answers
            .iter()
            .filter(|(_, (_, answer))| now.0 - answer.made.0 >= half)
            .map(|(request, (key, answer))| (request.clone(), *key, answer.asked.load(Ordering::Relaxed)))
            .collect();
        let mut due = Vec::new();
        for (request, key, asked) in old {
            if asked {
                due.push(request);
                continue;
            }
            kept.answers.remove(&request);
            let empty = kept.questions.get_mut(&key).is_some_and(|questions| {
                questions.retain(|question| *question != request);
                questions.is_empty()
            });
            if empty {
                kept.questions.remove(&key);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_800_000_000_000 + seconds * 1000)
    }

    fn answer(text: &str) -> Arc<Answer> {
        Arc::new(Answer::new(text.into(), at(0), Some(Timestamp(at(0).0 + LIFE))))
    }

    #[test]
    fn an_answer_is_repeated_until_it_runs_out_or_is_dropped() {
        let cache = Cache::default();
        let serial: Serial = "4A".parse().unwrap();
        cache.keep(b"one", (1, serial), &answer("good"), cache.epoch());
        cache.keep(b"two", (1, serial), &answer("good"), cache.epoch());
        cache.keep(b"other", (2, serial), &answer("good"), cache.epoch());
        assert_eq!(&*cache.find(b"one", at(10)).unwrap().body, b"good");
        assert!(cache.find(b"three", at(10)).is_none());
        assert!(cache.find(b"one", at(3600)).is_none());
        let before = cache.epoch();
        cache.drop_one(1, serial);
        assert!(cache.find(b"one", at(10)).is_none() && cache.find(b"two", at(10)).is_none());
        assert!(cache.find(b"other", at(10)).is_some());
        cache.keep(b"one", (1, serial), &answer("stale"), before);
        assert!(cache.find(b"one", at(10)).is_none(), "read before the drop");
        cache.keep(
            &[0; MAX_QUESTION + 1],
            (1, serial),
            &answer("good"),
            cache.epoch(),
        );
        assert!(cache.find(&[0; MAX_QUESTION + 1], at(10)).is_none());
    }

    #[test]
    fn a_status_is_remembered_until_the_certificate_is_revoked_or_it_is_old() {
        let cache = Cache::default();
        let key = (1, "4A".parse().unwrap());
        let before = cache.epoch();
        cache.keep_status(key, Status::Good, at(0), before);
        assert_eq!(cache.status(key, at(10)), Some(Status::Good));
        assert_eq!(cache.status((2, key.1), at(10)), None);
        assert_eq!(cache.status(key, at(1800)), None, "read again after half a life");
        cache.drop_one(key.0, key.1);
        assert_eq!(cache.status(key, at(10)), None);
        cache.keep_status(key, Status::Good, at(10), before);
        assert_eq!(cache.status(key, at(10)), None, "read before the drop");
        cache.keep_status(key, Status::Good, at(10), cache.epoch());
        cache.clear();
        assert_eq!(cache.status(key, at(10)), None);
        for n in 0..MAX_STATUSES + 10 {
            let serial = Serial::from_octets(&(n + 1).to_be_bytes()).unwrap();
            cache.keep_status((1, serial), Status::Good, at(0), cache.epoch());
        }
        assert!(cache.kept.read().unwrap().statuses.len() <= MAX_STATUSES);
    }

    #[test]
    fn only_what_is_asked_for_is_renewed_and_memory_is_bounded() {
        let cache = Cache::default();
        let serial = |n: usize| Serial::from_octets(&(n + 1).to_be_bytes()).unwrap();
        for n in 0..10 {
            cache.keep(&[n as u8], (1, serial(n)), &answer("good"), cache.epoch());
        }
        cache.find(&[3], at(10)).unwrap();
        assert!(cache.due(at(100)).is_empty());
        assert_eq!(cache.due(at(1800)), vec![Box::from([3_u8])]);
        assert_eq!(cache.kept.read().unwrap().answers.len(), 1);
        assert_eq!(cache.kept.read().unwrap().questions.len(), 1);
        for n in 0..MAX_KEPT + 10 {
            cache.keep(&n.to_be_bytes(), (1, serial(n)), &answer("x"), cache.epoch());
        }
        assert!(cache.kept.read().unwrap().answers.len() <= MAX_KEPT);
    }
}
