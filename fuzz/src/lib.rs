//! One function per decoder at our edges: arbitrary bytes in, no panic out. The test replays the
//! committed corpora and a fixed number of seeded mutations of them; `fuzz/targets` explores with
//! libFuzzer on nightly Rust.
//!
//! Deliberately absent: exploring (that is `cargo fuzz`), clocks and randomness (a run is repeatable),
//! and decoders of trusted input such as configuration files.
#![forbid(unsafe_code)]

mod files;
mod mutate;
mod receipt;
mod services;
mod session;
mod targets;
mod trust;
mod vehicle;

pub use mutate::Mutator;
pub use targets::{Target, all};
