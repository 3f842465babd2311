//! The sub-command `ev`: a simulated car at a simulated or a real station.

mod args;
mod bill;
mod check;
mod contract;
pub(crate) mod http;
mod order;
mod show;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use gridlatch_evcc::{
    Auth, BatteryConfig, ChargeConfig, DiscoverAt, Energy, Generation, LinkConfig, Outcome, Plug,
    StaplePolicy, TlsSetup,
};
use gridlatch_host::{Shutdown, now};
use gridlatch_pki::ca::DATABASE;
use gridlatch_pki::dev::{self, VehicleName};
use gridlatch_store::Store;
use gridlatch_vocab::{Blame, Event, EventSink, Personal, StationId};
use tokio::sync::{mpsc, watch};

pub(crate) use args::ChargeArgs;
use args::{AuthKind, ControlKind, EnergyKind, Protocol};
use check::Usage;

use crate::run_file::{self, RunFile};

/// Arguments of `gridlatch ev`.
#[derive(Debug, clap::Args)]
pub(crate) struct EvCommand {
    #[command(subcommand)]
    command: EvSubcommand,
}

#[derive(Debug, Subcommand)]
enum EvSubcommand {
    /// Charge at a station, show each step, print the bill
    Charge(ChargeArgs),
}

/// Runs it; returns the exit code: 0 charged, 1 refused, 2 usage or run error.
pub(crate) fn run(command: EvCommand) -> u8 {
    let EvSubcommand::Charge(args) = command.command;
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            show::talk(&format!("gridlatch: cannot start: {error}"));
            return 2;
        }
    };
    let code = runtime.block_on(run_charge(args));
    runtime.shutdown_background();
    u8::try_from(code).unwrap_or(2)
}

/// Charges once; the exit code is that of [`run`].
pub(crate) async fn run_charge(args: ChargeArgs) -> i32 {
    let prepared = match refuse_two_operators(&args).await {
        Ok(()) => prepare(&args),
        Err(error) => Err(error),
    };
    match prepared {
        Ok(prepared) => charge(&args, prepared).await,
        Err(error) => {
            show::talk(&format!("gridlatch: {error:#}"));
            2
        }
    }
}

/// A checked command, ready to run.
struct Prepared {
    config: ChargeConfig,
    /// The running system, when the car is at one of its stations.
    running: Option<(RunFile, StationId, u16)>,
}

fn prepare(args: &ChargeArgs) -> Result<Prepared> {
    check::combination(args)?;
    let (link, running) = match &args.interface {
        Some(interface) => (
            LinkConfig {
                plug: None,
                discover: DiscoverAt::Interface(interface.clone()),
            },
            None,
        ),
        None => {
            let run = run_file::read(&args.data)?;
            let (station, evse) = check::outlet(args, &run)?;
            let link = LinkConfig {
                plug: Some(Plug::Socket(evse.cable.clone())),
                discover: DiscoverAt::Address(evse.sdp),
            };
            let number = evse.evse.0;
            (link, Some((run, station, number)))
        }
    };
    let (tls, auth) = papers(args)?;
    let generation = args.protocol.generation();
    let config = ChargeConfig {
        link,
        generation,
        energy: args.energy_kind().energy(),
        control: args.control_kind().map(ControlKind::control),
        auth,
        tls,
        battery: BatteryConfig {
            soc: args.soc,
            ..BatteryConfig::default()
        },
        wish: args.wish(),
        mac: mac()?,
        pace: (args.pace > 0).then_some(args.pace),
        patience: args.patience,
        stop: Shutdown::new(),
        progress: None,
    };
    Ok(Prepared { config, running })
}

/// The car's certificates are signed with the keys of the data folder. `up` has refused a PKI of two operators; where it
/// does not run, at a station of somebody else's, the car has to.
async fn refuse_two_operators(args: &ChargeArgs) -> Result<()> {
    let folder = args.data.join("pki");
    let database = folder.join(DATABASE);
    if args.interface.is_none() || args.no_tls || !database.exists() {
        return Ok(());
    }
    let place = database
        .to_str()
        .with_context(|| format!("{} is not text", database.display()))?;
    if crate::up::takes_two(Store::open(place).await?, &folder, Arc::new(Quiet)).await? {
        anyhow::bail!(
            "the PKI in {} takes two operators, and the car would sign its certificates with its keys; choose another \
             folder for the car with --data ({})",
            folder.display(),
            gridlatch_vocab::catalogue::ca::DUAL_CONTROL
        );
    }
    Ok(())
}

/// Roots, the vehicle's certificate and the contract, from the development PKI of the data folder.
fn papers(args: &ChargeArgs) -> Result<(Option<TlsSetup>, Auth)> {
    if args.no_tls {
        return Ok((None, Auth::Eim));
    }
    let folder = args.data.join("pki");
    if !folder.is_dir() {
        return Err(Usage::NoPki(args.data.clone()).into());
    }
    let pki = dev::ensure(&folder, &Quiet, now()).context("cannot open the development PKI")?;
    let name: VehicleName = args.vehicle.parse()?;
    let (generation, identity) = match args.protocol {
        Protocol::Iso2 => (gridlatch_trust::Generation::Iso2, None),
        Protocol::Iso20 => (
            gridlatch_trust::Generation::Iso20,
            Some(
                pki.vehicle(&name)
                    .context("cannot get the vehicle's certificate")?,
            ),
        ),
    };
    let tls = TlsSetup {
        roots: v2g_roots(args, &pki)?,
        identity,
        key_log: args.key_log.clone(),
        staple: if args.require_ocsp {
            StaplePolicy::RequireGood
        } else {
            StaplePolicy::default()
        },
    };
    let auth = match args.auth {
        AuthKind::Eim => Auth::Eim,
        AuthKind::Pnc => contract::papers(args, &pki, &name, generation)?,
    };
    Ok((Some(tls), auth))
}

async fn charge(args: &ChargeArgs, prepared: Prepared) -> i32 {
    let Prepared { mut config, running } = prepared;
    let began = now();
    let stop = config.stop.clone();
    let (progress, figures) = watch::channel(gridlatch_evcc::Progress::default());
    config.progress = Some(progress);
    let driver = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            driver.cancel();
        }
    });
    let leaves_it_to_the_station = args.control_kind() == Some(ControlKind::Dynamic);
    let order = match &running {
        Some((run, station, evse)) if leaves_it_to_the_station && args.discharge.is_some() => {
            let order = order::Order::new(run.clone(), station.clone(), *evse, args.format);
            Some(tokio::spawn(order.carry_out(figures.clone(), stop)))
        }
        _ => None,
    };
    let (sender, steps) = mpsc::channel(64);
    let shower = show::Shower::new(args.format, figures);
    let printing = tokio::spawn(shower.steps(steps));
    let outcome = gridlatch_evcc::charge(config, Arc::new(Quiet), sender).await;
    let Ok(shower) = printing.await else { return 2 };
    shower.outcome(&outcome);
    let moved = outcome.summary().energy_in_wh + outcome.summary().energy_out_wh > 0.0;
    let mut proven = true;
    if let Some((run, station, evse)) = &running
        && moved
    {
        match bill::fetch((run, &args.data), station, *evse, began).await {
            Ok(Some(bill)) => proven = shower.bill(&bill),
            Ok(None) => shower.no_bill(&args.data, station),
            Err(error) => shower.bill_failed(&error),
        }
    }
    let ordered = match order {
        Some(order) => order.await.unwrap_or(false),
        None => true,
    };
    match outcome {
        Outcome::Ended { .. } if ordered && proven => 0,
        Outcome::Ended { .. } => 1,
        // What the operator got wrong is a run error; anybody else's no is an answer.
        Outcome::Failed { failure, .. } if failure.blame == Blame::Operator => 2,
        Outcome::Failed { .. } => 1,
    }
}

/// A locally administered MAC, new for each run, as modern cars do it.
fn mac() -> Result<Personal<[u8; 6]>> {
    let mut mac = [0u8; 6];
    getrandom::fill(&mut mac)
        .map_err(|error| anyhow::anyhow!("no randomness for the vehicle's address: {error}"))?;
    mac[0] = (mac[0] | 0x02) & 0xFE;
    Ok(Personal::new(mac))
}

/// The steps already say what events would.
struct Quiet;

impl EventSink for Quiet {
    fn emit(&self, event: Event) {
        tracing::debug!(code = %event.code, "{}", event.message);
    }
}

impl Protocol {
    const fn generation(self) -> Generation {
        match self {
            Self::Iso2 => Generation::Iso2,
            Self::Iso20 => Generation::Iso20,
        }
    }
}

impl EnergyKind {
    const fn energy(self) -> Energy {
        match self {
            Self::Ac => Energy::Ac,
            Self::Dc => Energy::Dc,
            Self::DcBpt => Energy::DcBpt,
        }
    }
}

/// The largest file of roots that the car reads, bytes.
const MAX_ROOTS: u64 = 1024 * 1024;

/// The V2G roots of the car: those it was told, or all of the development PKI's.
fn v2g_roots(args: &ChargeArgs, pki: &dev::DevPki) -> Result<Vec<Vec<u8>>> {
    let mut roots = Vec::new();
    for path in &args.v2g_root {
        let text = super::bounded::read(path, MAX_ROOTS)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let found = gridlatch_trust::certificate::from_pem(&text)
            .with_context(|| format!("{} is not PEM", path.display()))?;
        // Told to trust these instead of the data folder's, the car must not trust the data folder's after all.
        anyhow::ensure!(!found.is_empty(), "{} holds no roots in PEM", path.display());
        roots.extend(found);
    }
    Ok(if roots.is_empty() { pki.v2g_roots() } else { roots })
}
