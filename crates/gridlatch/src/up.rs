//! Everything on one machine: PKI, platform and console in one process, two simulated stations in one each,
//! joined by real sockets, TLS and certificates, exactly as they would be apart.

mod authority;
mod banner;
mod certificates;
mod commands;
mod contracts;
pub(crate) mod delivered;
mod renewal;
mod revocation;
mod staples;
pub(crate) mod station_process;
mod stations;
mod trust;
mod web;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use gridlatch_host::{DataDir, Hub, HubConfig, SecurityLog, Shutdown, now};
use gridlatch_pki::ca::Ca;
use gridlatch_pki::dev::{self, DevPki, VehicleName};
use gridlatch_pki::pools::{Place, Pools};
use gridlatch_platform::{
    BillSigner, ContractProvider, OwnTrust, Platform, PlatformConfig, PlatformHandle, StationCheck,
};
use gridlatch_store::{Store, TokenStatus};
use gridlatch_tls::{Credential, PlatformServer, PlatformServerConfig};
use gridlatch_vocab::{Event, EventSink as _, Personal, StationId, catalogue};

pub(crate) use self::authority::takes_two;
pub(crate) use self::revocation::UnknownPolicy;
use crate::run_file::{self, RunFile};
use crate::say;
use crate::services::Places;

/// The token that stands for "somebody held a card to the reader" at the simulated stations.
pub(crate) const DEMO_TOKEN: &str = "GRIDLATCH-DEMO-CARD";

/// The OCPP type of [`DEMO_TOKEN`].
pub(crate) const DEMO_TOKEN_KIND: &str = "ISO14443";

/// The vehicle of the demonstrations; its contract is known to the platform from the start.
pub(crate) const DEMO_VEHICLE: &str = "demo";

/// How long an orderly stop may take before the process ends anyway.
const STOP_LIMIT: Duration = Duration::from_secs(8);

/// What `up` was asked to do.
#[derive(Debug)]
pub(crate) struct UpConfig {
    pub(crate) data: PathBuf,
    pub(crate) console: SocketAddr,
    pub(crate) ocpp: SocketAddr,
    pub(crate) est: Option<SocketAddr>,
    pub(crate) status: Option<SocketAddr>,
    pub(crate) notify: Vec<Place>,
    pub(crate) unknown: UnknownPolicy,
    pub(crate) allow_plaintext: bool,
    pub(crate) demo: bool,
    pub(crate) verbose: bool,
    pub(crate) key_log: Option<PathBuf>,
    pub(crate) station_keys: delivered::StationKeys,
}

/// Runs until it is asked to stop; returns the exit code.
pub(crate) async fn run(config: UpConfig) -> u8 {
    match serve(config).await {
        Ok(()) => 0,
        Err(error) => say::failed(&error),
    }
}

async fn serve(config: UpConfig) -> Result<()> {
    if !config.console.ip().is_loopback() {
        bail!(
            "--console {} is not a loopback address: the console speaks plain HTTP and must not leave this machine; \
             put a TLS proxy in front of it, or use 127.0.0.1",
            config.console
        );
    }
    let data = DataDir::open(&config.data)?;
    let Some(_claim) = data.claim()? else {
        bail!(
            "another gridlatch runs on {}; stop it, or choose another folder with --data",
            data.root().display()
        );
    };
    log_to_stderr(config.verbose, true);
    let log = data.path("security.jsonl");
    let log = SecurityLog::open(&log).with_context(|| format!("cannot open {}", log.display()))?;
    let hub = Hub::new(HubConfig::default(), Some(log));
    let shutdown = Shutdown::new();

    authority::refuse_two_operators(&data, &hub).await?;
    let places = Places::take(config.est, config.status).await?;
    let (est, ocsp, crl) = (places.est_at, places.ocsp_url(), places.crl_url());
    let mut pki = dev::ensure(&data.dir("pki")?, &hub, now())?.reporting_to(Arc::new(hub.clone()));
    if places.lasting {
        pki = pki.publishing_at(ocsp.clone(), crl.clone());
    }
    let pki = Arc::new(pki);
    let store = open_store(&data, "platform.db").await?;
    let ca = authority::open(&data, &pki, &hub).await?;
    certificates::name_places(&ca, &places).await?;
    let asked = revocation::Asked::at(&ocsp, &crl, config.unknown);
    let contracts = contracts::service(&ca, &pki, &store, &hub).await?;
    let contracts = contracts.asking(asked.check());
    let provider = contracts::provider(contracts.clone());
    let shown = pki.platform_server()?;
    let signs = pki.bill_signer()?;
    let port = Arc::new(PlatformServer::new(PlatformServerConfig {
        credential: shown.clone(),
        station_roots: pki.csms_roots(),
        handshake_timeout: Duration::from_secs(10),
    })?);
    let platform = start_platform(
        &config,
        &pki,
        (&ca, &asked, provider, signs.clone()),
        &port,
        &store,
        (&hub, &shutdown),
    )
    .await?;
    register_demo(&platform).await?;
    let stations = stations::start(&config, &data, (&ca, &pki), (&platform, &asked), &hub).await?;
    // What the stations were just delivered with can be revoked like anything else.
    ca.adopt_issued(&pki).await?;
    let web = web::start(&config, &data, &platform, pki.csms_roots(), (&hub, &shutdown)).await?;
    let pools = Pools::new(
        contracts,
        gridlatch_pki::pools::Places::only(config.notify.clone()),
    );
    let certificates = certificates::start(places, (&ca, pools), &data, &pki, (&hub, &shutdown)).await?;
    let listeners = renewal::Listeners {
        platform: port,
        web: Arc::clone(&certificates.web),
        bills: platform.state.clone(),
    };
    tokio::spawn(renewal::keep(
        Arc::clone(&pki),
        listeners,
        (shown, signs),
        hub.clone(),
        shutdown.clone(),
    ));

    let mut run = RunFile {
        pid: std::process::id(),
        console: format!("http://{}/", web.address),
        rest: format!("http://{}/api/v1", web.address),
        token_file: web.token_file.clone(),
        ocpp: format!("wss://{}/ocpp/", platform.ocpp_addr),
        stations: stations.describe(),
        est: format!("https://{est}/.well-known/est"),
        pools: format!("https://{est}"),
        ocsp,
        crl,
    };
    data.write_private(run_file::NAME, &serde_json::to_vec_pretty(&run)?)?;
    hub.emit(Event::new(
        now(),
        catalogue::host::STARTED,
        "host",
        "everything is up",
    ));
    banner::print(&run, &web.token, data.root());

    let rewrite = keep_run_file(&mut run, &stations, &data);
    tokio::select! {
        () = wait_for_stop(&config, &data) => {}
        () = rewrite => {}
    }
    hub.emit(Event::new(
        now(),
        catalogue::host::STOPPING,
        "host",
        "asked to stop",
    ));
    say::talk("stopping; press Ctrl-C again to stop at once");
    let _ = std::fs::remove_file(data.path(run_file::NAME));
    let orderly = async {
        stations.stop().await;
        shutdown.cancel();
        web.stopped().await;
        certificates.stopped().await;
    };
    tokio::select! {
        () = orderly => say::talk("stopped"),
        () = tokio::time::sleep(STOP_LIMIT) => say::talk("stopped (not everything ended in time)"),
        _ = tokio::signal::ctrl_c() => say::talk("stopped at once"),
    }
    Ok(())
}

/// Writes the run file again whenever a station was started again at other addresses.
async fn keep_run_file(run: &mut RunFile, stations: &stations::Stations, data: &DataDir) {
    let mut changes = stations.changes();
    while changes.changed().await.is_ok() {
        run.stations = changes.borrow_and_update().clone();
        let written = serde_json::to_vec_pretty(run)
            .map_err(anyhow::Error::from)
            .and_then(|text| Ok(data.write_private(run_file::NAME, &text)?));
        if let Err(error) = written {
            tracing::error!(%error, "the run file cannot be written");
        }
    }
    std::future::pending::<()>().await;
}

/// Waits for Ctrl-C or SIGTERM, running the demonstration meanwhile when one was asked for.
async fn wait_for_stop(config: &UpConfig, data: &DataDir) {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    let demo = async {
        if config.demo {
            banner::demo(data.root()).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
        () = demo => {}
    }
}

/// Opens a store file of the data folder.
async fn open_store(data: &DataDir, name: &str) -> Result<Store> {
    let path = data.path(name);
    let place = path
        .to_str()
        .with_context(|| format!("{} is not text", path.display()))?;
    Store::open(place)
        .await
        .with_context(|| format!("cannot open {}", path.display()))
}

async fn start_platform(
    config: &UpConfig,
    pki: &Arc<DevPki>,
    (ca, asked, contracts, bills): (&Ca, &revocation::Asked, Arc<dyn ContractProvider>, Credential),
    port: &Arc<PlatformServer>,
    store: &Store,
    (hub, shutdown): (&Hub, &Shutdown),
) -> Result<PlatformHandle> {
    let own_trust = OwnTrust {
        server: pki.platform_server()?.chain,
        csms_roots: pki.csms_roots(),
        known: [pki.v2g_roots(), pki.oem_roots()].concat(),
    };
    let check = asked.check();
    let settings = PlatformConfig {
        listen: config.ocpp,
        mo_roots: pki.mo_roots(),
        revocation: Some(check.clone()),
        stations: Some(StationCheck {
            check,
            listener: Some(Arc::clone(port)),
        }),
        authority: Some(Arc::new(authority::ForStations(ca.clone()))),
        own_trust,
        contracts: Some(contracts),
        bill_signer: Some(BillSigner {
            chain: bills.chain,
            key: bills.key,
        }),
        ..PlatformConfig::default()
    };
    Platform::start(settings, Arc::clone(port), store.clone(), hub.clone(), shutdown.clone())
        .await
        .with_context(|| format!("the platform does not start; if the port is taken, choose another with --ocpp (0 takes any), now {}", config.ocpp))
}

/// Makes the demonstration vehicle's contract and the demonstration card known to the platform.
async fn register_demo(platform: &PlatformHandle) -> Result<()> {
    let vehicle: VehicleName = DEMO_VEHICLE.parse()?;
    let store = platform.state.store();
    store
        .contract_put(&vehicle.emaid(), TokenStatus::Active, true, now())
        .await?;
    store
        .token_put(
            &Personal::new(DEMO_TOKEN.to_owned()),
            DEMO_TOKEN_KIND,
            TokenStatus::Active,
            true,
            now(),
        )
        .await?;
    Ok(())
}

/// Warnings and worse go to stderr; everything with `--verbose`. A process that reports its `events` to
/// another one leaves them to that one.
fn log_to_stderr(verbose: bool, events: bool) {
    use tracing_subscriber::filter::{LevelFilter, Targets};
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;
    let level = if verbose {
        LevelFilter::INFO
    } else {
        LevelFilter::WARN
    };
    let filter = Targets::new()
        .with_target("gridlatch", level)
        .with_target("gridlatch::event", if events { level } else { LevelFilter::OFF })
        .with_default(LevelFilter::WARN);
    let _ = tracing_subscriber::registry()
        .with(
            tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_target(false),
        )
        .with(filter)
        .try_init();
}

/// The two stations of `up`.
fn station_ids() -> Result<[StationId; 2]> {
    Ok(["GL-AC-1".parse()?, "GL-DC-1".parse()?])
}
