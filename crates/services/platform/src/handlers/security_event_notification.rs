//! SecurityEventNotification (A04): the station's own security events join ours.

use gridlatch_ocpp::{CallError, v21};
use gridlatch_vocab::{Event, EventSink as _, catalogue};

use crate::state::PlatformState;
use crate::wire::Caller;

pub(crate) async fn handle(
    state: &PlatformState,
    caller: &Caller,
    request: v21::SecurityEventNotificationRequest,
) -> Result<v21::SecurityEventNotificationResponse, CallError> {
    let clip = |text: String| -> String { text.chars().filter(|c| !c.is_control()).take(255).collect() };
    let kind = clip(request.r#type);
    let event = Event::new(
        request.timestamp,
        catalogue::platform::STATION_SECURITY_EVENT,
        crate::SOURCE,
        format!("{} reports {kind}", caller.station),
    );
    let info = request.tech_info.map(clip).unwrap_or_default();
    state.hub().emit(
        event
            .station(&caller.station)
            .with("type", kind)
            .with("info", info),
    );
    Ok(v21::SecurityEventNotificationResponse::new())
}
