//! The station's own judgement of contract certificate chains, by the profiles of `core/trust`.

use std::sync::Arc;

use gridlatch_session::secc::{ContractCheck, ContractFault};
use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_trust::verdict;
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::pki;

use crate::custody::{Custody, RootUse};

/// Judges against the installed roots of mobility operators.
#[derive(Debug)]
struct Roots {
    configured: Vec<Vec<u8>>,
    /// Roots the platform installs while the station runs.
    custody: Option<Custody>,
}

/// A check against these roots and those installed at the time; `None` where there cannot be any, which
/// leaves the judgement to the platform.
pub(crate) fn check(roots: &[Vec<u8>], custody: Option<&Custody>) -> Option<Arc<dyn ContractCheck>> {
    (!roots.is_empty() || custody.is_some()).then(|| {
        Arc::new(Roots {
            configured: roots.to_vec(),
            custody: custody.cloned(),
        }) as Arc<dyn ContractCheck>
    })
}

impl ContractCheck for Roots {
    fn check(&self, chain: &[Vec<u8>], now: Timestamp) -> Result<(), (ContractFault, String)> {
        // Cars on the road show contracts of either generation in either protocol; the profile that
        // comes further explains a refusal.
        let mut roots = self.configured.clone();
        if let Some(custody) = &self.custody {
            roots.extend(custody.roots(RootUse::Mo));
        }
        if roots.is_empty() {
            return Ok(());
        }
        let judge = |profile| verdict::check(chain, &roots, profile, now);
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
