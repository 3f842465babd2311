//! `gridlatch pki why` on chains of the development PKI, bent in every usual way, on foreign ones, and on endpoints of
//! OpenSSL.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops there"
)]

mod chains;
mod endpoints;
mod files;
mod foreign;
mod support;
mod terminal;
