//! Schemas as static tables, and the one interpreter that checks a JSON value against them.
//!
//! Code per type would cost tens of thousands of lines of machine code for 387 schemas; a table costs
//! data. The tables are written by the generator from the OCA's JSON schemas.

use core::fmt;

use rust_decimal::Decimal;
use serde_json::{Map, Number, Value};

use crate::time::{parse_exact, parse_tolerant};

/// An object type.
#[derive(Debug)]
pub struct Object {
    /// The name the schema gives it.
    pub name: &'static str,
    /// Its properties.
    pub fields: &'static [Field],
    /// Unknown properties are part of the type (`customData` only).
    pub open: bool,
}

/// A property of an object type.
#[derive(Debug)]
pub struct Field {
    /// The JSON name.
    pub name: &'static str,
    /// It must be present.
    pub required: bool,
    /// What it holds.
    pub kind: Kind,
}

/// What a property holds.
#[derive(Debug)]
pub enum Kind {
    /// Any JSON value.
    Any,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Integer {
        /// Smallest allowed.
        min: Option<i64>,
        /// Largest allowed.
        max: Option<i64>,
    },
    /// A decimal number.
    Number {
        /// Smallest allowed.
        min: Option<i64>,
        /// Largest allowed.
        max: Option<i64>,
        /// At most one decimal (1.6: `multipleOf` 0.1).
        tenths: bool,
    },
    /// Text.
    Text {
        /// Longest allowed, in characters.
        max: Option<u32>,
    },
    /// An RFC 3339 date and time.
    DateTime,
    /// One of these words.
    Enum(&'static [&'static str]),
    /// A nested object.
    Object(&'static Object),
    /// A list.
    Array {
        /// Fewest allowed.
        min: u32,
        /// Most allowed.
        max: Option<u32>,
        /// What each element holds.
        item: &'static Self,
    },
}

/// How a value breaks its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ViolationKind {
    /// A required property is absent.
    Missing,
    /// A property the schema does not know.
    UnknownProperty,
    /// The JSON type is another one.
    WrongType,
    /// `null` where the schema wants the property to be absent.
    Null,
    /// A word outside the enumeration.
    UnknownWord,
    /// Text longer than allowed.
    TooLong,
    /// Not an RFC 3339 date and time.
    NotATime,
    /// A time that lacks its zone or its `T`; read as UTC.
    LooseTime,
    /// A number outside its range.
    OutOfRange,
    /// More decimals than allowed.
    TooPrecise,
    /// A list shorter than allowed.
    TooFew,
    /// A list longer than allowed.
    TooMany,
}

impl ViolationKind {
    /// Whether a receiver can still act on the message: nothing is lost or guessed. Real charging
    /// stations break exactly these (too long serial numbers, vendor properties, local times, `null`).
    #[must_use]
    pub const fn is_tolerable(self) -> bool {
        matches!(
            self,
            Self::UnknownProperty
                | Self::Null
                | Self::TooLong
                | Self::LooseTime
                | Self::TooPrecise
                | Self::TooFew
                | Self::TooMany
        )
    }

    /// A word for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::UnknownProperty => "unknown property",
            Self::WrongType => "wrong type",
            Self::Null => "null",
            Self::UnknownWord => "unknown word",
            Self::TooLong => "too long",
            Self::NotATime => "not a time",
            Self::LooseTime => "time without zone",
            Self::OutOfRange => "out of range",
            Self::TooPrecise => "too many decimals",
            Self::TooFew => "too few elements",
            Self::TooMany => "too many elements",
        }
    }
}

/// One place where a value breaks its schema. Holds no value from the message: values may be personal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Where, as `/chargingStation/serialNumber`.
    pub path: String,
    /// How.
    pub kind: ViolationKind,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "/" } else { &self.path };
        write!(f, "{path}: {}", self.kind.as_str())
    }
}

/// How many violations of one message are kept; the peer decides how many there are.
pub const MAX_VIOLATIONS: usize = 16;

/// Longest name of an unknown property that is repeated in a violation.
const MAX_NAME: usize = 50;

/// Everything wrong with `value`, at most [`MAX_VIOLATIONS`], intolerable ones never crowded out by
/// tolerable ones. Empty means the value satisfies the schema.
#[must_use]
pub fn violations(schema: &'static Object, value: &Value) -> Vec<Violation> {
    let mut check = Check {
        path: Vec::new(),
        found: Vec::new(),
    };
    check.object(schema, value);
    check.found
}

enum Step<'a> {
    Name(&'a str),
    Index(usize),
}

struct Check<'a> {
    path: Vec<Step<'a>>,
    found: Vec<Violation>,
}

impl<'a> Check<'a> {
    fn report(&mut self, kind: ViolationKind) {
        if self.found.len() == MAX_VIOLATIONS {
            // Full: an intolerable violation takes the place of a tolerable one.
            if kind.is_tolerable() || self.found.pop_if(|last| last.kind.is_tolerable()).is_none() {
                return;
            }
        }
        let mut path = String::new();
        for step in &self.path {
            path.push('/');
            match step {
                Step::Name(name) => path.extend(name.chars().take(MAX_NAME)),
                Step::Index(index) => path.push_str(&index.to_string()),
            }
        }
        self.found.push(Violation { path, kind });
    }

    fn object(&mut self, schema: &'static Object, value: &'a Value) {
        let Value::Object(map) = value else {
            return self.report(ViolationKind::WrongType);
        };
        let mut known = 0;
        for field in schema.fields {
            let Some(value) = map.get(field.name) else {
                if field.required {
                    self.path.push(Step::Name(field.name));
                    self.report(ViolationKind::Missing);
                    self.path.pop();
                }
                continue;
            };
            known += 1;
            self.path.push(Step::Name(field.name));
            if value.is_null() && !field.required && !matches!(field.kind, Kind::Any) {
                self.report(ViolationKind::Null);
            } else {
                self.value(&field.kind, value);
            }
            self.path.pop();
        }
        if known < map.len() && !schema.open {
            self.unknown(schema, map);
        }
    }

    fn unknown(&mut self, schema: &'static Object, map: &'a Map<String, Value>) {
        for name in map
            .keys()
            .filter(|name| schema.fields.iter().all(|f| f.name != *name))
        {
            self.path.push(Step::Name(name));
            self.report(ViolationKind::UnknownProperty);
            self.path.pop();
        }
    }

    fn value(&mut self, kind: &'static Kind, value: &'a Value) {
        match (kind, value) {
            (Kind::Any, _) | (Kind::Bool, Value::Bool(_)) => {}
            (Kind::Integer { min, max }, Value::Number(number)) => match integer(number) {
                None => self.report(ViolationKind::WrongType),
                Some(n) if min.is_some_and(|m| n < m) || max.is_some_and(|m| n > m) => {
                    self.report(ViolationKind::OutOfRange);
                }
                Some(_) => {}
            },
            (Kind::Number { min, max, tenths }, Value::Number(number)) => match decimal(number) {
                None => self.report(ViolationKind::WrongType),
                Some(n) if min.is_some_and(|m| n < m.into()) || max.is_some_and(|m| n > m.into()) => {
                    self.report(ViolationKind::OutOfRange);
                }
                Some(n) if *tenths && n.normalize().scale() > 1 => self.report(ViolationKind::TooPrecise),
                Some(_) => {}
            },
            (Kind::Text { max }, Value::String(text)) => {
                // Bytes first: counting characters is needed only for texts that may be too long.
                if max.is_some_and(|max| text.len() > max as usize && text.chars().count() > max as usize) {
                    self.report(ViolationKind::TooLong);
                }
            }
            (Kind::DateTime, Value::String(text)) => {
                if parse_exact(text).is_none() {
                    let loose = parse_tolerant(text).is_some();
                    self.report(if loose {
                        ViolationKind::LooseTime
                    } else {
                        ViolationKind::NotATime
                    });
                }
            }
            (Kind::Enum(words), Value::String(text)) => {
                if !words.contains(&text.as_str()) {
                    self.report(ViolationKind::UnknownWord);
                }
            }
            (Kind::Object(schema), value) => self.object(schema, value),
            (Kind::Array { min, max, item }, Value::Array(list)) => {
                if list.len() < *min as usize {
                    self.report(ViolationKind::TooFew);
                } else if max.is_some_and(|max| list.len() > max as usize) {
                    self.report(ViolationKind::TooMany);
                }
                for (index, value) in list.iter().enumerate() {
                    self.path.push(Step::Index(index));
                    self.value(item, value);
                    self.path.pop();
                }
            }
            _ => self.report(ViolationKind::WrongType),
        }
    }
}

/// The exact value of a JSON number, where 28 digits hold it.
pub(crate) fn decimal(number: &Number) -> Option<Decimal> {
    let text = number.as_str();
    // A number of thousands of digits is not worth reading; 40 hold every Decimal with its exponent.
    if text.len() > 40 {
        return None;
    }
    if text.contains(['e', 'E']) {
        Decimal::from_scientific(text).ok()
    } else {
        Decimal::from_str_exact(text).ok()
    }
}

/// The whole number a JSON number stands for; `12.0` and `1e3` are whole (JSON schema draft 6).
pub(crate) fn integer(number: &Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let value = decimal(number)?;
        if value.is_integer() {
            i64::try_from(value).ok()
        } else {
            None
        }
    })
}
