//! The development PKI as the authority behind contracts: for tests, which need no CA with a database.

use gridlatch_keys::Signer as _;
use gridlatch_trust::Generation;
use gridlatch_trust::build::{Issuer, Request, Subject, build};
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::{Emaid, Timestamp};

use super::{ContractAuthority, CpsSigner, ProvisioningError, RootKind};
use crate::PkiError;
use crate::dev::{DevPki, serial};
use crate::tree::World;

impl ContractAuthority for DevPki {
    fn issue(
        &self,
        generation: Generation,
        emaid: &Emaid,
        public_key: &[u8],
        not_before: Option<Timestamp>,
        not_after: Option<Timestamp>,
    ) -> Result<Vec<Vec<u8>>, ProvisioningError> {
        let world = World::of(generation);
        let (sub2, sub1) = (self.ca(world, "mo-sub2"), self.ca(world, "mo-sub1"));
        let request = Request {
            profile: world.profile(Kind::ContractLeaf),
            subject: Subject {
                common_name: emaid.as_str().to_owned(),
                organization: Some("Gridlatch Dev MO".to_owned()),
                country: Some("DE".to_owned()),
            },
            spki: public_key,
            serial: &serial()?,
            not_before: not_before.unwrap_or_else(|| Timestamp(self.now().0 - time::Duration::HOUR)),
            not_after,
            alt_names: Vec::new(),
            ocsp_url: None,
            crl_url: None,
        };
        let der = build(
            &request,
            Issuer::Ca(&sub2.der),
            sub2.key.algorithm(),
            &|message| sub2.key.sign(message).map_err(Into::into),
        )
        .map_err(|source| PkiError::Issue {
            name: "a contract certificate".to_owned(),
            source,
        })?;
        Ok(vec![der, sub2.der.clone(), sub1.der.clone()])
    }

    fn cps(&self, generation: Generation) -> Result<Vec<CpsSigner>, ProvisioningError> {
        let credential = self.provisioning_service(generation)?;
        Ok(vec![CpsSigner {
            chain: credential.chain,
            root: self.ca(World::of(generation), "v2g-root").der.clone(),
            key: credential.key,
        }])
    }
}

impl DevPki {
    /// Every root of this PKI that the root pool should hold, with its kind (DER).
    #[must_use]
    pub fn pool_roots(&self) -> Vec<(RootKind, Vec<u8>)> {
        let kinds = [
            (RootKind::V2g, self.v2g_roots()),
            (RootKind::Oem, self.oem_roots()),
            (RootKind::Mo, self.mo_roots()),
        ];
        kinds
            .into_iter()
            .flat_map(|(kind, roots)| roots.into_iter().map(move |root| (kind, root)))
            .collect()
    }

    /// The manufacturer's sub-CAs of both generations (DER): ISO 15118-2 vehicles do not send them.
    #[must_use]
    pub fn oem_sub_cas(&self) -> Vec<Vec<u8>> {
        [World::Iso2, World::Iso20]
            .into_iter()
            .flat_map(|world| ["oem-sub2", "oem-sub1"].map(|name| self.ca(world, name).der.clone()))
            .collect()
    }
}
