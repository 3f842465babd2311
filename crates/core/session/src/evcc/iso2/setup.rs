//! ISO 15118-2 from the services to the agreed parameters.

use gridlatch_vocab::catalogue::session as codes;
use iso15118::iso2::{
    AuthorizationReq, AuthorizationRes, ChargeParameterDiscoveryRes, ChargeParameterDiscoveryResChoice2,
    ChargeParameterDiscoveryResChoice3, EVSEProcessing, EnergyTransferMode as Mode, PMaxScheduleEntryChoice,
    PaymentDetailsRes, PaymentOption, ServiceCategory, ServiceDiscoveryRes,
};
use iso15118::pnc::{self, GenChallenge, rustcrypto::Sha2};

use super::{Iso2, Limits, requests};
use crate::evcc::config::{Authorisation, Energy};
use crate::evcc::contract::{Contract, SignWith};
use crate::evcc::log::Log;
use crate::evcc::output::StepName;
use crate::evcc::policy::{Context, Next};
use crate::evcc::provision;
use crate::physical::from_iso2 as value;
use crate::provisioning::Action;

impl Iso2 {
    pub(super) fn on_services(&mut self, ctx: &mut Context<'_>, res: &ServiceDiscoveryRes) -> Next {
        let offered = &res
            .charge_service
            .supported_energy_transfer_mode
            .energy_transfer_mode;
        let wanted: &[Mode] = match (ctx.config.energy, ctx.vehicle.ac_phases) {
            (Energy::Ac, 3) => &[Mode::ACThreePhaseCore, Mode::ACSinglePhaseCore],
            (Energy::Ac, _) => &[Mode::ACSinglePhaseCore, Mode::ACThreePhaseCore],
            (Energy::Dc | Energy::DcBpt, _) => &[Mode::DCExtended, Mode::DCComboCore, Mode::DCCore],
        };
        let Some(mode) = wanted.iter().find(|mode| offered.contains(mode)) else {
            return ctx.give_up(
                codes::SERVICE_NOT_OFFERED,
                format!(
                    "the station does not offer {} charging; it offers {offered:?}",
                    ctx.config.energy.as_str()
                ),
            );
        };
        self.mode = Some(*mode);
        let option = match ctx.config.authorisation {
            Authorisation::Eim => PaymentOption::ExternalPayment,
            Authorisation::Contract(_) | Authorisation::Install(_) => PaymentOption::Contract,
        };
        if !res.payment_option_list.payment_option.contains(&option) {
            return ctx.give_up(
                codes::SERVICE_NOT_OFFERED,
                match ctx.config.authorisation {
                    Authorisation::Eim => "the station offers no external identification (EIM)",
                    Authorisation::Contract(_) | Authorisation::Install(_) => {
                        "the station offers no Plug & Charge in this session"
                    }
                },
            );
        }
        let charging = (res.charge_service.service_id, None);
        let Authorisation::Install(wish) = &ctx.config.authorisation else {
            return Next::Send(requests::payment_selection(option, &[charging]));
        };
        let certificates = res
            .service_list
            .iter()
            .flat_map(|list| &list.service)
            .find(|service| service.service_category == ServiceCategory::ContractCertificate);
        let Some(service) = certificates else {
            return ctx.give_up(
                codes::SERVICE_NOT_OFFERED,
                "the station passes on no requests for contracts",
            );
        };
        let set = match wish.action {
            Action::Install => 1,
            Action::Update => 2,
        };
        Next::Send(requests::payment_selection(
            option,
            &[charging, (service.service_id, Some(set))],
        ))
    }

    pub(super) fn on_payment_selected(&self, ctx: &mut Context<'_>) -> Next {
        match &ctx.config.authorisation {
            Authorisation::Contract(contract) => Next::Send(requests::payment_details(contract)),
            Authorisation::Install(wish) => {
                let request = provision::request(ctx, wish);
                let detail = format!("EVSE {}, asking for a contract", self.evse_id);
                ctx.done(
                    StepName::Contract,
                    detail,
                    vec![("evse_id", self.evse_id.as_str().into())],
                );
                match request {
                    Ok(request) => Next::Send(request),
                    Err(fault) => ctx.give_up(fault.code(), format!("the request for a contract: {fault}")),
                }
            }
            Authorisation::Eim => {
                self.identified(ctx, "external identification");
                Next::Send(requests::authorization_eim())
            }
        }
    }

    pub(super) fn on_payment_details(&mut self, ctx: &mut Context<'_>, res: &PaymentDetailsRes) -> Next {
        let Authorisation::Contract(contract) = &ctx.config.authorisation else {
            return ctx.give_up(codes::STATION_UNEXPECTED, "PaymentDetailsRes without a contract");
        };
        let how = if self.installed {
            "a new contract was installed and accepted"
        } else {
            "contract certificate accepted"
        };
        self.identified(ctx, how);
        match signed(contract, &res.gen_challenge) {
            Ok(request) => {
                self.authorization = Some(request.clone());
                Next::Send(request)
            }
            Err(reason) => ctx.give_up(codes::CONTRACT_UNUSABLE, reason),
        }
    }

    pub(super) fn on_authorization(&mut self, ctx: &mut Context<'_>, res: &AuthorizationRes) -> Next {
        if res.evse_processing != EVSEProcessing::Finished {
            let again = self.authorization.clone();
            return Next::Repeat(again.unwrap_or_else(requests::authorization_eim));
        }
        let (detail, auth) = match ctx.config.authorisation {
            Authorisation::Eim => ("accepted by external identification", "eim"),
            Authorisation::Contract(_) | Authorisation::Install(_) => {
                ("contract and signature accepted (Plug & Charge)", "pnc")
            }
        };
        ctx.done(
            StepName::Parameters,
            detail.to_owned(),
            vec![("auth", auth.into())],
        );
        Next::Send(self.parameters(ctx))
    }

    fn parameters(&self, ctx: &Context<'_>) -> iso15118::message::Message {
        let mode = self.mode.unwrap_or(Mode::DCExtended);
        requests::parameters(ctx.vehicle, ctx.course, mode)
    }

    pub(super) fn on_parameters(&mut self, ctx: &mut Context<'_>, res: &ChargeParameterDiscoveryRes) -> Next {
        if res.evse_processing != EVSEProcessing::Finished {
            return Next::Repeat(self.parameters(ctx));
        }
        match &res.choice_3 {
            ChargeParameterDiscoveryResChoice3::DCEVSEChargeParameter(p) if self.is_dc(ctx) => {
                self.limits = Limits {
                    current: value(&p.evse_maximum_current_limit),
                    power: value(&p.evse_maximum_power_limit),
                    voltage: value(&p.evse_maximum_voltage_limit),
                };
                let needed = ctx.vehicle.battery_voltage;
                if needed > self.limits.voltage || needed < value(&p.evse_minimum_voltage_limit) {
                    return ctx.give_up(
                        codes::SERVICE_NOT_OFFERED,
                        format!(
                            "the battery stands at {needed:.0} V; the station delivers {:.0} to {:.0} V",
                            value(&p.evse_minimum_voltage_limit),
                            self.limits.voltage
                        ),
                    );
                }
            }
            ChargeParameterDiscoveryResChoice3::ACEVSEChargeParameter(p) if !self.is_dc(ctx) => {
                self.limits.current = value(&p.evse_max_current);
                self.limits.voltage = value(&p.evse_nominal_voltage);
            }
            _ => {
                return ctx.give_up(
                    codes::STATION_UNEXPECTED,
                    "the station answered with the parameters of another energy transfer",
                );
            }
        }
        self.take_schedule(res);
        let detail = format!("{}, schedule {}", self.limits_text(ctx), self.schedule.tuple);
        let fields = vec![("schedule", self.schedule.tuple.into())];
        ctx.done(Log::after_parameters(ctx.config.energy), detail, fields);
        self.towards_power(ctx)
    }

    fn take_schedule(&mut self, res: &ChargeParameterDiscoveryRes) {
        if let Some(ChargeParameterDiscoveryResChoice2::SAScheduleList(list)) = &res.choice_2
            && let Some(tuple) = list.sa_schedule_tuple.first()
        {
            self.schedule.tuple = tuple.sa_schedule_tuple_id;
            self.schedule.entries = tuple
                .p_max_schedule
                .p_max_schedule_entry
                .iter()
                .map(|entry| {
                    let start = match &entry.choice {
                        PMaxScheduleEntryChoice::RelativeTimeInterval(interval) => interval.start,
                        PMaxScheduleEntryChoice::TimeInterval(_) => 0,
                    };
                    (start, value(&entry.p_max).max(0.0))
                })
                .collect();
        }
    }

    fn limits_text(&self, ctx: &Context<'_>) -> String {
        if self.is_dc(ctx) {
            format!(
                "DC up to {:.0} V, {:.0} A, {:.1} kW",
                self.limits.voltage,
                self.limits.current,
                self.limits.power / 1000.0
            )
        } else {
            format!(
                "AC {:.0} V, up to {:.0} A per phase",
                self.limits.voltage, self.limits.current
            )
        }
    }
}

/// The `AuthorizationReq` signed over the station's challenge ([V2G2-701], Table 64).
fn signed(contract: &Contract, challenge: &[u8]) -> Result<iso15118::message::Message, String> {
    let challenge = GenChallenge::from_slice(challenge)
        .map_err(|error| format!("the station's challenge is unusable: {error}"))?;
    let mut request = AuthorizationReq {
        id: None,
        gen_challenge: None,
    };
    let signer = SignWith::new(&*contract.signer);
    let signature = pnc::iso2::sign_authorization(&mut request, &challenge, &Sha2, &signer)
        .map_err(|error| signer.explain("the authorisation could not be signed", &error))?;
    Ok(requests::authorization_signed(request, signature))
}
