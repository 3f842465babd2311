//! Repository chores: `cargo xtask <task>`.
//!
//! - `tidy` checks the rules of the workspace that the compiler cannot (see [`tidy`]).
//! - `codegen [--check]` writes the OCPP types from their schemas.
//! - `codes [--check]` writes `docs/codes.md` from the catalogue.
//!
//! Deliberately absent: anything a release or a running system needs.
#![forbid(unsafe_code)]

mod codegen;
mod codes;
mod tidy;

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.split_first() {
        Some((task, rest)) if task == "codegen" => codegen::run(rest)?,
        Some((task, rest)) if task == "codes" => codes::run(rest)?,
        Some((task, [])) if task == "tidy" => {
            if !tidy::run()? {
                return Ok(ExitCode::FAILURE);
            }
        }
        _ => anyhow::bail!("usage: cargo xtask tidy | codegen [--check] | codes [--check]"),
    }
    Ok(ExitCode::SUCCESS)
}
