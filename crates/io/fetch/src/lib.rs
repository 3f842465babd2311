//! What is fetched over plain HTTP to judge a certificate: OCSP answers and revocation lists, from places
//! that were allowed and from nowhere else. Beside it the one HTTP client of the project, [`ask`], for partners
//! whose connection (and TLS, if any) its caller has made.
//!
//! Deliberately absent: believing anything that comes back (`core/trust` does, once it knows the path),
//! TLS (an answer is signed by itself, and TLS would need revocation first), redirections, proxies.
#![forbid(unsafe_code)]

mod cache;
mod check;
mod http;
mod revocation;

pub use check::RevocationCheck;
pub use http::{Answer, Ask, FetchError, Fetcher, ask};
pub use revocation::{Gathered, Note, Revocation, RevocationConfig};

#[cfg(test)]
mod tests;
