//! What the platform may ask of the station.

use core::time::Duration;

use gridlatch_ocpp::v21::{
    ClearChargingProfileRequest, GetBaseReportRequest, GetTransactionStatusRequest, GetVariablesRequest,
    MessageTriggerEnum, RequestStartTransactionRequest, RequestStopTransactionRequest, ResetEnum,
    ResetRequest, SetChargingProfileRequest, SetVariablesRequest, TriggerMessageRequest,
    UpdateDynamicScheduleRequest,
};
use gridlatch_ocpp::{Answer, CallError, MessageId, Request, decode};
use gridlatch_vocab::{EvseId, Personal};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::link::{Decided, Link, Then};
use super::messages::{self, outgoing};
use crate::backend::FromPlatform;
use crate::custody::CertificateUse;

/// How long the charging side may take to say yes or no.
const DECISION: Duration = Duration::from_secs(20);
/// Variables per NotifyReport.
const REPORT_PART: usize = 10;

impl Link<'_> {
    /// Answers an action, or `None` when the answer comes later.
    pub(super) fn serve(&mut self, id: &MessageId, action: &str, payload: Value) -> Option<Answer> {
        match action {
            "RequestStartTransaction" => self.start(id, payload).transpose(),
            "RequestStopTransaction" => self.stop(id, payload).transpose(),
            "SetChargingProfile" => self.set_profile(id, payload).transpose(),
            "UpdateDynamicSchedule" => self.update_schedule(id, payload).transpose(),
            "Reset" => self.reset(id, payload).transpose(),
            "ClearChargingProfile" => Some(self.clear_profile(payload)),
            "GetVariables" => Some(self.variables_get(payload)),
            "SetVariables" => Some(self.variables_set(payload)),
            "GetBaseReport" => Some(self.base_report(payload)),
            "GetTransactionStatus" => self.transaction_status(id, payload).transpose(),
            "TriggerMessage" => Some(self.trigger(payload)),
            "CertificateSigned" => Some(self.certificate_signed(payload)),
            "InstallCertificate" => Some(self.install_certificate(payload)),
            "GetInstalledCertificateIds" => Some(self.installed_certificates(payload)),
            "DeleteCertificate" => Some(self.delete_certificate(payload)),
            _ => Some(Err(CallError::not_supported(action))),
        }
    }

    fn start(&mut self, id: &MessageId, payload: Value) -> Result<Option<Value>, CallError> {
        let asked: RequestStartTransactionRequest = read(payload)?;
        if !self.is_accepted() {
            return Ok(Some(rejected("NotAccepted", "the station is not registered yet")));
        }
        let Some(evse) = self.outlet(asked.evse_id) else {
            return Ok(Some(rejected("UnknownEvse", "there is no such outlet")));
        };
        let Ok(remote_start_id) = i32::try_from(asked.remote_start_id) else {
            return Ok(Some(rejected("OutOfRange", "remoteStartId is out of range")));
        };
        if let Some(profile) = asked.charging_profile {
            let installed = self
                .client
                .profiles
                .install(evse.0.into(), profile, gridlatch_host::now());
            if let Err((code, text)) = installed {
                return Ok(Some(rejected(code, &text)));
            }
            self.client.follow_profiles();
        }
        let (accepted, decision) = oneshot::channel();
        self.to_charging(FromPlatform::Start {
            evse,
            remote_start_id,
            token: Personal::new(asked.id_token.id_token),
            kind: asked.id_token.r#type,
            accepted,
        })?;
        self.later(id, decision, |decision| match decision {
            Some(Ok(Some(transaction))) => {
                json!({ "status": "Accepted", "transactionId": transaction.as_str() })
            }
            Some(Ok(None)) => json!({ "status": "Accepted" }),
            Some(Err(reason)) => rejected("Refused", &reason),
            None => rejected("NoDecision", "the charging side did not decide"),
        });
        Ok(None)
    }

    fn stop(&mut self, id: &MessageId, payload: Value) -> Result<Option<Value>, CallError> {
        let asked: RequestStopTransactionRequest = read(payload)?;
        let Ok(transaction) = asked.transaction_id.parse() else {
            return Ok(Some(rejected("UnknownTx", "no such transaction runs here")));
        };
        let (accepted, decision) = oneshot::channel();
        self.to_charging(FromPlatform::Stop {
            transaction,
            accepted,
        })?;
        self.later(id, decision, |decision| match decision {
            Some(true) => json!({ "status": "Accepted" }),
            _ => rejected("UnknownTx", "no such transaction runs here"),
        });
        Ok(None)
    }

    fn set_profile(&mut self, id: &MessageId, payload: Value) -> Result<Option<Value>, CallError> {
        let asked: SetChargingProfileRequest = read(payload)?;
        if asked.evse_id != 0 && self.outlet(Some(asked.evse_id)).is_none() {
            return Ok(Some(rejected("UnknownEvse", "there is no such outlet")));
        }
        let number = asked.charging_profile.id;
        let installed =
            self.client
                .profiles
                .install(asked.evse_id, asked.charging_profile, gridlatch_host::now());
        if let Err((code, text)) = installed {
            return Ok(Some(rejected(code, &text)));
        }
        Ok(self.apply(id, asked.evse_id, Some(number)))
    }

    fn update_schedule(&mut self, id: &MessageId, payload: Value) -> Result<Option<Value>, CallError> {
        let asked: UpdateDynamicScheduleRequest = read(payload)?;
        let number = asked.charging_profile_id;
        let updated = self
            .client
            .profiles
            .update(number, &asked.schedule_update, gridlatch_host::now());
        if let Err((code, text)) = updated {
            return Ok(Some(rejected(code, &text)));
        }
        Ok(self.apply(id, 0, None))
    }

    /// Hands the set-points of the outlets concerned to the charging side and answers with its word.
    /// A profile that the charging side cannot follow is removed again.
    fn apply(&mut self, id: &MessageId, evse: i64, profile: Option<i64>) -> Option<Value> {
        let outlets: Vec<EvseId> = self.client.config.evses.iter().map(|(evse, _)| *evse).collect();
        let now = gridlatch_host::now();
        let mut decisions = Vec::new();
        for outlet in outlets
            .into_iter()
            .filter(|outlet| evse == 0 || evse == i64::from(outlet.0))
        {
            let (setpoint, _) = self.client.profiles.setpoint(outlet, now);
            if self.client.setpoints.get(&outlet).copied().flatten() == setpoint {
                continue;
            }
            let (accepted, decision) = oneshot::channel();
            if let Err(error) = self.to_charging(FromPlatform::Setpoint {
                evse: outlet,
                setpoint,
                accepted,
            }) {
                if let Some(profile) = profile {
                    self.client.profiles.remove(profile);
                }
                return Some(rejected("Busy", &error.description));
            }
            self.client.setpoints.insert(outlet, setpoint);
            decisions.push(decision);
        }
        self.client.follow_profiles();
        let id = id.clone();
        self.commands.spawn(async move {
            let refusal = profile.map_or(Then::Nothing, Then::Forget);
            for decision in decisions {
                let answer = match timeout(DECISION, decision).await {
                    Ok(Ok(Ok(()))) => continue,
                    Ok(Ok(Err(reason))) => rejected("CannotFollow", &reason),
                    _ => rejected("NoDecision", "the charging side did not decide"),
                };
                return Decided {
                    id,
                    answer: Ok(answer),
                    then: refusal,
                };
            }
            Decided {
                id,
                answer: Ok(json!({ "status": "Accepted" })),
                then: Then::Nothing,
            }
        });
        None
    }

    fn clear_profile(&mut self, payload: Value) -> Answer {
        let asked: ClearChargingProfileRequest = read(payload)?;
        let cleared = self.client.profiles.clear(
            asked.charging_profile_id,
            asked.charging_profile_criteria.as_ref(),
        );
        self.client.follow_profiles();
        Ok(json!({ "status": if cleared { "Accepted" } else { "Unknown" } }))
    }

    fn reset(&mut self, id: &MessageId, payload: Value) -> Result<Option<Value>, CallError> {
        let asked: ResetRequest = read(payload)?;
        if asked.evse_id.is_some_and(|evse| evse != 0) {
            return Ok(Some(rejected(
                "UnsupportedEvse",
                "only the whole station can be reset",
            )));
        }
        let immediate = match asked.r#type {
            ResetEnum::Immediate => true,
            ResetEnum::OnIdle => false,
            ResetEnum::ImmediateAndResume => {
                return Ok(Some(rejected(
                    "UnsupportedReset",
                    "transactions cannot be resumed",
                )));
            }
        };
        let (accepted, decision) = oneshot::channel();
        self.to_charging(FromPlatform::Reset { immediate, accepted })?;
        let id = id.clone();
        self.commands.spawn(async move {
            let decision = timeout(DECISION, decision).await;
            let (answer, then) = match decision {
                Ok(Ok(true)) => (json!({ "status": "Accepted" }), Then::Reboot),
                _ => (rejected("TxInProgress", "a transaction runs"), Then::Nothing),
            };
            Decided {
                id,
                answer: Ok(answer),
                then,
            }
        });
        Ok(None)
    }

    fn variables_get(&self, payload: Value) -> Answer {
        let asked: GetVariablesRequest = read(payload)?;
        let results = asked
            .get_variable_data
            .into_iter()
            .map(|asked| self.client.variables.get(asked));
        let response = gridlatch_ocpp::v21::GetVariablesResponse::new(results.collect());
        Ok(Value::Object(gridlatch_ocpp::Payload::write(&response)))
    }

    fn variables_set(&mut self, payload: Value) -> Answer {
        let asked: SetVariablesRequest = read(payload)?;
        let results: Vec<_> = asked
            .set_variable_data
            .into_iter()
            .map(|asked| self.client.variables.set(asked))
            .collect();
        if self.is_accepted() {
            self.reset_beat();
        }
        let response = gridlatch_ocpp::v21::SetVariablesResponse::new(results);
        Ok(Value::Object(gridlatch_ocpp::Payload::write(&response)))
    }

    fn base_report(&mut self, payload: Value) -> Answer {
        use gridlatch_ocpp::v21::{NotifyReportRequest, ReportBaseEnum};
        let asked: GetBaseReportRequest = read(payload)?;
        let writable = match asked.report_base {
            ReportBaseEnum::FullInventory => false,
            ReportBaseEnum::ConfigurationInventory => true,
            ReportBaseEnum::SummaryInventory => return Ok(json!({ "status": "NotSupported" })),
        };
        let report = self.client.variables.report(writable);
        let parts: Vec<_> = report.chunks(REPORT_PART).map(<[_]>::to_vec).collect();
        let last = parts.len().saturating_sub(1);
        for (index, part) in parts.into_iter().enumerate() {
            let number = i64::try_from(index).unwrap_or(0);
            let mut report = NotifyReportRequest::new(gridlatch_host::now(), asked.request_id, number);
            report.tbc = Some(index < last);
            report.report_data = Some(part);
            self.after.push(outgoing(&report));
        }
        Ok(json!({ "status": "Accepted" }))
    }

    fn transaction_status(&mut self, id: &MessageId, payload: Value) -> Result<Option<Value>, CallError> {
        let asked: GetTransactionStatusRequest = read(payload)?;
        let running = asked
            .transaction_id
            .map(|transaction| self.client.transactions.is_running(&transaction));
        let (store, queue) = self.client.transactions.queue();
        let id = id.clone();
        self.commands.spawn(async move {
            let answer = match store.outbox_count(&queue).await {
                Ok(waiting) => {
                    let mut answer = json!({ "messagesInQueue": waiting > 0 });
                    if let Some(running) = running {
                        answer["ongoingIndicator"] = running.into();
                    }
                    Ok(answer)
                }
                Err(error) => Err(CallError::internal(error)),
            };
            Decided {
                id,
                answer,
                then: Then::Nothing,
            }
        });
        Ok(None)
    }

    fn trigger(&mut self, payload: Value) -> Answer {
        let asked: TriggerMessageRequest = read(payload)?;
        let status = match asked.requested_message {
            MessageTriggerEnum::BootNotification if self.is_accepted() => "Rejected",
            MessageTriggerEnum::BootNotification => {
                self.boot();
                "Accepted"
            }
            MessageTriggerEnum::Heartbeat => {
                self.heartbeat();
                "Accepted"
            }
            MessageTriggerEnum::StatusNotification => {
                let wanted = asked.evse.map(|evse| evse.id);
                let known = self.client.connectors.iter();
                let told: Vec<_> = known
                    .filter(|((evse, _), _)| wanted.is_none_or(|wanted| wanted == i64::from(evse.0)))
                    .map(|((evse, connector), (at, status))| {
                        messages::status(*evse, *connector, *at, *status)
                    })
                    .collect();
                self.after.extend(told);
                "Accepted"
            }
            MessageTriggerEnum::SignChargingStationCertificate => {
                self.trigger_signing(CertificateUse::Platform)
            }
            MessageTriggerEnum::SignV2GCertificate => self.trigger_signing(CertificateUse::Vehicle),
            MessageTriggerEnum::SignV2G20Certificate => self.trigger_signing(CertificateUse::Vehicle20),
            _ => "NotImplemented",
        };
        Ok(json!({ "status": status }))
    }

    fn outlet(&self, evse: Option<i64>) -> Option<EvseId> {
        let evses = &self.client.config.evses;
        match evse {
            None => evses.first().map(|(evse, _)| *evse),
            Some(wanted) => evses
                .iter()
                .map(|(evse, _)| *evse)
                .find(|evse| i64::from(evse.0) == wanted),
        }
    }

    /// Answers when the charging side has decided.
    fn later<T: Send + 'static>(
        &mut self,
        id: &MessageId,
        decision: oneshot::Receiver<T>,
        answer: impl FnOnce(Option<T>) -> Value + Send + 'static,
    ) {
        let id = id.clone();
        self.commands.spawn(async move {
            let decision = timeout(DECISION, decision).await.ok().and_then(Result::ok);
            Decided {
                id,
                answer: Ok(answer(decision)),
                then: Then::Nothing,
            }
        });
    }
}

/// The schemas of 2.1 take what 2.0.1 sends; the frame was checked against its own version before.
pub(super) fn read<R: Request>(payload: Value) -> Result<R, CallError> {
    decode::<R>(payload)
        .map(|tolerated| tolerated.payload)
        .map_err(|error| error.to_call_error())
}

pub(super) fn rejected(code: &str, text: &str) -> Value {
    let short: String = text.chars().take(500).collect();
    json!({ "status": "Rejected", "statusInfo": { "reasonCode": code, "additionalInfo": short } })
}
