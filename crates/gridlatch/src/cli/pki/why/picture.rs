//! The verdict as a picture for people and as a value for programs.

use std::fmt::Write as _;

use gridlatch_trust::certificate;
use gridlatch_trust::revocation::Status;
use gridlatch_trust::verdict::{Missing, Rejected, Step, Tried};
use gridlatch_vocab::Timestamp;
use serde_json::{Value, json};

use super::sources::Known;
use super::{Told, facts};

/// For people.
pub(super) fn text(told: &Told, known: &Known, now: Timestamp) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, told, known, now);
    out.truncate(out.trim_end().len());
    out
}

fn write(out: &mut String, told: &Told, known: &Known, now: Timestamp) -> std::fmt::Result {
    let judgement = &told.judgement;
    let count = told.found.chain.len();
    let many = if count == 1 { "certificate" } else { "certificates" };
    writeln!(out, "chain     {count} {many} from {}", told.found.from)?;
    writeln!(out, "judged    as {} (by {}), at {now}", told.profile, told.sign)?;
    writeln!(out, "trusted   {}", roots_named(known))?;
    if let Some(shown) = &told.found.shown {
        let staple = if shown.staple.is_some() {
            "with a stapled OCSP answer"
        } else {
            "without a staple"
        };
        writeln!(out, "endpoint  {} {} {staple}", shown.version, shown.suite)?;
        if let Some(ended) = &shown.ended {
            writeln!(
                out,
                "          ended the handshake after showing its chain: {ended}"
            )?;
        }
    }
    writeln!(out)?;
    for fault in &judgement.leaf {
        writeln!(out, "✗ {}", told.profile.row().name)?;
        blame(out, "  ", fault)?;
    }
    let mut number = 0;
    if judgement.accepted.is_some() {
        number += 1;
        writeln!(out, "✓ path {number} holds")?;
        tree(out, &judgement.steps, None, None)?;
    }
    for tried in &judgement.tried {
        number += 1;
        writeln!(out, "✗ path {number} does not hold")?;
        tree(out, &tried.path, Some(tried), tried.rejected.depth)?;
        blame(out, "  ", &tried.rejected)?;
    }
    if judgement.cut_short {
        writeln!(
            out,
            "… further paths were not tried: the limits of a verdict are reached"
        )?;
    }
    writeln!(out)?;
    verdict(out, told)?;
    for proposal in &told.proposals {
        writeln!(out, "way out   {}: {}", proposal.fix.label(), proposal.text)?;
    }
    if let Some(days) = told.clock {
        writeln!(out, "clock     {}", clock(days))?;
    }
    for checked in &judgement.revocation {
        let who = step_name(judgement.steps.get(checked.depth));
        match checked.status {
            Status::Good => writeln!(out, "revoked   no: {who}, says {}", checked.because)?,
            _ => writeln!(out, "revoked   not known: {who}: {}", checked.because)?,
        }
    }
    for line in told.asked.lines() {
        writeln!(out, "fetch     {line}")?;
    }
    if told.leaf_at > 0 {
        writeln!(
            out,
            "odd       the leaf is certificate {}, not the first; it was judged as if it were",
            told.leaf_at + 1
        )?;
    }
    for finding in &told.findings {
        writeln!(out, "odd       {} ({})", finding.message, finding.code)?;
    }
    Ok(())
}

fn verdict(out: &mut String, told: &Told) -> std::fmt::Result {
    match (&told.judgement.accepted, told.judgement.reason()) {
        (Some(accepted), _) => writeln!(out, "verdict   trusted until {}", accepted.valid_until),
        (None, Some(reason)) => {
            writeln!(out, "verdict   not trusted: {} ({})", reason.message, reason.code)?;
            writeln!(out, "remedy    {}", reason.remedy)
        }
        (None, None) => writeln!(out, "verdict   not trusted"),
    }
}

fn clock(days: i64) -> String {
    let side = if days > 0 { "ahead" } else { "behind" };
    format!(
        "the chain would hold if the clock here were {} by {} day(s): look at the clock before you renew anything",
        side,
        days.unsigned_abs()
    )
}

fn roots_named(known: &Known) -> String {
    let roots = &known.roots;
    let from = known.from.as_ref();
    let from = from.map_or_else(String::new, |from| format!(" (of {})", from.display()));
    let names: Vec<String> = roots
        .iter()
        .take(6)
        .filter_map(|der| certificate::summary(der).ok())
        .map(|summary| format!("{:?}", summary.subject_cn))
        .collect();
    match roots.len() {
        0 => format!("nothing ({})", known.hint),
        count if count > names.len() => format!("{count} roots{from}: {}, ...", names.join(", ")),
        count => format!("{count} root(s){from}: {}", names.join(", ")),
    }
}

/// From the top down, as a tree grows; the failing certificate carries the cross.
fn tree(out: &mut String, steps: &[Step], tried: Option<&Tried>, failing: Option<usize>) -> std::fmt::Result {
    let mut level = 0;
    let mut line = |out: &mut String, mark: &str, name: &str| {
        let branch = if level == 0 {
            String::new()
        } else {
            format!("{}└ ", "  ".repeat(level - 1))
        };
        level += 1;
        writeln!(out, "    {branch}{mark} {name}")
    };
    match tried.and_then(|tried| tried.missing.as_ref()) {
        Some(Missing::Root(name)) if steps.last().is_none_or(|step| step.name != *name) => {
            line(out, "?", &format!("{name} (a root that is not here)"))?;
        }
        Some(Missing::SubCa(name)) => line(out, "?", &format!("{name} (a sub-CA that was not sent)"))?,
        _ => {}
    }
    for (depth, step) in steps.iter().enumerate().rev() {
        let mark = if failing == Some(depth) { "✗" } else { "✓" };
        let note = if step.anchor { " (trusted here)" } else { "" };
        line(out, mark, &format!("{}{note}", step.name))?;
    }
    Ok(())
}

fn blame(out: &mut String, indent: &str, fault: &Rejected) -> std::fmt::Result {
    writeln!(
        out,
        "{indent}{} ({}; {})",
        fault.message, fault.code, fault.clause
    )
}

fn step_name(step: Option<&Step>) -> &str {
    step.map_or("a certificate", |step| step.name.as_str())
}

/// For programs.
pub(super) fn json(told: &Told, roots: usize, now: Timestamp) -> Value {
    let judgement = &told.judgement;
    json!({
        "from": told.found.from,
        "trusted": judgement.accepted.is_some(),
        "at": now,
        "kind": told.profile.kind.slug(),
        "generation": told.profile.generation.to_string(),
        "chosen_by": told.sign,
        "roots": roots,
        "certificates": told.found.chain.iter().map(|der| facts(der)).collect::<Vec<_>>(),
        "endpoint": told.found.shown.as_ref().map(|shown| json!({
            "version": shown.version,
            "suite": shown.suite,
            "stapled": shown.staple.is_some(),
            "ended": shown.ended,
        })),
        "valid_until": judgement.accepted.as_ref().map(|accepted| accepted.valid_until),
        "path": steps(&judgement.steps),
        "reason": judgement.reason().map(rejected),
        "leaf": judgement.leaf.iter().map(rejected).collect::<Vec<_>>(),
        "tried": judgement.tried.iter().map(|tried| json!({
            "path": steps(&tried.path),
            "fault": rejected(&tried.rejected),
            "missing_root": match &tried.missing { Some(Missing::Root(name)) => Some(name), _ => None },
            "missing_sub_ca": match &tried.missing { Some(Missing::SubCa(name)) => Some(name), _ => None },
        })).collect::<Vec<_>>(),
        "cut_short": judgement.cut_short,
        "revocation": judgement.revocation.iter().map(|checked| json!({
            "depth": checked.depth,
            "status": match checked.status { Status::Good => "good", Status::Revoked { .. } => "revoked", Status::Unknown => "unknown" },
            "because": checked.because,
        })).collect::<Vec<_>>(),
        "ways_out": told.proposals.iter().map(|proposal| json!({
            "fix": proposal.fix.label(), "text": proposal.text,
        })).collect::<Vec<_>>(),
        "fetch": told.asked.json(),
        "clock_days_ahead": told.clock,
        "leaf_position": told.leaf_at + 1,
        "odd": told.findings.iter().map(|finding| json!({
            "code": finding.code, "message": finding.message, "remedy": finding.code.row().remedy,
        })).collect::<Vec<_>>(),
    })
}

fn steps(steps: &[Step]) -> Value {
    steps
        .iter()
        .map(|step| json!({ "name": step.name, "fingerprint": step.fingerprint, "anchor": step.anchor }))
        .collect()
}

fn rejected(fault: &Rejected) -> Value {
    json!({
        "code": fault.code,
        "message": fault.message,
        "clause": fault.clause,
        "failing": fault.failing,
        "depth": fault.depth,
        "remedy": fault.remedy,
    })
}
