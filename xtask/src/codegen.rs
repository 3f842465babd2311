//! `codegen`: Rust types and validation tables for OCPP from the JSON schemas in `crates/core/ocpp/schemas`.

mod emit;
mod model;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// The folder of schemas and the variant of `gridlatch_ocpp::Version` it describes.
const VERSIONS: [(&str, &str); 3] = [("v16", "V16"), ("v201", "V201"), ("v21", "V21")];

/// Writes the generated files; with `--check` only says whether they are up to date.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let check = match args {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => bail!("usage: cargo xtask codegen [--check]"),
    };
    let root = crate_dir();
    for (path, text) in generate(&root)? {
        if check {
            if fs::read_to_string(&path).ok().as_deref() != Some(&text) {
                bail!(
                    "{} is not what the schemas give: run cargo xtask codegen",
                    path.display()
                );
            }
        } else {
            fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        }
    }
    Ok(())
}

fn crate_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/core/ocpp")
}

fn generate(root: &Path) -> Result<Vec<(PathBuf, String)>> {
    VERSIONS
        .iter()
        .map(|(folder, variant)| {
            let model = model::load(&root.join("schemas").join(folder))?;
            let path = root.join("src/generated").join(format!("{folder}.rs"));
            Ok((path, emit::emit(folder, variant, &model)))
        })
        .collect()
}
