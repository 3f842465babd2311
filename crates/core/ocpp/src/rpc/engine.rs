//! The state of one connection: one call of ours under way, a bounded queue behind it, timeouts.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use gridlatch_vocab::{Code, catalogue};
use serde_json::Value;
use thiserror::Error;

use super::history::{History, Seen};
use super::{CallError, ErrorCode, Frame, MessageId};
use crate::Version;
use crate::message::{self, Request, SchemaError, encode};

/// Bounds of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RpcConfig {
    /// What is spoken.
    pub version: Version,
    /// How many of our calls may wait behind the one under way.
    pub queue: usize,
    /// How long a call of ours waits for its answer.
    pub call_timeout: Duration,
    /// How long after that a late answer is still reported as [`RpcEvent::Late`].
    pub grace: Duration,
    /// How many calls of the peer may be under way; OCPP-J allows it one, real stations send more.
    pub inbound: usize,
    /// How many answered calls are remembered against repetition.
    pub remembered: usize,
}

impl RpcConfig {
    /// The usual bounds: queue 64, timeout 30 s, grace 120 s, 4 inbound, 32 remembered.
    #[must_use]
    pub const fn new(version: Version) -> Self {
        Self {
            version,
            queue: 64,
            call_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(120),
            inbound: 4,
            remembered: 32,
        }
    }
}

/// What a call of ours came to.
pub type Answer = Result<Value, CallError>;

/// What the owner of a connection must know.
#[derive(Debug, Clone, PartialEq)]
pub enum RpcEvent {
    /// The peer asks; hand what comes of it to [`Rpc::answer`].
    Call {
        /// Its id.
        id: MessageId,
        /// A known action of this version.
        action: String,
        /// An object; [`crate::decode`] checks it.
        payload: Value,
    },
    /// The peer says something that needs no answer (2.1).
    Send {
        /// A known action of this version.
        action: String,
        /// An object; [`crate::decode`] checks it.
        payload: Value,
    },
    /// Our call was answered.
    Answered {
        /// The call's id.
        id: MessageId,
        /// Its action.
        action: String,
        /// The peer's answer; a result still needs [`crate::decode`].
        answer: Answer,
    },
    /// Our call was not answered in time; the next one goes out.
    TimedOut {
        /// The call's id.
        id: MessageId,
        /// Its action.
        action: String,
    },
    /// The answer to a call that had timed out. Nothing waits for it, but it may be the proof that a
    /// message arrived.
    Late {
        /// The call's id.
        id: MessageId,
        /// Its action.
        action: String,
        /// The peer's answer.
        answer: Answer,
    },
    /// The peer did not understand our CALLRESULT (2.1).
    ResultRefused {
        /// The id of its call.
        id: MessageId,
        /// Why.
        error: CallError,
    },
    /// Something was refused or looks wrong; make it an event.
    Refused(Refusal),
}

/// Something from the peer that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The catalogue's code.
    pub code: Code,
    /// The particulars, without personal data.
    pub message: String,
    /// Close the connection (WebSocket status 1009 or 1008).
    pub close: bool,
}

/// Why something of ours was not sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RpcError {
    /// The queue is full: the peer does not answer as fast as we ask.
    #[error("queue an OCPP call: {0} calls wait already")]
    QueueFull(usize),
    /// Our own message violates its schema.
    #[error("write an OCPP message")]
    Schema(#[from] SchemaError),
    /// Nobody asked under this id, or it was answered already.
    #[error("answer an OCPP call: no call {0} is under way")]
    NoSuchCall(MessageId),
    /// The message belongs to another version than the connection speaks.
    #[error("write an OCPP message: it belongs to {0}")]
    OtherVersion(Version),
}

#[derive(Debug)]
struct Waiting {
    id: MessageId,
    action: String,
    payload: Value,
}

#[derive(Debug)]
struct UnderWay {
    id: MessageId,
    action: String,
    deadline: Instant,
}

/// How many timed-out calls are remembered for late answers.
const MAX_LATE: usize = 16;

/// The RPC state of one connection. See the crate's documentation for the run loop.
#[derive(Debug)]
pub struct Rpc {
    config: RpcConfig,
    queue: VecDeque<Waiting>,
    outstanding: Option<UnderWay>,
    late: VecDeque<UnderWay>,
    history: History,
    transmit: VecDeque<String>,
    events: VecDeque<RpcEvent>,
}

impl Rpc {
    /// A fresh connection.
    #[must_use]
    pub fn new(config: RpcConfig) -> Self {
        Self {
            config,
            queue: VecDeque::new(),
            outstanding: None,
            late: VecDeque::new(),
            history: History::new(config.remembered, config.inbound),
            transmit: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// What this connection speaks.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.config.version
    }

    /// Whether no call of ours is under way or waiting.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.outstanding.is_none() && self.queue.is_empty()
    }

    /// Calls the peer under `id`, which must be new (a random UUID). The payload is checked.
    ///
    /// # Errors
    /// The payload violates its schema, belongs to another version, or the queue is full.
    pub fn call<R: Request>(&mut self, now: Instant, id: MessageId, request: &R) -> Result<(), RpcError> {
        if R::VERSION != self.config.version {
            return Err(RpcError::OtherVersion(R::VERSION));
        }
        self.call_raw(now, id, R::ACTION, encode(request)?)
    }

    /// Calls the peer with a payload that was checked before (a stored one).
    ///
    /// # Errors
    /// The queue is full.
    pub fn call_raw(
        &mut self,
        now: Instant,
        id: MessageId,
        action: &str,
        payload: Value,
    ) -> Result<(), RpcError> {
        if self.queue.len() >= self.config.queue {
            return Err(RpcError::QueueFull(self.queue.len()));
        }
        self.queue.push_back(Waiting {
            id,
            action: action.to_owned(),
            payload,
        });
        self.pump(now);
        Ok(())
    }

    /// Says something that needs no answer (2.1). Overtakes waiting calls.
    ///
    /// # Errors
    /// The payload violates its schema or the connection speaks another version.
    pub fn send<R: Request>(&mut self, id: MessageId, message: &R) -> Result<(), RpcError> {
        if R::VERSION != self.config.version {
            return Err(RpcError::OtherVersion(R::VERSION));
        }
        let frame = Frame::Send {
            id,
            action: R::ACTION.to_owned(),
            payload: encode(message)?,
        };
        self.write(&frame);
        Ok(())
    }

    /// Answers a call of the peer.
    ///
    /// # Errors
    /// No such call is under way.
    pub fn answer(&mut self, _now: Instant, id: &MessageId, answer: Answer) -> Result<(), RpcError> {
        let frame = match answer {
            Ok(payload) => Frame::CallResult {
                id: id.clone(),
                payload,
            },
            Err(error) => Frame::CallError {
                id: id.clone(),
                error,
            },
        };
        let text = frame.to_text_of(self.config.version);
        if !self.history.close(id, &text) {
            return Err(RpcError::NoSuchCall(id.clone()));
        }
        self.transmit.push_back(text);
        Ok(())
    }

    /// Tells the peer that its CALLRESULT was not understood; only 2.1 can say so.
    pub fn refuse_result(&mut self, id: MessageId, error: CallError) {
        if self.config.version == Version::V21 {
            self.write(&Frame::CallResultError { id, error });
        }
    }

    /// Takes one WebSocket message.
    pub fn handle(&mut self, now: Instant, bytes: &[u8]) {
        match Frame::parse(self.config.version, bytes) {
            Ok(Frame::Call { id, action, payload }) => self.handle_call(id, action, payload),
            Ok(Frame::Send { action, payload, .. }) => match message::find(self.config.version, &action) {
                Some(message) if message.is_send() => {
                    self.events.push_back(RpcEvent::Send { action, payload })
                }
                _ => self.refuse(
                    catalogue::ocpp::UNKNOWN_ACTION,
                    "a SEND with an action that is not one",
                    false,
                ),
            },
            Ok(Frame::CallResult { id, payload }) => self.handle_answer(now, id, Ok(payload)),
            Ok(Frame::CallError { id, error }) => self.handle_answer(now, id, Err(error)),
            Ok(Frame::CallResultError { id, error }) => {
                self.events.push_back(RpcEvent::ResultRefused { id, error });
            }
            Err(bad) => {
                if bad.hostile {
                    return self.refuse(catalogue::ocpp::FRAME_BOUND, bad.reason, true);
                }
                if bad.is_call || bad.id.is_none() {
                    let id = bad.id.unwrap_or_else(MessageId::unreadable);
                    self.write(&Frame::CallError {
                        id,
                        error: CallError::new(bad.code, bad.reason),
                    });
                } else if let Some(id) = &bad.id
                    && self.outstanding.as_ref().is_some_and(|call| call.id == *id)
                {
                    // A broken answer is an answer: waiting for a better one would stall the queue.
                    self.handle_answer(now, id.clone(), Err(CallError::new(bad.code, bad.reason)));
                }
                self.refuse(catalogue::ocpp::FRAME_MALFORMED, bad.reason, false);
            }
        }
    }

    /// The time has come that [`Rpc::poll_timeout`] named (or any other).
    pub fn handle_timeout(&mut self, now: Instant) {
        self.late.retain(|call| call.deadline > now);
        if let Some(call) = self.outstanding.take_if(|call| call.deadline <= now) {
            self.events.push_back(RpcEvent::TimedOut {
                id: call.id.clone(),
                action: call.action.clone(),
            });
            if self.late.len() == MAX_LATE {
                self.late.pop_front();
            }
            self.late.push_back(UnderWay {
                deadline: call.deadline + self.config.grace,
                ..call
            });
        }
        self.pump(now);
    }

    /// When [`Rpc::handle_timeout`] is due, and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        self.outstanding
            .as_ref()
            .map(|call| (call.deadline, "answer to our call"))
    }

    /// The next text to write to the peer.
    #[must_use]
    pub fn poll_transmit(&mut self) -> Option<String> {
        self.transmit.pop_front()
    }

    /// The next thing to act on.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<RpcEvent> {
        self.events.pop_front()
    }

    fn handle_call(&mut self, id: MessageId, action: String, payload: Value) {
        match self.history.note(&id, &action, &payload) {
            Seen::New => match message::find(self.config.version, &action) {
                Some(message) if !message.is_send() => {
                    self.events.push_back(RpcEvent::Call { id, action, payload });
                }
                _ => {
                    // The name is the peer's text: it is not repeated.
                    let error =
                        CallError::new(ErrorCode::NotImplemented, "the action is not one of this version");
                    self.refuse(
                        catalogue::ocpp::UNKNOWN_ACTION,
                        "a CALL with an action that is not one",
                        false,
                    );
                    let text = Frame::CallError {
                        id: id.clone(),
                        error,
                    }
                    .to_text_of(self.config.version);
                    self.history.close(&id, &text);
                    self.transmit.push_back(text);
                }
            },
            Seen::UnderWay => self.refuse(catalogue::ocpp::CALL_REPEATED, "it is still being handled", false),
            Seen::Answered(Some(answer)) => {
                self.transmit.push_back(answer);
                self.refuse(
                    catalogue::ocpp::CALL_REPEATED,
                    "the same answer was sent again",
                    false,
                );
            }
            Seen::Answered(None) => {
                let error = CallError::new(
                    ErrorCode::GenericError,
                    "answered before, and the answer was too long to keep",
                );
                self.write(&Frame::CallError { id, error });
                self.refuse(
                    catalogue::ocpp::CALL_REPEATED,
                    "its answer was too long to keep",
                    false,
                );
            }
            Seen::OtherPayload => {
                let error = CallError::new(
                    ErrorCode::RpcFrameworkError,
                    "the message id was used for another call",
                );
                self.write(&Frame::CallError { id, error });
                self.refuse(
                    catalogue::ocpp::MESSAGE_ID_REUSED,
                    "two different calls under one message id",
                    false,
                );
            }
            Seen::TooMany => {
                let error = CallError::new(ErrorCode::GenericError, "too many calls are under way");
                self.write(&Frame::CallError { id, error });
                self.refuse(
                    catalogue::ocpp::TOO_MANY_CALLS,
                    "a call beyond the bound of calls under way",
                    false,
                );
            }
        }
    }

    fn handle_answer(&mut self, now: Instant, id: MessageId, answer: Answer) {
        if let Some(call) = self.outstanding.take_if(|call| call.id == id) {
            self.events.push_back(RpcEvent::Answered {
                id,
                action: call.action,
                answer,
            });
            return self.pump(now);
        }
        if let Some(at) = self.late.iter().position(|call| call.id == id)
            && let Some(call) = self.late.remove(at)
        {
            self.events.push_back(RpcEvent::Late {
                id,
                action: call.action,
                answer,
            });
            return;
        }
        self.refuse(
            catalogue::ocpp::ANSWER_UNASKED,
            "an answer under an id we did not ask with",
            false,
        );
    }

    /// Sends the next waiting call when none is under way (OCPP-J 4.1.1).
    fn pump(&mut self, now: Instant) {
        if self.outstanding.is_some() {
            return;
        }
        let Some(Waiting { id, action, payload }) = self.queue.pop_front() else {
            return;
        };
        let deadline = now + self.config.call_timeout;
        let frame = Frame::Call {
            id: id.clone(),
            action: action.clone(),
            payload,
        };
        self.write(&frame);
        self.outstanding = Some(UnderWay { id, action, deadline });
    }

    fn write(&mut self, frame: &Frame) {
        self.transmit.push_back(frame.to_text_of(self.config.version));
    }

    fn refuse(&mut self, code: Code, message: &str, close: bool) {
        self.events.push_back(RpcEvent::Refused(Refusal {
            code,
            message: message.to_owned(),
            close,
        }));
    }
}
