//! Certificates of the V2G world, decided without doing anything: what each kind must look like
//! ([`profile`]), how one is built and linted before it is signed ([`build`], [`cross`]), what one says
//! ([`certificate`]), and whether a chain is to be believed ([`verdict`]).
//!
//! Deliberately absent: keys, randomness, clocks, files, sockets, OpenSSL. A signature is made by a
//! closure that is handed in, and the time is an argument.
#![forbid(unsafe_code)]

mod algorithm;
pub mod build;
pub mod certificate;
pub mod cms;
pub mod crl;
pub mod cross;
pub mod csr;
pub mod forecast;
pub mod lint;
pub mod ocsp;
pub mod profile;
pub mod revocation;
pub mod rollover;
mod signature;
mod signed;
mod slug;
pub mod trust_list;
pub mod verdict;

pub use algorithm::{Generation, KeyAlgorithm};
pub use profile::Profile;
pub use signature::{RustCrypto, Verify, p256_der, p256_raw};

#[cfg(test)]
mod tests;
