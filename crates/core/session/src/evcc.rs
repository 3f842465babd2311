//! The vehicle's side of a charging session: what to ask, what to make of the answers, when to stop.
//!
//! [`EvccSession`] is driven in this order, again and again:
//! 1. `update` with the vehicle's state, then `handle_input` (bytes arrived), `handle_timeout` (the
//!    instant of `poll_timeout` passed), `request_stop` or `connection_lost`;
//! 2. drain `poll_output`: pilot first, then steps, power and the end;
//! 3. write what `poll_transmit` gives.
//!
//! Deliberately absent: sockets, clocks, keys, and the battery itself.

mod config;
mod contract;
mod course;
mod discovery;
mod drive;
mod iso2;
mod iso20;
mod log;
mod matching;
mod output;
mod policy;
mod provision;
mod refusal;
#[cfg(test)]
mod tests;

use std::fmt;

use gridlatch_vocab::catalogue::session as codes;
use gridlatch_vocab::{Blame, Code};
use iso15118::evcc::{self, Evcc};
use iso15118::message::Message;
use iso15118::session::{Instant, LoopBudgets, Millis, Security};
use iso15118::{Iso20Set, Protocol, Protocols};

pub use config::{Authorisation, Control, Energy, EvccConfig, Generation, Goal, Now, VehicleState, Wish};
pub(crate) use contract::SignWith;
pub use contract::{Contract, ContractSigner, Curve, raw_signature};
pub use discovery::{Discovery, DiscoveryEvent, Found};
pub use matching::{MATCH_RETRIES, Matching, MatchingConfig, MatchingEvent};
pub use output::{End, Failure, Flow, Output, Pilot, StepName, StepRecord};
pub use provision::{ContractAcceptance, ContractWish};

use crate::provisioning::Action;
use course::Course;
use iso2::Iso2;
use iso20::Iso20;
use log::Log;
use policy::StopCause;

/// Largest V2GTP payload the vehicle accepts: certificate installation needs about 5 KiB; a megabyte
/// would let a 75 KB message grow to 470 MB in the string table before any authentication.
pub const MAX_PAYLOAD: usize = 32 * 1024;

/// Frames held that nobody asked for; V2G is half-duplex.
const MAX_FRAMES: usize = 4;

/// The standard's ordinary message timeout, milliseconds; the base that `patience` stretches.
const MESSAGE_TIMEOUT_MS: u64 = 2_000;

/// A session cannot be opened as configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvccSetupError {
    /// Plug & Charge sends a contract and a signature, which must not travel in clear [V2G2-635].
    #[error("Plug & Charge needs TLS")]
    ContractWithoutTls,
    /// ISO 15118-2 moves energy in one direction only.
    #[error("ISO 15118-2 has no bidirectional transfer; use ISO 15118-20")]
    DischargeInIso2,
    /// The contract has no certificate.
    #[error("the contract has no certificate chain")]
    EmptyChain,
    /// ISO 15118-20 installs contracts and does not update them.
    #[error("ISO 15118-20 has no update of a contract; ask for an installation")]
    UpdateInIso20,
    /// ISO 15118-2 signs with P-256 only.
    #[error("ISO 15118-2 needs a contract key on P-256")]
    WrongCurve,
    /// The protocol engine refused to start.
    #[error("the protocol engine refused to start: {0}")]
    Engine(String),
}

#[derive(Debug)]
enum Policy {
    Iso2(Iso2),
    Iso20(Box<Iso20>),
}

/// One session from the protocol handshake to the end.
pub struct EvccSession {
    evcc: Evcc,
    config: EvccConfig,
    policy: Policy,
    vehicle: VehicleState,
    course: Course,
    log: Log,
    /// A request waiting for its pause, and when it is due.
    pending: Option<(Message, u64)>,
    asked: &'static str,
    stop_asked: Option<StopCause>,
    failure: Option<Failure>,
    ended: bool,
    exchanges: u64,
}

impl fmt::Debug for EvccSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvccSession")
            .field("step", &self.log.current())
            .field("asked", &self.asked)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl EvccSession {
    /// A session that has not started; refuses what can never work before anything is sent.
    pub fn new(config: EvccConfig, vehicle: VehicleState) -> Result<Self, EvccSetupError> {
        if let Authorisation::Contract(contract) = &config.authorisation {
            if !config.secured {
                return Err(EvccSetupError::ContractWithoutTls);
            }
            if contract.chain.is_empty() {
                return Err(EvccSetupError::EmptyChain);
            }
            if config.generation == Generation::Iso2 && contract.signer.curve() != Curve::P256 {
                return Err(EvccSetupError::WrongCurve);
            }
        }
        if let Authorisation::Install(wish) = &config.authorisation {
            if !config.secured {
                return Err(EvccSetupError::ContractWithoutTls);
            }
            if wish.chain.is_empty() {
                return Err(EvccSetupError::EmptyChain);
            }
            match config.generation {
                Generation::Iso2 if wish.signer.curve() != Curve::P256 => {
                    return Err(EvccSetupError::WrongCurve);
                }
                Generation::Iso20 if wish.action == Action::Update => {
                    return Err(EvccSetupError::UpdateInIso20);
                }
                _ => {}
            }
        }
        if config.generation == Generation::Iso2 && config.energy == Energy::DcBpt {
            return Err(EvccSetupError::DischargeInIso2);
        }
        let policy = match config.generation {
            Generation::Iso2 => Policy::Iso2(Iso2::default()),
            Generation::Iso20 => Policy::Iso20(Box::new(Iso20::new(config.control))),
        };
        Ok(Self {
            evcc: Evcc::new(engine_config(&config)),
            course: Course::new(config.wish),
            policy,
            vehicle,
            log: Log::new(),
            pending: None,
            asked: "supportedAppProtocolReq",
            stop_asked: None,
            failure: None,
            ended: false,
            exchanges: 0,
            config,
        })
    }

    /// Opens the session on a connected transport.
    pub fn start(&mut self, now: Now) -> Result<(), EvccSetupError> {
        self.log.start(now.mono_ms);
        self.evcc
            .start(Instant::from_millis(now.mono_ms))
            .map_err(|error| EvccSetupError::Engine(error.to_string()))
    }

    /// The vehicle as it is now; requests are worded from the latest.
    pub fn update(&mut self, vehicle: VehicleState) {
        self.vehicle = vehicle;
    }

    /// The session id the station assigned, upper-case hex; `None` before it did.
    #[must_use]
    pub fn session_id(&self) -> Option<String> {
        let id = self.evcc.session_id();
        (!id.is_none()).then(|| id.to_string())
    }

    /// Answers received so far.
    #[must_use]
    pub const fn exchanges(&self) -> u64 {
        self.exchanges
    }

    /// Whether the vehicle has what it wanted and now wants to give energy back.
    #[must_use]
    pub fn wants_to_give(&self) -> bool {
        self.course.wants_to_give()
    }

    /// Whether the session is over.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        self.ended
    }

    /// Ends the session in order at the next opportunity.
    pub fn request_stop(&mut self) {
        self.stop_asked.get_or_insert(StopCause::Driver);
        self.course.stop();
    }

    /// Bytes arrived.
    pub fn handle_input(&mut self, now: Now, bytes: &[u8]) {
        if self.ended {
            return;
        }
        if let Err(error) = self.evcc.handle_input(Instant::from_millis(now.mono_ms), bytes) {
            let (code, blame, message) = drive::broken(&error);
            self.fail(now, code, blame, message);
            return;
        }
        self.drain(now);
    }

    /// The instant of [`Self::poll_timeout`] has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.ended {
            return;
        }
        if self.pending.as_ref().is_some_and(|(_, due)| *due <= now.mono_ms)
            && let Some((request, _)) = self.pending.take()
        {
            self.send(now, request);
        }
        let at = Instant::from_millis(now.mono_ms);
        if self.evcc.poll_timeout().is_some_and(|deadline| deadline <= at) {
            self.evcc.handle_timeout(at);
        }
        self.drain(now);
    }

    /// The station closed the connection, or it broke.
    pub fn connection_lost(&mut self, now: Now, reason: &str) {
        if !self.ended {
            let asked = self.asked;
            self.fail(
                now,
                codes::STATION_CLOSED,
                Blame::Station,
                format!("the connection ended while {asked} was open: {reason}"),
            );
        }
    }

    /// As [`Self::connection_lost`], where TLS said why: the station refused this side's certificate after all.
    pub fn connection_refused(&mut self, now: Now, code: Code, reason: &str) {
        if !self.ended {
            let asked = self.asked;
            self.fail(
                now,
                code,
                Blame::Vehicle,
                format!("the connection ended while {asked} was open: {reason}"),
            );
        }
    }

    /// When [`Self::handle_timeout`] is due, on the monotonic clock in milliseconds.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        if self.ended {
            return None;
        }
        let engine = self.evcc.poll_timeout().map(Instant::as_millis);
        let pending = self.pending.as_ref().map(|(_, due)| *due);
        engine.into_iter().chain(pending).min()
    }

    /// The next thing for the shell to do or to show.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.log.next_output()
    }

    /// Bytes to write; empty when there are none.
    #[must_use]
    pub fn poll_transmit(&mut self) -> Vec<u8> {
        self.evcc.take_transmit()
    }
}

/// What the engine is told: exactly one protocol, our payload limit, stretched timers if asked.
fn engine_config(config: &EvccConfig) -> evcc::EvccConfig {
    let patience = u64::from(config.patience.max(1));
    let standard = evcc::EvccConfig::default();
    let stretched = patience > 1;
    let ongoing = Millis::from_secs(60 * patience);
    evcc::EvccConfig {
        protocols: Protocols::only(match config.generation {
            Generation::Iso2 => Protocol::Iso2,
            Generation::Iso20 => Protocol::Iso20,
        }),
        security: if config.secured {
            Security::Tls
        } else {
            Security::None
        },
        max_payload_len: MAX_PAYLOAD,
        max_pending_frames: MAX_FRAMES,
        setup_timeout: Millis::from_millis(standard.setup_timeout.as_millis() * patience),
        message_timeout: stretched.then(|| Millis::from_millis(MESSAGE_TIMEOUT_MS * patience)),
        loop_budgets: if stretched {
            LoopBudgets {
                authorization: Some(ongoing),
                ongoing: Some(ongoing),
            }
        } else {
            LoopBudgets::default()
        },
        iso20_sets: vec![if config.energy.is_dc() {
            Iso20Set::Dc
        } else {
            Iso20Set::Ac
        }],
        rejoin: None,
    }
}
