//! Authorize (C01, C07): tokens by the register, contracts by their certificate chain and the register.

use gridlatch_host::now;
use gridlatch_ocpp::v21::{
    AuthorizationStatusEnum, AuthorizeCertificateStatusEnum, AuthorizeRequest, AuthorizeResponse,
    EnergyTransferModeEnum, IdToken, IdTokenInfo,
};
use gridlatch_ocpp::{CallError, Version};
use gridlatch_store::{TokenRecord, TokenStatus};
use gridlatch_vocab::{Emaid, Event, EventSink as _, Personal, catalogue};

use crate::contract::{self, Judgement};
use crate::state::PlatformState;
use crate::wire::{self, Caller};

pub(crate) async fn handle(
    state: &PlatformState,
    caller: &Caller,
    request: AuthorizeRequest,
) -> Result<AuthorizeResponse, CallError> {
    let token = &request.id_token;
    let (found, mut status) = resolve(state, caller, token).await?;
    let mut reason = format!("the register says {}", status.as_str());
    let mut certificate_status = None;
    if is_contract(token) {
        let judgement = contract::judge(
            &state.config().mo_roots,
            &Personal::new(token.id_token.clone()),
            request.certificate.as_deref(),
            request
                .iso15118_certificate_hash_data
                .as_deref()
                .unwrap_or_default(),
            now(),
            state.config().revocation.as_ref(),
        )
        .await;
        let Judgement {
            status: judged,
            code,
            message,
            path,
        } = judgement;
        certificate_status = Some(judged);
        if judged != AuthorizeCertificateStatusEnum::Accepted {
            // C07: a contract whose chain does not verify cannot charge, whatever the register says.
            if status == AuthorizationStatusEnum::Accepted {
                status = match judged {
                    AuthorizeCertificateStatusEnum::CertificateExpired => AuthorizationStatusEnum::Expired,
                    AuthorizeCertificateStatusEnum::CertificateRevoked => AuthorizationStatusEnum::Blocked,
                    _ => AuthorizationStatusEnum::Invalid,
                };
            }
            let event = Event::new(
                now(),
                code,
                crate::SOURCE,
                format!("at {}: {message}", caller.station),
            );
            state.hub().emit(event.station(&caller.station));
            reason = message;
        } else {
            saw_contract(state, found.as_ref(), &path).await;
        }
        if judged == AuthorizeCertificateStatusEnum::Accepted && status != AuthorizationStatusEnum::Accepted {
            certificate_status = Some(AuthorizeCertificateStatusEnum::ContractCancelled);
        }
    }

    let accepted = status == AuthorizationStatusEnum::Accepted;
    let label = found.as_ref().map_or("unknown", |found| found.label.as_str());
    let (code, message) = if accepted {
        (
            catalogue::platform::AUTHORIZED,
            format!("{label} ({}) may charge at {}", token.r#type, caller.station),
        )
    } else {
        (
            catalogue::platform::AUTHORIZATION_REFUSED,
            format!(
                "{label} ({}) may not charge at {}: {reason}",
                token.r#type, caller.station
            ),
        )
    };
    let event = Event::new(now(), code, crate::SOURCE, message).station(&caller.station);
    state.hub().emit(event.with("status", status.as_str()));

    let mut response = AuthorizeResponse::new(IdTokenInfo::new(status));
    response.certificate_status = certificate_status;
    if accepted && caller.version == Version::V21 {
        let discharge = found.is_some_and(|found| found.discharge);
        response.allowed_energy_transfer = Some(transfers(discharge));
    }
    Ok(response)
}

/// Keeps what a vehicle was seen with: under its reference, never under the contract's id.
async fn saw_contract(state: &PlatformState, found: Option<&TokenRecord>, path: &[Vec<u8>]) {
    let Some(found) = found else { return };
    let holder = format!("with contract {} ({})", found.label, found.reference);
    state.saw_chain("vehicle", &holder, "contract-leaf", path).await;
}

/// Q01: what the contract allows; discharge only where it says so.
fn transfers(discharge: bool) -> Vec<EnergyTransferModeEnum> {
    let mut modes = vec![
        EnergyTransferModeEnum::ACSinglePhase,
        EnergyTransferModeEnum::ACTwoPhase,
        EnergyTransferModeEnum::ACThreePhase,
        EnergyTransferModeEnum::DC,
    ];
    if discharge {
        modes.extend([EnergyTransferModeEnum::ACBPT, EnergyTransferModeEnum::DCBPT]);
    }
    modes
}

fn is_contract(token: &IdToken) -> bool {
    token.r#type.eq_ignore_ascii_case("eMAID")
}

/// Finds a token or contract in the register and says what OCPP calls its state.
pub(crate) async fn resolve(
    state: &PlatformState,
    caller: &Caller,
    token: &IdToken,
) -> Result<(Option<TokenRecord>, AuthorizationStatusEnum), CallError> {
    let found = if is_contract(token) {
        match token.id_token.parse::<Emaid>() {
            Ok(emaid) => state.store().contract_find(&Personal::new(emaid)).await,
            Err(_) => return Ok((None, AuthorizationStatusEnum::Invalid)),
        }
    } else {
        state
            .store()
            .token_find(&Personal::new(token.id_token.clone()), &token.r#type)
            .await
    };
    let found = found.map_err(|error| {
        state.store_failed(Some(&caller.station), "look up a token", &error);
        wire::internal("the register could not be read")
    })?;
    let status = match found.as_ref().map(|found| found.status) {
        None => AuthorizationStatusEnum::Unknown,
        Some(TokenStatus::Blocked) => AuthorizationStatusEnum::Blocked,
        Some(TokenStatus::Active) => AuthorizationStatusEnum::Accepted,
    };
    Ok((found, status))
}
