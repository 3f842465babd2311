//! SDP, the vehicle's half: ask, judge the answers, never accept less security than was asked for.

use std::net::Ipv6Addr;

use gridlatch_vocab::catalogue::cable as codes;
use iso15118::sdp::{self, Request};
use iso15118::session::{Instant, Millis, Security};

use super::output::{Failure, StepName};

/// A station's answer worth connecting to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The station's address; link-local except on a test bench.
    pub address: Ipv6Addr,
    /// The TCP port.
    pub port: u16,
    /// Whether TLS must be spoken on it.
    pub secured: bool,
}

/// What discovery has to say.
#[derive(Debug, Clone, PartialEq)]
pub enum DiscoveryEvent {
    /// Connect here. Discovery is over.
    Found(Found),
    /// An answer that must not be acted on; discovery goes on.
    Ignored(Failure),
    /// Nobody usable answered. Discovery is over.
    GaveUp(Failure),
}

/// One discovery run.
#[derive(Debug)]
pub struct Discovery {
    engine: sdp::Discovery,
    secured: bool,
    /// The last answer that was refused: the better explanation when nobody usable answers.
    refused: Option<Failure>,
}

impl Discovery {
    /// A run that asks for TLS or for none. `off_link` accepts addresses outside the link, which only a
    /// loopback bench needs. `attempts` is bounded by 50 in the standard [V2G2-161].
    #[must_use]
    pub const fn new(secured: bool, off_link: bool, attempts: u32) -> Self {
        let request = if secured { Request::TLS } else { Request::PLAIN };
        Self {
            engine: sdp::Discovery::new(request)
                .allow_off_link(off_link)
                .with_max_attempts(attempts)
                .with_interval(Millis::from_millis(250)),
            secured,
            refused: None,
        }
    }

    /// Sends the first request.
    pub fn start(&mut self, now_ms: u64) {
        self.engine.start(Instant::from_millis(now_ms));
    }

    /// The datagram to send, if one is due.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.engine.poll_transmit()
    }

    /// When [`Self::handle_timeout`] is due, milliseconds.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        self.engine.poll_timeout().map(Instant::as_millis)
    }

    /// Requests sent so far.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.engine.attempts()
    }

    /// The instant of [`Self::poll_timeout`] has passed.
    pub fn handle_timeout(&mut self, now_ms: u64) -> Option<DiscoveryEvent> {
        self.engine.handle_timeout(Instant::from_millis(now_ms));
        self.event()
    }

    /// A datagram arrived.
    pub fn handle_datagram(&mut self, now_ms: u64, datagram: &[u8]) -> Option<DiscoveryEvent> {
        // Port 0 cannot be connected to; an engine that took it would stop listening for the real station.
        if let Ok(answer) = sdp::Response::from_frame(datagram)
            && answer.port == 0
        {
            return Some(self.ignore(codes::SDP_ANSWER_REFUSED, "its TCP port is 0"));
        }
        if let Err(error) = self
            .engine
            .handle_datagram(Instant::from_millis(now_ms), datagram)
        {
            return Some(self.ignore(codes::SDP_ANSWER_REFUSED, &format!("it is malformed: {error}")));
        }
        self.event()
    }

    fn ignore(&mut self, code: gridlatch_vocab::Code, why: &str) -> DiscoveryEvent {
        let failure = Failure::new(
            StepName::Discovery,
            code,
            format!("an answer to discovery was refused: {why}"),
        );
        self.refused = Some(failure.clone());
        DiscoveryEvent::Ignored(failure)
    }

    fn event(&mut self) -> Option<DiscoveryEvent> {
        match self.engine.poll_event()? {
            sdp::Event::Found(answer) => Some(DiscoveryEvent::Found(Found {
                address: Ipv6Addr::from(answer.address),
                port: answer.port,
                secured: answer.security == Security::Tls,
            })),
            sdp::Event::Refused { reason, .. } => Some(match reason {
                sdp::Refusal::SecurityDowngrade => self.ignore(
                    codes::SDP_DOWNGRADE_REFUSED,
                    "it offers a connection without TLS, and this vehicle demands TLS",
                ),
                other => self.ignore(codes::SDP_ANSWER_REFUSED, &other.to_string()),
            }),
            sdp::Event::Conflict { .. } => Some(self.ignore(
                codes::SDP_ANSWER_REFUSED,
                "a second station answered with another address",
            )),
            sdp::Event::GaveUp { attempts } => Some(DiscoveryEvent::GaveUp(self.gave_up(attempts))),
            _ => None,
        }
    }

    fn gave_up(&mut self, attempts: u32) -> Failure {
        if let Some(mut refused) = self.refused.take() {
            refused.message = format!(
                "no usable answer to {attempts} discovery requests; {}",
                refused.message
            );
            return refused;
        }
        let asked = if self.secured { "with TLS" } else { "without TLS" };
        Failure::new(
            StepName::Discovery,
            codes::SDP_NO_ANSWER,
            format!("no station answered {attempts} discovery requests for a connection {asked}"),
        )
    }
}
