//! Arrows point down: vocab < core < io < services < binary; services never meet; cores stay pure.

use super::{Finding, Package};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    Vocab,
    Core,
    Io,
    Service,
    Binary,
    /// Tests and chores: nothing of the product may depend on them.
    Outside,
}

/// The folder of a package decides its layer.
const LAYERS: [(&str, Layer); 8] = [
    ("crates/vocab", Layer::Vocab),
    ("crates/core/", Layer::Core),
    ("crates/io/", Layer::Io),
    ("crates/services/", Layer::Service),
    ("crates/gridlatch", Layer::Binary),
    ("tests/", Layer::Outside),
    ("fuzz", Layer::Outside),
    ("xtask", Layer::Outside),
];

/// What a core crate or the vocabulary may be made of: libraries without sockets, clocks, threads or global state.
const PURE: [&str; 18] = [
    "base64",
    "cms",
    "const-oid",
    "der",
    "hex",
    "iso15118",
    "p256",
    "p521",
    "roxmltree",
    "rust_decimal",
    "serde",
    "serde_json",
    "sha1",
    "sha2",
    "thiserror",
    "time",
    "x509-cert",
    "x509-ocsp",
];

fn layer(folder: &str) -> Option<Layer> {
    LAYERS
        .iter()
        .find(|(prefix, _)| folder.starts_with(prefix))
        .map(|(_, layer)| *layer)
}

pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let place = format!("{}/Cargo.toml", package.folder);
        let Some(own) = layer(&package.folder) else {
            findings.push(Finding::new(
                place,
                "this folder belongs to no layer: see ARCHITECTURE.md",
            ));
            continue;
        };
        let ours = |name: &String| {
            packages
                .iter()
                .find(|p| p.name == *name)
                .and_then(|p| layer(&p.folder))
        };
        for (names, tests) in [(&package.uses, false), (&package.tests_use, true)] {
            for name in names {
                match ours(name) {
                    Some(used) if forbidden(own, used, tests) => findings.push(Finding::new(
                        &place,
                        format!("{own:?} must not depend on {name} ({used:?}): arrows point down"),
                    )),
                    None if own <= Layer::Core && !tests && !PURE.contains(&name.as_str()) => {
                        findings.push(Finding::new(
                            &place,
                            format!("{name} is not on the list of pure libraries a {own:?} crate may use"),
                        ))
                    }
                    _ => {}
                }
            }
        }
    }
    findings
}

fn forbidden(own: Layer, used: Layer, tests: bool) -> bool {
    if used == Layer::Outside {
        return own != Layer::Outside && !tests;
    }
    match own {
        Layer::Vocab => true,
        // A test may bring two services together; the product may not.
        Layer::Service => used > own || (used == own && !tests),
        Layer::Core | Layer::Io | Layer::Binary => used > own,
        Layer::Outside => false,
    }
}
