//! An OpenSSL key whose private half is a [`Signer`]: an `EC_KEY` with the public point and a method of
//! our own for signing. OpenSSL sees that the method is foreign and leaves signing to it.

use std::cell::RefCell;
use std::ffi::{c_int, c_long, c_uchar, c_uint, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::{Arc, OnceLock};

use foreign_types::ForeignType as _;
use gridlatch_keys::{KeyError, Signer};
use openssl::ec::EcKey;
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl_sys as sys;

/// `EC_KEY_METHOD` is opaque.
enum Method {}

type Sign = unsafe extern "C" fn(
    kind: c_int,
    digest: *const c_uchar,
    digest_len: c_int,
    out: *mut c_uchar,
    out_len: *mut c_uint,
    kinv: *const sys::BIGNUM,
    r: *const sys::BIGNUM,
    key: *mut sys::EC_KEY,
) -> c_int;

unsafe extern "C" {
    fn EC_KEY_OpenSSL() -> *const Method;
    fn EC_KEY_METHOD_new(base: *const Method) -> *mut Method;
    // The two other functions are never given; any pointer type does for "none".
    fn EC_KEY_METHOD_set_sign(
        method: *mut Method,
        sign: Option<Sign>,
        setup: *const c_void,
        sign_sig: *const c_void,
    );
    fn EC_KEY_set_method(key: *mut sys::EC_KEY, method: *const Method) -> c_int;
    fn EC_KEY_set_ex_data(key: *mut sys::EC_KEY, index: c_int, data: *mut c_void) -> c_int;
    fn EC_KEY_get_ex_data(key: *const sys::EC_KEY, index: c_int) -> *mut c_void;
    fn ECDSA_size(key: *const sys::EC_KEY) -> c_int;
    fn CRYPTO_get_ex_new_index(
        class: c_int,
        argl: c_long,
        argp: *mut c_void,
        new: *const c_void,
        dup: Option<Dup>,
        free: Option<Free>,
    ) -> c_int;
}

type Dup = unsafe extern "C" fn(
    *mut c_void,
    *const c_void,
    from: *mut *mut c_void,
    c_int,
    c_long,
    *mut c_void,
) -> c_int;
type Free = unsafe extern "C" fn(*mut c_void, data: *mut c_void, *mut c_void, c_int, c_long, *mut c_void);

const CRYPTO_EX_INDEX_EC_KEY: c_int = 8;

/// What `EC_KEY`s of ours carry: a thin pointer to a fat one.
type Held = Arc<dyn Signer>;

thread_local! {
    /// Why the last signature on this thread failed. OpenSSL can only be told that it did.
    static FAILURE: RefCell<Option<KeyError>> = const { RefCell::new(None) };
}

/// Takes the reason why signing failed on this thread. OpenSSL reports a failed signature in the same
/// call that asked for it, so the reason belongs to the call that has just returned.
pub(crate) fn take_failure() -> Option<KeyError> {
    FAILURE.take()
}

/// Makes an OpenSSL key that signs with `signer`, which must be an EC key.
pub(crate) fn signer_key(signer: &Held) -> Result<PKey<Private>, ErrorStack> {
    let public = EcKey::public_key_from_der(signer.public_key_der())?;
    let private = {
        let (index, method) = shared()?;
        let held = Box::into_raw(Box::new(Arc::clone(signer))).cast::<c_void>();
        // SAFETY: `public` is a live EC_KEY that nothing else shares yet. `EC_KEY_set_ex_data` takes
        // over `held`, which `free` gives back when the EC_KEY ends; on failure it is freed here. The
        // method lives as long as the process. `EC_KEY_up_ref` lets the new owner outlive `public`.
        unsafe {
            if EC_KEY_set_ex_data(public.as_ptr(), index, held) != 1 {
                drop(Box::from_raw(held.cast::<Held>()));
                return Err(ErrorStack::get());
            }
            if EC_KEY_set_method(public.as_ptr(), method) != 1 {
                return Err(ErrorStack::get());
            }
            if sys::EC_KEY_up_ref(public.as_ptr()) != 1 {
                return Err(ErrorStack::get());
            }
            EcKey::<Private>::from_ptr(public.as_ptr())
        }
    };
    PKey::from_ec_key(private)
}

/// The slot of `EC_KEY`s that holds the signer, and the method that uses it. Made once.
fn shared() -> Result<(c_int, *const Method), ErrorStack> {
    // An address as a number: raw pointers are not `Sync`.
    static SHARED: OnceLock<Option<(c_int, usize)>> = OnceLock::new();
    let made = SHARED.get_or_init(|| {
        openssl::init();
        // SAFETY: registering a slot with callbacks of the types OpenSSL declares, and copying OpenSSL's
        // own method; both are for the life of the process.
        unsafe {
            let index = CRYPTO_get_ex_new_index(
                CRYPTO_EX_INDEX_EC_KEY,
                0,
                ptr::null_mut(),
                ptr::null(),
                Some(dup),
                Some(free),
            );
            let method = EC_KEY_METHOD_new(EC_KEY_OpenSSL());
            if index < 0 || method.is_null() {
                return None;
            }
            // Without `sign_sig`, callers that want a raw (r, s) get an error and not a wrong answer.
            EC_KEY_METHOD_set_sign(method, Some(sign), ptr::null(), ptr::null());
            Some((index, method as usize))
        }
    });
    let (index, method) = made.ok_or_else(ErrorStack::get)?;
    Ok((index, method as *const Method))
}

/// OpenSSL asks for a signature over `digest`; `out` has room for `ECDSA_size` octets.
unsafe extern "C" fn sign(
    _kind: c_int,
    digest: *const c_uchar,
    digest_len: c_int,
    out: *mut c_uchar,
    out_len: *mut c_uint,
    _kinv: *const sys::BIGNUM,
    _r: *const sys::BIGNUM,
    key: *mut sys::EC_KEY,
) -> c_int {
    let signed = catch_unwind(AssertUnwindSafe(|| {
        let (index, _) = shared().ok()?;
        // SAFETY: only `signer_key` and `dup` fill this slot, always with a boxed `Held` that lives as
        // long as `key`; OpenSSL holds `key` during the call.
        let signer = unsafe { EC_KEY_get_ex_data(key, index).cast::<Held>().as_ref() }?;
        // SAFETY: OpenSSL gives a buffer of that length.
        let digest = unsafe { std::slice::from_raw_parts(digest, usize::try_from(digest_len).ok()?) };
        match blocking(|| signer.sign_digest(digest)) {
            Ok(signature) => Some(signature),
            Err(error) => {
                FAILURE.set(Some(error));
                None
            }
        }
    }));
    let Ok(Some(signature)) = signed else { return 0 };
    // SAFETY: `key` is live; the length is checked against the room that OpenSSL promises.
    unsafe {
        let room = usize::try_from(ECDSA_size(key)).unwrap_or(0);
        let Some(len) = c_uint::try_from(signature.len())
            .ok()
            .filter(|_| signature.len() <= room)
        else {
            return 0;
        };
        ptr::copy_nonoverlapping(signature.as_ptr(), out, signature.len());
        *out_len = len;
    }
    1
}

/// Runs `work`, which may block, without holding up other tasks of a runtime that has more threads.
fn blocking<R>(work: impl FnOnce() -> R) -> R {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// An `EC_KEY` is copied: the copy gets a reference of its own.
unsafe extern "C" fn dup(
    _to: *mut c_void,
    _from: *const c_void,
    data: *mut *mut c_void,
    _index: c_int,
    _argl: c_long,
    _argp: *mut c_void,
) -> c_int {
    // SAFETY: `data` points at the slot's value: null, or a boxed `Held`.
    unsafe {
        if let Some(held) = (*data).cast::<Held>().as_ref() {
            *data = Box::into_raw(Box::new(Arc::clone(held))).cast();
        }
    }
    1
}

/// An `EC_KEY` ends: so does its reference.
unsafe extern "C" fn free(
    _parent: *mut c_void,
    data: *mut c_void,
    _ad: *mut c_void,
    _index: c_int,
    _argl: c_long,
    _argp: *mut c_void,
) {
    if !data.is_null() {
        // SAFETY: the slot held a boxed `Held` that nobody else frees.
        drop(unsafe { Box::from_raw(data.cast::<Held>()) });
    }
}
