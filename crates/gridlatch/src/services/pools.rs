//! The provisioning service and the pools over a CA, in the CA's own database.

use std::sync::Arc;

use gridlatch_host::now;
use gridlatch_keys::delivery::Kdf;
use gridlatch_pki::ca::Ca;
use gridlatch_pki::provisioning::{CaContracts, OnDemand, Provisioner, ProvisioningError, Settings};
use gridlatch_vocab::EventSink;

/// The provisioning service of `ca`, with the CA's own roots in the root pool, put there in the name of `by`.
/// `on_demand` lets vehicles nobody published have a contract: for simulated ones only.
///
/// # Errors
/// The policy forbids the signer of contracts, a key is away, or the database fails.
pub(crate) async fn provisioner(
    ca: &Ca,
    on_demand: Option<OnDemand>,
    by: &str,
    sink: Arc<dyn EventSink>,
) -> Result<Provisioner, ProvisioningError> {
    let contracts = CaContracts::open(ca.clone()).await?;
    let roots = contracts.pool_roots();
    let settings = Settings {
        clock: Arc::new(now),
        kdf: Kdf::default(),
        on_demand,
        intermediates: contracts.oem_sub_cas(),
    };
    let provisioner = Provisioner::new(ca.store().clone(), Arc::new(contracts), settings, sink);
    for (kind, root) in roots {
        provisioner.add_root(kind, &root, by).await?;
    }
    Ok(provisioner)
}
