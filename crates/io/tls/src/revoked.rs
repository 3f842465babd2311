//! Certificates that their issuers took back.

use std::collections::HashSet;
use std::fmt;

use openssl::hash::{MessageDigest, hash};
use openssl::x509::{X509, X509Ref, X509StoreContextRef};

use crate::ffi;
use crate::observed::{VerifyFault, Watch};

/// Certificates that are added one by one and refused within the handshake. Others are still asked about.
pub(crate) const MAX_REVOKED: usize = 4096;

/// A set of revoked certificates, by issuer and serial number, as revocation lists name them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Revoked(HashSet<[u8; 32]>);

impl Revoked {
    /// Adds the certificate that `issuer` (its name in DER) gave `serial` (big-endian; leading zeros
    /// do not matter).
    ///
    /// # Errors
    /// OpenSSL cannot hash.
    pub fn insert(&mut self, issuer: &[u8], serial: &[u8]) -> Result<(), openssl::error::ErrorStack> {
        self.0.insert(name(issuer, serial)?);
        Ok(())
    }

    /// Adds this certificate (DER).
    ///
    /// # Errors
    /// It is no certificate, or OpenSSL cannot hash.
    pub fn insert_certificate(&mut self, der: &[u8]) -> Result<(), openssl::error::ErrorStack> {
        let certificate = X509::from_der(der)?;
        let serial = certificate.serial_number().to_bn()?.to_vec();
        self.insert(&certificate.issuer_name().to_der()?, &serial)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These and `more`, at most [`MAX_REVOKED`] of them: beyond it the new ones are all that counts.
    #[must_use]
    pub(crate) fn with(&self, more: &Self) -> Self {
        if self.0.len() + more.0.len() > MAX_REVOKED {
            return more.clone();
        }
        Self(self.0.union(&more.0).copied().collect())
    }

    /// For a verify callback: whether to go on, with the first fault noted.
    pub(crate) fn judge(&self, ok: bool, store: &mut X509StoreContextRef, watch: &Watch) -> bool {
        if ok && store.current_cert().is_some_and(|cert| self.contains(cert)) {
            store.set_error(ffi::certificate_revoked());
        } else if ok {
            return watch.plain(store);
        }
        watch.refuse(store, VerifyFault::Openssl(store.error()));
        false
    }

    /// A certificate that cannot be named counts as revoked: it cannot be shown that it is not.
    pub(crate) fn contains(&self, certificate: &X509Ref) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let serial = certificate.serial_number().to_bn().map(|number| number.to_vec());
        certificate
            .issuer_name()
            .to_der()
            .and_then(|issuer| name(&issuer, &serial?))
            .map_or(true, |name| self.0.contains(&name))
    }
}

/// One hash instead of two vectors: revocation lists can be long.
fn name(issuer: &[u8], serial: &[u8]) -> Result<[u8; 32], openssl::error::ErrorStack> {
    let serial = &serial[serial.iter().take_while(|octet| **octet == 0).count()..];
    let mut text = issuer.to_vec();
    text.extend_from_slice(serial);
    let digest = hash(MessageDigest::sha256(), &text)?;
    let mut name = [0; 32];
    name.copy_from_slice(&digest);
    Ok(name)
}

impl fmt::Debug for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Revoked").field(&self.0.len()).finish()
    }
}
