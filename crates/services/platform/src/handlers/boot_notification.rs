//! BootNotification (B01): a registered station that proved its identity is accepted at once.

use gridlatch_host::now;
use gridlatch_ocpp::{CallError, v21};
use gridlatch_store::BootInfo;
use gridlatch_vocab::{Event, EventSink as _, catalogue};

use crate::state::PlatformState;
use crate::wire::{self, Caller};

pub(crate) async fn handle(
    state: &PlatformState,
    caller: &Caller,
    request: v21::BootNotificationRequest,
) -> Result<v21::BootNotificationResponse, CallError> {
    let station = request.charging_station;
    let boot = BootInfo {
        vendor: clip(station.vendor_name),
        model: clip(station.model),
        serial: station.serial_number.map(clip),
        firmware: station.firmware_version.map(clip),
        reason: request.reason.as_str().to_owned(),
    };
    let message = format!(
        "{} ({} {}) started: {}",
        caller.station, boot.vendor, boot.model, boot.reason
    );
    if let Err(error) = state.store().station_booted(&caller.station, boot, now()).await {
        state.store_failed(Some(&caller.station), "keep a boot notification", &error);
        return Err(wire::internal("the boot notification could not be kept"));
    }
    state.hub().emit(
        Event::new(now(), catalogue::ocpp::BOOT_ACCEPTED, crate::SOURCE, message).station(&caller.station),
    );
    let interval = i64::try_from(state.config().heartbeat.as_secs()).unwrap_or(60);
    Ok(v21::BootNotificationResponse::new(
        now(),
        interval,
        v21::RegistrationStatusEnum::Accepted,
    ))
}

/// Over-long texts are tolerated on the wire; what is kept and shown is bounded.
fn clip(text: String) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}
