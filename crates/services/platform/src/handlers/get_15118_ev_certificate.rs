//! Get15118EVCertificate (M01, M02): a vehicle's request for a contract goes to whoever provides contracts, and
//! what that says goes back, byte for byte.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gridlatch_host::now;
use gridlatch_ocpp::v21::{
    CertificateActionEnum, Get15118EVCertificateRequest, Get15118EVCertificateResponse,
    Iso15118EVCertificateStatusEnum as Status, StatusInfo,
};
use gridlatch_ocpp::{CallError, ErrorCode};
use gridlatch_vocab::{Code, Event, EventSink as _, catalogue};

use crate::provider::{ProvidedContract, ProvisioningAction};
use crate::state::PlatformState;
use crate::wire::Caller;

/// A provider that says nothing for this long is given up; the vehicle waits 5 s in all.
const PATIENCE: core::time::Duration = core::time::Duration::from_millis(3_900);

/// Longest `exiRequest` passed on, characters of base64. OCPP 2.1 allows half of it; what is a little too long
/// elsewhere is forgiven, here somebody has to read it.
const REQUEST: usize = 22 * 1024;

/// Characters of `additionalInfo`.
const INFO: usize = 512;

pub(crate) async fn handle(
    state: &PlatformState,
    caller: &Caller,
    request: Get15118EVCertificateRequest,
) -> Result<Get15118EVCertificateResponse, CallError> {
    if request.exi_request.len() > REQUEST {
        return Err(CallError::new(
            ErrorCode::FormatViolation,
            format_args!("exiRequest has more than {REQUEST} characters"),
        ));
    }
    let exi = STANDARD.decode(request.exi_request.trim()).map_err(|error| {
        CallError::new(
            ErrorCode::FormatViolation,
            format_args!("exiRequest is no base64: {error}"),
        )
    })?;
    let action = match request.action {
        CertificateActionEnum::Install => ProvisioningAction::Install,
        CertificateActionEnum::Update => ProvisioningAction::Update,
    };
    let Some(provider) = &state.config().contracts else {
        return Ok(refused(
            state,
            caller,
            catalogue::pnc::CONTRACT_NOT_PROVIDED,
            "this platform has no provider of contracts",
            Vec::new(),
        ));
    };
    let asked = provider.get_15118_ev_certificate(request.iso15118_schema_version, action, exi);
    let answer = tokio::time::timeout(PATIENCE, asked).await;
    let Ok(answer) = answer else {
        return Ok(refused(
            state,
            caller,
            catalogue::pnc::CONTRACT_NOT_PROVIDED,
            "the provider of contracts did not answer in the time the vehicle waits",
            Vec::new(),
        ));
    };
    match answer {
        Ok(ProvidedContract { exi, remaining }) => {
            let text = format!(
                "a contract for a vehicle at {}, {remaining} more waiting",
                caller.station
            );
            emit(state, caller, catalogue::provisioning::CONTRACT_DELIVERED, &text);
            let mut response = Get15118EVCertificateResponse::new(STANDARD.encode(exi), Status::Accepted);
            response.remaining_contracts = Some(remaining.into());
            Ok(response)
        }
        Err(refusal) => Ok(refused(
            state,
            caller,
            refusal.code,
            &refusal.message,
            refusal.exi.unwrap_or_default(),
        )),
    }
}

/// A refusal; with the provider's own words for the vehicle where it has any.
fn refused(
    state: &PlatformState,
    caller: &Caller,
    code: Code,
    why: &str,
    exi: Vec<u8>,
) -> Get15118EVCertificateResponse {
    emit(
        state,
        caller,
        code,
        &format!("no contract for a vehicle at {}: {why}", caller.station),
    );
    let mut response = Get15118EVCertificateResponse::new(STANDARD.encode(exi), Status::Failed);
    let mut info = StatusInfo::new("NoContract".to_owned());
    info.additional_info = Some(why.chars().take(INFO).collect());
    response.status_info = Some(info);
    response
}

fn emit(state: &PlatformState, caller: &Caller, code: Code, message: &str) {
    let event = Event::new(now(), code, crate::SOURCE, message).station(&caller.station);
    state.hub().emit(event);
}
