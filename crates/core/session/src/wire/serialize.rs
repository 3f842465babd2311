//! Turns any value of the protocol core into a [`Tree`] through its `serde` implementation, with a
//! budget: a 16 kB message can decode to tens of megabytes, and a description must not double that.

use core::cell::Cell;
use core::fmt;

use serde::ser::{self, Serialize};

use super::{MAX_DESCRIPTION, Tree};

/// Describes a value, refusing above [`MAX_DESCRIPTION`] bytes.
pub(super) fn describe(value: &impl Serialize) -> Result<Tree, TooLarge> {
    let budget = Cell::new(MAX_DESCRIPTION);
    value.serialize(ToTree { budget: &budget })
}

/// The description outgrew its budget (or a `Serialize` implementation failed, which none here does).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the message describes as more than {MAX_DESCRIPTION} bytes")
    }
}

impl std::error::Error for TooLarge {}

impl ser::Error for TooLarge {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

#[derive(Clone, Copy)]
struct ToTree<'b> {
    budget: &'b Cell<usize>,
}

impl ToTree<'_> {
    fn spend(self, bytes: usize) -> Result<(), TooLarge> {
        let left = self.budget.get().checked_sub(bytes).ok_or(TooLarge)?;
        self.budget.set(left);
        Ok(())
    }

    fn leaf(self, tree: Tree) -> Result<Tree, TooLarge> {
        self.spend(8)?;
        Ok(tree)
    }
}

/// `FAILEDSequenceError` as the schema writes it: `FAILED_SequenceError`.
fn response_code(variant: &str) -> String {
    for prefix in ["OK", "WARNING", "FAILED", "Failed"] {
        if let Some(rest) = variant.strip_prefix(prefix) {
            let joint = if rest.is_empty() { "" } else { "_" };
            return format!("{prefix}{joint}{rest}");
        }
    }
    match variant.strip_prefix("Ok") {
        Some(rest) => format!("OK_{rest}"),
        None => variant.to_owned(),
    }
}

/// A list of bytes is a byte string; anything else stays a list.
fn list(items: Vec<Tree>) -> Tree {
    let bytes: Option<Vec<u8>> = items
        .iter()
        .map(|item| {
            if let Tree::Byte(byte) = item {
                Some(*byte)
            } else {
                None
            }
        })
        .collect();
    match bytes {
        Some(bytes) if !bytes.is_empty() => Tree::Bytes(bytes),
        _ => Tree::List(items),
    }
}

/// Recognises the two ways ISO 15118 writes a physical quantity.
fn structure(name: &str, fields: Vec<(String, Tree)>) -> Tree {
    let exponent_name = match name {
        "PhysicalValue" => "multiplier",
        "RationalNumber" => "exponent",
        _ => return Tree::Fields(fields),
    };
    let tree = Tree::Fields(fields);
    let (Some(Tree::Int(exponent)), Some(Tree::Int(value))) = (tree.get(exponent_name), tree.get("value"))
    else {
        return tree;
    };
    let (Ok(exponent), Ok(value)) = (i32::try_from(*exponent), i64::try_from(*value)) else {
        return tree;
    };
    let unit = tree.get("unit").and_then(Tree::as_text).map(|unit| match unit {
        "H" | "M" | "S" => unit.to_ascii_lowercase(),
        _ => unit.to_owned(),
    });
    Tree::Quantity {
        value,
        exponent,
        unit,
    }
}

macro_rules! integers {
    ($($method:ident $type:ty),*) => {
        $(fn $method(self, value: $type) -> Result<Tree, TooLarge> {
            self.leaf(Tree::Int(value.into()))
        })*
    };
}

impl<'b> ser::Serializer for ToTree<'b> {
    type Ok = Tree;
    type Error = TooLarge;
    type SerializeSeq = Items<'b>;
    type SerializeTuple = Items<'b>;
    type SerializeTupleStruct = Items<'b>;
    type SerializeTupleVariant = Items<'b>;
    type SerializeMap = Entries<'b>;
    type SerializeStruct = Entries<'b>;
    type SerializeStructVariant = Entries<'b>;

    integers!(serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64, serialize_i128 i128,
        serialize_u16 u16, serialize_u32 u32, serialize_u64 u64);

    fn serialize_bool(self, value: bool) -> Result<Tree, TooLarge> {
        self.leaf(Tree::Flag(value))
    }
    fn serialize_u8(self, value: u8) -> Result<Tree, TooLarge> {
        self.spend(2)?;
        Ok(Tree::Byte(value))
    }
    fn serialize_f32(self, value: f32) -> Result<Tree, TooLarge> {
        self.leaf(Tree::Float(value.into()))
    }
    fn serialize_f64(self, value: f64) -> Result<Tree, TooLarge> {
        self.leaf(Tree::Float(value))
    }
    fn serialize_char(self, value: char) -> Result<Tree, TooLarge> {
        self.leaf(Tree::text(value))
    }
    fn serialize_str(self, value: &str) -> Result<Tree, TooLarge> {
        self.spend(8 + value.len())?;
        Ok(Tree::text(value))
    }
    fn serialize_bytes(self, value: &[u8]) -> Result<Tree, TooLarge> {
        self.spend(8 + 2 * value.len())?;
        Ok(Tree::Bytes(value.to_vec()))
    }
    fn serialize_none(self) -> Result<Tree, TooLarge> {
        Ok(Tree::Nothing)
    }
    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<Tree, TooLarge> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<Tree, TooLarge> {
        Ok(Tree::Fields(Vec::new()))
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<Tree, TooLarge> {
        Ok(Tree::Fields(Vec::new()))
    }
    fn serialize_unit_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Tree, TooLarge> {
        self.leaf(Tree::Text(if name == "ResponseCode" {
            response_code(variant)
        } else {
            variant.to_owned()
        }))
    }
    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Tree, TooLarge> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Tree, TooLarge> {
        self.spend(variant.len())?;
        Ok(Tree::Fields(vec![(variant.to_owned(), value.serialize(self)?)]))
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'b>, TooLarge> {
        Ok(Items {
            to: self,
            variant: None,
            items: Vec::new(),
        })
    }
    fn serialize_tuple(self, length: usize) -> Result<Items<'b>, TooLarge> {
        self.serialize_seq(Some(length))
    }
    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Items<'b>, TooLarge> {
        self.serialize_seq(Some(length))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items<'b>, TooLarge> {
        Ok(Items {
            to: self,
            variant: Some(variant),
            items: Vec::new(),
        })
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Entries<'b>, TooLarge> {
        self.serialize_struct("", 0)
    }
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Entries<'b>, TooLarge> {
        Ok(Entries {
            to: self,
            name,
            variant: None,
            key: String::new(),
            fields: Vec::new(),
        })
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Entries<'b>, TooLarge> {
        Ok(Entries {
            to: self,
            name: "",
            variant: Some(variant),
            key: String::new(),
            fields: Vec::new(),
        })
    }
}

/// A list under construction.
struct Items<'b> {
    to: ToTree<'b>,
    variant: Option<&'static str>,
    items: Vec<Tree>,
}

impl Items<'_> {
    fn push<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), TooLarge> {
        self.items.push(value.serialize(self.to)?);
        Ok(())
    }

    fn done(self) -> Tree {
        let tree = list(self.items);
        match self.variant {
            Some(variant) => Tree::Fields(vec![(variant.to_owned(), tree)]),
            None => tree,
        }
    }
}

macro_rules! items {
    ($($trait:ident $method:ident),*) => {
        $(impl ser::$trait for Items<'_> {
            type Ok = Tree;
            type Error = TooLarge;
            fn $method<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), TooLarge> {
                self.push(value)
            }
            fn end(self) -> Result<Tree, TooLarge> {
                Ok(self.done())
            }
        })*
    };
}

items!(SerializeSeq serialize_element, SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field, SerializeTupleVariant serialize_field);

/// Named fields under construction.
struct Entries<'b> {
    to: ToTree<'b>,
    name: &'static str,
    variant: Option<&'static str>,
    key: String,
    fields: Vec<(String, Tree)>,
}

impl Entries<'_> {
    fn push<T: ?Sized + Serialize>(&mut self, key: &str, value: &T) -> Result<(), TooLarge> {
        self.to.spend(key.len())?;
        // A one-byte exponent is a number here, not a byte string.
        let value = match value.serialize(self.to)? {
            Tree::Byte(byte) => Tree::Int(byte.into()),
            other => other,
        };
        self.fields.push((key.to_owned(), value));
        Ok(())
    }

    fn done(self) -> Tree {
        let tree = structure(self.name, self.fields);
        match self.variant {
            Some(variant) => Tree::Fields(vec![(variant.to_owned(), tree)]),
            None => tree,
        }
    }
}

macro_rules! entries {
    ($($trait:ident),*) => {
        $(impl ser::$trait for Entries<'_> {
            type Ok = Tree;
            type Error = TooLarge;
            fn serialize_field<T: ?Sized + Serialize>(&mut self, key: &'static str, value: &T) -> Result<(), TooLarge> {
                self.push(key, value)
            }
            fn end(self) -> Result<Tree, TooLarge> {
                Ok(self.done())
            }
        })*
    };
}

entries!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Entries<'_> {
    type Ok = Tree;
    type Error = TooLarge;
    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), TooLarge> {
        self.key = match key.serialize(self.to)? {
            Tree::Text(text) => text,
            Tree::Int(int) => int.to_string(),
            _ => String::new(),
        };
        Ok(())
    }
    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), TooLarge> {
        let key = core::mem::take(&mut self.key);
        self.push(&key, value)
    }
    fn end(self) -> Result<Tree, TooLarge> {
        Ok(self.done())
    }
}
