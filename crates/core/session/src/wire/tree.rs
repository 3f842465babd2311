//! A decoded value in schema order, and its two renderings: JSON and text.

use serde_json::{Map, Number, Value};

/// A decoded value. Unlike a JSON value it keeps schema order, bytes and physical quantities apart.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    /// Absent.
    Nothing,
    /// `true` or `false`.
    Flag(bool),
    /// A single byte; a list of them becomes [`Tree::Bytes`].
    Byte(u8),
    /// A whole number.
    Int(i128),
    /// A fraction.
    Float(f64),
    /// Text, or the name of an enumeration value.
    Text(String),
    /// Raw bytes, printed as hex.
    Bytes(Vec<u8>),
    /// `PhysicalValue` (-2) or `RationalNumber` (-20): value × 10^exponent.
    Quantity {
        /// The 16-bit number on the wire.
        value: i64,
        /// The power of ten.
        exponent: i32,
        /// The unit, which -20 leaves to the field's name.
        unit: Option<String>,
    },
    /// A list.
    List(Vec<Self>),
    /// Named fields in schema order.
    Fields(Vec<(String, Self)>),
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use core::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// value × 10^exponent, rounded once.
fn number(value: i64, exponent: i32) -> f64 {
    let exponent = exponent.clamp(-300, 290);
    if exponent < 0 {
        value as f64 / 10f64.powi(-exponent)
    } else {
        value as f64 * 10f64.powi(exponent)
    }
}

impl Tree {
    /// Text, from anything that can become a `String`.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// The field of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Fields(fields) => fields.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text, where this is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The quantity as a number, where this is one.
    #[must_use]
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Quantity { value, exponent, .. } => Some(number(*value, *exponent)),
            Self::Int(value) => Some(*value as f64),
            Self::Byte(value) => Some(f64::from(*value)),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// As JSON: bytes as hex, quantities as `{number, unit, value, exponent}`, absent fields left out.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Nothing => Value::Null,
            Self::Flag(flag) => Value::Bool(*flag),
            Self::Byte(byte) => Value::from(*byte),
            Self::Int(int) => Number::from_i128(*int).map_or(Value::Null, Value::Number),
            Self::Float(float) => Number::from_f64(*float).map_or(Value::Null, Value::Number),
            Self::Text(text) => Value::String(text.clone()),
            Self::Bytes(bytes) => Value::String(hex(bytes)),
            Self::Quantity {
                value,
                exponent,
                unit,
            } => {
                let mut object = Map::new();
                object.insert("number".into(), Self::Float(number(*value, *exponent)).to_json());
                if let Some(unit) = unit {
                    object.insert("unit".into(), unit.as_str().into());
                }
                object.insert("value".into(), (*value).into());
                object.insert("exponent".into(), (*exponent).into());
                Value::Object(object)
            }
            Self::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Self::Fields(fields) => Value::Object(
                fields
                    .iter()
                    .filter(|(_, value)| *value != Self::Nothing)
                    .map(|(key, value)| (key.clone(), value.to_json()))
                    .collect(),
            ),
        }
    }

    /// A leaf on one line; bytes above `limit` characters are cut with their length.
    fn leaf(&self, limit: usize) -> Option<String> {
        Some(match self {
            Self::Flag(flag) => flag.to_string(),
            Self::Byte(byte) => byte.to_string(),
            Self::Int(int) => int.to_string(),
            Self::Float(float) => float.to_string(),
            Self::Text(text) if text.chars().count() > limit => {
                let cut: String = text.chars().take(limit).collect();
                format!("{}...", cut.escape_debug())
            }
            Self::Text(text) => text.escape_debug().to_string(),
            Self::Bytes(bytes) if bytes.len() * 2 > limit => {
                format!("{}... ({} bytes)", hex(&bytes[..limit / 2]), bytes.len())
            }
            Self::Bytes(bytes) => hex(bytes),
            Self::Quantity {
                value,
                exponent,
                unit,
            } => match unit {
                Some(unit) => format!("{} {unit}", number(*value, *exponent)),
                None => number(*value, *exponent).to_string(),
            },
            Self::Nothing | Self::List(_) | Self::Fields(_) => return None,
        })
    }

    /// The first leaves as `name=value`, within about `width` characters. The message header and the
    /// response code are left out: the line says them elsewhere.
    #[must_use]
    pub fn summary(&self, width: usize) -> String {
        let mut line = String::new();
        let mut left_out = false;
        self.summarise("", width, &mut line, &mut left_out);
        if left_out {
            line.push_str(" ...");
        }
        line
    }

    fn summarise(&self, name: &str, width: usize, line: &mut String, left_out: &mut bool) {
        if *left_out {
            return;
        }
        match self {
            Self::Fields(fields) => {
                for (key, value) in fields {
                    if key != "header" && key != "response_code" {
                        value.summarise(key, width, line, left_out);
                    }
                }
            }
            Self::List(items) => {
                for item in items {
                    item.summarise(name, width, line, left_out);
                }
            }
            leaf => {
                let Some(text) = leaf.leaf(40) else { return };
                let pair = format!("{name}={text}");
                if !line.is_empty() && line.len() + pair.len() + 1 > width {
                    *left_out = true;
                    return;
                }
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(&pair);
            }
        }
    }

    /// Every field on its own line, indented by two spaces per level below `indent`.
    #[must_use]
    pub fn to_text(&self, indent: usize) -> String {
        let mut text = String::new();
        self.write_text(indent, &mut text);
        text
    }

    fn write_text(&self, indent: usize, out: &mut String) {
        let pad = "  ".repeat(indent);
        match self {
            Self::Fields(fields) => {
                for (key, value) in fields.iter().filter(|(_, value)| *value != Self::Nothing) {
                    Self::write_entry(&pad, key, value, indent, out);
                }
            }
            Self::List(items) => {
                for item in items {
                    Self::write_entry(&pad, "-", item, indent, out);
                }
            }
            leaf => {
                if let Some(leaf) = leaf.leaf(usize::MAX) {
                    out.push_str(&format!("{pad}{leaf}\n"));
                }
            }
        }
    }

    fn write_entry(pad: &str, key: &str, value: &Self, indent: usize, out: &mut String) {
        let mark = if key == "-" { "" } else { ":" };
        match value.leaf(usize::MAX) {
            Some(leaf) => out.push_str(&format!("{pad}{key}{mark} {leaf}\n")),
            None => {
                out.push_str(&format!("{pad}{key}{mark}\n"));
                value.write_text(indent + 1, out);
            }
        }
    }
}
