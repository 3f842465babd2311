//! The two sides of a measured session, each a process of its own so that the kernel can account for it.

use std::net::SocketAddrV6;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use gridlatch_evcc::{
    Auth, BatteryConfig, ChargeConfig, DiscoverAt, Energy, Generation, Goal, LinkConfig, Outcome, TlsSetup,
    Wish,
};
use gridlatch_host::{Hub, HubConfig, Shutdown, now};
use gridlatch_pki::dev::{self, DevPki, VehicleName};
use gridlatch_station::backend::{Authorization, ToPlatform};
use gridlatch_station::{CableMode, EimPolicy, EvseConfig, SdpMode, Station, StationConfig};
use gridlatch_vocab::{EvseId, Personal, StationId};
use tokio::sync::mpsc;

use super::Case;
use crate::say;

/// Arguments of the station's side.
#[derive(Debug, clap::Args)]
pub(crate) struct StationArgs {
    #[arg(long)]
    pki: PathBuf,
}

/// Arguments of the car's side.
#[derive(Debug, clap::Args)]
pub(crate) struct CarArgs {
    #[arg(long)]
    pki: PathBuf,
    #[arg(long)]
    case: Case,
    #[arg(long)]
    sdp: SocketAddrV6,
    #[arg(long)]
    seconds: u32,
}

/// The development PKI of the bench; both sides use the same one.
pub(super) fn pki(folder: &std::path::Path) -> Result<DevPki> {
    let quiet = Hub::new(HubConfig::default(), None);
    dev::ensure(folder, &quiet, now()).context("cannot make the certificates of the bench")
}

/// The station of the bench.
pub(super) fn station_id() -> Result<StationId> {
    "GL-BENCH".parse().context("the station of the bench")
}

/// The car of the bench.
pub(super) fn vehicle() -> Result<VehicleName> {
    "bench".parse().context("the vehicle of the bench")
}

/// One thread, as a controller on a board would be: the rate per core is the rate of one thread.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// Runs the station until its standard input is closed; prints where it answers discovery.
pub(crate) fn station(args: &StationArgs) -> Result<()> {
    let pki = pki(&args.pki)?;
    let id = station_id()?;
    let config = StationConfig {
        station: id.clone(),
        evses: vec![EvseConfig::dc(EvseId(1), "DE*GDL*E000009*1", CableMode::Virtual)],
        tls: Some(gridlatch_station::TlsSetup {
            credentials: pki.station_credentials(&id)?,
            vehicle_roots: pki.oem_roots(),
            contract_roots: pki.mo_roots(),
            vehicle_revocation: None,
            allow_legacy_cbc: true,
            key_log: None,
        }),
        custody: None,
        allow_plaintext_eim: false,
        sdp: SdpMode::Loopback,
        eim: EimPolicy::Assume {
            token: Personal::new("BENCH".to_owned()),
            kind: "Central".to_owned(),
        },
        sample_interval: Duration::from_secs(1),
        permit_life: Duration::from_millis(500),
    };
    runtime()?.block_on(async {
        let hub = Hub::new(HubConfig::default(), None);
        let shutdown = Shutdown::new();
        let (to_platform, requests) = mpsc::channel(64);
        let (_commands, from_platform) = mpsc::channel(1);
        tokio::spawn(accept_everything(requests));
        let handle = Station::start(
            config,
            Arc::new(hub),
            to_platform,
            from_platform,
            shutdown.clone(),
        )?;
        let sdp = handle.evses.first().context("the station has no EVSE")?.sdp;
        say::result(sdp.to_string());
        parent_is_done().await;
        shutdown.cancel();
        Ok(())
    })
}

/// Waits until the parent closes our standard input, as it does when it ends, however it ends.
async fn parent_is_done() {
    let _ = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await;
}

/// A platform that says yes at once: the bench measures the cable side.
async fn accept_everything(mut requests: mpsc::Receiver<ToPlatform>) {
    while let Some(request) = requests.recv().await {
        match request {
            ToPlatform::Authorize { verdict, .. } => {
                let _ = verdict.send(Authorization::Accepted { discharge: true });
            }
            ToPlatform::Transaction {
                durable: Some(durable),
                ..
            } => {
                let _ = durable.send(());
            }
            ToPlatform::Provision { .. } | ToPlatform::Status { .. } | ToPlatform::Transaction { .. } => {}
        }
    }
}

/// Runs one session and prints its summary as JSON, then waits for its standard input to be closed so
/// that the parent can read what the process used.
pub(crate) fn car(args: &CarArgs) -> Result<()> {
    let pki = pki(&args.pki)?;
    let identity = if args.case.is_iso20() {
        Some(pki.vehicle(&vehicle()?)?)
    } else {
        None
    };
    let config = ChargeConfig {
        link: LinkConfig {
            plug: None,
            discover: DiscoverAt::Address(args.sdp),
        },
        generation: if args.case.is_iso20() {
            Generation::Iso20
        } else {
            Generation::Iso2
        },
        energy: Energy::Dc,
        control: None,
        auth: Auth::Eim,
        tls: Some(TlsSetup {
            roots: pki.v2g_roots(),
            identity,
            key_log: None,
            staple: gridlatch_evcc::StaplePolicy::default(),
        }),
        battery: BatteryConfig {
            capacity_wh: 1e6,
            ..BatteryConfig::default()
        },
        wish: Wish {
            charge: Goal {
                duration_ms: Some(u64::from(args.seconds) * 1000),
                ..Goal::default()
            },
            discharge: None,
            departure_s: 0,
        },
        mac: Personal::new([0x02, 0, 0, 0, 0, 0x42]),
        pace: None,
        patience: 1,
        stop: Shutdown::new(),
        progress: None,
    };
    runtime()?.block_on(async {
        let hub = Hub::new(HubConfig::default(), None);
        let (steps, mut seen) = mpsc::channel(64);
        tokio::spawn(async move { while seen.recv().await.is_some() {} });
        let outcome = gridlatch_evcc::charge(config, Arc::new(hub), steps).await;
        if let Outcome::Failed { failure, .. } = &outcome {
            bail!("the session failed: {failure}");
        }
        say::result(serde_json::to_string(outcome.summary())?);
        parent_is_done().await;
        Ok(())
    })
}
