//! RequestStartTransaction (F01).

use gridlatch_host::now;
use gridlatch_ocpp::v21::{IdToken, RequestStartStopStatusEnum, RequestStartTransactionRequest};
use gridlatch_store::TokenStatus;
use gridlatch_vocab::{EvseId, Personal, StationId, catalogue};

use super::{CommandError, CommandOutcome};
use crate::state::PlatformState;

pub(super) async fn run(
    state: &PlatformState,
    station: &StationId,
    evse: EvseId,
    token: Option<(Personal<String>, String)>,
) -> Result<CommandOutcome, CommandError> {
    let number = state.next_number();
    let (token, kind) = match token {
        Some(given) => given,
        None => {
            let failed = || CommandError::new(catalogue::platform::STORE_FAILED, "a token could not be made");
            let uuid = crate::connection::random_uuid().ok_or_else(failed)?;
            let token = Personal::new(format!("remote-{uuid}"));
            // The operator starts it, so the operator's own one-time token pays for it.
            state
                .store()
                .token_put(&token, "Central", TokenStatus::Active, true, now())
                .await
                .map_err(|error| {
                    state.store_failed(Some(station), "make a token", &error);
                    failed()
                })?;
            (token, "Central".to_owned())
        }
    };
    let mut request = RequestStartTransactionRequest::new(IdToken::new(token.reveal().clone(), kind), number);
    request.evse_id = Some(i64::from(evse.0));
    let response = state.ask(station, &request).await?;
    if response.status != RequestStartStopStatusEnum::Accepted {
        return Err(CommandError::refused(
            "RequestStartTransaction",
            response.status.as_str(),
            response.status_info,
        ));
    }
    Ok(CommandOutcome {
        status: response.status.as_str().to_owned(),
        transaction: response.transaction_id.and_then(|id| id.parse().ok()),
        number: Some(number),
        ..CommandOutcome::default()
    })
}
