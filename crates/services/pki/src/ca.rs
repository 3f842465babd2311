//! A certification authority that can be run: the whole hierarchy, its certificates in the store, a
//! policy in front of every signature, two people behind every root.
//!
//! [`Ca::issue`] returns when the certificate is durable, and a certificate that was not committed never
//! leaves: no crash gives one serial number to two certificates. Keys are references that a [`KeyRing`]
//! resolves when they are first needed, so a root's key may be away.
//!
//! Deliberately absent: EST, OCSP and CRLs (they stand on this), and any way to sign past the profile's
//! lint or the policy.

mod approval;
mod authority;
pub mod backup;
mod enroll;
mod error;
mod hardware;
mod init;
mod issue;
mod keyring;
mod ocsp_signer;
mod pem;
pub mod policy;
mod query;
mod reason;
mod renew;
mod revoke;
mod serial;
mod succession;
#[cfg(test)]
mod tests;

use core::fmt;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use gridlatch_keys::Signer;
use gridlatch_store::Store;
use gridlatch_vocab::{Code, Event, EventSink, Timestamp};
use tokio::sync::Semaphore;

pub use approval::{Action, Outcome, PendingRequest, approval_message};
pub use authority::Authority;
pub use error::CaError;
pub use hardware::Hardware;
pub(crate) use init::of_dev_leaf;
pub use init::{Control, Plan};
pub use issue::{Issued, Order};
pub use keyring::{FILE, KeyRing, KeySource};
pub use ocsp_signer::OcspSigner;
pub use pem::{from_hex, from_pem_block, to_pem_block};
pub use policy::{Policy, Requester, Role};
pub use query::{CertificateQuery, Record};
pub use revoke::Revocation;
pub use serial::{InvalidSerial, Serial};
pub use succession::Succession;

pub use crate::tree::World;
pub use gridlatch_trust::revocation::Reason;

/// The CA's database in its folder, beside the keys.
pub const DATABASE: &str = "ca.db";

/// How many operators a root takes.
pub const APPROVERS: usize = 2;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The CA. Cheap to clone; all clones are the same one.
#[derive(Clone)]
pub struct Ca {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    keys: KeyRing,
    sink: Arc<dyn EventSink>,
    clock: Clock,
    state: ArcSwap<State>,
    /// Requests checked and certificates signed at the same time.
    signing: Arc<Semaphore>,
    /// Revocations by this process, for those who keep answers in memory.
    revocations: AtomicU64,
    /// OCSP signers that wait for two operators, and with how many days left that was said.
    signers_due: Mutex<BTreeMap<String, i64>>,
}

/// What every issue looks at; replaced as a whole by [`Ca::reload`].
#[derive(Clone)]
struct State {
    authorities: BTreeMap<String, Arc<Authority>>,
    policy: Arc<Policy>,
    control: Control,
}

impl fmt::Debug for Ca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ca")
            .field("keys", &self.inner.keys)
            .finish_non_exhaustive()
    }
}

/// Settings of the CA in the store.
pub(crate) mod setting {
    pub(crate) const CONTROL: &str = "pki.control";
    pub(crate) const POLICY: &str = "pki.policy";
    /// Begins the note of where a CA's key is made; the CA's name follows.
    pub(crate) const KEY: &str = "pki.key.";
}

impl Ca {
    /// Opens a CA that was set up before, by [`Self::init`] or [`Self::adopt`].
    ///
    /// # Errors
    /// [`CaError::NotInitialised`], or the store or the policy in it cannot be read. A missing key is
    /// not an error before it is needed.
    pub async fn open(store: Store, keys: KeyRing, sink: Arc<dyn EventSink>) -> Result<Self, CaError> {
        Self::open_at(store, keys, sink, system_clock()).await
    }

    /// As [`Self::open`], with another clock.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_at(
        store: Store,
        keys: KeyRing,
        sink: Arc<dyn EventSink>,
        clock: Clock,
    ) -> Result<Self, CaError> {
        let ca = Self::unloaded(store, keys, sink, clock);
        ca.reload().await?;
        Ok(ca)
    }

    pub(crate) fn unloaded(store: Store, keys: KeyRing, sink: Arc<dyn EventSink>, clock: Clock) -> Self {
        let state = State {
            authorities: BTreeMap::new(),
            policy: Arc::new(Policy {
                urls: policy::Urls::default(),
                rules: Vec::new(),
            }),
            control: Control::Dual,
        };
        Self {
            inner: Arc::new(Inner {
                store,
                keys,
                sink,
                clock,
                state: ArcSwap::from_pointee(state),
                signing: Arc::new(Semaphore::new(issue::at_once())),
                revocations: AtomicU64::new(0),
                signers_due: Mutex::default(),
            }),
        }
    }

    /// Reads authorities, policy and settings again, after another process changed them.
    ///
    /// # Errors
    /// As [`Self::open`]; what was loaded before stays in use.
    pub async fn reload(&self) -> Result<(), CaError> {
        let store = &self.inner.store;
        let control = match store.setting_find(setting::CONTROL).await? {
            None => return Err(CaError::NotInitialised),
            Some(text) => Control::from_setting(&text).ok_or_else(|| CaError::Damaged {
                what: "the setting of who approves".to_owned(),
                reason: "it is not a word of this release",
            })?,
        };
        let policy = match store.setting_find(setting::POLICY).await? {
            Some(text) => Policy::parse(&text)?,
            None => Policy::parse(policy::DEFAULT)?,
        };
        let authorities = self.load_authorities().await?;
        let state = State {
            authorities,
            policy: Arc::new(policy),
            control,
        };
        self.inner.state.store(Arc::new(state));
        Ok(())
    }

    /// Every CA, by name.
    #[must_use]
    pub fn authorities(&self) -> Vec<Arc<Authority>> {
        self.state().authorities.values().cloned().collect()
    }

    /// One CA.
    ///
    /// # Errors
    /// [`CaError::UnknownAuthority`].
    pub fn authority(&self, name: &str) -> Result<Arc<Authority>, CaError> {
        self.inner
            .state
            .load()
            .authorities
            .get(name)
            .cloned()
            .ok_or_else(|| CaError::UnknownAuthority(name.to_owned()))
    }

    /// The chain a leaf of this CA is sent with: the CA's certificate and those above it, without the
    /// root. Empty for a root.
    ///
    /// # Errors
    /// [`CaError::UnknownAuthority`].
    pub fn chain(&self, name: &str) -> Result<Vec<Vec<u8>>, CaError> {
        let mut chain = Vec::new();
        let mut next = Some(self.authority(name)?);
        // No path is longer than the profiles allow; the bound stops a damaged store.
        while let Some(authority) = next.filter(|authority| !authority.is_root() && chain.len() < 8) {
            chain.push(authority.der.clone());
            next = match &authority.issuer {
                Some(issuer) => Some(self.authority(issuer)?),
                None => None,
            };
        }
        Ok(chain)
    }

    /// The root above a CA; the CA itself if it is one.
    ///
    /// # Errors
    /// [`CaError::UnknownAuthority`], or the chain has no root.
    pub fn root_of(&self, name: &str) -> Result<Arc<Authority>, CaError> {
        let mut authority = self.authority(name)?;
        for _ in 0..8 {
            match &authority.issuer {
                None => return Ok(authority),
                Some(issuer) => authority = self.authority(issuer)?,
            }
        }
        Err(CaError::Damaged {
            what: name.to_owned(),
            reason: "its chain has no root",
        })
    }

    /// The key of a CA, for what stands on it: revocation lists and OCSP answers.
    ///
    /// # Errors
    /// The key is away, or is not the one of the certificate.
    pub fn signer(&self, name: &str) -> Result<Arc<dyn Signer>, CaError> {
        self.authority(name)?.signer(&self.inner.keys)
    }

    /// How many certificates this process has revoked: whoever keeps answers in memory looks again when it
    /// has grown.
    #[must_use]
    pub fn revocations_here(&self) -> u64 {
        self.inner.revocations.load(Ordering::Acquire)
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.state().policy)
    }

    /// Who has to agree to what a root signs.
    #[must_use]
    pub fn control(&self) -> Control {
        self.state().control
    }

    /// The store below.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The keys below.
    #[must_use]
    pub fn keys(&self) -> &KeyRing {
        &self.inner.keys
    }

    /// The time as the CA sees it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.inner.clock)()
    }

    fn state(&self) -> Arc<State> {
        self.inner.state.load_full()
    }

    fn emit(&self, code: Code, message: String, with: impl FnOnce(Event) -> Event) {
        self.inner
            .sink
            .emit(with(Event::new(self.now(), code, "pki", message)));
    }
}

/// The system's clock.
pub(crate) fn system_clock() -> Clock {
    Arc::new(|| Timestamp(time::OffsetDateTime::now_utc()))
}
