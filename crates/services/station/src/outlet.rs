//! One outlet: the cable, matching, the V2G session, power, and the transaction, in one loop.

mod act;
mod plug;
mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gridlatch_host::Shutdown;
use gridlatch_interlock::{Condition, Conditions};
use gridlatch_link::cable::{Outlet, PilotState, StationEnd};
use gridlatch_session::secc::slac::Matcher;
use gridlatch_session::secc::{Clock, ContractCheck, Kind};
use gridlatch_vocab::catalogue::{cable as codes, power as power_codes};
use gridlatch_vocab::{Percent, Personal, TransactionId, Watts};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use self::session::{Heard, Session};
use crate::backend::{MeterReading, StopReason, ToPlatform};
use crate::config::{EimPolicy, EvseConfig, StationConfig};
use crate::connection::Connection;
use crate::power::{Change, Power};
use crate::report::Reporter;
use crate::station::{Running, status};
use crate::transaction::{Outbox, Transaction};

/// How often the permit is renewed while power is on; well within its life of 100 ms.
const RENEW: Duration = Duration::from_millis(40);

/// How long a running session may take to end in order when the station stops.
const LAST_SESSION: Duration = Duration::from_secs(3);

/// What the platform may ask of an outlet.
#[derive(Debug)]
pub(crate) enum Command {
    Start {
        remote_start_id: i32,
        token: Personal<String>,
        kind: String,
        accepted: oneshot::Sender<Result<Option<TransactionId>, String>>,
    },
    Stop {
        transaction: TransactionId,
        accepted: oneshot::Sender<bool>,
    },
    Setpoint {
        setpoint: Option<Watts>,
        accepted: oneshot::Sender<Result<(), String>>,
    },
    Reset,
}

/// What an outlet shares with the rest of the station.
pub(crate) struct Shared {
    pub(crate) power: Power,
    pub(crate) report: Reporter,
    pub(crate) outbox: Outbox,
    pub(crate) running: Running,
    pub(crate) reachable: Arc<AtomicBool>,
    /// TLS is required and not available.
    pub(crate) inoperative: bool,
}

/// A start that waits for a vehicle to identify itself.
#[derive(Debug)]
struct RemoteStart {
    id: i32,
    token: Personal<String>,
    kind: String,
    /// When it is given up, on the outlet's clock.
    until: Duration,
}

/// The outlet's task.
pub(crate) struct OutletTask {
    config: EvseConfig,
    eim: EimPolicy,
    plaintext_allowed: bool,
    sample_interval: Duration,
    contracts: Option<Arc<dyn ContractCheck>>,
    outlet: Option<Outlet>,
    connections: mpsc::Receiver<Connection>,
    commands: mpsc::Receiver<Command>,
    shared: Shared,
    cable: Option<StationEnd>,
    pilot: PilotState,
    matcher: Option<Matcher>,
    matched: bool,
    session: Option<Session>,
    transaction: Option<Transaction>,
    remote: Option<RemoteStart>,
    setpoint: Option<Watts>,
    soc: Option<Percent>,
    /// The session asks for power.
    wants_power: bool,
    stop: Option<StopReason>,
    told: Option<(Duration, f64, f64, bool)>,
    occupied: bool,
    /// The last finished connection while its vehicle has not closed it; at most one is kept.
    lingering: Option<AbortHandle>,
}

impl OutletTask {
    pub(crate) fn new(
        station: &StationConfig,
        config: EvseConfig,
        outlet: Option<Outlet>,
        connections: mpsc::Receiver<Connection>,
        commands: mpsc::Receiver<Command>,
        shared: Shared,
    ) -> Self {
        let contracts = station
            .tls
            .as_ref()
            .and_then(|tls| crate::contracts::check(&tls.contract_roots, station.custody.as_ref()));
        Self {
            config,
            eim: station.eim.clone(),
            plaintext_allowed: station.allow_plaintext_eim,
            sample_interval: station.sample_interval,
            contracts,
            outlet,
            connections,
            commands,
            shared,
            cable: None,
            pilot: PilotState::A,
            matcher: None,
            matched: false,
            session: None,
            transaction: None,
            remote: None,
            setpoint: None,
            soc: None,
            wants_power: false,
            stop: None,
            told: None,
            occupied: false,
            lingering: None,
        }
    }

    const fn is_virtual(&self) -> bool {
        self.outlet.is_none()
    }

    fn clock(&self) -> Clock {
        Clock {
            monotonic: self.shared.power.now(),
            wall: gridlatch_host::now(),
        }
    }

    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        self.announce(false, true);
        if self.is_virtual() {
            self.shared
                .reachable
                .store(!self.shared.inoperative, Ordering::Release);
        }
        let mut timer = std::pin::pin!(tokio::time::sleep(Duration::ZERO));
        let mut armed: Option<Duration> = None;
        let mut buffer = vec![0; 4096];
        // Once the station stops: until when the running session may take to end in order.
        let mut leaving: Option<tokio::time::Instant> = None;
        loop {
            self.step();
            let due = self.deadline();
            if due != armed {
                armed = due;
                let now = self.shared.power.now();
                let wait = due.map_or(Duration::from_secs(3600), |due| due.saturating_sub(now));
                timer.as_mut().reset(tokio::time::Instant::now() + wait);
            }
            tokio::select! {
                () = shutdown.cancelled(), if leaving.is_none() => {
                    // The vehicle is told to stop, and does; without one there is nothing to wait for.
                    leaving = Some(tokio::time::Instant::now() + LAST_SESSION);
                    self.stop.get_or_insert(StopReason::Other);
                    let clock = self.clock();
                    self.drive(clock);
                }
                () = reached(leaving) => break,
                heard = session::hear(&mut self.session, &mut buffer) => match heard {
                    Heard::Bytes(read) => self.received(&buffer, read),
                    Heard::Verdict(verdict) => self.verdict(verdict),
                    Heard::Provided(answer) => self.provided(answer),
                },
                Some(connection) = self.connections.recv(), if leaving.is_none() => self.connected(connection),
                message = plug::recv(&mut self.cable) => self.cable_message(message),
                Some(end) = plug::plugged(&mut self.outlet), if self.cable.is_none() => self.plugged(end),
                Some(command) = self.commands.recv() => self.command(command),
                () = &mut timer, if armed.is_some() => { armed = None; self.timer() }
            }
            self.flush().await;
            if leaving.is_some() && self.session.is_none() {
                break;
            }
        }
        self.end_session(StopReason::Other);
        self.release_power();
    }

    /// When something has to happen without anybody asking.
    fn deadline(&self) -> Option<Duration> {
        let now = self.shared.power.now();
        let session = self.session.as_ref().and_then(Session::deadline);
        // Every turn of the loop renews, so the next renewal counts from here.
        let renew = (self.wants_power || self.shared.power.lock().model.is_closed()).then(|| now + RENEW);
        let matcher = self.matcher.as_ref().and_then(Matcher::deadline);
        let sample = self.transaction.as_ref().map(Transaction::due);
        let remote = self.remote.as_ref().map(|remote| remote.until);
        [session, renew, matcher, sample, remote]
            .into_iter()
            .flatten()
            .min()
    }

    fn timer(&mut self) {
        let clock = self.clock();
        if let Some(matcher) = &mut self.matcher {
            matcher.tick(clock.monotonic);
        }
        self.tick_session(clock);
    }

    /// Everything that follows from the present state: renewal, what the contactor did, samples, the
    /// vehicle's view of the output.
    fn step(&mut self) {
        let conditions = self.conditions();
        let now = self.shared.power.now();
        {
            let mut unit = self.shared.power.lock();
            unit.model.advance(now);
            unit.renew(now, conditions);
        }
        self.contactor_moved();
        self.matching();
        self.expire_remote_start(now);
        self.sample(now);
        self.tell_vehicle(now);
    }

    /// A start of the platform that no vehicle takes up is given up: whoever plugs in much later must not
    /// charge on that token.
    fn expire_remote_start(&mut self, now: Duration) {
        if let Some(remote) = self.remote.take_if(|remote| remote.until <= now) {
            self.shared.report.say(
                codes::REMOTE_START_EXPIRED,
                format!(
                    "remote start {} found no vehicle within {} s and was given up",
                    remote.id,
                    self.config.remote_start_life.as_secs()
                ),
            );
        }
    }

    /// Takes note of what the contactor did. A withdrawn permit also takes back the wish for power, so
    /// that it needs a new request of the session.
    fn contactor_moved(&mut self) {
        let changes = self.shared.power.lock().changes();
        for change in changes {
            match change {
                Change::Closed => self
                    .shared
                    .report
                    .say(power_codes::CONTACTOR_CLOSED, "the contactor closed"),
                Change::Opened(reason) => self.opened(reason),
            }
        }
    }

    fn opened(&mut self, reason: gridlatch_interlock::OpenReason) {
        use gridlatch_interlock::OpenReason as R;
        let code = match reason {
            R::NotRequested => power_codes::CONTACTOR_OPENED,
            R::Missing(_) => power_codes::PERMIT_REVOKED,
            R::Silence => power_codes::PERMIT_LAPSED,
        };
        self.shared
            .report
            .say(code, format!("the contactor opened: {reason}"));
        self.wants_power = false;
    }

    fn conditions(&self) -> Conditions {
        let authorised = self.session.as_ref().is_some_and(Session::is_authorised);
        let secure = self.session.as_ref().is_some_and(|session| session.tls) || self.plaintext_allowed;
        let pilot = if self.is_virtual() {
            self.wants_power
        } else {
            self.pilot.wants_energy()
        };
        Conditions::NONE
            .with(Condition::Matched, self.is_virtual() || self.matched)
            .with(Condition::Transport, self.session.is_some() && secure)
            .with(Condition::Authorised, authorised)
            .with(
                Condition::WithinLimits,
                self.shared.power.lock().model.within_limits(),
            )
            .with(Condition::PilotAsks, pilot)
    }

    fn release_power(&mut self) {
        self.wants_power = false;
        let now = self.shared.power.now();
        self.shared.power.lock().release(now);
    }

    fn meter(&self) -> MeterReading {
        let now = self.shared.power.now();
        let mut unit = self.shared.power.lock();
        unit.model.advance(now);
        let (imported, exported) = unit.model.registers();
        MeterReading {
            at: gridlatch_host::now(),
            imported,
            exported,
            power: unit.model.power(),
            voltage: unit.model.voltage(),
            current: unit.model.current(),
            soc: self.soc,
            setpoint: self.setpoint,
        }
    }

    fn announce(&mut self, occupied: bool, force: bool) {
        if self.occupied == occupied && !force {
            return;
        }
        self.occupied = occupied;
        self.shared.outbox.send(ToPlatform::Status {
            at: gridlatch_host::now(),
            evse: self.config.evse,
            connector: self.config.connector,
            status: status(self.shared.inoperative, occupied),
        });
    }

    const fn is_bidirectional(&self) -> bool {
        matches!(self.config.kind, Kind::Dc { bidirectional: true })
    }
}

/// Fills from the system's source of randomness; `false` when there is none, which stops the caller.
fn fill(bytes: &mut [u8]) -> bool {
    getrandom::fill(bytes).is_ok()
}

/// That instant; never, when there is none.
async fn reached(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
