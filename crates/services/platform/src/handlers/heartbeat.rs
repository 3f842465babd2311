//! Heartbeat (G02).

use gridlatch_host::now;
use gridlatch_ocpp::{CallError, v21};

use crate::state::PlatformState;
use crate::wire::Caller;

pub(crate) async fn handle(
    state: &PlatformState,
    caller: &Caller,
    _request: v21::HeartbeatRequest,
) -> Result<v21::HeartbeatResponse, CallError> {
    if let Err(error) = state.store().station_seen(&caller.station, now()).await {
        state.store_failed(Some(&caller.station), "note a heartbeat", &error);
    }
    Ok(v21::HeartbeatResponse::new(now()))
}
