//! Charging-session policy for both roles, on top of the protocol core `iso15118`: what to answer, what
//! to ask, and when power may flow. The only crate that names `iso15118`.
//!
//! Deliberately absent: sockets, TLS, clocks, randomness, and an EXI codec of our own. Bytes, `now`,
//! and entropy are arguments; what to do comes back as values.
#![forbid(unsafe_code)]

pub mod evcc;
pub mod physical;
pub mod provisioning;
pub mod secc;
pub mod wire;
