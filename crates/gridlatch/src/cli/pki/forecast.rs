//! `gridlatch pki forecast`: what stops working on which date if nothing is done.

mod ends;
mod holders;
mod print;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use gridlatch_keys::OpensslVerifier;
use gridlatch_pki::rollover::inventory::Inventory;
use gridlatch_trust::forecast::ends::End;
use gridlatch_trust::forecast::{breaks, drift};
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::Timestamp;

pub(super) use holders::{Holders, Rest, escaped, moment};
use print::Told;

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
    /// Count everything of a CA's database too (the folder that holds ca.db; the data folder's own if no folder is
    /// named): leaves, CAs, OCSP signers, revocation lists
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = "")]
    ca: Option<String>,
    /// Count a published file too: a revocation list, an OCSP answer, cross- and link certificates (PEM or DER), or a
    /// rollover plan; may be given several times
    #[arg(long, value_name = "FILE")]
    published: Vec<PathBuf>,
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

/// `30d` or `48h`, up to a hundred years.
pub(super) fn days(text: &str) -> Result<time::Duration, String> {
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

/// Runs it; returns the exit code.
pub(crate) async fn run(args: &ForecastArgs) -> u8 {
    forecast(args).await.unwrap_or_else(|error| say::failed(&error))
}

async fn forecast(args: &ForecastArgs) -> Result<u8> {
    let counted = args.ca.is_some() || !args.published.is_empty();
    // A CA or a file alone is enough to be asked about.
    let inventory = if args.holders.collects() || !counted {
        args.holders.inventory().await?
    } else {
        Inventory::default()
    };
    if args.print_inventory {
        say::result(serde_json::to_string_pretty(&inventory)?);
        return Ok(0);
    }
    let read = inventory.read()?;
    if read.holders.is_empty() && !counted {
        bail!("neither the data folder nor an inventory names anybody: nothing can be foretold");
    }
    let now = args.holders.from();
    let until = Timestamp(now.0.saturating_add(args.until.max(args.within)));
    let near = Timestamp(now.0.saturating_add(args.within));
    let mut ends = ends::of(
        args.ca.as_deref().map(Path::new),
        args.holders.data(),
        &args.published,
        now,
    )
    .await?;
    for entry in &inventory.holders {
        for end in &entry.ends {
            let Some(kind) = Kind::from_slug(&end.kind) else {
                continue;
            };
            ends.add(End {
                at: Timestamp(end.not_after.0.saturating_add(time::Duration::SECOND)),
                what: gridlatch_trust::forecast::ends::What::Certificate(kind),
                issuer: end.issuer.clone(),
                because: None,
                name: entry.name.clone(),
                late: None,
            });
        }
    }
    let told = Told {
        now,
        near,
        until,
        within: args.within,
        breaks: breaks(&read.holders, now, until, &OpensslVerifier),
        drifts: drift(&read.holders),
        unresolved: read.unresolved,
        holders: read.holders.len(),
        ends,
        silent: print::silent(&inventory),
    };
    match args.format {
        Format::Text => told.text(),
        Format::Json => told.json()?,
    }
    Ok(u8::from(told.count() > 0))
}
