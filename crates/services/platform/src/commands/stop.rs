//! RequestStopTransaction (F03).

use gridlatch_ocpp::v21::{RequestStartStopStatusEnum, RequestStopTransactionRequest};
use gridlatch_vocab::{StationId, TransactionId};

use super::{CommandError, CommandOutcome};
use crate::state::PlatformState;

pub(super) async fn run(
    state: &PlatformState,
    station: &StationId,
    transaction: &TransactionId,
) -> Result<CommandOutcome, CommandError> {
    let request = RequestStopTransactionRequest::new(transaction.as_str().to_owned());
    let response = state.ask(station, &request).await?;
    if response.status != RequestStartStopStatusEnum::Accepted {
        return Err(CommandError::refused(
            "RequestStopTransaction",
            response.status.as_str(),
            response.status_info,
        ));
    }
    Ok(CommandOutcome {
        status: response.status.as_str().to_owned(),
        transaction: Some(transaction.clone()),
        ..CommandOutcome::default()
    })
}
