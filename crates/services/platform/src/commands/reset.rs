//! Reset (B11, B12).

use gridlatch_ocpp::v21::{ResetEnum, ResetRequest, ResetStatusEnum};
use gridlatch_vocab::StationId;

use super::{CommandError, CommandOutcome};
use crate::state::PlatformState;

pub(super) async fn run(
    state: &PlatformState,
    station: &StationId,
    immediate: bool,
) -> Result<CommandOutcome, CommandError> {
    let kind = if immediate {
        ResetEnum::Immediate
    } else {
        ResetEnum::OnIdle
    };
    let response = state.ask(station, &ResetRequest::new(kind)).await?;
    if response.status == ResetStatusEnum::Rejected {
        return Err(CommandError::refused(
            "Reset",
            response.status.as_str(),
            response.status_info,
        ));
    }
    Ok(CommandOutcome {
        status: response.status.as_str().to_owned(),
        ..CommandOutcome::default()
    })
}
