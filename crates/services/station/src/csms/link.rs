//! One connection: boot, report, deliver what waits, answer what the platform asks.

mod delivery;
mod identification;
mod registration;

use core::time::Duration;
use std::collections::BTreeMap;
use std::time::Instant;

use futures_util::{SinkExt as _, StreamExt as _};
use gridlatch_host::Shutdown;
use gridlatch_ocpp::v201::BootReasonEnum;
use gridlatch_ocpp::{Answer, CallError, ErrorCode, MessageId, Rpc, RpcConfig, RpcEvent, find, violations};
use gridlatch_vocab::catalogue;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant as Tick, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::CsmsError;
use super::client::{Client, new_id};
use super::dial::{Dialled, Stream, Watch};
use super::messages::{self, Outgoing};
use super::transactions::Parcel;
use crate::backend::{Authorization, FromPlatform, ToPlatform};
use delivery::MAX_ATTEMPTS;

/// How a connection ended.
pub(super) enum Over {
    /// It broke, or we gave it up.
    Lost,
    /// We were asked to stop.
    Stopped,
}

/// What an answer to one of our calls is for.
enum Purpose {
    Boot,
    Heartbeat,
    Authorize {
        verdict: oneshot::Sender<Authorization>,
        contract: bool,
    },
    Provision(oneshot::Sender<Result<Vec<u8>, String>>),
    Transaction {
        number: i64,
        parcel: Parcel,
    },
    /// A notification: the answer says nothing.
    Told,
}

/// Where the registration stands (B01 to B03).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Registration {
    Waiting,
    Pending,
    Rejected,
    Accepted,
}

/// The charging side has decided about a command.
pub(super) struct Decided {
    pub(super) id: MessageId,
    pub(super) answer: Answer,
    pub(super) then: Then,
}

/// What follows a decision.
pub(super) enum Then {
    Nothing,
    /// A profile that cannot be followed is removed again.
    Forget(i64),
    /// The station restarts.
    Reboot,
}

/// One connection.
pub(super) struct Link<'c> {
    pub(super) client: &'c mut Client,
    socket: WebSocketStream<Box<dyn Stream>>,
    pub(super) rpc: Rpc,
    purposes: BTreeMap<MessageId, Purpose>,
    registration: Registration,
    /// When to boot again, or to send the next heartbeat.
    beat: Tick,
    /// A transaction message is under way.
    delivering: bool,
    /// When the next delivery may be tried.
    deliver_at: Tick,
    /// Failed attempts at the oldest waiting message.
    attempts: u32,
    /// Messages that waited when the connection came up and were delivered since.
    replayed: i64,
    backlog: i64,
    /// Calls in a row without an answer.
    silent: u32,
    pub(super) commands: JoinSet<Decided>,
    /// What goes out right after the next answer.
    pub(super) after: Vec<Outgoing>,
    /// The station restarts: the connection ends once everything is written.
    reboot: bool,
    /// Ends when a certificate of the platform is revoked.
    watch: Watch,
    /// A new certificate is to be shown, or the platform's is not good any more: the same, without a restart.
    pub(super) reconnect: bool,
}

/// How long a write to the socket may block.
const WRITE: Duration = Duration::from_secs(10);
/// Calls in a row without an answer after which the connection counts as dead.
const MAX_SILENT: u32 = 2;
/// Far enough.
const NEVER: Duration = Duration::from_secs(86_400 * 365);

impl<'c> Link<'c> {
    pub(super) fn new(client: &'c mut Client, dialled: Dialled) -> Self {
        let mut bounds = RpcConfig::new(dialled.version);
        bounds.call_timeout = client.config.call_timeout;
        let now = Tick::now();
        Self {
            client,
            socket: dialled.socket,
            rpc: Rpc::new(bounds),
            purposes: BTreeMap::new(),
            registration: Registration::Waiting,
            beat: now,
            delivering: false,
            deliver_at: now,
            attempts: 0,
            replayed: 0,
            backlog: 0,
            silent: 0,
            commands: JoinSet::new(),
            after: Vec::new(),
            reboot: false,
            watch: dialled.watch,
            reconnect: false,
        }
    }

    pub(super) async fn run(
        mut self,
        to_platform: &mut mpsc::Receiver<ToPlatform>,
        shutdown: &Shutdown,
    ) -> Result<Over, CsmsError> {
        self.backlog = self.client.transactions.waiting().await?;
        loop {
            if !self.settle().await? {
                return Ok(self.lost());
            }
            if self.reboot || self.reconnect {
                let _ = timeout(WRITE, self.socket.close(None)).await;
                return Ok(self.lost());
            }
            if self.client.finished && self.client.transactions.waiting().await? == 0 {
                let _ = timeout(WRITE, self.socket.close(None)).await;
                return Ok(Over::Stopped);
            }
            let due = self.rpc.poll_timeout().map(|(at, _)| Tick::from_std(at));
            let wake = due.unwrap_or_else(|| Tick::now() + NEVER);
            let delivery = if self.delivering {
                Tick::now() + NEVER
            } else {
                self.deliver_at
            };
            tokio::select! {
                message = self.socket.next() => match message {
                    Some(Ok(Message::Text(text))) => self.rpc.handle(Instant::now(), text.as_bytes()),
                    Some(Ok(Message::Binary(bytes))) => self.rpc.handle(Instant::now(), &bytes),
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(self.lost()),
                },
                message = to_platform.recv(), if !self.client.finished => match message {
                    None => self.client.finished = true,
                    Some(ToPlatform::Authorize { identification, verdict, .. }) => self.authorize(&identification, verdict),
                    Some(ToPlatform::Provision { generation, action, exi, answer, .. }) => {
                        self.provision(generation, action, &exi, answer);
                    }
                    Some(message) => self.client.keep(message, self.registration != Registration::Accepted).await?,
                },
                Some(done) = self.commands.join_next() => {
                    if let Ok(decided) = done {
                        self.decided(decided);
                    }
                }
                () = sleep_until(wake) => self.rpc.handle_timeout(Instant::now()),
                () = sleep_until(self.beat) => self.beat(),
                why = &mut self.watch => {
                    self.client.report.event(catalogue::revocation::REVOKED, format!("The connection is given up: {why}"));
                    self.watch = Box::pin(core::future::pending());
                    self.reconnect = true;
                }
                () = sleep_until(self.client.requests.at), if self.registration == Registration::Accepted => self.ask_for_certificates(),
                () = sleep_until(delivery), if self.registration == Registration::Accepted && delivery > Tick::now() => {}
                () = sleep_until(self.client.setpoints_due) => self.client.follow_profiles(),
                () = shutdown.cancelled() => {
                    let _ = timeout(WRITE, self.socket.close(None)).await;
                    return Ok(Over::Stopped);
                }
            }
        }
    }

    /// Everything that can be done without waiting for the outside. `false`: give the connection up.
    async fn settle(&mut self) -> Result<bool, CsmsError> {
        loop {
            while let Some(event) = self.rpc.poll_event() {
                if !self.handle(event).await? {
                    return Ok(false);
                }
            }
            if self.registration == Registration::Accepted {
                self.tell_connectors();
                self.deliver().await?;
            }
            let mut wrote = false;
            while let Some(text) = self.rpc.poll_transmit() {
                wrote = true;
                if !matches!(
                    timeout(WRITE, self.socket.send(Message::text(text))).await,
                    Ok(Ok(()))
                ) {
                    return Ok(false);
                }
            }
            if !wrote {
                return Ok(true);
            }
        }
    }

    fn lost(&mut self) -> Over {
        // Whoever waits for a verdict must not wait for the next connection.
        for (_, purpose) in core::mem::take(&mut self.purposes) {
            if let Purpose::Authorize { verdict, .. } = purpose {
                let _ = verdict.send(Authorization::Unreachable);
            }
        }
        Over::Lost
    }

    /// Calls the platform; checked against the connection's own version. `false`: it cannot be sent.
    fn call(&mut self, (action, payload): Outgoing, purpose: Purpose) -> Result<(), Purpose> {
        self.call_as(&new_id(), action, payload, purpose)
    }

    fn call_as(&mut self, id: &str, action: &str, payload: Value, purpose: Purpose) -> Result<(), Purpose> {
        let schema = find(self.rpc.version(), action).map(|message| message.request);
        let fault = schema.map(|schema| violations(schema, &payload));
        let (Some(id), Some([])) = (MessageId::new(id), fault.as_deref()) else {
            let fault = fault
                .and_then(|f| f.first().map(ToString::to_string))
                .unwrap_or_default();
            let text = format!("Our own {action} violates its schema and was not sent: {fault}");
            self.client.report.event(catalogue::ocpp::PAYLOAD_REFUSED, text);
            return Err(purpose);
        };
        match self.rpc.call_raw(Instant::now(), id.clone(), action, payload) {
            Ok(()) => {
                self.purposes.insert(id, purpose);
                Ok(())
            }
            Err(error) => {
                self.client.report.event(
                    catalogue::ocpp::CALL_TIMED_OUT,
                    format!("{action} was not sent: {error}"),
                );
                Err(purpose)
            }
        }
    }

    pub(super) fn tell(&mut self, message: Outgoing) {
        let _ = self.call(message, Purpose::Told);
    }

    fn tell_connectors(&mut self) {
        for key in core::mem::take(&mut self.client.untold) {
            if let Some((at, status)) = self.client.connectors.get(&key).copied() {
                self.tell(messages::status(key.0, key.1, at, status));
            }
        }
    }

    async fn handle(&mut self, event: RpcEvent) -> Result<bool, CsmsError> {
        match event {
            RpcEvent::Call { id, action, payload } => self.command(id, &action, payload),
            RpcEvent::Answered { id, action, answer } => {
                self.silent = 0;
                if let Err(error) = &answer {
                    let text = format!("{action} was answered with {error}");
                    self.client.report.event(catalogue::ocpp::CALL_REFUSED, text);
                }
                self.answered(&id, answer).await?;
            }
            RpcEvent::Late { id, answer, .. } => self.answered(&id, answer).await?,
            RpcEvent::TimedOut { id, action } => {
                self.client.report.event(
                    catalogue::ocpp::CALL_TIMED_OUT,
                    format!("{action} was not answered in time"),
                );
                match self.purposes.remove(&id) {
                    Some(Purpose::Authorize { verdict, .. }) => {
                        drop(verdict.send(Authorization::Unreachable))
                    }
                    Some(Purpose::Boot) => self.beat = Tick::now() + self.interval(),
                    Some(Purpose::Provision(answer)) => {
                        let _ = answer.send(Err("the platform did not answer in time".to_owned()));
                    }
                    _ => {}
                }
                self.silent += 1;
                // A transaction message is repeated on the next connection under its own id.
                return Ok(self.silent < MAX_SILENT && !self.delivering);
            }
            RpcEvent::Refused(refusal) => {
                self.client
                    .report
                    .event(refusal.code, format!("From the platform: {}", refusal.message));
                return Ok(!refusal.close);
            }
            RpcEvent::ResultRefused { error, .. } => {
                let text = format!("The platform did not understand our answer: {error}");
                self.client.report.event(catalogue::ocpp::CALL_REFUSED, text);
            }
            RpcEvent::Send { .. } => {}
        }
        Ok(true)
    }

    async fn answered(&mut self, id: &MessageId, answer: Answer) -> Result<(), CsmsError> {
        match self.purposes.remove(id) {
            Some(Purpose::Boot) => self.booted(answer),
            Some(Purpose::Authorize { verdict, contract }) => {
                let _ = verdict.send(self.verdict(answer, contract));
            }
            Some(Purpose::Provision(waiting)) => {
                let _ = waiting.send(messages::provided(answer));
            }
            Some(Purpose::Transaction { number, parcel }) => {
                self.delivering = false;
                match answer {
                    Ok(_) => {
                        self.attempts = 0;
                        self.client.transactions.done(number).await?;
                        self.count_replayed();
                    }
                    Err(error) => {
                        self.attempts += 1;
                        // InternalError may pass; what the platform finds wrong with the message will not.
                        let transient =
                            matches!(error.code, ErrorCode::InternalError | ErrorCode::GenericError);
                        let attempts = if transient {
                            self.attempts
                        } else {
                            self.attempts + MAX_ATTEMPTS / 2
                        };
                        self.refused(number, &parcel, attempts, &error.to_string())
                            .await?;
                    }
                }
            }
            Some(Purpose::Heartbeat | Purpose::Told) | None => {}
        }
        Ok(())
    }

    fn command(&mut self, id: MessageId, action: &str, payload: Value) {
        if self.registration == Registration::Rejected {
            // B03.FR.03: nothing is served until the platform accepts the station.
            self.answer(
                &id,
                Err(CallError::new(
                    ErrorCode::SecurityError,
                    "the station is not accepted",
                )),
            );
            return;
        }
        let schema = find(self.rpc.version(), action).map(|message| message.request);
        let faults = schema
            .map(|schema| violations(schema, &payload))
            .unwrap_or_default();
        if let Some(fault) = faults.first() {
            let tolerable = faults.iter().all(|fault| fault.kind.is_tolerable());
            let code = if tolerable {
                catalogue::ocpp::SCHEMA_TOLERATED
            } else {
                catalogue::ocpp::PAYLOAD_REFUSED
            };
            self.client
                .report
                .event(code, format!("{action} of the platform: {fault}"));
            if !tolerable {
                let schema = schema.map_or("", |schema| schema.name);
                let error = gridlatch_ocpp::SchemaError {
                    schema,
                    violations: faults,
                };
                self.answer(&id, Err(error.to_call_error()));
                return;
            }
        }
        if let Some(answer) = self.serve(&id, action, payload) {
            self.answer(&id, answer);
        }
    }

    fn decided(&mut self, decided: Decided) {
        self.answer(&decided.id, decided.answer);
        match decided.then {
            Then::Nothing => {}
            Then::Forget(profile) => {
                self.client.profiles.remove(profile);
                self.client.follow_profiles();
            }
            Then::Reboot => {
                self.client.boot_reason = BootReasonEnum::RemoteReset;
                self.reboot = true;
            }
        }
    }

    fn answer(&mut self, id: &MessageId, answer: Answer) {
        if let Err(error) = self.rpc.answer(Instant::now(), id, answer) {
            self.client
                .report
                .event(catalogue::ocpp::ANSWER_UNASKED, error.to_string());
        }
        for message in core::mem::take(&mut self.after) {
            self.tell(message);
        }
    }

    /// Hands a command to the charging side without waiting for it.
    pub(super) fn to_charging(&self, message: FromPlatform) -> Result<(), CallError> {
        self.client
            .charging
            .try_send(message)
            .map_err(|_| CallError::internal("the charging side does not take commands now"))
    }
}
