//! CALLERROR: why a call was not answered with a result.

use core::fmt;

use serde_json::Value;
use thiserror::Error;

use crate::Version;

/// The error codes of OCPP-J (2.0.1 part 4, table 9; 1.6-J section 4.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "words of the standard, which describes them")]
pub enum ErrorCode {
    FormatViolation,
    GenericError,
    InternalError,
    MessageTypeNotSupported,
    NotImplemented,
    NotSupported,
    OccurrenceConstraintViolation,
    PropertyConstraintViolation,
    ProtocolError,
    RpcFrameworkError,
    SecurityError,
    TypeConstraintViolation,
}

impl ErrorCode {
    const ALL: [Self; 12] = [
        Self::FormatViolation,
        Self::GenericError,
        Self::InternalError,
        Self::MessageTypeNotSupported,
        Self::NotImplemented,
        Self::NotSupported,
        Self::OccurrenceConstraintViolation,
        Self::PropertyConstraintViolation,
        Self::ProtocolError,
        Self::RpcFrameworkError,
        Self::SecurityError,
        Self::TypeConstraintViolation,
    ];

    /// The word on the wire. 1.6 spells two differently and lacks two.
    #[must_use]
    pub const fn as_str(self, version: Version) -> &'static str {
        let v16 = matches!(version, Version::V16);
        match self {
            Self::FormatViolation if v16 => "FormationViolation",
            Self::FormatViolation => "FormatViolation",
            Self::GenericError => "GenericError",
            Self::InternalError => "InternalError",
            Self::MessageTypeNotSupported | Self::RpcFrameworkError if v16 => "GenericError",
            Self::MessageTypeNotSupported => "MessageTypeNotSupported",
            Self::NotImplemented => "NotImplemented",
            Self::NotSupported => "NotSupported",
            Self::OccurrenceConstraintViolation if v16 => "OccurenceConstraintViolation",
            Self::OccurrenceConstraintViolation => "OccurrenceConstraintViolation",
            Self::PropertyConstraintViolation => "PropertyConstraintViolation",
            Self::ProtocolError => "ProtocolError",
            Self::RpcFrameworkError => "RpcFrameworkError",
            Self::SecurityError => "SecurityError",
            Self::TypeConstraintViolation => "TypeConstraintViolation",
        }
    }

    /// The code of a word, in any version's spelling; an unknown word is a `GenericError`.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        let spelled = |version| Self::ALL.into_iter().find(|code| code.as_str(version) == word);
        spelled(Version::V201)
            .or_else(|| spelled(Version::V16))
            .unwrap_or(Self::GenericError)
    }
}

/// Longest description that is sent or kept, in characters (OCPP-J: 255).
const MAX_DESCRIPTION: usize = 255;

/// The content of a CALLERROR (or of a CALLRESULTERROR of 2.1).
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{}: {description}", code.as_str(Version::V201))]
pub struct CallError {
    /// The code.
    pub code: ErrorCode,
    /// For a person; no personal data.
    pub description: String,
    /// For a machine; an object.
    pub details: Value,
}

impl CallError {
    /// An error without details. The description is cut at 255 characters.
    #[must_use]
    pub fn new(code: ErrorCode, description: impl fmt::Display) -> Self {
        let description = description.to_string();
        let description = description.chars().take(MAX_DESCRIPTION).collect();
        Self {
            code,
            description,
            details: Value::Object(serde_json::Map::new()),
        }
    }

    /// The receiver failed; the sender may try again.
    #[must_use]
    pub fn internal(description: impl fmt::Display) -> Self {
        Self::new(ErrorCode::InternalError, description)
    }

    /// The action is known but this side does not do it.
    #[must_use]
    pub fn not_supported(action: &str) -> Self {
        Self::new(
            ErrorCode::NotSupported,
            format_args!("{action} is not supported here"),
        )
    }
}
