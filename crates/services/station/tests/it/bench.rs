//! A station with simulated outlets, a platform that says yes, and honest cars.

use std::net::SocketAddrV6;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use gridlatch_evcc::{
    Auth, BatteryConfig, ChargeConfig, ContractCredential, DiscoverAt, Energy, Generation, Goal, LinkConfig,
    Outcome, Plug, Progress, Wish,
};
use gridlatch_host::{Shutdown, now};
use gridlatch_pki::dev::{self, DevPki};
use gridlatch_station::backend::{
    Authorization, FromPlatform, Identification, MeterReading, ToPlatform, TransactionUpdate,
};
use gridlatch_station::{
    CableMode, EimPolicy, EvseConfig, EvseEndpoint, SdpMode, Station, StationConfig, StationHandle, TlsSetup,
};
use gridlatch_vocab::catalogue::{cable, power};
use gridlatch_vocab::{Code, Event, EventSink, EvseId, Personal, StationId, TransactionId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{mpsc, oneshot, watch};

#[derive(Default)]
pub(crate) struct Recorder(Mutex<Vec<Event>>);

impl EventSink for Recorder {
    fn emit(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// What the platform was told.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    Authorize(Identification),
    Transaction(EvseId, TransactionId, TransactionUpdate, MeterReading),
}

pub(crate) struct Bench {
    station: Option<StationHandle>,
    pub(crate) evses: Vec<EvseEndpoint>,
    events: Arc<Recorder>,
    told: Arc<Mutex<Vec<Told>>>,
    pub(crate) orders: mpsc::Sender<FromPlatform>,
    shutdown: Shutdown,
}

/// One PKI for all tests of this process.
pub(crate) fn pki() -> std::sync::MutexGuard<'static, DevPki> {
    static PKI: OnceLock<(tempfile::TempDir, Mutex<DevPki>)> = OnceLock::new();
    PKI.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let pki = dev::ensure(folder.path(), &Recorder::default(), now()).unwrap();
        (folder, Mutex::new(pki))
    })
    .1
    .lock()
    .unwrap()
}

/// A station of `count` bidirectional DC outlets. `plain` also serves vehicles without TLS.
pub(crate) fn bench(count: u16, plain: bool) -> Bench {
    bench_with(count, plain, |_| {})
}

pub(crate) fn bench_with(count: u16, plain: bool, change: impl FnOnce(&mut StationConfig)) -> Bench {
    let id: StationId = "GL-TEST".parse().unwrap();
    let tls = {
        let pki = pki();
        TlsSetup {
            credentials: pki.station_credentials(&id).unwrap(),
            vehicle_roots: pki.oem_roots(),
            contract_roots: pki.mo_roots(),
            vehicle_revocation: None,
            allow_legacy_cbc: true,
            key_log: None,
        }
    };
    let mut config = StationConfig {
        station: id,
        evses: (1..=count)
            .map(|n| EvseConfig::dc(EvseId(n), &format!("DE*GDL*E00000{n}*1"), CableMode::Virtual))
            .collect(),
        tls: Some(tls),
        custody: None,
        allow_plaintext_eim: plain,
        sdp: SdpMode::Loopback,
        eim: EimPolicy::Assume {
            token: Personal::new("TEST".to_owned()),
            kind: "Central".to_owned(),
        },
        sample_interval: Duration::from_millis(100),
        // Sixteen tests at once make any machine busy.
        permit_life: gridlatch_interlock::LONGEST_RENEWAL,
    };
    change(&mut config);
    let events = Arc::new(Recorder::default());
    let told = Arc::new(Mutex::new(Vec::new()));
    let (to_platform, mut requests) = mpsc::channel(64);
    let (orders, from_platform) = mpsc::channel(16);
    let shutdown = Shutdown::new();
    let log = Arc::clone(&told);
    tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            match request {
                ToPlatform::Authorize {
                    identification,
                    verdict,
                    ..
                } => {
                    log.lock().unwrap().push(Told::Authorize(identification));
                    let _ = verdict.send(Authorization::Accepted { discharge: true });
                }
                ToPlatform::Transaction {
                    evse,
                    transaction,
                    update,
                    meter,
                    durable,
                } => {
                    let told = Told::Transaction(evse, transaction, update, meter);
                    log.lock().unwrap().push(told);
                    if let Some(durable) = durable {
                        let _ = durable.send(());
                    }
                }
                ToPlatform::Provision { .. } | ToPlatform::Status { .. } => {}
            }
        }
    });
    let sink = Arc::clone(&events) as Arc<dyn EventSink>;
    let station = Station::start(config, sink, to_platform, from_platform, shutdown.clone()).unwrap();
    Bench {
        evses: station.evses.clone(),
        station: Some(station),
        events,
        told,
        orders,
        shutdown,
    }
}

impl Bench {
    pub(crate) fn count(&self, evse: u16, code: Code) -> usize {
        let events = self.events.0.lock().unwrap();
        events
            .iter()
            .filter(|event| event.code == code && event.evse == Some(EvseId(evse)))
            .count()
    }

    pub(crate) fn codes(&self, evse: u16) -> Vec<String> {
        let events = self.events.0.lock().unwrap();
        events
            .iter()
            .filter(|event| event.evse == Some(EvseId(evse)))
            .map(|event| format!("{}: {}", event.code.as_str(), event.message))
            .collect()
    }

    /// Waits until an outlet has reported `code` more than `before` times.
    pub(crate) async fn reports(&self, evse: u16, code: Code, before: usize) {
        let seen = eventually(|| self.count(evse, code) > before).await;
        assert!(
            seen,
            "no {} at EVSE {evse}: {:#?}",
            code.as_str(),
            self.codes(evse)
        );
    }

    pub(crate) fn is_closed(&self, evse: u16) -> bool {
        let opened = self.count(evse, power::CONTACTOR_OPENED)
            + self.count(evse, power::PERMIT_REVOKED)
            + self.count(evse, power::PERMIT_LAPSED);
        self.count(evse, power::CONTACTOR_CLOSED) > opened
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// The updates of the transactions of an outlet, in order.
    pub(crate) fn updates(&self, evse: u16) -> Vec<(TransactionId, TransactionUpdate, MeterReading)> {
        self.told()
            .into_iter()
            .filter_map(|told| match told {
                Told::Transaction(at, id, update, meter) if at == EvseId(evse) => Some((id, update, meter)),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn evse(&self, evse: u16) -> &EvseEndpoint {
        &self.evses[usize::from(evse) - 1]
    }

    pub(crate) fn car(&self, evse: u16) -> Car {
        Car::new(self.evse(evse).sdp)
    }

    /// An honest session works here, energy flows, and the contactor is open before and after.
    pub(crate) async fn serves(&self, evse: u16, after: &str) {
        assert!(!self.is_closed(evse), "{after}: the contactor is closed");
        let outcome = self.car(evse).millis(60).charge().await;
        assert!(
            outcome.failure().is_none(),
            "after {after}: {:?}\n{:#?}",
            outcome.failure(),
            self.codes(evse)
        );
        assert!(outcome.summary().loops.0 > 0, "after {after}");
        let open = eventually(|| !self.is_closed(evse)).await;
        assert!(open, "after {after}: the contactor stayed closed");
    }

    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        if let Some(station) = self.station.take() {
            tokio::time::timeout(Duration::from_secs(20), station.stopped())
                .await
                .expect("the station stops");
        }
    }
}

/// Whether something comes true within ten seconds: busy machines are slow.
pub(crate) async fn eventually(mut what: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if what() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    false
}

/// An honest car.
pub(crate) struct Car {
    config: ChargeConfig,
    progress: watch::Receiver<Progress>,
}

impl Car {
    fn new(sdp: SocketAddrV6) -> Self {
        let (progress, watched) = watch::channel(Progress::default());
        let config = ChargeConfig {
            link: LinkConfig {
                plug: None,
                discover: DiscoverAt::Address(sdp),
            },
            generation: Generation::Iso2,
            energy: Energy::Dc,
            control: None,
            auth: Auth::Eim,
            tls: Some(gridlatch_evcc::TlsSetup {
                roots: pki().v2g_roots(),
                identity: None,
                key_log: None,
                staple: gridlatch_evcc::StaplePolicy::default(),
            }),
            battery: BatteryConfig::default(),
            wish: Wish {
                charge: Goal {
                    duration_ms: Some(500),
                    ..Goal::default()
                },
                discharge: None,
                departure_s: 0,
            },
            mac: Personal::new([0x02, 0, 0, 0, 0, 0x77]),
            pace: Some(100),
            patience: 4,
            stop: Shutdown::new(),
            progress: Some(progress),
        };
        Self {
            config,
            progress: watched,
        }
    }

    pub(crate) fn millis(mut self, millis: u64) -> Self {
        self.config.wish.charge.duration_ms = Some(millis);
        self
    }

    /// With a cable, so that going away is unplugging.
    pub(crate) fn plugged(mut self, cable: &Path) -> Self {
        self.config.link.plug = Some(Plug::Socket(cable.to_owned()));
        self
    }

    /// Without TLS.
    pub(crate) fn plain(mut self) -> Self {
        self.config.tls = None;
        self
    }

    /// A bidirectional session that follows the station (ISO 15118-20, dynamic control).
    pub(crate) fn dynamic(mut self) -> Self {
        self.config.generation = Generation::Iso20;
        self.config.energy = Energy::DcBpt;
        self.config.control = Some(gridlatch_evcc::Control::Dynamic);
        if let Some(tls) = &mut self.config.tls {
            tls.identity = Some(pki().vehicle(&"neg".parse().unwrap()).unwrap());
        }
        self
    }

    /// With other roots of stations, and another certificate of its own.
    pub(crate) fn trusting(mut self, roots: Vec<Vec<u8>>, identity: gridlatch_tls::Credential) -> Self {
        if let Some(tls) = &mut self.config.tls {
            tls.roots = roots;
            tls.identity = Some(identity);
        }
        self
    }

    /// By a contract of `issuer`.
    pub(crate) fn contract(mut self, issuer: &DevPki) -> Self {
        let generation = match self.config.generation {
            Generation::Iso2 => gridlatch_tls::Generation::Iso2,
            Generation::Iso20 => gridlatch_tls::Generation::Iso20,
        };
        let contract = issuer.contract(&"neg".parse().unwrap(), generation).unwrap();
        self.config.auth = Auth::Contract(ContractCredential {
            emaid: Personal::new(contract.emaid.reveal().as_str().to_owned()),
            chain: contract.chain,
            key: contract.key,
        });
        self
    }

    /// Figures while it charges.
    pub(crate) fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Charges in the background, on a thread of its own: the session's future is bound to one.
    pub(crate) fn start(self) -> Charging {
        let (done, outcome) = oneshot::channel();
        let abort = Shutdown::new();
        let aborted = abort.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = aborted.cancelled() => {}
                    outcome = self.charge() => { let _ = done.send(outcome); }
                }
            });
        });
        Charging { outcome, abort }
    }

    pub(crate) async fn charge(self) -> Outcome {
        let (steps, mut seen) = mpsc::channel(64);
        tokio::spawn(async move { while seen.recv().await.is_some() {} });
        gridlatch_evcc::charge(self.config, Arc::new(Recorder::default()), steps).await
    }
}

/// A car that charges in the background.
pub(crate) struct Charging {
    outcome: oneshot::Receiver<Outcome>,
    abort: Shutdown,
}

impl Charging {
    pub(crate) async fn outcome(self) -> Outcome {
        let limit = Duration::from_secs(30);
        tokio::time::timeout(limit, self.outcome)
            .await
            .expect("the car comes to an end")
            .unwrap()
    }

    /// Drives away without a word.
    pub(crate) fn abort(&self) {
        self.abort.cancel();
    }
}

// The hand-made client.

pub(crate) const SAP: &[u8] = include_bytes!("../../../../../fuzz/corpus/exi/iso2-8001-SAPReq");
pub(crate) const SETUP: &[u8] = include_bytes!("../../../../../fuzz/corpus/exi/iso2-8001-SessionSetupReq");

pub(crate) fn frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x01, 0xFE, 0x80, 0x01];
    bytes.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// One discovery datagram; what comes back within `wait`.
pub(crate) async fn discover(at: SocketAddrV6, datagram: &[u8], wait: Duration) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("[::1]:0").await.unwrap();
    socket.send_to(datagram, at).await.unwrap();
    let mut buffer = [0; 128];
    let (length, _) = tokio::time::timeout(wait, socket.recv_from(&mut buffer))
        .await
        .ok()?
        .unwrap();
    Some(buffer[..length].to_vec())
}

/// Sends bytes on a new connection and reads until `answer` bytes came or the station closed. While the connection
/// before is still being closed its place is taken and this one is refused: then it tries again, as a vehicle does.
pub(crate) async fn say(
    bench: &Bench,
    evse: u16,
    to: SocketAddrV6,
    bytes: &[u8],
    answer: usize,
) -> (TcpStream, Vec<u8>) {
    let mut refused = bench.count(evse, cable::SECOND_CONNECTION_REFUSED);
    for _ in 0..100 {
        if let Ok(mut stream) = TcpStream::connect(to).await {
            // The station may close while we still write.
            let _ = stream.write_all(bytes).await;
            let heard = hear(&mut stream, answer).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            if bench.count(evse, cable::SECOND_CONNECTION_REFUSED) == refused {
                return (stream, heard);
            }
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
        refused = bench.count(evse, cable::SECOND_CONNECTION_REFUSED);
    }
    panic!("EVSE {evse} stays occupied: {:#?}", bench.codes(evse));
}

/// Reads up to `most` bytes, or until the station closes.
pub(crate) async fn hear(stream: &mut TcpStream, most: usize) -> Vec<u8> {
    let mut heard = Vec::new();
    let mut buffer = [0; 512];
    let read = async {
        while heard.len() < most {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(length) => heard.extend_from_slice(&buffer[..length]),
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(10), read).await;
    heard
}
