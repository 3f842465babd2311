//! Helpers for building messages of both generations.

use iso15118::iso2::{self, BodyChoice};
use iso15118::iso20::common::MessageHeader;
use iso15118::message::Message;

use super::types::Clock;

/// An ISO 15118-2 message; the engine stamps the session id.
pub(super) fn v2(choice: BodyChoice) -> Message {
    Message::Iso2(Box::new(iso2::Document::V2GMessage(iso2::V2GMessage {
        header: iso2::MessageHeader {
            session_id: Vec::new(),
            notification: None,
            signature: None,
        },
        body: iso2::Body { choice: Some(choice) },
    })))
}

/// An ISO 15118-20 header; the engine stamps the session id.
pub(super) fn v20(clock: Clock) -> MessageHeader {
    MessageHeader {
        session_id: Vec::new(),
        time_stamp: u64::try_from(clock.wall.unix_millis() / 1000).unwrap_or_default(),
        signature: None,
    }
}
