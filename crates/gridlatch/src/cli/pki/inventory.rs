//! `gridlatch pki inventory`: who holds which chains and roots, as of when, and what of it breaks first.

use std::collections::BTreeMap;

use anyhow::Result;
use gridlatch_keys::OpensslVerifier;
use gridlatch_pki::rollover::inventory::Entry;
use gridlatch_trust::certificate;
use gridlatch_trust::forecast::{Break, Holder, breaks};
use gridlatch_vocab::Timestamp;
use serde_json::json;

use super::forecast::Holders;
use crate::cli::Format;
use crate::say;

/// Who holds what: stations asked over OCPP (`--platform`), the platform itself, vehicles as they were seen, and what
/// lies in the data folder.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 everybody said what they hold; 1 somebody did not (named, with the date of the last answer); 2 \
usage or run error."
)]
pub(crate) struct InventoryArgs {
    #[command(flatten)]
    holders: Holders,
    /// Lines for people, or one JSON value a line
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Runs it; returns the exit code.
pub(crate) async fn run(args: &InventoryArgs) -> u8 {
    show(args).await.unwrap_or_else(|error| say::failed(&error))
}

async fn show(args: &InventoryArgs) -> Result<u8> {
    let inventory = args.holders.inventory().await?;
    let read = inventory.read()?;
    let now = args.holders.from();
    let far = Timestamp(now.0.saturating_add(time::Duration::days(36_500)));
    let mut next: BTreeMap<&str, &Break> = BTreeMap::new();
    let found = breaks(&read.holders, now, far, &OpensslVerifier);
    for one in &found {
        for name in &one.shown_by {
            next.entry(name).or_insert(one);
        }
    }
    for (entry, holder) in inventory.holders.iter().zip(&read.holders) {
        let unknown = read
            .unresolved
            .iter()
            .filter(|(name, _)| *name == entry.name)
            .count();
        let first = next.get(entry.name.as_str());
        match args.format {
            Format::Text => text(entry, holder, unknown, first.copied(), now),
            Format::Json => say::result(
                json!({
                    "holder": entry.name, "role": entry.role, "as_of": entry.as_of, "connected": entry.connected,
                    "failure": entry.failure, "chains": chains(holder), "roots": roots(holder),
                    "refused": entry.refused,
                    "unknown_certificates": unknown,
                    "next_break": first.map(|one| json!({ "at": one.at, "cause": one.cause, "message": one.message })),
                })
                .to_string(),
            ),
        }
    }
    let silent = inventory
        .holders
        .iter()
        .filter(|entry| entry.failure.is_some())
        .count();
    if args.format == Format::Text {
        say::result(format!(
            "{} holders, {silent} of them did not say what they hold when last asked",
            inventory.holders.len()
        ));
    }
    Ok(u8::from(silent > 0))
}

fn text(entry: &Entry, holder: &Holder, unknown: usize, next: Option<&Break>, now: Timestamp) {
    let as_of = match (entry.as_of, &entry.failure) {
        (Some(at), _) => format!(" (as of {})", at.0.date()),
        (None, Some(_)) => " (nothing is known)".to_owned(),
        (None, None) => String::new(),
    };
    say::result(format!("{}{as_of}", entry.name));
    for line in chains(holder) {
        say::result(format!("    shows   {line}"));
    }
    for (kind, names) in roots(holder) {
        say::result(format!("    trusts  {kind}: {}", names.join(", ")));
    }
    if unknown > 0 {
        say::result(format!("    {unknown} certificates that nobody knows"));
    }
    for one in &entry.refused {
        say::result(format!(
            "    refused {} of {} \"{}\" ({}) on {}, campaign {}: {} ({})",
            one.action,
            one.usage,
            one.root,
            one.fingerprint.get(..8).unwrap_or_default(),
            one.at.0.date(),
            one.campaign,
            one.message,
            one.code
        ));
    }
    if let Some(failure) = &entry.failure {
        say::result(format!("    did not answer: {failure}"));
    }
    match next {
        Some(one) if one.at <= now => say::result(format!("    broken now: {}", one.message)),
        Some(one) => say::result(format!("    breaks {}: {}", one.at.0.date(), one.message)),
        None => {}
    }
}

fn chains(holder: &Holder) -> Vec<String> {
    let shown = holder.shows.iter().map(|held| {
        let path: Vec<String> = held
            .chain
            .iter()
            .skip(1)
            .map(|der| name(der))
            .chain(
                held.chain
                    .last()
                    .and_then(|top| certificate::summary(top).ok().map(|summary| summary.issuer_cn)),
            )
            .collect();
        let end = held
            .chain
            .iter()
            .filter_map(|der| certificate::summary(der).ok().map(|summary| summary.not_after))
            .min();
        format!(
            "{} by {}, until {}",
            held.profile,
            path.join(" < "),
            end.map_or_else(|| "?".to_owned(), |end| end.0.date().to_string())
        )
    });
    shown.collect()
}

fn roots(holder: &Holder) -> BTreeMap<&'static str, Vec<String>> {
    holder
        .trusts
        .iter()
        .filter(|(_, roots)| !roots.is_empty())
        .map(|(kind, roots)| (kind.slug(), roots.iter().map(|der| name(der)).collect()))
        .collect()
}

fn name(der: &[u8]) -> String {
    certificate::summary(der).map_or_else(
        |_| "(unreadable)".to_owned(),
        |summary| {
            let print = summary.fingerprint.get(..8).unwrap_or_default();
            format!("{} ({print})", summary.subject_cn)
        },
    )
}
