//! Identifiers as types, checked where they are made.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not the identifier it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdError {
    what: &'static str,
    rule: &'static str,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a valid {}: {}", self.what, self.rule)
    }
}

impl std::error::Error for IdError {}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, |$text:ident| $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str($text: &str) -> Result<Self, IdError> {
                if $check { Ok(Self($text.to_owned())) } else { Err(IdError { what: $what, rule: $rule }) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// The identity of a charging station towards the platform (OCPP 2.0.1: identifierString, at most 48).
    StationId, "charging station id", "1 to 48 of letters, digits and * - _ = : + | @ .",
    |text| (1..=48).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"*-_=:+|@.".contains(&b))
}

text_id! {
    /// An OCPP 2.x transaction id, made by the station (at most 36).
    TransactionId, "transaction id", "1 to 36 printable ASCII characters",
    |text| (1..=36).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// An e-mobility account identifier (contract id): 14 or 15 characters without separators.
///
/// Identifies a contract and thereby a person: keep it in [`crate::Personal`] outside the protocol.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Emaid(String);

impl Emaid {
    /// The normalised text: upper case, no separators.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Emaid {
    type Err = IdError;

    /// Accepts the forms with and without `-`, in either case.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let plain: String = text
            .chars()
            .filter(|c| *c != '-')
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let ok = matches!(plain.len(), 14 | 15)
            && plain.bytes().all(|b| b.is_ascii_alphanumeric())
            && plain.bytes().take(2).all(|b| b.is_ascii_alphabetic());
        if ok {
            Ok(Self(plain))
        } else {
            Err(IdError {
                what: "EMAID",
                rule: "country, provider and account id, 14 or 15 letters and digits",
            })
        }
    }
}

/// The number of an EVSE within its station, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EvseId(pub u16);

impl fmt::Display for EvseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a connector within its EVSE, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConnectorId(pub u16);

impl fmt::Display for ConnectorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
