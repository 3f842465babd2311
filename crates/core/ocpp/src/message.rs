//! Typed messages: tolerant in, strict out.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::Version;
use crate::rpc::{CallError, ErrorCode};
use crate::schema::{Object, Violation, ViolationKind, violations};

/// An object of the OCPP schemas.
pub trait Payload: Sized {
    /// Its table.
    const SCHEMA: &'static Object;
    /// Reads it from a value that was checked.
    fn read(map: Map<String, Value>) -> Option<Self>;
    /// Writes it; nothing is checked.
    fn write(&self) -> Map<String, Value>;
}

/// The request of an action.
pub trait Request: Payload {
    /// The action's name.
    const ACTION: &'static str;
    /// The version this type belongs to.
    const VERSION: Version;
    /// What answers it; [`NoResponse`] for the SEND messages of 2.1.
    type Response: Payload;
}

/// An action: its name and the tables of both directions.
#[derive(Debug)]
pub struct Message {
    /// The name.
    pub action: &'static str,
    /// What is asked.
    pub request: &'static Object,
    /// What is answered.
    pub response: &'static Object,
    /// Reads a request strictly into its type and writes it again: what the type holds of it.
    pub request_round_trip: RoundTrip,
    /// The same for the response.
    pub response_round_trip: RoundTrip,
}

/// See [`Message::request_round_trip`]; `None` when the value violates its schema.
pub type RoundTrip = fn(Value) -> Option<Value>;

pub(crate) fn round_trip<T: Payload>(value: Value) -> Option<Value> {
    decode_strict::<T>(value)
        .ok()
        .map(|read| Value::Object(read.write()))
}

impl Message {
    /// Whether the action is a SEND of 2.1, which nobody answers.
    #[must_use]
    pub fn is_send(&self) -> bool {
        core::ptr::eq(self.response, NoResponse::SCHEMA)
    }
}

/// Stands where an action has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoResponse;

static NO_RESPONSE: Object = Object {
    name: "NoResponse",
    fields: &[],
    open: false,
};

impl Payload for NoResponse {
    const SCHEMA: &'static Object = &NO_RESPONSE;
    fn read(_: Map<String, Value>) -> Option<Self> {
        Some(Self)
    }
    fn write(&self) -> Map<String, Value> {
        Map::new()
    }
}

/// The action of this name in a version, if it has one.
#[must_use]
pub fn find(version: Version, action: &str) -> Option<&'static Message> {
    let messages = match version {
        Version::V16 => crate::v16::MESSAGES,
        Version::V201 => crate::v201::MESSAGES,
        Version::V21 => crate::v21::MESSAGES,
    };
    messages
        .binary_search_by(|message| message.action.cmp(action))
        .ok()
        .map(|at| &messages[at])
}

/// A payload that was read although it may break its schema in ways that lose nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Tolerated<T> {
    /// What it says.
    pub payload: T,
    /// What is wrong with it; each is worth a security event.
    pub violations: Vec<Violation>,
}

/// A payload that breaks its schema.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{schema} breaks its schema at {}", .violations.first().map(Violation::to_string).unwrap_or_default())]
pub struct SchemaError {
    /// The type's name.
    pub schema: &'static str,
    /// What is wrong; never empty.
    pub violations: Vec<Violation>,
}

impl SchemaError {
    /// The CALLERROR that says so (OCPP-J 4.3): the first violation that cannot be tolerated decides.
    #[must_use]
    pub fn to_call_error(&self) -> CallError {
        let worst = self
            .violations
            .iter()
            .find(|v| !v.kind.is_tolerable())
            .or_else(|| self.violations.first());
        let code = match worst.map(|v| v.kind) {
            Some(ViolationKind::Missing | ViolationKind::TooFew | ViolationKind::TooMany) => {
                ErrorCode::OccurrenceConstraintViolation
            }
            Some(ViolationKind::WrongType | ViolationKind::Null) => ErrorCode::TypeConstraintViolation,
            Some(ViolationKind::UnknownProperty) | None => ErrorCode::FormatViolation,
            Some(_) => ErrorCode::PropertyConstraintViolation,
        };
        CallError::new(code, worst.map(Violation::to_string).unwrap_or_default())
    }
}

/// Reads a payload from a peer: unknown properties, over-long texts and other [tolerable]
/// violations are accepted and reported, anything else is refused.
///
/// [tolerable]: ViolationKind::is_tolerable
///
/// # Errors
/// The payload lacks something required, or holds something of another type, word or range.
pub fn decode<T: Payload>(payload: Value) -> Result<Tolerated<T>, SchemaError> {
    let violations = violations(T::SCHEMA, &payload);
    if violations.iter().any(|v| !v.kind.is_tolerable()) {
        return Err(SchemaError {
            schema: T::SCHEMA.name,
            violations,
        });
    }
    read(payload).map(|payload| Tolerated { payload, violations })
}

/// Reads a payload that must satisfy its schema to the letter.
///
/// # Errors
/// Any violation.
pub fn decode_strict<T: Payload>(payload: Value) -> Result<T, SchemaError> {
    let violations = violations(T::SCHEMA, &payload);
    if violations.is_empty() {
        read(payload)
    } else {
        Err(SchemaError {
            schema: T::SCHEMA.name,
            violations,
        })
    }
}

fn read<T: Payload>(payload: Value) -> Result<T, SchemaError> {
    let read = if let Value::Object(map) = payload {
        T::read(map)
    } else {
        None
    };
    read.ok_or_else(|| SchemaError {
        schema: T::SCHEMA.name,
        violations: vec![Violation {
            path: String::new(),
            kind: ViolationKind::WrongType,
        }],
    })
}

/// Writes a payload for a peer.
///
/// # Errors
/// It violates its schema in any way: our own output is never wrong.
pub fn encode<T: Payload>(payload: &T) -> Result<Value, SchemaError> {
    let value = Value::Object(payload.write());
    let violations = violations(T::SCHEMA, &value);
    if violations.is_empty() {
        Ok(value)
    } else {
        Err(SchemaError {
            schema: T::SCHEMA.name,
            violations,
        })
    }
}
