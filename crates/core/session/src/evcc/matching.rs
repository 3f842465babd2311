//! SLAC, the vehicle's half: find the station at the other end of this cable.

use gridlatch_vocab::catalogue::cable as codes;
use iso15118::session::Instant;
use iso15118::slac::matching::{Ev, EvConfig, EvEvent, Reason};
use iso15118::slac::{MacAddr, RunId};

use super::output::{Failure, StepName};

/// Whole matching runs tried after the first (ISO 15118-3 C_EV_match_retry).
pub const MATCH_RETRIES: u32 = 2;

/// Inputs of a matching run; the random ones come from the shell.
#[derive(Debug, Clone)]
pub struct MatchingConfig {
    /// The vehicle's MAC.
    pub mac: [u8; 6],
    /// Random: names this run.
    pub run_id: [u8; 8],
    /// Random: what the station measures.
    pub sounding_payload: [u8; 16],
    /// Attenuation above which a station is not at this cable, dB.
    pub attenuation_limit: u8,
}

/// What matching has to say.
#[derive(Debug, Clone, PartialEq)]
pub enum MatchingEvent {
    /// The station at the other end. The network key stays with the modem and is not reported.
    Matched {
        /// Its MAC.
        station: [u8; 6],
        /// Mean attenuation it reported, dB, if it reported any.
        attenuation: Option<u8>,
    },
    /// No match after all retries.
    Failed(Failure),
}

/// Matching with its retries.
#[derive(Debug)]
pub struct Matching {
    engine: Ev,
    attenuation: Option<u8>,
    retries: u32,
}

impl Matching {
    /// A run that has not started.
    #[must_use]
    pub fn new(config: &MatchingConfig) -> Self {
        let mac: MacAddr = config.mac;
        let run_id: RunId = config.run_id;
        Self {
            engine: Ev::new(EvConfig {
                mac,
                id: [0; 17],
                run_id,
                sounding_payload: config.sounding_payload,
                attenuation_limit: Some(config.attenuation_limit),
            }),
            attenuation: None,
            retries: 0,
        }
    }

    /// Starts the first run.
    pub fn start(&mut self, now_ms: u64) {
        self.engine.start(Instant::from_millis(now_ms));
    }

    /// The Ethernet frame to send, if one is due.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.engine.poll_transmit().map(|outgoing| outgoing.frame)
    }

    /// When [`Self::handle_timeout`] is due, milliseconds.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        self.engine.poll_timeout().map(Instant::as_millis)
    }

    /// The instant of [`Self::poll_timeout`] has passed.
    pub fn handle_timeout(&mut self, now_ms: u64) -> Option<MatchingEvent> {
        self.engine.handle_timeout(Instant::from_millis(now_ms));
        self.event(now_ms)
    }

    /// A frame arrived from the line.
    pub fn handle_frame(&mut self, now_ms: u64, frame: &[u8]) -> Option<MatchingEvent> {
        self.engine.handle_frame(Instant::from_millis(now_ms), frame);
        self.event(now_ms)
    }

    fn event(&mut self, now_ms: u64) -> Option<MatchingEvent> {
        while let Some(event) = self.engine.poll_event() {
            match event {
                EvEvent::Measurement { mean_attenuation, .. } => self.attenuation = Some(mean_attenuation),
                EvEvent::Matched { evse_mac, .. } => {
                    return Some(MatchingEvent::Matched {
                        station: evse_mac,
                        attenuation: self.attenuation,
                    });
                }
                EvEvent::Failed(_) if self.retries < MATCH_RETRIES => {
                    self.retries += 1;
                    self.attenuation = None;
                    self.engine.start(Instant::from_millis(now_ms));
                }
                EvEvent::Failed(reason) => return Some(MatchingEvent::Failed(self.failed(reason))),
                _ => {}
            }
        }
        None
    }

    fn failed(&self, reason: Reason) -> Failure {
        Failure::new(
            StepName::Matching,
            codes::SLAC_NO_MATCH,
            format!("{reason} ({} runs)", self.retries + 1),
        )
    }
}
