//! `gridlatch pki rollover distribute`, `switch`, `retire` and what follows them: campaigns at the running
//! platform.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use gridlatch_host::DataDir;
use gridlatch_keys::OpensslVerifier;
use gridlatch_pki::rollover::plan;
use gridlatch_trust::profile::Kind;
use gridlatch_trust::rollover::{Plan, vouched_for};
use gridlatch_trust::{KeyAlgorithm, certificate};
use gridlatch_vocab::catalogue::rollover;
use serde_json::{Value, json};

use super::forecast::{Rest, escaped};
use crate::cli::Format;
use crate::say;

/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Where the platform is.
#[derive(Debug, clap::Args)]
pub(crate) struct Where {
    /// The platform's REST address; the one that runs on the data folder unless told
    #[arg(long, value_name = "URL", default_value = "")]
    platform: String,
    /// File with its operator token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The data folder of `gridlatch up`
    #[arg(long, value_name = "DIR", env = "GRIDLATCH_DATA", default_value_os_t = DataDir::default_root())]
    data: PathBuf,
    /// Text for people, or one JSON value a line
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// How long to wait for stations that are not connected, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

/// A stage of a rollover, done at the stations.
#[derive(Debug, clap::Args)]
pub(crate) struct StageArgs {
    /// The plan's file
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    #[command(flatten)]
    at: Where,
    /// Stations at a time, 1 to 64
    #[arg(long, value_name = "N", default_value_t = 8)]
    at_once: u32,
    /// Stop at so many failures
    #[arg(long, value_name = "M", default_value_t = 5)]
    stop_after: u32,
    /// At this station only; may be given several times
    #[arg(long, value_name = "ID")]
    station: Vec<String>,
    /// The campaign's name; made of the plan's name and the stage unless told
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,
    /// Distribute although no link certificate proves that the old root vouches for the new one
    #[arg(long)]
    without_link: bool,
}

/// A campaign that is there.
#[derive(Debug, clap::Args)]
pub(crate) struct CampaignArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    at: Where,
    /// Tell stations that refused or failed again (with resume)
    #[arg(long)]
    retry: bool,
}

/// Which stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Install the new root.
    Distribute,
    /// Have certificates renewed below it.
    Switch,
    /// Remove the old root.
    Retire,
}

/// Starts the stage's campaign, or takes up the one that is there, and watches it; the exit code.
pub(crate) async fn stage(stage: Stage, args: &StageArgs) -> Result<u8> {
    let plan = plan::load(&args.plan)?;
    let rest = args.at.rest()?;
    let stem = args
        .plan
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or("rollover");
    let word = match stage {
        Stage::Distribute => "distribute",
        Stage::Switch => "switch",
        Stage::Retire => "retire",
    };
    let name = args.campaign.clone().unwrap_or_else(|| format!("{stem}.{word}"));
    let there = rest.get("/campaigns").await?;
    let there = there
        .as_array()
        .is_some_and(|all| all.iter().any(|one| one["id"] == name.as_str()));
    if !there {
        let mut order = order(stage, &plan, args.without_link)?;
        order["id"] = json!(name);
        order["at_once"] = json!(args.at_once);
        order["stop_after"] = json!(args.stop_after);
        if !args.station.is_empty() {
            order["stations"] = json!(args.station);
        }
        if stage == Stage::Switch && !super::succession::issue_below(&args.at.data, &plan).await? {
            say::talk(
                "the CA that signs for the platform is not in the data folder: it has to issue below the new root",
            );
        }
        rest.post("/campaigns", &order).await?;
    }
    watch(&rest, &name, &args.at).await
}

/// What the platform is asked for.
fn order(stage: Stage, plan: &Plan, without_link: bool) -> Result<Value> {
    let usage = match plan.kind {
        Kind::V2gRoot => "V2GRootCertificate",
        Kind::MoRoot => "MORootCertificate",
        Kind::CsmsRoot => "CSMSRootCertificate",
        Kind::OemRoot => "OEMRootCertificate",
        _ => bail!("the plan is for no kind of root that stations hold"),
    };
    let (old, new) = (certificate::to_pem(&plan.old), certificate::to_pem(&plan.new));
    Ok(match stage {
        Stage::Distribute if without_link => {
            json!({ "action": "install", "usage": usage, "root": new, "without_link": true })
        }
        Stage::Distribute => {
            let now = gridlatch_host::now();
            let link = plan
                .links
                .iter()
                .find(|link| vouched_for(&plan.old, &plan.new, link, now, &OpensslVerifier))
                .with_context(|| {
                    format!(
                        "the plan has no valid link certificate new-with-old (`gridlatch pki link`), and --without-link was not \
                         given ({})",
                        rollover::NOT_VOUCHED
                    )
                })?;
            json!({
                "action": "install", "usage": usage, "root": new, "other": old, "link": certificate::to_pem(link),
            })
        }
        Stage::Switch => {
            if plan.kind != Kind::V2gRoot {
                bail!(
                    "stations list their chains below V2G roots only: other certificates follow by themselves"
                );
            }
            let spki = certificate::public_key_der(&plan.new)?;
            let usage = match certificate::spki_algorithm(&spki) {
                Some(KeyAlgorithm::P256) => "V2GCertificate",
                _ => "V2G20Certificate",
            };
            json!({ "action": "renew", "usage": usage, "root": new })
        }
        Stage::Retire => json!({ "action": "remove", "usage": usage, "root": old, "other": new }),
    })
}

/// `resume`, `undo` or `stop` a campaign, and watch what runs then.
pub(crate) async fn change(verb: &str, args: &CampaignArgs) -> Result<u8> {
    let rest = args.at.rest()?;
    let body = if verb == "resume" {
        json!({ "retry": args.retry })
    } else {
        json!({})
    };
    let path = format!("/campaigns/{}/{verb}", escaped(&args.name));
    let row = rest.post(&path, &body).await?;
    if verb == "stop" {
        args.at.show(&row);
        return Ok(0);
    }
    let name = row["id"].as_str().unwrap_or(&args.name).to_owned();
    watch(&rest, &name, &args.at).await
}

/// Every campaign, or one with its stations.
pub(crate) async fn list(name: Option<&str>, at: &Where) -> Result<u8> {
    let rest = at.rest()?;
    if let Some(name) = name {
        let row = rest.get(&format!("/campaigns/{}", escaped(name))).await?;
        at.show(&row);
        stations(&rest, name, at, false).await?;
        return Ok(finished(&row));
    }
    let all = rest.get("/campaigns").await?;
    for row in all.as_array().into_iter().flatten() {
        at.show(row);
    }
    Ok(0)
}

impl Where {
    fn rest(&self) -> Result<Rest> {
        Rest::find(&self.platform, self.token_file.as_deref(), &self.data)
    }

    fn show(&self, row: &Value) {
        match self.format {
            Format::Json => say::result(row.to_string()),
            Format::Text => say::result(format!(
                "{} ({} {}): {}; {}",
                row["id"].as_str().unwrap_or_default(),
                row["action"].as_str().unwrap_or_default(),
                row["usage"].as_str().unwrap_or_default(),
                row["state"].as_str().unwrap_or_default(),
                progress(row)
            )),
        }
    }
}

fn number(row: &Value, name: &str) -> u64 {
    row[name].as_u64().unwrap_or(0)
}

fn progress(row: &Value) -> String {
    format!(
        "{} done, {} so already, {} refused, {} failed, {} to go ({} not connected)",
        number(row, "done"),
        number(row, "already"),
        number(row, "refused"),
        number(row, "failed"),
        number(row, "waiting") + number(row, "sent"),
        number(row, "offline")
    )
}

/// 0 if every station is as it should be.
fn finished(row: &Value) -> u8 {
    let open = ["waiting", "sent", "refused", "failed"];
    u8::from(open.iter().any(|name| number(row, name) > 0))
}

/// Follows a campaign until it is over, or until only stations that are not connected are left.
async fn watch(rest: &Rest, name: &str, at: &Where) -> Result<u8> {
    let path = format!("/campaigns/{}", escaped(name));
    let mut last = String::new();
    let mut idle = Duration::ZERO;
    let row = loop {
        let row = rest.get(&path).await?;
        let text = progress(&row);
        if text != last {
            say::talk(&text);
            last = text;
            idle = Duration::ZERO;
        }
        let left = number(&row, "waiting") + number(&row, "sent");
        if row["state"] != "running" {
            break row;
        }
        if left > 0 && left == number(&row, "offline") {
            if idle >= Duration::from_secs(at.wait) {
                break row;
            }
            idle += LOOK;
        }
        tokio::time::sleep(LOOK).await;
    };
    at.show(&row);
    stations(rest, name, at, true).await?;
    Ok(finished(&row))
}

/// The stations' results; with `open`, only of those that are not as they should be.
async fn stations(rest: &Rest, name: &str, at: &Where, open: bool) -> Result<()> {
    let mut after = String::new();
    loop {
        let path = format!(
            "/campaigns/{}/stations?limit=500&after={}",
            escaped(name),
            escaped(&after)
        );
        let page = rest.get(&path).await?;
        let rows = page.as_array().map(Vec::as_slice).unwrap_or_default();
        for row in rows {
            let state = row["state"].as_str().unwrap_or_default();
            if open && matches!(state, "done" | "already") {
                continue;
            }
            if at.format == Format::Json {
                say::result(row.to_string());
                continue;
            }
            let away = if row["connected"] == false {
                format!(
                    ", not connected, last heard of {}",
                    row["last_seen"].as_str().unwrap_or("never")
                )
            } else {
                String::new()
            };
            say::result(
                format!(
                    "    {} {state}{away} {} {}",
                    row["station"].as_str().unwrap_or_default(),
                    row["code"].as_str().unwrap_or_default(),
                    row["message"].as_str().unwrap_or_default()
                )
                .trim_end(),
            );
        }
        match rows.last().and_then(|row| row["station"].as_str()) {
            Some(last) if rows.len() == 500 => after = last.to_owned(),
            _ => return Ok(()),
        }
    }
}
