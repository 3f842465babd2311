//! Driving a campaign: one task for each that runs, from the start of the platform on.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gridlatch_store::{CampaignRow, Result};
use gridlatch_vocab::catalogue::rollover;
use tokio::task::JoinSet;

use super::work::{self, Work};
use crate::state::PlatformState;

/// How often stations that were not connected are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// Stations read at a time.
const PAGE: u32 = 256;

/// Campaigns that have a task.
#[derive(Debug, Clone, Default)]
pub(crate) struct Campaigns(Arc<Mutex<BTreeSet<i64>>>);

impl Campaigns {
    fn enter(&self, number: i64) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(number)
    }

    fn leave(&self, number: i64) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&number);
    }
}

impl PlatformState {
    /// Takes up every campaign that an earlier run of the platform left running.
    pub(crate) async fn resume_campaigns(&self) -> Result<()> {
        for row in self.store().campaign_list().await? {
            if row.state == "running" {
                self.drive(&row);
            }
        }
        Ok(())
    }

    /// Gives a campaign its task, unless it has one.
    pub(super) fn drive(&self, row: &CampaignRow) {
        if !self.campaigns().enter(row.number) {
            return;
        }
        let (state, id, number) = (self.clone(), row.campaign.id.clone(), row.number);
        tokio::spawn(async move {
            let mut again = true;
            while again {
                if let Err(error) = state.whole(&id).await {
                    state.store_failed(None, "drive a campaign", &error);
                }
                state.campaigns().leave(number);
                // Somebody may have resumed it while its task was ending.
                let running = state
                    .store()
                    .campaign_find(&id)
                    .await
                    .is_ok_and(|row| row.is_some_and(|row| row.state == "running"));
                again = running && !state.shutdown().is_cancelled() && state.campaigns().enter(number);
                if again {
                    tokio::time::sleep(LOOK).await;
                }
            }
        });
    }

    async fn whole(&self, id: &str) -> Result<()> {
        let Some(row) = self.store().campaign_find(id).await? else {
            return Ok(());
        };
        let Some(work) = Work::of(&row) else {
            self.store().campaign_state(row.number, "stopped", None).await?;
            self.say_campaign(rollover::CAMPAIGN_STOPPED, id, "what it keeps cannot be read");
            return Ok(());
        };
        let work = Arc::new(work);
        self.say_campaign(
            rollover::CAMPAIGN_STARTED,
            id,
            format!(
                "{} {} at {} stations that wait, {} at a time",
                row.campaign.action,
                row.campaign.usage,
                row.counts.waiting + row.counts.sent,
                row.campaign.at_once
            ),
        );
        let at_once = usize::try_from(row.campaign.at_once).unwrap_or(1);
        while !self.shutdown().is_cancelled() {
            self.round(id, &work, at_once).await?;
            let Some(row) = self.store().campaign_find(id).await? else {
                return Ok(());
            };
            if row.state != "running" {
                return Ok(());
            }
            let counts = row.counts;
            let failures = counts.refused + counts.failed;
            if failures >= u64::from(row.campaign.stop_after) {
                self.store().campaign_state(row.number, "stopped", None).await?;
                self.say_campaign(
                    rollover::CAMPAIGN_STOPPED,
                    id,
                    format!("{failures} stations refused or failed"),
                );
                return Ok(());
            }
            if counts.waiting + counts.sent == 0 {
                self.store().campaign_state(row.number, "done", None).await?;
                self.say_campaign(
                    rollover::CAMPAIGN_DONE,
                    id,
                    format!(
                        "{} changed, {} were so already, {} refused, {} failed",
                        counts.done, counts.already, counts.refused, counts.failed
                    ),
                );
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.shutdown().cancelled() => {}
            }
        }
        Ok(())
    }

    /// Once through the stations that are connected and have no result.
    async fn round(&self, id: &str, work: &Arc<Work>, at_once: usize) -> Result<()> {
        let mut after = String::new();
        let mut running: JoinSet<()> = JoinSet::new();
        'pages: loop {
            let page = self.store().campaign_due(work.number, &after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.station.to_string();
            for station in page {
                if running.len() >= at_once {
                    running.join_next().await;
                    // One failure too many must not be followed by a page of others.
                    if self.shutdown().is_cancelled() || !self.goes_on(id).await? {
                        break 'pages;
                    }
                }
                let (state, work) = (self.clone(), Arc::clone(work));
                running.spawn(async move { work::station(&state, &work, station).await });
            }
        }
        while running.join_next().await.is_some() {}
        Ok(())
    }

    async fn goes_on(&self, id: &str) -> Result<bool> {
        let row = self.store().campaign_find(id).await?;
        Ok(row.is_some_and(|row| {
            row.state == "running"
                && row.counts.refused + row.counts.failed < u64::from(row.campaign.stop_after)
        }))
    }
}
