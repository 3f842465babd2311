//! Campaigns: a root installed or removed, or certificates renewed, at many stations: some at a time, no
//! further than so many failures, from where it stopped after a restart, and undone where it can be.
//!
//! A station is told once. Before it is told, that is durable; what it holds is asked before and after, so
//! that a command whose answer was lost is never repeated blindly, and an answer that is not true is found.

use gridlatch_host::now;
use gridlatch_keys::OpensslVerifier;
use gridlatch_store::{CampaignRow, NewCampaign, StoreError};
use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_trust::rollover::vouched_for;
use gridlatch_trust::verdict::check_with;
use gridlatch_trust::{Generation, certificate};
use gridlatch_vocab::{Code, Event, EventSink as _, StationId, catalogue};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::authority::StationCertificate;
use crate::state::PlatformState;

mod run;
mod work;

pub(crate) use run::Campaigns;

/// Stations at a time.
pub(crate) const MAX_AT_ONCE: u32 = 64;

/// What a campaign does at each station.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CampaignAction {
    /// Install a root (InstallCertificate).
    Install,
    /// Have it ask for a new certificate (TriggerMessage), until it shows one below the new root.
    Renew,
    /// Remove a root (DeleteCertificate).
    Remove,
}

impl CampaignAction {
    const ALL: [Self; 3] = [Self::Install, Self::Renew, Self::Remove];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Renew => "renew",
            Self::Remove => "remove",
        }
    }

    /// The action of that name.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }
}

/// A campaign as it is ordered.
#[derive(Debug, Clone)]
pub struct CampaignOrder {
    /// Its name: 1 to 48 letters, digits, `-`, `_` and `.`.
    pub id: String,
    /// What is done.
    pub action: CampaignAction,
    /// OCPP's word: a root's use for install and remove, a certificate's for renew.
    pub usage: String,
    /// The root to install or remove; for renew, the one that new certificates must lead to. PEM.
    pub root: String,
    /// The root that the new one takes the place of: for install the one that vouches, for remove the one
    /// that must be held instead. PEM.
    pub other: Option<String>,
    /// The link certificate, new-with-old, PEM.
    pub link: Option<String>,
    /// Install although nothing proves that an old root vouches for the new one.
    pub without_link: bool,
    /// At these stations; at every registered one if not given.
    pub stations: Option<Vec<StationId>>,
    /// Stations at a time, 1 to 64.
    pub at_once: u32,
    /// Stop at so many failures, at least one.
    pub stop_after: u32,
    /// Who wants it.
    pub asked_by: String,
}

/// Why a campaign was not started or changed.
#[derive(Debug, Error)]
pub enum CampaignError {
    /// Refused, with the row of the catalogue.
    #[error("{1}")]
    Refused(Code, String),
    /// There is none of that name.
    #[error("no such campaign")]
    Unknown,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl CampaignError {
    fn refused(message: impl Into<String>) -> Self {
        Self::Refused(catalogue::rollover::CAMPAIGN_REFUSED, message.into())
    }
}

/// What a campaign keeps besides its row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Document {
    /// PEM.
    pub(crate) root: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) other: Option<String>,
    /// Whether each station must hold `other` before it is told.
    pub(crate) needs_other: bool,
    /// The campaign that this one takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) undoes: Option<String>,
}

impl PlatformState {
    /// Starts a campaign; durable when it returns.
    ///
    /// # Errors
    /// The order makes no sense, the link certificate does not prove what it must, the name is taken, or
    /// the store fails.
    pub async fn start_campaign(&self, order: CampaignOrder) -> Result<CampaignRow, CampaignError> {
        let document = checked(&order)?;
        self.begin(order, document).await
    }

    async fn begin(&self, order: CampaignOrder, document: Document) -> Result<CampaignRow, CampaignError> {
        let new = NewCampaign {
            id: order.id.clone(),
            action: order.action.as_str().to_owned(),
            usage: order.usage,
            document: serde_json::to_string(&document)
                .map_err(|error| CampaignError::refused(error.to_string()))?,
            at_once: order.at_once,
            stop_after: order.stop_after,
            asked_by: order.asked_by,
            at: now(),
        };
        if !self.store().campaign_add(new, order.stations).await? {
            return Err(CampaignError::refused(format!(
                "a campaign {:?} is there already",
                order.id
            )));
        }
        // Stations name the root by hash from now on.
        if let Ok(roots) = certificate::from_pem(document.root.as_bytes()) {
            self.saw_roots(&roots).await;
        }
        let row = self.campaign(&order.id).await?;
        self.drive(&row);
        Ok(row)
    }

    /// A campaign with its counts.
    ///
    /// # Errors
    /// There is none of that name, or the store fails.
    pub async fn campaign(&self, id: &str) -> Result<CampaignRow, CampaignError> {
        self.store()
            .campaign_find(id)
            .await?
            .ok_or(CampaignError::Unknown)
    }

    /// Stops a campaign: stations that are being told get their result, no further one is told.
    ///
    /// # Errors
    /// It is not running, there is none of that name, or the store fails.
    pub async fn stop_campaign(&self, id: &str, asked_by: &str) -> Result<CampaignRow, CampaignError> {
        let row = self.campaign(id).await?;
        if row.state != "running" {
            return Err(CampaignError::refused(format!(
                "{id} is {}, not running",
                row.state
            )));
        }
        self.store().campaign_state(row.number, "stopped", None).await?;
        self.say_campaign(
            catalogue::rollover::CAMPAIGN_STOPPED,
            id,
            format!("{asked_by} stopped it"),
        );
        self.campaign(id).await
    }

    /// Goes on where it stopped; as many further failures are allowed as at first. `retry` tells those that
    /// were refused or failed again.
    ///
    /// # Errors
    /// It is running, there is none of that name, or the store fails.
    pub async fn resume_campaign(&self, id: &str, retry: bool) -> Result<CampaignRow, CampaignError> {
        let row = self.campaign(id).await?;
        if row.state == "running" {
            return Err(CampaignError::refused(format!("{id} is running")));
        }
        if retry {
            self.store().campaign_retry(row.number).await?;
        }
        let counts = self.campaign(id).await?.counts;
        let failures = u32::try_from(counts.refused + counts.failed).unwrap_or(u32::MAX);
        let allowed = row.campaign.stop_after.saturating_add(failures);
        self.store()
            .campaign_state(row.number, "running", Some(allowed))
            .await?;
        let row = self.campaign(id).await?;
        self.drive(&row);
        Ok(row)
    }

    /// Takes back what a campaign did, at the stations where it did it, as a campaign of its own named
    /// `<id>.undo`.
    ///
    /// # Errors
    /// It is running, renewed certificates (the old ones are kept for 48 hours anyway), or changed nothing;
    /// there is none of that name, or the store fails.
    pub async fn undo_campaign(&self, id: &str, asked_by: &str) -> Result<CampaignRow, CampaignError> {
        let row = self.campaign(id).await?;
        if row.state == "running" {
            return Err(CampaignError::refused(format!("{id} is running: stop it first")));
        }
        let action = match CampaignAction::from_word(&row.campaign.action) {
            Some(CampaignAction::Install) => CampaignAction::Remove,
            Some(CampaignAction::Remove) => CampaignAction::Install,
            _ => return Err(CampaignError::refused("a renewal cannot be undone")),
        };
        let document = read(&row)?;
        let (mut stations, mut after) = (Vec::new(), String::new());
        loop {
            let page = self
                .store()
                .campaign_stations(row.number, "done", &after, 500)
                .await?;
            let Some(last) = page.last() else { break };
            after = last.station.to_string();
            stations.extend(page.into_iter().map(|one| one.station));
        }
        if stations.is_empty() {
            return Err(CampaignError::refused(format!("{id} changed no station")));
        }
        let order = CampaignOrder {
            id: format!("{id}.undo"),
            action,
            usage: row.campaign.usage.clone(),
            root: document.root.clone(),
            other: None,
            link: None,
            without_link: true,
            stop_after: u32::try_from(stations.len()).unwrap_or(u32::MAX),
            stations: Some(stations),
            at_once: row.campaign.at_once,
            asked_by: asked_by.to_owned(),
        };
        let document = Document {
            root: document.root,
            other: None,
            needs_other: false,
            undoes: Some(id.to_owned()),
        };
        self.begin(order, document).await
    }

    fn say_campaign(&self, code: Code, id: &str, text: impl std::fmt::Display) {
        let event = Event::new(now(), code, crate::SOURCE, format!("campaign {id}: {text}"));
        self.hub().emit(event.with("campaign", id));
    }
}

pub(crate) fn read(row: &CampaignRow) -> Result<Document, CampaignError> {
    serde_json::from_str(&row.campaign.document)
        .map_err(|_| CampaignError::refused("what it keeps cannot be read"))
}

/// Checks an order; what the campaign keeps of it.
fn checked(order: &CampaignOrder) -> Result<Document, CampaignError> {
    let name = order.id.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    if !(1..=48).contains(&name.len()) || !name.iter().all(plain) {
        return Err(CampaignError::refused(
            "its name is 1 to 48 letters, digits, -, _ and .",
        ));
    }
    if !(1..=MAX_AT_ONCE).contains(&order.at_once) || order.stop_after == 0 {
        return Err(CampaignError::refused(format!(
            "at_once is 1 to {MAX_AT_ONCE}, stop_after at least 1"
        )));
    }
    let kind = match order.usage.as_str() {
        "V2GRootCertificate" => Kind::V2gRoot,
        "MORootCertificate" => Kind::MoRoot,
        "CSMSRootCertificate" => Kind::CsmsRoot,
        "OEMRootCertificate" => Kind::OemRoot,
        word if order.action == CampaignAction::Renew => {
            match StationCertificate::ALL.into_iter().find(|one| one.word() == word) {
                Some(StationCertificate::Vehicle | StationCertificate::Vehicle20) => Kind::V2gRoot,
                _ => {
                    return Err(CampaignError::refused(
                        "renewed are V2GCertificate and V2G20Certificate: what a station lists",
                    ));
                }
            }
        }
        other => return Err(CampaignError::refused(format!("{other:?} is no use of a root"))),
    };
    let root = one(&order.root, "root")?;
    let other = order
        .other
        .as_deref()
        .map(|text| one(text, "other"))
        .transpose()?;
    if order.action != CampaignAction::Remove {
        proper(&root, kind)?;
    }
    let needs_other = match order.action {
        CampaignAction::Install if order.without_link => false,
        CampaignAction::Install => {
            let link = order.link.as_deref().map(|text| one(text, "link")).transpose()?;
            let (Some(old), Some(link)) = (&other, link) else {
                return Err(CampaignError::Refused(
                    catalogue::rollover::NOT_VOUCHED,
                    "neither the old root with a link certificate (new-with-old) nor without_link was given"
                        .to_owned(),
                ));
            };
            if !vouched_for(old, &root, &link, now(), &OpensslVerifier) {
                return Err(CampaignError::Refused(
                    catalogue::rollover::NOT_VOUCHED,
                    "the link certificate does not show the new root's name and key signed by the old root, or is not valid now".to_owned(),
                ));
            }
            true
        }
        CampaignAction::Remove => other.is_some(),
        CampaignAction::Renew => false,
    };
    Ok(Document {
        root: certificate::to_pem(&root),
        other: other.map(|der| certificate::to_pem(&der)),
        needs_other,
        undoes: None,
    })
}

fn one(text: &str, what: &str) -> Result<Vec<u8>, CampaignError> {
    match certificate::from_pem(text.as_bytes()).as_deref() {
        Ok([one]) => Ok(one.clone()),
        _ => Err(CampaignError::refused(format!(
            "{what} is not one certificate in PEM"
        ))),
    }
}

/// A root by the profile of its kind, in either edition, valid now.
fn proper(root: &[u8], kind: Kind) -> Result<(), CampaignError> {
    let chain = [root.to_vec()];
    let judge = |generation| {
        let profile = Profile { kind, generation };
        check_with(&chain, &chain, profile, now(), &OpensslVerifier)
    };
    match judge(Generation::Iso2).or_else(|first| judge(Generation::Iso20).map_err(|_| first)) {
        Ok(_) => Ok(()),
        Err(rejected) => Err(CampaignError::Refused(rejected.code, rejected.message)),
    }
}
