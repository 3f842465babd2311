//! The connection to one TPM.

use std::collections::BTreeMap;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use gridlatch_trust::KeyAlgorithm;
use gridlatch_vocab::Code;
use gridlatch_vocab::catalogue::key;
use tss_esapi::constants::Tss2ResponseCodeKind as Kind;
use tss_esapi::handles::{KeyHandle, PersistentTpmHandle, TpmHandle};
use tss_esapi::structures::Auth;
use tss_esapi::{Context, Error, TctiNameConf};

use crate::gate::Gate;
use crate::pin::PinSource;
use crate::{KeyError, ec};

/// Refused PINs remembered, per TPM.
const MAX_REFUSED: usize = 16;

/// One TPM of this machine.
pub(super) struct Device {
    tcti: String,
    gate: Gate,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    context: Option<Context>,
    /// Counts connections: handles of an older one mean nothing.
    epoch: u64,
    /// Handles with hashes of PINs that the TPM refused for them.
    refused: Vec<(u32, Vec<u8>)>,
}

/// Why something did not work: what the TPM said, or what we make of it.
pub(super) enum Fault {
    Tpm(Error),
    Key(KeyError),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Tpm(error)
    }
}

impl From<KeyError> for Fault {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl Device {
    /// The TPM behind `tcti`. Its connection ends with the last key that uses it.
    pub(super) fn of(tcti: &str) -> Arc<Self> {
        static DEVICES: Mutex<BTreeMap<String, Weak<Device>>> = Mutex::new(BTreeMap::new());
        let mut devices = locked(&DEVICES);
        devices.retain(|_, device| device.strong_count() > 0);
        if let Some(known) = devices.get(tcti).and_then(Weak::upgrade) {
            return known;
        }
        let device = Arc::new(Self {
            tcti: tcti.to_owned(),
            gate: Gate::new(1),
            state: Mutex::default(),
        });
        devices.insert(tcti.to_owned(), Arc::downgrade(&device));
        device
    }

    /// Does `work` on the connection; if the connection has failed, once more on a new one.
    pub(super) fn with<R>(
        &self,
        name: &str,
        mut work: impl FnMut(&mut Context, u64) -> Result<R, Fault>,
    ) -> Result<R, KeyError> {
        let _place = self
            .gate
            .enter()
            .map_err(|reason| hardware(key::BUSY, name, reason))?;
        let mut again = true;
        loop {
            let mut state = locked(&self.state);
            let State { context, epoch, .. } = &mut *state;
            let open = match context {
                Some(open) => open,
                None => {
                    *epoch += 1;
                    context.insert(self.connect(name)?)
                }
            };
            match work(open, *epoch) {
                Ok(done) => return Ok(done),
                Err(Fault::Key(error)) => return Err(error),
                Err(Fault::Tpm(error)) => {
                    let (code, reason) = judged(&error);
                    if code == key::UNAVAILABLE {
                        state.context = None;
                        if std::mem::take(&mut again) {
                            continue;
                        }
                    }
                    return Err(hardware(code, name, reason));
                }
            }
        }
    }

    fn connect(&self, name: &str) -> Result<Context, KeyError> {
        let tcti = TctiNameConf::from_str(&self.tcti).map_err(|_| {
            hardware(
                key::INVALID_URI,
                name,
                "its tcti is none of device:, swtpm:, mssim:, tabrmd:".into(),
            )
        })?;
        Context::new(tcti).map_err(|error| {
            hardware(
                key::UNAVAILABLE,
                name,
                format!("the TPM cannot be reached: {error}"),
            )
        })
    }

    /// The key's authorisation; one that the TPM refused before is not offered again.
    pub(super) fn auth(&self, handle: u32, pin: &PinSource, name: &str) -> Result<Option<Auth>, KeyError> {
        let Some(pin) = pin.read(name)? else {
            return Ok(None);
        };
        let fingerprint = ec::digest(KeyAlgorithm::P256, pin.reveal().as_bytes())?;
        if locked(&self.state).refused.contains(&(handle, fingerprint)) {
            return Err(hardware(
                key::PIN_REFUSED,
                name,
                "the TPM refused this PIN before; it is not tried again, so that the TPM does not lock"
                    .into(),
            ));
        }
        Auth::try_from(pin.reveal().as_bytes().to_vec())
            .map(Some)
            .map_err(|_| {
                hardware(
                    key::PIN_REFUSED,
                    name,
                    "its PIN is longer than the TPM allows".into(),
                )
            })
    }

    /// Remembers that the TPM refused this PIN.
    pub(super) fn refuse(&self, handle: u32, pin: &PinSource, name: &str) {
        let Ok(Some(pin)) = pin.read(name) else { return };
        let Ok(fingerprint) = ec::digest(KeyAlgorithm::P256, pin.reveal().as_bytes()) else {
            return;
        };
        let mut state = locked(&self.state);
        if state.refused.len() >= MAX_REFUSED {
            state.refused.remove(0);
        }
        state.refused.push((handle, fingerprint));
    }
}

/// The object behind a persistent handle.
pub(super) fn object(context: &mut Context, handle: u32) -> Result<KeyHandle, Error> {
    let handle = TpmHandle::Persistent(PersistentTpmHandle::new(handle)?);
    Ok(context
        .execute_without_session(|context| context.tr_from_tpm_public(handle))?
        .into())
}

/// What a TPM's error means to an operator.
fn judged(error: &Error) -> (Code, String) {
    let Error::Tss2Error(response) = error else {
        return (key::UNSUPPORTED, format!("the TSS refused: {error}"));
    };
    let code = match response.kind() {
        Some(Kind::AuthFail | Kind::BadAuth | Kind::Lockout | Kind::AuthMissing) => key::PIN_REFUSED,
        Some(Kind::Handle) => key::NOT_FOUND,
        Some(Kind::NvDefined) => key::MISMATCH,
        Some(
            Kind::Curve | Kind::Scheme | Kind::Key | Kind::Attributes | Kind::Hash | Kind::Size | Kind::Value,
        ) => key::UNSUPPORTED,
        _ => key::UNAVAILABLE,
    };
    let hint = match response.kind() {
        Some(Kind::AuthFail | Kind::BadAuth) => "; it is not tried again",
        Some(Kind::Lockout) => "; it is locked after wrong PINs, and opens by itself after its recovery time",
        Some(Kind::NvDefined) => "; there is a key at this handle already, which is not replaced",
        _ => "",
    };
    (code, format!("the TPM said: {response}{hint}"))
}

pub(super) fn hardware(code: Code, name: &str, reason: String) -> KeyError {
    KeyError::Hardware {
        code,
        key: name.to_owned(),
        reason,
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
