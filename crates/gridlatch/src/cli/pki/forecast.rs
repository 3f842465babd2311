//! `gridlatch pki forecast`: what stops working on which date if nothing is done.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use gridlatch_host::DataDir;
use gridlatch_keys::OpensslVerifier;
use gridlatch_pki::rollover::collect;
use gridlatch_pki::rollover::inventory::{Inventory, MAX_OCTETS};
use gridlatch_trust::forecast::{Break, Drift, breaks, drift, edition};
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::rollover;
use serde_json::json;

use crate::cli::Format;
use crate::say;

/// Foretell what breaks: every certificate that is shown, judged by everybody who will see it, on each date
/// on which one begins or ends.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 nothing breaks within the time; 1 something does; 2 the inventory cannot be read."
)]
pub(crate) struct ForecastArgs {
    #[command(flatten)]
    holders: Holders,
    /// What breaks within this time decides the exit code
    #[arg(long, value_name = "DAYS", default_value = "30d", value_parser = days)]
    within: time::Duration,
    /// How far the timeline goes
    #[arg(long, value_name = "DAYS", default_value = "400d", value_parser = days)]
    until: time::Duration,
    /// Print the collected inventory as JSON and stop, to be merged or sent elsewhere
    #[arg(long)]
    print_inventory: bool,
    /// Timeline for people, or one JSON value a line
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Whose certificates and trust stores are looked at, and when.
#[derive(Debug, clap::Args)]
pub(crate) struct Holders {
    /// The data folder of `gridlatch up`, whose stations, cars and platform are collected
    #[arg(long, value_name = "DIR", env = "GRIDLATCH_DATA", default_value_os_t = DataDir::default_root())]
    data: PathBuf,
    /// An inventory of other holders as JSON (docs/rollover.md); may be given several times
    #[arg(long, value_name = "FILE")]
    inventory: Vec<PathBuf>,
    /// Only the inventories, not the data folder
    #[arg(long, requires = "inventory")]
    no_data: bool,
    /// As if it were this time (2027-01-31T00:00:00Z)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<Timestamp>,
}

impl Holders {
    /// Collects and reads all of it.
    pub(crate) fn inventory(&self) -> Result<Inventory> {
        let mut inventory = Inventory::default();
        if !self.no_data {
            let pki = self.data.join("pki");
            if pki.is_dir() {
                inventory.extend(collect::folder(&pki)?);
            } else if self.inventory.is_empty() {
                bail!(
                    "{} holds no PKI: start `gridlatch up` once, or name an inventory with --inventory",
                    self.data.display()
                );
            }
        }
        for path in &self.inventory {
            inventory.extend(read(path)?);
        }
        Ok(inventory)
    }

    /// The time to be taken for now.
    pub(crate) fn from(&self) -> Timestamp {
        self.from.unwrap_or_else(gridlatch_host::now)
    }
}

/// `30d` or `48h`, up to a hundred years.
fn days(text: &str) -> Result<time::Duration, String> {
    let (number, hours) = if let Some(number) = text.strip_suffix('d') {
        (number, 24)
    } else if let Some(number) = text.strip_suffix('h') {
        (number, 1)
    } else {
        return Err("a number with d for days or h for hours".to_owned());
    };
    match number.parse::<i64>() {
        Ok(number @ 0..=876_600) if number * hours <= 876_600 => Ok(time::Duration::hours(number * hours)),
        _ => Err("a number with d or h, up to a hundred years".to_owned()),
    }
}

/// A time in RFC 3339.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339)
        .map(Timestamp)
        .map_err(|error| error.to_string())
}

/// Runs it; returns the exit code.
pub(crate) fn run(args: &ForecastArgs) -> u8 {
    forecast(args).unwrap_or_else(|error| say::failed(&error))
}

fn forecast(args: &ForecastArgs) -> Result<u8> {
    let inventory = args.holders.inventory()?;
    if args.print_inventory {
        say::result(serde_json::to_string_pretty(&inventory)?);
        return Ok(0);
    }
    let read = inventory.read()?;
    if read.holders.is_empty() {
        bail!("neither the data folder nor an inventory names anybody: nothing can be foretold");
    }
    let now = args.holders.from();
    let until = Timestamp(now.0 + args.until.max(args.within));
    let found = breaks(&read.holders, now, until, &OpensslVerifier);
    let drifts = drift(&read.holders);
    let near = Timestamp(now.0 + args.within);
    let within = found.iter().filter(|one| one.at <= near).count();
    match args.format {
        Format::Text => {
            text(&found, now, read.holders.len(), until);
            drifted(&drifts, &read.unresolved);
            say::result(format!(
                "\n{within} of {} within {}: {}",
                found.len(),
                span(args.within),
                if within == 0 { "nothing breaks" } else { "act now" }
            ));
        }
        Format::Json => {
            for one in &found {
                say::result(serde_json::to_string(&value(one, near))?);
            }
            for one in &drifts {
                say::result(serde_json::to_string(&json!({
                    "what": "drift", "holder": one.holder, "root": one.kind.slug(),
                    "missing": one.missing, "extra": one.extra,
                }))?);
            }
            for (holder, kind) in &read.unresolved {
                say::result(serde_json::to_string(&json!({
                    "what": "unknown certificate", "holder": holder, "certificate_type": kind,
                }))?);
            }
        }
    }
    Ok(u8::from(within > 0))
}

fn read(path: &Path) -> Result<Inventory> {
    let size = std::fs::metadata(path)
        .with_context(|| format!("cannot read {}", path.display()))?
        .len();
    if size > MAX_OCTETS as u64 {
        bail!(
            "{} is larger than {MAX_OCTETS} octets ({})",
            path.display(),
            rollover::INVENTORY_UNREADABLE
        );
    }
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Inventory::from_json(&text)
        .map_err(|error| anyhow::anyhow!("{}: {error} ({})", path.display(), error.code()))
}

fn value(one: &Break, near: Timestamp) -> serde_json::Value {
    json!({
        "what": "break",
        "at": one.at,
        "within": one.at <= near,
        "code": one.code,
        "cause": one.cause,
        "kind": one.profile.kind.slug(),
        "edition": edition(one.profile.generation),
        "ca": one.ca,
        "message": one.message,
        "shown_by": one.shown_by,
        "refused_by": one.refused_by,
        "remedy": one.remedy,
    })
}

fn text(found: &[Break], now: Timestamp, holders: usize, until: Timestamp) {
    say::result(format!(
        "{holders} holders, from {} to {}\n",
        now.0.date(),
        until.0.date()
    ));
    if found.is_empty() {
        say::result("Nothing stops working.");
    }
    for one in found {
        let when = if one.at == now {
            "now".to_owned()
        } else {
            format!("{} ({})", one.at.0.date(), span(one.at.0 - now.0))
        };
        say::result(format!("{when}: {} ({})", one.profile, one.cause));
        say::result(format!("    {}", one.message));
        say::result(format!(
            "    shown by {}; refused by {}",
            few(&one.shown_by),
            refusers(one)
        ));
        say::result(format!("    what to do: {}", one.remedy));
    }
}

fn drifted(drifts: &[Drift], unresolved: &[(String, String)]) {
    if !drifts.is_empty() {
        say::result("\nTrust stores that differ from those of their kind:");
    }
    for one in drifts {
        let mut line = format!("    {}, {}:", one.holder, one.kind.row().name);
        if !one.missing.is_empty() {
            line.push_str(&format!(" lacks {}", one.missing.join(", ")));
        }
        if !one.extra.is_empty() {
            let comma = if one.missing.is_empty() { "" } else { ";" };
            line.push_str(&format!("{comma} has besides {}", one.extra.join(", ")));
        }
        say::result(line);
    }
    for (holder, kind) in unresolved {
        say::result(format!(
            "    {holder}: reports a {kind} that no known certificate has"
        ));
    }
}

fn refusers(one: &Break) -> String {
    if one.refused_by.is_empty() {
        "everybody (the inventory has no counterpart)".to_owned()
    } else {
        few(&one.refused_by)
    }
}

/// The first three names, and how many more.
fn few(names: &BTreeSet<String>) -> String {
    const SHOWN: usize = 3;
    let mut text = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

fn span(duration: time::Duration) -> String {
    match duration.whole_days() {
        0 => format!("{} h", duration.whole_hours()),
        days => format!("{days} d"),
    }
}
