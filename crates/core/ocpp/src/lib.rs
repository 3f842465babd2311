//! OCPP without a socket: the typed messages of 1.6, 2.0.1 and 2.1, and the RPC layer OCPP-J.
//!
//! # Messages
//! [`v16`], [`v201`] and [`v21`] hold one struct per schema object, made by `cargo xtask codegen` from the
//! OCA's JSON schemas. Reading is tolerant, writing is strict: [`decode`] accepts what real charging
//! stations get wrong without losing meaning and says what it was; [`encode`] refuses our own mistakes.
//! Numbers are [`rust_decimal::Decimal`] or `i64`, never floats; vendor data goes through [`CustomData`].
//! `Debug` of a message hides tokens, contracts and certificates.
//!
//! ```
//! use gridlatch_ocpp::{decode, encode, v201};
//!
//! let station = v201::ChargingStation::new("model".into(), "vendor".into());
//! let boot = v201::BootNotificationRequest::new(station, v201::BootReasonEnum::PowerUp);
//! let payload = encode(&boot)?;
//! let back = decode::<v201::BootNotificationRequest>(payload)?;
//! assert_eq!(back.payload, boot);
//! assert!(back.violations.is_empty());
//! # Ok::<(), gridlatch_ocpp::SchemaError>(())
//! ```
//!
//! # RPC
//! One [`Rpc`] per connection. The run loop of its owner:
//! 1. text or binary frame arrives: [`Rpc::handle`];
//! 2. the application wants something: [`Rpc::call`], [`Rpc::answer`], [`Rpc::send`];
//! 3. then always: write every [`Rpc::poll_transmit`] to the socket, act on every [`Rpc::poll_event`];
//! 4. sleep until [`Rpc::poll_timeout`], then [`Rpc::handle_timeout`], and again step 3.
//!
//! A handler of a CALL does
//! ```
//! # use gridlatch_ocpp::{decode, encode, v201, CallError};
//! # use serde_json::Value;
//! fn heartbeat(payload: Value) -> Result<Value, CallError> {
//!     let asked = decode::<v201::HeartbeatRequest>(payload).map_err(|error| error.to_call_error())?;
//!     let now = gridlatch_vocab::Timestamp::from_unix_millis(0);
//!     encode(&v201::HeartbeatResponse::new(now)).map_err(|error| CallError::internal(error.to_string()))
//! }
//! ```
//! and hands the result to [`Rpc::answer`]. An action that [`find`] does not know is answered
//! `NotImplemented` by the RPC layer itself.
//!
//! Deliberately absent: websockets, TLS, clocks, randomness (message ids are an argument), storage,
//! and what any message means.
#![forbid(unsafe_code)]

mod codec;
mod custom_data;
mod generated;
mod message;
mod redact;
mod rpc;
mod schema;
mod time;
mod version;

pub use codec::Field as FieldCodec;
pub use custom_data::CustomData;
pub use generated::{v16, v21, v201};
pub use message::{
    Message, NoResponse, Payload, Request, RoundTrip, SchemaError, Tolerated, decode, decode_strict, encode,
    find,
};
pub use rpc::{
    Answer, CallError, ErrorCode, Frame, FrameError, MessageId, Refusal, Rpc, RpcConfig, RpcError, RpcEvent,
    fuzz_frame,
};
pub use schema::{Field, Kind, MAX_VIOLATIONS, Object, Violation, ViolationKind, violations};
pub use version::Version;
