//! One OCPP connection: the loop between socket, RPC state, handlers and commands.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use gridlatch_host::now;
use gridlatch_ocpp::{MessageId, Rpc, RpcConfig, RpcError, RpcEvent};
use gridlatch_vocab::{Event, EventSink as _, catalogue};
use tokio::sync::oneshot;

use crate::bucket::Bucket;
use crate::handlers;
use crate::listener::Arrival;
use crate::registry::{Entered, LinkEnd, Outbound, Reply, Strength};
use crate::revocation;
use crate::state::PlatformState;
use crate::wire::Caller;

/// How often a quiet connection is asked whether it still lives.
const PING: Duration = Duration::from_secs(30);
/// How long it may say nothing at all.
const SILENT: Duration = Duration::from_secs(100);
/// How long one write may take before the peer counts as gone.
const WRITE: Duration = Duration::from_secs(20);

/// Why the loop ended, and what the peer is told.
struct End {
    close: Option<(u16, &'static str)>,
    reason: String,
}

impl End {
    fn gone(reason: impl Into<String>) -> Self {
        Self {
            close: None,
            reason: reason.into(),
        }
    }

    fn close(code: u16, reason: &'static str) -> Self {
        Self {
            close: Some((code, reason)),
            reason: reason.to_owned(),
        }
    }
}

/// Runs a connection to its end.
pub(crate) async fn run(
    state: PlatformState,
    mut socket: WebSocket,
    caller: Caller,
    arrival: Arrival,
    strength: Strength,
) {
    let station = caller.station.clone();
    let version = caller.version.to_string();
    let generation = match state
        .store()
        .station_connected(&station, version.trim_start_matches("ocpp"), now())
        .await
    {
        Ok(generation) => generation,
        Err(error) => return state.store_failed(Some(&station), "note a connection", &error),
    };
    let (entered, end) = state
        .registry()
        .enter(&station, caller.version, generation, strength);
    if entered == Entered::Displaced {
        let message = format!("a new connection of {station} took the place of its old one");
        emit(&state, &caller, catalogue::platform::STATION_DISPLACED, message);
    }
    let Some(end) = end else {
        let message = format!("{station} is connected with a certificate; a weaker connection was refused");
        return emit(&state, &caller, catalogue::platform::STATION_DOWNGRADE, message);
    };
    let (peer, security, chain, path) = arrival.peer.map_or_else(Default::default, |peer| {
        (peer.address.to_string(), peer.security, peer.chain, peer.path)
    });
    if !chain.is_empty() {
        // What it proved itself with is what it holds; the connection does not wait for the note.
        let (state, station) = (state.clone(), station.clone());
        tokio::spawn(async move {
            state
                .saw_chain("station", station.as_str(), "station-client", &chain)
                .await;
        });
    }
    state.hub().emit(
        Event::new(
            now(),
            catalogue::ocpp::CONNECTED,
            crate::SOURCE,
            format!("{station} connected with {version}"),
        )
        .station(&station)
        .with("peer", peer)
        .with("security", security)
        .with("version", version)
        .with("generation", generation),
    );

    let path = path.as_slice();
    let revoked = revocation::watch(&state, &station, path);
    let ended = Connection {
        state: &state,
        caller: &caller,
        rpc: Rpc::new(RpcConfig {
            call_timeout: state.config().command_timeout,
            ..RpcConfig::new(caller.version)
        }),
        pending: HashMap::new(),
        bucket: Bucket::full(Instant::now()),
        slowed: None,
        heard: Instant::now(),
    }
    .drive(&mut socket, end, revoked)
    .await;

    if let Some((code, reason)) = ended.close {
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        let _ = tokio::time::timeout(WRITE, socket.send(Message::Close(Some(frame)))).await;
    }
    state.registry().leave(&station, generation);
    if let Err(error) = state
        .store()
        .station_disconnected(&station, generation, now())
        .await
    {
        state.store_failed(Some(&station), "note the end of a connection", &error);
    }
    emit(
        &state,
        &caller,
        catalogue::ocpp::DISCONNECTED,
        format!("{station}: {}", ended.reason),
    );
}

fn emit(state: &PlatformState, caller: &Caller, code: gridlatch_vocab::Code, message: String) {
    state
        .hub()
        .emit(Event::new(now(), code, crate::SOURCE, message).station(&caller.station));
}

struct Connection<'a> {
    state: &'a PlatformState,
    caller: &'a Caller,
    rpc: Rpc,
    pending: HashMap<MessageId, oneshot::Sender<Reply>>,
    bucket: Bucket,
    /// When the last rate limit event was emitted: one a minute is enough.
    slowed: Option<Instant>,
    heard: Instant,
}

impl Connection<'_> {
    async fn drive(
        mut self,
        socket: &mut WebSocket,
        mut end: LinkEnd,
        revoked: impl Future<Output = ()>,
    ) -> End {
        tokio::pin!(revoked);
        let mut ping = tokio::time::interval(PING);
        ping.reset();
        loop {
            if let Err(ended) = self.settle(socket).await {
                return ended;
            }
            let timeout = self.rpc.poll_timeout().map(|(at, _)| at);
            tokio::select! {
                () = self.state.shutdown().cancelled() => {
                    return End::close(close_code::AWAY, "the platform is stopping");
                }
                () = end.fence.cancelled() => {
                    return End::close(close_code::POLICY, "a newer connection took this one's place");
                }
                () = &mut revoked => {
                    return End::close(close_code::POLICY, "the certificate of the station was revoked");
                }
                received = socket.recv() => match received {
                    Some(Ok(message)) => {
                        if let Some(ended) = self.receive(message).await {
                            return ended;
                        }
                    }
                    Some(Err(error)) => return self.broken(&error),
                    None => return End::gone("the connection was closed"),
                },
                Some(outbound) = end.mailbox.recv() => self.call(outbound),
                () = sleep_until(timeout) => self.rpc.handle_timeout(Instant::now()),
                _ = ping.tick() => {
                    if self.heard.elapsed() > SILENT {
                        let message = format!("{} said nothing for {} s", self.caller.station, SILENT.as_secs());
                        emit(self.state, self.caller, catalogue::platform::STATION_SILENT, message);
                        return End::gone("nothing was heard for too long");
                    }
                    if let Err(ended) = write(socket, Message::Ping(Bytes::new())).await {
                        return ended;
                    }
                }
            }
        }
    }

    /// Takes one WebSocket message; a flood is read slowly.
    async fn receive(&mut self, message: Message) -> Option<End> {
        self.heard = Instant::now();
        let wait = self.bucket.take(self.heard);
        if !wait.is_zero() {
            if self
                .slowed
                .is_none_or(|at| at.elapsed() > Duration::from_secs(60))
            {
                self.slowed = Some(self.heard);
                let message = format!("{} sends more than 20 messages a second", self.caller.station);
                emit(
                    self.state,
                    self.caller,
                    catalogue::platform::RATE_LIMITED,
                    message,
                );
            }
            tokio::time::sleep(wait).await;
        }
        match message {
            Message::Text(text) => self.rpc.handle(Instant::now(), text.as_str().as_bytes()),
            Message::Binary(bytes) => self.rpc.handle(Instant::now(), &bytes),
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Close(_) => return Some(End::gone("the station closed the connection")),
        }
        None
    }

    /// Writes what is due and acts on what came, until both are quiet. Calls of one station are handled in
    /// their order, one at a time: its transaction events must not overtake each other.
    async fn settle(&mut self, socket: &mut WebSocket) -> Result<(), End> {
        loop {
            while let Some(text) = self.rpc.poll_transmit() {
                write(socket, Message::Text(text.into())).await?;
            }
            let Some(event) = self.rpc.poll_event() else {
                return Ok(());
            };
            match event {
                RpcEvent::Call { id, action, payload } => {
                    let answer = handlers::handle(self.state, self.caller, &action, payload).await;
                    if let Err(error) = &answer {
                        let event = Event::new(
                            now(),
                            catalogue::ocpp::CALL_REFUSED,
                            crate::SOURCE,
                            format!("{action} of {}: {error}", self.caller.station),
                        );
                        self.state
                            .hub()
                            .emit(event.station(&self.caller.station).with("action", action));
                    }
                    let _ = self.rpc.answer(Instant::now(), &id, answer);
                }
                RpcEvent::Send { action, .. } => {
                    let message = format!("{action} of {} is not used here", self.caller.station);
                    emit(self.state, self.caller, catalogue::ocpp::CALL_REFUSED, message);
                }
                RpcEvent::Answered { id, answer, .. } => {
                    let reply = match answer {
                        Ok(value) => Reply::Answer(value),
                        Err(error) => Reply::Error(error),
                    };
                    self.reply(&id, reply);
                }
                RpcEvent::TimedOut { id, .. } => self.reply(&id, Reply::TimedOut),
                RpcEvent::Late { action, .. } => {
                    let message = format!("{} answered {action} after its time", self.caller.station);
                    emit(self.state, self.caller, catalogue::ocpp::ANSWER_UNASKED, message);
                }
                RpcEvent::ResultRefused { error, .. } => {
                    let message = format!("{} did not understand an answer: {error}", self.caller.station);
                    emit(self.state, self.caller, catalogue::ocpp::CALL_REFUSED, message);
                }
                RpcEvent::Refused(refusal) => {
                    let message = format!("{}: {}", self.caller.station, refusal.message);
                    emit(self.state, self.caller, refusal.code, message);
                    if refusal.close {
                        return Err(End::close(
                            close_code::POLICY,
                            "a hard bound of OCPP-J was broken",
                        ));
                    }
                }
            }
        }
    }

    fn call(&mut self, outbound: Outbound) {
        let Some(id) = message_id() else {
            let _ = outbound.reply.send(Reply::Busy);
            return;
        };
        match self
            .rpc
            .call_raw(Instant::now(), id.clone(), outbound.action, outbound.payload)
        {
            Ok(()) => {
                self.pending.insert(id, outbound.reply);
            }
            Err(RpcError::QueueFull(_) | _) => {
                let _ = outbound.reply.send(Reply::Busy);
            }
        }
    }

    fn reply(&mut self, id: &MessageId, reply: Reply) {
        if let Some(waiting) = self.pending.remove(id) {
            let _ = waiting.send(reply);
        }
    }

    /// The socket failed; a frame beyond the bound is the peer's doing and gets its own code.
    fn broken(&self, error: &axum::Error) -> End {
        let reason = crate::describe(error);
        if reason.contains("too long") || reason.contains("too large") {
            let message = format!("{}: {reason}", self.caller.station);
            emit(self.state, self.caller, catalogue::ocpp::FRAME_BOUND, message);
            return End::close(close_code::SIZE, "the message is too large");
        }
        End::gone(reason)
    }
}

async fn write(socket: &mut WebSocket, message: Message) -> Result<(), End> {
    match tokio::time::timeout(WRITE, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(End::gone(crate::describe(&error))),
        Err(_) => Err(End::gone("the station does not read")),
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// A random UUID (version 4), as OCPP-J recommends.
fn message_id() -> Option<MessageId> {
    MessageId::new(random_uuid()?)
}

/// A random UUID (version 4).
pub(crate) fn random_uuid() -> Option<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).ok()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    ))
}
