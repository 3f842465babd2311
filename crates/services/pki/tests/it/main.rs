//! The certificate services from outside: foreign clients over real sockets.
#![allow(clippy::unwrap_used)]

mod crl;
mod est;
mod library;
mod ocsp;
mod served;
mod support;
