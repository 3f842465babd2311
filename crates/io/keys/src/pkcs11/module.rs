//! A PKCS#11 module: loaded and started once per process, and started again when a token has gone missing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use gridlatch_vocab::catalogue::key;

use super::judged;
use super::token::{Token, locked};
use crate::KeyError;

/// How often a module is started again to look for a missing token.
const RESTART_EVERY: Duration = Duration::from_secs(2);

/// One module of this process.
pub(super) struct Module {
    api: Pkcs11,
    /// Read by whoever has a session, written by a restart, which ends all sessions.
    sessions: RwLock<()>,
    tokens: Mutex<Vec<Weak<Token>>>,
    restarted: Mutex<Option<Instant>>,
}

/// While this exists, the module is not restarted.
pub(super) type InUse<'a> = RwLockReadGuard<'a, ()>;

impl Module {
    /// Loads the module at `path`, unless that has happened.
    pub(super) fn load(path: &Path, of: &str) -> Result<Arc<Self>, KeyError> {
        static MODULES: Mutex<BTreeMap<PathBuf, Arc<Module>>> = Mutex::new(BTreeMap::new());
        let unavailable = |reason: String| KeyError::Hardware {
            code: key::UNAVAILABLE,
            key: of.to_owned(),
            reason,
        };
        let mut modules = locked(&MODULES);
        if let Some(known) = modules.get(path) {
            return Ok(Arc::clone(known));
        }
        let api = Pkcs11::new(path)
            .map_err(|error| unavailable(format!("its module cannot be loaded: {error}")))?;
        start(&api)
            .map_err(|error| unavailable(format!("its module cannot be started: {}", judged(&error).1)))?;
        let module = Arc::new(Self {
            api,
            sessions: RwLock::new(()),
            tokens: Mutex::default(),
            restarted: Mutex::default(),
        });
        modules.insert(path.to_owned(), Arc::clone(&module));
        Ok(module)
    }

    pub(super) const fn api(&self) -> &Pkcs11 {
        &self.api
    }

    /// Counts `token` among those whose sessions a restart ends.
    pub(super) fn join(&self, token: &Arc<Token>) {
        locked(&self.tokens).push(Arc::downgrade(token));
    }

    pub(super) fn enter(&self) -> InUse<'_> {
        self.sessions.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the module again, unless somebody works with it or it was restarted just now.
    pub(super) fn restart(&self) -> bool {
        let Ok(_alone) = self.sessions.try_write() else {
            return false;
        };
        let mut last = locked(&self.restarted);
        if last.is_some_and(|at| at.elapsed() < RESTART_EVERY) {
            return false;
        }
        *last = Some(Instant::now());
        // Before the module forgets them: a number of an old session may be given to a new one.
        for token in locked(&self.tokens).iter().filter_map(Weak::upgrade) {
            token.forget();
        }
        // A module that cannot end may still be able to start; if not, the next call says so.
        let _ = self.api.clone().finalize();
        start(&self.api).is_ok()
    }
}

fn start(api: &Pkcs11) -> Result<(), Error> {
    match api.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        Err(error) => Err(error),
    }
}
