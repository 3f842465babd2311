//! One token of one module, shared by all keys on it: sessions, login, and what happens when it goes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use gridlatch_trust::KeyAlgorithm;
use gridlatch_vocab::Code;
use gridlatch_vocab::catalogue::key;

use super::judged;
use super::module::{InUse, Module};
use crate::gate::Gate;
use crate::pin::{Pin, PinSource};
use crate::uri::Pkcs11Uri;
use crate::{KeyError, ec};

/// Sessions that sign at the same time on one token.
const MAX_SESSIONS: usize = 4;
/// PINs remembered as refused, per token.
const MAX_REFUSED: usize = 16;

/// A token by the name its keys' URIs give it.
pub(super) struct Token {
    module: Arc<Module>,
    label: Option<String>,
    serial: Option<String>,
    pub(super) gate: Gate,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Sessions that nobody uses.
    idle: Vec<Session>,
    /// Counts how often everything had to be opened anew: handles of an older epoch mean nothing.
    epoch: u64,
    /// Hashes of PINs that the token refused.
    refused: Vec<Vec<u8>>,
}

/// A session, the epoch it belongs to, and the promise that the module is not restarted meanwhile.
pub(super) struct Open<'a> {
    pub(super) session: Session,
    pub(super) epoch: u64,
    // Dropped after the session, which must still be known when it is closed.
    _in_use: InUse<'a>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("label", &self.label)
            .field("serial", &self.serial)
            .finish_non_exhaustive()
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Token {
    /// The token that `uri` names, not necessarily present.
    pub(super) fn of(uri: &Pkcs11Uri) -> Result<Arc<Self>, KeyError> {
        type Name = (PathBuf, Option<String>, Option<String>);
        static TOKENS: Mutex<BTreeMap<Name, Arc<Token>>> = Mutex::new(BTreeMap::new());
        let name = (uri.module.clone(), uri.token.clone(), uri.serial.clone());
        let mut tokens = locked(&TOKENS);
        if let Some(known) = tokens.get(&name) {
            return Ok(Arc::clone(known));
        }
        let token = Arc::new(Self {
            module: Module::load(&uri.module, &uri.to_string())?,
            label: uri.token.clone(),
            serial: uri.serial.clone(),
            gate: Gate::new(MAX_SESSIONS),
            state: Mutex::default(),
        });
        token.module.join(&token);
        tokens.insert(name, Arc::clone(&token));
        Ok(token)
    }

    /// A session that is logged in, where the token wants that: one that lies idle, or a new one.
    ///
    /// A token that is not there may be one that the module has not noticed yet: many modules look for
    /// tokens only when they start, so the module is started again, now and then.
    pub(super) fn open(&self, pin: &PinSource, of: &str) -> Result<Open<'_>, KeyError> {
        self.open_as(pin, of, false).or_else(|error| {
            if error.code() == key::UNAVAILABLE && self.module.restart() {
                self.open_as(pin, of, false)
            } else {
                Err(error)
            }
        })
    }

    /// A session that may change what is on the token.
    pub(super) fn open_for_writing(&self, pin: &PinSource, of: &str) -> Result<Open<'_>, KeyError> {
        self.open_as(pin, of, true)
    }

    fn open_as(&self, pin: &PinSource, of: &str, writing: bool) -> Result<Open<'_>, KeyError> {
        let in_use = self.module.enter();
        let mut state = locked(&self.state);
        let epoch = state.epoch;
        let session = match state.idle.pop() {
            Some(session) if !writing => session,
            kept => {
                state.idle.extend(kept);
                // The lock is held on purpose: a wrong PIN must be tried once, not by every thread.
                self.fresh(&mut state, pin, of, writing)?
            }
        };
        Ok(Open {
            session,
            epoch,
            _in_use: in_use,
        })
    }

    /// Gives a session back that worked.
    pub(super) fn close(&self, open: Open<'_>) {
        let mut state = locked(&self.state);
        if open.epoch == state.epoch && state.idle.len() < MAX_SESSIONS {
            state.idle.push(open.session);
        }
    }

    /// Forgets every session of `epoch`: the token was reset, removed or restarted.
    pub(super) fn reset(&self, epoch: u64) {
        let mut state = locked(&self.state);
        if state.epoch == epoch {
            state.epoch += 1;
            state.idle.clear();
        }
    }

    /// Forgets every session: the module is about to be restarted.
    pub(super) fn forget(&self) {
        let mut state = locked(&self.state);
        state.epoch += 1;
        state.idle.clear();
    }

    fn fresh(
        &self,
        state: &mut State,
        pin: &PinSource,
        of: &str,
        writing: bool,
    ) -> Result<Session, KeyError> {
        let failed = |code: Code, reason: String| KeyError::Hardware {
            code,
            key: of.to_owned(),
            reason,
        };
        let of_error = |error: Error| {
            let (code, reason) = judged(&error);
            failed(code, reason)
        };
        let slot = self.slot(of)?;
        let info = self.module.api().get_token_info(slot).map_err(of_error)?;
        let session = if writing {
            self.module.api().open_rw_session(slot)
        } else {
            self.module.api().open_ro_session(slot)
        }
        .map_err(of_error)?;
        if !info.login_required() {
            return Ok(session);
        }
        let Some(pin) = pin.read(of)? else {
            return Err(failed(
                key::PIN_REFUSED,
                "the token needs a PIN and none is configured".into(),
            ));
        };
        let fingerprint = fingerprint(&pin)?;
        if state.refused.contains(&fingerprint) {
            return Err(failed(
                key::PIN_REFUSED,
                "the token refused this PIN before; it is not tried again, so that the token does not lock"
                    .into(),
            ));
        }
        if info.user_pin_locked() {
            return Err(failed(key::PIN_REFUSED, "the token's PIN is locked".into()));
        }
        if info.user_pin_final_try() {
            return Err(failed(
                key::PIN_REFUSED,
                "one more wrong PIN would lock the token; log in by hand once, then try again".into(),
            ));
        }
        match session.login(UserType::User, Some(&pin.reveal().into())) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(error) => {
                let (code, reason) = judged(&error);
                if code == key::PIN_REFUSED {
                    if state.refused.len() >= MAX_REFUSED {
                        state.refused.remove(0);
                    }
                    state.refused.push(fingerprint);
                }
                Err(failed(code, reason))
            }
        }
    }

    /// Where the token is now: slot numbers change when it is plugged in again.
    fn slot(&self, of: &str) -> Result<Slot, KeyError> {
        let failed = |code: Code, reason: String| KeyError::Hardware {
            code,
            key: of.to_owned(),
            reason,
        };
        let slots = self
            .module
            .api()
            .get_slots_with_token()
            .map_err(|error| failed(key::UNAVAILABLE, judged(&error).1))?;
        let mut seen = Vec::new();
        let mut found = None;
        for slot in slots {
            // A slot that cannot be asked holds no token of ours.
            let Ok(info) = self.module.api().get_token_info(slot) else {
                continue;
            };
            if !info.token_initialized() {
                continue;
            }
            let wanted = |have: &str, want: &Option<String>| {
                want.as_deref().is_none_or(|want| have.trim_end() == want)
            };
            if wanted(info.label(), &self.label) && wanted(info.serial_number(), &self.serial) {
                if found.replace(slot).is_some() {
                    return Err(failed(
                        key::MISMATCH,
                        "two tokens have this name; add serial=".into(),
                    ));
                }
            } else if seen.len() < 8 {
                seen.push(info.label().trim_end().to_owned());
            }
        }
        found.ok_or_else(|| {
            let there = if seen.is_empty() {
                "the module has none".to_owned()
            } else {
                format!("the module has {seen:?}")
            };
            failed(
                key::UNAVAILABLE,
                format!("there is no token of this name; {there}"),
            )
        })
    }
}

fn fingerprint(pin: &Pin) -> Result<Vec<u8>, KeyError> {
    ec::digest(KeyAlgorithm::P256, pin.reveal().as_bytes())
}
