//! From an HTTP request to an OCPP connection: who is it, may it connect, which version.

use std::sync::atomic::Ordering;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, Path, State, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use gridlatch_host::now;
use gridlatch_ocpp::Version;
use gridlatch_vocab::{Code, Event, EventSink as _, StationId, catalogue};

use crate::connection;
use crate::listener::Arrival;
use crate::registry::Strength;
use crate::revocation;
use crate::state::PlatformState;
use crate::wire::Caller;

/// Read buffer of a connection: with the default of 128 KiB a thousand idle stations cost 18 times the
/// memory and 3.5 times the CPU.
const READ_BUFFER: usize = 4096;
/// Versions in the order we prefer them.
const VERSIONS: [Version; 2] = [Version::V21, Version::V201];

pub(crate) async fn upgrade(
    State(state): State<PlatformState>,
    ConnectInfo(arrival): ConnectInfo<Arrival>,
    Path(id): Path<String>,
    request: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let refuse = |status: StatusCode, code: Code, station: Option<&StationId>, message: String| {
        let mut event = Event::new(now(), code, crate::SOURCE, message);
        event.station = station.cloned();
        if let Some(peer) = &arrival.peer {
            event = event.with("peer", peer.address.to_string());
        }
        state.hub().emit(event);
        status.into_response()
    };
    let Ok(request) = request else {
        let message = "a request that does not ask for a WebSocket".to_owned();
        return refuse(
            StatusCode::UPGRADE_REQUIRED,
            catalogue::platform::CONNECTION_REFUSED,
            None,
            message,
        );
    };
    let Ok(station) = id.parse::<StationId>() else {
        let message = "the path does not end in a charging station id".to_owned();
        return refuse(
            StatusCode::NOT_FOUND,
            catalogue::platform::STATION_UNKNOWN,
            None,
            message,
        );
    };

    let name = arrival.peer.as_ref().and_then(|peer| peer.common_name.as_deref());
    let strength = match name {
        // A00.FR.405: the common name is the identity, whole and exact.
        Some(name) if name == station.as_str() => Strength::Certificate,
        Some(name) => {
            let message = format!("the certificate of {name:?} was used to connect as {station}");
            let code = catalogue::platform::IDENTITY_MISMATCH;
            return refuse(StatusCode::FORBIDDEN, code, Some(&station), message);
        }
        None if state.config().allow_plaintext => Strength::Claimed,
        None => {
            let message = format!("{station} presented no certificate");
            let code = catalogue::platform::IDENTITY_MISMATCH;
            return refuse(StatusCode::FORBIDDEN, code, Some(&station), message);
        }
    };
    match state.store().station_exists(&station).await {
        Ok(true) => {}
        Ok(false) => {
            let message = format!("{station} is not registered");
            let code = catalogue::platform::STATION_UNKNOWN;
            return refuse(StatusCode::NOT_FOUND, code, Some(&station), message);
        }
        Err(error) => {
            state.store_failed(Some(&station), "find a connecting station", &error);
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
    }
    if !state.registry().admits(&station, strength) {
        let message =
            format!("{station} is connected with a certificate; a connection without one was refused");
        let code = catalogue::platform::STATION_DOWNGRADE;
        return refuse(StatusCode::FORBIDDEN, code, Some(&station), message);
    }

    let path = arrival.peer.as_ref().map_or(&[][..], |peer| &peer.path);
    if let Err(unfit) = revocation::admit(&state, &station, path).await {
        return refuse(StatusCode::FORBIDDEN, unfit.0, Some(&station), unfit.1);
    }

    let request = request
        .protocols(VERSIONS.map(Version::subprotocol))
        .read_buffer_size(READ_BUFFER)
        .max_frame_size(Version::V21.max_frame())
        .max_message_size(Version::V21.max_frame());
    let version = request
        .selected_protocol()
        .and_then(|name| name.to_str().ok())
        .and_then(Version::from_subprotocol);
    let Some(version) = version else {
        let offered: Vec<String> = request
            .requested_protocols()
            .take(8)
            .map(|name| {
                String::from_utf8_lossy(name.as_bytes())
                    .chars()
                    .take(32)
                    .collect()
            })
            .collect();
        let message = format!("{station} offers {offered:?}; spoken here: ocpp2.1, ocpp2.0.1");
        let code = catalogue::platform::NO_COMMON_VERSION;
        return refuse(StatusCode::BAD_REQUEST, code, Some(&station), message);
    };
    arrival.upgraded.store(true, Ordering::Relaxed);
    let caller = Caller { station, version };
    request.on_upgrade(move |socket| connection::run(state, socket, caller, arrival, strength))
}

/// Any other path.
pub(crate) async fn elsewhere(
    State(state): State<PlatformState>,
    ConnectInfo(arrival): ConnectInfo<Arrival>,
) -> StatusCode {
    let peer = arrival.peer.map(|peer| peer.address.to_string());
    let event = Event::new(
        now(),
        catalogue::platform::CONNECTION_REFUSED,
        crate::SOURCE,
        "a request for a path that is not /ocpp/<station id>",
    );
    state.hub().emit(event.with("peer", peer.unwrap_or_default()));
    StatusCode::NOT_FOUND
}
