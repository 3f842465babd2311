//! Contract provisioning: from a vehicle's signed request to a signed contract that only it can open.
//!
//! A [`Provisioner`] holds the pools (in the store) and the authorities that sign; whatever brings the request
//! (OCPP `Get15118EVCertificate`, the paths of the Open Plug & Charge Protocol, a station on its own) gives it
//! the EXI as it came and passes the answer on unchanged. Deliberately absent: HTTP (`pools`), who may charge
//! with the contract (the platform's).

mod authority;
mod ca;
pub(crate) mod conclude;
#[cfg(test)]
mod dev;
mod error;
pub(crate) mod install;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod trust;

use core::fmt;
use std::sync::Arc;

use gridlatch_fetch::RevocationCheck;
use gridlatch_keys::delivery::Kdf;
use gridlatch_session::provisioning::Action;
use gridlatch_store::Store;
use gridlatch_trust::Generation;
use gridlatch_vocab::{Code, Emaid, Event, EventSink, Personal, Timestamp};

use crate::dev::DevPki;

pub use authority::{ContractAuthority, CpsSigner, sign_contract_data};
pub use ca::CaContracts;
pub use conclude::{Concluded, Order};
pub use error::ProvisioningError;
pub use trust::{RootAdded, RootKind};

/// What tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Whether a vehicle that is in no pool may have a contract all the same, and which: from its PCID.
pub type OnDemand = Arc<dyn Fn(&str) -> Option<Emaid> + Send + Sync>;

/// How a [`Provisioner`] behaves.
#[derive(Clone)]
pub struct Settings {
    /// The clock.
    pub clock: Clock,
    /// How contract keys of ISO 15118-20 are encrypted; unverified against any foreign implementation.
    pub kdf: Kdf,
    /// Contracts for vehicles nobody has concluded one for. On a laptop, yes; never in the field.
    pub on_demand: Option<OnDemand>,
    /// Sub-CA certificates (DER) that help to judge chains a vehicle sent without them.
    pub intermediates: Vec<Vec<u8>>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("kdf", &self.kdf)
            .field("on_demand", &self.on_demand.is_some())
            .field("intermediates", &self.intermediates.len())
            .finish_non_exhaustive()
    }
}

/// What a vehicle gets.
#[derive(Debug, Clone)]
pub struct Installed {
    /// The response in EXI, for the vehicle.
    pub exi: Vec<u8>,
    /// The contract it carries.
    pub emaid: Personal<Emaid>,
    /// The vehicle it is for.
    pub pcid: Personal<String>,
    /// How many more contracts are waiting for the vehicle (ISO 15118-20).
    pub remaining: u8,
    /// SHA-256 of the V2G root above the signer, lower-case hexadecimal.
    pub cps_root: String,
}

/// The provisioning service. Cheap to clone; all clones are the same service.
#[derive(Clone)]
pub struct Provisioner {
    store: Store,
    authority: Arc<dyn ContractAuthority>,
    settings: Settings,
    sink: Arc<dyn EventSink>,
    revocation: Option<RevocationCheck>,
}

impl fmt::Debug for Provisioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provisioner")
            .field("authority", &self.authority)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Provisioner {
    /// A service on the pools in `store`.
    #[must_use]
    pub fn new(
        store: Store,
        authority: Arc<dyn ContractAuthority>,
        settings: Settings,
        sink: Arc<dyn EventSink>,
    ) -> Self {
        Self {
            store,
            authority,
            settings,
            sink,
            revocation: None,
        }
    }

    /// Asks about the revocation of every chain it judges: of vehicles, contracts and other signers. Without
    /// this it is not asked about.
    #[must_use]
    pub fn asking(mut self, check: RevocationCheck) -> Self {
        self.revocation = Some(check);
        self
    }

    /// The pools.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The authorities that sign.
    #[must_use]
    pub fn authority(&self) -> &Arc<dyn ContractAuthority> {
        &self.authority
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.settings.clock)()
    }

    pub(crate) fn emit(&self, code: Code, message: impl Into<String>) {
        self.sink.emit(Event::new(self.now(), code, "pki", message));
    }

    /// Answers a vehicle's request for a contract. The error carries a refusal in EXI where the request could
    /// be read at all, so that the vehicle is told either way.
    ///
    /// # Errors
    /// The request is malformed or not signed by the certificate it names, that certificate is not believed or
    /// in no pool, there is no contract, or one of our own keys failed.
    pub async fn install(
        &self,
        generation: Generation,
        action: Action,
        exi: &[u8],
    ) -> Result<Installed, ProvisioningError> {
        let answer = install::answer(self, generation, action, exi).await;
        if let Err(error) = &answer {
            self.emit(error.code(), error.to_string());
        }
        answer
    }
}

impl DevPki {
    /// The contract of the simulated vehicle with this PCID, if this PKI has made its provisioning certificate.
    #[must_use]
    pub fn contract_for(&self, pcid: &str) -> Option<Emaid> {
        self.vehicles()
            .into_iter()
            .find(|vehicle| vehicle.pcid().reveal() == pcid)
            .map(|vehicle| vehicle.emaid().reveal().clone())
    }
}

/// The generation in the words of `core/session`.
pub(crate) const fn session_generation(
    generation: Generation,
) -> gridlatch_session::provisioning::Generation {
    match generation {
        Generation::Iso2 => gridlatch_session::provisioning::Generation::Iso2,
        Generation::Iso20 => gridlatch_session::provisioning::Generation::Iso20,
    }
}

/// The generation in the words of the store.
pub(crate) const fn stored_generation(generation: Generation) -> &'static str {
    match generation {
        Generation::Iso2 => "iso2",
        Generation::Iso20 => "iso20",
    }
}
