//! What is learnt about one connection while OpenSSL runs its handshake.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use gridlatch_vocab::Code;
use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::ssl::{Ssl, SslRef};
use openssl::x509::{X509NameRef, X509StoreContextRef, X509VerifyResult};

use crate::hello::Offer;

/// Why the peer's chain was refused.
#[derive(Debug, Clone)]
pub(crate) struct VerifyFailure {
    pub(crate) result: VerifyFault,
    pub(crate) depth: u32,
    pub(crate) subject: String,
    pub(crate) issuer: String,
}

/// What failed.
#[derive(Debug, Clone)]
pub(crate) enum VerifyFault {
    /// By OpenSSL's rules.
    Openssl(X509VerifyResult),
    /// The station's leaf lacks DC=CPO [V2G2-925].
    DomainComponent,
    /// OpenSSL takes it, and the trust core does not: code and reason.
    Odd(Code, String),
}

/// Collected by callbacks, read when the handshake is over.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    pub(crate) offer: Option<Offer>,
    pub(crate) malformed: Option<&'static str>,
    pub(crate) chosen: Option<(String, &'static str)>,
    pub(crate) own_issuer: Option<String>,
    pub(crate) no_credential: bool,
    /// Whether the chosen credential leads to a root the client named.
    pub(crate) named_root: bool,
    pub(crate) verify: Option<VerifyFailure>,
}

/// A handle shared by the callbacks of one connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch(Arc<Mutex<Observed>>);

impl Watch {
    /// A new watch attached to `ssl`, so that callbacks of the context find it.
    pub(crate) fn attach(ssl: &mut Ssl) -> Result<Self, ErrorStack> {
        let watch = Self::default();
        ssl.set_ex_data(index()?, watch.clone());
        Ok(watch)
    }

    /// The watch of a connection inside a callback.
    pub(crate) fn of(ssl: &SslRef) -> Option<Self> {
        ssl.ex_data(index().ok()?).cloned()
    }

    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Observed) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Holds the certificate that OpenSSL has just accepted against the trust core: a version that has no
    /// extensions, a serial number or a name that readers disagree on. Anchors are believed as they are.
    pub(crate) fn plain(&self, store: &mut X509StoreContextRef) -> bool {
        let depth = usize::try_from(store.error_depth()).unwrap_or(usize::MAX);
        let odd = store.current_cert().and_then(|cert| {
            let own = |name: &X509NameRef| name.to_der().ok();
            if own(cert.subject_name()) == own(cert.issuer_name()) {
                return None;
            }
            let der = cert.to_der().unwrap_or_default();
            gridlatch_trust::verdict::plain(&der, depth).err()
        });
        let Some(odd) = odd else { return true };
        self.refuse(store, VerifyFault::Odd(odd.code, odd.message));
        store.set_error(X509VerifyResult::APPLICATION_VERIFICATION);
        false
    }

    /// Records the first fault of a verification.
    pub(crate) fn refuse(&self, store: &X509StoreContextRef, result: VerifyFault) {
        let name = |name: Option<String>| name.unwrap_or_else(|| "(unnamed)".to_owned());
        let current = store.current_cert();
        let failure = VerifyFailure {
            result,
            depth: store.error_depth(),
            subject: name(current.map(|cert| distinguished(cert.subject_name()))),
            issuer: name(current.map(|cert| distinguished(cert.issuer_name()))),
        };
        self.with(|observed| {
            observed.verify.get_or_insert(failure);
        });
    }
}

fn index() -> Result<Index<Ssl, Watch>, ErrorStack> {
    static INDEX: OnceLock<Index<Ssl, Watch>> = OnceLock::new();
    if let Some(index) = INDEX.get() {
        return Ok(*index);
    }
    let fresh = Ssl::new_ex_index()?;
    Ok(*INDEX.get_or_init(|| fresh))
}

/// `CN=..., O=..., DC=...` in the certificate's order, without control characters, at most 160 octets.
///
/// Names come from the peer: a log line must not grow or break by them.
pub(crate) fn distinguished(name: &X509NameRef) -> String {
    let mut text = String::new();
    for entry in name.entries().take(8) {
        let value = entry.data().to_string().unwrap_or_default();
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(entry.object().nid().short_name().unwrap_or("?"));
        text.push('=');
        text.extend(value.chars().filter(|c| !c.is_control()).take(64));
    }
    let end = (0..=text.len().min(160))
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(0);
    text.truncate(end);
    if text.is_empty() {
        "(unnamed)".to_owned()
    } else {
        text
    }
}
