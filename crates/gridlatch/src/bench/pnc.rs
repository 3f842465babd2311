//! `gridlatch bench pnc`: two PKIs that do not know each other, one vehicle and one station, and what
//! each way out of it is worth, with real keys, real sockets and both editions of ISO 15118.

mod ecosystem;
mod keep;
mod meet;
mod report;
mod revocation;
mod rows;
mod scenario;
mod service;
mod world;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::ValueEnum as _;
use gridlatch_tls::Generation;
use gridlatch_vocab::Timestamp;

use crate::cli::Format;
use crate::say;
use meet::{Met, meet};
use report::Outcome;
use rows::Row;
use scenario::Scenario;
use service::Service;
use world::Pki;

/// Arguments of `bench pnc`.
#[derive(Debug, clap::Args)]
pub(crate) struct PncArgs {
    /// Handshakes per row; the table shows the median time
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,
    /// Only these rows; may be given several times
    #[arg(long, value_enum, value_name = "ROW")]
    scenario: Vec<Scenario>,
    /// Keep every row's certificates and keys below DIR, and print the OpenSSL commands that show the same
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Table for people, or one JSON value a row
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Runs it. Exit code 0 if every row came out as it must, 1 if one did not, 2 if it could not run.
pub(crate) fn run(args: &PncArgs) -> u8 {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return say::failed(&anyhow::Error::from(error).context("cannot start the runtime")),
    };
    match runtime.block_on(all(args)) {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(error) => say::failed(&error),
    }
}

async fn all(args: &PncArgs) -> Result<bool> {
    let now = gridlatch_host::now();
    let (a, b) = (Pki::new('A', now)?, Pki::new('B', now)?);
    let wanted = |scenario: &Scenario| args.scenario.is_empty() || args.scenario.contains(scenario);
    let mut outcomes = Vec::new();
    let mut service = None;
    for scenario in Scenario::value_variants().iter().copied().filter(wanted) {
        for generation in [Generation::Iso2, Generation::Iso20] {
            if !scenario.applies(generation) {
                continue;
            }
            if service.is_none() && matches!(scenario, Scenario::SecondLeaf | Scenario::OverTheAir) {
                service = Some(Service::start().await.context("PKI-A cannot be served")?);
            }
            let row = rows::build(scenario, generation, (&a, &b), service.as_ref(), now)
                .await
                .with_context(|| format!("row {:?} of {generation}", scenario.name()))?;
            outcomes.push(outcome(args, row, now).await?);
        }
    }
    match args.format {
        Format::Text => report::text(&outcomes, args.runs),
        Format::Json => report::json(&outcomes)?,
    }
    Ok(outcomes.iter().all(Outcome::as_expected))
}

async fn outcome(args: &PncArgs, row: Row, now: Timestamp) -> Result<Outcome> {
    // The first one goes through a relay that counts octets; its time is not used.
    let first = meet(&row.car, &row.post, now, true).await?;
    let mut times = Vec::new();
    let mut steady = true;
    for _ in 0..args.runs {
        let met = meet(&row.car, &row.post, now, false).await?;
        steady &= same(&met, &first);
        times.push(met.took);
    }
    times.sort_unstable();
    let commands = match &args.keep {
        Some(dir) => Some(keep::keep(dir, &row)?),
        None => None,
    };
    let mut log = row.prepared.clone();
    log.extend(rows::lines(&first, now));
    Ok(Outcome {
        scenario: row.scenario,
        generation: row.generation,
        median: times.get(times.len() / 2).copied().unwrap_or_default(),
        runs: args.runs,
        steady,
        chain_shown: row.shown.chain.len(),
        expected: row.expected,
        met: first,
        log,
        remedies: row.remedies,
        commands,
    })
}

fn same(one: &Met, other: &Met) -> bool {
    (one.refused_by, one.code, one.alert, &one.shown)
        == (other.refused_by, other.code, other.alert, &other.shown)
}
