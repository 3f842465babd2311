//! What scenario tests stand on: two network namespaces joined by a cable, foreign peers as supervised processes,
//! scratch folders and free ports.
//!
//! - [`need!`] skips a test by name where a peer cannot run (no root, no Java), and fails it in CI.
//! - [`Link`] is the wire between a station and a car: a veth pair with IPv6 link-local addresses.
//! - [`browser`] is Chromium on a page.
//! - [`evil`] makes certificates and requests with one defect each.
//! - [`josev`] starts Josev's car or station and tells how its session ended.
//! - [`tokens`] are SoftHSM2 and swtpm, for keys in hardware.
//! - [`postgres`] is a PostgreSQL server.
//! - [`python`] gives the interpreters of the peers' environments.
//!
//! Everything that is started here ends with the value that started it, also when the test panics.
//!
//! Deliberately absent: any part of the product. The kit must not share a bug with what it tests, so it depends on no
//! other crate of the workspace.
#![forbid(unsafe_code)]

pub mod browser;
pub mod evil;
pub mod evil_revocation;
pub mod josev;
mod need;
mod netns;
pub mod ports;
pub mod postgres;
mod process;
pub mod python;
pub mod temp;
pub mod tokens;

pub use need::{Need, missing, skip};
pub use netns::{Link, Namespace};
pub use process::{Process, binary};
