//! The command line: sub-commands and the exit codes 0 (ok), 1 (the answer is no), 2 (usage or run error).

pub(crate) mod decode;
pub(crate) mod ev;
pub(crate) mod explain;

use clap::{Parser, Subcommand};

/// Secure vehicle-to-grid: charging station, car, Plug & Charge PKI and platform in one binary.
///
/// Nothing flows (no energy, no command, no bill) until trust is proven.
#[derive(Debug, Parser)]
#[command(
    name = "gridlatch",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plug a simulated car into a station
    Ev(ev::EvCommand),
    /// Print the V2G messages of a capture
    Decode(decode::DecodeArgs),
    /// Explain a code: what happened, who is to blame, what to do
    Explain(explain::ExplainArgs),
}

/// Runs the sub-command and returns the exit code.
pub(crate) fn run(cli: Cli) -> u8 {
    match cli.command {
        Command::Ev(command) => ev::run(command),
        Command::Decode(args) => decode::run(args),
        Command::Explain(args) => explain::run(args),
    }
}
