//! The pools of the Plug & Charge ecosystem over HTTP: root, provisioning and contract certificate pools, the
//! provisioning service, access tokens and webhooks, on the paths of the Open Plug & Charge Protocol (OPCP),
//! the Open Plug'n'Charge names that replace them (OPNC, below `/opnc/v1`), and with what MaEVe and CitrineOS
//! send. `docs/pools.md` lists them.
//!
//! Deliberately absent: the listener (`http`), the contracts themselves (`provisioning`), certificate
//! enrolment (EST).

mod access;
mod answer;
mod contract;
mod cps;
mod deliver;
mod hook;
mod input;
mod places;
mod root;
#[cfg(test)]
mod tests;
mod vehicle;

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, post, put};
use gridlatch_host::Shutdown;

use crate::provisioning::Provisioner;

pub use access::{NewClient, Role};
pub use places::{Place, Places};

/// The pools behind one router. Cheap to clone; all clones are the same pools.
#[derive(Debug, Clone)]
pub struct Pools {
    provisioner: Provisioner,
    places: Places,
    failures: Arc<access::Failures>,
}

impl Pools {
    /// Pools whose notifications go to `places` only.
    #[must_use]
    pub fn new(provisioner: Provisioner, places: Places) -> Self {
        Self {
            provisioner,
            places,
            failures: Arc::default(),
        }
    }

    /// The provisioning service behind them.
    #[must_use]
    pub const fn provisioner(&self) -> &Provisioner {
        &self.provisioner
    }

    /// Delivers notifications until `stop`; run it once per store.
    pub async fn deliver(&self, stop: Shutdown) {
        deliver::run(self, stop).await;
    }
}

/// How the answers are spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// OPCP 1.0.
    Opcp,
    /// OPNC 1.0.
    Opnc,
}

/// The routes.
pub fn router(pools: Pools) -> Router {
    let opnc = Router::new()
        .route("/rcp/rootcertificates", get(root::all_opnc).put(root::save))
        .route(
            "/rcp/rootcertificates/{id}",
            get(root::one_opnc).delete(root::remove),
        )
        .route("/rcp/rootcertificates/{id}/linkcertificates", get(root::links_of))
        .route("/rcp/linkcertificates", get(root::links).put(root::save_link))
        .route("/pcp/provisioningcertificates", put(vehicle::publish_opnc))
        .route(
            "/pcp/provisioningcertificates/{pcid}",
            get(vehicle::one_opnc).delete(vehicle::withdraw),
        )
        .route("/pcp/lookupvehicle/{pcid}", get(vehicle::lookup))
        .route(
            "/ccp/contractData/emaid/{emaid}",
            get(contract::reading::by_emaid_opnc),
        )
        .route(
            "/ccp/contractData/pcid/{pcid}",
            get(contract::reading::by_pcid_opnc),
        )
        .route(
            "/ccp/signedcontractdata",
            post(contract::request::install_opnc).put(contract::store),
        )
        .route("/ccp/signedcontractdata/{emaid}", delete(contract::withdraw))
        .route(
            "/ccp/signedcontractdata/{emaid}/{pcid}",
            get(contract::reading::provide_opnc),
        )
        .route(
            "/ccp/signedcontractdata/{emaid}/{pcid}/setdefault",
            post(contract::reading::default_opnc),
        )
        .route("/cps/contractData/sign", put(cps::sign_opnc))
        .route("/cps/contractData/generateandsign", put(cps::generate))
        .route("/cps/cpsCertificates", get(cps::signers_opnc))
        .route("/event/endpoints", get(hook::all).post(hook::create))
        .route(
            "/event/endpoints/{id}",
            get(hook::one).put(hook::change).delete(hook::remove),
        );
    Router::new()
        .route("/oauth/token", post(access::token).get(access::token_page))
        .route("/v1/root/rootCerts", get(root::all).put(root::save))
        .route("/v1/root/rootCerts/{id}", get(root::one).delete(root::remove))
        .route("/v1/root/rootCerts/{id}/linkCerts", get(root::links_of))
        .route("/v1/root/linkCerts", get(root::links).put(root::save_link))
        .route("/v1/root/ctl", get(root::trust_list))
        .route("/v1/oem/provCerts", put(vehicle::publish))
        .route(
            "/v1/oem/provCerts/{pcid}",
            get(vehicle::one).delete(vehicle::withdraw),
        )
        .route("/v1/oem/provCerts/lookupVehicle/{pcid}", get(vehicle::lookup))
        .route("/v1/oem/lookupVehicle/{pcid}", get(vehicle::lookup))
        .route(
            "/v1/ccp/signedContractData",
            post(contract::request::install).put(contract::store),
        )
        .route(
            "/v1/ccp/signedContractData/{id}",
            get(contract::reading::by_pcid).delete(contract::withdraw),
        )
        .route(
            "/v1/ccp/signedContractData/{pcid}/{emaid}/default",
            put(contract::reading::default_opcp).post(contract::reading::default_opcp),
        )
        .route(
            "/v1/ccp/provideSignedContractData/{emaid}/{pcid}",
            get(contract::reading::provide),
        )
        .route("/v1/ccp/lookupContract/{emaid}", get(contract::reading::by_emaid))
        .route("/v1/cps/contractData/signed", put(cps::sign))
        .route("/v1/cps/signedContractData", put(cps::sign_old))
        .route("/v1/cps/forward/signedContractData", put(cps::forward))
        .route("/v1/cps/generate/signedContractData", put(cps::generate))
        .route("/cps/signer", get(cps::signers))
        .route("/v1/cps/signer", get(cps::signers))
        .route("/v1/webhook/endpoints", get(hook::all).post(hook::create))
        .route(
            "/v1/webhook/endpoints/{id}",
            get(hook::one).put(hook::change).delete(hook::remove),
        )
        .nest("/opnc/v1", opnc)
        .with_state(pools)
}

/// See [`crate::fuzz`].
pub(crate) fn fuzz_body(data: &[u8]) {
    access::fuzz_body(data);
    cps::fuzz_body(data);
    input::fuzz_body(data);
    vehicle::fuzz_body(data);
}
