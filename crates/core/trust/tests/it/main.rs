//! The trust core beside OpenSSL's command line, which nobody here wrote: what we build it reads, what it
//! builds we read, and both judge alike.
#![allow(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::redundant_clone,
    clippy::cloned_ref_to_slice_refs,
    reason = "one world serves every file of this binary; tests say what they mean, not how it is cheapest"
)]

mod cms;
mod crl;
mod csr;
mod evil;
mod ocsp;
mod seeds;
mod support;
mod verdict;
mod verdict_foreign;
mod verdict_public;
mod verdict_revocation;
