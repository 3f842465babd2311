//! Our provisioning service as the platform's provider of contracts.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use gridlatch_host::{Hub, now};
use gridlatch_pki::ca::Ca;
use gridlatch_pki::dev::DevPki;
use gridlatch_pki::provisioning::{OnDemand, Provisioner, ProvisioningError};
use gridlatch_platform::{
    ContractProvider, ProvidedContract, Providing, ProvisioningAction, ProvisioningRefusal,
};
use gridlatch_session::evcc::Generation as Messages;
use gridlatch_session::provisioning::Action;
use gridlatch_store::Store;
use gridlatch_trust::Generation;
use gridlatch_vocab::catalogue::{pools, provisioning};
use gridlatch_vocab::{Event, EventSink as _};

/// Who puts the roots of the development PKI into the pool.
const BY: &str = "up";

#[derive(Debug)]
struct Own(Provisioner);

/// The provisioning service over the CA of the development PKI. Every simulated vehicle of this PKI may have a
/// contract on demand. What an earlier version kept in the platform's database moves to the CA's.
pub(super) async fn service(ca: &Ca, pki: &Arc<DevPki>, platform: &Store, hub: &Hub) -> Result<Provisioner> {
    let moved = ca
        .store()
        .pool_take_over(platform)
        .await
        .context("cannot move the pools out of platform.db")?;
    if !moved.is_empty() {
        let (roots, vehicles, contracts) = (moved.roots, moved.vehicles, moved.contracts);
        hub.emit(Event::new(
            now(),
            pools::MOVED,
            "pki",
            format!(
                "{roots} roots, {vehicles} vehicles and {contracts} contracts, from platform.db to pki/ca.db"
            ),
        ));
    }
    let offers = Arc::clone(pki);
    let on_demand: OnDemand = Arc::new(move |pcid| offers.contract_for(pcid));
    crate::services::provisioner(ca, Some(on_demand), BY, Arc::new(hub.clone()))
        .await
        .context("the provisioning service does not start")
}

/// The service as the platform asks it.
pub(super) fn provider(service: Provisioner) -> Arc<dyn ContractProvider> {
    Arc::new(Own(service))
}

impl ContractProvider for Own {
    fn get_15118_ev_certificate(
        &self,
        schema_version: String,
        action: ProvisioningAction,
        exi: Vec<u8>,
    ) -> Providing<'_> {
        Box::pin(async move {
            let generation = match Messages::of_schema(&schema_version) {
                Some(Messages::Iso2) => Generation::Iso2,
                Some(Messages::Iso20) => Generation::Iso20,
                None => {
                    return Err(ProvisioningRefusal {
                        code: provisioning::REQUEST_MALFORMED,
                        message: format!("{schema_version:?} is no schema with requests for contracts"),
                        exi: None,
                    });
                }
            };
            let action = match action {
                ProvisioningAction::Install => Action::Install,
                ProvisioningAction::Update => Action::Update,
            };
            let answer = self.0.install(generation, action, &exi).await;
            answer
                .map(|installed| ProvidedContract {
                    exi: installed.exi,
                    remaining: installed.remaining,
                })
                .map_err(|error: ProvisioningError| ProvisioningRefusal {
                    code: error.code(),
                    message: error.to_string(),
                    exi: error.exi().map(<[u8]>::to_vec),
                })
        })
    }
}
