//! The timeline, for people and as JSON.

use std::collections::BTreeSet;

use anyhow::Result;
use gridlatch_pki::rollover::inventory::Inventory;
use gridlatch_trust::forecast::ends::{Ending, Ends, What};
use gridlatch_trust::forecast::{Break, Drift, edition};
use gridlatch_vocab::Timestamp;
use serde_json::{Value, json};

use crate::say;

/// What was found.
pub(super) struct Told {
    pub(super) now: Timestamp,
    pub(super) near: Timestamp,
    pub(super) until: Timestamp,
    pub(super) within: time::Duration,
    pub(super) breaks: Vec<Break>,
    pub(super) drifts: Vec<Drift>,
    pub(super) unresolved: Vec<(String, String)>,
    pub(super) holders: usize,
    pub(super) ends: Ends,
    pub(super) silent: Vec<(String, Option<Timestamp>, String)>,
}

/// Who did not answer when it was last asked, with the date of what is known of it.
pub(super) fn silent(inventory: &Inventory) -> Vec<(String, Option<Timestamp>, String)> {
    let asked = inventory.holders.iter();
    asked
        .filter_map(|entry| Some((entry.name.clone(), entry.as_of, entry.failure.clone()?)))
        .collect()
}

impl Told {
    /// What breaks within the time that was asked about.
    pub(super) fn count(&self) -> usize {
        let breaks = self.breaks.iter().filter(|one| one.at <= self.near).count();
        let ends = self.ends.up_to(self.until);
        let late = self.ends.rest().is_some_and(|(at, _)| at <= self.near);
        breaks + ends.iter().filter(|one| one.counts(self.now, self.near)).count() + usize::from(late)
    }

    pub(super) fn text(&self) {
        let ends = self.ends.up_to(self.until);
        say::result(format!(
            "{} holders{}, from {} to {}\n",
            self.holders,
            match self.ends.len() {
                0 => String::new(),
                count => format!(" and {count} things with an end"),
            },
            self.now.0.date(),
            self.until.0.date()
        ));
        if self.breaks.is_empty() && ends.is_empty() {
            say::result("Nothing stops working.");
        }
        for one in &self.breaks {
            say::result(format!("{}: {} ({})", self.when(one.at), one.profile, one.cause));
            say::result(format!("    {}", one.message));
            say::result(format!(
                "    shown by {}; refused by {}",
                few(&one.shown_by),
                refusers(one)
            ));
            say::result(format!("    what to do: {}", one.remedy));
        }
        for one in &ends {
            say::result(format!(
                "{}: {} ({})",
                self.when(one.at),
                counted(one),
                one.cause()
            ));
            say::result(format!("    {}", why(one)));
            say::result(format!("    what to do: {}", remedy(one)));
        }
        if let Some((at, count)) = self.ends.rest() {
            say::result(format!("{}: {count} more, not told apart", self.when(at)));
        }
        self.drifted();
        if !self.silent.is_empty() {
            say::result("\nDid not say what they hold when last asked:");
        }
        for (name, as_of, failure) in &self.silent {
            let known = as_of.map_or_else(
                || "nothing is known of it".to_owned(),
                |at| format!("what is known of it is of {}", at.0.date()),
            );
            say::result(format!("    {name}: {known} ({failure})"));
        }
        let count = self.count();
        say::result(format!(
            "\n{count} of {} within {}: {}",
            self.breaks.len() + ends.len() + usize::from(self.ends.rest().is_some()),
            span(self.within),
            if count == 0 { "nothing breaks" } else { "act now" }
        ));
    }

    fn when(&self, at: Timestamp) -> String {
        if at <= self.now {
            "now".to_owned()
        } else {
            format!("{} ({})", at.0.date(), span(at.0 - self.now.0))
        }
    }

    fn drifted(&self) {
        if !self.drifts.is_empty() {
            say::result("\nTrust stores that differ from those of their kind:");
        }
        for one in &self.drifts {
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
        for (holder, kind) in &self.unresolved {
            say::result(format!(
                "    {holder}: reports a {kind} that no known certificate has"
            ));
        }
    }

    pub(super) fn json(&self) -> Result<()> {
        for one in &self.breaks {
            say::result(serde_json::to_string(&value(one, self.near))?);
        }
        for one in self.ends.up_to(self.until) {
            say::result(serde_json::to_string(&self.ending(one))?);
        }
        if let Some((at, count)) = self.ends.rest() {
            say::result(
                json!({ "what": "more ends", "at": at, "count": count, "within": at <= self.near })
                    .to_string(),
            );
        }
        for one in &self.drifts {
            say::result(serde_json::to_string(&json!({
                "what": "drift", "holder": one.holder, "root": one.kind.slug(),
                "missing": one.missing, "extra": one.extra,
            }))?);
        }
        for (holder, kind) in &self.unresolved {
            say::result(serde_json::to_string(&json!({
                "what": "unknown certificate", "holder": holder, "certificate_type": kind,
            }))?);
        }
        for (holder, as_of, failure) in &self.silent {
            say::result(serde_json::to_string(&json!({
                "what": "no answer", "holder": holder, "as_of": as_of, "failure": failure,
            }))?);
        }
        Ok(())
    }

    fn ending(&self, one: &Ending) -> Value {
        json!({
            "what": "end",
            "at": one.at,
            "within": one.counts(self.now, self.near),
            "code": one.code(self.now),
            "cause": one.cause(),
            "kind": one.what.as_str(),
            "issuer": one.issuer,
            "ca": one.because,
            "count": one.count,
            "names": one.names,
            "publisher_late_from": one.late,
            "remedy": remedy(one),
        })
    }
}

fn value(one: &Break, near: Timestamp) -> Value {
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

fn counted(one: &Ending) -> String {
    let what = match one.what {
        What::Certificate(kind) => kind.row().name,
        What::CrossOrLink => "cross- or link certificate",
        What::FullList => "revocation list",
        What::DeltaList => "delta revocation list",
        What::Answer => "OCSP answer",
    };
    format!("{} x {what} of {}", one.count, one.issuer)
}

fn why(one: &Ending) -> String {
    let names = one.names.join(", ");
    let more = match one
        .count
        .saturating_sub(u64::try_from(one.names.len()).unwrap_or(0))
    {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match &one.because {
        Some(ca) => format!("{names}{more}: the certificate of {ca} above them ends"),
        None => format!("{names}{more}: at their own end"),
    }
}

const fn remedy(one: &Ending) -> &'static str {
    match (one.what, &one.because) {
        (What::FullList | What::DeltaList | What::Answer, _) => {
            "See that its publisher runs: it replaces it at half of its life (`gridlatch pki serve`)."
        }
        (What::CrossOrLink, _) => {
            "Certify again (`gridlatch pki cross`, `gridlatch pki link`), or end the rollover."
        }
        (_, Some(_)) => {
            "Renew the CA first (`gridlatch pki renew`), then its leaves (`gridlatch pki reissue`)."
        }
        _ => "Renew them (`gridlatch pki renew`, or `gridlatch pki reissue` for a fleet).",
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
