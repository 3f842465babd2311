//! ISO 15118-2 while power is prepared, flows, and is taken down.

use gridlatch_vocab::catalogue::session as codes;
use iso15118::iso2::{
    ACEVSEStatus, BodyChoice as B, CableCheckRes, ChargeParameterDiscoveryResChoice3, ChargingStatusRes,
    CurrentDemandRes, DCEVSEStatus, DCEVSEStatusCode, EVSENotification, EVSEProcessing, MeterInfo,
    MeteringReceiptReq, PowerDeliveryResChoice, PreChargeRes, WeldingDetectionRes,
};
use iso15118::pnc::{self, rustcrypto::Sha2};

use super::{Iso2, requests};
use crate::evcc::config::Authorisation;
use crate::evcc::contract::SignWith;
use crate::evcc::course::Want;
use crate::evcc::output::{Flow, Output, Pilot, StepName};
use crate::evcc::policy::{Context, MAX_WELDING_CHECKS, Next, SAFE_V, voltages_match};
use crate::physical::from_iso2 as value;

/// Current below which AC charging cannot run, amperes (IEC 61851-1 annex A).
const AC_MINIMUM_A: f64 = 6.0;

impl Iso2 {
    /// From the agreed parameters towards power: DC tests the cable first.
    pub(super) fn towards_power(&mut self, ctx: &mut Context<'_>) -> Next {
        ctx.log.pilot(Pilot::C);
        if self.is_dc(ctx) {
            Next::Send(requests::cable_check(ctx.vehicle))
        } else {
            Next::Send(self.start(ctx))
        }
    }

    pub(super) fn on_cable_check(&mut self, ctx: &mut Context<'_>, res: &CableCheckRes) -> Next {
        if res.evse_processing != EVSEProcessing::Finished {
            return Next::Repeat(requests::cable_check(ctx.vehicle));
        }
        ctx.done(
            StepName::PreCharge,
            "the station found the cable sound".to_owned(),
            Vec::new(),
        );
        Next::Send(requests::pre_charge(ctx.vehicle))
    }

    pub(super) fn on_pre_charge(&mut self, ctx: &mut Context<'_>, res: &PreChargeRes) -> Next {
        self.present_voltage = value(&res.evse_present_voltage);
        if !voltages_match(self.present_voltage, ctx.vehicle.battery_voltage) {
            return Next::Repeat(requests::pre_charge(ctx.vehicle));
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
        Next::Send(self.start(ctx))
    }

    /// `PowerDeliveryReq(Start)` with a profile inside the station's schedule [V2G2-224].
    fn start(&self, ctx: &Context<'_>) -> iso15118::message::Message {
        let dc = self.is_dc(ctx);
        let wanted = if dc {
            ctx.vehicle.charge_limit
        } else {
            ctx.vehicle.ac_limit()
        };
        let profile: Vec<(u32, f64)> = self
            .schedule
            .entries
            .iter()
            .map(|(at, limit)| (*at, limit.min(wanted)))
            .collect();
        let phases = (!dc).then_some(self.phases(ctx));
        requests::power_delivery(
            ctx.vehicle,
            true,
            self.schedule.tuple.max(1),
            dc,
            phases,
            &profile,
        )
    }

    fn phases(&self, ctx: &Context<'_>) -> u8 {
        match self.mode {
            Some(iso15118::iso2::EnergyTransferMode::ACSinglePhaseCore) => 1,
            _ => ctx.vehicle.ac_phases.clamp(1, 3),
        }
    }

    pub(super) fn on_power_delivery(&mut self, ctx: &mut Context<'_>) -> Next {
        if self.stopping {
            ctx.log.pilot(Pilot::B);
            if self.is_dc(ctx) {
                return Next::Send(requests::welding_detection(ctx.vehicle));
            }
            return Next::Send(requests::session_stop());
        }
        self.powered = true;
        self.charge_loop(ctx)
    }

    /// The next charge-loop request, or the stop when nothing more is wanted.
    pub(super) fn charge_loop(&mut self, ctx: &mut Context<'_>) -> Next {
        if ctx.course.want(ctx.now.mono_ms, ctx.vehicle) == Want::Charge {
            return Next::Loop(if self.is_dc(ctx) {
                let volts = ctx.vehicle.maximum_voltage.min(self.limits.voltage);
                requests::current_demand(ctx.vehicle, self.target_current(ctx), volts)
            } else {
                requests::charging_status()
            });
        }
        // ISO 15118-2 knows no discharge: a wish to give energy back ends here too.
        self.stopping = true;
        if !self.is_dc(ctx) {
            ctx.log.push(Output::Draw(0.0));
        }
        ctx.log
            .end_run(ctx.now.mono_ms, ctx.vehicle, Some(StepName::Stop));
        let dc = self.is_dc(ctx);
        let tuple = self.schedule.tuple.max(1);
        Next::Send(requests::power_delivery(ctx.vehicle, false, tuple, dc, None, &[]))
    }

    fn target_current(&self, ctx: &Context<'_>) -> f64 {
        let volts = ctx.vehicle.battery_voltage.max(1.0);
        let power = ctx.vehicle.charge_limit.min(self.limits.power);
        (power / volts)
            .min(ctx.vehicle.maximum_current)
            .min(self.limits.current)
            .max(0.0)
    }

    pub(super) fn on_current_demand(&mut self, ctx: &mut Context<'_>, res: &CurrentDemandRes) -> Next {
        let volts = value(&res.evse_present_voltage);
        let amps = value(&res.evse_present_current);
        if let Some(limit) = &res.evse_maximum_current_limit {
            self.limits.current = value(limit);
        }
        if let Some(limit) = &res.evse_maximum_power_limit {
            self.limits.power = value(limit);
        }
        if let Some(limit) = &res.evse_maximum_voltage_limit {
            self.limits.voltage = value(limit);
        }
        self.present_voltage = volts;
        let flow = Flow {
            watts: volts * amps,
            volts,
            amps,
            setpoint: None,
        };
        ctx.log.flow(ctx.now.mono_ms, flow, ctx.vehicle);
        self.receipt_or_loop(ctx, res.receipt_required, res.meter_info.as_ref())
    }

    pub(super) fn on_charging_status(&mut self, ctx: &mut Context<'_>, res: &ChargingStatusRes) -> Next {
        if let Some(limit) = &res.evse_max_current {
            self.limits.current = value(limit);
        }
        let amps = self.limits.current.min(ctx.vehicle.ac_current);
        let amps = if amps < AC_MINIMUM_A { 0.0 } else { amps };
        let phases = f64::from(self.phases(ctx));
        let watts = (amps * 230.0 * phases).min(ctx.vehicle.charge_limit).max(0.0);
        ctx.log.push(Output::Draw(watts));
        let flow = Flow {
            watts,
            volts: 230.0,
            amps: watts / 230.0,
            setpoint: None,
        };
        ctx.log.flow(ctx.now.mono_ms, flow, ctx.vehicle);
        self.receipt_or_loop(ctx, res.receipt_required, res.meter_info.as_ref())
    }

    /// A contract customer signs the meter reading when the station asks for it [V2G2-691].
    fn receipt_or_loop(
        &mut self,
        ctx: &mut Context<'_>,
        required: Option<bool>,
        meter: Option<&MeterInfo>,
    ) -> Next {
        if let (Some(true), Some(meter), Authorisation::Contract(contract)) =
            (required, meter, &ctx.config.authorisation)
        {
            let mut receipt = MeteringReceiptReq {
                id: None,
                session_id: ctx.session_id.clone(),
                sa_schedule_tuple_id: Some(self.schedule.tuple.max(1)),
                meter_info: meter.clone(),
            };
            let signer = SignWith::new(&*contract.signer);
            return match pnc::iso2::sign_metering_receipt(&mut receipt, &Sha2, &signer) {
                Ok(signature) => Next::Send(requests::metering_receipt(receipt, signature)),
                Err(error) => ctx.give_up(
                    codes::CONTRACT_UNUSABLE,
                    signer.explain("the metering receipt could not be signed", &error),
                ),
            };
        }
        self.charge_loop(ctx)
    }

    pub(super) fn on_welding(&mut self, ctx: &mut Context<'_>, res: &WeldingDetectionRes) -> Next {
        self.welding_checks += 1;
        if value(&res.evse_present_voltage).abs() > SAFE_V && self.welding_checks < MAX_WELDING_CHECKS {
            return Next::Repeat(requests::welding_detection(ctx.vehicle));
        }
        Next::Send(requests::session_stop())
    }
}

/// Why the station wants the session to stop, if this answer says so.
pub(super) fn stop_signal(body: &B) -> Option<String> {
    match body {
        B::ChargeParameterDiscoveryRes(res) => match &res.choice_3 {
            ChargeParameterDiscoveryResChoice3::DCEVSEChargeParameter(p) => dc(&p.dc_evse_status),
            ChargeParameterDiscoveryResChoice3::ACEVSEChargeParameter(p) => ac(&p.ac_evse_status),
            ChargeParameterDiscoveryResChoice3::EVSEChargeParameter(_) => None,
        },
        B::CableCheckRes(res) => dc(&res.dc_evse_status),
        B::PreChargeRes(res) => dc(&res.dc_evse_status),
        B::CurrentDemandRes(res) => dc(&res.dc_evse_status),
        B::ChargingStatusRes(res) => ac(&res.ac_evse_status),
        B::PowerDeliveryRes(res) => match &res.choice {
            PowerDeliveryResChoice::DCEVSEStatus(status) => dc(status),
            PowerDeliveryResChoice::ACEVSEStatus(status) => ac(status),
            PowerDeliveryResChoice::EVSEStatus(_) => None,
        },
        _ => None,
    }
}

fn dc(status: &DCEVSEStatus) -> Option<String> {
    match status.evse_status_code {
        DCEVSEStatusCode::EVSEEmergencyShutdown
        | DCEVSEStatusCode::EVSEMalfunction
        | DCEVSEStatusCode::EVSEUtilityInterruptEvent => Some(format!("{:?}", status.evse_status_code)),
        _ if status.evse_notification == EVSENotification::StopCharging => Some("StopCharging".to_owned()),
        _ => None,
    }
}

fn ac(status: &ACEVSEStatus) -> Option<String> {
    if status.rcd {
        return Some("the residual current device tripped".to_owned());
    }
    (status.evse_notification == EVSENotification::StopCharging).then(|| "StopCharging".to_owned())
}
