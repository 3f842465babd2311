//! Answers discovery at one EVSE, from policy alone and at a bounded rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use gridlatch_link::sdp::{LimitConfig, Limited, Limiter, MAX_DATAGRAM, SdpSocket};
use gridlatch_session::secc::sdp::{Endpoints, Reaction, answer};
use gridlatch_vocab::catalogue::cable as codes;

use crate::report::Reporter;

/// After this many refused datagrams in a row only every hundredth makes an event.
const QUIET_AFTER: u64 = 10;

/// Serves one socket until the task is dropped. `reachable` is set while a vehicle is matched to this
/// outlet: an unmatched one has no link, so a request without a match is nobody's.
pub(crate) async fn serve(
    socket: SdpSocket,
    endpoints: Endpoints,
    reachable: Arc<AtomicBool>,
    report: Reporter,
) {
    let mut limiter = Limiter::new(LimitConfig::default(), Instant::now());
    let mut buffer = [0; MAX_DATAGRAM];
    let mut refused: u64 = 0;
    loop {
        let Ok((datagram, peer)) = socket.recv(&mut buffer).await else {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        if !reachable.load(Ordering::Acquire) {
            continue;
        }
        match limiter.admit(*peer.ip(), Instant::now()) {
            Ok(()) => {}
            Err(Limited::Source { first } | Limited::Total { first }) => {
                if first {
                    report.say(
                        codes::SDP_RATE_LIMITED,
                        "too many discovery requests; further ones are ignored",
                    );
                }
                continue;
            }
        }
        match answer(datagram, endpoints) {
            Reaction::Answer {
                datagram,
                tls,
                upgraded,
            } => {
                if socket.send_to(&datagram, peer).await.is_err() {
                    continue;
                }
                if upgraded {
                    report.say(
                        codes::SDP_NO_TLS_REFUSED,
                        "a vehicle asked for a connection without TLS and was sent to the TLS port",
                    );
                }
                report.emit(
                    report
                        .event(
                            codes::SDP_ANSWERED,
                            if tls {
                                "sent to the TLS port"
                            } else {
                                "sent to the port without TLS"
                            },
                        )
                        .with("tls", tls),
                );
            }
            Reaction::Drop { code, message } => {
                refused += 1;
                if refused <= QUIET_AFTER || refused.is_multiple_of(100) {
                    report.emit(report.event(code, message).with("refused", refused));
                }
            }
        }
    }
}
