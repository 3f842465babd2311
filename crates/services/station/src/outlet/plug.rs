//! The cable of an outlet: plugging, the control pilot, matching, and what the vehicle is told of the output.

use std::sync::atomic::Ordering;
use std::time::Duration;

use gridlatch_link::cable::{Outlet, PilotState, StationEnd, ToStation, ToVehicle};
use gridlatch_session::secc::slac::{MatchEntropy, MatchEvent, Matcher};
use gridlatch_vocab::Percent;
use gridlatch_vocab::catalogue::cable as codes;

use super::{OutletTask, fill};
use crate::backend::StopReason;

/// How often the vehicle is told of a changed output, at most.
const OUTPUT_EVERY: Duration = Duration::from_millis(10);

/// Mean attenuation the modem of a simulated outlet measures on its own cable, in dB.
const ATTENUATION: u8 = 12;

impl OutletTask {
    pub(super) fn plugged(&mut self, end: StationEnd) {
        if self.shared.inoperative {
            // The pilot stays "not ready"; the vehicle sees why nothing happens.
            let _ = end.send(ToVehicle::Pwm { duty_percent: 100.0 });
        } else {
            // 5 % demands high-level communication (IEC 61851-1 annex A).
            let _ = end.send(ToVehicle::Pwm { duty_percent: 5.0 });
        }
        self.cable = Some(end);
        self.pilot = PilotState::B;
        self.matched = false;
        let mut entropy = MatchEntropy {
            nmk: [0; 16],
            nid: [0; 7],
        };
        let mut mac = [0; 6];
        if fill(&mut entropy.nmk) && fill(&mut entropy.nid) && fill(&mut mac) && !self.shared.inoperative {
            // Locally administered, unicast.
            mac[0] = (mac[0] & 0xFC) | 0x02;
            self.matcher = Some(Matcher::new(mac, &self.config.evse_id, entropy, ATTENUATION));
        }
        self.shared
            .report
            .say(codes::PLUGGED_IN, "a vehicle was plugged in");
        self.announce(true, false);
    }

    fn unplugged(&mut self) {
        self.cable = None;
        self.pilot = PilotState::A;
        self.matcher = None;
        self.matched = false;
        self.told = None;
        self.shared.reachable.store(self.is_virtual(), Ordering::Release);
        self.release_power();
        self.end_session(StopReason::EvDisconnected);
        // A start of the platform is for the vehicle that was here, never for the next one.
        self.remote = None;
        self.shared.power.lock().model.unplugged();
        self.soc = None;
        self.shared
            .report
            .say(codes::UNPLUGGED, "the vehicle was unplugged");
        self.announce(false, false);
    }

    pub(super) fn cable_message(&mut self, message: Option<ToStation>) {
        let Some(message) = message else {
            return self.unplugged();
        };
        match message {
            ToStation::Pilot(state) => {
                self.pilot = state;
                if state == PilotState::A {
                    self.unplugged();
                }
            }
            ToStation::Frame(frame) => {
                let now = self.shared.power.now();
                if let Some(matcher) = &mut self.matcher {
                    matcher.frame(now, &frame);
                }
            }
            ToStation::Draw { watts } => self.shared.power.lock().model.draw(watts),
            ToStation::Battery { volts, soc } => {
                self.shared.power.lock().model.battery(volts);
                if (0.0..=100.0).contains(&soc) {
                    self.soc = Some(Percent(soc));
                }
            }
        }
    }

    pub(super) fn matching(&mut self) {
        let Some(matcher) = &mut self.matcher else { return };
        while let Some(frame) = matcher.transmit() {
            if let Some(cable) = &self.cable {
                let _ = cable.send(ToVehicle::Frame(frame));
            }
        }
        while let Some(event) = matcher.poll() {
            match event {
                MatchEvent::Started | MatchEvent::Measured { .. } => {}
                MatchEvent::Matched { .. } => {
                    self.matched = true;
                    self.shared.reachable.store(true, Ordering::Release);
                    self.shared
                        .report
                        .say(codes::SLAC_MATCHED, "the vehicle is on this cable");
                }
                MatchEvent::Failed { code, message } => self.shared.report.say(code, message),
            }
        }
    }

    /// Tells the vehicle what the outlet delivers when that changed, not more often than it matters.
    pub(super) fn tell_vehicle(&mut self, now: Duration) {
        let (volts, amps, closed) = {
            let unit = self.shared.power.lock();
            (
                unit.model.voltage().0,
                unit.model.current().0,
                unit.model.is_closed(),
            )
        };
        let due = match self.told {
            None => true,
            Some((_, _, _, was)) if was != closed => true,
            Some((at, v, a, _)) => {
                now.saturating_sub(at) >= OUTPUT_EVERY
                    && ((v - volts).abs() > 0.05 || (a - amps).abs() > 0.05)
            }
        };
        if !due {
            return;
        }
        self.told = Some((now, volts, amps, closed));
        if let Some(cable) = &self.cable {
            let _ = cable.send(ToVehicle::Output { volts, amps, closed });
        }
    }
}

/// The next message of the cable; never, without one.
pub(super) async fn recv(cable: &mut Option<StationEnd>) -> Option<ToStation> {
    match cable {
        Some(cable) => cable.recv().await,
        None => std::future::pending().await,
    }
}

/// The next vehicle that is plugged in; never, where there is no socket.
pub(super) async fn plugged(outlet: &mut Option<Outlet>) -> Option<StationEnd> {
    match outlet {
        Some(outlet) => outlet.plugged().await,
        None => std::future::pending().await,
    }
}
