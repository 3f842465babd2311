//! `tidy`: rules of the workspace as a check, each with the file and what to do about it.
//!
//! - [`layers`]: dependencies between our crates point down, services never meet, cores are pure.
//! - [`limits`]: `docs/limits.md` states the values that the code enforces.
//! - [`register`]: every third-party crate stands in `docs/dependencies.md` with the crates that may use it.
//! - [`sources`]: size, crate docs, unsafe code, leftovers, paths of somebody's machine.
//!
//! Each rule is a function from values to findings, so that its tests need no files.

mod layers;
mod limits;
mod register;
mod sources;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{DependencyKind, MetadataCommand};

/// One broken rule: where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    place: String,
    message: String,
}

impl Finding {
    fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            message: message.into(),
        }
    }
}

/// A package of the workspace, as far as the rules care.
#[derive(Debug, Clone, Default)]
struct Package {
    name: String,
    /// Folder below the workspace root, with `/`.
    folder: String,
    manifest: String,
    /// The crate roots (lib, bins), below the workspace root.
    roots: Vec<String>,
    /// Names of normal and build dependencies.
    uses: Vec<String>,
    /// Names of dev-dependencies.
    tests_use: Vec<String>,
}

/// Runs every rule and prints what is broken; says whether all is well.
#[allow(clippy::print_stderr, reason = "findings are this tool's output")]
pub(crate) fn run() -> Result<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .context("find the workspace")?;
    let packages = packages(&root)?;
    let files = files(&root)?;
    let register = std::fs::read_to_string(root.join(register::PAGE)).unwrap_or_default();
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).context("read Cargo.toml")?;

    let mut findings = layers::check(&packages);
    findings.extend(register::check(&packages, &register, &manifest));
    findings.extend(sources::check_crates(&packages, &files));
    findings.extend(limits::check(&files));
    for (path, text) in &files {
        findings.extend(sources::check_file(path, text));
    }
    for task in [crate::codegen::run, crate::codes::run] {
        if let Err(stale) = task(&["--check".to_owned()]) {
            findings.push(Finding::new("generated files", format!("{stale:#}")));
        }
    }
    findings.sort();
    findings.dedup();
    for Finding { place, message } in &findings {
        eprintln!("{place}: {message}");
    }
    if !findings.is_empty() {
        eprintln!("tidy: {} findings", findings.len());
    }
    Ok(findings.is_empty())
}

fn packages(root: &Path) -> Result<Vec<Package>> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("run cargo metadata")?;
    let below = |path: &Path| -> String {
        path.strip_prefix(root)
            .unwrap_or(path)
            .to_string_lossy()
            .replace('\\', "/")
    };
    metadata
        .packages
        .iter()
        .map(|package| {
            let manifest = package.manifest_path.as_std_path();
            let of = |dev: bool| {
                let mut names: Vec<String> = package
                    .dependencies
                    .iter()
                    .filter(|d| (d.kind == DependencyKind::Development) == dev)
                    .map(|d| d.name.clone())
                    .collect();
                names.sort();
                names.dedup();
                names
            };
            Ok(Package {
                name: package.name.to_string(),
                folder: below(manifest.parent().unwrap_or(root)),
                manifest: std::fs::read_to_string(manifest).context("read a manifest")?,
                roots: package
                    .targets
                    .iter()
                    .filter(|t| t.is_lib() || t.is_bin())
                    .map(|t| below(t.src_path.as_std_path()))
                    .collect(),
                uses: of(false),
                tests_use: of(true),
            })
        })
        .collect()
}

/// Every text file that is or would be committed, by path below the root.
fn files(root: &Path) -> Result<BTreeMap<String, String>> {
    let out = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("run git ls-files")?;
    if !out.status.success() {
        bail!(
            "git ls-files failed: {}",
            String::from_utf8_lossy(&out.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&out.stdout)
        .split('\0')
        .filter(|name| !name.is_empty())
        .filter_map(|name| {
            let text = std::fs::read_to_string(PathBuf::from(root).join(name)).ok()?;
            (!text.contains('\0')).then(|| (name.to_owned(), text))
        })
        .collect())
}
