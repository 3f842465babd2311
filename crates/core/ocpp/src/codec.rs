//! Between JSON values and the generated types.
//!
//! Reading runs after [`crate::schema::violations`], so it only meets values of the right shape and
//! answers `None` for the rest. Derived serde visitors for 700 types would take minutes to compile;
//! these conversions take a line per field.

use gridlatch_vocab::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Map, Value};

use crate::message::Payload;
use crate::schema::{decimal, integer};
use crate::time;

/// A value inside a message.
pub trait Field: Sized {
    /// Reads it, tolerantly.
    fn from_value(value: Value) -> Option<Self>;
    /// Writes it.
    fn to_value(&self) -> Value;
}

pub(crate) fn take<T: Field>(map: &mut Map<String, Value>, name: &str) -> Option<T> {
    T::from_value(map.remove(name)?)
}

/// `None` when the property cannot be read; `Some(None)` when it is absent or `null`.
pub(crate) fn take_opt<T: Field>(map: &mut Map<String, Value>, name: &str) -> Option<Option<T>> {
    match map.remove(name) {
        None | Some(Value::Null) => Some(None),
        Some(value) => T::from_value(value).map(Some),
    }
}

pub(crate) fn put<T: Field>(map: &mut Map<String, Value>, name: &str, value: &T) {
    map.insert(name.to_owned(), value.to_value());
}

pub(crate) fn put_opt<T: Field>(map: &mut Map<String, Value>, name: &str, value: Option<&T>) {
    if let Some(value) = value {
        map.insert(name.to_owned(), value.to_value());
    }
}

impl Field for bool {
    fn from_value(value: Value) -> Option<Self> {
        value.as_bool()
    }
    fn to_value(&self) -> Value {
        Value::Bool(*self)
    }
}

impl Field for i64 {
    fn from_value(value: Value) -> Option<Self> {
        if let Value::Number(number) = value {
            integer(&number)
        } else {
            None
        }
    }
    fn to_value(&self) -> Value {
        Value::from(*self)
    }
}

impl Field for Decimal {
    fn from_value(value: Value) -> Option<Self> {
        if let Value::Number(number) = value {
            decimal(&number)
        } else {
            None
        }
    }
    fn to_value(&self) -> Value {
        // The text of a Decimal is a JSON number; a value that is not would be refused by the schema.
        self.to_string().parse().map_or(Value::Null, Value::Number)
    }
}

impl Field for String {
    fn from_value(value: Value) -> Option<Self> {
        if let Value::String(text) = value {
            Some(text)
        } else {
            None
        }
    }
    fn to_value(&self) -> Value {
        Value::String(self.clone())
    }
}

impl Field for Timestamp {
    fn from_value(value: Value) -> Option<Self> {
        time::parse_tolerant(value.as_str()?)
    }
    fn to_value(&self) -> Value {
        Value::String(time::write(*self))
    }
}

impl Field for Value {
    fn from_value(value: Value) -> Option<Self> {
        Some(value)
    }
    fn to_value(&self) -> Value {
        self.clone()
    }
}

impl<T: Field> Field for Vec<T> {
    fn from_value(value: Value) -> Option<Self> {
        if let Value::Array(list) = value {
            list.into_iter().map(T::from_value).collect()
        } else {
            None
        }
    }
    fn to_value(&self) -> Value {
        Value::Array(self.iter().map(T::to_value).collect())
    }
}

impl<T: Payload> Field for T {
    fn from_value(value: Value) -> Option<Self> {
        if let Value::Object(map) = value {
            T::read(map)
        } else {
            None
        }
    }
    fn to_value(&self) -> Value {
        Value::Object(self.write())
    }
}

/// An enumeration of words.
macro_rules! enumeration {
    ($name:ident { $($variant:ident = $word:literal,)* }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, clippy::upper_case_acronyms, reason = "the words are the schema's")]
        pub enum $name { $($variant,)* }

        impl $name {
            /// The words, in the order of [`Self::ALL`].
            pub const VALUES: &'static [&'static str] = &[$($word,)*];
            /// Every variant.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                Self::VALUES[self as usize]
            }

            /// The variant of a word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Self::VALUES.iter().position(|value| *value == word).map(|at| Self::ALL[at])
            }
        }

        impl Coded for $name {
            fn from_value(value: Value) -> Option<Self> {
                value.as_str().and_then(Self::from_word)
            }
            fn to_value(&self) -> Value {
                Value::String(self.as_str().to_owned())
            }
        }
    };
}

/// An object: the struct, its table, its constructor, its conversions.
macro_rules! object {
    ($name:ident, $table:ident, {
        $($field:ident: $type:ty = $json:literal, $kind:expr;)*
    }, {
        $($ofield:ident: $otype:ty = $ojson:literal, $okind:expr;)*
    }) => {
        #[derive(Clone, PartialEq)]
        #[allow(missing_docs, clippy::upper_case_acronyms, reason = "the words are the schema's")]
        pub struct $name {
            $(pub $field: $type,)*
            $(pub $ofield: Option<$otype>,)*
        }

        static $table: Object = Object {
            name: stringify!($name),
            fields: &[
                $(Field { name: $json, required: true, kind: $kind },)*
                $(Field { name: $ojson, required: false, kind: $okind },)*
            ],
            open: false,
        };

        impl $name {
            /// The table of this type.
            pub const SCHEMA: &'static Object = &$table;

            /// With what the schema requires; everything optional is absent.
            #[must_use]
            #[allow(clippy::new_without_default, clippy::too_many_arguments, reason = "as many as the schema requires")]
            pub fn new($($field: $type),*) -> Self {
                Self { $($field,)* $($ofield: None,)* }
            }
        }

        impl Payload for $name {
            const SCHEMA: &'static Object = &$table;

            #[allow(unused_mut, unused_variables, reason = "a message may have no optional field")]
            fn read(mut map: Map<String, Value>) -> Option<Self> {
                Some(Self {
                    $($field: take(&mut map, $json)?,)*
                    $($ofield: take_opt(&mut map, $ojson)?,)*
                })
            }

            #[allow(unused_mut, reason = "a message may have no optional field")]
            fn write(&self) -> Map<String, Value> {
                let mut map = Map::new();
                $(put(&mut map, $json, &self.$field);)*
                $(put_opt(&mut map, $ojson, self.$ofield.as_ref());)*
                map
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                $crate::redact::debug(f, stringify!($name), self.write())
            }
        }
    };
}

/// The actions of a version.
macro_rules! messages {
    ($version:ident { $($action:literal: $request:ident => $response:ident;)* }) => {
        $(
            impl Request for $request {
                const ACTION: &'static str = $action;
                const VERSION: $crate::Version = $crate::Version::$version;
                type Response = $response;
            }
        )*

        /// Every action of this version, sorted by name.
        pub static MESSAGES: &[Message] = &[
            $(Message {
                action: $action,
                request: <$request as Payload>::SCHEMA,
                response: <$response as Payload>::SCHEMA,
                request_round_trip: $crate::message::round_trip::<$request>,
                response_round_trip: $crate::message::round_trip::<$response>,
            },)*
        ];
    };
}

pub(crate) use {enumeration, messages, object};
