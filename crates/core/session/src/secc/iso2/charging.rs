//! ISO 15118-2: parameters, cable check, pre-charge, the charge loops, and their end.

use std::time::Duration;

use gridlatch_vocab::catalogue::session as codes;
use gridlatch_vocab::{Amps, Volts, Watts};
use iso15118::iso2::{
    self, BodyChoice as B, EVSEProcessing as P, PhysicalValue, ResponseCode as R, UnitSymbol as U,
};
use iso15118::session::iso2::schedule;

use super::super::common::v2;
use super::super::policy::{Answer, Policy, Wait};
use super::super::types::{Clock, Demand, Evse, Output, Step, StopCause};
use crate::physical::{from_iso2, iso2 as quantity};

/// The one schedule offered: the envelope of the EVSE for a day.
const TUPLE: u8 = 1;
const DAY: u32 = 86_400;

/// Current for pre-charge, in amps (IEC 61851-23: at most 2 A before the contactors of the vehicle close).
const PRE_CHARGE_AMPS: f64 = 2.0;

/// A reading has to be signed every so many loops when receipts are asked for.
const RECEIPT_EVERY: u32 = 10;

impl Policy {
    pub(super) fn prepare_charging_iso2(&mut self, evse: &Evse, body: &B) {
        match body {
            B::ChargeParameterDiscoveryReq(request) => self.parameters_iso2(request),
            B::CableCheckReq(request) => {
                self.battery(f64::from(request.dc_ev_status.ev_ress_soc));
                self.outputs.push_back(Output::TestIsolation);
            }
            B::PreChargeReq(request) => {
                let volts = Volts(from_iso2(&request.ev_target_voltage))
                    .within(Volts(0.0), self.config.limits.max_voltage);
                self.demand(Demand::Dc {
                    volts,
                    amps: Amps(PRE_CHARGE_AMPS).min(self.config.limits.max_current),
                });
            }
            B::PowerDeliveryReq(request) => self.power_delivery_iso2(request),
            B::CurrentDemandReq(request) => {
                self.battery(f64::from(request.dc_ev_status.ev_ress_soc));
                self.follow_vehicle(
                    from_iso2(&request.ev_target_voltage),
                    from_iso2(&request.ev_target_current),
                    evse.setpoint,
                );
            }
            B::ChargingStatusReq(_) => {
                self.allow(evse.setpoint);
            }
            _ => {}
        }
    }

    fn parameters_iso2(&mut self, request: &iso2::ChargeParameterDiscoveryReq) {
        use iso2::ChargeParameterDiscoveryReqChoice as C;
        const NAME: &str = "ChargeParameterDiscoveryReq";
        if !self.is_authorised() {
            // The order of messages alone would let a vehicle go on after one unanswered request.
            let code = R::FAILEDSequenceError as u8;
            self.reject(
                code,
                codes::OUT_OF_SEQUENCE,
                NAME,
                "the session is not authorised",
            );
            return;
        }
        let dc = self.config.kind.is_dc();
        let fits = match (&request.requested_energy_transfer_mode, &request.choice) {
            (
                iso2::EnergyTransferMode::ACSinglePhaseCore | iso2::EnergyTransferMode::ACThreePhaseCore,
                C::ACEVChargeParameter(_),
            ) => !dc,
            (
                iso2::EnergyTransferMode::DCCore | iso2::EnergyTransferMode::DCExtended,
                C::DCEVChargeParameter(_),
            ) => dc,
            _ => false,
        };
        if !fits {
            let code = R::FAILEDWrongEnergyTransferMode as u8;
            self.reject(
                code,
                codes::REQUEST_REFUSED,
                NAME,
                "the vehicle asks for an energy transfer mode this EVSE does not have",
            );
            return;
        }
        let limits = self.config.limits;
        let reasonable = match &request.choice {
            C::DCEVChargeParameter(p) => {
                self.battery(f64::from(p.dc_ev_status.ev_ress_soc));
                from_iso2(&p.ev_maximum_voltage_limit) >= limits.min_voltage.0
                    && from_iso2(&p.ev_maximum_current_limit) >= 0.0
                    && p.ev_maximum_power_limit
                        .as_ref()
                        .is_none_or(|watts| from_iso2(watts) >= 0.0)
            }
            C::ACEVChargeParameter(p) => {
                from_iso2(&p.ev_max_voltage) > 0.0
                    && from_iso2(&p.ev_max_current) >= from_iso2(&p.ev_min_current)
                    && from_iso2(&p.ev_min_current) >= 0.0
                    && from_iso2(&p.ev_min_current) <= limits.max_current.0
            }
            C::EVChargeParameter(_) => false,
        };
        if !reasonable {
            let code = R::FAILEDWrongChargeParameter as u8;
            self.reject(
                code,
                codes::REQUEST_REFUSED,
                NAME,
                "the vehicle's limits and those of this EVSE exclude each other",
            );
            return;
        }
        if self.iso2.offered.is_none() {
            self.step(Step::Service {
                service: self.service_name(),
                control: None,
            });
        }
        self.iso2.offered = Some(schedule_list(limits.max_power));
    }

    fn power_delivery_iso2(&mut self, request: &iso2::PowerDeliveryReq) {
        const NAME: &str = "PowerDeliveryReq";
        match request.charge_progress {
            iso2::ChargeProgress::Start => {
                let checked = self
                    .iso2
                    .offered
                    .as_ref()
                    .map(|offered| schedule::check_power_delivery(offered, request));
                match checked {
                    Some(Ok(())) => {
                        self.iso2.tuple = request.sa_schedule_tuple_id;
                        self.close();
                    }
                    Some(Err(error)) => {
                        self.reject(
                            error.response_code() as u8,
                            codes::REQUEST_REFUSED,
                            NAME,
                            &error.to_string(),
                        );
                    }
                    None => self.reject(
                        R::FAILEDSequenceError as u8,
                        codes::OUT_OF_SEQUENCE,
                        NAME,
                        "no schedule was offered",
                    ),
                }
            }
            iso2::ChargeProgress::Stop => self.open(StopCause::Vehicle),
            iso2::ChargeProgress::Renegotiate => {}
        }
    }

    pub(super) fn answer_charging_iso2(
        &mut self,
        clock: Clock,
        evse: &Evse,
        body: &B,
        waited: Duration,
    ) -> Option<Answer> {
        let answer = match body {
            B::ChargeParameterDiscoveryReq(_) => B::ChargeParameterDiscoveryRes(self.parameters_answer(evse)),
            B::CableCheckReq(_) => {
                let processing = match self.isolation(evse, waited) {
                    Wait::Hold => return Some(Answer::Hold),
                    Wait::Ongoing => P::Ongoing,
                    Wait::Done(true) => {
                        self.iso2.isolation_valid = true;
                        P::Finished
                    }
                    Wait::Done(false) => return None,
                };
                let mut status = self.dc_status(evse);
                if processing == P::Ongoing {
                    status.evse_status_code = iso2::DCEVSEStatusCode::EVSEIsolationMonitoringActive;
                }
                B::CableCheckRes(iso2::CableCheckRes {
                    response_code: R::OK,
                    dc_evse_status: status,
                    evse_processing: processing,
                })
            }
            B::PreChargeReq(_) => B::PreChargeRes(iso2::PreChargeRes {
                response_code: R::OK,
                dc_evse_status: self.dc_status(evse),
                evse_present_voltage: quantity(evse.voltage.0, U::V),
            }),
            B::PowerDeliveryReq(request) => {
                if request.charge_progress == iso2::ChargeProgress::Start {
                    match self.contactor(evse, waited) {
                        Wait::Done(true) => {}
                        Wait::Done(false) => {
                            self.refusal = Some(R::FAILEDContactorError as u8);
                            return None;
                        }
                        Wait::Hold | Wait::Ongoing => return Some(Answer::Hold),
                    }
                }
                B::PowerDeliveryRes(iso2::PowerDeliveryRes {
                    response_code: R::OK,
                    choice: if self.config.kind.is_dc() {
                        iso2::PowerDeliveryResChoice::DCEVSEStatus(self.dc_status(evse))
                    } else {
                        iso2::PowerDeliveryResChoice::ACEVSEStatus(self.ac_status())
                    },
                })
            }
            B::CurrentDemandReq(request) => B::CurrentDemandRes(self.current_demand(clock, evse, request)?),
            B::ChargingStatusReq(_) => B::ChargingStatusRes(self.charging_status(clock, evse)?),
            B::WeldingDetectionReq(_) => B::WeldingDetectionRes(iso2::WeldingDetectionRes {
                response_code: R::OK,
                dc_evse_status: self.dc_status(evse),
                evse_present_voltage: quantity(evse.voltage.0, U::V),
            }),
            _ => return None,
        };
        Some(Answer::with(v2(answer)))
    }

    fn parameters_answer(&self, evse: &Evse) -> iso2::ChargeParameterDiscoveryRes {
        use iso2::ChargeParameterDiscoveryResChoice3 as C;
        let limits = self.config.limits;
        let choice = if self.config.kind.is_dc() {
            let mut status = self.dc_status(evse);
            status.evse_isolation_status = Some(iso2::IsolationLevel::Invalid);
            C::DCEVSEChargeParameter(iso2::DCEVSEChargeParameter {
                dc_evse_status: status,
                evse_maximum_current_limit: quantity(limits.max_current.0, U::A),
                evse_maximum_power_limit: quantity(limits.max_power.0, U::W),
                evse_maximum_voltage_limit: quantity(limits.max_voltage.0, U::V),
                evse_minimum_current_limit: quantity(0.0, U::A),
                evse_minimum_voltage_limit: quantity(limits.min_voltage.0, U::V),
                evse_current_regulation_tolerance: None,
                evse_peak_current_ripple: quantity(1.0, U::A),
                evse_energy_to_be_delivered: None,
            })
        } else {
            C::ACEVSEChargeParameter(iso2::ACEVSEChargeParameter {
                ac_evse_status: self.ac_status(),
                evse_nominal_voltage: quantity(limits.max_voltage.0, U::V),
                evse_max_current: quantity(limits.max_current.0, U::A),
            })
        };
        iso2::ChargeParameterDiscoveryRes {
            response_code: R::OK,
            evse_processing: P::Finished,
            choice_2: self
                .iso2
                .offered
                .clone()
                .map(iso2::ChargeParameterDiscoveryResChoice2::SAScheduleList),
            choice_3: choice,
        }
    }

    fn current_demand(
        &mut self,
        clock: Clock,
        evse: &Evse,
        request: &iso2::CurrentDemandReq,
    ) -> Option<iso2::CurrentDemandRes> {
        self.may_go_on(clock, evse, "CurrentDemandReq")?;
        let limits = self.config.limits;
        let (volts, amps) = (
            from_iso2(&request.ev_target_voltage),
            from_iso2(&request.ev_target_current),
        );
        let allowed = evse
            .setpoint
            .map_or(limits.max_power, |s| s.within(Watts(0.0), limits.max_power));
        let receipt = self.receipt_due();
        let meter_info = Some(self.meter_iso2(clock, evse, receipt));
        Some(iso2::CurrentDemandRes {
            response_code: R::OK,
            dc_evse_status: self.dc_status(evse),
            evse_present_voltage: quantity(evse.voltage.0, U::V),
            evse_present_current: quantity(evse.current.0.max(0.0), U::A),
            evse_current_limit_achieved: amps >= limits.max_current.0,
            evse_voltage_limit_achieved: volts >= limits.max_voltage.0,
            evse_power_limit_achieved: volts * amps >= allowed.0,
            evse_maximum_voltage_limit: Some(quantity(limits.max_voltage.0, U::V)),
            evse_maximum_current_limit: Some(quantity(limits.max_current.0, U::A)),
            evse_maximum_power_limit: Some(quantity(allowed.0, U::W)),
            evse_id: self.config.evse_id.clone(),
            sa_schedule_tuple_id: self.iso2.tuple,
            meter_info,
            receipt_required: Some(receipt),
        })
    }

    fn charging_status(&mut self, clock: Clock, evse: &Evse) -> Option<iso2::ChargingStatusRes> {
        self.may_go_on(clock, evse, "ChargingStatusReq")?;
        let receipt = self.receipt_due();
        let meter_info = Some(self.meter_iso2(clock, evse, receipt));
        Some(iso2::ChargingStatusRes {
            response_code: R::OK,
            evse_id: self.config.evse_id.clone(),
            sa_schedule_tuple_id: self.iso2.tuple,
            evse_max_current: Some(self.max_current(evse)),
            meter_info,
            receipt_required: Some(receipt),
            ac_evse_status: self.ac_status(),
        })
    }

    /// The current per phase that the set-point leaves.
    fn max_current(&self, evse: &Evse) -> PhysicalValue {
        let limits = self.config.limits;
        let amps = match evse.setpoint {
            Some(watts) => {
                let volts = limits.max_voltage.0.max(1.0) * f64::from(limits.phases.max(1));
                Amps(watts.0.max(0.0) / volts).within(Amps(0.0), limits.max_current)
            }
            None => limits.max_current,
        };
        quantity(amps.0, U::A)
    }

    /// A loop goes on only while power is up and the vehicle heeds a stop.
    fn may_go_on(&mut self, clock: Clock, evse: &Evse, request: &'static str) -> Option<()> {
        if self.power_lost(evse) {
            self.reject(
                R::FAILED as u8,
                codes::REQUEST_REFUSED,
                request,
                "the contactor is open",
            );
            return None;
        }
        if self.stop_ignored(clock) {
            self.reject(
                R::FAILED as u8,
                codes::REQUEST_REFUSED,
                request,
                "the vehicle ignored the request to stop",
            );
            return None;
        }
        Some(())
    }

    fn receipt_due(&mut self) -> bool {
        if !(self.config.receipts && self.by_contract) {
            return false;
        }
        self.iso2.receipts += 1;
        self.iso2.receipts % RECEIPT_EVERY == 1
    }

    fn meter_iso2(&mut self, clock: Clock, evse: &Evse, receipt: bool) -> iso2::MeterInfo {
        let info = iso2::MeterInfo {
            meter_id: self.config.meter_id.clone(),
            meter_reading: Some(evse.imported.0 / 1000),
            sig_meter_reading: None,
            meter_status: None,
            t_meter: Some(clock.wall.unix_millis() / 1000),
        };
        if receipt {
            self.iso2.issued = Some(info.clone());
        }
        info
    }
}

fn schedule_list(power: Watts) -> iso2::SAScheduleList {
    iso2::SAScheduleList {
        sa_schedule_tuple: vec![iso2::SAScheduleTuple {
            sa_schedule_tuple_id: TUPLE,
            p_max_schedule: iso2::PMaxSchedule {
                p_max_schedule_entry: vec![iso2::PMaxScheduleEntry {
                    choice: iso2::PMaxScheduleEntryChoice::RelativeTimeInterval(iso2::RelativeTimeInterval {
                        start: 0,
                        duration: Some(DAY),
                    }),
                    p_max: quantity(power.0, U::W),
                }],
            },
            sales_tariff: None,
        }],
    }
}
