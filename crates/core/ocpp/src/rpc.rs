//! OCPP-J: frames and the bookkeeping of one connection.

mod engine;
mod error;
mod frame;
mod history;

pub use engine::{Answer, Refusal, Rpc, RpcConfig, RpcError, RpcEvent};
pub use error::{CallError, ErrorCode};
pub use frame::{Frame, FrameError, MessageId};

/// Feeds arbitrary bytes to everything that reads a peer's frame; for fuzzing. Panics on a bug only.
#[allow(
    clippy::disallowed_methods,
    reason = "any instant will do, and std makes none without the clock"
)]
pub fn fuzz_frame(data: &[u8]) {
    use std::time::{Duration, Instant};

    use crate::Version;

    let now = Instant::now();
    for version in [Version::V16, Version::V201, Version::V21] {
        if let Ok(frame) = Frame::parse(version, data) {
            // What was read can be written and read again.
            let text = frame.to_text();
            assert_eq!(
                Frame::parse(version, text.as_bytes()).as_ref(),
                Ok(&frame),
                "a frame changed on its way"
            );
            if let Frame::Call { action, payload, .. } | Frame::Send { action, payload, .. } = &frame
                && let Some(message) = crate::find(version, action)
            {
                let _ = crate::violations(message.request, payload);
            }
        }
        let mut rpc = Rpc::new(RpcConfig::new(version));
        for _ in 0..2 {
            rpc.handle(now, data);
            while let Some(event) = rpc.poll_event() {
                if let RpcEvent::Call { id, .. } = event {
                    let _ = rpc.answer(now, &id, Err(CallError::new(ErrorCode::NotSupported, "")));
                }
            }
            while rpc.poll_transmit().is_some() {}
        }
        rpc.handle_timeout(now + Duration::from_secs(3600));
        while rpc.poll_event().is_some() {}
    }
}
