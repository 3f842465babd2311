//! ISO 15118-20: alternating current.

use gridlatch_vocab::catalogue::session as codes;
use iso15118::iso20::ac::{self, Document as D};
use iso15118::iso20::common::ResponseCode as R;
use iso15118::message::Message;

use super::super::common::v20;
use super::super::policy::{Answer, Policy};
use super::super::types::{Clock, ControlMode, Evse};
use crate::physical::{from_iso20, iso20 as rational};

/// Frequency of the grid, in hertz.
const NOMINAL_FREQUENCY: f64 = 50.0;

impl Policy {
    pub(in super::super) fn prepare_ac(&mut self, evse: &Evse, document: &D) {
        match document {
            D::ACChargeParameterDiscoveryReq(request) => {
                let fits = match &request.choice {
                    ac::ACChargeParameterDiscoveryReqChoice::ACCPDReqEnergyTransferMode(p) => {
                        from_iso20(&p.ev_maximum_charge_power) >= from_iso20(&p.ev_minimum_charge_power)
                            && from_iso20(&p.ev_maximum_charge_power) >= 0.0
                    }
                    ac::ACChargeParameterDiscoveryReqChoice::BPTACCPDReqEnergyTransferMode(_) => false,
                };
                if !fits {
                    self.reject(
                        R::FAILEDWrongChargeParameter as u8,
                        codes::REQUEST_REFUSED,
                        "AC_ChargeParameterDiscoveryReq",
                        "the vehicle's limits do not fit the selected service or contradict themselves",
                    );
                }
            }
            D::ACChargeLoopReq(request) => {
                if let Some(soc) = request
                    .display_parameters
                    .as_ref()
                    .and_then(|display| display.present_soc)
                {
                    self.battery(f64::from(soc));
                }
                self.allow(evse.setpoint);
            }
            _ => {}
        }
    }

    pub(in super::super) fn answer_ac(&mut self, clock: Clock, evse: &Evse, document: &D) -> Option<Answer> {
        let limits = self.config.limits;
        let body = match document {
            D::ACChargeParameterDiscoveryReq(_) => {
                D::ACChargeParameterDiscoveryRes(ac::ACChargeParameterDiscoveryRes {
                    header: v20(clock),
                    response_code: R::OK,
                    choice: ac::ACChargeParameterDiscoveryResChoice::ACCPDResEnergyTransferMode(
                        ac::ACCPDResEnergyTransferMode {
                            evse_maximum_charge_power: rational(limits.max_power.0),
                            evse_minimum_charge_power: rational(limits.min_power.0),
                            evse_nominal_frequency: rational(NOMINAL_FREQUENCY),
                            ..ac::ACCPDResEnergyTransferMode::minimal()
                        },
                    ),
                })
            }
            D::ACChargeLoopReq(request) => D::ACChargeLoopRes(self.ac_loop(clock, evse, request)?),
            _ => return None,
        };
        Some(Answer::with(Message::Iso20Ac(Box::new(body))))
    }

    fn ac_loop(
        &mut self,
        clock: Clock,
        evse: &Evse,
        request: &ac::ACChargeLoopReq,
    ) -> Option<ac::ACChargeLoopRes> {
        use ac::{ACChargeLoopReqChoice as Q, ACChargeLoopResChoice as C};
        let fits = matches!(
            (&request.choice, self.control),
            (Q::ScheduledACCLReqControlMode(_), ControlMode::Scheduled)
                | (Q::DynamicACCLReqControlMode(_), ControlMode::Dynamic)
        );
        self.loop_may_go_on(clock, evse, "AC_ChargeLoopReq", fits)?;
        let target = rational(self.allow(evse.setpoint).0);
        let present = Some(rational(evse.voltage.0 * evse.current.0));
        let choice = match self.control {
            ControlMode::Scheduled => C::ScheduledACCLResControlMode(ac::ScheduledACCLResControlMode {
                evse_target_active_power: Some(target),
                evse_present_active_power: present,
                ..ac::ScheduledACCLResControlMode::minimal()
            }),
            ControlMode::Dynamic => C::DynamicACCLResControlMode(ac::DynamicACCLResControlMode {
                evse_target_active_power: target,
                evse_present_active_power: present,
                ..ac::DynamicACCLResControlMode::minimal()
            }),
        };
        Some(ac::ACChargeLoopRes {
            header: v20(clock),
            response_code: R::OK,
            evse_status: self.evse_status(),
            meter_info: self.meter_iso20(clock, evse, request.meter_info_requested),
            receipt: None,
            evse_target_frequency: None,
            choice,
        })
    }
}
