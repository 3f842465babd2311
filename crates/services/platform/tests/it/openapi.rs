//! `docs/openapi.json` is what the handlers say.

use std::path::Path;

#[test]
fn the_committed_description_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/openapi.json");
    let mut generated = gridlatch_platform::rest::openapi().to_pretty_json().unwrap();
    generated.push('\n');
    if std::env::var_os("GRIDLATCH_WRITE_OPENAPI").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "docs/openapi.json is old: run GRIDLATCH_WRITE_OPENAPI=1 cargo test -p gridlatch-platform openapi"
    );
}
