//! NotifyEVChargingNeeds (K15, Q): taken note of; the set-point decides, not a schedule.

use gridlatch_host::now;
use gridlatch_ocpp::{CallError, v21};
use gridlatch_vocab::{Event, EventSink as _, EvseId, catalogue};

use crate::state::PlatformState;
use crate::wire::Caller;

pub(crate) async fn handle(
    state: &PlatformState,
    caller: &Caller,
    request: v21::NotifyEVChargingNeedsRequest,
) -> Result<v21::NotifyEVChargingNeedsResponse, CallError> {
    let evse = EvseId(u16::try_from(request.evse_id).unwrap_or_default());
    let mode = request.charging_needs.requested_energy_transfer.as_str();
    let event = Event::new(
        now(),
        catalogue::platform::CHARGING_NEEDS,
        crate::SOURCE,
        format!("the vehicle at {}, EVSE {evse} asks for {mode}", caller.station),
    );
    state
        .hub()
        .emit(event.station(&caller.station).evse(evse).with("transfer", mode));
    Ok(v21::NotifyEVChargingNeedsResponse::new(
        v21::NotifyEVChargingNeedsStatusEnum::Accepted,
    ))
}
