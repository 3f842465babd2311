//! ISO 15118-20 DC and DC_BPT: limits, cable, pre-charge, the charge loop in both control modes.

use gridlatch_vocab::catalogue::session as codes;
use iso15118::iso20::common::Processing;
use iso15118::iso20::dc::{
    self as set, DCChargeLoopReqChoice as Request, DCChargeLoopResChoice as Answer, Document as D,
};
use iso15118::message::Message;

use super::{Iso20, Limits, header};
use crate::evcc::config::{Control, Energy, VehicleState};
use crate::evcc::course::Want;
use crate::evcc::output::{Flow, StepName};
use crate::evcc::policy::{Context, MAX_WELDING_CHECKS, Next, SAFE_V, voltages_match};
use crate::physical::{from_iso20 as value, iso20 as number};

impl Iso20 {
    pub(super) fn on_dc_parameters(
        &mut self,
        ctx: &mut Context<'_>,
        res: &set::DCChargeParameterDiscoveryRes,
    ) -> Next {
        use set::DCChargeParameterDiscoveryResChoice as Choice;
        let minimum_voltage;
        match (&res.choice, ctx.config.energy) {
            (Choice::DCCPDResEnergyTransferMode(mode), Energy::Dc) => {
                minimum_voltage = value(&mode.evse_minimum_voltage);
                self.limits = Limits {
                    charge_current: value(&mode.evse_maximum_charge_current),
                    charge_power: value(&mode.evse_maximum_charge_power),
                    discharge_current: 0.0,
                    discharge_power: 0.0,
                    voltage: value(&mode.evse_maximum_voltage),
                };
            }
            (Choice::BPTDCCPDResEnergyTransferMode(mode), Energy::DcBpt) => {
                minimum_voltage = value(&mode.evse_minimum_voltage);
                self.limits = Limits {
                    charge_current: value(&mode.evse_maximum_charge_current),
                    charge_power: value(&mode.evse_maximum_charge_power),
                    // Stations differ in the sign of discharge figures; their magnitude is what is meant.
                    discharge_current: value(&mode.evse_maximum_discharge_current).abs(),
                    discharge_power: value(&mode.evse_maximum_discharge_power).abs(),
                    voltage: value(&mode.evse_maximum_voltage),
                };
            }
            _ => {
                return ctx.give_up(
                    codes::STATION_UNEXPECTED,
                    "the station answered with the parameters of another energy transfer",
                );
            }
        }
        let needed = ctx.vehicle.battery_voltage;
        if needed > self.limits.voltage || needed < minimum_voltage {
            return ctx.give_up(
                codes::SERVICE_NOT_OFFERED,
                format!(
                    "the battery stands at {needed:.0} V; the station delivers {minimum_voltage:.0} to {:.0} V",
                    self.limits.voltage
                ),
            );
        }
        Next::Send(self.schedule_exchange(ctx))
    }

    pub(super) fn on_cable_check(&mut self, ctx: &mut Context<'_>, res: &set::DCCableCheckRes) -> Next {
        if res.evse_processing != Processing::Finished {
            return Next::Repeat(cable_check(ctx));
        }
        ctx.done(
            StepName::PreCharge,
            "the station found the cable sound".to_owned(),
            Vec::new(),
        );
        Next::Send(self.pre_charge(ctx))
    }

    fn pre_charge(&self, ctx: &Context<'_>) -> Message {
        message(D::DCPreChargeReq(set::DCPreChargeReq {
            header: header(ctx),
            ev_processing: Processing::Ongoing,
            ev_present_voltage: number(self.present_voltage),
            ev_target_voltage: number(ctx.vehicle.battery_voltage),
        }))
    }

    pub(super) fn on_pre_charge(&mut self, ctx: &mut Context<'_>, res: &set::DCPreChargeRes) -> Next {
        self.present_voltage = value(&res.evse_present_voltage);
        if !voltages_match(self.present_voltage, ctx.vehicle.battery_voltage) {
            return Next::Repeat(self.pre_charge(ctx));
        }
        let detail = format!(
            "station {:.0} V, battery {:.0} V",
            self.present_voltage, ctx.vehicle.battery_voltage
        );
        ctx.done(
            StepName::EnergyIn,
            detail,
            vec![("volts", self.present_voltage.into())],
        );
        self.start(ctx)
    }

    /// Power and current of the vehicle in the wanted direction, within both sides' limits; negative out.
    fn target_current(&self, ctx: &Context<'_>, want: Want) -> f64 {
        let vehicle = ctx.vehicle;
        let volts = vehicle.battery_voltage.max(1.0);
        let bounded = |power: f64, limit: f64, current: f64| {
            (power.min(limit) / volts)
                .min(vehicle.maximum_current)
                .min(current)
                .max(0.0)
        };
        match want {
            Want::Charge => bounded(
                vehicle.charge_limit,
                self.limits.charge_power,
                self.limits.charge_current,
            ),
            Want::Discharge => -bounded(
                vehicle.discharge_limit,
                self.limits.discharge_power,
                self.limits.discharge_current,
            ),
            Want::Stop => 0.0,
        }
    }

    pub(super) fn dc_loop_request(&self, ctx: &Context<'_>, want: Want) -> Message {
        let vehicle = ctx.vehicle;
        let bpt = ctx.config.energy == Energy::DcBpt;
        let target_energy = number(ctx.course.target_request_wh(vehicle));
        let room = number(vehicle.room_wh());
        let least = number(if bpt { -vehicle.reserve_wh() } else { 0.0 });
        let volts = match want {
            Want::Discharge => vehicle.minimum_voltage,
            Want::Charge | Want::Stop => vehicle.maximum_voltage.min(self.limits.voltage),
        };
        let amps = self.target_current(ctx, want);
        // The vehicle's limits in the loop: what the battery takes and gives right now.
        let charge = number(vehicle.charge_limit);
        let charge_current = number(vehicle.maximum_current);
        let give = number(self.give_limit(vehicle));
        let give_current = number(vehicle.maximum_current);
        let zero = number(0.0);
        let top = number(vehicle.maximum_voltage);
        let bottom = number(vehicle.minimum_voltage);
        let choice = match (self.control, bpt) {
            (Control::Scheduled, false) => {
                Request::ScheduledDCCLReqControlMode(set::ScheduledDCCLReqControlMode {
                    ev_target_energy_request: Some(target_energy),
                    ev_maximum_energy_request: Some(room),
                    ev_minimum_energy_request: Some(least),
                    ev_target_current: number(amps),
                    ev_target_voltage: number(volts),
                    ev_maximum_charge_power: Some(charge),
                    ev_minimum_charge_power: Some(zero),
                    ev_maximum_charge_current: Some(charge_current),
                    ev_maximum_voltage: Some(top),
                    ev_minimum_voltage: Some(bottom),
                })
            }
            (Control::Scheduled, true) => {
                Request::BPTScheduledDCCLReqControlMode(set::BPTScheduledDCCLReqControlMode {
                    ev_target_energy_request: Some(target_energy),
                    ev_maximum_energy_request: Some(room),
                    ev_minimum_energy_request: Some(least),
                    ev_target_current: number(amps),
                    ev_target_voltage: number(volts),
                    ev_maximum_charge_power: Some(charge),
                    ev_minimum_charge_power: Some(zero),
                    ev_maximum_charge_current: Some(charge_current),
                    ev_maximum_voltage: Some(top),
                    ev_minimum_voltage: Some(bottom),
                    ev_maximum_discharge_power: Some(give),
                    ev_minimum_discharge_power: Some(number(0.0)),
                    ev_maximum_discharge_current: Some(give_current),
                })
            }
            (Control::Dynamic, false) => Request::DynamicDCCLReqControlMode(set::DynamicDCCLReqControlMode {
                departure_time: ctx.course.departure(),
                ev_target_energy_request: target_energy,
                ev_maximum_energy_request: room,
                ev_minimum_energy_request: least,
                ev_maximum_charge_power: charge,
                ev_minimum_charge_power: zero,
                ev_maximum_charge_current: charge_current,
                ev_maximum_voltage: top,
                ev_minimum_voltage: bottom,
            }),
            (Control::Dynamic, true) => {
                Request::BPTDynamicDCCLReqControlMode(set::BPTDynamicDCCLReqControlMode {
                    departure_time: ctx.course.departure(),
                    ev_target_energy_request: target_energy,
                    ev_maximum_energy_request: room,
                    ev_minimum_energy_request: least,
                    ev_maximum_charge_power: charge,
                    ev_minimum_charge_power: zero,
                    ev_maximum_charge_current: charge_current,
                    ev_maximum_voltage: top,
                    ev_minimum_voltage: bottom,
                    ev_maximum_discharge_power: give,
                    ev_minimum_discharge_power: number(0.0),
                    ev_maximum_discharge_current: give_current,
                    ev_maximum_v2_x_energy_request: Some(number(vehicle.room_wh())),
                    ev_minimum_v2_x_energy_request: Some(number(-vehicle.reserve_wh())),
                })
            }
        };
        message(D::DCChargeLoopReq(set::DCChargeLoopReq {
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
            ev_present_voltage: number(vehicle.battery_voltage),
            choice,
        }))
    }

    /// What the vehicle lets the station take out of it: nothing unless the battery has it to give.
    fn give_limit(&self, vehicle: &VehicleState) -> f64 {
        if vehicle.reserve_wh() > 0.0 {
            vehicle.discharge_limit
        } else {
            0.0
        }
    }

    pub(super) fn on_dc_loop(&mut self, ctx: &mut Context<'_>, res: &set::DCChargeLoopRes) -> Next {
        let volts = value(&res.evse_present_voltage);
        let amps = value(&res.evse_present_current);
        self.present_voltage = volts;
        self.take_limits(&res.choice);
        let flow = Flow {
            watts: volts * amps,
            volts,
            amps,
            setpoint: None,
        };
        ctx.log.flow(ctx.now.mono_ms, flow, ctx.vehicle);
        self.heed(ctx, res.evse_status.as_ref());
        self.charge_loop(ctx)
    }

    /// Limits the station changed in the loop.
    fn take_limits(&mut self, answer: &Answer) {
        let limits = &mut self.limits;
        let set = |limit: &mut f64, new: Option<f64>| {
            if let Some(new) = new {
                *limit = new.abs();
            }
        };
        match answer {
            Answer::ScheduledDCCLResControlMode(mode) => {
                set(
                    &mut limits.charge_power,
                    mode.evse_maximum_charge_power.as_ref().map(value),
                );
                set(
                    &mut limits.charge_current,
                    mode.evse_maximum_charge_current.as_ref().map(value),
                );
                set(&mut limits.voltage, mode.evse_maximum_voltage.as_ref().map(value));
            }
            Answer::BPTScheduledDCCLResControlMode(mode) => {
                set(
                    &mut limits.charge_power,
                    mode.evse_maximum_charge_power.as_ref().map(value),
                );
                set(
                    &mut limits.charge_current,
                    mode.evse_maximum_charge_current.as_ref().map(value),
                );
                set(
                    &mut limits.discharge_power,
                    mode.evse_maximum_discharge_power.as_ref().map(value),
                );
                set(
                    &mut limits.discharge_current,
                    mode.evse_maximum_discharge_current.as_ref().map(value),
                );
                set(&mut limits.voltage, mode.evse_maximum_voltage.as_ref().map(value));
            }
            Answer::DynamicDCCLResControlMode(mode) => {
                limits.charge_power = value(&mode.evse_maximum_charge_power);
                limits.charge_current = value(&mode.evse_maximum_charge_current);
                limits.voltage = value(&mode.evse_maximum_voltage);
            }
            Answer::BPTDynamicDCCLResControlMode(mode) => {
                limits.charge_power = value(&mode.evse_maximum_charge_power);
                limits.charge_current = value(&mode.evse_maximum_charge_current);
                limits.discharge_power = value(&mode.evse_maximum_discharge_power).abs();
                limits.discharge_current = value(&mode.evse_maximum_discharge_current).abs();
                limits.voltage = value(&mode.evse_maximum_voltage);
            }
            Answer::CLResControlMode(_) => {}
        }
    }

    pub(super) fn on_welding(&mut self, ctx: &mut Context<'_>, res: &set::DCWeldingDetectionRes) -> Next {
        self.welding_checks += 1;
        if value(&res.evse_present_voltage).abs() > SAFE_V && self.welding_checks < MAX_WELDING_CHECKS {
            return Next::Repeat(welding_detection(ctx));
        }
        Next::Send(Self::stop_request(ctx))
    }
}

pub(super) fn parameters(ctx: &Context<'_>) -> Message {
    let v = ctx.vehicle;
    let target_soc = Some(ctx.course.target_soc());
    let choice = if ctx.config.energy == Energy::DcBpt {
        set::DCChargeParameterDiscoveryReqChoice::BPTDCCPDReqEnergyTransferMode(
            set::BPTDCCPDReqEnergyTransferMode {
                ev_maximum_charge_power: number(v.charge_limit),
                ev_minimum_charge_power: number(0.0),
                ev_maximum_charge_current: number(v.maximum_current),
                ev_minimum_charge_current: number(0.0),
                ev_maximum_voltage: number(v.maximum_voltage),
                ev_minimum_voltage: number(v.minimum_voltage),
                target_soc,
                ev_maximum_discharge_power: number(v.discharge_limit),
                ev_minimum_discharge_power: number(0.0),
                ev_maximum_discharge_current: number(v.maximum_current),
                ev_minimum_discharge_current: number(0.0),
            },
        )
    } else {
        set::DCChargeParameterDiscoveryReqChoice::DCCPDReqEnergyTransferMode(
            set::DCCPDReqEnergyTransferMode {
                ev_maximum_charge_power: number(v.charge_limit),
                ev_minimum_charge_power: number(0.0),
                ev_maximum_charge_current: number(v.maximum_current),
                ev_minimum_charge_current: number(0.0),
                ev_maximum_voltage: number(v.maximum_voltage),
                ev_minimum_voltage: number(v.minimum_voltage),
                target_soc,
            },
        )
    };
    message(D::DCChargeParameterDiscoveryReq(
        set::DCChargeParameterDiscoveryReq {
            header: header(ctx),
            choice,
        },
    ))
}

pub(super) fn cable_check(ctx: &Context<'_>) -> Message {
    message(D::DCCableCheckReq(set::DCCableCheckReq { header: header(ctx) }))
}

pub(super) fn welding_detection(ctx: &Context<'_>) -> Message {
    message(D::DCWeldingDetectionReq(set::DCWeldingDetectionReq {
        header: header(ctx),
        ev_processing: Processing::Finished,
    }))
}

fn message(document: D) -> Message {
    Message::Iso20Dc(Box::new(document))
}
