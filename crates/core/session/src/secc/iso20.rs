//! ISO 15118-20: what a station does and answers, message by message.

mod ac;
mod authorization;
mod dc;
mod services;

use std::time::Duration;

use gridlatch_vocab::Personal;
use gridlatch_vocab::catalogue::session as codes;
use iso15118::iso20::common::{
    EVSEStatus, EvseNotification, MeterInfo, Processing, RationalNumber, ResponseCode as R,
};
use iso15118::iso20::messages::{self as m, Document as D};
use iso15118::message::Message;

use super::common::v20;
use super::policy::{Answer, Policy, Wait};
use super::types::{Clock, ControlMode, Evse, Step, StopCause};
use crate::evcc::Generation;
use crate::physical::iso20 as rational;
use crate::provisioning::Action;

/// The one schedule offered in scheduled mode, for a day.
const TUPLE: u32 = 1;
const DAY: u32 = 86_400;

/// What an ISO 15118-20 session remembers.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The service the vehicle selected.
    pub(super) service: Option<u16>,
    pub(super) schedule_offered: bool,
}

impl Policy {
    pub(super) fn prepare_iso20(&mut self, clock: Clock, document: &D) {
        match document {
            D::SessionSetupReq(request) => {
                self.established = true;
                self.notice(codes::ESTABLISHED, "a new session was given its id");
                self.step(Step::Identified {
                    evcc_id: Personal::new(request.evcc_id.clone()),
                });
            }
            D::CertificateInstallationReq(_) => {
                self.ask_for_contract(Generation::Iso20, Action::Install, "CertificateInstallationReq");
            }
            D::AuthorizationReq(request) => self.authorization_request(clock, request),
            D::ServiceDiscoveryReq(_) if !self.is_authorised() => {
                self.reject(
                    R::FAILEDSequenceError as u8,
                    codes::OUT_OF_SEQUENCE,
                    "ServiceDiscoveryReq",
                    "the session is not authorised",
                );
            }
            D::ServiceSelectionReq(request) => self.select_service(request),
            D::PowerDeliveryReq(request) => self.power_delivery_iso20(request),
            _ => {}
        }
    }

    pub(super) fn answer_iso20(
        &mut self,
        clock: Clock,
        evse: &Evse,
        document: &D,
        waited: Duration,
    ) -> Option<Answer> {
        let header = v20(clock);
        let body = match document {
            D::SessionSetupReq(_) => D::SessionSetupRes(m::SessionSetupRes {
                header,
                response_code: R::OKNewSessionEstablished,
                evse_id: self.config.evse_id.clone(),
            }),
            D::AuthorizationSetupReq(_) => D::AuthorizationSetupRes(self.authorization_setup(header)),
            D::AuthorizationReq(_) => return self.authorization_answer(clock, waited),
            D::ServiceDiscoveryReq(_) => D::ServiceDiscoveryRes(self.service_discovery(header)),
            D::ServiceDetailReq(request) => {
                D::ServiceDetailRes(self.service_detail(header, request.service_id)?)
            }
            D::ServiceSelectionReq(_) => D::ServiceSelectionRes(m::ServiceSelectionRes {
                header,
                response_code: R::OK,
            }),
            D::ScheduleExchangeReq(request) => D::ScheduleExchangeRes(self.schedule(clock, request)?),
            D::PowerDeliveryReq(request) => {
                let start = request.charge_progress == m::ChargeProgress::Start
                    && request.ev_processing == Processing::Finished;
                if start {
                    match self.contactor(evse, waited) {
                        Wait::Done(true) => {}
                        Wait::Done(false) => {
                            self.refusal = Some(R::FAILEDContactorError as u8);
                            return None;
                        }
                        Wait::Hold | Wait::Ongoing => return Some(Answer::Hold),
                    }
                }
                D::PowerDeliveryRes(m::PowerDeliveryRes {
                    header,
                    response_code: R::OK,
                    evse_status: self.evse_status(),
                })
            }
            D::SessionStopReq(request) => {
                if request.charging_session == m::ChargingSession::ServiceRenegotiation {
                    self.refusal = Some(R::FAILEDNoServiceRenegotiationSupported as u8);
                    return None;
                }
                D::SessionStopRes(m::SessionStopRes {
                    header,
                    response_code: R::OK,
                })
            }
            D::CertificateInstallationReq(_) => return self.answer_provisioning(clock, waited),
            // Metering confirmation is not offered.
            _ => return None,
        };
        Some(Answer::with(Message::Iso20(Box::new(body))))
    }

    fn power_delivery_iso20(&mut self, request: &m::PowerDeliveryReq) {
        const NAME: &str = "PowerDeliveryReq";
        match request.charge_progress {
            m::ChargeProgress::Start => {
                if request.ev_processing != Processing::Finished {
                    return;
                }
                if let Some(m::EVPowerProfileChoice::ScheduledEVPPTControlMode(mode)) =
                    request.ev_power_profile.as_ref().map(|profile| &profile.choice)
                    && mode.selected_schedule_tuple_id != TUPLE
                {
                    let code = R::FAILEDScheduleSelectionInvalid as u8;
                    self.reject(
                        code,
                        codes::REQUEST_REFUSED,
                        NAME,
                        "the vehicle selected a schedule this station did not offer",
                    );
                    return;
                }
                self.close();
            }
            m::ChargeProgress::Stop | m::ChargeProgress::Standby => self.open(StopCause::Vehicle),
            m::ChargeProgress::ScheduleRenegotiation => {}
        }
    }

    /// `None` while there is nothing to tell the vehicle.
    pub(super) fn evse_status(&self) -> Option<EVSEStatus> {
        self.stop_asked().then_some(EVSEStatus {
            notification_max_delay: 0,
            evse_notification: EvseNotification::Terminate,
        })
    }

    pub(super) fn meter_iso20(&self, clock: Clock, evse: &Evse, wanted: bool) -> Option<MeterInfo> {
        wanted.then(|| MeterInfo {
            meter_id: self.config.meter_id.clone(),
            charged_energy_reading_wh: evse.imported.0 / 1000,
            bpt_discharged_energy_reading_wh: self.discharge.then_some(evse.exported.0 / 1000),
            capacitive_energy_reading_va_rh: None,
            bpt_inductive_energy_reading_va_rh: None,
            meter_signature: None,
            meter_status: None,
            meter_timestamp: u64::try_from(clock.wall.unix_millis() / 1000).ok(),
        })
    }

    /// A loop goes on only while power is up, the vehicle heeds a stop, and it speaks the control mode
    /// it selected.
    pub(super) fn loop_may_go_on(
        &mut self,
        clock: Clock,
        evse: &Evse,
        request: &'static str,
        fits: bool,
    ) -> Option<()> {
        let why = if self.power_lost(evse) {
            "the contactor is open"
        } else if self.stop_ignored(clock) {
            "the vehicle ignored the request to stop"
        } else if !fits {
            "the control mode is not the one the vehicle selected"
        } else {
            return Some(());
        };
        self.reject(R::FAILED as u8, codes::REQUEST_REFUSED, request, why);
        None
    }

    fn schedule(&mut self, clock: Clock, request: &m::ScheduleExchangeReq) -> Option<m::ScheduleExchangeRes> {
        let fits = matches!(
            (&request.choice, self.control),
            (
                m::ScheduleExchangeReqChoice::DynamicSEReqControlMode(_),
                ControlMode::Dynamic
            ) | (
                m::ScheduleExchangeReqChoice::ScheduledSEReqControlMode(_),
                ControlMode::Scheduled
            )
        );
        if !fits {
            self.reject(
                R::FAILEDWrongChargeParameter as u8,
                codes::REQUEST_REFUSED,
                "ScheduleExchangeReq",
                "the control mode is not the one the vehicle selected",
            );
            return None;
        }
        self.iso20.schedule_offered = true;
        let choice = match self.control {
            ControlMode::Dynamic => {
                m::ScheduleExchangeResChoice::DynamicSEResControlMode(m::DynamicSEResControlMode {
                    departure_time: None,
                    minimum_soc: None,
                    target_soc: None,
                    choice: None,
                })
            }
            ControlMode::Scheduled => {
                let limits = self.config.limits;
                m::ScheduleExchangeResChoice::ScheduledSEResControlMode(m::ScheduledSEResControlMode {
                    schedule_tuple: vec![m::ScheduleTuple {
                        schedule_tuple_id: TUPLE,
                        charging_schedule: power_schedule(clock, rational(limits.max_power.0)),
                        discharging_schedule: self
                            .discharge
                            .then(|| power_schedule(clock, rational(-limits.max_discharge_power.0))),
                    }],
                })
            }
        };
        Some(m::ScheduleExchangeRes {
            header: v20(clock),
            response_code: R::OK,
            evse_processing: Processing::Finished,
            go_to_pause: None,
            choice,
        })
    }
}

/// One power for a day. A price level goes with it because some cars refuse a schedule without prices.
fn power_schedule(clock: Clock, power: RationalNumber) -> m::ChargingSchedule {
    let time_anchor = v20(clock).time_stamp;
    m::ChargingSchedule {
        power_schedule: m::PowerSchedule {
            time_anchor,
            available_energy: None,
            power_tolerance: None,
            power_schedule_entries: m::PowerScheduleEntryList {
                power_schedule_entry: vec![m::PowerScheduleEntry {
                    duration: DAY,
                    power,
                    power_l2: None,
                    power_l3: None,
                }],
            },
        },
        choice: Some(m::ChargingScheduleChoice::PriceLevelSchedule(
            m::PriceLevelSchedule {
                id: None,
                time_anchor,
                price_schedule_id: 1,
                price_schedule_description: None,
                number_of_price_levels: 0,
                price_level_schedule_entries: m::PriceLevelScheduleEntryList {
                    price_level_schedule_entry: vec![m::PriceLevelScheduleEntry {
                        duration: DAY,
                        price_level: 0,
                    }],
                },
            },
        )),
    }
}
