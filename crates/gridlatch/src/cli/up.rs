//! `gridlatch up`: everything on one machine, from one command.

use std::net::SocketAddr;
use std::path::PathBuf;

use gridlatch_host::DataDir;
use gridlatch_pki::pools::Place;

use crate::up;

/// Start everything on this machine: PKI, platform, console and two simulated stations.
///
/// State lives in one folder; started again on the same folder, everything is still there.
#[derive(Debug, clap::Args)]
pub(crate) struct UpArgs {
    /// The folder that holds all state
    #[arg(long, value_name = "DIR", env = "GRIDLATCH_DATA", default_value_os_t = DataDir::default_root())]
    data: PathBuf,
    /// Where the console and REST listen; loopback only, they speak plain HTTP
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    console: SocketAddr,
    /// Where charging stations connect (OCPP over TLS with client certificates)
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8443")]
    ocpp: SocketAddr,
    /// Where clients enrol (EST) and use the pools, over HTTPS; 127.0.0.1:8444, or any if that is taken
    #[arg(long, value_name = "ADDR:PORT", hide_short_help = true)]
    est: Option<SocketAddr>,
    /// Where OCSP answers and revocation lists are (HTTP); 127.0.0.1:8081, or any if that is taken
    #[arg(long, value_name = "ADDR:PORT", hide_short_help = true)]
    status: Option<SocketAddr>,
    /// A place the pools may send notifications to: https://HOST or https://HOST:PORT; may be repeated
    #[arg(long = "notify", value_name = "URL", hide_short_help = true)]
    notify: Vec<Place>,
    /// Where nobody can say whether a certificate was revoked: accept, refuse, or accept for so many
    /// hours after the last answer ran out (12h)
    #[arg(
        long,
        value_name = "accept|refuse|HOURS",
        default_value = "accept",
        hide_short_help = true
    )]
    revocation_unknown: up::UnknownPolicy,
    /// Let vehicles without TLS charge too, by external identification only
    #[arg(long)]
    allow_plaintext: bool,
    /// Plug a simulated car in once everything runs, as a demonstration
    #[arg(long)]
    demo: bool,
    /// Show every event as it happens
    #[arg(long, short)]
    verbose: bool,
    /// Write TLS secrets of the cable to this file, for reading captures (never in the field)
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    key_log: Option<PathBuf>,
    #[command(flatten)]
    station_keys: up::delivered::StationKeys,
}

/// Runs until Ctrl-C; returns the exit code.
pub(crate) fn run(args: UpArgs) -> u8 {
    let config = up::UpConfig {
        data: args.data,
        console: args.console,
        ocpp: args.ocpp,
        est: args.est,
        status: args.status,
        notify: args.notify,
        unknown: args.revocation_unknown,
        allow_plaintext: args.allow_plaintext,
        demo: args.demo,
        verbose: args.verbose,
        key_log: args.key_log,
        station_keys: args.station_keys,
    };
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(up::run(config)),
        Err(error) => crate::say::failed(&anyhow::Error::new(error).context("cannot start the runtime")),
    }
}
