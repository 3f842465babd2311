//! The inventory, page by page: first the platform itself, then stations, then vehicles.

use gridlatch_store::{Result, SeenChain, TrustAnswer};
use gridlatch_trust::certificate;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{RefusedChange, Trusts, refused};
use crate::state::PlatformState;

/// A chain somebody shows to others.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Shown {
    /// As what: `secc-leaf`, `station-client`, `csms-server`, ...
    #[serde(rename = "as")]
    pub kind: String,
    /// `iso2` (also for OCPP) or `iso20`.
    pub edition: String,
    /// PEM, leaf first, without the root.
    pub chain: String,
}

/// A certificate known by its date alone, because its name stands for a person.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DatedEnd {
    /// As what.
    #[serde(rename = "as")]
    pub kind: String,
    /// Who signed it.
    pub issuer: String,
    /// The end of its validity, RFC 3339.
    #[schema(format = DateTime)]
    pub not_after: String,
}

/// What one station, vehicle or back end holds; the form of `gridlatch pki forecast --inventory`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct HeldBy {
    /// Role and name, `station GL-AC-1`.
    pub name: String,
    /// `station`, `vehicle` or `back-end`.
    pub role: String,
    /// What it shows to others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shows: Vec<Shown>,
    /// PEM of the roots it trusts, by kind of root.
    #[serde(skip_serializing_if = "Trusts::is_empty")]
    pub trusts: Trusts,
    /// `certificateHashDataChain` of its last `GetInstalledCertificateIdsResponse`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub installed: Vec<Value>,
    /// What it holds that is known by its date alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ends: Vec<DatedEnd>,
    /// When it last said or showed what it holds, RFC 3339; absent if it never has.
    #[schema(format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
    /// Whether it is connected now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected: Option<bool>,
    /// Why it did not answer when it was last asked: a code and particulars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What it refused when roots and certificates were distributed, and has not taken since; latest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedChange>,
}

/// A page of the inventory.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct TrustPage {
    /// Who holds what.
    pub holders: Vec<HeldBy>,
    /// PEM of certificates that these holders name by hash.
    pub known: String,
    /// Pass it as `after` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Chains of one page, so that no holder is cut in the middle: eight of each of three kinds.
const CHAINS_PER_HOLDER: u32 = 24;

pub(super) async fn read(state: &PlatformState, after: &str, limit: u32) -> Result<TrustPage> {
    let mut page = TrustPage::default();
    page.known.push_str(&pem(&state.config().own_trust.known));
    for root in state.store().trust_chains("known", "", "~", 512).await? {
        page.known.push_str(&root.chain);
    }
    let vehicles = after.strip_prefix("vehicle:");
    if vehicles.is_none() {
        let after = after.strip_prefix("station:").unwrap_or_else(|| {
            page.holders.push(platform(state));
            ""
        });
        stations(state, after, limit, &mut page).await?;
        if page.next.is_some() {
            return Ok(page);
        }
    }
    if vehicles.is_none() {
        // The vehicles begin on a page of their own.
        let any = state.store().trust_holders("vehicle", "", 1).await?;
        page.next = (!any.is_empty()).then(|| "vehicle:".to_owned());
        return Ok(page);
    }
    let after = vehicles.unwrap_or_default();
    let names = state.store().trust_holders("vehicle", after, limit).await?;
    let Some(last) = names.last() else {
        return Ok(page);
    };
    let rows = chains(state, "vehicle", after, last, limit).await?;
    for name in &names {
        let mut holder = empty("vehicle", name);
        for row in rows.iter().filter(|row| row.holder == *name) {
            let issuers = certificate::from_pem(row.chain.as_bytes()).unwrap_or_default();
            let issuer = issuers
                .first()
                .and_then(|der| certificate::summary(der).ok())
                .map_or_else(|| "unknown".to_owned(), |summary| summary.subject_cn);
            holder.ends.push(DatedEnd {
                kind: row.kind.clone(),
                issuer,
                not_after: row.not_after.to_rfc3339(),
            });
            if !issuers.is_empty() {
                holder.shows.push(Shown {
                    kind: "mo-sub2".to_owned(),
                    ..shown(row)
                });
            }
            holder.as_of = holder.as_of.max(Some(row.at.to_rfc3339()));
        }
        page.holders.push(holder);
    }
    page.next = next("vehicle", &names, limit);
    Ok(page)
}

async fn stations(state: &PlatformState, after: &str, limit: u32, page: &mut TrustPage) -> Result<()> {
    let answers = state.store().trust_answers(after, limit).await?;
    let names: Vec<String> = answers.iter().map(|row| row.station.to_string()).collect();
    let Some(last) = names.last() else {
        return Ok(());
    };
    let rows = chains(state, "station", after, last, limit).await?;
    let first = names.first().unwrap_or(last);
    let mut refusals = refused::of(state, first, last).await?;
    for answer in answers {
        let mut holder = empty("station", answer.station.as_str());
        for row in rows.iter().filter(|row| row.holder == answer.station.as_str()) {
            if row.kind == "secc-leaf" {
                // What it was given; whether it holds it is for its own answer to say.
                page.known.push_str(&row.chain);
            } else if holder.shows.is_empty() {
                // The latest of the certificates it connected with.
                holder.shows.push(shown(row));
            }
        }
        answered(&mut holder, &answer);
        holder.refused = refusals.remove(answer.station.as_str()).unwrap_or_default();
        page.holders.push(holder);
    }
    page.next = next("station", &names, limit);
    Ok(())
}

fn answered(holder: &mut HeldBy, answer: &TrustAnswer) {
    holder.installed = answer
        .installed
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    holder.as_of = answer.answered_at.map(|at| at.to_rfc3339());
    holder.connected = Some(answer.connected);
    holder.failure = match (&answer.failure, answer.answered_at) {
        (None, None) => Some("it was never asked".to_owned()),
        (failure, _) => failure.clone(),
    };
}

async fn chains(
    state: &PlatformState,
    role: &str,
    after: &str,
    last: &str,
    limit: u32,
) -> Result<Vec<SeenChain>> {
    let most = limit.saturating_mul(CHAINS_PER_HOLDER);
    state.store().trust_chains(role, after, last, most).await
}

fn platform(state: &PlatformState) -> HeldBy {
    let config = state.config();
    let mut holder = empty("back-end", "platform");
    if !config.own_trust.server.is_empty() {
        holder.shows.push(Shown {
            kind: "csms-server".to_owned(),
            edition: "iso2".to_owned(),
            chain: pem(&config.own_trust.server),
        });
    }
    for (kind, roots) in [
        ("mo-root", &config.mo_roots),
        ("csms-root", &config.own_trust.csms_roots),
    ] {
        if !roots.is_empty() {
            holder.trusts.insert(kind.to_owned(), pem(roots));
        }
    }
    holder.as_of = Some(gridlatch_host::now().to_rfc3339());
    holder
}

fn empty(role: &str, name: &str) -> HeldBy {
    HeldBy {
        name: format!("{role} {name}"),
        role: role.to_owned(),
        shows: Vec::new(),
        trusts: Trusts::new(),
        installed: Vec::new(),
        ends: Vec::new(),
        as_of: None,
        connected: None,
        failure: None,
        refused: Vec::new(),
    }
}

fn shown(row: &SeenChain) -> Shown {
    Shown {
        kind: row.kind.clone(),
        edition: row.edition.clone(),
        chain: row.chain.clone(),
    }
}

fn next(role: &str, names: &[String], limit: u32) -> Option<String> {
    (names.len() >= usize::try_from(limit).unwrap_or(usize::MAX))
        .then(|| names.last().map(|last| format!("{role}:{last}")))
        .flatten()
}

fn pem(all: &[Vec<u8>]) -> String {
    all.iter().map(|der| certificate::to_pem(der)).collect()
}
