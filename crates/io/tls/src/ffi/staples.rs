//! OCSP answers about more than the leaf, which OpenSSL carries since 3.6.

use std::ffi::{c_int, c_long, c_void};
use std::ptr;

use foreign_types::ForeignTypeRef as _;
use openssl::error::ErrorStack;
use openssl::ssl::{SslContextBuilder, SslRef};
use openssl::x509::X509;
use openssl_sys as sys;

use foreign_types::ForeignType as _;

const SSL_CTRL_CHAIN_CERT: c_int = 89;
const SSL_CTRL_GET_TLSEXT_STATUS_REQ_OCSP_RESP_EX: c_int = 142;
const SSL_CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP_EX: c_int = 143;

/// Answers of a peer that are looked at: as many as a chain has certificates that is looked at.
const MAX_STAPLES: c_int = 8;

/// Adds a sub-CA to the chain of the certificate that was set last.
pub(crate) fn add_chain_certificate(ctx: &mut SslContextBuilder, sub: &X509) -> Result<(), ErrorStack> {
    // SAFETY: both are live; with 1 as its number the call takes a reference of its own to the certificate.
    let done = unsafe {
        sys::SSL_CTX_ctrl(
            ctx.as_ptr(),
            SSL_CTRL_CHAIN_CERT,
            1,
            sub.as_ptr().cast::<c_void>(),
        )
    };
    if done == 1 { Ok(()) } else { Err(ErrorStack::get()) }
}

/// Staples answers (DER) to the certificates of the chain, by their places. Only for OpenSSL 3.6 and later. One that
/// is no `OCSPResponse` is left out; which are carried.
pub(crate) fn set_staples(ssl: &mut SslRef, answers: &[Option<Vec<u8>>]) -> Result<Vec<bool>, ErrorStack> {
    let mut carried = Vec::with_capacity(answers.len());
    // SAFETY: a stack of our own, filled with responses of our own or null for "none", which the connection owns
    // after the last call. Each response is parsed from a live slice of the length that is said.
    unsafe {
        let stack = sys::OPENSSL_sk_new_null();
        if stack.is_null() {
            return Err(ErrorStack::get());
        }
        for answer in answers {
            let response = answer.as_deref().map_or(ptr::null_mut(), |der| {
                let mut at = der.as_ptr();
                c_long::try_from(der.len()).map_or(ptr::null_mut(), |length| {
                    sys::d2i_OCSP_RESPONSE(ptr::null_mut(), &raw mut at, length)
                })
            });
            carried.push(!response.is_null());
            sys::OPENSSL_sk_push(stack, response.cast::<c_void>());
        }
        sys::SSL_ctrl(
            ssl.as_ptr(),
            SSL_CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP_EX,
            0,
            stack.cast::<c_void>(),
        );
    }
    // What did not parse must not be taken for a fault of the connection.
    drop(ErrorStack::get());
    Ok(carried)
}

/// The answers (DER) that came with the handshake. Only for OpenSSL 3.6 and later.
pub(crate) fn staples(ssl: &SslRef) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    // SAFETY: the connection keeps the stack and what is in it; both are only read, within the call. The length that
    // OpenSSL says is the one it then writes, into a buffer of that length.
    unsafe {
        let mut stack: *mut sys::OPENSSL_STACK = ptr::null_mut();
        sys::SSL_ctrl(
            ssl.as_ptr(),
            SSL_CTRL_GET_TLSEXT_STATUS_REQ_OCSP_RESP_EX,
            0,
            (&raw mut stack).cast::<c_void>(),
        );
        if stack.is_null() {
            return found;
        }
        for index in 0..sys::OPENSSL_sk_num(stack).min(MAX_STAPLES) {
            let response = sys::OPENSSL_sk_value(stack, index).cast::<sys::OCSP_RESPONSE>();
            if response.is_null() {
                continue;
            }
            let Ok(length) = usize::try_from(sys::i2d_OCSP_RESPONSE(response, ptr::null_mut())) else {
                continue;
            };
            let mut der = vec![0; length];
            let mut at = der.as_mut_ptr();
            sys::i2d_OCSP_RESPONSE(response, &raw mut at);
            found.push(der);
        }
    }
    found
}
