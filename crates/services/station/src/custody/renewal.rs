//! Asking for a certificate, and proving the one that comes before it is shown.

use std::sync::PoisonError;

use gridlatch_keys::OpensslVerifier;
use gridlatch_tls::Credential;
use gridlatch_trust::build::Subject;
use gridlatch_trust::{certificate, csr, verdict};
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::{custody as codes, pki};

use super::installed::Named;
use super::roots::all_roots;
use super::shelf::Held;
use super::{CertificateUse, Custody, CustodyError, KeyStore, SigningRequest, State, vehicle_credentials};

/// Certificates of one use that may be held: one per root and generation, old and new.
const MAX_HELD: usize = 32;
/// How far ahead of its beginning a certificate may be delivered, in days.
const MAX_AHEAD_DAYS: i64 = 31;

impl Custody {
    /// A request for a new certificate. Its key is new and durable before this returns; asked again
    /// before an answer came, the request is for the same key.
    ///
    /// # Errors
    /// The key cannot be made or kept.
    pub fn request(&self, usage: CertificateUse) -> Result<SigningRequest, CustodyError> {
        let _one_at_a_time = self.0.making.lock().unwrap_or_else(PoisonError::into_inner);
        // A key in a file that waits for its certificate is not used once keys have to be in a token.
        let known = self.state().pending.get(&usage).cloned();
        let known = known.filter(|key| self.0.config.keys.holds(key));
        let key = match known {
            Some(key) => key,
            None => {
                self.same_keeping(usage)?;
                // A token may take seconds; nothing else waits for it.
                let name = format!(
                    "{}-{}-{}",
                    self.0.config.station,
                    usage.folder(),
                    gridlatch_host::now().0.unix_timestamp_nanos()
                );
                let key = self.0.disk.new_pending(usage, &name)?;
                self.state().pending.insert(usage, key.clone());
                key
            }
        }
        .signer();
        let config = &self.0.config;
        let subject = Subject {
            common_name: if usage.for_vehicles() {
                config.secc_name.clone()
            } else {
                config.station.to_string()
            },
            organization: Some(config.organization.clone()),
            country: Some(config.country.clone()),
        };
        let der = csr::build(
            &subject,
            usage.profile().row().domain_component,
            key.public_key_der(),
            usage.algorithm(),
            &|message| key.sign(message).map_err(Into::into),
        )
        .map_err(|error| CustodyError::new(error.code(), error.to_string()))?;
        Ok(SigningRequest {
            usage,
            csr: csr::to_pem(&der),
        })
    }

    /// Installs the chain (PEM, leaf first) that answers a request, if it can be believed; it is on the
    /// disk and shown when this returns.
    ///
    /// # Errors
    /// Nobody asked with that key, the chain does not verify against the installed roots, names somebody
    /// else, or cannot be kept. What was in use stays.
    pub fn install(&self, usage: CertificateUse, pem: &str, now: Timestamp) -> Result<Named, CustodyError> {
        let chain = certificate::from_pem(pem.as_bytes())
            .map_err(|error| CustodyError::new(pki::MALFORMED, format!("the chain: {error}")))?;
        let leaf = chain
            .first()
            .ok_or_else(|| CustodyError::new(pki::MALFORMED, "the answer holds no certificate"))?;
        let mut state = self.state();
        let key = state.pending.get(&usage).cloned();
        let spki = certificate::public_key_der(leaf)
            .map_err(|error| CustodyError::new(pki::MALFORMED, error.to_string()))?;
        let key = key.filter(|key| key.signer().public_key_der() == spki);
        let key = key.ok_or_else(|| {
            CustodyError::new(
                codes::NOT_ASKED,
                format!("no {} was asked for with this key", usage.word()),
            )
        })?;
        let accepted = self.believed(&state, usage, &chain, now)?;
        let summary = certificate::summary(leaf)
            .map_err(|error| CustodyError::new(pki::MALFORMED, error.to_string()))?;
        let expected = if usage.for_vehicles() {
            self.0.config.secc_name.as_str()
        } else {
            self.0.config.station.as_str()
        };
        if summary.subject_cn != expected {
            return Err(CustodyError::new(
                pki::COMMON_NAME,
                format!("the certificate names {:?}, not {expected:?}", summary.subject_cn),
            ));
        }
        let credential = Credential::new(
            format!("{}/{}", usage.folder(), summary.serial_hex),
            accepted.path.clone(),
            key.signer(),
        );
        let held = Held::new(credential, Some(now))?;
        // Shown first in memory: a listener that refuses it must not find it on the disk after a restart.
        let mut shelf = state.shelves.get(&usage).cloned().unwrap_or_default();
        if shelf.len() >= MAX_HELD {
            return Err(CustodyError::new(
                codes::FULL,
                format!("{MAX_HELD} certificates of this use are held"),
            ));
        }
        shelf.add(held.clone());
        let before = state.shelves.insert(usage, shelf);
        let shown = match &state.server {
            Some(server) if usage.for_vehicles() => server
                .replace_credentials(&vehicle_credentials(&state, now))
                .map_err(|error| {
                    CustodyError::new(codes::REFUSED, format!("the listener refuses it: {error}"))
                }),
            _ => Ok(()),
        };
        let kept = shown.and_then(|()| self.0.disk.keep_pair(usage, &held, &key));
        if let Err(error) = kept {
            if let Some(before) = before {
                state.shelves.insert(usage, before);
            }
            if let Some(server) = state.server.clone() {
                // What was shown before was accepted before.
                let _ = server.replace_credentials(&vehicle_credentials(&state, now));
            }
            return Err(error);
        }
        state.pending.remove(&usage);
        self.0.disk.forget_pending(usage);
        Ok(Named {
            usage: usage.word(),
            serial: summary.serial_hex,
            issuer: summary.issuer_cn,
            valid_until: accepted.valid_until,
        })
    }

    /// The verdict a peer would give.
    fn believed(
        &self,
        state: &State,
        usage: CertificateUse,
        chain: &[Vec<u8>],
        now: Timestamp,
    ) -> Result<verdict::Accepted, CustodyError> {
        let roots = all_roots(&self.0.config, state, usage.root());
        // A certificate may be delivered ahead of its time; then it is judged at its beginning.
        let begins = chain
            .first()
            .and_then(|leaf| certificate::summary(leaf).ok())
            .map_or(now, |summary| summary.not_before.max(now));
        let ahead = Timestamp(now.0 + time::Duration::days(MAX_AHEAD_DAYS));
        let at = if begins <= ahead { begins } else { now };
        verdict::check_with(chain, &roots, usage.profile(), at, &OpensslVerifier)
            .map_err(|rejected| CustodyError::new(rejected.code, rejected.message))
    }

    /// A key in hardware is not followed by one in a file because somebody forgot to name the place.
    fn same_keeping(&self, usage: CertificateUse) -> Result<(), CustodyError> {
        let now = gridlatch_host::now();
        let shown = self.state().shelves.get(&usage).map(|shelf| shelf.serving(now));
        let current = shown.and_then(|shown| shown.into_iter().next());
        let hardware = current.is_some_and(|current| current.key.as_file().is_none());
        if hardware && matches!(self.0.config.keys, KeyStore::Files) {
            return Err(CustodyError::new(
                codes::NO_KEY_PLACE,
                format!(
                    "the current {} has its key in hardware, and no place for the next one is named",
                    usage.word()
                ),
            ));
        }
        Ok(())
    }
}
