//! Our provisioning service as the platform's provider of contracts.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use gridlatch_host::{Hub, now};
use gridlatch_keys::delivery::Kdf;
use gridlatch_pki::dev::DevPki;
use gridlatch_pki::provisioning::{Provisioner, ProvisioningError, Settings};
use gridlatch_platform::{
    ContractProvider, ProvidedContract, Providing, ProvisioningAction, ProvisioningRefusal,
};
use gridlatch_session::evcc::Generation as Messages;
use gridlatch_session::provisioning::Action;
use gridlatch_store::Store;
use gridlatch_trust::Generation;
use gridlatch_vocab::catalogue::provisioning;

/// Who puts the roots of the development PKI into the pool.
const BY: &str = "up";

#[derive(Debug)]
struct Own(Provisioner);

/// The provider, with the roots of the development PKI in its pool. Every simulated vehicle of this PKI may have
/// a contract on demand.
pub(super) async fn provider(
    pki: &Arc<DevPki>,
    store: &Store,
    hub: &Hub,
) -> Result<Arc<dyn ContractProvider>> {
    let offers = Arc::clone(pki);
    let settings = Settings {
        clock: Arc::new(now),
        kdf: Kdf::default(),
        on_demand: Some(Arc::new(move |pcid| offers.contract_for(pcid))),
        intermediates: pki.oem_sub_cas(),
    };
    let roots = pki.pool_roots();
    let service = Provisioner::new(
        store.clone(),
        Arc::clone(pki) as _,
        settings,
        Arc::new(hub.clone()),
    );
    for (kind, root) in roots {
        service
            .add_root(kind, &root, BY)
            .await
            .context("cannot put a root into the pool")?;
    }
    Ok(Arc::new(Own(service)))
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
