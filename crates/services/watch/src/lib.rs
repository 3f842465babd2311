//! The watch: reads captures of V2G links and tells what was said on them: SLAC, discovery, TLS and
//! V2G messages, with what is missing or broken named by code.
//!
//! The only service that may use OpenSSL's ciphers directly: it opens *recorded* TLS with a key log and
//! verifies every record while doing so.
//!
//! Deliberately absent: any way to act on a link (it never sends), live capture (a later issue), rules
//! and alerts (`core/detect`), and secrets of its own: a key log is read, used and forgotten.
#![forbid(unsafe_code)]

pub mod capture;
pub mod tls;
