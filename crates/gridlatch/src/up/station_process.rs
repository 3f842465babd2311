//! One simulated station in a process of its own, under a memory limit: whatever a vehicle sends, it can
//! harm this process only, and with the process its contactors' permit ends.
//!
//! Started by `up`, never by a person. It reports each event as one JSON line on standard output, and
//! ends in order when standard input says `stop`, at once when it is closed.

use std::fs::File;
use std::io::{BufRead as _, Read as _};
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use gridlatch_host::{DataDir, Hub, HubConfig, SecurityLog, Shutdown, TaskTracker, now};
use gridlatch_pki::dev::{self, DevPki};
use gridlatch_session::secc::Kind;
use gridlatch_station::backend::ToPlatform;
use gridlatch_station::csms::{self, CsmsConfig};
use gridlatch_station::custody::{Custody, CustodyConfig, KeyStore, RootUse};
use gridlatch_station::{
    CableMode, EimPolicy, EvseConfig, SdpMode, Station, StationConfig, StationHandle, TlsSetup,
};
use gridlatch_store::Store;
use gridlatch_vocab::{Event, EventSink as _, EvseId, MilliWattHours, Personal, StationId, catalogue};
use tokio::sync::mpsc;

use super::delivered::{self, Delivered, StationKeys};
use super::revocation::Asked;
use super::staples::Named;
use super::{DEMO_TOKEN, DEMO_TOKEN_KIND};
use crate::run_file::{RunEvse, RunStation, Supply};
use crate::say;

/// Most private memory the process of a station may use, in bytes. It needs a tenth of it; the worst a
/// vehicle could be shown to cause under the payload limits is 10 MB.
pub(crate) const MEMORY: u64 = 256 * 1024 * 1024;

/// The file within a station's folder that tells where it can be reached.
pub(crate) const READY: &str = "station.json";

/// How often a running transaction is reported to the platform.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// How long the last words of sessions may take to reach the platform.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// A laptop that compiles beside us is no real-time system, and behind these contactors is no power.
const PERMIT_LIFE: Duration = Duration::from_millis(500);

/// Messages under way between a station's charging side and its platform link.
const QUEUE: usize = 64;

/// Arguments of a station's process.
#[derive(Debug, clap::Args)]
pub(crate) struct StationArgs {
    /// The data folder of `up`
    #[arg(long)]
    data: PathBuf,
    /// The station
    #[arg(long)]
    id: StationId,
    /// Where the platform listens
    #[arg(long)]
    ocpp: SocketAddr,
    #[command(flatten)]
    revocation: Asked,
    /// Serve vehicles without TLS too
    #[arg(long)]
    allow_plaintext: bool,
    /// Write TLS secrets to this file
    #[arg(long)]
    key_log: Option<PathBuf>,
    #[command(flatten)]
    keys: StationKeys,
}

/// Runs until it is told to stop; returns the exit code.
pub(crate) fn run(args: StationArgs) -> u8 {
    match serve(args) {
        Ok(()) => 0,
        Err(error) => say::failed(&error),
    }
}

fn serve(args: StationArgs) -> Result<()> {
    gridlatch_host::limit_memory(MEMORY).context("cannot limit the memory of the station's process")?;
    super::log_to_stderr(false, false);
    let out = std::io::stdout().as_fd().try_clone_to_owned();
    let log = SecurityLog::into_file(File::from(out.context("standard output is closed")?))
        .context("cannot report events")?;
    let hub = Hub::new(HubConfig::default(), Some(log));
    // Stacks count as memory: few threads.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(station(args, &hub));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn station(args: StationArgs, hub: &Hub) -> Result<()> {
    let data = DataDir::open(&args.data)?;
    let pki = dev::ensure(&data.dir("pki")?, hub, now())?.reporting_to(Arc::new(hub.clone()));
    let stop = Stop::default();
    let links = TaskTracker::new();
    let handle = start(&args, &data, &pki, hub, &stop, &links).await?;
    links.close();
    let ready = serde_json::to_vec_pretty(&describe(&args.id, &handle))?;
    data.write_private(&format!("stations/{}/{READY}", args.id), &ready)?;
    let up = Event::new(
        now(),
        catalogue::host::STATION_PROCESS_UP,
        "host",
        format!(
            "station {} runs as process {} with at most {} MiB",
            args.id,
            std::process::id(),
            MEMORY / (1024 * 1024)
        ),
    );
    hub.emit(up.station(&args.id).with("pid", std::process::id()));

    told_to_stop().await;
    stop.sessions.cancel();
    handle.stopped().await;
    // The links end by themselves once everything is delivered. What the platform did not hear in time
    // stays in the station's store for the next start.
    if tokio::time::timeout(LAST_WORDS, links.wait()).await.is_err() {
        stop.links.cancel();
        links.wait().await;
    }
    Ok(())
}

/// Waits for the word on standard input. Without a parent nobody could stop this process in order, nor
/// hear its events, so it ends where it stands.
async fn told_to_stop() {
    // The terminal sends Ctrl-C to every process of the group; the parent decides what it means.
    tokio::spawn(async { while tokio::signal::ctrl_c().await.is_ok() {} });
    // A service manager sends SIGTERM to every process of a service at once.
    if let Ok(mut terminated) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::spawn(async move { while terminated.recv().await.is_some() {} });
    }
    let (word, heard) = tokio::sync::oneshot::channel();
    let reader = std::thread::Builder::new()
        .name("parent".to_owned())
        .spawn(move || {
            let mut word = Some(word);
            let mut line = String::new();
            loop {
                line.clear();
                match std::io::stdin().lock().take(64).read_line(&mut line) {
                    Ok(1..) => {
                        if line.trim() == "stop"
                            && let Some(word) = word.take()
                        {
                            let _ = word.send(());
                        }
                    }
                    _ => std::process::exit(3),
                }
            }
        });
    if reader.is_ok() {
        let _ = heard.await;
    }
}

/// Stations stop in two steps: sessions first, then the links that carry their last words.
#[derive(Debug, Default)]
struct Stop {
    sessions: Shutdown,
    links: Shutdown,
}

/// What other commands need to know of a station.
fn describe(id: &StationId, handle: &StationHandle) -> RunStation {
    let evses = handle.evses.iter().filter_map(|evse| {
        Some(RunEvse {
            evse: evse.evse,
            kind: if matches!(evse.kind, Kind::Ac) {
                Supply::Ac
            } else {
                Supply::Dc
            },
            sdp: evse.sdp,
            cable: evse.cable_path.clone()?,
        })
    });
    RunStation {
        id: id.clone(),
        evses: evses.collect(),
    }
}

async fn start(
    args: &StationArgs,
    data: &DataDir,
    pki: &DevPki,
    hub: &Hub,
    stop: &Stop,
    links: &TaskTracker,
) -> Result<StationHandle> {
    let id = &args.id;
    let folder = data.dir(&format!("stations/{id}"))?;
    let store = super::open_store(data, &format!("stations/{id}/station.db")).await?;
    let cable = CableMode::Socket(folder.join("evse-1.cable"));
    let mut evse = if id.as_str().contains("-AC-") {
        EvseConfig::ac(EvseId(1), "DE*GDL*E000001*1", cable)
    } else {
        EvseConfig::dc(EvseId(1), "DE*GDL*E000002*1", cable)
    };
    evse.registers = registers(&store).await?;
    let delivered = delivered::find(&args.keys, pki, data, id)?;
    let custody = custody(
        id,
        pki,
        &delivered,
        args.keys.store(),
        folder.join("certificates"),
    )?;
    let credentials = delivered.vehicle;
    let responder = Named::by(credentials.iter().map(|credential| &credential.chain));
    let check = args.revocation.check();
    let station = StationConfig {
        station: id.clone(),
        evses: vec![evse],
        tls: Some(TlsSetup {
            credentials,
            vehicle_roots: pki.oem_roots(),
            contract_roots: pki.mo_roots(),
            vehicle_revocation: Some(check.clone()),
            allow_legacy_cbc: true,
            key_log: args.key_log.clone(),
        }),
        custody: Some(custody.clone()),
        allow_plaintext_eim: args.allow_plaintext,
        sdp: SdpMode::Loopback,
        eim: EimPolicy::Assume {
            token: Personal::new(DEMO_TOKEN.to_owned()),
            kind: DEMO_TOKEN_KIND.to_owned(),
        },
        sample_interval: SAMPLE_INTERVAL,
        permit_life: PERMIT_LIFE,
    };
    let (to_platform, from_station) = mpsc::channel(QUEUE);
    let (to_link, link) = mpsc::channel(QUEUE);
    let (to_station, from_platform) = mpsc::channel(QUEUE);
    links.spawn(remember_registers(store.clone(), from_station, to_link));
    let mut csms = CsmsConfig::new(format!("wss://{}/ocpp", args.ocpp), id.clone(), store);
    csms.identity = Some(delivered.platform);
    csms.platform_roots = pki.csms_roots();
    csms.platform_revocation = Some(check);
    csms.custody = Some(custody);
    csms.meter_key = Some(pki.meter_key(id)?);
    csms.model = "Simulated station".to_owned();
    csms.longest_pause = Duration::from_secs(10);
    csms.sample_interval = SAMPLE_INTERVAL;
    // The link has a stop of its own: a session's last words leave after the charging side has ended.
    let link = csms::run(csms, link, to_station, hub.clone(), stop.links.clone());
    links.spawn(async move {
        if let Err(error) = link.await {
            tracing::error!(%error, "the link of a station to its platform cannot run");
        }
    });
    let handle = Station::start(
        station,
        Arc::new(hub.clone()),
        to_platform,
        from_platform,
        stop.sessions.clone(),
    )?;
    if let Some(responder) = responder {
        handle.staple_from(Arc::new(responder));
    }
    Ok(handle)
}

/// What the station was delivered with, and the folder for what it is given later.
fn custody(
    id: &StationId,
    pki: &DevPki,
    delivered: &Delivered,
    keys: KeyStore,
    folder: PathBuf,
) -> Result<Custody> {
    let vehicle = delivered.vehicle.clone();
    // The requests of later name the station as its delivered certificate does.
    let leaf = vehicle.first().and_then(|credential| credential.chain.first());
    let leaf = leaf.context("the station was delivered without a certificate")?;
    let summary = gridlatch_trust::certificate::summary(leaf)?;
    let roots = [
        (RootUse::V2g, pki.v2g_roots()),
        (RootUse::Mo, pki.mo_roots()),
        (RootUse::Csms, pki.csms_roots()),
    ];
    let config = CustodyConfig {
        folder,
        station: id.clone(),
        secc_name: summary.subject_cn,
        organization: summary.subject_o.unwrap_or_default(),
        country: "DE".to_owned(),
        vehicle,
        platform: Some(delivered.platform.clone()),
        roots: roots
            .into_iter()
            .flat_map(|(usage, ders)| ders.into_iter().map(move |der| (usage, der)))
            .collect(),
        keys,
    };
    Ok(Custody::open(config, now())?)
}

const IMPORTED: &str = "meter.1.imported";
const EXPORTED: &str = "meter.1.exported";

/// A meter's registers survive a restart: where they stood when last reported.
async fn registers(store: &Store) -> Result<(MilliWattHours, MilliWattHours)> {
    let read = async |name| -> Result<MilliWattHours> {
        let text = store.setting_find(name).await?;
        Ok(MilliWattHours(
            text.and_then(|text| text.parse().ok()).unwrap_or(0),
        ))
    };
    Ok((read(IMPORTED).await?, read(EXPORTED).await?))
}

/// Passes messages on and notes the registers on the way, before anybody can rely on them: a meter
/// that restarted below what it has reported would look like one that was tampered with.
async fn remember_registers(
    store: Store,
    mut from: mpsc::Receiver<ToPlatform>,
    to: mpsc::Sender<ToPlatform>,
) {
    while let Some(message) = from.recv().await {
        if let ToPlatform::Transaction { meter, .. } = &message {
            let (imported, exported) = (meter.imported.0.to_string(), meter.exported.0.to_string());
            let (imported, exported) = tokio::join!(
                store.setting_put(IMPORTED, &imported),
                store.setting_put(EXPORTED, &exported)
            );
            if let Err(error) = imported.and(exported) {
                tracing::error!(%error, "the meter's registers could not be noted");
            }
        }
        if to.send(message).await.is_err() {
            return;
        }
    }
}
