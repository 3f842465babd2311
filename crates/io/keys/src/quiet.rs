//! Nothing of a token's own troubles reaches TLS.

/// Clears this thread's queue of OpenSSL errors when it goes.
///
/// PKCS#11 modules and the TSS use the OpenSSL that is in this process already, and leave errors on its queue even
/// after calls that succeed. A TLS connection that is next served on the same thread would take them for its own and
/// break off.
#[derive(Debug)]
pub(crate) struct Quiet;

impl Drop for Quiet {
    fn drop(&mut self) {
        drop(openssl::error::ErrorStack::get());
    }
}
