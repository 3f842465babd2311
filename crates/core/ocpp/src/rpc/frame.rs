//! One WebSocket message of OCPP-J, read within hard bounds.

use core::fmt;

use serde_json::{Value, json};
use thiserror::Error;

use super::{CallError, ErrorCode};
use crate::Version;

/// Deepest nesting that is read. The schemas nest 9 deep; vendor data gets the rest.
pub(crate) const MAX_DEPTH: usize = 16;

/// Longest message id (OCPP-J: 36 characters, for a UUID).
const MAX_ID: usize = 36;

/// Longest action name that is looked at.
const MAX_ACTION: usize = 50;

/// The id that ties an answer to its call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(String);

impl MessageId {
    /// An id of 1 to 36 characters; `None` for any other text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let length = text.chars().take(MAX_ID + 1).count();
        (1..=MAX_ID).contains(&length).then_some(Self(text))
    }

    /// The id OCPP-J prescribes in an answer to something whose id cannot be read.
    #[must_use]
    pub fn unreadable() -> Self {
        Self("-1".to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A frame.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "fields as OCPP-J names them")]
pub enum Frame {
    /// Type 2.
    Call {
        id: MessageId,
        action: String,
        payload: Value,
    },
    /// Type 3.
    CallResult { id: MessageId, payload: Value },
    /// Type 4.
    CallError { id: MessageId, error: CallError },
    /// Type 5 (2.1): our CALLRESULT was not understood.
    CallResultError { id: MessageId, error: CallError },
    /// Type 6 (2.1): a message nobody answers.
    Send {
        id: MessageId,
        action: String,
        payload: Value,
    },
}

/// Bytes that are not a frame.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("read an OCPP-J frame: {reason}")]
pub struct FrameError {
    /// The message id, where it could be read.
    pub id: Option<MessageId>,
    /// The frame was a call, so it must be answered with a CALLERROR.
    pub is_call: bool,
    /// What to answer.
    pub code: ErrorCode,
    /// Why, in words that repeat nothing from the frame.
    pub reason: &'static str,
    /// The sender broke a hard bound (size, depth): close the connection rather than talk.
    pub hostile: bool,
}

impl Frame {
    /// Reads a frame of at most [`Version::max_frame`] bytes and 16 levels.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub fn parse(version: Version, bytes: &[u8]) -> Result<Self, FrameError> {
        let bad = |code, reason| FrameError {
            id: None,
            is_call: false,
            code,
            reason,
            hostile: false,
        };
        let hostile = |reason| FrameError {
            hostile: true,
            ..bad(ErrorCode::RpcFrameworkError, reason)
        };
        if bytes.len() > version.max_frame() {
            return Err(hostile("the frame is larger than allowed"));
        }
        if is_deeper_than(bytes, MAX_DEPTH) {
            return Err(hostile("the frame is nested deeper than allowed"));
        }
        let value: Value =
            serde_json::from_slice(bytes).map_err(|_| bad(ErrorCode::RpcFrameworkError, "it is not JSON"))?;
        let Value::Array(parts) = value else {
            return Err(bad(ErrorCode::RpcFrameworkError, "it is not a JSON array"));
        };
        let mut parts = parts.into_iter();
        let kind = parts.next().and_then(|kind| kind.as_u64());
        let id = parts.next().and_then(|id| {
            if let Value::String(id) = id {
                MessageId::new(id)
            } else {
                None
            }
        });
        let is_call = kind == Some(2);
        let Some(id) = id else {
            let reason = "its message id is not a text of 1 to 36 characters";
            return Err(FrameError {
                is_call,
                ..bad(ErrorCode::RpcFrameworkError, reason)
            });
        };
        let fail = |code, reason| FrameError {
            id: Some(id.clone()),
            is_call,
            ..bad(code, reason)
        };
        let rest: Vec<Value> = parts.collect();
        match kind {
            Some(2) => {
                let (action, payload) =
                    action_and_payload(rest).map_err(|reason| fail(ErrorCode::FormatViolation, reason))?;
                Ok(Self::Call { id, action, payload })
            }
            Some(3) => match <[Value; 1]>::try_from(rest) {
                Ok([payload]) if payload.is_object() => Ok(Self::CallResult { id, payload }),
                _ => Err(fail(
                    ErrorCode::FormatViolation,
                    "a CALLRESULT has one object as payload",
                )),
            },
            Some(4) => Ok(Self::CallError {
                error: call_error(rest),
                id,
            }),
            Some(5) if version == Version::V21 => Ok(Self::CallResultError {
                error: call_error(rest),
                id,
            }),
            Some(6) if version == Version::V21 => {
                let (action, payload) =
                    action_and_payload(rest).map_err(|reason| fail(ErrorCode::FormatViolation, reason))?;
                Ok(Self::Send { id, action, payload })
            }
            Some(_) => Err(fail(
                ErrorCode::MessageTypeNotSupported,
                "its message type is not one of this version",
            )),
            None => Err(fail(
                ErrorCode::RpcFrameworkError,
                "its message type is not a number",
            )),
        }
    }

    /// The text of the frame. Error codes are spelled as in 2.x; [`Frame::to_text_of`] knows 1.6.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.to_text_of(Version::V21)
    }

    /// The text of the frame in a version's spelling.
    #[must_use]
    pub fn to_text_of(&self, version: Version) -> String {
        let failed = |kind: u8, id: &MessageId, error: &CallError| {
            json!([
                kind,
                id.as_str(),
                error.code.as_str(version),
                error.description,
                error.details
            ])
        };
        match self {
            Self::Call { id, action, payload } => json!([2, id.as_str(), action, payload]),
            Self::CallResult { id, payload } => json!([3, id.as_str(), payload]),
            Self::CallError { id, error } => failed(4, id, error),
            Self::CallResultError { id, error } => failed(5, id, error),
            Self::Send { id, action, payload } => json!([6, id.as_str(), action, payload]),
        }
        .to_string()
    }
}

fn action_and_payload(rest: Vec<Value>) -> Result<(String, Value), &'static str> {
    match <[Value; 2]>::try_from(rest) {
        Ok([Value::String(action), payload @ Value::Object(_)]) if action.len() <= MAX_ACTION => {
            Ok((action, payload))
        }
        Ok([Value::String(_), Value::Object(_)]) => Err("its action name is too long"),
        _ => Err("it is not an action and an object"),
    }
}

/// Error frames are read generously: what went wrong matters more than how it was said.
fn call_error(rest: Vec<Value>) -> CallError {
    let mut rest = rest.into_iter();
    let code = rest
        .next()
        .and_then(|code| code.as_str().map(ErrorCode::from_word));
    let description = rest
        .next()
        .and_then(|text| text.as_str().map(str::to_owned))
        .unwrap_or_default();
    let details = rest.next().filter(Value::is_object);
    let error = CallError::new(code.unwrap_or(ErrorCode::GenericError), description);
    match details {
        Some(details) => CallError { details, ..error },
        None => error,
    }
}

/// Looks at brackets outside texts only; whether they match is the parser's business.
fn is_deeper_than(bytes: &[u8], max: usize) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                if depth > max {
                    return true;
                }
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}
