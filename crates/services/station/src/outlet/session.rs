//! The V2G session of an outlet: bytes in and out, the platform's verdict, its end.

use std::io;
use std::time::Duration;

use gridlatch_link::listen::Place;
use gridlatch_session::secc::{Clock, Entropy, Evse, Identity, SeccSession, SeccSessionConfig, Verdict};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;

use super::{OutletTask, fill};
use crate::backend::{Authorization, Identification, StopReason};
use crate::connection::{Connection, Stream};
use crate::transaction::Transaction;

/// How long a finished connection is kept for the vehicle to close it first.
const LINGER: Duration = Duration::from_secs(6);

/// How long a write may take before the vehicle counts as gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the platform may take for a verdict.
pub(super) const VERDICT_TIMEOUT: Duration = Duration::from_secs(20);

pub(super) struct Session {
    pub(super) engine: SeccSession,
    stream: Box<dyn Stream>,
    /// Held for its drop: frees the one place of this outlet.
    _place: Place,
    pub(super) tls: bool,
    pub(super) transmit: Vec<u8>,
    pub(super) asked: Option<Asked>,
    /// A request for a contract that the platform has.
    pub(super) provision: Option<oneshot::Receiver<Result<Vec<u8>, String>>>,
    pub(super) authorised: bool,
    pub(super) charging: bool,
}

/// A question to the platform.
pub(super) struct Asked {
    pub(super) verdict: oneshot::Receiver<Authorization>,
    pub(super) identification: Identification,
    pub(super) remote_start_id: Option<i32>,
    pub(super) deadline: Duration,
}

impl Session {
    pub(super) const fn is_authorised(&self) -> bool {
        self.authorised
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        let engine = self.engine.deadline();
        let asked = self.asked.as_ref().map(|asked| asked.deadline);
        [engine, asked].into_iter().flatten().min()
    }
}

/// What came in for a session.
pub(super) enum Heard {
    /// Bytes of the vehicle, into the buffer.
    Bytes(io::Result<usize>),
    /// The platform's verdict.
    Verdict(Authorization),
    /// What the platform says to a request for a contract.
    Provided(Result<Vec<u8>, String>),
}

/// Waits for the vehicle or the platform. Cancel safe.
pub(super) async fn hear(session: &mut Option<Session>, buffer: &mut [u8]) -> Heard {
    let Some(session) = session else {
        return std::future::pending().await;
    };
    let Session {
        stream,
        asked,
        provision,
        ..
    } = session;
    if asked.is_none() && provision.is_none() {
        return Heard::Bytes(stream.read(buffer).await);
    }
    tokio::select! {
        // A dropped sender counts as unreachable, as the contract of the backend says.
        verdict = answer(asked.as_mut().map(|asked| &mut asked.verdict)) => {
            Heard::Verdict(verdict.unwrap_or(Authorization::Unreachable))
        }
        provided = answer(provision.as_mut()) => Heard::Provided(
            provided.unwrap_or_else(|| Err("the platform cannot be reached".to_owned()))
        ),
        read = stream.read(buffer) => Heard::Bytes(read),
    }
}

/// What comes back, `None` when nobody will answer any more; waits for ever when nothing was asked.
async fn answer<T>(receiver: Option<&mut oneshot::Receiver<T>>) -> Option<T> {
    match receiver {
        Some(receiver) => receiver.await.ok(),
        None => std::future::pending().await,
    }
}

impl OutletTask {
    pub(super) fn provided(&mut self, answer: Result<Vec<u8>, String>) {
        let clock = self.clock();
        if let Some(session) = &mut self.session {
            session.provision = None;
            session.engine.provisioned(clock, answer);
        }
        self.drive(clock);
    }

    pub(super) fn connected(&mut self, connection: Connection) {
        let Connection {
            stream,
            handshake,
            place,
            ..
        } = connection;
        let mut entropy = Entropy {
            session_id: [0; 8],
            challenge: [0; 16],
        };
        let reachable = self.is_virtual() || self.matched;
        if self.session.is_some()
            || !reachable
            || !fill(&mut entropy.session_id)
            || !fill(&mut entropy.challenge)
        {
            // Nobody is on this cable, or there is no randomness: nothing may run.
            return;
        }
        let tls = handshake.is_some();
        // ISO 15118-20 is never run over TLS 1.2, which cannot show the vehicle's certificate.
        let modern = handshake
            .as_ref()
            .is_none_or(|handshake| handshake.version == "TLSv1.3");
        let config = SeccSessionConfig {
            evse_id: self.config.evse_id.clone(),
            kind: self.config.kind,
            iso2: self.config.iso2,
            iso20: self.config.iso20 && modern,
            tls,
            eim: self.config.eim,
            pnc: self.config.pnc,
            control_modes: self.config.control_modes.clone(),
            limits: self.config.limits,
            meter_id: format!("GL-{}", self.config.evse),
            receipts: self.config.receipts,
            provisioning: self.config.provisioning,
            contracts: self.contracts.clone(),
            entropy,
        };
        let clock = self.clock();
        self.session = Some(Session {
            engine: SeccSession::new(config, clock),
            stream,
            _place: place,
            tls,
            transmit: Vec::with_capacity(1024),
            asked: None,
            provision: None,
            authorised: false,
            charging: false,
        });
        self.stop = None;
        self.announce(true, false);
    }

    pub(super) fn snapshot(&self) -> Evse {
        let now = self.shared.power.now();
        let mut unit = self.shared.power.lock();
        unit.model.advance(now);
        let (imported, exported) = unit.model.registers();
        Evse {
            voltage: unit.model.voltage(),
            current: unit.model.current(),
            imported,
            exported,
            contactor_closed: unit.model.is_closed(),
            isolation: unit.model.isolation(),
            setpoint: self.setpoint,
            stop: self.stop.is_some(),
        }
    }

    pub(super) fn received(&mut self, buffer: &[u8], read: io::Result<usize>) {
        let clock = self.clock();
        let evse = self.snapshot();
        let Some(session) = &mut self.session else { return };
        match read {
            Ok(0) | Err(_) => session.engine.disconnected(),
            Ok(length) => session.engine.receive(clock, &evse, &buffer[..length]),
        }
        self.drive(clock);
    }

    pub(super) fn tick_session(&mut self, clock: Clock) {
        let evse = self.snapshot();
        if let Some(session) = &mut self.session {
            session.engine.tick(clock, &evse);
            if session
                .asked
                .as_ref()
                .is_some_and(|asked| clock.monotonic >= asked.deadline)
            {
                self.verdict(Authorization::Unreachable);
                return;
            }
        }
        self.drive(clock);
    }

    pub(super) fn verdict(&mut self, verdict: Authorization) {
        let clock = self.clock();
        let Some(asked) = self.session.as_mut().and_then(|session| session.asked.take()) else {
            return;
        };
        let judged = match verdict {
            Authorization::Accepted { discharge } => Verdict::Accepted { discharge },
            Authorization::Refused { reason } => Verdict::Refused { reason },
            Authorization::Unreachable => Verdict::Refused {
                reason: "Unreachable".to_owned(),
            },
        };
        if matches!(judged, Verdict::Accepted { .. }) {
            self.begin_transaction(asked.identification, asked.remote_start_id);
        }
        if let Some(session) = &mut self.session {
            session.authorised = matches!(judged, Verdict::Accepted { .. });
            session.engine.authorized(judged);
        }
        self.drive(clock);
    }

    fn begin_transaction(&mut self, identification: Identification, remote_start_id: Option<i32>) {
        let mut bytes = [0; 16];
        if self.transaction.is_some() || !fill(&mut bytes) {
            return;
        }
        let id = bytes.iter().fold(String::with_capacity(32), |mut text, byte| {
            use std::fmt::Write as _;
            let _ = write!(text, "{byte:02x}");
            text
        });
        let Ok(id) = id.parse::<gridlatch_vocab::TransactionId>() else {
            return;
        };
        self.running().insert(id.clone(), self.config.evse);
        self.transaction = Some(Transaction::start(
            id,
            self.config.evse,
            self.shared.outbox.clone(),
            identification,
            remote_start_id,
            self.meter(),
            (self.shared.power.now(), self.sample_interval),
        ));
    }

    pub(super) fn running(
        &self,
    ) -> std::sync::MutexGuard<
        '_,
        std::collections::BTreeMap<gridlatch_vocab::TransactionId, gridlatch_vocab::EvseId>,
    > {
        self.shared
            .running
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn end_transaction(&mut self, reason: StopReason) {
        if reason == StopReason::ImmediateReset {
            // Kept until here, so that power does not rise while the vehicle is asked to stop.
            self.setpoint = None;
        }
        if let Some(transaction) = self.transaction.take() {
            self.running().remove(&transaction.id);
            let meter = self.meter();
            transaction.end(reason, meter);
        }
    }

    /// Ends whatever session runs, at once.
    pub(super) fn end_session(&mut self, reason: StopReason) {
        if let Some(mut session) = self.session.take() {
            session.engine.disconnected();
            while let Some(output) = session.engine.poll() {
                if let gridlatch_session::secc::Output::Event(notice) = output {
                    let transaction = self.transaction.as_ref().map(|transaction| &transaction.id);
                    self.shared
                        .report
                        .notice(notice, session.engine.id().as_deref(), transaction);
                }
            }
            let now = self.shared.power.now();
            let mut unit = self.shared.power.lock();
            unit.release(now);
            unit.model.demand(gridlatch_session::secc::Demand::Off);
        }
        self.wants_power = false;
        let reason = self.stop.take().unwrap_or(reason);
        self.end_transaction(reason);
    }

    /// Writes what the session has to say; ends the connection of a finished session.
    pub(super) async fn flush(&mut self) {
        let Some(session) = &mut self.session else { return };
        session.engine.take_transmit(&mut session.transmit);
        let mut broken = false;
        if !session.transmit.is_empty() {
            let write = async {
                session.stream.write_all(&session.transmit).await?;
                session.stream.flush().await
            };
            // Bounded by the permit's life as well: a vehicle that does not read loses power first.
            broken = !matches!(tokio::time::timeout(WRITE_TIMEOUT, write).await, Ok(Ok(())));
            session.transmit.clear();
        }
        if broken {
            session.engine.disconnected();
            let clock = self.clock();
            self.drive(clock);
        }
        let Some(end) = self.session.as_ref().and_then(|session| session.engine.end()) else {
            return;
        };
        if let Some(session) = self.session.take() {
            self.finished(end);
            let Session {
                mut stream,
                _place: place,
                ..
            } = session;
            drop(place);
            // The vehicle closes first (ISO 15118-2 [V2G2-025]); those that do not are closed on. Only
            // the last one is waited for, so that nobody can pile connections up here.
            let linger = tokio::spawn(async move {
                let mut rest = [0; 256];
                let wait =
                    async { while matches!(stream.read(&mut rest).await, Ok(length) if length > 0) {} };
                if tokio::time::timeout(LINGER, wait).await.is_err() {
                    let _ = stream.shutdown().await;
                }
            });
            if let Some(before) = self.lingering.replace(linger.abort_handle()) {
                before.abort();
            }
        }
    }

    pub(super) fn identification(&self, identity: Identity) -> Option<(Identification, Option<i32>)> {
        let remote = self.remote.as_ref();
        match identity {
            Identity::Contract { emaid, chain } => Some((
                Identification::Contract { emaid, chain },
                remote.map(|remote| remote.id),
            )),
            Identity::External => match (remote, &self.eim) {
                (Some(remote), _) => Some((
                    Identification::Token {
                        token: remote.token.clone(),
                        kind: remote.kind.clone(),
                    },
                    Some(remote.id),
                )),
                (None, crate::config::EimPolicy::Assume { token, kind }) => Some((
                    Identification::Token {
                        token: token.clone(),
                        kind: kind.clone(),
                    },
                    None,
                )),
                (None, crate::config::EimPolicy::RemoteStart) => None,
            },
        }
    }
}
