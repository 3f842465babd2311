//! The home of the scenario tests (`tests/it`): stories across several crates, against the running binary or against
//! foreign peers.
//!
//! Deliberately absent: any code. What scenarios share lives in `gridlatch-testkit`.
#![forbid(unsafe_code)]
