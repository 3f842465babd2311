//! `gridlatch bench`: the figures the documentation quotes, measured on this machine.

use std::path::PathBuf;

use clap::Subcommand;

use crate::bench;

/// Measure this build on this machine, beside a peer in the same run.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Charging sessions: time to TLS and to the first charge-loop answer, loop rate, CPU, memory
    Session(SessionArgs),
    /// Plug & Charge between two PKIs: which handshakes succeed, and who refuses the others and why
    Pnc(bench::pnc::PncArgs),
    /// The CA: certificates issued, OCSP answers, verdicts, a million certificates. Needs the command `openssl`
    Pki(bench::pki::PkiArgs),
    /// What a key costs by where it lives: in memory, in a token, in a TPM
    Keys(bench::keys::KeysArgs),
    /// One side of a measured session; started by `bench session`
    #[command(hide = true)]
    Station(bench::node::StationArgs),
    /// The other side
    #[command(hide = true)]
    Car(bench::node::CarArgs),
}

/// Arguments of `bench session`.
#[derive(Debug, clap::Args)]
pub(crate) struct SessionArgs {
    /// Sessions per case for our own pair; the table shows medians
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) runs: u32,
    /// Seconds of charge loop in each of our sessions
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub(crate) seconds: u32,
    /// Python with Josev (`iso15118==0.31.2`), to measure Josev's pair in the same run; `scripts/peers.sh josev`
    /// builds one and tells its folder. Needs root (network namespaces) and Java
    #[arg(long, value_name = "PYTHON")]
    pub(crate) josev: Option<PathBuf>,
    /// Table for people, or JSON
    #[arg(long, value_enum, default_value_t = crate::cli::Format::Text)]
    pub(crate) format: crate::cli::Format,
}

/// Runs it; returns the exit code.
pub(crate) fn run(command: BenchCommand) -> u8 {
    let outcome = match command.what {
        What::Pki(args) => bench::pki::run(&args),
        What::Pnc(args) => return bench::pnc::run(&args),
        What::Keys(args) => bench::keys::run(&args),
        What::Session(args) => bench::session::run(&args),
        What::Station(args) => bench::node::station(&args),
        What::Car(args) => bench::node::car(&args),
    };
    outcome.map_or_else(|error| crate::say::failed(&error), |()| 0)
}
