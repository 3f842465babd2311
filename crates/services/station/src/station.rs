//! Puts a station together and routes what the platform says to its outlets.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gridlatch_host::{Shutdown, TaskTracker};
use gridlatch_link::cable::{CableError, Outlet};
use gridlatch_link::listen::{Port, Slot};
use gridlatch_link::sdp::SdpSocket;
use gridlatch_session::secc::Kind;
use gridlatch_session::secc::sdp::Endpoints;
use gridlatch_tls::{Revoked, TlsError, VehicleServer, VehicleServerConfig};
use gridlatch_vocab::catalogue::{cable, host};
use gridlatch_vocab::{EventSink, EvseId, TransactionId};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::backend::{ConnectorStatus, FromPlatform, ToPlatform};
use crate::config::{CableMode, EvseConfig, SdpMode, StationConfig};
use crate::custody::RootUse;
use crate::model::Model;
use crate::outlet::{self, Command};
use crate::power::{self, Power};
use crate::report::Reporter;
use crate::stapling::StapleSource;
use crate::transaction::Outbox;
use crate::vehicles::Vehicles;
use crate::{connection, discovery, stapling};

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The station cannot be started.
#[derive(Debug, Error)]
pub enum StationError {
    /// A socket could not be opened.
    #[error("cannot open {what} of EVSE {evse}")]
    Socket {
        /// Which one.
        what: &'static str,
        /// Whose.
        evse: EvseId,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The cable's socket could not be opened.
    #[error("cannot open the cable of EVSE {evse}")]
    Cable {
        /// Whose.
        evse: EvseId,
        /// Why.
        #[source]
        source: CableError,
    },
    /// The network interface does not exist or has no link-local address.
    #[error("cannot use the network interface {name}")]
    Interface {
        /// Its name.
        name: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The interlock's thread could not be started.
    #[error("cannot start the interlock")]
    Interlock(#[source] std::io::Error),
    /// The configuration asks for something impossible.
    #[error("the configuration of the station: {0}")]
    Config(&'static str),
}

/// Where an EVSE can be reached.
#[derive(Debug, Clone)]
pub struct EvseEndpoint {
    /// Its number.
    pub evse: EvseId,
    /// What it delivers.
    pub kind: Kind,
    /// Where it answers discovery.
    pub sdp: SocketAddrV6,
    /// Its cable's socket, if it has one.
    pub cable_path: Option<PathBuf>,
    /// The TLS port, while TLS is up.
    pub tls: Option<SocketAddrV6>,
    /// The port without TLS, where policy allows it.
    pub plain: Option<SocketAddrV6>,
}

/// A running station.
#[derive(Debug)]
pub struct StationHandle {
    /// Its EVSEs.
    pub evses: Vec<EvseEndpoint>,
    tasks: TaskTracker,
    server: Option<Arc<VehicleServer>>,
    report: Reporter,
    shutdown: Shutdown,
}

impl StationHandle {
    /// From now on, staples what `source` says of the station's certificates, and keeps it fresh. Without TLS
    /// there is nothing to staple to.
    pub fn staple_from(&self, source: Arc<dyn StapleSource>) {
        if let Some(server) = &self.server {
            let work = stapling::keep_fresh(Arc::clone(server), source, self.report.clone());
            self.tasks.spawn(until(self.shutdown.clone(), work));
        }
    }

    /// Refuses vehicles whose chain holds one of these certificates from now on, also those that would
    /// resume an earlier connection.
    ///
    /// # Errors
    /// OpenSSL cannot make a context; the old set stays.
    pub fn set_revoked(&self, revoked: Revoked) -> Result<(), TlsError> {
        self.server
            .as_ref()
            .map_or(Ok(()), |server| server.set_revoked(revoked))
    }

    /// Waits until every task of the station has ended after shutdown was asked for.
    pub async fn stopped(self) {
        self.tasks.wait().await;
    }
}

/// Starts stations.
#[derive(Debug)]
pub struct Station;

/// Which transaction runs where.
pub(crate) type Running = Arc<Mutex<BTreeMap<TransactionId, EvseId>>>;

impl Station {
    /// Opens everything and starts the tasks of a station. Must be called inside a tokio runtime.
    ///
    /// Without a usable TLS credential where one is required the station starts, says so, and stays
    /// `Unavailable`: it never falls back to a connection without TLS.
    ///
    /// # Errors
    /// A socket cannot be opened, or the configuration is impossible.
    pub fn start(
        config: StationConfig,
        sink: Arc<dyn EventSink>,
        to_platform: mpsc::Sender<ToPlatform>,
        from_platform: mpsc::Receiver<FromPlatform>,
        shutdown: Shutdown,
    ) -> Result<StationHandle, StationError> {
        if config.evses.is_empty() {
            return Err(StationError::Config("a station needs at least one EVSE"));
        }
        if matches!(config.sdp, SdpMode::Interface(_)) && config.evses.len() > 1 {
            return Err(StationError::Config("one network interface serves one EVSE"));
        }
        let report = Reporter::new(sink, config.station.clone());
        let host = match &config.sdp {
            SdpMode::Loopback => SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0, 0, 0),
            SdpMode::Interface(name) => link_local(name)?,
        };
        let server = tls_server(&config, &report);
        if let (Some(custody), Some(server)) = (&config.custody, &server) {
            custody.serve(Arc::clone(server));
        }
        let vehicles = server
            .clone()
            .zip(config.tls.as_ref())
            .map(|(server, setup)| Arc::new(Vehicles::new(server, setup.vehicle_revocation.clone())));
        let inoperative = server.is_none() && !config.allow_plaintext_eim;
        let tasks = TaskTracker::new();
        let (outbox, forward) = Outbox::new(to_platform);
        tasks.spawn(forward);
        let running = Running::default();
        let origin = Instant::now();
        let mut endpoints = Vec::new();
        let mut commands = BTreeMap::new();
        let mut powers = Vec::new();
        for evse in &config.evses {
            let report = report.at(evse.evse);
            let (endpoint, ports) = open(&config, evse, host, server.as_ref())?;
            let reachable = Arc::new(AtomicBool::new(false));
            let power = Power::new(
                Model::new(evse.kind, evse.limits, evse.registers, Duration::ZERO),
                origin,
                config.permit_life,
            );
            powers.push(power.clone());
            let sdp = discovery::serve(
                ports.sdp,
                Endpoints {
                    tls: endpoint.tls,
                    plain: endpoint.plain,
                },
                Arc::clone(&reachable),
                report.clone(),
            );
            tasks.spawn(until(shutdown.clone(), sdp));
            let (connections, incoming) = mpsc::channel(1);
            let tls = ports.tls.zip(vehicles.clone());
            tasks.spawn(until(
                shutdown.clone(),
                connection::serve(tls, ports.plain, connections, report.clone()),
            ));
            let (command, orders) = mpsc::channel(16);
            commands.insert(evse.evse, command);
            let task = outlet::OutletTask::new(
                &config,
                evse.clone(),
                ports.outlet,
                incoming,
                orders,
                outlet::Shared {
                    power,
                    report,
                    outbox: outbox.clone(),
                    running: Arc::clone(&running),
                    reachable,
                    inoperative,
                },
            );
            tasks.spawn(task.run(shutdown.clone()));
            endpoints.push(endpoint);
        }
        if let Some(custody) = config.custody.clone() {
            tasks.spawn(until(shutdown.clone(), custody.keep()));
        }
        power::watch(&powers).map_err(StationError::Interlock)?;
        tasks.spawn(until(shutdown.clone(), route(from_platform, commands, running)));
        tasks.close();
        report.say(host::STARTED, format!("station {} is up", config.station));
        Ok(StationHandle {
            evses: endpoints,
            tasks,
            server,
            report,
            shutdown,
        })
    }
}

/// TLS as policy demands, or `None` with the reason reported.
fn tls_server(config: &StationConfig, report: &Reporter) -> Option<Arc<VehicleServer>> {
    let Some(setup) = &config.tls else {
        if !config.allow_plaintext_eim {
            report.say(
                cable::STATION_INOPERATIVE,
                "TLS is required and no credential is configured",
            );
        }
        return None;
    };
    let held = config
        .custody
        .as_ref()
        .map(|custody| custody.vehicle_credentials(gridlatch_host::now()))
        .filter(|held| !held.is_empty());
    // The roots let vehicles name theirs by its hash, and staples be fetched for the sub-CAs below them.
    let roots = config
        .custody
        .as_ref()
        .map(|custody| custody.roots(RootUse::V2g))
        .unwrap_or_default();
    let server = VehicleServer::with_roots(
        VehicleServerConfig {
            credentials: held.unwrap_or_else(|| setup.credentials.clone()),
            vehicle_roots: setup.vehicle_roots.clone(),
            iso2: config.evses.iter().any(|evse| evse.iso2),
            iso20: config.evses.iter().any(|evse| evse.iso20) && !setup.vehicle_roots.is_empty(),
            allow_legacy_cbc: setup.allow_legacy_cbc,
            key_log: setup.key_log.clone(),
            handshake_timeout: HANDSHAKE_TIMEOUT,
        },
        roots,
    );
    match server {
        Ok(server) => Some(Arc::new(server)),
        Err(error) => {
            report.say(
                cable::STATION_INOPERATIVE,
                format!("TLS cannot be offered: {error}"),
            );
            None
        }
    }
}

struct Ports {
    sdp: SdpSocket,
    tls: Option<Port>,
    plain: Option<Port>,
    outlet: Option<Outlet>,
}

fn open(
    config: &StationConfig,
    evse: &EvseConfig,
    host: SocketAddrV6,
    server: Option<&Arc<VehicleServer>>,
) -> Result<(EvseEndpoint, Ports), StationError> {
    let number = evse.evse;
    let socket = |what: &'static str| {
        move |source| StationError::Socket {
            what,
            evse: number,
            source,
        }
    };
    let slot = Slot::default();
    let tls = server
        .map(|_| Port::bind(host, &slot).map_err(socket("the TLS port")))
        .transpose()?;
    let plain = config
        .allow_plaintext_eim
        .then(|| Port::bind(host, &slot).map_err(socket("the port without TLS")))
        .transpose()?;
    let sdp = match &config.sdp {
        SdpMode::Loopback => SdpSocket::unicast(host),
        SdpMode::Interface(_) => SdpSocket::multicast(host.scope_id()),
    }
    .map_err(socket("the discovery socket"))?;
    let outlet = match &evse.cable {
        CableMode::Socket(path) => {
            Some(Outlet::bind(path.clone()).map_err(|source| StationError::Cable { evse: number, source })?)
        }
        CableMode::Virtual => None,
    };
    let endpoint = EvseEndpoint {
        evse: number,
        kind: evse.kind,
        sdp: sdp.local(),
        cable_path: outlet.as_ref().map(|outlet| outlet.path().to_owned()),
        tls: tls.as_ref().map(Port::local),
        plain: plain.as_ref().map(Port::local),
    };
    Ok((
        endpoint,
        Ports {
            sdp,
            tls,
            plain,
            outlet,
        },
    ))
}

/// The link-local address of an interface, port 0, with its scope.
fn link_local(name: &str) -> Result<SocketAddrV6, StationError> {
    let wrap = |source| StationError::Interface {
        name: name.to_owned(),
        source,
    };
    let table = std::fs::read_to_string("/proc/thread-self/net/if_inet6").map_err(wrap)?;
    table
        .lines()
        .filter_map(|line| {
            // address, index, prefix length, scope, flags, name
            let mut fields = line.split_whitespace();
            let address = u128::from_str_radix(fields.next()?, 16).ok()?;
            let index = u32::from_str_radix(fields.next()?, 16).ok()?;
            let scope = fields.nth(1)?;
            (scope == "20" && fields.nth(1)? == name)
                .then(|| SocketAddrV6::new(Ipv6Addr::from(address), 0, 0, index))
        })
        .next()
        .ok_or_else(|| wrap(std::io::ErrorKind::AddrNotAvailable.into()))
}

async fn until(shutdown: Shutdown, work: impl Future<Output = ()>) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = work => {}
    }
}

/// Carries what the platform says to the outlet it concerns.
async fn route(
    mut from_platform: mpsc::Receiver<FromPlatform>,
    outlets: BTreeMap<EvseId, mpsc::Sender<Command>>,
    running: Running,
) {
    while let Some(message) = from_platform.recv().await {
        match message {
            FromPlatform::Start {
                evse,
                remote_start_id,
                token,
                kind,
                accepted,
            } => match outlets.get(&evse) {
                Some(outlet) => {
                    let command = Command::Start {
                        remote_start_id,
                        token,
                        kind,
                        accepted,
                    };
                    let _ = outlet.send(command).await;
                }
                None => {
                    let _ = accepted.send(Err(format!("this station has no EVSE {evse}")));
                }
            },
            FromPlatform::Stop {
                transaction,
                accepted,
            } => {
                let evse = running
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get(&transaction)
                    .copied();
                match evse.and_then(|evse| outlets.get(&evse)) {
                    Some(outlet) => {
                        let _ = outlet
                            .send(Command::Stop {
                                transaction,
                                accepted,
                            })
                            .await;
                    }
                    None => {
                        let _ = accepted.send(false);
                    }
                }
            }
            FromPlatform::Setpoint {
                evse,
                setpoint,
                accepted,
            } => match outlets.get(&evse) {
                Some(outlet) => {
                    let _ = outlet.send(Command::Setpoint { setpoint, accepted }).await;
                }
                None => {
                    let _ = accepted.send(Err(format!("this station has no EVSE {evse}")));
                }
            },
            FromPlatform::Reset { immediate, accepted } => {
                let busy = !running.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
                let take_up = immediate || !busy;
                let _ = accepted.send(take_up);
                if take_up {
                    for outlet in outlets.values() {
                        let _ = outlet.send(Command::Reset).await;
                    }
                }
            }
        }
    }
    // The platform link ended; outlets go on with what they have until shutdown.
    std::future::pending::<()>().await;
}

/// The connector states the platform is told.
pub(crate) const fn status(inoperative: bool, occupied: bool) -> ConnectorStatus {
    match (inoperative, occupied) {
        (true, _) => ConnectorStatus::Unavailable,
        (false, true) => ConnectorStatus::Occupied,
        (false, false) => ConnectorStatus::Available,
    }
}
