//! ISO 15118-2: what a station does and answers, message by message.

mod charging;
mod payment;

use std::time::Duration;

use gridlatch_vocab::Personal;
use gridlatch_vocab::catalogue::session as codes;
use iso15118::iso2::{self, BodyChoice as B, ResponseCode as R};

use super::common::v2;
use super::policy::{Answer, Authority, Policy};
use super::types::{Clock, Evse, Identity, Output, Step};
use crate::evcc::Generation;
use crate::provisioning::Action;

/// The number of the charging service.
const CHARGING: u16 = 1;

/// The number of the certificate service, and its parameter sets (ISO 15118-2 table 105).
const CERTIFICATE: u16 = 2;
const CERTIFICATE_SETS: [(i16, &str); 2] = [(1, "Installation"), (2, "Update")];

/// What an ISO 15118-2 session remembers.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) offered: Option<iso2::SAScheduleList>,
    pub(super) tuple: u8,
    /// The reading a receipt was asked for.
    pub(super) issued: Option<iso2::MeterInfo>,
    pub(super) receipts: u32,
    pub(super) isolation_valid: bool,
}

impl Policy {
    pub(super) fn prepare_iso2(&mut self, clock: Clock, evse: &Evse, document: &iso2::Document) {
        let iso2::Document::V2GMessage(message) = document else {
            return;
        };
        let Some(body) = &message.body.choice else { return };
        match body {
            B::SessionSetupReq(request) => {
                self.established = true;
                let evcc_id = request
                    .evcc_id
                    .iter()
                    .map(|byte| format!("{byte:02X}"))
                    .collect::<Vec<_>>()
                    .join(":");
                self.notice(codes::ESTABLISHED, "a new session was given its id");
                self.step(Step::Identified {
                    evcc_id: Personal::new(evcc_id),
                });
            }
            B::PaymentServiceSelectionReq(request) => self.select_payment(request),
            B::PaymentDetailsReq(request) => self.payment_details(clock, request),
            B::AuthorizationReq(request) => {
                if self.by_contract {
                    self.verify_authorization_iso2(request, message.header.signature.as_ref());
                } else if self.authority == Authority::NotAsked {
                    self.authority = Authority::Asked;
                    self.outputs.push_back(Output::Authorize(Identity::External));
                }
            }
            B::CertificateInstallationReq(_) => {
                self.ask_for_contract(Generation::Iso2, Action::Install, "CertificateInstallationReq");
            }
            B::CertificateUpdateReq(_) => {
                self.ask_for_contract(Generation::Iso2, Action::Update, "CertificateUpdateReq");
            }
            B::MeteringReceiptReq(request) => self.verify_receipt(request, message),
            other => self.prepare_charging_iso2(evse, other),
        }
    }

    pub(super) fn answer_iso2(
        &mut self,
        clock: Clock,
        evse: &Evse,
        document: &iso2::Document,
        waited: Duration,
    ) -> Option<Answer> {
        let iso2::Document::V2GMessage(message) = document else {
            return None;
        };
        let body = match message.body.choice.as_ref()? {
            B::SessionSetupReq(_) => B::SessionSetupRes(iso2::SessionSetupRes {
                response_code: R::OKNewSessionEstablished,
                evse_id: self.config.evse_id.clone(),
                evse_time_stamp: Some(clock.wall.unix_millis() / 1000),
            }),
            B::ServiceDiscoveryReq(_) => B::ServiceDiscoveryRes(self.services()),
            B::ServiceDetailReq(request) => {
                let certificates = request.service_id == CERTIFICATE && self.offers_provisioning();
                if request.service_id != CHARGING && !certificates {
                    self.refusal = Some(R::FAILEDServiceIDInvalid as u8);
                    return None;
                }
                B::ServiceDetailRes(iso2::ServiceDetailRes {
                    response_code: R::OK,
                    service_id: request.service_id,
                    service_parameter_list: certificates.then(certificate_sets),
                })
            }
            B::PaymentServiceSelectionReq(_) => {
                B::PaymentServiceSelectionRes(iso2::PaymentServiceSelectionRes { response_code: R::OK })
            }
            B::PaymentDetailsReq(_) => B::PaymentDetailsRes(iso2::PaymentDetailsRes {
                response_code: R::OK,
                gen_challenge: self.config.entropy.challenge.to_vec(),
                evse_time_stamp: clock.wall.unix_millis() / 1000,
            }),
            B::AuthorizationReq(_) => return self.answer_authorization(waited),
            B::CertificateInstallationReq(_) | B::CertificateUpdateReq(_) => {
                let answer = self.answer_provisioning(clock, waited);
                if answer.is_none() {
                    self.refusal = Some(R::FAILEDNoCertificateAvailable as u8);
                }
                return answer;
            }
            B::MeteringReceiptReq(_) => B::MeteringReceiptRes(iso2::MeteringReceiptRes {
                response_code: R::OK,
                choice: if self.config.kind.is_dc() {
                    iso2::MeteringReceiptResChoice::DCEVSEStatus(self.dc_status(evse))
                } else {
                    iso2::MeteringReceiptResChoice::ACEVSEStatus(self.ac_status())
                },
            }),
            B::SessionStopReq(_) => B::SessionStopRes(iso2::SessionStopRes { response_code: R::OK }),
            other => return self.answer_charging_iso2(clock, evse, other, waited),
        };
        Some(Answer::with(v2(body)))
    }

    fn services(&self) -> iso2::ServiceDiscoveryRes {
        use iso2::EnergyTransferMode as M;
        let mut options = Vec::new();
        if self.offers_contract() {
            options.push(iso2::PaymentOption::Contract);
        }
        if self.config.eim || options.is_empty() {
            options.push(iso2::PaymentOption::ExternalPayment);
        }
        let modes = if self.config.kind.is_dc() {
            vec![M::DCExtended, M::DCCore]
        } else if self.config.limits.phases >= 3 {
            vec![M::ACThreePhaseCore, M::ACSinglePhaseCore]
        } else {
            vec![M::ACSinglePhaseCore]
        };
        iso2::ServiceDiscoveryRes {
            response_code: R::OK,
            payment_option_list: iso2::PaymentOptionList {
                payment_option: options,
            },
            charge_service: iso2::ChargeService {
                service_id: CHARGING,
                service_name: None,
                service_category: iso2::ServiceCategory::EVCharging,
                service_scope: None,
                free_service: false,
                supported_energy_transfer_mode: iso2::SupportedEnergyTransferMode {
                    energy_transfer_mode: modes,
                },
            },
            service_list: self.offers_provisioning().then(|| iso2::ServiceList {
                service: vec![iso2::Service {
                    service_id: CERTIFICATE,
                    service_name: Some("Certificate".to_owned()),
                    service_category: iso2::ServiceCategory::ContractCertificate,
                    service_scope: None,
                    free_service: true,
                }],
            }),
        }
    }

    pub(super) fn ac_status(&self) -> iso2::ACEVSEStatus {
        iso2::ACEVSEStatus {
            notification_max_delay: 0,
            evse_notification: self.notification(),
            rcd: false,
        }
    }

    pub(super) fn dc_status(&self, evse: &Evse) -> iso2::DCEVSEStatus {
        use iso2::DCEVSEStatusCode as S;
        let code = if self.power_lost(evse) {
            S::EVSEEmergencyShutdown
        } else if self.stop_asked() {
            S::EVSEShutdown
        } else {
            S::EVSEReady
        };
        iso2::DCEVSEStatus {
            notification_max_delay: 0,
            evse_notification: self.notification(),
            evse_isolation_status: Some(if self.iso2.isolation_valid {
                iso2::IsolationLevel::Valid
            } else {
                iso2::IsolationLevel::Invalid
            }),
            evse_status_code: code,
        }
    }

    fn notification(&self) -> iso2::EVSENotification {
        if self.stop_asked() {
            iso2::EVSENotification::StopCharging
        } else {
            iso2::EVSENotification::None
        }
    }
}

/// What the certificate service can do.
fn certificate_sets() -> iso2::ServiceParameterList {
    let set = |(parameter_set_id, word): (i16, &str)| iso2::ParameterSet {
        parameter_set_id,
        parameter: vec![iso2::Parameter {
            name: "Service".to_owned(),
            choice: iso2::ParameterChoice::StringValue(word.to_owned()),
        }],
    };
    iso2::ServiceParameterList {
        parameter_set: CERTIFICATE_SETS.into_iter().map(set).collect(),
    }
}
