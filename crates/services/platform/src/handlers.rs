//! What the platform answers: one file per message, one table to route.

use gridlatch_ocpp::{CallError, ErrorCode, Request, v21};
use serde_json::Value;

use crate::state::PlatformState;
use crate::wire::{self, Caller};

mod authorize;
mod boot_notification;
mod get_15118_ev_certificate;
mod heartbeat;
mod meter_values;
mod notify_ev_charging_needs;
mod notify_report;
mod security_event_notification;
mod sign_certificate;
mod status_notification;
mod transaction_event;

pub(crate) use authorize::resolve;

/// Answers one call of a station.
pub(crate) async fn handle(
    state: &PlatformState,
    caller: &Caller,
    action: &str,
    payload: Value,
) -> Result<Value, CallError> {
    macro_rules! route {
        ($($request:ident => $module:ident),* $(,)?) => {
            match action {
                $(<v21::$request as Request>::ACTION => {
                    let request = wire::read::<v21::$request>(state, caller, payload)?;
                    let response = $module::handle(state, caller, request).await?;
                    wire::answer::<v21::$request>(caller, &response)
                })*
                _ => Err(CallError::new(
                    ErrorCode::NotImplemented,
                    format_args!("{action} is not implemented here"),
                )),
            }
        };
    }
    route! {
        AuthorizeRequest => authorize,
        BootNotificationRequest => boot_notification,
        Get15118EVCertificateRequest => get_15118_ev_certificate,
        HeartbeatRequest => heartbeat,
        MeterValuesRequest => meter_values,
        NotifyEVChargingNeedsRequest => notify_ev_charging_needs,
        NotifyReportRequest => notify_report,
        SecurityEventNotificationRequest => security_event_notification,
        SignCertificateRequest => sign_certificate,
        StatusNotificationRequest => status_notification,
        TransactionEventRequest => transaction_event,
    }
}
