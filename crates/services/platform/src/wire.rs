//! Reading and writing payloads for a connection of either version.
//!
//! OCPP 2.1 extends 2.0.1 without changing what was there, so each message has one handler, written with
//! the types of 2.1. On a 2.0.1 connection a payload is judged by the schema of 2.0.1 in both directions.

use gridlatch_host::now;
use gridlatch_ocpp::{
    CallError, ErrorCode, Payload, Request, SchemaError, Version, Violation, decode, encode, find, violations,
};
use gridlatch_vocab::{Event, EventSink as _, StationId, catalogue};
use serde_json::Value;

use crate::state::PlatformState;

/// Who sends a message.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) station: StationId,
    pub(crate) version: Version,
}

/// Reads what a station asks.
pub(crate) fn read<T: Request>(
    state: &PlatformState,
    caller: &Caller,
    payload: Value,
) -> Result<T, CallError> {
    let refuse = |error: SchemaError| {
        let event = Event::new(
            now(),
            catalogue::ocpp::PAYLOAD_REFUSED,
            crate::SOURCE,
            format!(
                "{} from {}: {}",
                T::ACTION,
                caller.station,
                paths(&error.violations)
            ),
        );
        state
            .hub()
            .emit(event.station(&caller.station).with("action", T::ACTION));
        error.to_call_error()
    };
    if caller.version != T::VERSION
        && let Some(message) = find(caller.version, T::ACTION)
    {
        let found = violations(message.request, &payload);
        if found.iter().any(|violation| !violation.kind.is_tolerable()) {
            return Err(refuse(SchemaError {
                schema: message.request.name,
                violations: found,
            }));
        }
    }
    let read = decode::<T>(payload).map_err(refuse)?;
    if !read.violations.is_empty() {
        let event = Event::new(
            now(),
            catalogue::ocpp::SCHEMA_TOLERATED,
            crate::SOURCE,
            format!(
                "{} from {}: {}",
                T::ACTION,
                caller.station,
                paths(&read.violations)
            ),
        );
        state
            .hub()
            .emit(event.station(&caller.station).with("action", T::ACTION));
    }
    Ok(read.payload)
}

/// Writes what a station is answered.
pub(crate) fn answer<T: Request>(caller: &Caller, response: &T::Response) -> Result<Value, CallError> {
    let value = encode(response).map_err(CallError::internal)?;
    if caller.version != T::VERSION
        && let Some(message) = find(caller.version, T::ACTION)
        && let Some(violation) = violations(message.response, &value).first()
    {
        return Err(CallError::internal(violation));
    }
    Ok(value)
}

/// Writes what a station is asked; `None` when its version cannot express it.
pub(crate) fn ask<T: Request>(version: Version, request: &T) -> Result<Value, SchemaError> {
    let value = encode(request)?;
    if version != T::VERSION
        && let Some(message) = find(version, T::ACTION)
    {
        let found = violations(message.request, &value);
        if !found.is_empty() {
            return Err(SchemaError {
                schema: message.request.name,
                violations: found,
            });
        }
    }
    Ok(value)
}

/// Reads what a station answered; tolerant.
pub(crate) fn answered<T: Payload>(value: Value) -> Result<T, SchemaError> {
    decode::<T>(value).map(|read| read.payload)
}

fn paths(violations: &[Violation]) -> String {
    let mut text = String::new();
    for violation in violations.iter().take(5) {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&violation.to_string());
    }
    text
}

/// A refusal for the peer whose reason is ours: it may try again.
pub(crate) fn internal(reason: &'static str) -> CallError {
    CallError::new(ErrorCode::InternalError, reason)
}
