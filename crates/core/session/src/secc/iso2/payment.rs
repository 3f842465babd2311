//! ISO 15118-2: payment selection, Plug & Charge, metering receipts.

use std::time::Duration;

use gridlatch_vocab::catalogue::{pnc as codes, session};
use iso15118::iso2::{self, BodyChoice as B, ResponseCode as R};
use iso15118::pnc::rustcrypto::Sha2;
use iso15118::pnc::{self, GenChallenge};
use iso15118::session::SessionId;

use super::super::common::v2;
use super::super::contract;
use super::super::policy::{Answer, Authority, Policy, Wait};
use super::super::types::{Clock, ContractFault, Identity, Output};
use super::{CERTIFICATE, CHARGING};

impl Policy {
    pub(super) fn select_payment(&mut self, request: &iso2::PaymentServiceSelectionReq) {
        const NAME: &str = "PaymentServiceSelectionReq";
        let offered = match request.selected_payment_option {
            iso2::PaymentOption::Contract => self.offers_contract(),
            iso2::PaymentOption::ExternalPayment => self.config.eim || !self.offers_contract(),
        };
        if !offered {
            let code = R::FAILEDPaymentSelectionInvalid as u8;
            self.reject(
                code,
                session::REQUEST_REFUSED,
                NAME,
                "the vehicle selected a payment option this station did not offer",
            );
        } else if !request
            .selected_service_list
            .selected_service
            .iter()
            .any(|s| s.service_id == CHARGING)
        {
            let code = R::FAILEDNoChargeServiceSelected as u8;
            self.reject(
                code,
                session::REQUEST_REFUSED,
                NAME,
                "the vehicle did not select the charging service",
            );
        } else if request
            .selected_service_list
            .selected_service
            .iter()
            .any(|s| s.service_id != CHARGING && !(s.service_id == CERTIFICATE && self.offers_provisioning()))
        {
            let code = R::FAILEDServiceSelectionInvalid as u8;
            self.reject(
                code,
                session::REQUEST_REFUSED,
                NAME,
                "the vehicle selected a service this station did not offer",
            );
        } else {
            self.by_contract = request.selected_payment_option == iso2::PaymentOption::Contract;
        }
    }

    pub(super) fn payment_details(&mut self, clock: Clock, request: &iso2::PaymentDetailsReq) {
        let sent = &request.contract_signature_cert_chain;
        let subs = sent
            .sub_certificates
            .as_ref()
            .map(|subs| subs.certificate.as_slice())
            .unwrap_or_default();
        let chain = std::iter::once(&sent.certificate).chain(subs).cloned().collect();
        let check = self.config.contracts.clone();
        match contract::examine(chain, Some(&request.e_maid), check.as_deref(), clock.wall) {
            Ok(contract) => self.contract = Some(contract),
            Err(refused) => {
                let code = match refused.fault {
                    ContractFault::Expired => R::FAILEDCertificateExpired,
                    ContractFault::Revoked => R::FAILEDCertificateRevoked,
                    ContractFault::Chain => R::FAILEDCertChainError,
                };
                self.reject(code as u8, refused.code, "PaymentDetailsReq", &refused.message);
            }
        }
    }

    pub(super) fn verify_authorization_iso2(
        &mut self,
        request: &iso2::AuthorizationReq,
        signature: Option<&iso2::Signature>,
    ) {
        const NAME: &str = "AuthorizationReq";
        // A repeated request while the platform is asked carries the same signature; it is verified
        // once, and only a verified one leads to a question to the platform.
        if self.authority != Authority::NotAsked {
            return;
        }
        let Some(contract) = &self.contract else {
            self.reject(
                R::FAILEDSequenceError as u8,
                session::OUT_OF_SEQUENCE,
                NAME,
                "there is no contract to authorise",
            );
            return;
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
        match pnc::iso2::verify_authorization(request, signature, &challenge, &Sha2, &contract.key) {
            Ok(()) => {
                let identity = Identity::Contract {
                    emaid: contract.emaid.clone(),
                    chain: contract.chain.clone(),
                };
                self.authority = Authority::Asked;
                self.outputs.push_back(Output::Authorize(identity));
            }
            Err(error) if contract::is_challenge_fault(&error) => {
                self.reject(
                    R::FAILEDChallengeInvalid as u8,
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

    pub(super) fn answer_authorization(&mut self, waited: Duration) -> Option<Answer> {
        use iso2::EVSEProcessing as P;
        let processing = match self.authority_verdict(waited) {
            Wait::Hold => return Some(Answer::Hold),
            Wait::Ongoing => P::Ongoing,
            Wait::Done(Ok(())) => {
                if self.by_contract {
                    self.notice(
                        codes::AUTHORIZED,
                        "the contract, its signature and the platform agree",
                    );
                }
                P::Finished
            }
            Wait::Done(Err(reason)) => {
                let code = match reason.as_str() {
                    "CertificateRevoked" => R::FAILEDCertificateRevoked,
                    "CertificateExpired" => R::FAILEDCertificateExpired,
                    "CertChainError" => R::FAILEDCertChainError,
                    "ContractCancelled" => R::FAILEDContractCanceled,
                    _ if self.by_contract => R::FAILEDCertificateNotAllowedAtThisEVSE,
                    _ => R::FAILED,
                };
                self.refusal = Some(code as u8);
                return None;
            }
        };
        Some(Answer::with(v2(B::AuthorizationRes(iso2::AuthorizationRes {
            response_code: R::OK,
            evse_processing: processing,
        }))))
    }

    pub(super) fn verify_receipt(&mut self, request: &iso2::MeteringReceiptReq, message: &iso2::V2GMessage) {
        let verdict = match (&self.contract, &self.iso2.issued, &message.header.signature) {
            (Some(contract), Some(issued), Some(signature)) => {
                SessionId::from_slice(&message.header.session_id)
                    .map_err(|error| format!("{error:?}"))
                    .and_then(|id| {
                        pnc::iso2::verify_metering_receipt(
                            request,
                            signature,
                            issued,
                            id,
                            &Sha2,
                            &contract.key,
                        )
                        .map_err(|error| error.to_string())
                    })
            }
            (_, None, _) => Err("no receipt was asked for".to_owned()),
            (_, _, None) => Err("the receipt is not signed".to_owned()),
            (None, ..) => Err("there is no contract".to_owned()),
        };
        match verdict {
            Ok(()) => self.iso2.issued = None,
            Err(why) => self.reject(
                R::FAILEDMeteringSignatureNotValid as u8,
                codes::RECEIPT_INVALID,
                "MeteringReceiptReq",
                &why,
            ),
        }
    }
}
