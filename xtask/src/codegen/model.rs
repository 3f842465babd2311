//! What the schemas of one version say, reduced to what the generated code needs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value};

/// All types of one OCPP version, by Rust name.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) objects: BTreeMap<String, Vec<Property>>,
    pub(crate) enums: BTreeMap<String, Vec<String>>,
    pub(crate) messages: Vec<Message>,
}

/// One action.
pub(crate) struct Message {
    pub(crate) action: String,
    pub(crate) request: String,
    /// None for the unanswered SEND messages of 2.1.
    pub(crate) response: Option<String>,
}

#[derive(PartialEq, Eq)]
pub(crate) struct Property {
    pub(crate) name: String,
    pub(crate) required: bool,
    pub(crate) kind: Kind,
}

#[derive(PartialEq, Eq)]
pub(crate) enum Kind {
    Any,
    Bool,
    Integer {
        min: Option<i64>,
        max: Option<i64>,
    },
    Number {
        min: Option<i64>,
        max: Option<i64>,
        tenths: bool,
    },
    Text {
        max: Option<u64>,
    },
    DateTime,
    Enum(String),
    Object(String),
    Array {
        min: u64,
        max: Option<u64>,
        item: Box<Self>,
    },
}

/// Reads every schema of a folder.
pub(crate) fn load(folder: &Path) -> Result<Model> {
    let mut model = Model::default();
    let mut roots = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        let Some(stem) = path.file_stem().and_then(|s| s.to_str()) else {
            continue;
        };
        let text = fs::read_to_string(&path)?;
        let schema: Value = serde_json::from_str(text.trim_start_matches('\u{feff}'))
            .with_context(|| format!("read {}", path.display()))?;
        roots.insert(stem.to_owned(), schema);
    }
    for (stem, schema) in &roots {
        // 1.6 names a request file after its action; 2.x says Request; a 2.1 SEND says neither.
        let name = if stem.ends_with("Request") || stem.ends_with("Response") {
            stem.clone()
        } else {
            format!("{stem}Request")
        };
        if let Some(definitions) = schema.get("definitions").and_then(Value::as_object) {
            for (key, definition) in definitions {
                model
                    .define(&type_name(key), definition)
                    .with_context(|| format!("{stem}: {key}"))?;
            }
        }
        model.define(&name, schema).with_context(|| stem.clone())?;
        if let Some(action) = name.strip_suffix("Request") {
            let response = format!("{action}Response");
            let response = roots.contains_key(&response).then_some(response);
            model.messages.push(Message {
                action: action.to_owned(),
                request: name,
                response,
            });
        }
    }
    model.messages.sort_by(|a, b| a.action.cmp(&b.action));
    Ok(model)
}

fn type_name(definition: &str) -> String {
    definition.strip_suffix("Type").unwrap_or(definition).to_owned()
}

impl Model {
    fn define(&mut self, name: &str, schema: &Value) -> Result<()> {
        if name == "CustomData" {
            // Open by definition, and the same everywhere: written by hand.
            return Ok(());
        }
        if let Some(values) = schema.get("enum") {
            return self.define_enum(name, values);
        }
        let empty = Map::new();
        let required = schema
            .get("required")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let mut properties = Vec::new();
        for (key, property) in schema
            .get("properties")
            .and_then(Value::as_object)
            .unwrap_or(&empty)
        {
            let kind = self
                .kind(name, key, property)
                .with_context(|| format!("{name}.{key}"))?;
            properties.push(Property {
                name: key.clone(),
                required: required.iter().any(|r| r.as_str() == Some(key)),
                kind,
            });
        }
        properties.sort_by(|a, b| a.name.cmp(&b.name));
        ensure!(
            schema.get("additionalProperties") == Some(&Value::Bool(false)),
            "{name} allows additional properties"
        );
        match self.objects.insert(name.to_owned(), properties) {
            Some(before) if Some(&before) != self.objects.get(name) => bail!("{name} has two definitions"),
            _ => Ok(()),
        }
    }

    fn define_enum(&mut self, name: &str, values: &Value) -> Result<()> {
        let values: Vec<String> = serde_json::from_value(values.clone())?;
        match self.enums.insert(name.to_owned(), values) {
            Some(before) if Some(&before) != self.enums.get(name) => bail!("{name} has two definitions"),
            _ => Ok(()),
        }
    }

    fn kind(&mut self, owner: &str, key: &str, schema: &Value) -> Result<Kind> {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let definition = reference.strip_prefix("#/definitions/").context("foreign $ref")?;
            let name = type_name(definition);
            // The schemas name their enumerations; nothing else carries the word.
            return Ok(if name.ends_with("Enum") {
                Kind::Enum(name)
            } else {
                Kind::Object(name)
            });
        }
        let nested = || format!("{owner}{}", capitalised(key));
        if schema.get("enum").is_some() {
            let name = format!("{}Enum", nested());
            self.define(&name, schema)?;
            return Ok(Kind::Enum(name));
        }
        let bound = |word: &str| schema.get(word).and_then(whole);
        Ok(match schema.get("type").and_then(Value::as_str) {
            None => Kind::Any,
            Some("boolean") => Kind::Bool,
            Some("integer") => Kind::Integer {
                min: bound("minimum"),
                max: bound("maximum"),
            },
            Some("number") => Kind::Number {
                min: bound("minimum"),
                max: bound("maximum"),
                tenths: match schema.get("multipleOf") {
                    None => false,
                    Some(step) if step.as_f64() == Some(0.1) => true,
                    Some(step) => bail!("multipleOf {step} is not known"),
                },
            },
            Some("string") if schema.get("format").and_then(Value::as_str) == Some("date-time") => {
                Kind::DateTime
            }
            Some("string") => Kind::Text {
                max: schema.get("maxLength").and_then(Value::as_u64),
            },
            Some("array") => Kind::Array {
                min: schema.get("minItems").and_then(Value::as_u64).unwrap_or(0),
                max: schema.get("maxItems").and_then(Value::as_u64),
                item: Box::new(self.kind(owner, key, schema.get("items").context("array without items")?)?),
            },
            Some("object") => {
                let name = nested();
                self.define(&name, schema)?;
                Kind::Object(name)
            }
            Some(other) => bail!("type {other} is not known"),
        })
    }
}

/// The schemas write whole bounds as `0.0`.
fn whole(value: &Value) -> Option<i64> {
    let number = value.as_f64()?;
    assert!(number.fract() == 0.0, "bound {number} is not whole");
    Some(number as i64)
}

pub(crate) fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars
        .next()
        .map(|c| c.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}
