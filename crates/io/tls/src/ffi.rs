//! The OpenSSL calls that the `openssl` crate does not wrap.

mod signer;
mod staples;

use std::ffi::{c_int, c_long, c_uint};
use std::ptr;

use foreign_types::{ForeignType as _, ForeignTypeRef as _};
use openssl::nid::Nid;
use openssl::ssl::{SslContextBuilder, SslRef};
use openssl::stack::Stack;
use openssl::x509::{X509Name, X509VerifyResult};
use openssl_sys as sys;

pub(crate) use signer::{signer_key, take_failure};
pub(crate) use staples::{add_chain_certificate, set_staples, staples};

unsafe extern "C" {
    fn SSL_client_hello_get0_ext(
        ssl: *mut sys::SSL,
        kind: c_uint,
        out: *mut *const u8,
        out_len: *mut usize,
    ) -> c_int;
    fn SSL_CTX_set0_CA_list(ctx: *mut sys::SSL_CTX, names: *mut sys::stack_st_X509_NAME);
}

const SSL_CTRL_SET_MAX_CERT_LIST: c_int = 51;
const SSL_CTRL_GET_NEGOTIATED_GROUP: c_int = 134;

/// The body of one ClientHello extension. Only valid inside the ClientHello callback.
pub(crate) fn client_hello_extension(ssl: &SslRef, kind: u16) -> Option<&[u8]> {
    let mut out = ptr::null();
    let mut len = 0;
    // SAFETY: `ssl` is live; inside the callback OpenSSL fills `out` with a pointer into the hello it
    // holds, which outlives the callback's borrow of `ssl`; outside it the call returns 0.
    unsafe {
        if SSL_client_hello_get0_ext(ssl.as_ptr(), c_uint::from(kind), &raw mut out, &raw mut len) != 1 {
            return None;
        }
        Some(if out.is_null() {
            &[]
        } else {
            std::slice::from_raw_parts(out, len)
        })
    }
}

/// Sets the names a TLS 1.3 client sends as `certificate_authorities`.
pub(crate) fn set_certificate_authorities(ctx: &mut SslContextBuilder, names: Stack<X509Name>) {
    // SAFETY: `ctx` is live and takes ownership of the stack, which is forgotten here.
    unsafe { SSL_CTX_set0_CA_list(ctx.as_ptr(), names.as_ptr()) };
    std::mem::forget(names);
}

/// `X509_V_ERR_CERT_REVOKED`.
pub(crate) fn certificate_revoked() -> X509VerifyResult {
    const X509_V_ERR_CERT_REVOKED: c_int = 23;
    // SAFETY: the number is one of OpenSSL's verification results.
    unsafe { X509VerifyResult::from_raw(X509_V_ERR_CERT_REVOKED) }
}

/// Bounds the octets of a peer's certificate chain.
pub(crate) fn set_max_certificate_list(ctx: &mut SslContextBuilder, octets: u16) {
    // SAFETY: a plain setter on a live context.
    unsafe {
        sys::SSL_CTX_ctrl(
            ctx.as_ptr(),
            SSL_CTRL_SET_MAX_CERT_LIST,
            c_long::from(octets),
            ptr::null_mut(),
        );
    }
}

/// The name of the key-exchange group that was agreed on.
pub(crate) fn negotiated_group(ssl: &SslRef) -> Option<String> {
    // SAFETY: a plain getter on a live connection.
    let nid = unsafe { sys::SSL_ctrl(ssl.as_ptr(), SSL_CTRL_GET_NEGOTIATED_GROUP, 0, ptr::null_mut()) };
    // Groups without a NID have bit 24 set (TLSEXT_nid_unknown); 0 is "none".
    let nid = c_int::try_from(nid)
        .ok()
        .filter(|nid| *nid > 0 && nid & 0x0100_0000 == 0)?;
    Nid::from_raw(nid).short_name().ok().map(str::to_owned)
}
