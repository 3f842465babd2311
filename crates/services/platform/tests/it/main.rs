//! The platform as stations, operators and strangers meet it, over real sockets.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that meets what it did not expect stops there; its parts need no documentation"
)]

mod certificates;
mod commands;
mod contract_requests;
mod hostile;
mod openapi;
mod receipts;
mod rest;
mod support;
mod transactions;
