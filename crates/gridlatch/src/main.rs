//! The binary `gridlatch`: every role of the system, and `up`, which composes them on one machine.
//!
//! Deliberately absent: decisions. A sub-command parses its arguments, starts the services it needs,
//! and prints what they say.
#![forbid(unsafe_code)]

mod bench;
mod cli;
mod run_file;
mod say;
mod services;
mod up;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Asking for help is not a mistake; anything else is a usage error (exit 2).
            let code = if error.use_stderr() { 2 } else { 0 };
            // A closed pipe (`gridlatch --help | head -1`) is success.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    ExitCode::from(cli::run(cli))
}
