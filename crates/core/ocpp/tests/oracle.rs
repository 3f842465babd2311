//! Our types and tables against the OCA's schemas: instances made by another program, and the crate
//! `jsonschema` as a second judge.
#![allow(clippy::print_stdout, reason = "a test that cannot run says so")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops there"
)]

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use gridlatch_ocpp::{Object, Version, find, violations};
use gridlatch_vocab::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Value, json};

const VERSIONS: [(&str, Version); 3] = [
    ("v16", Version::V16),
    ("v201", Version::V201),
    ("v21", Version::V21),
];

/// Equal but for the spelling of times (by instant) and numbers (by value).
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Number(a), Value::Number(b)) => decimal(a.as_str()) == decimal(b.as_str()),
        (Value::String(a), Value::String(b)) if a != b => {
            let time = |text: &str| serde_json::from_value::<Timestamp>(json!(text)).ok();
            time(a).is_some() && time(a) == time(b)
        }
        (a, b) => a == b,
    }
}

fn decimal(text: &str) -> Decimal {
    text.parse().or_else(|_| Decimal::from_scientific(text)).unwrap()
}

fn schema_of(version: Version, name: &str) -> (&'static Object, gridlatch_ocpp::RoundTrip) {
    let (action, response) = match name.strip_suffix("Response") {
        Some(action) => (action, true),
        None => (name.strip_suffix("Request").unwrap_or(name), false),
    };
    let message = find(version, action).unwrap_or_else(|| panic!("{name} is not known"));
    if response {
        (message.response, message.response_round_trip)
    } else {
        (message.request, message.request_round_trip)
    }
}

/// The venv with `jsonschema`, the schemas it ships and the generator; `None` (with a word) where one is missing.
fn generator() -> Option<(PathBuf, PathBuf)> {
    let beside = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../../shared/oracles/ocpp/gen.py"
    );
    let generator =
        std::env::var("GRIDLATCH_OCPP_ORACLE").map_or_else(|_| PathBuf::from(beside), PathBuf::from);
    let generator = generator.is_file().then_some(generator);
    let python = [
        std::env::var("GRIDLATCH_PYTHON").unwrap_or_default(),
        "python3".to_owned(),
    ]
    .into_iter()
    .find(|python| {
        let probe = Command::new(python).args(["-c", "import jsonschema"]).output();
        probe.is_ok_and(|output| output.status.success())
    });
    match (generator, python) {
        (Some(generator), Some(python)) => Some((generator, python.into())),
        (generator, python) => {
            println!(
                "skipped: every_generated_instance: needs gen.py ({}) and a Python with jsonschema ({})",
                if generator.is_some() { "found" } else { "missing" },
                if python.is_some() { "found" } else { "missing" },
            );
            None
        }
    }
}

/// gen.py wants `<folder>/<version>/schemas/`, as the Python package lays it out.
fn laid_out(root: &Path) {
    for (folder, _) in VERSIONS {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(folder);
        std::fs::create_dir_all(root.join(folder)).unwrap();
        std::os::unix::fs::symlink(from, root.join(folder).join("schemas")).unwrap();
    }
}

#[test]
fn every_generated_instance_is_judged_as_the_schema_says_and_survives_the_round_trip() {
    let Some((generator, python)) = generator() else {
        return;
    };
    let root = tempfile::tempdir().unwrap();
    laid_out(root.path());
    let out = root.path().join("instances.jsonl");
    let made = Command::new(python)
        .arg(generator)
        .arg(root.path())
        .arg(&out)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for line in std::io::BufReader::new(std::fs::File::open(out).unwrap()).lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let version = VERSIONS
            .iter()
            .find(|(folder, _)| line["v"] == *folder)
            .unwrap()
            .1;
        let (schema, round_trip) = schema_of(version, line["n"].as_str().unwrap());
        let instance = &line["i"];
        let found = violations(schema, instance);
        let mut fault = |kind| {
            *count.entry(kind).or_default() += 1;
            wrong.push(format!(
                "{kind}: {} {} {} {found:?}",
                line["v"], line["n"], line["k"]
            ));
        };
        if line["ok"] == false {
            if found.is_empty() {
                fault("invalid accepted");
            }
            *count.entry("invalid").or_default() += 1;
            continue;
        }
        match round_trip(instance.clone()) {
            None => fault("valid refused"),
            Some(back) if !same(instance, &back) => fault("lost in the round trip"),
            Some(_) if !found.is_empty() => fault("valid refused"),
            Some(_) => {}
        }
        *count.entry("valid").or_default() += 1;
    }
    println!("{count:?}");
    assert!(
        wrong.is_empty(),
        "{count:?}\n{}",
        wrong[..wrong.len().min(20)].join("\n")
    );
    assert!(count["valid"] > 6_000 && count["invalid"] > 9_000, "{count:?}");
}

#[test]
fn jsonschema_agrees_with_our_tables() {
    let at = "2026-11-21T02:00:00Z";
    let event = json!({ "eventType": "Updated", "seqNo": 1, "timestamp": at, "triggerReason": "Trigger",
        "transactionInfo": { "transactionId": "t" },
        "meterValue": [{ "timestamp": at, "sampledValue": [{ "value": 1.5, "measurand": "SoC" }] }],
        "customData": { "vendorId": "x", "anything": [1, { "deep": null }] } });
    let edit = |path: &str, value: Value| {
        let mut event = event.clone();
        match event.pointer_mut(path) {
            Some(place) => *place = value,
            None => {
                let (parent, key) = path.rsplit_once('/').unwrap();
                event.pointer_mut(parent).unwrap()[key] = value;
            }
        }
        event
    };
    let mut no_number = event.clone();
    no_number.as_object_mut().unwrap().remove("seqNo");
    let cases = [
        event.clone(),
        no_number,
        edit("/seqNo", json!(1.0)),
        edit("/seqNo", json!(1.5)),
        edit("/seqNo", json!("1")),
        edit("/eventType", json!("updated")),
        edit("/unknown", json!(1)),
        edit("/transactionInfo/transactionId", json!("x".repeat(36))),
        edit("/transactionInfo/transactionId", json!("x".repeat(37))),
        edit("/transactionInfo/transactionId", json!("é".repeat(36))),
        edit("/meterValue", json!([])),
        edit("/meterValue/0/sampledValue", json!([])),
        edit("/meterValue/0/sampledValue/0/value", json!("1.5")),
        edit("/meterValue/0/sampledValue/0/value", json!(-1e3)),
        edit("/customData", json!({})),
        edit("/customData/vendorId", json!("v".repeat(256))),
        edit("/offline", Value::Null),
        edit("/evse", json!([])),
        json!([]),
        json!("text"),
    ];
    for (folder, version) in &VERSIONS[1..] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("schemas/{folder}/TransactionEventRequest.json"));
        let text = std::fs::read_to_string(path).unwrap();
        let schema = serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap();
        let judge = jsonschema::validator_for(&schema).unwrap();
        let ours = find(*version, "TransactionEvent").unwrap().request;
        for case in &cases {
            assert_eq!(
                violations(ours, case).is_empty(),
                judge.is_valid(case),
                "{folder} {case}"
            );
        }
    }
}
