//! What a connection remembers of the peer's calls, so that a repeated call gets the same answer.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::Value;

use super::MessageId;

/// Largest answer that is kept for repetition; larger ones are rare reports and are asked again.
const MAX_KEPT: usize = 16 * 1024;

/// Calls of the peer: under way, and answered (the latest few).
#[derive(Debug)]
pub(super) struct History {
    open: Vec<(MessageId, u64)>,
    answered: VecDeque<(MessageId, u64, Option<String>)>,
    remembered: usize,
    max_open: usize,
}

/// What an incoming call is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Never seen: handle it.
    New,
    /// The same call is being handled; its answer will serve both.
    UnderWay,
    /// The same call was answered; here is the answer again, unless it was too large to keep.
    Answered(Option<String>),
    /// The id was used for another call.
    OtherPayload,
    /// Too many calls are under way.
    TooMany,
}

impl History {
    pub(super) fn new(remembered: usize, max_open: usize) -> Self {
        Self {
            open: Vec::new(),
            answered: VecDeque::new(),
            remembered,
            max_open,
        }
    }

    /// Classifies a call, and notes it when it is new.
    pub(super) fn note(&mut self, id: &MessageId, action: &str, payload: &Value) -> Seen {
        let digest = digest(action, payload);
        if let Some((_, before)) = self.open.iter().find(|(open, _)| open == id) {
            return if *before == digest {
                Seen::UnderWay
            } else {
                Seen::OtherPayload
            };
        }
        if let Some((_, before, answer)) = self.answered.iter().find(|(answered, ..)| answered == id) {
            return if *before == digest {
                Seen::Answered(answer.clone())
            } else {
                Seen::OtherPayload
            };
        }
        if self.open.len() >= self.max_open {
            return Seen::TooMany;
        }
        self.open.push((id.clone(), digest));
        Seen::New
    }

    /// Notes the answer to a call; `false` when no such call is under way.
    pub(super) fn close(&mut self, id: &MessageId, answer: &str) -> bool {
        let Some(at) = self.open.iter().position(|(open, _)| open == id) else {
            return false;
        };
        let (id, digest) = self.open.swap_remove(at);
        if self.answered.len() >= self.remembered {
            self.answered.pop_front();
        }
        let kept = (answer.len() <= MAX_KEPT).then(|| answer.to_owned());
        self.answered.push_back((id, digest, kept));
        true
    }
}

/// Tells honest repetitions from mistakes; a peer that forges collisions only confuses itself.
fn digest(action: &str, payload: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    action.hash(&mut hasher);
    payload.to_string().hash(&mut hasher);
    hasher.finish()
}
