//! The station's own judgement of contract certificate chains, by the profiles of `core/trust`.

use std::sync::Arc;

use gridlatch_session::secc::{ContractCheck, ContractFault};
use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_trust::verdict;
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::pki;

/// Judges against the installed roots of mobility operators.
#[derive(Debug)]
struct Roots(Vec<Vec<u8>>);

/// A check against these roots; `None` without roots, which leaves the judgement to the platform.
pub(crate) fn check(roots: &[Vec<u8>]) -> Option<Arc<dyn ContractCheck>> {
    (!roots.is_empty()).then(|| Arc::new(Roots(roots.to_vec())) as Arc<dyn ContractCheck>)
}

impl ContractCheck for Roots {
    fn check(&self, chain: &[Vec<u8>], now: Timestamp) -> Result<(), (ContractFault, String)> {
        // Cars on the road show contracts of either generation in either protocol; the profile that
        // comes further explains a refusal.
        let judge = |profile| verdict::check(chain, &self.0, profile, now);
        let Err(second) = judge(Profile::iso2(Kind::ContractLeaf)) else {
            return Ok(());
        };
        let Err(first) = judge(Profile::iso20(Kind::ContractLeaf)) else {
            return Ok(());
        };
        let rejected = if first.depth > second.depth { first } else { second };
        let fault = if rejected.code == pki::EXPIRED || rejected.code == pki::NOT_YET_VALID {
            ContractFault::Expired
        } else {
            ContractFault::Chain
        };
        Err((fault, rejected.message))
    }
}
