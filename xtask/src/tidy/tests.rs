use std::collections::BTreeMap;

use super::{Finding, Package, layers, limits, register, sources};

fn package(folder: &str, uses: &[&str], tests_use: &[&str]) -> Package {
    let short = folder.rsplit('/').next().unwrap();
    let name = if short == "gridlatch" {
        short.to_owned()
    } else {
        format!("gridlatch-{short}")
    };
    Package {
        name,
        folder: folder.to_owned(),
        manifest: "[lints]\nworkspace = true\n".to_owned(),
        roots: vec![format!("{folder}/src/lib.rs")],
        uses: uses.iter().map(ToString::to_string).collect(),
        tests_use: tests_use.iter().map(ToString::to_string).collect(),
    }
}

fn workspace(changed: Package) -> Vec<Package> {
    let mut all = vec![
        package("crates/vocab", &["serde"], &[]),
        package("crates/core/session", &["gridlatch-vocab"], &[]),
        package("crates/core/trust", &["gridlatch-vocab"], &[]),
        package("crates/io/tls", &["gridlatch-trust", "openssl"], &[]),
        package(
            "crates/services/station",
            &["gridlatch-tls", "gridlatch-session"],
            &[],
        ),
        package("crates/services/platform", &["gridlatch-tls"], &[]),
        package(
            "crates/gridlatch",
            &["gridlatch-station", "gridlatch-platform"],
            &[],
        ),
        package("tests/testkit", &["tokio"], &[]),
    ];
    all.retain(|p| p.folder != changed.folder);
    all.push(changed);
    all
}

fn messages(findings: &[Finding]) -> String {
    findings
        .iter()
        .map(|f| format!("{}: {}\n", f.place, f.message))
        .collect()
}

#[track_caller]
fn layers_say(changed: Package, expected: &str) {
    let found = messages(&layers::check(&workspace(changed)));
    assert!(found.contains(expected), "expected {expected:?} in {found:?}");
}

#[track_caller]
fn layers_accept(changed: Package) {
    assert_eq!(messages(&layers::check(&workspace(changed))), "");
}

#[test]
fn arrows_down_are_accepted() {
    layers_accept(package(
        "crates/core/trust",
        &["gridlatch-vocab", "gridlatch-session", "x509-cert"],
        &["proptest"],
    ));
    layers_accept(package(
        "crates/io/tls",
        &["gridlatch-trust", "gridlatch-vocab", "openssl"],
        &[],
    ));
}

#[test]
fn arrows_up_are_refused() {
    layers_say(
        package("crates/core/trust", &["gridlatch-tls"], &[]),
        "arrows point down",
    );
    layers_say(
        package("crates/io/tls", &["gridlatch-station"], &[]),
        "arrows point down",
    );
    layers_say(
        package("crates/vocab", &["gridlatch-trust"], &[]),
        "arrows point down",
    );
    layers_say(
        package("crates/services/station", &["gridlatch"], &[]),
        "arrows point down",
    );
}

#[test]
fn services_never_meet_except_in_a_test() {
    layers_say(
        package("crates/services/station", &["gridlatch-platform"], &[]),
        "gridlatch-platform (Service)",
    );
    layers_accept(package("crates/services/station", &[], &["gridlatch-platform"]));
}

#[test]
fn the_product_does_not_depend_on_its_tests() {
    layers_say(
        package("crates/services/station", &["gridlatch-testkit"], &[]),
        "(Outside)",
    );
    layers_accept(package("crates/services/station", &[], &["gridlatch-testkit"]));
}

#[test]
fn a_core_crate_is_made_of_pure_libraries() {
    layers_say(
        package("crates/core/session", &["tokio"], &[]),
        "tokio is not on the list of pure libraries",
    );
    layers_accept(package("crates/core/session", &["iso15118"], &["tokio"]));
}

#[test]
fn a_folder_outside_the_layers_is_refused() {
    layers_say(package("crates/stray", &[], &[]), "belongs to no layer");
}

const MANIFEST: &str = "[workspace.dependencies]\ngridlatch-vocab = { path = \"x\" }\nopenssl = \"0.10\"\nserde = \"1\"\n\n[profile.dev]\n";
const PAGE: &str =
    "| crate | used by | why |\n|---|---|---|\n| `openssl` | tls | TLS |\n| `serde` | any | words |\n";

fn pair(tls_uses: &[&str], session_uses: &[&str]) -> Vec<Package> {
    vec![
        package("crates/io/tls", tls_uses, &[]),
        package("crates/core/session", session_uses, &[]),
    ]
}

#[test]
fn a_registered_dependency_with_its_owner_is_accepted() {
    assert_eq!(
        register::check(&pair(&["openssl", "serde"], &["serde"]), PAGE, MANIFEST),
        []
    );
}

#[test]
fn a_dependency_used_around_its_owner_is_refused() {
    let found = messages(&register::check(
        &pair(&["openssl"], &["openssl", "serde"]),
        PAGE,
        MANIFEST,
    ));
    assert!(
        found.contains("crates/core/session/Cargo.toml: openssl belongs to tls"),
        "{found}"
    );
}

#[test]
fn the_register_and_the_manifest_agree_both_ways() {
    let page = PAGE.replace("| `serde` | any | words |", "| `left-pad` | any | words |");
    let found = messages(&register::check(
        &pair(&["openssl", "serde"], &[]),
        &page,
        MANIFEST,
    ));
    assert!(found.contains("no row for serde"), "{found}");
    assert!(found.contains("left-pad is listed"), "{found}");
}

#[test]
fn a_row_without_a_reason_is_no_row() {
    let page = PAGE.replace("| words |", "| |");
    let found = messages(&register::check(
        &pair(&["openssl", "serde"], &[]),
        &page,
        MANIFEST,
    ));
    assert!(found.contains("no row for serde"), "{found}");
}

#[test]
fn an_unused_or_undeclared_dependency_is_refused() {
    let found = messages(&register::check(&pair(&["openssl", "ring"], &[]), PAGE, MANIFEST));
    assert!(
        found.contains("serde is declared and used by no crate"),
        "{found}"
    );
    assert!(
        found.contains("ring must be named in [workspace.dependencies]"),
        "{found}"
    );
}

#[test]
fn a_crate_takes_the_lints_of_the_workspace() {
    let mut bare = package("crates/io/tls", &[], &[]);
    bare.manifest = "[package]\n".to_owned();
    let found = messages(&sources::check_crates(&[bare], &BTreeMap::new()));
    assert!(found.contains("take the lints of the workspace"), "{found}");
}

#[test]
fn a_crate_root_says_what_is_absent_and_forbids_unsafe_code() {
    let good = "//! A crate.\n//!\n//! Deliberately absent: all else.\n#![forbid(unsafe_code)]\n";
    assert_eq!(sources::check_root("gridlatch-x", "lib.rs", good), []);
    let found = messages(&sources::check_root("gridlatch-x", "lib.rs", "//! A crate.\n"));
    assert!(
        found.contains("Deliberately absent") && found.contains("forbid(unsafe_code)"),
        "{found}"
    );
    let ffi = "//! A crate.\n//! Deliberately absent: all else.\n";
    assert_eq!(sources::check_root("gridlatch-tls", "lib.rs", ffi), []);
}

#[track_caller]
fn file_says(path: &str, text: &str, expected: &str) {
    let found = messages(&sources::check_file(path, text));
    assert!(found.contains(expected), "expected {expected:?} in {found:?}");
}

#[test]
fn a_long_file_is_refused_unless_generated() {
    let long = "// line\n".repeat(801);
    file_says("crates/io/tls/src/lib.rs", &long, "801 lines");
    let generated = format!("//! Generated by `cargo xtask codegen`.\n{long}");
    assert_eq!(
        sources::check_file("crates/core/ocpp/src/generated/v21.rs", &generated),
        []
    );
}

#[test]
fn leftovers_are_refused() {
    file_says("a.rs", "    // TODO later\n", "a.rs:1: open an issue");
    file_says("a.rs", "fn f() {\n    todo!()\n}\n", "a.rs:2: finish it");
    file_says("a.rs", "#[ignore]\n", "proves nothing");
}

#[test]
fn a_core_file_does_not_touch_the_world_but_its_tests_may() {
    file_says(
        "crates/core/trust/src/path.rs",
        "use std::fs;\n",
        "a core crate does not touch",
    );
    assert_eq!(
        sources::check_file("crates/core/trust/src/path/tests.rs", "use std::fs;\n"),
        []
    );
    assert_eq!(
        sources::check_file("crates/io/store/src/lib.rs", "use std::fs;\n"),
        []
    );
}

#[test]
fn paths_of_a_machine_are_refused_and_web_addresses_are_not() {
    file_says("README.md", "see /home/somebody/x\n", "somebody's machine");
    file_says("a.toml", "dir = \"/root/.cache\"\n", "somebody's machine");
    assert_eq!(
        sources::check_file("README.md", "https://example.org/home/page and ~/x and $HOME/x\n"),
        []
    );
}

#[test]
fn a_lock_file_names_one_registry() {
    file_says(
        "Cargo.lock",
        "source = \"git+https://example.org/x\"\n",
        "outside crates.io",
    );
}

#[test]
fn the_page_of_limits_states_what_the_code_enforces() {
    let row = "| frame, bytes | `1518` | `crates/a.rs` `MAX_FRAME` |\n";
    let with = |code: &str| {
        BTreeMap::from([
            ("docs/limits.md".to_owned(), row.to_owned()),
            ("crates/a.rs".to_owned(), code.to_owned()),
        ])
    };
    assert_eq!(
        limits::check(&with("/// Bound.\npub const MAX_FRAME: usize = 1518;\n")),
        []
    );
    let found = messages(&limits::check(&with("const MAX_FRAME: usize = 1500;\n")));
    assert!(found.contains("MAX_FRAME is 1500, the page says 1518"), "{found}");
    let found = messages(&limits::check(&with("const MAX_FRAMES: usize = 1518;\n")));
    assert!(found.contains("has no constant MAX_FRAME"), "{found}");
}
