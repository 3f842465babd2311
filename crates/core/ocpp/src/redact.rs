//! Messages in logs: structure yes, persons no.

use core::fmt;

use serde_json::{Map, Value};

/// Properties that name or identify a person, a contract or a vehicle, or hold a secret.
const PERSONAL: &[&str] = &[
    "additionalIdToken",
    "apnPassword",
    "apnUserName",
    "basicAuthPassword",
    "certificate",
    "certificateChain",
    "customerIdentifier",
    "data",
    "eMAID",
    "evccId",
    "exiRequest",
    "exiResponse",
    "idTag",
    "idToken",
    "parentIdTag",
    "password",
    "prioritizedEMAIDs",
    "simPin",
    "user",
    "vatNumber",
];

/// Replaces what must not reach a log by `<personal>`, keeping objects (they are redacted inside).
pub(crate) fn redact(map: &mut Map<String, Value>) {
    for (name, value) in map.iter_mut() {
        match value {
            Value::Object(inner) => redact(inner),
            Value::Array(list) if !PERSONAL.contains(&name.as_str()) => {
                list.iter_mut().filter_map(Value::as_object_mut).for_each(redact);
            }
            value if PERSONAL.contains(&name.as_str()) => *value = Value::String("<personal>".to_owned()),
            _ => {}
        }
    }
}

pub(crate) fn debug(f: &mut fmt::Formatter<'_>, name: &str, mut map: Map<String, Value>) -> fmt::Result {
    redact(&mut map);
    write!(f, "{name} {}", Value::Object(map))
}
