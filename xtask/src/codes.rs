//! `codes`: the catalogue of codes as a page, `docs/codes.md`.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use gridlatch_vocab::catalogue::{self, Row};

/// Writes the page; with `--check` only says whether it is current.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/codes.md");
    match args {
        [] => std::fs::write(&path, page()).with_context(|| format!("write {}", path.display())),
        [flag] if flag == "--check" => {
            if std::fs::read_to_string(&path).ok().as_deref() != Some(&page()) {
                bail!("docs/codes.md is not what the catalogue gives: run cargo xtask codes");
            }
            Ok(())
        }
        _ => bail!("usage: cargo xtask codes [--check]"),
    }
}

fn page() -> String {
    let mut out = String::from(
        "# Codes\n\n<!-- Written by `cargo xtask codes` from `crates/vocab/src/catalogue`. Do not edit. -->\n\n\
         Every event carries one of these codes; `gridlatch explain CODE` prints a row. A code's spelling never \
         changes once released.\n",
    );
    let mut area = "";
    for row in catalogue::all() {
        let own = row.code.split('.').next().unwrap_or_default();
        if own != area {
            let _ = write!(out, "\n## {own}\n");
            area = own;
        }
        describe(row, &mut out);
    }
    out
}

fn describe(row: &Row, out: &mut String) {
    let (severity, blame) = (row.severity.as_str(), row.blame.as_str());
    let _ = write!(
        out,
        "\n### `{}`\n\n{} · points at: {blame}\n\n{}\n",
        row.code, severity, row.what
    );
    if !row.causes.is_empty() {
        out.push_str("\nLikely causes:\n");
        for cause in row.causes {
            let _ = writeln!(out, "- {cause}");
        }
    }
    if !row.remedy.is_empty() {
        let _ = write!(out, "\nWhat to do: {}\n", row.remedy);
    }
    if !row.aliases.is_empty() {
        let aliases: Vec<String> = row.aliases.iter().map(|alias| format!("`{alias}`")).collect();
        let _ = write!(out, "\nAlso known as {}.\n", aliases.join(", "));
    }
}
