//! Whom the service believes: the roots of the pool, and chains that lead to them.

use gridlatch_keys::OpensslVerifier;
use gridlatch_session::provisioning::Refusal;
use gridlatch_store::{PoolLink, PoolRoot};
use gridlatch_trust::certificate::{self, CertificateSummary};
use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_trust::revocation::Status;
use gridlatch_trust::rollover::vouched_for;
use gridlatch_trust::verdict::{self, Accepted, Rejected};
use gridlatch_trust::{Generation, KeyAlgorithm};
use gridlatch_vocab::catalogue::{pki, pools, provisioning as codes, revocation};

use super::{Provisioner, ProvisioningError};

/// Whose root it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RootKind {
    /// A V2G root: stations and provisioning services.
    V2g,
    /// A mobility operator's.
    Mo,
    /// A car maker's.
    Oem,
    /// Of a private environment.
    Pe,
}

impl RootKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::V2g, Self::Mo, Self::Oem, Self::Pe];

    /// As the pools spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2g => "V2G",
            Self::Mo => "MO",
            Self::Oem => "OEM",
            Self::Pe => "PE",
        }
    }

    /// From the spelling of the pools, in either case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str().eq_ignore_ascii_case(text))
    }

    const fn profile(self) -> Kind {
        match self {
            Self::V2g | Self::Pe => Kind::V2gRoot,
            Self::Mo => Kind::MoRoot,
            Self::Oem => Kind::OemRoot,
        }
    }
}

/// What became of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootAdded {
    /// The id it stands under.
    pub id: String,
    /// Whether it was not there before.
    pub new: bool,
}

impl Provisioner {
    /// Puts a root certificate into the pool: self-signed, a CA by its profile, valid now. Anything else is
    /// refused, a sub-CA above all: as an anchor it would outlive its own revocation.
    ///
    /// # Errors
    /// It is no such root, or the pool is full.
    pub async fn add_root(
        &self,
        kind: RootKind,
        der: &[u8],
        by: &str,
    ) -> Result<RootAdded, ProvisioningError> {
        let refuse = |message: String| ProvisioningError::new(pools::NOT_A_ROOT, Refusal::Chain, message);
        let parsed = certificate::parse(der).map_err(|error| refuse(error.to_string()))?;
        let tbs = &parsed.tbs_certificate;
        if tbs.subject != tbs.issuer {
            let summary = certificate::summary(der).map_err(|error| refuse(error.to_string()))?;
            return Err(refuse(format!(
                "{:?} was issued by {:?}: it is no root, and only roots are anchors",
                summary.subject_cn, summary.issuer_cn
            )));
        }
        let generation = generation_of(der)
            .ok_or_else(|| refuse("its key is neither secp256r1 nor secp521r1 nor Ed448".to_owned()))?;
        let profile = profile(generation, kind.profile());
        let own = [der.to_vec()];
        verdict::check_with(&own, &own, profile, self.now(), &OpensslVerifier)
            .map_err(|rejected| refuse(rejected.message))?;
        let root = PoolRoot {
            id: uuid()?,
            kind: kind.as_str().to_owned(),
            fingerprint: fingerprint(der),
            der: der.to_vec(),
            added_by: by.to_owned(),
            at: self.now(),
        };
        let Some((id, new)) = self.store.pool_root_add(root).await? else {
            return Err(ProvisioningError::new(
                pools::FULL,
                Refusal::Failed,
                "the root pool is full",
            ));
        };
        Ok(RootAdded { id, new })
    }

    /// Keeps a link certificate: the name and key of one root of the pool, signed by another (RFC 4210 section
    /// 4.4). It is no anchor and never becomes one: it lets who holds one of the two roots check the other.
    ///
    /// # Errors
    /// It joins no two roots of the pool, is not valid now, or there are too many.
    pub async fn add_link(&self, der: &[u8], by: &str) -> Result<PoolLink, ProvisioningError> {
        let roots = self.store.pool_roots(None).await?;
        let joins = |issuer: &&PoolRoot, subject: &&PoolRoot| {
            issuer.kind == subject.kind
                && issuer.fingerprint != subject.fingerprint
                && vouched_for(&issuer.der, &subject.der, der, self.now(), &OpensslVerifier)
        };
        // Names first: signatures are checked for the few that fit.
        let named = |name: fn(&[u8]) -> Result<Vec<u8>, certificate::CertificateError>| {
            let wanted = name(der).ok();
            roots
                .iter()
                .filter(|root| wanted.is_some() && certificate::subject_der(&root.der).ok() == wanted)
                .collect::<Vec<_>>()
        };
        let (issuers, subjects) = (named(certificate::issuer_der), named(certificate::subject_der));
        let found = issuers.iter().find_map(|issuer| {
            let subject = subjects.iter().find(|subject| joins(issuer, subject))?;
            Some((issuer.fingerprint.clone(), subject.fingerprint.clone()))
        });
        let Some((issuer, subject)) = found else {
            return Err(ProvisioningError::new(
                pools::NOT_A_LINK,
                Refusal::Chain,
                "it does not carry the name and key of one root of the pool, signed by another and valid now",
            ));
        };
        let link = PoolLink {
            issuer,
            subject,
            der: der.to_vec(),
            added_by: by.to_owned(),
            at: self.now(),
        };
        if !self.store.pool_link_put(link.clone()).await? {
            return Err(ProvisioningError::new(
                pools::FULL,
                Refusal::Failed,
                "the root pool keeps no more link certificates",
            ));
        }
        self.emit(
            pools::LINK_ADDED,
            format!("{by} added a link certificate between two roots"),
        );
        Ok(link)
    }

    /// The roots (DER) of some kinds.
    pub(crate) async fn anchors(&self, kinds: &[RootKind]) -> Result<Vec<Vec<u8>>, ProvisioningError> {
        let roots = self.store.pool_roots(None).await?;
        Ok(roots
            .into_iter()
            .filter(|root| kinds.iter().any(|kind| kind.as_str() == root.kind))
            .map(|root| root.der)
            .collect())
    }

    /// Judges a chain against the roots of some kinds.
    pub(crate) async fn judge(
        &self,
        chain: &[Vec<u8>],
        kinds: &[RootKind],
        generation: Generation,
        kind: Kind,
    ) -> Result<Accepted, ProvisioningError> {
        let anchors = self.anchors(kinds).await?;
        let accepted = verdict::check_with(
            chain,
            &anchors,
            profile(generation, kind),
            self.now(),
            &OpensslVerifier,
        )
        .map_err(|rejected| refused(&rejected))?;
        if let Some(check) = &self.revocation {
            // Responders are asked about a path that holds, not about whatever somebody sends.
            let mut path = accepted.path.clone();
            path.push(accepted.anchor.clone());
            let standing = check.standing(&path, None, self.now(), &OpensslVerifier).await;
            let checked = standing.map_err(|unfit| refused(&unfit.rejected))?;
            if let Some(one) = checked.iter().find(|one| one.status == Status::Unknown) {
                let message = format!(
                    "a chain of the kind {} is believed though it is not known whether it was revoked: {}",
                    kind.slug(),
                    one.because
                );
                self.emit(revocation::UNKNOWN, message);
            }
        }
        Ok(accepted)
    }
}

fn refused(rejected: &Rejected) -> ProvisioningError {
    let refusal = if rejected.code == revocation::REVOKED {
        Refusal::Revoked
    } else if rejected.code == pki::EXPIRED || rejected.code == pki::NOT_YET_VALID {
        Refusal::Expired
    } else {
        Refusal::Chain
    };
    ProvisioningError::new(
        codes::CERTIFICATE_REFUSED,
        refusal,
        format!("{} ({})", rejected.message, rejected.code),
    )
}

pub(crate) const fn profile(generation: Generation, kind: Kind) -> Profile {
    match generation {
        Generation::Iso2 => Profile::iso2(kind),
        Generation::Iso20 => Profile::iso20(kind),
    }
}

/// Which standard a certificate's key belongs to.
pub(crate) fn generation_of(der: &[u8]) -> Option<Generation> {
    match certificate::summary(der).ok()?.key? {
        KeyAlgorithm::P256 => Some(Generation::Iso2),
        KeyAlgorithm::P521 | KeyAlgorithm::Ed448 => Some(Generation::Iso20),
    }
}

pub(crate) fn summary(der: &[u8], what: &str) -> Result<CertificateSummary, ProvisioningError> {
    certificate::summary(der).map_err(|error| {
        ProvisioningError::new(
            codes::REQUEST_MALFORMED,
            Refusal::Chain,
            format!("{what}: {error}"),
        )
    })
}

/// SHA-256 of a certificate, lower-case hexadecimal.
pub(crate) fn fingerprint(der: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(der))
}

/// A random UUID (RFC 9562, version 4).
pub(crate) fn uuid() -> Result<String, ProvisioningError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|_| ProvisioningError::entropy())?;
    bytes[6] = bytes[6] & 0x0F | 0x40;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    let text = hex::encode(bytes);
    let part = |range: core::ops::Range<usize>| text.get(range).unwrap_or_default().to_owned();
    Ok([part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-"))
}
