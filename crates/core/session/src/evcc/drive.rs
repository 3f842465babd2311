//! From each answer to the next request, and to the end.

use gridlatch_vocab::catalogue::session as codes;
use gridlatch_vocab::{Blame, Code};
use iso15118::Protocol;
use iso15118::evcc::{self, Close, EvccError};
use iso15118::message::Message;
use iso15118::session::Instant;

use super::iso2::Iso2;
use super::iso20::Iso20;
use super::policy::{Context, Next, StopCause};
use super::{Authorisation, End, EvccSession, Failure, Now, Output, Pilot, Policy, StepName, refusal};

impl EvccSession {
    pub(super) fn drain(&mut self, now: Now) {
        let mut answer = None;
        let mut refused = false;
        let mut close = None;
        while let Some(event) = self.evcc.poll_event() {
            match event {
                evcc::Event::ProtocolAgreed(protocol) => self.agreed(now, protocol),
                evcc::Event::Response(response) => answer = Some(response),
                evcc::Event::Failed => refused = true,
                evcc::Event::Closed(why) => close = Some(why),
                _ => {}
            }
        }
        if let Some(response) = answer {
            self.exchanges += 1;
            if refused {
                self.refused(now, &response);
            } else {
                self.decide(now, &response);
            }
        }
        match close {
            Some(why) if !self.ended => self.closed(now, why),
            _ => {}
        }
    }

    fn agreed(&mut self, now: Now, protocol: Protocol) {
        let name = self.config.generation.as_str();
        let fields = vec![("protocol", protocol.as_str().into())];
        self.log
            .done(now.mono_ms, StepName::Identification, name.to_owned(), fields);
        let request = {
            let (policy, ctx) = self.context(now);
            match policy {
                Policy::Iso2(_) => Iso2::first(&ctx),
                Policy::Iso20(_) => Iso20::first(&ctx),
            }
        };
        self.send(now, request);
    }

    fn decide(&mut self, now: Now, response: &Message) {
        let next = {
            let (policy, mut ctx) = self.context(now);
            match policy {
                Policy::Iso2(policy) => policy.next(&mut ctx, response),
                Policy::Iso20(policy) => policy.next(&mut ctx, response),
            }
        };
        self.follow(now, next);
    }

    fn follow(&mut self, now: Now, next: Next) {
        match next {
            Next::Adopt(contract) => {
                self.config.authorisation = Authorisation::Contract(*contract);
                let next = {
                    let (policy, mut ctx) = self.context(now);
                    match policy {
                        Policy::Iso2(policy) => policy.adopted(&ctx),
                        Policy::Iso20(policy) => policy.adopted(&mut ctx),
                    }
                };
                self.follow(now, next);
            }
            Next::Send(request) => self.send(now, request),
            Next::Repeat(request) => self.send_after(now, request, self.config.repeat_ms),
            Next::Loop(request) => self.send_after(now, request, self.config.pace_ms),
            Next::Finished => {}
            Next::GiveUp(failure) => {
                self.failure.get_or_insert(failure);
                self.stop_after_failure(now);
            }
        }
    }

    /// A `FAILED_*` answer: name it, then the one request left is the stop.
    fn refused(&mut self, now: Now, response: &Message) {
        let code = refusal::response_code(response).unwrap_or_else(|| "FAILED".to_owned());
        let failure = refusal::failure(self.log.current(), self.asked, &code);
        self.failure.get_or_insert(failure);
        if !self.evcc.is_closed() {
            self.stop_after_failure(now);
        }
    }

    fn stop_after_failure(&mut self, now: Now) {
        self.log.pilot(Pilot::B);
        self.log.push(Output::Draw(0.0));
        let request = {
            let (policy, ctx) = self.context(now);
            match policy {
                Policy::Iso2(_) => Iso2::stop_request(),
                Policy::Iso20(_) => Iso20::stop_request(&ctx),
            }
        };
        if self.asked == "SessionStopReq" || self.evcc.is_closed() || self.try_send(now, request).is_err() {
            self.end(now);
        }
    }

    fn send_after(&mut self, now: Now, request: Message, pause_ms: u64) {
        if pause_ms == 0 {
            self.send(now, request);
        } else {
            self.pending = Some((request, now.mono_ms.saturating_add(pause_ms)));
        }
    }

    pub(super) fn send(&mut self, now: Now, request: Message) {
        if let Err(error) = self.try_send(now, request) {
            self.fail(
                now,
                codes::OWN_REQUEST_REFUSED,
                Blame::Vehicle,
                format!("this vehicle was about to break the protocol: {error}"),
            );
        }
    }

    fn try_send(&mut self, now: Now, request: Message) -> Result<(), EvccError> {
        let name = request.name();
        self.evcc.request(Instant::from_millis(now.mono_ms), request)?;
        self.asked = name;
        Ok(())
    }

    fn closed(&mut self, now: Now, why: Close) {
        let (code, message) = match why {
            Close::Normal | Close::Paused => {
                self.end(now);
                return;
            }
            Close::Timeout(timer) => (
                codes::STATION_SILENT,
                format!(
                    "the station did not answer {} in time ({} timer)",
                    self.asked,
                    timer.name()
                ),
            ),
            Close::NoCommonProtocol => (
                codes::NO_COMMON_PROTOCOL,
                format!("the station does not speak {}", self.config.generation.as_str()),
            ),
            _ => (
                codes::STATION_GARBLED,
                "the station's bytes are no charging session".to_owned(),
            ),
        };
        let blame = if code == codes::NO_COMMON_PROTOCOL {
            Blame::Station
        } else {
            code.blame()
        };
        self.fail(now, code, blame, message);
    }

    /// Ends at once: nothing more can be said on this connection.
    pub(super) fn fail(&mut self, now: Now, code: Code, blame: Blame, message: String) {
        let step = self.log.current();
        let asked = self.asked;
        self.failure.get_or_insert_with(|| {
            let mut failure = Failure::new(step, code, message).at(asked);
            failure.blame = blame;
            failure
        });
        self.end(now);
    }

    fn end(&mut self, now: Now) {
        if self.ended {
            return;
        }
        self.ended = true;
        self.pending = None;
        let vehicle = self.vehicle;
        self.log.end_run(now.mono_ms, &vehicle, None);
        self.log.pilot(Pilot::B);
        self.log.push(Output::Draw(0.0));
        let asked_by_station = match &self.policy {
            Policy::Iso2(policy) => policy.stop_cause.clone(),
            Policy::Iso20(policy) => policy.stop_cause.clone(),
        };
        let end = match (self.failure.take(), self.stop_asked.clone().or(asked_by_station)) {
            (Some(failure), _) => End::Failed(failure),
            (None, Some(StopCause::Station(reason))) => End::StoppedByStation(reason),
            (None, Some(StopCause::Driver)) => End::StoppedByDriver,
            (None, None) => End::Complete,
        };
        match &end {
            End::Failed(failure) => {
                let fields = vec![
                    ("code", failure.code.as_str().into()),
                    ("blame", failure.blame.as_str().into()),
                    ("request", failure.request.into()),
                    ("response_code", failure.response_code.clone().into()),
                ];
                self.log.failed(now.mono_ms, failure.message.clone(), fields);
            }
            End::Complete | End::StoppedByDriver => {
                let detail = "power off, session closed in order".to_owned();
                self.log.done(now.mono_ms, StepName::Stop, detail, Vec::new());
            }
            End::StoppedByStation(reason) => {
                let detail = format!("the station asked to stop ({reason}); closed in order");
                let fields = vec![("reason", reason.as_str().into())];
                self.log.done(now.mono_ms, StepName::Stop, detail, fields);
            }
        }
        self.log.push(Output::Ended(end));
    }

    fn context(&mut self, now: Now) -> (&mut Policy, Context<'_>) {
        let session_id = self.evcc.session_id().as_bytes().to_vec();
        let ctx = Context {
            now,
            config: &self.config,
            vehicle: &self.vehicle,
            course: &mut self.course,
            log: &mut self.log,
            session_id,
        };
        (&mut self.policy, ctx)
    }
}

/// A broken stream, in words: the code, who did it, what.
pub(super) fn broken(error: &EvccError) -> (Code, Blame, String) {
    let code = match error {
        EvccError::Connection(_) => codes::STATION_GARBLED,
        _ => codes::STATION_UNEXPECTED,
    };
    (
        code,
        Blame::Station,
        format!("the station broke the protocol: {error}"),
    )
}
