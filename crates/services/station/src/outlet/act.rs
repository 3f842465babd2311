//! Carries out what the session and the platform ask for.

use std::time::Duration;

use gridlatch_session::secc::{Clock, End, Identity, Output, Step};
use gridlatch_vocab::Watts;
use gridlatch_vocab::catalogue::power as codes;
use tokio::sync::oneshot;

use super::session::{Asked, VERDICT_TIMEOUT};
use super::{Command, OutletTask, RemoteStart};
use crate::backend::{ChargingState, StopReason, ToPlatform};

impl OutletTask {
    /// Alternates between carrying out outputs and letting the session answer, until nothing moves.
    pub(super) fn drive(&mut self, clock: Clock) {
        loop {
            while let Some(output) = self.session.as_mut().and_then(|session| session.engine.poll()) {
                self.carry_out(output);
            }
            self.ask_for_power();
            let evse = self.snapshot();
            let Some(session) = &mut self.session else { return };
            if !session.engine.advance(clock, &evse) {
                // A last look: advancing may report things without answering anything.
                while let Some(output) = self.session.as_mut().and_then(|session| session.engine.poll()) {
                    self.carry_out(output);
                }
                return;
            }
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Event(notice) => {
                let session = self.session.as_ref().and_then(|session| session.engine.id());
                let transaction = self.transaction.as_ref().map(|transaction| &transaction.id);
                self.shared.report.notice(notice, session.as_deref(), transaction);
            }
            Output::Step(step) => self.stepped(&step),
            Output::Authorize(identity) => self.authorize(identity),
            Output::Provision {
                generation,
                action,
                exi,
            } => {
                let (answer, provided) = oneshot::channel();
                self.shared.outbox.send(ToPlatform::Provision {
                    evse: self.config.evse,
                    generation,
                    action,
                    exi,
                    answer,
                });
                if let Some(session) = &mut self.session {
                    session.provision = Some(provided);
                }
            }
            Output::TestIsolation => {
                let now = self.shared.power.now();
                self.shared.power.lock().model.test_isolation(now);
            }
            Output::Demand(demand) => {
                let now = self.shared.power.now();
                let mut unit = self.shared.power.lock();
                unit.model.advance(now);
                unit.model.demand(demand);
            }
            Output::CloseContactor => self.wants_power = true,
            Output::OpenContactor(_) => self.release_power(),
            Output::Ended(_) => self.release_power(),
        }
    }

    fn stepped(&mut self, step: &Step) {
        match step {
            Step::Battery { soc } => self.soc = Some(*soc),
            Step::TransferStarted => self.set_charging(true),
            Step::TransferStopped => self.set_charging(false),
            Step::Protocol { .. } | Step::Identified { .. } | Step::Service { .. } => {}
        }
    }

    fn set_charging(&mut self, charging: bool) {
        if let Some(session) = &mut self.session {
            session.charging = charging;
        }
    }

    /// Asks the interlock while the session wants power and has not got it.
    fn ask_for_power(&mut self) {
        // What the watch withdrew since the last look must not come back from an old wish.
        self.contactor_moved();
        if !self.wants_power {
            return;
        }
        let conditions = self.conditions();
        let now = self.shared.power.now();
        let mut unit = self.shared.power.lock();
        if !unit.model.is_closed() {
            unit.renew(now, conditions);
            unit.request(now);
        }
    }

    fn authorize(&mut self, identity: Identity) {
        let Some((identification, remote_start_id)) = self.identification(identity) else {
            // Nothing identifies this vehicle yet: it waits for a start from the platform.
            return;
        };
        self.ask_platform(identification, remote_start_id);
    }

    fn ask_platform(&mut self, identification: crate::backend::Identification, remote_start_id: Option<i32>) {
        let deadline = self.shared.power.now().saturating_add(VERDICT_TIMEOUT);
        let Some(session) = &mut self.session else { return };
        let (answer, verdict) = oneshot::channel();
        self.shared.outbox.send(ToPlatform::Authorize {
            evse: self.config.evse,
            identification: identification.clone(),
            verdict: answer,
        });
        // Taken up: it neither expires any more nor serves a second vehicle.
        if remote_start_id.is_some() {
            self.remote = None;
        }
        session.asked = Some(Asked {
            verdict,
            identification,
            remote_start_id,
            deadline,
        });
    }

    pub(super) fn finished(&mut self, end: End) {
        self.release_power();
        let reason = match end {
            End::Stopped | End::Paused => StopReason::StoppedByEv,
            End::Lost if self.cable.is_none() => StopReason::EvDisconnected,
            _ => StopReason::Other,
        };
        let reason = self.stop.take().unwrap_or(reason);
        self.end_transaction(reason);
        self.remote = None;
        if self.is_virtual() {
            self.shared.power.lock().model.unplugged();
            self.announce(false, false);
        }
    }

    pub(super) fn sample(&mut self, now: Duration) {
        if self.transaction.is_none() {
            return;
        }
        let charging = self.session.as_ref().is_some_and(|session| session.charging)
            && self.shared.power.lock().model.is_closed();
        let state = if charging {
            ChargingState::Charging
        } else {
            ChargingState::EvConnected
        };
        let Some(mut transaction) = self.transaction.take() else {
            return;
        };
        transaction.sample(now, state, || self.meter());
        self.transaction = Some(transaction);
    }

    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::Start {
                remote_start_id,
                token,
                kind,
                accepted,
            } => {
                let running = self
                    .transaction
                    .as_ref()
                    .map(|transaction| transaction.id.clone());
                if self.shared.inoperative {
                    let _ = accepted.send(Err("this EVSE is inoperative".to_owned()));
                    return;
                }
                if running.is_some() {
                    let _ = accepted.send(Err("a transaction runs already".to_owned()));
                    return;
                }
                self.remote = Some(RemoteStart {
                    id: remote_start_id,
                    token,
                    kind,
                    until: self
                        .shared
                        .power
                        .now()
                        .saturating_add(self.config.remote_start_life),
                });
                let _ = accepted.send(Ok(running));
                let waits = self.session.as_ref().is_some_and(|session| {
                    session.asked.is_none() && !session.authorised && session.engine.awaits_identification()
                });
                if waits && let Some((identification, id)) = self.identification(Identity::External) {
                    self.ask_platform(identification, id);
                }
            }
            Command::Stop {
                transaction,
                accepted,
            } => {
                let runs = self
                    .transaction
                    .as_ref()
                    .is_some_and(|running| running.id == transaction);
                if runs {
                    self.stop = Some(StopReason::Remote);
                }
                let _ = accepted.send(runs);
            }
            Command::Setpoint { setpoint, accepted } => {
                let _ = accepted.send(self.change_setpoint(setpoint));
            }
            Command::Reset => {
                self.remote = None;
                if self.session.as_ref().is_some_and(|session| session.charging) {
                    // The vehicle is asked to end the transfer, so that it takes its current down before
                    // the contactor opens; one that does not heed is cut off by the session's own timer.
                    self.stop = Some(StopReason::ImmediateReset);
                } else {
                    self.end_session(StopReason::ImmediateReset);
                    self.release_power();
                }
                self.announce(self.cable.is_some(), true);
            }
        }
        let clock = self.clock();
        self.drive(clock);
    }

    fn change_setpoint(&mut self, setpoint: Option<Watts>) -> Result<(), String> {
        if let Some(watts) = setpoint {
            if !watts.0.is_finite() {
                return Err("the set-point is no number".to_owned());
            }
            if watts.0 < 0.0 && !self.is_bidirectional() {
                return Err("this EVSE cannot discharge".to_owned());
            }
        }
        let limits = self.config.limits;
        self.setpoint = setpoint.map(|watts| watts.within(-limits.max_discharge_power, limits.max_power));
        let message = match self.setpoint {
            Some(watts) => format!("the set-point is now {:.0} W", watts.0),
            None => "the set-point was lifted".to_owned(),
        };
        self.shared.report.say(codes::SETPOINT_CHANGED, message);
        Ok(())
    }
}
