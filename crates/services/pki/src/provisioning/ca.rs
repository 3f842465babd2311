//! The running CA as the authority behind contracts.

use core::fmt;
use std::sync::Arc;

use gridlatch_store::pki::SignerRow;
use gridlatch_trust::build::Subject;
use gridlatch_trust::profile::Kind;
use gridlatch_trust::{Generation, certificate};
use gridlatch_vocab::catalogue::provisioning as codes;
use gridlatch_vocab::{Emaid, Timestamp};
use tokio::runtime::Handle;

use super::{ContractAuthority, CpsSigner, ProvisioningError, RootKind, stored_generation};
use crate::ca::{Ca, CaError, Order, Requester, Role, Serial};
use gridlatch_session::provisioning::Refusal;

/// What the store calls the signer.
const PURPOSE: &str = "cps";

/// Contracts by the MO sub-CA 2 and contract data by a signer below the CPS sub-CA 2 of each tree that the CA
/// has. The policy decides for both: the roles are `mo` and `cps`.
pub struct CaContracts {
    ca: Ca,
    runtime: Handle,
}

impl fmt::Debug for CaContracts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CaContracts")
    }
}

impl From<CaError> for ProvisioningError {
    fn from(error: CaError) -> Self {
        Self::new(error.code(), Refusal::Failed, error.to_string())
    }
}

impl CaContracts {
    /// Makes the signers of contract data where they are missing.
    ///
    /// # Errors
    /// The policy refuses, or a key or the store fails.
    ///
    /// # Panics
    /// Outside a runtime.
    pub async fn open(ca: Ca) -> Result<Self, ProvisioningError> {
        for generation in [Generation::Iso2, Generation::Iso20] {
            if ca.authority(&name(generation, "cps-sub2")).is_ok() {
                signer(&ca, generation).await?;
            }
        }
        Ok(Self {
            ca,
            runtime: Handle::current(),
        })
    }

    /// Every root of the CA that the root pool should hold, with its kind (DER).
    #[must_use]
    pub fn pool_roots(&self) -> Vec<(RootKind, Vec<u8>)> {
        self.ca
            .authorities()
            .into_iter()
            .filter(|authority| authority.issuer.is_none())
            .filter_map(|authority| {
                let kind = match authority.profile.kind {
                    Kind::V2gRoot => RootKind::V2g,
                    Kind::MoRoot => RootKind::Mo,
                    Kind::OemRoot => RootKind::Oem,
                    _ => return None,
                };
                Some((kind, authority.der.clone()))
            })
            .collect()
    }
}

impl CaContracts {
    /// The CA's car makers' sub-CAs (DER): vehicles of ISO 15118-2 do not send them.
    #[must_use]
    pub fn oem_sub_cas(&self) -> Vec<Vec<u8>> {
        self.ca
            .authorities()
            .into_iter()
            .filter(|authority| matches!(authority.profile.kind, Kind::OemSub1 | Kind::OemSub2))
            .map(|authority| authority.der.clone())
            .collect()
    }
}

impl ContractAuthority for CaContracts {
    fn issue(
        &self,
        generation: Generation,
        emaid: &Emaid,
        public_key: &[u8],
        not_before: Option<Timestamp>,
        not_after: Option<Timestamp>,
    ) -> Result<Vec<Vec<u8>>, ProvisioningError> {
        let order = order(
            &self.ca,
            &name(generation, "mo-sub2"),
            Kind::ContractLeaf,
            emaid.as_str().to_owned(),
            public_key.to_vec(),
            Role::Mo,
        )?;
        let order = Order {
            not_before,
            not_after,
            ..order
        };
        Ok(self.runtime.block_on(self.ca.issue(order))?.chain)
    }

    fn cps(&self, generation: Generation) -> Result<Vec<CpsSigner>, ProvisioningError> {
        if self.ca.authority(&name(generation, "cps-sub2")).is_err() {
            return Ok(Vec::new());
        }
        Ok(vec![self.runtime.block_on(signer(&self.ca, generation))?])
    }
}

fn name(generation: Generation, ca: &str) -> String {
    format!("{}/{ca}", stored_generation(generation))
}

fn order(
    ca: &Ca,
    authority: &str,
    kind: Kind,
    common_name: String,
    spki: Vec<u8>,
    role: Role,
) -> Result<Order, ProvisioningError> {
    let issuer = ca.authority(authority)?;
    let about = certificate::summary(&issuer.der).map_err(|error| {
        ProvisioningError::new(codes::SIGNER_UNAVAILABLE, Refusal::Failed, error.to_string())
    })?;
    Ok(Order {
        authority: authority.to_owned(),
        profile: issuer.world.profile(kind),
        subject: Subject {
            common_name,
            organization: about.subject_o,
            country: None,
        },
        spki,
        alt_names: Vec::new(),
        not_before: None,
        not_after: None,
        requester: Requester {
            role,
            id: PURPOSE.to_owned(),
        },
    })
}

/// The signer of contract data, issued when missing, revoked, or in the last third of its life.
async fn signer(ca: &Ca, generation: Generation) -> Result<CpsSigner, ProvisioningError> {
    let sub2 = name(generation, "cps-sub2");
    let root = ca.root_of(&sub2)?.der.clone();
    let authority = ca.authority(&sub2)?;
    if let Some(row) = ca.store().pki_signer(authority.number(), PURPOSE).await?
        && let Some(record) = ca.store().pki_find(authority.number(), row.serial).await?
        && record.revoked.is_none()
        && fresh(&record.der, ca.now())
    {
        let mut chain = vec![record.der];
        chain.extend(ca.chain(&sub2)?);
        return Ok(CpsSigner {
            chain,
            root,
            key: ca.keys().open(&row.key_uri)?,
        });
    }
    let draw = Serial::random().ok_or_else(ProvisioningError::entropy)?;
    let uri = ca.keys().create(
        &format!("{}/cps/signer-{draw}", stored_generation(generation)),
        authority.algorithm(),
    )?;
    let key = ca.keys().open(&uri)?;
    let order = order(
        ca,
        &sub2,
        Kind::CpsLeaf,
        "Certificate Provisioning Service".to_owned(),
        key.public_key_der().to_vec(),
        Role::Cps,
    )?;
    let issued = ca.issue(order).await?;
    let row = SignerRow {
        key_uri: uri,
        serial: issued.serial.stored(),
    };
    ca.store()
        .pki_signer_put(authority.number(), PURPOSE, row, ca.now())
        .await?;
    Ok(CpsSigner {
        chain: issued.chain,
        root,
        key: Arc::clone(&key),
    })
}

fn fresh(der: &[u8], now: Timestamp) -> bool {
    certificate::summary(der).is_ok_and(|summary| {
        let life = summary.not_after.0 - summary.not_before.0;
        summary.not_after.0 - now.0 > life / 3
    })
}
