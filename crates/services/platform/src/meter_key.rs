//! Which keys are believed to be a station's meters'.

use gridlatch_host::now;
use gridlatch_receipt::fingerprint;
use gridlatch_store::{MeterKey, StoreError};
use gridlatch_trust::{KeyAlgorithm, certificate};
use gridlatch_vocab::{Event, EventSink as _, StationId, catalogue};

use crate::state::PlatformState;

/// The largest public key that is read, in octets of text.
pub(crate) const MAX_KEY: usize = 4096;

impl PlatformState {
    /// Believes readings of `station` that are signed with the key `spki` (DER SubjectPublicKeyInfo, P-256) from now
    /// on, besides those registered before: a meter that was replaced may still have readings under way. The
    /// fingerprint of the key.
    ///
    /// # Errors
    /// The store failed.
    pub async fn register_meter_key(&self, station: &StationId, spki: &[u8]) -> Result<String, StoreError> {
        let fingerprint = fingerprint(spki);
        let key = MeterKey {
            fingerprint: fingerprint.clone(),
            spki: spki.to_vec(),
            at: now(),
        };
        if self.store().meter_key_put(station, key).await? {
            let message = format!("readings signed by {fingerprint} are believed for {station}");
            self.hub().emit(
                Event::new(
                    now(),
                    catalogue::bill::METER_KEY_REGISTERED,
                    crate::SOURCE,
                    message,
                )
                .station(station)
                .with("key", fingerprint.clone()),
            );
        }
        Ok(fingerprint)
    }
}

/// A P-256 public key as people paste it: PEM, hexadecimal or base64 of its DER.
pub(crate) fn read(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    if text.len() > MAX_KEY {
        return None;
    }
    let body: String = text
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .flat_map(str::chars)
        .filter(|c| !c.is_whitespace() && *c != ':')
        .collect();
    let der = hex::decode(&body)
        .ok()
        .or_else(|| base64::engine::general_purpose::STANDARD.decode(&body).ok())?;
    (certificate::spki_algorithm(&der) == Some(KeyAlgorithm::P256)).then_some(der)
}
