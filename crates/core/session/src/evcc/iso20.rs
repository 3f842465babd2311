//! ISO 15118-20, the vehicle's decisions: one function per answer.

mod ac;
mod dc;
mod setup;

use gridlatch_vocab::catalogue::session as codes;
use iso15118::iso20::common::{EVSEStatus, EvseNotification, MessageHeader, Processing};
use iso15118::iso20::{ac as ac_set, dc as dc_set, messages as cm};
use iso15118::message::Message;

use super::config::Control;
use super::course::Want;
use super::output::{Output, Pilot, StepName};
use super::policy::{Context, Next, StopCause};
use crate::physical::iso20 as number;

/// Where an ISO 15118-20 session stands beyond what the order of messages says.
#[derive(Debug)]
pub(crate) struct Iso20 {
    evse_id: String,
    /// The signed authorisation, sent again while the station answers `Ongoing`.
    authorization: Option<Message>,
    /// The station's challenge, while a contract is asked for.
    challenge: Vec<u8>,
    control: Control,
    service_id: u16,
    schedule_tuple: u32,
    /// Duration in seconds and power in watts, from the selected schedule.
    schedule: Vec<(u32, f64)>,
    limits: Limits,
    present_voltage: f64,
    starting: bool,
    stopping: bool,
    powered: bool,
    welding_checks: u32,
    /// What the car draws in AC, watts.
    drawing: f64,
    pub(crate) stop_cause: Option<StopCause>,
}

/// What the station allows; discharge figures are magnitudes.
#[derive(Debug, Clone, Copy)]
struct Limits {
    charge_current: f64,
    charge_power: f64,
    discharge_current: f64,
    discharge_power: f64,
    voltage: f64,
}

/// Longest power profile sent with a start: ISO 15118-20 allows 1024 entries.
const MAX_PROFILE: usize = 1024;

impl Iso20 {
    pub(crate) fn new(control: Option<Control>) -> Self {
        Self {
            evse_id: String::new(),
            authorization: None,
            challenge: Vec::new(),
            control: control.unwrap_or(Control::Scheduled),
            service_id: 0,
            schedule_tuple: 1,
            schedule: Vec::new(),
            limits: Limits {
                charge_current: f64::INFINITY,
                charge_power: f64::INFINITY,
                discharge_current: 0.0,
                discharge_power: 0.0,
                voltage: f64::INFINITY,
            },
            present_voltage: 0.0,
            starting: false,
            stopping: false,
            powered: false,
            welding_checks: 0,
            drawing: 0.0,
            stop_cause: None,
        }
    }

    /// The first request after the handshake.
    pub(crate) fn first(ctx: &Context<'_>) -> Message {
        common(cm::Document::SessionSetupReq(cm::SessionSetupReq {
            header: header(ctx),
            evcc_id: ctx.config.evcc_id_text(),
        }))
    }

    /// `SessionStopReq`.
    pub(crate) fn stop_request(ctx: &Context<'_>) -> Message {
        common(cm::Document::SessionStopReq(cm::SessionStopReq {
            header: header(ctx),
            charging_session: cm::ChargingSession::Terminate,
            ev_termination_code: None,
            ev_termination_explanation: None,
        }))
    }

    /// What to do with an answer that is not a refusal.
    pub(crate) fn next(&mut self, ctx: &mut Context<'_>, response: &Message) -> Next {
        match response {
            Message::Iso20(document) => self.next_common(ctx, document, response),
            Message::Iso20Dc(document) => self.next_dc(ctx, document, response),
            Message::Iso20Ac(document) => self.next_ac(ctx, document, response),
            _ => unexpected(ctx, response),
        }
    }

    fn next_common(&mut self, ctx: &mut Context<'_>, document: &cm::Document, response: &Message) -> Next {
        use cm::Document as D;
        match document {
            D::SessionSetupRes(res) => {
                self.evse_id.clone_from(&res.evse_id);
                Next::Send(common(D::AuthorizationSetupReq(cm::AuthorizationSetupReq {
                    header: header(ctx),
                })))
            }
            D::AuthorizationSetupRes(res) => self.on_authorization_setup(ctx, res),
            D::CertificateInstallationRes(res) => self.on_installation(ctx, res, response),
            D::AuthorizationRes(res) => self.on_authorization(ctx, res),
            D::ServiceDiscoveryRes(res) => self.on_services(ctx, res),
            D::ServiceDetailRes(res) => self.on_service_detail(ctx, res),
            D::ServiceSelectionRes(_) => Next::Send(self.parameters(ctx)),
            D::ScheduleExchangeRes(res) => self.on_schedule(ctx, res),
            D::PowerDeliveryRes(res) => self.on_power_delivery(ctx, res),
            D::SessionStopRes(_) => Next::Finished,
            _ => unexpected(ctx, response),
        }
    }

    fn next_dc(&mut self, ctx: &mut Context<'_>, document: &dc_set::Document, response: &Message) -> Next {
        use dc_set::Document as D;
        match document {
            D::DCChargeParameterDiscoveryRes(res) => self.on_dc_parameters(ctx, res),
            D::DCCableCheckRes(res) => self.on_cable_check(ctx, res),
            D::DCPreChargeRes(res) => self.on_pre_charge(ctx, res),
            D::DCChargeLoopRes(res) => self.on_dc_loop(ctx, res),
            D::DCWeldingDetectionRes(res) => self.on_welding(ctx, res),
            _ => unexpected(ctx, response),
        }
    }

    fn next_ac(&mut self, ctx: &mut Context<'_>, document: &ac_set::Document, response: &Message) -> Next {
        use ac_set::Document as D;
        match document {
            D::ACChargeParameterDiscoveryRes(res) => self.on_ac_parameters(ctx, res),
            D::ACChargeLoopRes(res) => self.on_ac_loop(ctx, res),
            _ => unexpected(ctx, response),
        }
    }

    /// `PowerDeliveryReq(Start)`, with the power profile deployed stations insist on.
    fn start(&mut self, ctx: &mut Context<'_>) -> Next {
        ctx.log.pilot(Pilot::C);
        self.starting = true;
        Next::Send(self.power_delivery(ctx, cm::ChargeProgress::Start))
    }

    fn power_delivery(&self, ctx: &Context<'_>, progress: cm::ChargeProgress) -> Message {
        let profile = (progress == cm::ChargeProgress::Start).then(|| self.profile(ctx));
        common(cm::Document::PowerDeliveryReq(cm::PowerDeliveryReq {
            header: header(ctx),
            ev_processing: Processing::Finished,
            charge_progress: progress,
            ev_power_profile: profile,
            bpt_channel_selection: None,
        }))
    }

    fn profile(&self, ctx: &Context<'_>) -> cm::EVPowerProfile {
        let wanted = if ctx.config.energy.is_dc() {
            ctx.vehicle.charge_limit
        } else {
            ctx.vehicle.ac_limit()
        };
        let mut entries: Vec<cm::PowerScheduleEntry> = self
            .schedule
            .iter()
            .take(MAX_PROFILE)
            .map(|(duration, limit)| entry(*duration, limit.min(wanted)))
            .collect();
        if entries.is_empty() {
            let duration = ctx.course.departure().unwrap_or(24 * 3600);
            entries.push(entry(duration, wanted.min(self.limits.charge_power)));
        }
        cm::EVPowerProfile {
            time_anchor: ctx.now.unix_s,
            choice: match self.control {
                Control::Dynamic => {
                    cm::EVPowerProfileChoice::DynamicEVPPTControlMode(cm::DynamicEVPPTControlMode)
                }
                Control::Scheduled => {
                    cm::EVPowerProfileChoice::ScheduledEVPPTControlMode(cm::ScheduledEVPPTControlMode {
                        selected_schedule_tuple_id: self.schedule_tuple,
                        // The schema lets it be absent; Josev does not. The profile stays within the schedule anyway.
                        power_tolerance_acceptance: Some(
                            cm::PowerToleranceAcceptance::PowerToleranceConfirmed,
                        ),
                    })
                }
            },
            ev_power_profile_entries: cm::EVPowerProfileEntryList {
                ev_power_profile_entry: entries,
            },
        }
    }

    fn on_power_delivery(&mut self, ctx: &mut Context<'_>, res: &cm::PowerDeliveryRes) -> Next {
        if self.stopping {
            ctx.log.pilot(Pilot::B);
            return Next::Send(if ctx.config.energy.is_dc() {
                dc::welding_detection(ctx)
            } else {
                Self::stop_request(ctx)
            });
        }
        self.starting = false;
        self.powered = true;
        self.heed(ctx, res.evse_status.as_ref());
        self.charge_loop(ctx)
    }

    /// Takes note of the station's wish to stop.
    fn heed(&mut self, ctx: &mut Context<'_>, status: Option<&EVSEStatus>) {
        let Some(status) = status else { return };
        if matches!(
            status.evse_notification,
            EvseNotification::Terminate | EvseNotification::Pause
        ) {
            self.stop_cause
                .get_or_insert_with(|| StopCause::Station(format!("{:?}", status.evse_notification)));
            ctx.course.stop();
        }
    }

    /// The next charge-loop request, or the stop when nothing more is wanted.
    fn charge_loop(&mut self, ctx: &mut Context<'_>) -> Next {
        let want = ctx.course.want(ctx.now.mono_ms, ctx.vehicle);
        if want != Want::Stop {
            return Next::Loop(if ctx.config.energy.is_dc() {
                self.dc_loop_request(ctx, want)
            } else {
                self.ac_loop_request(ctx)
            });
        }
        self.stopping = true;
        if !ctx.config.energy.is_dc() {
            ctx.log.push(Output::Draw(0.0));
        }
        ctx.log
            .end_run(ctx.now.mono_ms, ctx.vehicle, Some(StepName::Stop));
        Next::Send(self.power_delivery(ctx, cm::ChargeProgress::Stop))
    }
}

fn unexpected(ctx: &Context<'_>, response: &Message) -> Next {
    ctx.give_up(
        codes::STATION_UNEXPECTED,
        format!("{} answers nothing this vehicle asks", response.name()),
    )
}

fn entry(duration: u32, watts: f64) -> cm::PowerScheduleEntry {
    cm::PowerScheduleEntry {
        duration,
        power: number(watts.max(0.0)),
        power_l2: None,
        power_l3: None,
    }
}

/// A header; the engine stamps the session id in.
fn header(ctx: &Context<'_>) -> MessageHeader {
    MessageHeader {
        session_id: Vec::new(),
        time_stamp: ctx.now.unix_s,
        signature: None,
    }
}

fn common(document: cm::Document) -> Message {
    Message::Iso20(Box::new(document))
}
