//! The command line: sub-commands and the exit codes 0 (ok), 1 (the answer is no), 2 (usage or run error).

pub(crate) mod bench;
pub(crate) mod bill;
pub(crate) mod bounded;
pub(crate) mod decode;
pub(crate) mod ev;
pub(crate) mod evidence;
pub(crate) mod explain;
pub(crate) mod pki;
pub(crate) mod up;

use clap::{Parser, Subcommand, ValueEnum};

/// Secure vehicle-to-grid: charging station, car, Plug & Charge PKI and platform in one binary.
///
/// Nothing flows (no energy, no command, no bill) until trust is proven.
#[derive(Debug, Parser)]
#[command(
    name = "gridlatch",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    term_width = 80
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything on this machine
    Up(up::UpArgs),
    /// One station of `up`, in its own process
    #[command(hide = true)]
    Station(crate::up::station_process::StationArgs),
    /// Plug a simulated car into a station
    Ev(ev::EvCommand),
    /// Check a signed bill without the platform that issued it
    Bill(bill::BillCommand),
    /// Print the V2G messages of a capture
    Decode(decode::DecodeArgs),
    /// Run the certification authority: init, issue, renew, revoke, backup
    Pki(pki::PkiCommand),
    /// Explain a code: what happened, who is to blame, what to do
    Explain(explain::ExplainArgs),
    /// Measure this build on this machine
    Bench(bench::BenchCommand),
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs: one JSON value a line
    Json,
}

/// Runs the sub-command and returns the exit code.
pub(crate) fn run(cli: Cli) -> u8 {
    match cli.command {
        Command::Up(args) => up::run(args),
        Command::Station(args) => crate::up::station_process::run(args),
        Command::Ev(command) => ev::run(command),
        Command::Bill(command) => bill::run(command),
        Command::Decode(args) => decode::run(args),
        Command::Pki(command) => pki::run(command),
        Command::Explain(args) => explain::run(args),
        Command::Bench(command) => bench::run(command),
    }
}

#[cfg(test)]
mod documents;
