//! The certificate services from outside: foreign clients over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that meets what it did not expect stops there"
)]

mod crl;
mod ends;
mod est;
mod evil;
mod library;
mod ocsp;
mod served;
mod support;
