//! What a campaign does at one station: look, note that it is told, tell, look again.

use std::time::Duration;

use gridlatch_host::now;
use gridlatch_store::{CAMPAIGN_ATTEMPTS, CampaignRow, CampaignStation};
use gridlatch_trust::certificate;
use gridlatch_vocab::{Code, StationId, catalogue};

use super::{CampaignAction, read};
use crate::authority::StationCertificate;
use crate::commands::{Command, CommandError};
use crate::state::PlatformState;
use crate::trust::InstalledEntry;

/// How long a station has to show a certificate that it was told to ask for.
const RENEWED: Duration = Duration::from_secs(30);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_secs(1);

/// A campaign, ready to be done at a station.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) number: i64,
    id: String,
    action: CampaignAction,
    usage: String,
    pem: String,
    root: Vec<u8>,
    other: Option<Vec<u8>>,
}

impl Work {
    pub(super) fn of(row: &CampaignRow) -> Option<Self> {
        let document = read(row).ok()?;
        let one = |text: &str| certificate::from_pem(text.as_bytes()).ok()?.pop();
        let other = document.other.as_deref().and_then(one);
        Some(Self {
            number: row.number,
            id: row.campaign.id.clone(),
            action: CampaignAction::from_word(&row.campaign.action)?,
            usage: row.campaign.usage.clone(),
            root: one(&document.root)?,
            pem: document.root,
            other: other.filter(|_| document.needs_other),
        })
    }

    /// Whether what a station lists is what the campaign wants.
    fn satisfied(&self, held: &[InstalledEntry]) -> bool {
        match self.action {
            CampaignAction::Install => self.lists(held, &self.root),
            CampaignAction::Remove => !self.lists(held, &self.root),
            CampaignAction::Renew => held.iter().any(|entry| self.leads(entry)),
        }
    }

    /// Whether a root of the campaign's use is listed.
    fn lists(&self, held: &[InstalledEntry], root: &[u8]) -> bool {
        held.iter().any(|entry| {
            entry.certificate_type == self.usage && entry.certificate_hash_data.names(root, root)
        })
    }

    /// Whether a chain's topmost certificate was issued by the root, and it is of the campaign's edition.
    fn leads(&self, entry: &InstalledEntry) -> bool {
        let top = entry
            .child_certificate_hash_data
            .last()
            .unwrap_or(&entry.certificate_hash_data);
        // Roots of the two editions have different keys: the root says which edition it is.
        entry.certificate_type == "V2GCertificateChain"
            && certificate::hash_data(&self.root, &self.root).is_ok_and(|own| {
                own.issuer_key_hash.eq_ignore_ascii_case(&top.issuer_key_hash)
                    && own.issuer_name_hash.eq_ignore_ascii_case(&top.issuer_name_hash)
            })
    }

    fn command(&self) -> Option<Command> {
        match self.action {
            CampaignAction::Install => Some(Command::InstallRoot {
                usage: self.usage.clone(),
                pem: self.pem.clone(),
            }),
            CampaignAction::Renew => StationCertificate::ALL
                .into_iter()
                .find(|one| one.word() == self.usage)
                .map(Command::RenewCertificate),
            CampaignAction::Remove => None,
        }
    }
}

/// One station, to a result or to a later round.
pub(super) async fn station(state: &PlatformState, work: &Work, row: CampaignStation) {
    let station = &row.station;
    let held = match state.ask_installed(station).await {
        Ok(held) => held,
        Err(error) => return missed(state, work, &row, &error).await,
    };
    if work.satisfied(&held) {
        let (word, code, text) = if row.state == "sent" {
            // Told before, and the answer was lost: it is ours all the same.
            ("done", catalogue::rollover::STATION_CHANGED, "it lists it")
        } else {
            (
                "already",
                catalogue::rollover::ALREADY_SO,
                "nothing had to be changed",
            )
        };
        return mark(state, work, station, word, code, text).await;
    }
    if let Some(other) = &work.other
        && !work.lists(&held, other)
    {
        let (code, text) = match work.action {
            CampaignAction::Remove => (
                catalogue::rollover::NO_SUCCESSOR,
                "it does not hold the root that takes the place of the one to be removed",
            ),
            _ => (
                catalogue::rollover::NOT_VOUCHED,
                "it does not hold the old root that vouches for the new one",
            ),
        };
        return mark(state, work, station, "refused", code, text).await;
    }
    // From here on the station may have been told: a restart looks before it tells again.
    match state
        .store()
        .campaign_mark(work.number, station, "sent", None, now())
        .await
    {
        Ok(true) => {}
        Ok(false) => return,
        Err(error) => return state.store_failed(Some(station), "note what a station is told", &error),
    }
    let command = match work.action {
        CampaignAction::Remove => held
            .iter()
            .find(|entry| {
                entry.certificate_type == work.usage
                    && entry.certificate_hash_data.names(&work.root, &work.root)
            })
            .map(|entry| Command::RemoveRoot(entry.certificate_hash_data.command())),
        _ => work.command(),
    };
    let Some(command) = command else { return };
    let asked_by = format!("campaign {}", work.id);
    match state.command(station, command, &asked_by).await {
        Ok(_) => shown(state, work, station).await,
        // It may or may not have done it: it stays told, and what it lists decides in the next round.
        Err(error) if lost(error.code) && row.attempts + 1 < CAMPAIGN_ATTEMPTS => {}
        Err(error) if lost(error.code) => {
            mark(state, work, station, "failed", error.code, &error.message).await;
        }
        Err(error) => mark(state, work, station, "refused", error.code, &error.message).await,
    }
}

/// It said yes: does what it lists show it?
async fn shown(state: &PlatformState, work: &Work, station: &StationId) {
    let until = tokio::time::Instant::now() + RENEWED;
    loop {
        match state.ask_installed(station).await {
            Ok(held) if work.satisfied(&held) => {
                let code = catalogue::rollover::STATION_CHANGED;
                return mark(state, work, station, "done", code, "done, and listed").await;
            }
            // It stays told; when it is there again, what it lists decides.
            Err(error) if lost(error.code) => return,
            Err(error) => return mark(state, work, station, "failed", error.code, &error.message).await,
            Ok(_) => {}
        }
        // A root is there at once; a certificate is asked for, signed and installed first.
        if work.action != CampaignAction::Renew || tokio::time::Instant::now() >= until {
            let code = catalogue::rollover::NOT_AS_SAID;
            let text = match work.action {
                CampaignAction::Renew => {
                    "it asked for a certificate and lists none below the new root; its events say what came of it"
                }
                _ => "it answered Accepted, and what it lists does not show it",
            };
            return mark(state, work, station, "failed", code, text).await;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// No answer: a station that is away waits without harm, one that is there and silent has so many tries.
async fn missed(state: &PlatformState, work: &Work, row: &CampaignStation, error: &CommandError) {
    let station = &row.station;
    if error.code == catalogue::platform::COMMAND_OFFLINE {
        return;
    }
    if row.attempts + 1 >= CAMPAIGN_ATTEMPTS || !lost(error.code) {
        return mark(state, work, station, "failed", error.code, &error.message).await;
    }
    // The state stays what it is: what was told stays told.
    let word = if row.state == "sent" { "sent" } else { "waiting" };
    let result = Some((error.code.as_str(), error.message.as_str()));
    if let Err(error) = state
        .store()
        .campaign_mark(work.number, station, word, result, now())
        .await
    {
        state.store_failed(Some(station), "note an attempt", &error);
    }
}

/// Whether an error leaves open what became of the command.
fn lost(code: Code) -> bool {
    use catalogue::platform as codes;
    [
        codes::COMMAND_OFFLINE,
        codes::COMMAND_TIMED_OUT,
        codes::COMMAND_BUSY,
    ]
    .contains(&code)
}

async fn mark(state: &PlatformState, work: &Work, station: &StationId, word: &str, code: Code, text: &str) {
    let text: String = text.chars().take(300).collect();
    let result = Some((code.as_str(), text.as_str()));
    match state
        .store()
        .campaign_mark(work.number, station, word, result, now())
        .await
    {
        Ok(true) => state.say_campaign(code, &work.id, format!("{station} {word}: {text}")),
        Ok(false) => {}
        Err(error) => state.store_failed(Some(station), "note a station's result", &error),
    }
}
