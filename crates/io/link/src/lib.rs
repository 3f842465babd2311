//! The link between vehicle and station: the simulated cable (control pilot, HomePlug frames, power),
//! SECC discovery sockets, and the TCP port of an EVSE.
//!
//! Deliberately absent: any meaning. What a frame, a datagram or a byte says is for `core/session`;
//! this crate moves bytes and enforces how many, how often, and from how many peers at once.
#![forbid(unsafe_code)]

pub mod cable;
pub mod listen;
pub mod sdp;
