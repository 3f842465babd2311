//! ISO 15118-20 AC: limits and the charge loop in both control modes.

use gridlatch_vocab::catalogue::session as codes;
use iso15118::iso20::ac::{
    self as set, ACChargeLoopReqChoice as Request, ACChargeLoopResChoice as Answer, Document as D,
};
use iso15118::message::Message;

use super::{Iso20, header};
use crate::evcc::config::Control;
use crate::evcc::output::{Flow, Output};
use crate::evcc::policy::{Context, Next};
use crate::physical::{from_iso20 as value, iso20 as number};

/// Least power the on-board charger runs with, watts: 6 A on one phase (IEC 61851-1 annex A).
const MINIMUM_W: f64 = 6.0 * 230.0;

impl Iso20 {
    pub(super) fn on_ac_parameters(
        &mut self,
        ctx: &mut Context<'_>,
        res: &set::ACChargeParameterDiscoveryRes,
    ) -> Next {
        let set::ACChargeParameterDiscoveryResChoice::ACCPDResEnergyTransferMode(mode) = &res.choice else {
            return ctx.give_up(
                codes::STATION_UNEXPECTED,
                "the station answered with the parameters of another energy transfer",
            );
        };
        // Power without a phase suffix is that of all phases together when L2 and L3 are absent.
        let phases = [
            Some(&mode.evse_maximum_charge_power),
            mode.evse_maximum_charge_power_l2.as_ref(),
            mode.evse_maximum_charge_power_l3.as_ref(),
        ];
        self.limits.charge_power = phases.into_iter().flatten().map(value).sum();
        Next::Send(self.schedule_exchange(ctx))
    }

    pub(super) fn ac_loop_request(&self, ctx: &Context<'_>) -> Message {
        let vehicle = ctx.vehicle;
        let target = number(ctx.course.target_request_wh(vehicle));
        let room = number(vehicle.room_wh());
        let most = number(vehicle.ac_limit());
        let least = number(MINIMUM_W);
        let present = number(self.drawing);
        let choice = match self.control {
            Control::Scheduled => Request::ScheduledACCLReqControlMode(set::ScheduledACCLReqControlMode {
                ev_target_energy_request: Some(target),
                ev_maximum_energy_request: Some(room),
                ev_minimum_energy_request: Some(number(0.0)),
                ev_maximum_charge_power: Some(most),
                ev_maximum_charge_power_l2: None,
                ev_maximum_charge_power_l3: None,
                ev_minimum_charge_power: Some(least),
                ev_minimum_charge_power_l2: None,
                ev_minimum_charge_power_l3: None,
                ev_present_active_power: present,
                ev_present_active_power_l2: None,
                ev_present_active_power_l3: None,
                ev_present_reactive_power: None,
                ev_present_reactive_power_l2: None,
                ev_present_reactive_power_l3: None,
            }),
            Control::Dynamic => Request::DynamicACCLReqControlMode(set::DynamicACCLReqControlMode {
                departure_time: ctx.course.departure(),
                ev_target_energy_request: target,
                ev_maximum_energy_request: room,
                ev_minimum_energy_request: number(0.0),
                ev_maximum_charge_power: most,
                ev_maximum_charge_power_l2: None,
                ev_maximum_charge_power_l3: None,
                ev_minimum_charge_power: least,
                ev_minimum_charge_power_l2: None,
                ev_minimum_charge_power_l3: None,
                ev_present_active_power: present,
                ev_present_active_power_l2: None,
                ev_present_active_power_l3: None,
                ev_present_reactive_power: number(0.0),
                ev_present_reactive_power_l2: None,
                ev_present_reactive_power_l3: None,
            }),
        };
        message(D::ACChargeLoopReq(set::ACChargeLoopReq {
            header: header(ctx),
            display_parameters: Some(iso15118::iso20::common::DisplayParameters {
                present_soc: Some(vehicle.soc_percent()),
                minimum_soc: None,
                target_soc: Some(ctx.course.target_soc()),
                maximum_soc: None,
                remaining_time_to_minimum_soc: None,
                remaining_time_to_target_soc: None,
                remaining_time_to_maximum_soc: None,
                charging_complete: Some(false),
                battery_energy_capacity: Some(number(vehicle.capacity_wh)),
                inlet_hot: None,
            }),
            meter_info_requested: false,
            choice,
        }))
    }

    pub(super) fn on_ac_loop(&mut self, ctx: &mut Context<'_>, res: &set::ACChargeLoopRes) -> Next {
        let sum = |parts: [Option<f64>; 3]| {
            let parts: Vec<f64> = parts.into_iter().flatten().collect();
            (!parts.is_empty()).then(|| parts.iter().sum::<f64>())
        };
        let setpoint = match &res.choice {
            Answer::DynamicACCLResControlMode(mode) => sum([
                Some(value(&mode.evse_target_active_power)),
                mode.evse_target_active_power_l2.as_ref().map(value),
                mode.evse_target_active_power_l3.as_ref().map(value),
            ]),
            Answer::ScheduledACCLResControlMode(mode) => sum([
                mode.evse_target_active_power.as_ref().map(value),
                mode.evse_target_active_power_l2.as_ref().map(value),
                mode.evse_target_active_power_l3.as_ref().map(value),
            ]),
            _ => None,
        };
        let most = ctx.vehicle.ac_limit().min(self.limits.charge_power);
        // An AC vehicle without BPT cannot follow below zero; it stops drawing instead.
        let watts = setpoint.map_or(most, |target| target.min(most)).max(0.0);
        self.drawing = if watts < MINIMUM_W { 0.0 } else { watts };
        ctx.log.push(Output::Draw(self.drawing));
        let flow = Flow {
            watts: self.drawing,
            volts: 230.0,
            amps: self.drawing / 230.0,
            setpoint,
        };
        ctx.log.flow(ctx.now.mono_ms, flow, ctx.vehicle);
        self.heed(ctx, res.evse_status.as_ref());
        self.charge_loop(ctx)
    }
}

pub(super) fn parameters(ctx: &Context<'_>) -> Message {
    message(D::ACChargeParameterDiscoveryReq(
        set::ACChargeParameterDiscoveryReq {
            header: header(ctx),
            choice: set::ACChargeParameterDiscoveryReqChoice::ACCPDReqEnergyTransferMode(
                set::ACCPDReqEnergyTransferMode {
                    ev_maximum_charge_power: number(ctx.vehicle.ac_limit()),
                    ev_maximum_charge_power_l2: None,
                    ev_maximum_charge_power_l3: None,
                    ev_minimum_charge_power: number(MINIMUM_W),
                    ev_minimum_charge_power_l2: None,
                    ev_minimum_charge_power_l3: None,
                },
            ),
        },
    ))
}

fn message(document: D) -> Message {
    Message::Iso20Ac(Box::new(document))
}
