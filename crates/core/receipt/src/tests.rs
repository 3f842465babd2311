#![allow(clippy::unwrap_used)]

mod canonical;
mod record;
mod tampered;
mod world;
