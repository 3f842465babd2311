//! The charging station's side of a session: what to answer, what to ask, when power may flow.
//!
//! [`SeccSession`] is fed bytes, the clock and what the EVSE measures, and gives back bytes and
//! [`Output`]s. The loop of its holder:
//!
//! 1. [`SeccSession::receive`] with what came from the transport and the state of the EVSE;
//! 2. [`SeccSession::poll`] until empty, carrying out each output;
//! 3. [`SeccSession::advance`] with the state the EVSE is in now; again from 2 while it says so;
//! 4. [`SeccSession::take_transmit`] to the transport; [`SeccSession::deadline`] for the timer.
//!
//! A request is first turned into outputs (a new target current, a contactor to close) and answered
//! only then, so an answer always tells what the EVSE does, not what it did before the request.

mod common;
mod contract;
mod framing;
mod iso2;
mod iso20;
mod policy;
mod provision;
mod types;
mod undecodable;

pub mod sdp;
pub mod slac;

#[cfg(test)]
mod tests;

use std::time::Duration;

use gridlatch_vocab::catalogue::{session as codes, wire};
use iso15118::message::Message;
use iso15118::secc::{Close, Event as Engine, Refusal, Secc, SeccConfig};
use iso15118::session::{Instant, Security, SessionId};
use iso15118::{Iso20Set, Protocols};

use self::framing::{Framing, FramingError};
use self::policy::{Answer, Policy};
pub use self::types::*;

/// How long a request may wait for the EVSE or the platform before it is answered `Ongoing` where the
/// standard has such an answer. Well below the 1.5 s a station may take (ISO 15118-2 table 109).
pub const HOLD: Duration = Duration::from_millis(400);

/// How often a held request is looked at again.
const HELD_POLL: Duration = Duration::from_millis(10);

/// How long an emptied session may take to be stopped by the vehicle after a refusal.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// One charging session, from the first byte to the last.
#[derive(Debug)]
pub struct SeccSession {
    engine: Secc,
    framing: Framing,
    policy: Policy,
    held: Option<Held>,
    id: SessionId,
    transmit: Vec<u8>,
    end: Option<End>,
    failed_at: Option<Duration>,
}

#[derive(Debug)]
struct Held {
    request: Box<Message>,
    since: Duration,
    retry: Duration,
}

impl SeccSession {
    /// A session on a connection that has just come up.
    #[must_use]
    pub fn new(config: SeccSessionConfig, clock: Clock) -> Self {
        let mut protocols = Protocols::new();
        if config.iso2 {
            protocols.insert(iso15118::Protocol::Iso2);
        }
        if config.iso20 {
            protocols.insert(iso15118::Protocol::Iso20);
        }
        let set = if config.kind.is_dc() {
            Iso20Set::Dc
        } else {
            Iso20Set::Ac
        };
        // A session id of zero is no id; entropy that says zero is replaced rather than trusted.
        let mut id = config.entropy.session_id;
        if id == [0; 8] {
            id[7] = 1;
        }
        let id = SessionId::new(id);
        let mut engine = Secc::new(SeccConfig {
            protocols,
            session_id: id,
            security: if config.tls { Security::Tls } else { Security::None },
            max_payload_len: framing::LARGE,
            max_pending_frames: 1,
            iso20_sets: vec![set],
            ..SeccConfig::default()
        });
        engine.opened(instant(clock));
        Self {
            engine,
            framing: Framing::new(),
            policy: Policy::new(config),
            held: None,
            id,
            transmit: Vec::new(),
            end: None,
            failed_at: None,
        }
    }

    /// The session id, as upper-case hex, once the vehicle has been given it.
    #[must_use]
    pub fn id(&self) -> Option<String> {
        self.policy.established.then(|| {
            self.id
                .as_bytes()
                .iter()
                .fold(String::with_capacity(16), |mut text, byte| {
                    use std::fmt::Write as _;
                    let _ = write!(text, "{byte:02X}");
                    text
                })
        })
    }

    /// Takes bytes from the transport.
    pub fn receive(&mut self, clock: Clock, evse: &Evse, bytes: &[u8]) {
        if self.end.is_some() {
            return;
        }
        if let Err(error) = self.framing.push(bytes) {
            self.framing_error(&error);
            return;
        }
        self.pump(clock, evse);
    }

    /// Looks again at a request that waits for the EVSE or the platform, with their present state.
    /// Returns whether something happened that may have produced outputs or bytes.
    pub fn advance(&mut self, clock: Clock, evse: &Evse) -> bool {
        if self.end.is_some() {
            return false;
        }
        self.policy.observe(clock, evse);
        let Some(held) = &self.held else { return false };
        let waited = clock.monotonic.saturating_sub(held.since);
        match self.policy.answer(clock, evse, &held.request, waited) {
            Answer::Hold => {
                let retry = clock.monotonic.saturating_add(HELD_POLL);
                if let Some(held) = &mut self.held {
                    held.retry = retry;
                }
                false
            }
            Answer::With(response) => {
                self.held = None;
                self.respond(clock, evse, *response);
                self.pump(clock, evse);
                true
            }
        }
    }

    /// Lets the timers run. To be called at [`SeccSession::deadline`].
    pub fn tick(&mut self, clock: Clock, evse: &Evse) {
        if self.end.is_some() {
            return;
        }
        self.engine.handle_timeout(instant(clock));
        self.drain_engine(clock, evse);
        if self
            .failed_at
            .is_some_and(|at| clock.monotonic.saturating_sub(at) >= AFTER_FAILURE)
        {
            self.finish(End::Refused);
        }
    }

    /// Whether the vehicle waits for an external identification.
    #[must_use]
    pub fn awaits_identification(&self) -> bool {
        self.policy.authority == policy::Authority::Asked && !self.policy.by_contract
    }

    /// The platform's verdict on the identification of this session.
    pub fn authorized(&mut self, verdict: Verdict) {
        self.policy.authorized(verdict);
    }

    /// What the platform says to [`Output::Provision`]: a response of the provisioning service in EXI (a refusal
    /// of its own too), or why there is none.
    /// What cannot be passed on is reported, and the vehicle told that there is no contract.
    pub fn provisioned(&mut self, clock: Clock, answer: Result<Vec<u8>, String>) {
        self.policy.provisioned(clock, answer);
    }

    /// The next thing to carry out.
    pub fn poll(&mut self) -> Option<Output> {
        self.policy.outputs.pop_front()
    }

    /// Moves the bytes for the transport to the end of `into`.
    pub fn take_transmit(&mut self, into: &mut Vec<u8>) {
        into.append(&mut self.transmit);
        if !self.engine.transmit_is_empty() {
            into.extend_from_slice(&self.engine.take_transmit());
        }
    }

    /// When [`SeccSession::tick`] and [`SeccSession::advance`] have to be called next, on the clock of
    /// [`Clock::monotonic`].
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let engine = self
            .engine
            .poll_timeout()
            .map(|at| Duration::from_millis(at.as_millis()));
        let held = self.held.as_ref().map(|held| held.retry);
        let failed = self.failed_at.map(|at| at.saturating_add(AFTER_FAILURE));
        [engine, held, failed].into_iter().flatten().min()
    }

    /// How the session ended, once it has. Bytes may still be left to send.
    #[must_use]
    pub const fn end(&self) -> Option<End> {
        self.end
    }

    /// The transport is gone.
    pub fn disconnected(&mut self) {
        if self.end.is_none() {
            self.policy.notice(
                codes::LOST,
                "the vehicle closed the connection before the session was over",
            );
            self.finish(End::Lost);
        }
    }

    /// Feeds the engine whole frames for as long as it has nothing to answer.
    fn pump(&mut self, clock: Clock, evse: &Evse) {
        while self.end.is_none() && self.held.is_none() {
            self.framing.set_limit(self.policy.payload_limit());
            let frame = match self.framing.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => {
                    self.framing_error(&error);
                    break;
                }
            };
            let fed = self.engine.handle_input(instant(clock), &frame);
            if let Err(error) = fed {
                self.undecodable(&frame, &error);
                break;
            }
            self.policy.frame = frame;
            self.drain_engine(clock, evse);
        }
    }

    fn drain_engine(&mut self, clock: Clock, evse: &Evse) {
        while let Some(event) = self.engine.poll_event() {
            match event {
                Engine::ProtocolAgreed(protocol) => self.policy.protocol_agreed(protocol),
                Engine::Request(request) => {
                    self.policy.prepare(clock, evse, &request);
                    self.held = Some(Held {
                        request,
                        since: clock.monotonic,
                        retry: clock.monotonic,
                    });
                }
                Engine::Refused {
                    message,
                    response_code,
                    reason,
                } => {
                    let code = match reason {
                        Refusal::UnknownSession => codes::UNKNOWN_SESSION,
                        _ => codes::OUT_OF_SEQUENCE,
                    };
                    self.policy.notice_request(
                        code,
                        message.name(),
                        &format!("{} was refused: {reason}", message.name()),
                    );
                    self.refuse(clock, evse, &message, response_code);
                }
                Engine::Overdue {
                    message,
                    response_code,
                    phase,
                } => {
                    self.policy.notice_request(
                        codes::TIMEOUT,
                        message.name(),
                        &format!("this station did not finish {phase} in the time the standard allows"),
                    );
                    self.refuse(clock, evse, &message, response_code);
                }
                Engine::Closed(close) => self.closed(close),
                _ => {}
            }
        }
    }

    fn refuse(&mut self, clock: Clock, evse: &Evse, request: &Message, code: u8) {
        self.held = None;
        self.policy.open(StopCause::Refused);
        if let Some(refusal) = request.refusal(code) {
            self.respond(clock, evse, refusal);
        }
    }

    fn respond(&mut self, clock: Clock, evse: &Evse, response: Message) {
        let failure = response
            .outcome()
            .is_some_and(iso15118::message::Outcome::is_failure);
        if let Err(error) = self.engine.respond(instant(clock), response) {
            // Only a value of ours that no schema admits gets here.
            self.policy.notice(
                codes::REQUEST_REFUSED,
                &format!("no answer could be sent: {error}"),
            );
            self.finish(End::Refused);
            return;
        }
        if failure {
            self.failed_at.get_or_insert(clock.monotonic);
            self.policy.open(StopCause::Refused);
        }
        self.drain_engine(clock, evse);
    }

    fn closed(&mut self, close: Close) {
        let end = match close {
            Close::Normal => {
                self.policy
                    .notice(codes::STOPPED, "the vehicle ended the session");
                End::Stopped
            }
            Close::Paused => {
                self.policy
                    .notice(codes::PAUSED, "the vehicle paused the session");
                End::Paused
            }
            Close::Timeout(timer) => {
                self.policy
                    .notice(codes::TIMEOUT, &format!("the {} timer ran out", timer.name()));
                End::TimedOut
            }
            Close::NoCommonProtocol => {
                self.policy.notice(
                    codes::NO_COMMON_PROTOCOL,
                    "no protocol of the vehicle's offer is enabled at this EVSE",
                );
                End::NoCommonProtocol
            }
            // The refusal that led here has been reported where it was found.
            _ => End::Refused,
        };
        self.finish(end);
    }

    fn finish(&mut self, end: End) {
        if self.end.is_none() {
            self.end = Some(end);
            self.held = None;
            self.policy.open(match end {
                End::Stopped | End::Paused => StopCause::Vehicle,
                _ => StopCause::Refused,
            });
            self.policy.outputs.push_back(Output::Ended(end));
        }
    }

    fn framing_error(&mut self, error: &FramingError) {
        let code = match error {
            FramingError::Header(_) => wire::V2GTP_BAD_HEADER,
            FramingError::TooLarge { .. } => wire::V2GTP_TOO_LARGE,
            FramingError::Pipelined => wire::V2GTP_PIPELINED,
        };
        self.policy.notice(code, &error.to_string());
        self.finish(End::BadStream);
    }

    /// The engine could not read a whole frame: tell what it was, answer where the type of the request
    /// can be recognised, and end the session.
    fn undecodable(&mut self, frame: &[u8], error: &iso15118::secc::SeccError) {
        let recognised = undecodable::recognise(self.engine.protocol(), frame, self.id);
        let mut notice = Notice::new(
            wire::EXI_DECODING_ERROR,
            format!("a message of the vehicle cannot be used: {error}"),
        )
        .with(
            "payload_type",
            format!("{:#06x}", undecodable::payload_type(frame)),
        )
        .with("bytes", undecodable::excerpt(frame));
        if let Some(request) = &recognised {
            notice = notice.with("request", request.name());
        }
        self.policy.outputs.push_back(Output::Event(notice));
        if let Some(request) = recognised
            && let Some(bytes) = undecodable::failed(&request, self.id)
        {
            self.transmit.extend_from_slice(&bytes);
            self.policy.notice_request(
                wire::UNDECODABLE_ANSWERED,
                request.name(),
                &format!("{} was recognised and answered FAILED", request.name()),
            );
        }
        while self.engine.poll_event().is_some() {}
        self.finish(End::BadStream);
    }
}

fn instant(clock: Clock) -> Instant {
    Instant::from_millis(u64::try_from(clock.monotonic.as_millis()).unwrap_or(u64::MAX))
}
