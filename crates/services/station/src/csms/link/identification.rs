//! Who may charge, and contracts for vehicles: asked of the platform, answered to the charging side.

use gridlatch_ocpp::{Answer, decode, v21};
use gridlatch_session::evcc::Generation;
use gridlatch_session::provisioning::Action;
use tokio::sync::oneshot;

use super::{Link, Purpose, Registration};
use crate::backend::{Authorization, Identification};
use crate::csms::messages;

impl Link<'_> {
    pub(super) fn authorize(
        &mut self,
        identification: &Identification,
        verdict: oneshot::Sender<Authorization>,
    ) {
        if self.registration != Registration::Accepted {
            let _ = verdict.send(Authorization::Unreachable);
            return;
        }
        let contract = matches!(identification, Identification::Contract { .. });
        let purpose = Purpose::Authorize { verdict, contract };
        if let Err(Purpose::Authorize { verdict, .. }) =
            self.call(messages::authorize(identification), purpose)
        {
            let _ = verdict.send(Authorization::Unreachable);
        }
    }

    pub(super) fn provision(
        &mut self,
        generation: Generation,
        action: Action,
        exi: &[u8],
        answer: oneshot::Sender<Result<Vec<u8>, String>>,
    ) {
        if self.registration != Registration::Accepted {
            let _ = answer.send(Err("the platform has not accepted this station".to_owned()));
            return;
        }
        let message = messages::provision(generation, action, exi);
        if let Err(Purpose::Provision(answer)) = self.call(message, Purpose::Provision(answer)) {
            // Requests of ISO 15118-20 can be longer than OCPP 2.0.1 carries.
            let _ = answer.send(Err(format!(
                "the request of {} bytes cannot be sent over OCPP {}",
                exi.len(),
                self.rpc.version()
            )));
        }
    }

    pub(super) fn verdict(&self, answer: Answer, contract: bool) -> Authorization {
        let payload = match answer {
            Ok(payload) => payload,
            Err(error) => {
                return Authorization::Refused {
                    reason: format!("{error}"),
                };
            }
        };
        let response = match decode::<v21::AuthorizeResponse>(payload) {
            Ok(tolerated) => tolerated.payload,
            Err(error) => {
                return Authorization::Refused {
                    reason: error.to_string(),
                };
            }
        };
        let status = response.id_token_info.status;
        let certificate = response
            .certificate_status
            .filter(|s| *s != v21::AuthorizeCertificateStatusEnum::Accepted);
        if let Some(certificate) = certificate.filter(|_| contract) {
            return Authorization::Refused {
                reason: certificate.as_str().to_owned(),
            };
        }
        if status != v21::AuthorizationStatusEnum::Accepted {
            return Authorization::Refused {
                reason: status.as_str().to_owned(),
            };
        }
        let discharge = match response.allowed_energy_transfer {
            Some(modes) => modes.iter().any(|mode| mode.as_str().contains("BPT")),
            None => self.client.config.discharge_by_default,
        };
        Authorization::Accepted { discharge }
    }
}
