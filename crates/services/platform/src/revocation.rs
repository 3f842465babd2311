//! Stations whose client certificates were revoked: not let in, and not kept.

use gridlatch_host::now;
use gridlatch_keys::OpensslVerifier;
use gridlatch_trust::revocation::Status;
use gridlatch_trust::verdict::Unfit;
use gridlatch_vocab::{Code, Event, EventSink as _, StationId, catalogue};

use crate::config::StationCheck;
use crate::state::PlatformState;

/// Asks about the certificates of a station that wants to connect. On refusal: the code, and who is refused
/// and why.
pub(crate) async fn admit(
    state: &PlatformState,
    station: &StationId,
    path: &[Vec<u8>],
) -> Result<(), (Code, String)> {
    let Some(asked) = asked(state, path) else {
        return Ok(());
    };
    match asked.check.standing(path, None, now(), &OpensslVerifier).await {
        Ok(checked) => {
            let unknown = checked.iter().find(|one| one.status == Status::Unknown);
            if let Some(one) = unknown {
                let message = format!(
                    "{station} may connect though it is not known whether it was revoked: {}",
                    one.because
                );
                let event = Event::new(now(), catalogue::revocation::UNKNOWN, crate::SOURCE, message);
                state.hub().emit(event.station(station));
            }
            Ok(())
        }
        Err(unfit) => {
            remember(asked, &unfit);
            let (code, message) = (unfit.rejected.code, &unfit.rejected.message);
            Err((
                code,
                format!("{station} may not connect: of its certificates, {message}"),
            ))
        }
    }
}

/// Ends when a certificate of a connected station is revoked, with the event that says so.
pub(crate) async fn watch(state: &PlatformState, station: &StationId, path: &[Vec<u8>]) {
    let Some(asked) = asked(state, path) else {
        return core::future::pending().await;
    };
    let unfit = asked.check.until_revoked(path, now, &OpensslVerifier).await;
    remember(asked, &unfit);
    let message = format!(
        "{station} is disconnected: of its certificates, {}",
        unfit.rejected.message
    );
    let event = Event::new(now(), unfit.rejected.code, crate::SOURCE, message);
    state.hub().emit(event.station(station));
}

fn asked<'s>(state: &'s PlatformState, path: &[Vec<u8>]) -> Option<&'s StationCheck> {
    state.config().stations.as_ref().filter(|_| !path.is_empty())
}

/// Whoever was revoked for good is refused within the handshake from now on, with the alert that says so. A
/// suspension may be lifted: it is asked about each time.
fn remember(asked: &StationCheck, unfit: &Unfit) {
    if let (true, Some(listener)) = (unfit.is_final(), &asked.listener) {
        // A certificate that was believed a moment ago can be read.
        let _ = listener.revoke(&unfit.certificate);
    }
}
