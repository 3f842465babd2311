//! ISO 15118-20: direct current, in one direction and in both.

use std::time::Duration;

use gridlatch_vocab::catalogue::session as codes;
use gridlatch_vocab::{Amps, Volts, Watts};
use iso15118::iso20::common::{Processing, RationalNumber, ResponseCode as R};
use iso15118::iso20::dc::{self, Document as D};
use iso15118::message::Message;

use super::super::common::v20;
use super::super::policy::{Answer, Authority, Policy, Wait};
use super::super::types::{Clock, ControlMode, Demand, Evse, Output};
use crate::physical::{from_iso20, iso20 as rational};

const PRE_CHARGE_AMPS: f64 = 2.0;

impl Policy {
    pub(in super::super) fn prepare_dc(&mut self, evse: &Evse, document: &D) {
        match document {
            D::DCChargeParameterDiscoveryReq(request) => self.parameters_dc(request),
            D::DCCableCheckReq(_) => self.outputs.push_back(Output::TestIsolation),
            D::DCPreChargeReq(request) => {
                let volts = Volts(from_iso20(&request.ev_target_voltage))
                    .within(Volts(0.0), self.config.limits.max_voltage);
                self.demand(Demand::Dc {
                    volts,
                    amps: Amps(PRE_CHARGE_AMPS).min(self.config.limits.max_current),
                });
            }
            D::DCChargeLoopReq(request) => self.loop_demand(evse, request),
            _ => {}
        }
    }

    fn parameters_dc(&mut self, request: &dc::DCChargeParameterDiscoveryReq) {
        use dc::DCChargeParameterDiscoveryReqChoice as C;
        let (fits, volts, amps, watts) = match &request.choice {
            C::DCCPDReqEnergyTransferMode(p) => (
                !self.discharge,
                &p.ev_maximum_voltage,
                &p.ev_maximum_charge_current,
                &p.ev_maximum_charge_power,
            ),
            C::BPTDCCPDReqEnergyTransferMode(p) => (
                self.discharge,
                &p.ev_maximum_voltage,
                &p.ev_maximum_charge_current,
                &p.ev_maximum_charge_power,
            ),
        };
        let reasonable = from_iso20(volts) >= self.config.limits.min_voltage.0
            && from_iso20(amps) >= 0.0
            && from_iso20(watts) >= 0.0;
        if !fits || !reasonable {
            self.reject(
                R::FAILEDWrongChargeParameter as u8,
                codes::REQUEST_REFUSED,
                "DC_ChargeParameterDiscoveryReq",
                "the vehicle's limits do not fit the selected service or the envelope of this EVSE",
            );
        }
    }

    fn loop_demand(&mut self, evse: &Evse, request: &dc::DCChargeLoopReq) {
        use dc::DCChargeLoopReqChoice as C;
        if let Some(display) = &request.display_parameters
            && let Some(soc) = display.present_soc
        {
            self.battery(f64::from(soc));
        }
        let f = from_iso20;
        match &request.choice {
            C::ScheduledDCCLReqControlMode(c) => {
                self.follow_vehicle(f(&c.ev_target_voltage), f(&c.ev_target_current), evse.setpoint);
            }
            C::BPTScheduledDCCLReqControlMode(c) => {
                self.follow_vehicle(f(&c.ev_target_voltage), f(&c.ev_target_current), evse.setpoint);
            }
            C::DynamicDCCLReqControlMode(c) => self.follow_setpoint(
                evse.setpoint,
                evse.voltage,
                f(&c.ev_maximum_voltage),
                (f(&c.ev_maximum_charge_power), f(&c.ev_maximum_charge_current)),
                (0.0, 0.0),
            ),
            C::BPTDynamicDCCLReqControlMode(c) => self.follow_setpoint(
                evse.setpoint,
                evse.voltage,
                f(&c.ev_maximum_voltage),
                (f(&c.ev_maximum_charge_power), f(&c.ev_maximum_charge_current)),
                (
                    f(&c.ev_maximum_discharge_power),
                    f(&c.ev_maximum_discharge_current),
                ),
            ),
            C::CLReqControlMode(_) => {}
        }
    }

    pub(in super::super) fn answer_dc(
        &mut self,
        clock: Clock,
        evse: &Evse,
        document: &D,
        waited: Duration,
    ) -> Option<Answer> {
        let header = v20(clock);
        let body = match document {
            D::DCChargeParameterDiscoveryReq(_) => {
                D::DCChargeParameterDiscoveryRes(dc::DCChargeParameterDiscoveryRes {
                    header,
                    response_code: R::OK,
                    choice: self.envelope(),
                })
            }
            D::DCCableCheckReq(_) => {
                let evse_processing = match self.isolation(evse, waited) {
                    Wait::Hold => return Some(Answer::Hold),
                    Wait::Ongoing => Processing::Ongoing,
                    Wait::Done(true) => Processing::Finished,
                    Wait::Done(false) => return None,
                };
                D::DCCableCheckRes(dc::DCCableCheckRes {
                    header,
                    response_code: R::OK,
                    evse_processing,
                })
            }
            D::DCPreChargeReq(_) => D::DCPreChargeRes(dc::DCPreChargeRes {
                header,
                response_code: R::OK,
                evse_present_voltage: rational(evse.voltage.0),
            }),
            D::DCChargeLoopReq(request) => D::DCChargeLoopRes(self.loop_answer(clock, evse, request)?),
            D::DCWeldingDetectionReq(_) => D::DCWeldingDetectionRes(dc::DCWeldingDetectionRes {
                header,
                response_code: R::OK,
                evse_present_voltage: rational(evse.voltage.0),
            }),
            _ => return None,
        };
        Some(Answer::with(Message::Iso20Dc(Box::new(body))))
    }

    fn envelope(&self) -> dc::DCChargeParameterDiscoveryResChoice {
        use dc::DCChargeParameterDiscoveryResChoice as C;
        let l = self.config.limits;
        let r = |value: f64| rational(value);
        if self.discharge {
            C::BPTDCCPDResEnergyTransferMode(dc::BPTDCCPDResEnergyTransferMode {
                evse_maximum_charge_power: r(l.max_power.0),
                evse_minimum_charge_power: r(l.min_power.0),
                evse_maximum_charge_current: r(l.max_current.0),
                evse_minimum_charge_current: r(0.0),
                evse_maximum_voltage: r(l.max_voltage.0),
                evse_minimum_voltage: r(l.min_voltage.0),
                evse_power_ramp_limitation: None,
                evse_maximum_discharge_power: r(self.discharge_power().0),
                evse_minimum_discharge_power: r(0.0),
                evse_maximum_discharge_current: r(l.max_discharge_current.0),
                evse_minimum_discharge_current: r(0.0),
            })
        } else {
            C::DCCPDResEnergyTransferMode(dc::DCCPDResEnergyTransferMode {
                evse_maximum_charge_power: r(l.max_power.0),
                evse_minimum_charge_power: r(l.min_power.0),
                evse_maximum_charge_current: r(l.max_current.0),
                evse_minimum_charge_current: r(0.0),
                evse_maximum_voltage: r(l.max_voltage.0),
                evse_minimum_voltage: r(l.min_voltage.0),
                evse_power_ramp_limitation: None,
            })
        }
    }

    /// What may be taken from the vehicle: nothing unless the authorisation includes it.
    fn discharge_power(&self) -> Watts {
        match self.authority {
            Authority::Accepted { discharge: true } => self.config.limits.max_discharge_power,
            _ => Watts(0.0),
        }
    }

    fn loop_answer(
        &mut self,
        clock: Clock,
        evse: &Evse,
        request: &dc::DCChargeLoopReq,
    ) -> Option<dc::DCChargeLoopRes> {
        use dc::DCChargeLoopReqChoice as Q;
        let fits = matches!(
            (&request.choice, self.control, self.discharge),
            (Q::ScheduledDCCLReqControlMode(_), ControlMode::Scheduled, false)
                | (Q::BPTScheduledDCCLReqControlMode(_), ControlMode::Scheduled, true)
                | (Q::DynamicDCCLReqControlMode(_), ControlMode::Dynamic, false)
                | (Q::BPTDynamicDCCLReqControlMode(_), ControlMode::Dynamic, true)
        );
        self.loop_may_go_on(clock, evse, "DC_ChargeLoopReq", fits)?;
        let limits = self.config.limits;
        let charge = evse.setpoint.map_or(limits.max_power, |setpoint| {
            setpoint.within(Watts(0.0), limits.max_power)
        });
        let power = evse.voltage.0 * evse.current.0;
        Some(dc::DCChargeLoopRes {
            header: v20(clock),
            response_code: R::OK,
            evse_status: self.evse_status(),
            meter_info: self.meter_iso20(clock, evse, request.meter_info_requested),
            receipt: None,
            evse_present_current: rational(evse.current.0),
            evse_present_voltage: rational(evse.voltage.0),
            evse_power_limit_achieved: power >= charge.0,
            evse_current_limit_achieved: evse.current.0 >= limits.max_current.0,
            evse_voltage_limit_achieved: evse.voltage.0 >= limits.max_voltage.0,
            choice: self.loop_limits(&request.choice, charge),
        })
    }

    fn loop_limits(&self, request: &dc::DCChargeLoopReqChoice, charge: Watts) -> dc::DCChargeLoopResChoice {
        use dc::{DCChargeLoopReqChoice as Q, DCChargeLoopResChoice as C};
        let l = self.config.limits;
        let some = |value: f64| -> Option<RationalNumber> { Some(rational(value)) };
        match request {
            Q::ScheduledDCCLReqControlMode(_) | Q::CLReqControlMode(_) => {
                C::ScheduledDCCLResControlMode(dc::ScheduledDCCLResControlMode {
                    evse_maximum_charge_power: some(charge.0),
                    evse_minimum_charge_power: some(l.min_power.0.min(charge.0)),
                    evse_maximum_charge_current: some(l.max_current.0),
                    evse_maximum_voltage: some(l.max_voltage.0),
                })
            }
            Q::BPTScheduledDCCLReqControlMode(_) => {
                C::BPTScheduledDCCLResControlMode(dc::BPTScheduledDCCLResControlMode {
                    evse_maximum_charge_power: some(charge.0),
                    evse_minimum_charge_power: some(l.min_power.0.min(charge.0)),
                    evse_maximum_charge_current: some(l.max_current.0),
                    evse_maximum_voltage: some(l.max_voltage.0),
                    evse_maximum_discharge_power: some(self.discharge_power().0),
                    evse_minimum_discharge_power: some(0.0),
                    evse_maximum_discharge_current: some(l.max_discharge_current.0),
                    evse_minimum_voltage: some(l.min_voltage.0),
                })
            }
            Q::DynamicDCCLReqControlMode(_) => C::DynamicDCCLResControlMode(dc::DynamicDCCLResControlMode {
                departure_time: None,
                minimum_soc: None,
                target_soc: None,
                ack_max_delay: None,
                evse_maximum_charge_power: rational(charge.0),
                evse_minimum_charge_power: rational(0.0),
                evse_maximum_charge_current: rational(l.max_current.0),
                evse_maximum_voltage: rational(l.max_voltage.0),
            }),
            Q::BPTDynamicDCCLReqControlMode(_) => {
                C::BPTDynamicDCCLResControlMode(dc::BPTDynamicDCCLResControlMode {
                    departure_time: None,
                    minimum_soc: None,
                    target_soc: None,
                    ack_max_delay: None,
                    evse_maximum_charge_power: rational(charge.0),
                    evse_minimum_charge_power: rational(0.0),
                    evse_maximum_charge_current: rational(l.max_current.0),
                    evse_maximum_voltage: rational(l.max_voltage.0),
                    evse_maximum_discharge_power: rational(self.discharge_power().0),
                    evse_minimum_discharge_power: rational(0.0),
                    evse_maximum_discharge_current: rational(l.max_discharge_current.0),
                    evse_minimum_voltage: rational(l.min_voltage.0),
                })
            }
        }
    }
}
