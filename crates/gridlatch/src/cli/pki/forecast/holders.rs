//! Where an inventory comes from: a data folder, files, or a running platform that asks its stations.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use gridlatch_host::DataDir;
use gridlatch_pki::rollover::collect;
use gridlatch_pki::rollover::inventory::{Inventory, MAX_OCTETS};
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::rollover;
use serde_json::{Value, json};

use crate::cli::bounded;
use crate::cli::ev::http;
use crate::{run_file, say};

/// Holders of one page.
const PAGE: usize = 100;
/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(300);

/// Whose certificates and trust stores are looked at, and when.
#[derive(Debug, clap::Args)]
pub(crate) struct Holders {
    /// The data folder of `gridlatch up`, whose stations, cars and platform are collected
    #[arg(long, value_name = "DIR", env = "GRIDLATCH_DATA", default_value_os_t = DataDir::default_root())]
    data: PathBuf,
    /// An inventory of other holders as JSON (docs/rollover.md); may be given several times
    #[arg(long, value_name = "FILE")]
    inventory: Vec<PathBuf>,
    /// Only what is named, not the data folder
    #[arg(long)]
    no_data: bool,
    /// Ask the running platform, which asks its stations what they really hold; its REST address, or the one that
    /// `gridlatch up` wrote into the data folder
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = "")]
    platform: Option<String>,
    /// File with the operator token of that platform; the data folder's unless told
    #[arg(long, value_name = "FILE", requires = "platform")]
    token_file: Option<PathBuf>,
    /// Take what the platform knows, without asking its stations again
    #[arg(long, requires = "platform")]
    as_known: bool,
    /// As if it were this time (2027-01-31T00:00:00Z)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<Timestamp>,
}

/// A platform's REST interface.
#[derive(Debug)]
pub(crate) struct Rest {
    base: String,
    token: String,
}

impl Rest {
    /// Where `--platform` and `--token-file` lead; `""` is the platform that runs on the data folder.
    pub(crate) fn find(url: &str, token_file: Option<&Path>, data: &Path) -> Result<Self> {
        let run = if url.is_empty() || token_file.is_none() {
            Some(run_file::read(data)?)
        } else {
            None
        };
        let base = match &run {
            Some(run) if url.is_empty() => run.rest.clone(),
            _ => url.trim_end_matches('/').to_owned(),
        };
        let token = match (token_file, &run) {
            (Some(path), _) => std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?
                .trim()
                .to_owned(),
            (None, Some(run)) => run.token()?,
            (None, None) => String::new(),
        };
        Ok(Self { base, token })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        http::get(&self.base, path, &self.token).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        http::post(&self.base, path, &self.token, body).await
    }
}

impl Holders {
    /// Collects and reads all of it.
    pub(crate) async fn inventory(&self) -> Result<Inventory> {
        let mut inventory = Inventory::default();
        if let Some(url) = &self.platform {
            let rest = Rest::find(url, self.token_file.as_deref(), &self.data)?;
            if !self.as_known {
                ask(&rest).await?;
            }
            inventory.extend(asked(&rest).await?);
        }
        let pki = self.data.join("pki");
        if !self.no_data && pki.is_dir() {
            let mut own = collect::folder(&pki)?;
            if self.platform.is_some() {
                // What they say themselves counts, not what lies in a folder; the folder still knows what their
                // hashes mean.
                let (told, cars): (Vec<_>, Vec<_>) =
                    own.holders.into_iter().partition(|one| one.role != "vehicle");
                for one in told {
                    inventory
                        .known
                        .extend(one.shows.into_iter().map(|shown| shown.chain));
                    inventory.known.extend(one.trusts.into_values());
                }
                own.holders = cars;
            }
            inventory.extend(own);
        } else if !self.no_data && self.inventory.is_empty() && self.platform.is_none() {
            bail!(
                "{} holds no PKI: start `gridlatch up` once, or name an inventory with --inventory",
                self.data.display()
            );
        }
        for path in &self.inventory {
            inventory.extend(read(path)?);
        }
        Ok(inventory)
    }

    /// Whether somebody's trust stores are asked for, by name or because a PKI lies in the data folder.
    pub(super) fn collects(&self) -> bool {
        self.platform.is_some()
            || !self.inventory.is_empty()
            || (!self.no_data && self.data.join("pki/iso2/issued").is_dir())
    }

    /// The data folder.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// The time to be taken for now.
    pub(crate) fn from(&self) -> Timestamp {
        self.from.unwrap_or_else(gridlatch_host::now)
    }
}

/// Has the platform ask its stations; returns when all have answered or are known not to.
async fn ask(rest: &Rest) -> Result<()> {
    let mut progress = rest.post("/trust/ask", &json!({})).await?;
    let mut told = 0;
    while progress["running"] == true {
        tokio::time::sleep(LOOK).await;
        progress = rest.get("/trust/ask").await?;
        let number = |name: &str| progress[name].as_u64().unwrap_or(0);
        let (done, all) = (
            number("answered") + number("offline") + number("failed"),
            number("stations"),
        );
        // A line per tenth of a fleet; a handful of stations needs none.
        if all >= 20 && done * 10 / all > told {
            told = done * 10 / all;
            say::talk(format!(
                "asked {done} of {all} stations: {} answered, {} offline, {} failed",
                number("answered"),
                number("offline"),
                number("failed")
            ));
        }
    }
    Ok(())
}

/// Reads every page of what the platform knows.
async fn asked(rest: &Rest) -> Result<Inventory> {
    let mut inventory = Inventory::default();
    let mut after = String::new();
    loop {
        let mut page = rest
            .get(&format!(
                "/trust/inventory?limit={PAGE}&after={}",
                escaped(&after)
            ))
            .await?;
        let next = page["next"].as_str().map(str::to_owned);
        if let Some(page) = page.as_object_mut() {
            page.remove("next");
        }
        inventory.extend(Inventory::from_json(page.to_string().as_bytes())?);
        match next {
            Some(next) if next != after => after = next,
            _ => return Ok(inventory),
        }
    }
}

/// Everything that has a meaning in a query, escaped.
pub(crate) fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// A time in RFC 3339.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339)
        .map(Timestamp)
        .map_err(|error| error.to_string())
}

fn read(path: &Path) -> Result<Inventory> {
    let text = match bounded::read(path, MAX_OCTETS as u64) {
        Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => bail!(
            "{} is larger than {MAX_OCTETS} octets ({})",
            path.display(),
            rollover::INVENTORY_UNREADABLE
        ),
        read => read.with_context(|| format!("cannot read {}", path.display()))?,
    };
    Inventory::from_json(&text)
        .map_err(|error| anyhow::anyhow!("{}: {error} ({})", path.display(), error.code()))
}
