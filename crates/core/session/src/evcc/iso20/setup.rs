//! ISO 15118-20 from the authorisation to the agreed schedule.

use gridlatch_vocab::catalogue::session as codes;
use iso15118::iso20::common::Processing;
use iso15118::iso20::messages::{self as cm, Document as D};
use iso15118::message::{Message, Outcome};
use iso15118::pnc::{self, GenChallenge, rustcrypto::Sha2};

use super::super::iso2::hex;
use super::super::refusal;
use super::{Iso20, common, header};
use crate::evcc::config::{Authorisation, Control, Energy};
use crate::evcc::contract::{Contract, SignWith};
use crate::evcc::log::Log;
use crate::evcc::output::{Pilot, StepName};
use crate::evcc::policy::{Context, Next};
use crate::evcc::provision;
use crate::physical::{from_iso20 as value, iso20 as number};

/// Schedule entries this vehicle can follow; ISO 15118-20 asks for at least 12.
const SUPPORTING_POINTS: u16 = 1024;

impl Iso20 {
    pub(super) fn on_authorization_setup(
        &mut self,
        ctx: &mut Context<'_>,
        res: &cm::AuthorizationSetupRes,
    ) -> Next {
        let detail = format!("EVSE {}", self.evse_id);
        let fields = vec![
            ("evse_id", self.evse_id.as_str().into()),
            ("session_id", hex(&ctx.session_id).into()),
        ];
        let next = match &ctx.config.authorisation {
            Authorisation::Install(_) => StepName::Contract,
            _ => StepName::Authorisation,
        };
        ctx.done(next, detail, fields);
        match &ctx.config.authorisation {
            Authorisation::Install(wish) => {
                let cm::AuthorizationSetupResChoice::PnCASResAuthorizationMode(mode) = &res.choice else {
                    return ctx.give_up(
                        codes::SERVICE_NOT_OFFERED,
                        "the station offers no Plug & Charge in this session",
                    );
                };
                if !res.certificate_installation_service {
                    return ctx.give_up(
                        codes::SERVICE_NOT_OFFERED,
                        "the station passes on no requests for contracts",
                    );
                }
                self.challenge.clone_from(&mode.gen_challenge);
                match provision::request(ctx, wish) {
                    Ok(request) => {
                        self.authorization = Some(request.clone());
                        Next::Send(request)
                    }
                    Err(fault) => ctx.give_up(fault.code(), format!("the request for a contract: {fault}")),
                }
            }
            Authorisation::Eim if res.authorization_services.contains(&cm::Authorization::EIM) => {
                Next::Send(eim(ctx))
            }
            Authorisation::Eim => ctx.give_up(
                codes::SERVICE_NOT_OFFERED,
                "the station offers no external identification (EIM)",
            ),
            Authorisation::Contract(contract) => {
                let cm::AuthorizationSetupResChoice::PnCASResAuthorizationMode(mode) = &res.choice else {
                    return ctx.give_up(
                        codes::SERVICE_NOT_OFFERED,
                        "the station offers no Plug & Charge in this session",
                    );
                };
                match signed(ctx, contract, &mode.gen_challenge) {
                    Ok(request) => {
                        self.authorization = Some(request.clone());
                        Next::Send(request)
                    }
                    Err(reason) => ctx.give_up(codes::CONTRACT_UNUSABLE, reason),
                }
            }
        }
    }

    pub(super) fn on_installation(
        &mut self,
        ctx: &Context<'_>,
        res: &cm::CertificateInstallationRes,
        response: &Message,
    ) -> Next {
        let Authorisation::Install(wish) = &ctx.config.authorisation else {
            return ctx.give_up(
                codes::STATION_UNEXPECTED,
                "a contract this vehicle did not ask for",
            );
        };
        if res.evse_processing != Processing::Finished
            && let Some(again) = &self.authorization
        {
            return Next::Repeat(again.clone());
        }
        provision::take(ctx, wish, response)
    }

    /// Identifies by the contract that was just installed.
    pub(crate) fn adopted(&mut self, ctx: &mut Context<'_>) -> Next {
        ctx.done(
            StepName::Authorisation,
            "a new contract was installed".to_owned(),
            Vec::new(),
        );
        let Authorisation::Contract(contract) = &ctx.config.authorisation else {
            return ctx.give_up(codes::CONTRACT_UNUSABLE, "there is no contract to identify by");
        };
        match signed(ctx, contract, &self.challenge) {
            Ok(request) => {
                self.authorization = Some(request.clone());
                Next::Send(request)
            }
            Err(reason) => ctx.give_up(codes::CONTRACT_UNUSABLE, reason),
        }
    }

    pub(super) fn on_authorization(&mut self, ctx: &mut Context<'_>, res: &cm::AuthorizationRes) -> Next {
        let response = common(D::AuthorizationRes(res.clone()));
        // A WARNING leaves the session alive but the vehicle unauthorised (ISO 15118-20 clause 8.3.5.3.4).
        if response.outcome() == Some(Outcome::Warning) {
            let spelled = refusal::response_code(&response).unwrap_or_default();
            return Next::GiveUp(refusal::failure(ctx.log.current(), "AuthorizationReq", &spelled));
        }
        if res.evse_processing != Processing::Finished {
            let again = self.authorization.clone();
            return Next::Repeat(again.unwrap_or_else(|| eim(ctx)));
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
        Next::Send(common(D::ServiceDiscoveryReq(cm::ServiceDiscoveryReq {
            header: header(ctx),
            supported_service_i_ds: None,
        })))
    }

    pub(super) fn on_services(&mut self, ctx: &mut Context<'_>, res: &cm::ServiceDiscoveryRes) -> Next {
        // Service ids of ISO 15118-20 Table 204.
        let wanted = match ctx.config.energy {
            Energy::Ac => 1,
            Energy::Dc => 2,
            Energy::DcBpt => 6,
        };
        let offered: Vec<u16> = res
            .energy_transfer_service_list
            .service
            .iter()
            .map(|service| service.service_id)
            .collect();
        if !offered.contains(&wanted) {
            let names: Vec<&str> = offered.iter().map(|id| service_name(*id)).collect();
            return ctx.give_up(
                codes::SERVICE_NOT_OFFERED,
                format!(
                    "the station does not offer {} (service {wanted}); it offers {}",
                    ctx.config.energy.as_str(),
                    names.join(", ")
                ),
            );
        }
        self.service_id = wanted;
        Next::Send(common(D::ServiceDetailReq(cm::ServiceDetailReq {
            header: header(ctx),
            service_id: wanted,
        })))
    }

    /// Selects the parameter set whose control mode is the wanted one, and then keeps to that mode:
    /// selecting one and speaking the other crashes deployed stations.
    pub(super) fn on_service_detail(&mut self, ctx: &mut Context<'_>, res: &cm::ServiceDetailRes) -> Next {
        let sets = &res.service_parameter_list.parameter_set;
        let mode = |set: &cm::ParameterSet| match integer(set, "ControlMode") {
            Some(2) => Control::Dynamic,
            _ => Control::Scheduled,
        };
        let chosen = match ctx.config.control {
            // Mobility needs mode 1: the vehicle states its needs itself.
            Some(wanted) => sets
                .iter()
                .filter(|set| integer(set, "ControlMode").is_none_or(|found| found == wanted.parameter()))
                .min_by_key(|set| integer(set, "MobilityNeedsMode") != Some(1)),
            None => sets.first(),
        };
        let Some(set) = chosen else {
            return ctx.give_up(
                codes::SERVICE_NOT_OFFERED,
                format!(
                    "the station does not offer {} control for this service",
                    self.control.as_str()
                ),
            );
        };
        self.control = match ctx.config.control {
            Some(wanted) => wanted,
            None => mode(set),
        };
        Next::Send(common(D::ServiceSelectionReq(cm::ServiceSelectionReq {
            header: header(ctx),
            selected_energy_transfer_service: cm::SelectedService {
                service_id: self.service_id,
                parameter_set_id: set.parameter_set_id,
            },
            selected_vas_list: None,
        })))
    }

    pub(super) fn parameters(&self, ctx: &Context<'_>) -> Message {
        if ctx.config.energy.is_dc() {
            super::dc::parameters(ctx)
        } else {
            super::ac::parameters(ctx)
        }
    }

    pub(super) fn schedule_exchange(&self, ctx: &Context<'_>) -> Message {
        let target = number(ctx.course.target_request_wh(ctx.vehicle));
        let room = number(ctx.vehicle.room_wh());
        let bpt = ctx.config.energy == Energy::DcBpt;
        let reserve = ctx.vehicle.reserve_wh();
        let choice = match self.control {
            Control::Dynamic => {
                cm::ScheduleExchangeReqChoice::DynamicSEReqControlMode(cm::DynamicSEReqControlMode {
                    departure_time: ctx.course.departure().unwrap_or(24 * 3600),
                    minimum_soc: Some(ctx.vehicle.floor_soc.clamp(0.0, 100.0).round() as u8),
                    target_soc: Some(ctx.course.target_soc()),
                    ev_target_energy_request: target,
                    ev_maximum_energy_request: room,
                    ev_minimum_energy_request: number(if bpt { -reserve } else { 0.0 }),
                    ev_maximum_v2_x_energy_request: bpt.then(|| number(ctx.vehicle.room_wh())),
                    ev_minimum_v2_x_energy_request: bpt.then(|| number(-reserve)),
                })
            }
            Control::Scheduled => {
                cm::ScheduleExchangeReqChoice::ScheduledSEReqControlMode(cm::ScheduledSEReqControlMode {
                    departure_time: Some(ctx.course.departure().unwrap_or(24 * 3600)),
                    ev_target_energy_request: Some(target),
                    ev_maximum_energy_request: Some(room),
                    ev_minimum_energy_request: Some(number(if bpt { -reserve } else { 0.0 })),
                    ev_energy_offer: None,
                })
            }
        };
        common(D::ScheduleExchangeReq(cm::ScheduleExchangeReq {
            header: header(ctx),
            maximum_supporting_points: SUPPORTING_POINTS,
            choice,
        }))
    }

    pub(super) fn on_schedule(&mut self, ctx: &mut Context<'_>, res: &cm::ScheduleExchangeRes) -> Next {
        if res.go_to_pause == Some(true) {
            return ctx.give_up(
                codes::STATION_STOPPED,
                "the station asked to pause before energy flowed",
            );
        }
        if res.evse_processing != Processing::Finished {
            return Next::Repeat(self.schedule_exchange(ctx));
        }
        if let cm::ScheduleExchangeResChoice::ScheduledSEResControlMode(mode) = &res.choice
            && let Some(tuple) = mode.schedule_tuple.first()
        {
            self.schedule_tuple = tuple.schedule_tuple_id;
            self.schedule = tuple
                .charging_schedule
                .power_schedule
                .power_schedule_entries
                .power_schedule_entry
                .iter()
                .map(|entry| (entry.duration, value(&entry.power).max(0.0)))
                .collect();
        }
        let detail = format!(
            "{} {}, {} control",
            service_name(self.service_id),
            self.limits_text(ctx),
            self.control.as_str()
        );
        let fields = vec![
            ("service", self.service_id.into()),
            ("control", self.control.as_str().into()),
        ];
        ctx.done(Log::after_parameters(ctx.config.energy), detail, fields);
        if ctx.config.energy.is_dc() {
            ctx.log.pilot(Pilot::C);
            return Next::Send(super::dc::cable_check(ctx));
        }
        self.start(ctx)
    }

    fn limits_text(&self, ctx: &Context<'_>) -> String {
        let charge = self.limits.charge_power / 1000.0;
        match ctx.config.energy {
            Energy::DcBpt => format!(
                "up to {charge:.1} kW in, {:.1} kW out",
                self.limits.discharge_power / 1000.0
            ),
            Energy::Ac | Energy::Dc => format!("up to {charge:.1} kW"),
        }
    }
}

fn eim(ctx: &Context<'_>) -> Message {
    common(D::AuthorizationReq(cm::AuthorizationReq {
        header: header(ctx),
        selected_authorization_service: cm::Authorization::EIM,
        choice: cm::AuthorizationReqChoice::EIMAReqAuthorizationMode(cm::EIMAReqAuthorizationMode),
    }))
}

/// The `AuthorizationReq` whose `PnC_AReqAuthorizationMode` is signed over the station's challenge.
fn signed(ctx: &Context<'_>, contract: &Contract, challenge: &[u8]) -> Result<Message, String> {
    let challenge = GenChallenge::from_slice(challenge)
        .map_err(|error| format!("the station's challenge is unusable: {error}"))?;
    let mut mode = cm::PnCAReqAuthorizationMode {
        id: String::new(),
        gen_challenge: Vec::new(),
        contract_certificate_chain: cm::ContractCertificateChain {
            certificate: contract.leaf().to_vec(),
            sub_certificates: cm::SubCertificates {
                certificate: contract.sub_certificates(),
            },
        },
    };
    let signer = SignWith::new(&*contract.signer);
    let suite = contract.signer.curve().suite();
    let signature = pnc::iso20::sign_authorization(suite, &mut mode, &challenge, &Sha2, &signer)
        .map_err(|error| signer.explain("the authorisation could not be signed", &error))?;
    let mut head = header(ctx);
    head.signature = Some(signature);
    Ok(common(D::AuthorizationReq(cm::AuthorizationReq {
        header: head,
        selected_authorization_service: cm::Authorization::PnC,
        choice: cm::AuthorizationReqChoice::PnCAReqAuthorizationMode(mode),
    })))
}

fn integer(set: &cm::ParameterSet, name: &str) -> Option<i32> {
    set.parameter
        .iter()
        .find(|parameter| parameter.name == name)
        .and_then(|parameter| match parameter.choice {
            cm::ParameterChoice::IntValue(found) => Some(found),
            cm::ParameterChoice::ShortValue(found) => Some(i32::from(found)),
            cm::ParameterChoice::ByteValue(found) => Some(i32::from(found)),
            _ => None,
        })
}

const fn service_name(id: u16) -> &'static str {
    match id {
        1 => "AC",
        2 => "DC",
        3 => "WPT",
        4 => "DC_ACDP",
        5 => "AC_BPT",
        6 => "DC_BPT",
        7 => "DC_ACDP_BPT",
        8 => "MCS",
        9 => "MCS_BPT",
        _ => "another service",
    }
}
