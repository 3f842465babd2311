//! Every third-party crate we name has a row in `docs/dependencies.md`: who may use it, and why it is here.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Package};

/// The page with the table.
pub(super) const PAGE: &str = "docs/dependencies.md";

/// A row: the crates that may use the dependency, by folder name, or `any`; `tests` allows dev-dependencies only.
type Rows = BTreeMap<String, BTreeSet<String>>;

fn rows(page: &str) -> Rows {
    page.lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
            let name = cells.next()?.strip_suffix('`')?;
            let owners = cells.next()?.split(',').map(|o| o.trim().to_owned()).collect();
            let reason = cells.next()?;
            (!reason.is_empty()).then(|| (name.to_owned(), owners))
        })
        .collect()
}

/// The third-party names of `[workspace.dependencies]`.
fn declared(manifest: &str) -> BTreeSet<String> {
    manifest
        .lines()
        .skip_while(|line| line.trim() != "[workspace.dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.contains("path ="))
        .filter_map(|line| Some(line.split_once('=')?.0.trim().to_owned()))
        .filter(|name| !name.starts_with('#') && !name.is_empty())
        .collect()
}

pub(super) fn check(packages: &[Package], page: &str, manifest: &str) -> Vec<Finding> {
    let rows = rows(page);
    let declared = declared(manifest);
    let mut findings = Vec::new();
    for name in declared.iter().filter(|name| !rows.contains_key(*name)) {
        findings.push(Finding::new(
            PAGE,
            format!("no row for {name}: say who owns it and why it is here"),
        ));
    }
    for name in rows.keys().filter(|name| !declared.contains(*name)) {
        findings.push(Finding::new(
            PAGE,
            format!("{name} is listed but the workspace does not name it"),
        ));
    }
    let ours: BTreeSet<&str> = packages.iter().map(|p| p.name.as_str()).collect();
    let mut used = BTreeSet::new();
    for package in packages {
        let folder = package.folder.rsplit('/').next().unwrap_or_default();
        let place = format!("{}/Cargo.toml", package.folder);
        for name in package
            .uses
            .iter()
            .chain(&package.tests_use)
            .filter(|n| !ours.contains(n.as_str()))
        {
            used.insert(name.clone());
            if !declared.contains(name) {
                findings.push(Finding::new(
                    &place,
                    format!("{name} must be named in [workspace.dependencies]"),
                ));
            }
        }
        // Dev-dependencies are nobody's property.
        for name in package.uses.iter().filter(|n| !ours.contains(n.as_str())) {
            if let Some(owners) = rows.get(name)
                && !owners.contains("any")
                && !owners.contains(folder)
            {
                let owners: Vec<&str> = owners.iter().map(String::as_str).collect();
                findings.push(Finding::new(
                    &place,
                    format!(
                        "{name} belongs to {} ({PAGE}); {folder} must go through the owner",
                        owners.join(", ")
                    ),
                ));
            }
        }
    }
    for name in declared.difference(&used) {
        findings.push(Finding::new(
            "Cargo.toml",
            format!("{name} is declared and used by no crate: remove it"),
        ));
    }
    findings
}
