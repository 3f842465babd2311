//! The message types of each OCPP version, written by `cargo xtask codegen`.

mod prelude {
    pub(super) use rust_decimal::Decimal;
    pub(super) use serde_json::{Map, Value};

    pub(super) use crate::codec::{
        Field as Coded, enumeration, messages, object, put, put_opt, take, take_opt,
    };
    pub(super) use crate::custom_data::CustomData;
    pub(super) use crate::message::{Message, NoResponse, Payload, Request};
    pub(super) use crate::schema::{Field, Kind, Object};
    pub(super) use gridlatch_vocab::Timestamp;
}

/// OCPP 1.6 (edition 2 and the security whitepaper).
#[rustfmt::skip]
pub mod v16;
/// OCPP 2.0.1.
#[rustfmt::skip]
pub mod v201;
/// OCPP 2.1.
#[rustfmt::skip]
pub mod v21;
