//! StatusNotification (G01).

use gridlatch_ocpp::{CallError, ErrorCode, v21};
use gridlatch_vocab::{ConnectorId, EvseId};

use crate::state::PlatformState;
use crate::wire::{self, Caller};

/// How many connectors one station may report.
const CONNECTORS: i64 = 200;

pub(crate) async fn handle(
    state: &PlatformState,
    caller: &Caller,
    request: v21::StatusNotificationRequest,
) -> Result<v21::StatusNotificationResponse, CallError> {
    let (Ok(evse), Ok(connector)) = (
        u16::try_from(request.evse_id),
        u16::try_from(request.connector_id),
    ) else {
        return Err(CallError::new(
            ErrorCode::PropertyConstraintViolation,
            "evseId or connectorId is out of range",
        ));
    };
    let failed = |error| {
        state.store_failed(Some(&caller.station), "keep a connector's state", &error);
        wire::internal("the state could not be kept")
    };
    let count = state
        .store()
        .connector_count(&caller.station)
        .await
        .map_err(failed)?;
    if count >= CONNECTORS {
        return Err(CallError::new(
            ErrorCode::OccurrenceConstraintViolation,
            "more connectors than a station may report",
        ));
    }
    state
        .store()
        .connector_status(
            &caller.station,
            EvseId(evse),
            ConnectorId(connector),
            request.connector_status.as_str(),
            request.timestamp,
        )
        .await
        .map_err(failed)?;
    Ok(v21::StatusNotificationResponse::new())
}
