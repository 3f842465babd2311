//! What stations refused when roots and certificates were distributed, as campaigns noted it.

use std::collections::{BTreeMap, BTreeSet};

use gridlatch_store::Result;
use gridlatch_trust::certificate;
use serde::Serialize;
use utoipa::ToSchema;

use crate::state::PlatformState;

/// Results looked at for one answer.
const MAX_RESULTS: u32 = 20_000;
/// Refusals told of one station.
const PER_STATION: usize = 8;

/// A change that a station refused, and has not taken since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RefusedChange {
    /// The campaign in which it did.
    pub campaign: String,
    /// What it was told: `install`, `renew` or `remove`.
    pub action: String,
    /// OCPP's word for the root's or certificate's use.
    pub usage: String,
    /// The root that was installed or removed, or that the renewed certificate must lead to: its common name.
    pub root: String,
    /// SHA-256 of that root, hex.
    pub fingerprint: String,
    /// The code of the refusal.
    pub code: String,
    /// Its particulars: what the station said, or why it was not told.
    pub message: String,
    /// When, RFC 3339.
    #[schema(format = DateTime)]
    pub at: String,
}

/// Refusals by station, latest first, of the stations `first` to `last` by id.
pub(crate) async fn of(
    state: &PlatformState,
    first: &str,
    last: &str,
) -> Result<BTreeMap<String, Vec<RefusedChange>>> {
    let mut found: BTreeMap<String, Vec<RefusedChange>> = BTreeMap::new();
    let results = state.store().campaign_refusals(first, last, MAX_RESULTS).await?;
    if results.is_empty() {
        return Ok(found);
    }
    let mut campaigns = BTreeMap::new();
    for row in state.store().campaign_list().await? {
        let root = crate::campaign::read(&row)
            .ok()
            .and_then(|document| certificate::from_pem(document.root.as_bytes()).ok()?.pop())
            .and_then(|der| certificate::summary(&der).ok());
        campaigns.insert(row.number, (row.campaign, root));
    }
    // Later campaigns come first: what a station was told later, about the same root, counts.
    let mut settled = BTreeSet::new();
    for one in results {
        let Some((campaign, Some(root))) = campaigns.get(&one.number) else {
            continue;
        };
        let station = one.result.station.to_string();
        let change = (
            station.clone(),
            campaign.action.as_str(),
            campaign.usage.as_str(),
            root.fingerprint.as_str(),
        );
        if !settled.insert(change) || one.result.state != "refused" {
            continue;
        }
        let told = found.entry(station).or_default();
        if told.len() < PER_STATION {
            told.push(RefusedChange {
                campaign: campaign.id.clone(),
                action: campaign.action.clone(),
                usage: campaign.usage.clone(),
                root: root.subject_cn.clone(),
                fingerprint: root.fingerprint.clone(),
                code: one.result.code.unwrap_or_default(),
                message: one.result.message.unwrap_or_default(),
                at: one.result.at.unwrap_or(campaign.at).to_rfc3339(),
            });
        }
    }
    Ok(found)
}
