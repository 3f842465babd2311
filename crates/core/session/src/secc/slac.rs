//! SLAC matching, the station's side: frames in, frames and one verdict out.
//!
//! The station never reports an attenuation it did not measure, and never hands out its network key
//! without a measurement; the key is fresh for every plug-in and never logged.

use std::time::Duration;

use gridlatch_vocab::Code;
use gridlatch_vocab::catalogue::cable as codes;
use iso15118::session::Instant;
use iso15118::slac::matching::{Evse, EvseConfig, EvseEvent};
use iso15118::slac::{self, AttenProfile, Mmtype};

/// Randomness for one matching run.
#[derive(Clone)]
pub struct MatchEntropy {
    /// The network membership key.
    pub nmk: [u8; 16],
    /// The network id. Its two most significant bits are the security level and are cleared.
    pub nid: [u8; 7],
}

impl core::fmt::Debug for MatchEntropy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("MatchEntropy(<secret>)")
    }
}

/// How the run went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MatchEvent {
    /// A vehicle began.
    Started,
    /// Its sounds were measured.
    Measured {
        /// Mean attenuation, dB.
        attenuation: u8,
        /// Sounds heard.
        sounds: u8,
    },
    /// The vehicle is on this cable.
    Matched {
        /// Its MAC address.
        mac: [u8; 6],
    },
    /// No match; the vehicle may try again.
    Failed {
        /// The event code.
        code: Code,
        /// The particulars.
        message: String,
    },
}

/// Matching at one outlet.
#[derive(Debug)]
pub struct Matcher {
    engine: Evse,
    /// The attenuation the modem of this outlet measures, dB.
    attenuation: u8,
}

/// Runs above this mean attenuation are refused: the vehicle is not on this cable.
const LIMIT_DB: u8 = 40;

impl Matcher {
    /// Ready for a vehicle. `evse_id` names the outlet, `attenuation` is what its modem measures.
    #[must_use]
    pub fn new(mac: [u8; 6], evse_id: &str, entropy: MatchEntropy, attenuation: u8) -> Self {
        let mut id = [0; slac::STATION_ID_LEN];
        for (to, from) in id.iter_mut().zip(evse_id.bytes()) {
            *to = from;
        }
        let mut nid = entropy.nid;
        nid[6] &= 0x3F;
        Self {
            engine: Evse::new(EvseConfig {
                mac,
                id,
                nmk: entropy.nmk,
                nid,
                attenuation_limit: Some(LIMIT_DB),
            }),
            attenuation,
        }
    }

    /// Takes a HomePlug frame from the cable.
    pub fn frame(&mut self, now: Duration, frame: &[u8]) {
        // The modem measures each sound; without a sound there is no measurement.
        if slac::parse_frame(frame).is_ok_and(|frame| frame.mmtype == Mmtype::MnbcSoundInd) {
            self.engine.observe(&AttenProfile {
                num_groups: 58,
                aag: [self.attenuation; slac::AAG_LEN],
            });
        }
        self.engine.handle_frame(instant(now), frame);
    }

    /// Lets the timers run; to be called at [`Matcher::deadline`].
    pub fn tick(&mut self, now: Duration) {
        self.engine.handle_timeout(instant(now));
    }

    /// When [`Matcher::tick`] is due, on the clock of `now`.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.engine
            .poll_timeout()
            .map(|at| Duration::from_millis(at.as_millis()))
    }

    /// The next frame for the cable.
    pub fn transmit(&mut self) -> Option<Vec<u8>> {
        self.engine.poll_transmit().map(|out| out.frame)
    }

    /// What happened next. After a failure the matcher waits for the next run.
    pub fn poll(&mut self) -> Option<MatchEvent> {
        Some(match self.engine.poll_event()? {
            EvseEvent::RunStarted(_) => MatchEvent::Started,
            EvseEvent::Measured {
                mean_attenuation,
                sounds,
            } => MatchEvent::Measured {
                attenuation: mean_attenuation,
                sounds,
            },
            EvseEvent::Matched { pev_mac, .. } => MatchEvent::Matched { mac: pev_mac },
            EvseEvent::Failed(reason) => {
                let code = match reason {
                    slac::matching::Reason::Timeout => codes::SLAC_MATCH_TIMEOUT,
                    _ => codes::SLAC_FAILED,
                };
                self.engine.reset();
                MatchEvent::Failed {
                    code,
                    message: format!("matching failed: {reason:?}"),
                }
            }
            _ => return None,
        })
    }
}

fn instant(now: Duration) -> Instant {
    Instant::from_millis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}
