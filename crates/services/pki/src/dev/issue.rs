//! Making certificates: CAs once, leaves when they are missing or due.

use std::sync::Arc;

use gridlatch_keys::{FileKey, Signer as _};
use gridlatch_tls::Credential;
use gridlatch_trust::build::{AltName, Issuer, Request, Subject, build};
use gridlatch_trust::certificate;
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::catalogue::pki;
use gridlatch_vocab::{Code, Event, Timestamp};

use super::DevPki;
use crate::PkiError;
use crate::store::{Found, Pair};
use crate::tree::{Node, World};

/// A certificate as the tree wants it.
pub(super) struct Wanted {
    pub(super) kind: Kind,
    pub(super) issuer: &'static str,
    pub(super) common_name: String,
    pub(super) organization: &'static str,
    pub(super) alt_names: Vec<AltName>,
}

impl Wanted {
    pub(super) const fn new(
        kind: Kind,
        issuer: &'static str,
        common_name: String,
        organization: &'static str,
    ) -> Self {
        Self {
            kind,
            issuer,
            common_name,
            organization,
            alt_names: Vec::new(),
        }
    }
}

impl DevPki {
    /// Loads a CA of the tree or makes it; says whether it was made just now.
    pub(super) fn authority(&self, world: World, node: &Node) -> Result<(Pair, bool), PkiError> {
        let key = match self.store.find(world.folder(), node.name)? {
            Found::Whole(pair) => return Ok((pair, false)),
            Found::OnlyKey(key) => key,
            Found::Nothing => self.store.new_key(world.folder(), node.name, world.algorithm())?,
        };
        let wanted = Wanted::new(node.kind, node.issuer, world.common_name(node), node.organization);
        // A day's grace for clocks that differ between the machines of a test bench.
        let not_before = Timestamp(self.now().0 - time::Duration::DAY);
        let pair = self.issue(world, node.name, &wanted, key, not_before)?;
        Ok((pair, true))
    }

    /// A leaf with its chain, issued when missing, half-written or in the last third of its life.
    pub(super) fn credential(
        &self,
        world: World,
        name: &str,
        wanted: &Wanted,
    ) -> Result<Credential, PkiError> {
        let _lock = self.store.lock()?;
        let folder = format!("{}/issued", world.folder());
        let (key, code) = match self.store.find(&folder, name)? {
            Found::Whole(pair) if !self.due(&pair.der) => return Ok(self.chained(world, name, wanted, pair)),
            Found::Whole(_) => {
                self.store.remove(&folder, name)?;
                (
                    self.store.new_key(&folder, name, world.algorithm())?,
                    pki::RENEWED,
                )
            }
            Found::OnlyKey(key) => (key, pki::ISSUED),
            Found::Nothing => (self.store.new_key(&folder, name, world.algorithm())?, pki::ISSUED),
        };
        let not_before = Timestamp(self.now().0 - time::Duration::HOUR);
        let pair = self.issue_in(world, &folder, name, wanted, key, not_before)?;
        self.report(code, wanted);
        Ok(self.chained(world, name, wanted, pair))
    }

    fn chained(&self, world: World, name: &str, wanted: &Wanted, leaf: Pair) -> Credential {
        let mut chain = vec![leaf.der];
        let mut next = wanted.issuer;
        // Leaf, two sub-CAs: the tree is no deeper.
        while let Some(node) = world.node(next).filter(|node| !node.kind.is_root()) {
            chain.push(self.ca(world, node.name).der.clone());
            next = node.issuer;
        }
        Credential {
            label: format!("{}/{name}", world.folder()),
            chain,
            key: leaf.key,
            staple: None,
        }
    }

    fn issue(
        &self,
        world: World,
        name: &str,
        wanted: &Wanted,
        key: FileKey,
        not_before: Timestamp,
    ) -> Result<Pair, PkiError> {
        self.issue_in(world, world.folder(), name, wanted, key, not_before)
    }

    fn issue_in(
        &self,
        world: World,
        folder: &str,
        name: &str,
        wanted: &Wanted,
        key: FileKey,
        not_before: Timestamp,
    ) -> Result<Pair, PkiError> {
        let issuer = if wanted.kind.is_root() {
            None
        } else {
            Some(self.ca(world, wanted.issuer))
        };
        // CAs are made before anybody knows where anything listens.
        let leaf = wanted.kind.row().authority == gridlatch_trust::profile::Authority::Leaf;
        let urls = self.urls.as_ref().filter(|_| leaf);
        let authority = format!("{}/{}", world.folder(), wanted.issuer);
        let request = Request {
            profile: world.profile(wanted.kind),
            subject: Subject {
                common_name: wanted.common_name.clone(),
                organization: Some(wanted.organization.to_owned()),
                country: Some("DE".to_owned()),
            },
            spki: key.public_key_der(),
            serial: &serial()?,
            not_before,
            not_after: None,
            alt_names: wanted.alt_names.clone(),
            ocsp_url: urls.map(|(ocsp, _)| ocsp.clone()),
            crl_url: urls.map(|(_, crl)| crl.replace("{authority}", &authority)),
        };
        let signer = issuer.map_or(&key, |issuer| &*issuer.key);
        let der = build(
            &request,
            issuer.map_or(Issuer::Itself, |issuer| Issuer::Ca(&issuer.der)),
            signer.algorithm(),
            &|message| signer.sign(message).map_err(Into::into),
        )
        .map_err(|source| PkiError::Issue {
            name: name.to_owned(),
            source,
        })?;
        self.store.write_certificate(folder, name, &der)?;
        Ok(Pair {
            der,
            key: Arc::new(key),
        })
    }

    /// Whether a third of the validity or less is left; unreadable counts as due.
    fn due(&self, der: &[u8]) -> bool {
        certificate::summary(der).map_or(true, |summary| {
            let life = summary.not_after.0 - summary.not_before.0;
            summary.not_after.0 - self.now().0 < life / 3
        })
    }

    fn report(&self, code: Code, wanted: &Wanted) {
        if let Some(sink) = &self.sink {
            let kind = wanted.kind.row().name;
            sink.emit(
                Event::new(self.now(), code, "pki", format!("{kind} by {}", wanted.issuer))
                    .with("kind", kind),
            );
        }
    }
}

/// Eight octets, positive: unique in practice, and small enough for stacks that keep a serial number
/// in a 64-bit integer (EXI's X509SerialNumber).
pub(crate) fn serial() -> Result<[u8; 8], PkiError> {
    let mut octets = [0; 8];
    getrandom::fill(&mut octets).map_err(|_| PkiError::Entropy)?;
    octets[0] = octets[0] & 0x3F | 0x40;
    Ok(octets)
}
