//! The platform as stations, operators and strangers meet it, over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a test that meets what it did not expect stops there; its parts need no documentation; figures are printed"
)]

mod campaign;
mod certificates;
mod commands;
mod contract_requests;
mod fleet;
mod hostile;
mod hostile_certificates;
mod openapi;
mod receipts;
mod rest;
mod support;
mod transactions;
mod trust;
