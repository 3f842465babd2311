//! What a frame means: V2GTP frames, discovery datagrams and HomePlug management frames turned into
//! named, readable messages, for captures, logs and refusals.
//!
//! A frame alone does not say what it is: payload type 0x8001 is the protocol handshake, a DIN 70121
//! message or an ISO 15118-2 message, depending on what the two sides agreed before. [`Conversation`]
//! remembers that for one TCP stream. Nothing here takes part in a session; sessions use the engines.
//!
//! Bounds: payloads above [`MAX_PAYLOAD`] are refused unread, descriptions above [`MAX_DESCRIPTION`]
//! are refused while they grow. Keys (NMK) in HomePlug frames are never part of a description.

mod conversation;
mod envelope;
mod framing;
mod homeplug;
mod sdp;
mod serialize;
mod tree;
mod xml;

pub use conversation::{Agreed, Conversation, decode_frame};
pub use framing::{Framer, Framing};
pub use homeplug::describe_homeplug;
pub use sdp::describe_sdp;
pub use tree::Tree;

use core::fmt;

use gridlatch_vocab::catalogue::Code;
use serde_json::{Map, Value, json};

/// Largest V2GTP payload that is decoded, in bytes. The largest real message seen is 4.6 kB; EXI string
/// tables let 75 kB grow to 470 MB, so the bound is on the input.
pub const MAX_PAYLOAD: usize = 32 * 1024;

/// Largest description of one message, counted in bytes of text it would print.
pub const MAX_DESCRIPTION: usize = 1024 * 1024;

/// How many bytes of an undecodable frame an [`Undecodable`] keeps.
pub const FIRST_BYTES: usize = 64;

/// Which protocol layer a message belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// HomePlug management frames: SLAC matching and modem control.
    HomePlug,
    /// SECC discovery over UDP.
    Sdp,
    /// Messages in V2GTP frames over TCP or TLS.
    V2gtp,
}

impl Layer {
    /// The word used in output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HomePlug => "homeplug",
            Self::Sdp => "sdp",
            Self::V2gtp => "v2gtp",
        }
    }
}

/// One decoded message.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    /// Where it travelled.
    pub layer: Layer,
    /// The name the standard gives it: `SessionSetupReq`, `CM_SLAC_PARM.REQ`, `SDP request`.
    pub name: String,
    /// V2GTP payload type, or the HomePlug MMTYPE.
    pub payload_type: u16,
    /// The protocol it was read as: `iso15118-2`, `iso15118-20`, `din70121`, `sap`, `sdp`, `slac`.
    pub protocol: &'static str,
    /// The response code as the schema spells it, where the message has one.
    pub response_code: Option<String>,
    /// Every field, in schema order.
    pub fields: Tree,
    /// What the reader should know besides the fields: plain XML, an assumed protocol.
    pub notice: Option<String>,
    /// Whether only the envelope was read (DIN 70121).
    pub partial: bool,
    /// Length of the payload in bytes.
    pub length: usize,
}

impl Described {
    /// Whether the message is an answer that refuses.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.response_code
            .as_deref()
            .is_some_and(|code| code.to_ascii_uppercase().starts_with("FAILED"))
    }

    /// The fields that fit on one line.
    #[must_use]
    pub fn summary(&self) -> String {
        self.fields.summary(120)
    }

    /// Everything as one JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("layer".into(), self.layer.as_str().into());
        object.insert("name".into(), self.name.as_str().into());
        object.insert(
            "payload_type".into(),
            format!("{:#06x}", self.payload_type).into(),
        );
        object.insert("protocol".into(), self.protocol.into());
        object.insert("length".into(), self.length.into());
        if self.partial {
            object.insert("partial".into(), true.into());
        }
        if let Some(code) = &self.response_code {
            object.insert("response_code".into(), code.as_str().into());
        }
        if let Some(notice) = &self.notice {
            object.insert("notice".into(), notice.as_str().into());
        }
        object.insert("fields".into(), self.fields.to_json());
        Value::Object(object)
    }
}

/// A frame that could not be turned into a message, and everything known about why.
#[derive(Debug, Clone, PartialEq)]
pub struct Undecodable {
    /// The row of the catalogue.
    pub code: Code,
    /// Where it travelled.
    pub layer: Layer,
    /// The protocol it was read as, where one was known.
    pub protocol: Option<&'static str>,
    /// V2GTP payload type or HomePlug MMTYPE, where the frame got that far.
    pub payload_type: Option<u16>,
    /// What is wrong, in words.
    pub reason: String,
    /// Offset in the payload of the byte that could not be read, where known.
    pub offset: Option<usize>,
    /// Length of the payload in bytes.
    pub length: usize,
    /// The first [`FIRST_BYTES`] bytes of the payload.
    pub first_bytes: Vec<u8>,
}

impl Undecodable {
    /// Everything as one JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "layer": self.layer.as_str(),
            "error": self.code.as_str(),
            "reason": self.reason,
            "protocol": self.protocol,
            "payload_type": self.payload_type.map(|value| format!("{value:#06x}")),
            "offset": self.offset,
            "length": self.length,
            "first_bytes": tree::hex(&self.first_bytes),
        })
    }

    /// Keeps what a report needs of a payload.
    pub(crate) fn excerpt(payload: &[u8]) -> Vec<u8> {
        payload[..payload.len().min(FIRST_BYTES)].to_vec()
    }
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.reason)?;
        if let Some(payload_type) = self.payload_type {
            write!(f, "; type {payload_type:#06x}")?;
        }
        if let Some(offset) = self.offset {
            write!(f, "; at byte {offset} of {}", self.length)?;
        } else {
            write!(f, "; {} bytes", self.length)?;
        }
        let dots = if self.length > self.first_bytes.len() {
            "..."
        } else {
            ""
        };
        write!(f, "; {}{dots}", tree::hex(&self.first_bytes))
    }
}

impl std::error::Error for Undecodable {}

#[cfg(test)]
mod tests;
