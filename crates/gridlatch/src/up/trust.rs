//! The console's picture of certificates: the platform's inventory, read and foretold as `gridlatch pki forecast
//! --platform` does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use gridlatch_console::{BreakRow, CertificateRow, HolderRow, RefusedRow, Trust, TrustPicture};
use gridlatch_host::now;
use gridlatch_keys::OpensslVerifier;
use gridlatch_pki::rollover::inventory::{Entry, Inventory, Read};
use gridlatch_platform::{AskProgress, PlatformState};
use gridlatch_trust::certificate;
use gridlatch_trust::forecast::{Holder, breaks, drift};
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::catalogue::pki;
use gridlatch_vocab::{Code, Timestamp};
use tokio::sync::Mutex;

/// Holders of one page of the platform's.
const PAGE: u32 = 100;
/// Holders that are read for the page.
const MAX_HOLDERS: usize = 2_000;
/// How old a picture may be: several open pages share one.
const FRESH: Duration = Duration::from_secs(5);
/// How far is looked ahead, in days.
const AHEAD: i64 = 3_650;

/// What the stations of this platform hold.
#[derive(Debug)]
pub(crate) struct Pictures {
    platform: PlatformState,
    last: Mutex<Option<(Instant, AskProgress, Arc<TrustPicture>)>>,
}

impl Pictures {
    /// Of this platform.
    pub(crate) fn of(platform: PlatformState) -> Self {
        Self {
            platform,
            last: Mutex::new(None),
        }
    }

    async fn inventory(&self) -> Result<(Inventory, bool), String> {
        let mut inventory = Inventory::default();
        let mut after = String::new();
        loop {
            let page =
                self.platform.trust_page(&after, PAGE).await.map_err(|error| {
                    format!("What stations hold could not be read from the store: {error}")
                })?;
            let text = serde_json::json!({ "holders": page.holders, "known": page.known }).to_string();
            inventory.extend(Inventory::from_json(text.as_bytes()).map_err(|error| error.to_string())?);
            match page.next {
                Some(next) if inventory.holders.len() < MAX_HOLDERS => after = next,
                next => return Ok((inventory, next.is_some())),
            }
        }
    }
}

impl Trust for Pictures {
    fn picture(&self) -> BoxFuture<'_, Result<Arc<TrustPicture>, String>> {
        Box::pin(async move {
            // Held while it is drawn: who comes meanwhile waits for this one.
            let mut last = self.last.lock().await;
            let asked = self.platform.asked();
            if let Some((drawn, then, picture)) = last.as_ref()
                && drawn.elapsed() < FRESH
                && *then == asked
            {
                return Ok(Arc::clone(picture));
            }
            let (inventory, more) = self.inventory().await?;
            let asking = asked
                .running
                .then_some((asked.answered + asked.offline + asked.failed, asked.stations));
            // Signatures are checked: not on a thread that serves others.
            let drawn = tokio::task::spawn_blocking(move || draw(&inventory, more, asking, now()))
                .await
                .map_err(|error| error.to_string())??;
            let picture = Arc::new(drawn);
            *last = Some((Instant::now(), asked, Arc::clone(&picture)));
            Ok(picture)
        })
    }

    fn ask(&self) {
        self.platform.ask_everybody();
    }
}

fn draw(
    inventory: &Inventory,
    more: bool,
    asking: Option<(usize, usize)>,
    at: Timestamp,
) -> Result<TrustPicture, String> {
    let read = inventory.read().map_err(|error| error.to_string())?;
    let far = Timestamp(at.0.saturating_add(time::Duration::days(AHEAD)));
    let mut found: Vec<BreakRow> = breaks(&read.holders, at, far, &OpensslVerifier)
        .into_iter()
        .map(|one| BreakRow {
            at: one.at,
            kind: one.profile.to_string(),
            cause: one.cause,
            message: one.message,
            shown_by: one.shown_by.into_iter().collect(),
            refused_by: one.refused_by.into_iter().collect(),
            remedy: one.remedy.to_owned(),
        })
        .collect();
    found.extend(ends(inventory, at, far));
    found.sort_by(|one, other| (one.at, &one.kind).cmp(&(other.at, &other.kind)));
    let mut next: BTreeMap<&str, (Timestamp, Code)> = BTreeMap::new();
    for one in &found {
        for name in &one.shown_by {
            next.entry(name).or_insert((one.at, one.cause));
        }
    }
    let mut drifts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in drift(&read.holders) {
        let told = drifts.entry(one.holder).or_default();
        let kind = one.kind.row().name;
        if !one.missing.is_empty() {
            told.push(format!("{kind}: it lacks {}", one.missing.join(", ")));
        }
        if !one.extra.is_empty() {
            told.push(format!(
                "{kind}: it alone, or nearly, has {}",
                one.extra.join(", ")
            ));
        }
    }
    let mut holders: Vec<HolderRow> = inventory
        .holders
        .iter()
        .zip(&read.holders)
        .map(|(entry, holder)| HolderRow {
            drift: drifts.remove(&entry.name).unwrap_or_default(),
            next: next.get(entry.name.as_str()).copied(),
            ..row(entry, holder, &read)
        })
        .collect();
    // Whoever opens the page looks for trouble: what breaks first, then who refused or said nothing.
    holders.sort_by_cached_key(|one| {
        (
            one.next.map_or(far, |(at, _)| at),
            one.refused.is_empty(),
            one.failure.is_none(),
            one.name.clone(),
        )
    });
    Ok(TrustPicture {
        at,
        holders,
        more,
        breaks: found,
        asking,
    })
}

/// What is known by its date alone: contracts of vehicles.
fn ends(inventory: &Inventory, from: Timestamp, far: Timestamp) -> Vec<BreakRow> {
    let mut rows: BTreeMap<(time::Date, Kind, &str), BreakRow> = BTreeMap::new();
    for entry in &inventory.holders {
        for end in &entry.ends {
            let at = Timestamp(end.not_after.0.saturating_add(time::Duration::SECOND));
            let Some(kind) = Kind::from_slug(&end.kind).filter(|_| at > from && at <= far) else {
                continue;
            };
            rows.entry((at.0.date(), kind, &end.issuer))
                .or_insert_with(|| BreakRow {
                    at,
                    kind: kind.row().name.to_owned(),
                    cause: pki::EXPIRED,
                    message: format!("ends that day, issued by \"{}\"", end.issuer),
                    shown_by: Vec::new(),
                    refused_by: Vec::new(),
                    remedy: pki::EXPIRED.row().remedy.to_owned(),
                })
                .shown_by
                .push(entry.name.clone());
        }
    }
    rows.into_values().collect()
}

fn row(entry: &Entry, holder: &Holder, read: &Read) -> HolderRow {
    let mut certificates = Vec::new();
    for (kind, roots) in &holder.trusts {
        certificates.extend(
            roots
                .iter()
                .map(|der| certificate_row(der, true, kind.row().name)),
        );
    }
    for held in &holder.shows {
        for (index, der) in held.chain.iter().enumerate() {
            let name = held.profile.to_string();
            let kind = if index == 0 {
                name
            } else {
                format!("above the {name}")
            };
            certificates.push(certificate_row(der, false, &kind));
        }
    }
    certificates.extend(entry.ends.iter().map(|end| CertificateRow {
        anchor: false,
        kind: Kind::from_slug(&end.kind).map_or_else(|| end.kind.clone(), |kind| kind.row().name.to_owned()),
        subject: String::new(),
        issuer: end.issuer.clone(),
        fingerprint: String::new(),
        not_after: Some(end.not_after),
    }));
    HolderRow {
        name: entry.name.clone(),
        station: entry.name.strip_prefix("station ").and_then(|id| id.parse().ok()),
        connected: entry.connected,
        as_of: entry.as_of,
        failure: entry.failure.clone(),
        certificates,
        unknown: read
            .unresolved
            .iter()
            .filter(|(name, _)| *name == entry.name)
            .map(|(_, usage)| usage.clone())
            .collect(),
        refused: entry
            .refused
            .iter()
            .map(|one| RefusedRow {
                campaign: one.campaign.clone(),
                what: format!(
                    "{} of {} \"{}\" ({})",
                    one.action,
                    one.usage,
                    one.root,
                    one.fingerprint.get(..8).unwrap_or_default()
                ),
                message: one.message.clone(),
                code: Code::find(&one.code),
                at: one.at,
            })
            .collect(),
        drift: Vec::new(),
        next: None,
    }
}

fn certificate_row(der: &[u8], anchor: bool, kind: &str) -> CertificateRow {
    let kind = kind.to_owned();
    match certificate::summary(der) {
        Ok(summary) => CertificateRow {
            anchor,
            kind,
            subject: summary.subject_cn,
            issuer: summary.issuer_cn,
            fingerprint: summary.fingerprint,
            not_after: Some(summary.not_after),
        },
        Err(_) => CertificateRow {
            anchor,
            kind,
            subject: "(unreadable)".to_owned(),
            issuer: String::new(),
            fingerprint: String::new(),
            not_after: None,
        },
    }
}
