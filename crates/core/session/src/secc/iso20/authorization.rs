//! ISO 15118-20: authorisation by contract or externally.

use std::time::Duration;

use gridlatch_vocab::catalogue::{pnc as codes, session};
use iso15118::iso20::common::{MessageHeader, Processing, ResponseCode as R};
use iso15118::iso20::messages::{self as m, Document as D};
use iso15118::message::Message;
use iso15118::pnc::rustcrypto::Sha2;
use iso15118::pnc::{self, GenChallenge, iso20::SUITES};

use super::super::common::v20;
use super::super::contract;
use super::super::policy::{Answer, Authority, Policy, Wait};
use super::super::types::{Clock, ContractFault, Identity, Output};

const NAME: &str = "AuthorizationReq";

impl Policy {
    pub(super) fn authorization_setup(&self, header: MessageHeader) -> m::AuthorizationSetupRes {
        let mut services = Vec::new();
        if self.offers_contract() {
            services.push(m::Authorization::PnC);
        }
        if self.config.eim || services.is_empty() {
            services.push(m::Authorization::EIM);
        }
        let choice = if self.offers_contract() {
            m::AuthorizationSetupResChoice::PnCASResAuthorizationMode(m::PnCASResAuthorizationMode {
                gen_challenge: self.config.entropy.challenge.to_vec(),
                supported_providers: None,
            })
        } else {
            m::AuthorizationSetupResChoice::EIMASResAuthorizationMode(m::EIMASResAuthorizationMode)
        };
        m::AuthorizationSetupRes {
            header,
            response_code: R::OK,
            authorization_services: services,
            certificate_installation_service: self.offers_provisioning(),
            choice,
        }
    }

    pub(super) fn authorization_request(&mut self, clock: Clock, request: &m::AuthorizationReq) {
        if self.authority != Authority::NotAsked {
            return;
        }
        match (&request.selected_authorization_service, &request.choice) {
            (m::Authorization::EIM, m::AuthorizationReqChoice::EIMAReqAuthorizationMode(_))
                if self.config.eim || !self.offers_contract() =>
            {
                // A contract may have been tried and warned of before; it is not what is authorised now.
                self.by_contract = false;
                self.authority = Authority::Asked;
                self.outputs.push_back(Output::Authorize(Identity::External));
            }
            (m::Authorization::PnC, m::AuthorizationReqChoice::PnCAReqAuthorizationMode(mode))
                if self.offers_contract() =>
            {
                self.by_contract = true;
                self.contract_request(clock, mode, request.header.signature.as_ref());
            }
            _ => {
                let code = R::WARNINGAuthorizationSelectionInvalid as u8;
                self.reject(
                    code,
                    session::REQUEST_REFUSED,
                    NAME,
                    "the vehicle selected an authorisation this station did not offer",
                );
            }
        }
    }

    fn contract_request(
        &mut self,
        clock: Clock,
        mode: &m::PnCAReqAuthorizationMode,
        signature: Option<&iso15118::iso20::common::Signature>,
    ) {
        let sent = &mode.contract_certificate_chain;
        let chain = std::iter::once(&sent.certificate)
            .chain(&sent.sub_certificates.certificate)
            .cloned()
            .collect();
        let check = self.config.contracts.clone();
        let contract = match contract::examine(chain, None, check.as_deref(), clock.wall) {
            Ok(contract) => contract,
            Err(refused) => {
                let code = match refused.fault {
                    ContractFault::Expired => R::WARNINGCertificateExpired,
                    ContractFault::Revoked => R::WARNINGCertificateRevoked,
                    ContractFault::Chain => R::WARNINGCertificateValidationError,
                };
                self.reject(code as u8, refused.code, NAME, &refused.message);
                return;
            }
        };
        let Some(signature) = signature else {
            self.reject(
                R::FAILEDSignatureError as u8,
                codes::SIGNATURE_INVALID,
                NAME,
                "the request is not signed",
            );
            return;
        };
        let challenge = GenChallenge::new(self.config.entropy.challenge);
        match pnc::iso20::verify_authorization(mode, signature, &challenge, SUITES, &Sha2, &contract.key) {
            Ok(()) => {
                self.authority = Authority::Asked;
                self.outputs.push_back(Output::Authorize(Identity::Contract {
                    emaid: contract.emaid.clone(),
                    chain: contract.chain.clone(),
                }));
                self.contract = Some(contract);
            }
            Err(error) if contract::is_challenge_fault(&error) => {
                self.reject(
                    R::WARNINGChallengeInvalid as u8,
                    codes::CHALLENGE_INVALID,
                    NAME,
                    &error.to_string(),
                );
            }
            Err(error) => {
                self.reject(
                    R::FAILEDSignatureError as u8,
                    codes::SIGNATURE_INVALID,
                    NAME,
                    &error.to_string(),
                );
            }
        }
    }

    pub(super) fn authorization_answer(&mut self, clock: Clock, waited: Duration) -> Option<Answer> {
        let processing = match self.authority_verdict(waited) {
            Wait::Hold => return Some(Answer::Hold),
            Wait::Ongoing => Processing::Ongoing,
            Wait::Done(Ok(())) => {
                if self.by_contract {
                    self.notice(
                        codes::AUTHORIZED,
                        "the contract, its signature and the platform agree",
                    );
                }
                Processing::Finished
            }
            Wait::Done(Err(reason)) => {
                let code = match reason.as_str() {
                    "CertificateRevoked" => R::WARNINGCertificateRevoked,
                    "CertificateExpired" => R::WARNINGCertificateExpired,
                    "CertChainError" => R::WARNINGCertificateValidationError,
                    _ if self.by_contract => R::WARNINGGeneralPnCAuthorizationError,
                    _ => R::WARNINGEIMAuthorizationFailure,
                };
                self.refusal = Some(code as u8);
                return None;
            }
        };
        Some(Answer::with(Message::Iso20(Box::new(D::AuthorizationRes(
            m::AuthorizationRes {
                header: v20(clock),
                response_code: R::OK,
                evse_processing: processing,
            },
        )))))
    }
}
