//! What both generations decide alike: authorisation, power, when to wait, what to report.

use std::collections::VecDeque;
use std::time::Duration;

use gridlatch_vocab::catalogue::{power, session as codes};
use gridlatch_vocab::{Amps, Code, Percent, Volts, Watts};
use iso15118::message::Message;

use super::contract::Contract;
use super::provision::Provisioning;
use super::types::{
    Clock, ControlMode, Demand, Evse, Isolation, Kind, Notice, Output, SeccSessionConfig, Step, StopCause,
    Verdict,
};
use super::{HOLD, framing};

/// The contactor has to close within this after the vehicle asked (ISO 15118-2 \[V2G2-862\]).
const CONTACTOR_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a vehicle may ignore a request to stop before it is refused.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// What to do with a request now.
#[derive(Debug)]
pub(super) enum Answer {
    /// Answer it.
    With(Box<Message>),
    /// Wait for the EVSE or the platform.
    Hold,
}

impl Answer {
    pub(super) fn with(message: Message) -> Self {
        Self::With(Box::new(message))
    }
}

/// Where authorisation stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Authority {
    NotAsked,
    Asked,
    Accepted { discharge: bool },
    Refused { reason: String },
}

/// Whether a wait is over.
pub(super) enum Wait<T> {
    Done(T),
    Ongoing,
    Hold,
}

#[derive(Debug)]
pub(super) struct Policy {
    pub(super) config: SeccSessionConfig,
    pub(super) outputs: VecDeque<Output>,
    pub(super) established: bool,
    pub(super) authority: Authority,
    pub(super) contract: Option<Contract>,
    /// The vehicle chose Plug & Charge.
    pub(super) by_contract: bool,
    pub(super) discharge: bool,
    pub(super) control: ControlMode,
    /// A refusal decided while preparing, to be sent as the answer: response code of the generation.
    pub(super) refusal: Option<u8>,
    pub(super) iso2: super::iso2::State,
    pub(super) iso20: super::iso20::State,
    /// The frame in work, with its header.
    pub(super) frame: Vec<u8>,
    pub(super) provisioning: Provisioning,
    /// Requests for a contract in this session.
    pub(super) provisioning_asked: u8,
    transferring: bool,
    demand: Demand,
    soc: Option<Percent>,
    stop_since: Option<Duration>,
    protocol: Option<iso15118::Protocol>,
}

impl Policy {
    pub(super) fn new(config: SeccSessionConfig) -> Self {
        let control = config
            .control_modes
            .first()
            .copied()
            .unwrap_or(ControlMode::Scheduled);
        Self {
            config,
            outputs: VecDeque::new(),
            established: false,
            authority: Authority::NotAsked,
            contract: None,
            by_contract: false,
            discharge: false,
            control,
            refusal: None,
            iso2: super::iso2::State::default(),
            iso20: super::iso20::State::default(),
            frame: Vec::new(),
            provisioning: Provisioning::Idle,
            provisioning_asked: 0,
            transferring: false,
            demand: Demand::Off,
            soc: None,
            stop_since: None,
            protocol: None,
        }
    }

    /// Contract chains come in `PaymentDetailsReq` (-2) and `AuthorizationReq` (-20), before the
    /// session is authorised; every other request is small.
    pub(super) const fn payload_limit(&self) -> usize {
        let chain_may_come = self.established
            && self.offers_contract()
            && matches!(self.authority, Authority::NotAsked | Authority::Asked);
        if chain_may_come {
            framing::LARGE
        } else {
            framing::SMALL
        }
    }

    pub(super) const fn offers_contract(&self) -> bool {
        self.config.pnc && self.config.tls
    }

    pub(super) fn protocol_agreed(&mut self, protocol: iso15118::Protocol) {
        self.protocol = Some(protocol);
        let name = protocol_name(protocol);
        self.outputs.push_back(Output::Event(
            Notice::new(codes::PROTOCOL_AGREED, format!("{name} was agreed")).with("protocol", name),
        ));
        self.step(Step::Protocol { name });
    }

    /// Turns a request into outputs, before it is answered.
    pub(super) fn prepare(&mut self, clock: Clock, evse: &Evse, request: &Message) {
        self.refusal = None;
        match request {
            Message::Iso2(document) => self.prepare_iso2(clock, evse, document),
            Message::Iso20(document) => self.prepare_iso20(clock, document),
            Message::Iso20Dc(document) => self.prepare_dc(evse, document),
            Message::Iso20Ac(document) => self.prepare_ac(evse, document),
            _ => {}
        }
    }

    /// Answers a request, or waits.
    pub(super) fn answer(
        &mut self,
        clock: Clock,
        evse: &Evse,
        request: &Message,
        waited: Duration,
    ) -> Answer {
        if let Some(code) = self.refusal {
            return self.refuse(request, code);
        }
        let answer = match request {
            Message::Iso2(document) => self.answer_iso2(clock, evse, document, waited),
            Message::Iso20(document) => self.answer_iso20(clock, evse, document, waited),
            Message::Iso20Dc(document) => self.answer_dc(clock, evse, document, waited),
            Message::Iso20Ac(document) => self.answer_ac(clock, evse, document),
            _ => None,
        };
        match answer {
            Some(answer) => answer,
            None => match self.refusal.take() {
                Some(code) => self.refuse(request, code),
                None => self.refuse(request, self.failed_code()),
            },
        }
    }

    fn refuse(&mut self, request: &Message, code: u8) -> Answer {
        match request.refusal(code) {
            Some(refusal) => Answer::with(refusal),
            // Cannot happen for a request of a negotiated generation; plain FAILED always exists.
            None => request
                .refusal(self.failed_code())
                .map_or(Answer::Hold, Answer::with),
        }
    }

    const fn failed_code(&self) -> u8 {
        match self.protocol {
            Some(iso15118::Protocol::Iso2) => iso15118::iso2::ResponseCode::FAILED as u8,
            _ => iso15118::iso20::common::ResponseCode::FAILED as u8,
        }
    }

    /// Refuses the request in work: `code` is the response code, the rest goes into the event.
    pub(super) fn reject(&mut self, code: u8, event: Code, request: &'static str, message: &str) {
        self.refusal = Some(code);
        self.notice_request(event, request, message);
    }

    pub(super) fn notice(&mut self, code: Code, message: &str) {
        self.outputs.push_back(Output::Event(Notice::new(code, message)));
    }

    pub(super) fn notice_request(&mut self, code: Code, request: &str, message: &str) {
        self.outputs
            .push_back(Output::Event(Notice::new(code, message).with("request", request)));
    }

    pub(super) fn step(&mut self, step: Step) {
        self.outputs.push_back(Output::Step(step));
    }

    pub(super) fn authorized(&mut self, verdict: Verdict) {
        if self.authority != Authority::Asked {
            return;
        }
        self.authority = match verdict {
            Verdict::Accepted { discharge } => Authority::Accepted { discharge },
            Verdict::Refused { reason } => {
                self.outputs.push_back(Output::Event(
                    Notice::new(
                        codes::AUTHORIZATION_REFUSED,
                        format!("the platform says {reason}"),
                    )
                    .with("reason", reason.clone()),
                ));
                Authority::Refused { reason }
            }
        };
    }

    pub(super) const fn is_authorised(&self) -> bool {
        matches!(self.authority, Authority::Accepted { .. })
    }

    pub(super) fn authority_verdict(&self, waited: Duration) -> Wait<Result<(), String>> {
        match &self.authority {
            Authority::Accepted { .. } => Wait::Done(Ok(())),
            Authority::Refused { reason } => Wait::Done(Err(reason.clone())),
            _ if waited < HOLD => Wait::Hold,
            _ => Wait::Ongoing,
        }
    }

    /// Notes what does not belong to one request: a stop that was asked for, power that was lost.
    pub(super) fn observe(&mut self, clock: Clock, evse: &Evse) {
        if evse.stop && self.stop_since.is_none() {
            self.stop_since = Some(clock.monotonic);
            self.notice(codes::STOP_REQUESTED, "the vehicle is asked to end the session");
        }
    }

    pub(super) const fn stop_asked(&self) -> bool {
        self.stop_since.is_some()
    }

    pub(super) fn stop_ignored(&self, clock: Clock) -> bool {
        self.stop_since
            .is_some_and(|since| clock.monotonic.saturating_sub(since) > STOP_TIMEOUT)
    }

    pub(super) fn battery(&mut self, soc: f64) {
        let soc = Percent(soc).within(Percent(0.0), Percent(100.0));
        if self.soc != Some(soc) {
            self.soc = Some(soc);
            self.step(Step::Battery { soc });
        }
    }

    pub(super) fn demand(&mut self, demand: Demand) {
        if self.demand != demand {
            self.demand = demand;
            self.outputs.push_back(Output::Demand(demand));
        }
    }

    pub(super) fn close(&mut self) {
        if !self.transferring {
            self.transferring = true;
            self.outputs.push_back(Output::CloseContactor);
            self.step(Step::TransferStarted);
        }
    }

    pub(super) fn open(&mut self, cause: StopCause) {
        self.demand(Demand::Off);
        if self.transferring {
            self.transferring = false;
            self.outputs.push_back(Output::OpenContactor(cause));
            self.step(Step::TransferStopped);
        }
    }

    /// Waits for the contactor after the vehicle asked for energy.
    pub(super) fn contactor(&mut self, evse: &Evse, waited: Duration) -> Wait<bool> {
        if evse.contactor_closed {
            Wait::Done(true)
        } else if waited < CONTACTOR_TIMEOUT && !evse.stop {
            Wait::Hold
        } else {
            self.notice(
                power::CONTACTOR_FAILED,
                "the contactor did not close after the vehicle asked for energy",
            );
            Wait::Done(false)
        }
    }

    /// Waits for the isolation test.
    pub(super) fn isolation(&mut self, evse: &Evse, waited: Duration) -> Wait<bool> {
        match evse.isolation {
            Isolation::Valid => Wait::Done(true),
            Isolation::Fault => {
                self.notice(power::ISOLATION_FAULT, "the isolation test failed");
                Wait::Done(false)
            }
            Isolation::Unknown | Isolation::Testing if waited < HOLD => Wait::Hold,
            Isolation::Unknown | Isolation::Testing => Wait::Ongoing,
        }
    }

    /// Whether power was lost under a running transfer (interlock, fault).
    pub(super) const fn power_lost(&self, evse: &Evse) -> bool {
        self.transferring && !evse.contactor_closed
    }

    /// DC, the vehicle decides: its target within the envelope, the set-point an upper bound.
    pub(super) fn follow_vehicle(&mut self, volts: f64, amps: f64, setpoint: Option<Watts>) {
        let limits = self.config.limits;
        let volts = Volts(volts).within(Volts(0.0), limits.max_voltage);
        let lowest = if self.discharge {
            -limits.max_discharge_current
        } else {
            Amps(0.0)
        };
        // What is no number asks for nothing.
        let amps = if amps.is_nan() { 0.0 } else { amps };
        let mut amps = Amps(amps).within(lowest, limits.max_current);
        if let Some(setpoint) = setpoint
            && volts.0 > 1.0
        {
            amps = amps.min(Amps(setpoint.0.max(0.0) / volts.0));
        }
        self.demand(Demand::Dc {
            volts,
            amps: self.bound_power(volts, amps),
        });
    }

    /// DC, the station decides (dynamic control): the set-point, or all it can, within what the
    /// vehicle allows. `charge` and `discharge` are the vehicle's limits (watts, amps).
    pub(super) fn follow_setpoint(
        &mut self,
        setpoint: Option<Watts>,
        present: Volts,
        highest: f64,
        charge: (f64, f64),
        discharge: (f64, f64),
    ) {
        let limits = self.config.limits;
        let volts = Volts(highest).within(limits.min_voltage, limits.max_voltage);
        let at = if present.0 > 1.0 { present } else { volts };
        let positive = |value: f64| if value.is_nan() { 0.0 } else { value.abs() };
        let watts = setpoint.map_or(limits.max_power.0, |setpoint| {
            if setpoint.0.is_nan() { 0.0 } else { setpoint.0 }
        });
        let discharging = self.discharge && matches!(self.authority, Authority::Accepted { discharge: true });
        let lowest = if discharging {
            -positive(discharge.0).min(limits.max_discharge_power.0)
        } else {
            0.0
        };
        let watts = watts.clamp(lowest, positive(charge.0).min(limits.max_power.0));
        let amps = Amps(watts / at.0.max(1.0)).within(
            -Amps(positive(discharge.1)).min(limits.max_discharge_current),
            Amps(positive(charge.1)).min(limits.max_current),
        );
        self.demand(Demand::Dc {
            volts,
            amps: self.bound_power(at, amps),
        });
    }

    fn bound_power(&self, volts: Volts, amps: Amps) -> Amps {
        let limits = self.config.limits;
        if volts.0 < 1.0 {
            return amps;
        }
        amps.within(
            Amps(-limits.max_discharge_power.0 / volts.0),
            Amps(limits.max_power.0 / volts.0),
        )
    }

    /// AC: the most the vehicle may take.
    pub(super) fn allow(&mut self, setpoint: Option<Watts>) -> Watts {
        let limits = self.config.limits;
        let watts = setpoint
            .unwrap_or(limits.max_power)
            .within(Watts(0.0), limits.max_power);
        self.demand(Demand::Ac { watts });
        watts
    }

    pub(super) const fn service_name(&self) -> &'static str {
        match (self.config.kind, self.discharge) {
            (Kind::Ac, _) => "AC",
            (Kind::Dc { .. }, false) => "DC",
            (Kind::Dc { .. }, true) => "DC_BPT",
        }
    }
}

const fn protocol_name(protocol: iso15118::Protocol) -> &'static str {
    match protocol {
        iso15118::Protocol::Iso2 => "ISO 15118-2",
        iso15118::Protocol::Iso20 => "ISO 15118-20",
        _ => "unknown",
    }
}
