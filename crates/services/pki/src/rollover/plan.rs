//! A root's rollover as a file: the plan of [`gridlatch_trust::rollover`] in JSON, PEM inside.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use gridlatch_keys::write_atomically;
use gridlatch_trust::certificate;
use gridlatch_trust::profile::Kind;
use gridlatch_trust::rollover::{Plan, Stage};
use gridlatch_vocab::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A plan in octets; it holds a handful of certificates.
pub const MAX_OCTETS: u64 = 1024 * 1024;

/// A plan cannot be used.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The file cannot be read or written.
    #[error("cannot {operation} {path}", path = .path.display())]
    File {
        /// What was attempted.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// It is not a plan.
    #[error("{path} is no plan: {reason}", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    kind: String,
    old: String,
    new: String,
    #[serde(default)]
    dates: BTreeMap<String, Timestamp>,
    #[serde(default)]
    done: BTreeMap<String, Timestamp>,
    #[serde(default)]
    links: String,
    #[serde(default)]
    recertified: String,
    #[serde(default)]
    exempt: BTreeSet<String>,
}

/// Reads a plan.
///
/// # Errors
/// The file cannot be read, or is no plan.
pub fn load(path: &Path) -> Result<Plan, PlanError> {
    let failed = |source| PlanError::File {
        operation: "read",
        path: path.to_owned(),
        source,
    };
    let damaged = |reason: String| PlanError::Damaged {
        path: path.to_owned(),
        reason,
    };
    // One octet more than it may have, whatever a pipe or a device says of its length.
    let mut text = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_OCTETS + 1).read_to_end(&mut text))
        .map_err(failed)?;
    if text.len() as u64 > MAX_OCTETS {
        return Err(damaged(format!("it is larger than {MAX_OCTETS} octets")));
    }
    read(&text).map_err(damaged)
}

/// Reads a plan's text.
///
/// # Errors
/// What is wrong with it.
pub fn read(text: &[u8]) -> Result<Plan, String> {
    let damaged = |reason: String| reason;
    let file: File = serde_json::from_slice(text).map_err(|error| damaged(error.to_string()))?;
    let pem = |text: &str| {
        certificate::from_pem(text.as_bytes()).map_err(|error| damaged(format!("a certificate: {error}")))
    };
    let one = |text: &str| match pem(text)?.as_mut_slice() {
        [one] => Ok(std::mem::take(one)),
        _ => Err(damaged("a root is one certificate in PEM".to_owned())),
    };
    let stages = |dates: &BTreeMap<String, Timestamp>| {
        dates
            .iter()
            .map(|(name, at)| {
                Stage::ALL
                    .into_iter()
                    .find(|stage| stage.as_str() == name)
                    .map(|stage| (stage, *at))
                    .ok_or_else(|| damaged(format!("{name:?} is no stage")))
            })
            .collect::<Result<BTreeMap<_, _>, _>>()
    };
    Ok(Plan {
        kind: Kind::from_slug(&file.kind)
            .filter(|kind| kind.is_root())
            .ok_or_else(|| damaged(format!("{:?} is no kind of root", file.kind)))?,
        old: one(&file.old)?,
        new: one(&file.new)?,
        dates: stages(&file.dates)?,
        done: stages(&file.done)?,
        links: pem(&file.links)?,
        recertified: pem(&file.recertified)?,
        exempt: file.exempt,
    })
}

/// Writes a plan, as a whole or not at all.
///
/// # Errors
/// The file cannot be written; the old content is then still there.
pub fn save(path: &Path, plan: &Plan) -> Result<(), PlanError> {
    let failed = |source| PlanError::File {
        operation: "write",
        path: path.to_owned(),
        source,
    };
    let text = write(plan).map_err(|error| failed(error.into()))?;
    write_atomically(path, &text, 0o644).map_err(failed)
}

/// A plan as text, as [`read`] takes it.
///
/// # Errors
/// None that a plan can cause.
pub fn write(plan: &Plan) -> Result<Vec<u8>, serde_json::Error> {
    let pem = |all: &[Vec<u8>]| all.iter().map(|der| certificate::to_pem(der)).collect::<String>();
    let stages = |dates: &BTreeMap<Stage, Timestamp>| {
        dates
            .iter()
            .map(|(stage, at)| (stage.as_str().to_owned(), *at))
            .collect()
    };
    let file = File {
        kind: plan.kind.slug().to_owned(),
        old: certificate::to_pem(&plan.old),
        new: certificate::to_pem(&plan.new),
        dates: stages(&plan.dates),
        done: stages(&plan.done),
        links: pem(&plan.links),
        recertified: pem(&plan.recertified),
        exempt: plan.exempt.clone(),
    };
    serde_json::to_vec_pretty(&file)
}
