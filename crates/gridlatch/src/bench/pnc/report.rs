//! The table, the log lines of both sides, and the same as JSON.

use std::time::Duration;

use anyhow::Result;
use gridlatch_tls::Generation;
use gridlatch_vocab::Event;
use serde_json::json;

use super::keep::Commands;
use super::meet::Met;
use super::rows::Expected;
use super::scenario::Scenario;
use crate::say;

/// What came of a row.
pub(super) struct Outcome {
    pub(super) scenario: Scenario,
    pub(super) generation: Generation,
    pub(super) median: Duration,
    pub(super) runs: u32,
    /// Whether every repetition ended as the first one did.
    pub(super) steady: bool,
    /// Certificates the station has configured for this vehicle.
    pub(super) chain_shown: usize,
    pub(super) expected: Expected,
    pub(super) met: Met,
    pub(super) log: Vec<Event>,
    pub(super) remedies: Vec<String>,
    pub(super) commands: Option<Commands>,
}

impl Outcome {
    /// Whether it came out as the row must.
    pub(super) fn as_expected(&self) -> bool {
        let (met, expected) = (&self.met, &self.expected);
        self.steady
            && met.refused_by == expected.refused_by
            && met.code == expected.code
            && met.alert == expected.alert
    }

    const fn tls(&self) -> &'static str {
        match self.generation {
            Generation::Iso2 => "1.2",
            Generation::Iso20 => "1.3 mutual",
        }
    }

    fn result(&self) -> String {
        match (self.met.refused_by, self.met.alert) {
            (None, _) => "ok".to_owned(),
            (Some(_), Some(alert)) => format!("refused, alert {alert}"),
            (Some(_), None) => "refused after TLS".to_owned(),
        }
    }

    fn who(&self) -> String {
        match self.met.refused_by {
            None => String::new(),
            Some(side) => format!("{}: {}", side.name(), self.met.code),
        }
    }

    fn ms(&self) -> f64 {
        self.median.as_secs_f64() * 1e3
    }
}

/// Prints the table and what both sides logged.
pub(super) fn text(outcomes: &[Outcome], runs: u32) {
    say::result(format!(
        "Vehicle of PKI-A, station of PKI-A or PKI-B; {runs} handshakes a row over TCP on loopback\n"
    ));
    say::result(format!(
        "{:<41} {:<10} {:<17} {:>5} {:>6} {:>6}  {}",
        "scenario", "TLS", "result", "chain", "bytes", "ms", "refused by: code"
    ));
    for outcome in outcomes {
        let unexpected = if outcome.as_expected() {
            ""
        } else {
            "  <-- NOT AS EXPECTED"
        };
        let bytes = outcome
            .met
            .bytes
            .map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
        let line = format!(
            "{:<41} {:<10} {:<17} {:>5} {bytes:>6} {:>6.2}  {}{unexpected}",
            outcome.scenario.title(),
            outcome.tls(),
            outcome.result(),
            outcome.chain_shown,
            outcome.ms(),
            outcome.who(),
        );
        say::result(line.trim_end());
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.as_expected()).count();
    say::result(match failed {
        0 => format!("\nEvery one of {} rows came out as it must.", outcomes.len()),
        failed => format!(
            "\n{failed} of {} rows did NOT come out as they must.",
            outcomes.len()
        ),
    });
    for outcome in outcomes {
        log(outcome);
    }
}

fn log(outcome: &Outcome) {
    say::result(format!(
        "\n{} ({}, TLS {})",
        outcome.scenario.title().trim_start(),
        outcome.generation,
        outcome.tls()
    ));
    if !outcome.as_expected() {
        let expected = &outcome.expected;
        let who = expected.refused_by.map_or("nobody", super::meet::Side::name);
        say::result(format!(
            "  expected: refused by {who}, {}, alert {:?}, the same in each of {} runs",
            expected.code, expected.alert, outcome.runs
        ));
    }
    for event in &outcome.log {
        say::result(format!(
            "  {:<13} {:<7} {:<28} {}",
            event.source,
            event.severity.as_str(),
            event.code.as_str(),
            event.message
        ));
    }
    if outcome.met.refused_by.is_some() && outcome.remedies.is_empty() {
        say::result(format!("  what to do: {}", outcome.met.code.row().remedy));
    }
    for remedy in &outcome.remedies {
        say::result(format!("  what to do: {remedy}"));
    }
    if let Some(commands) = &outcome.commands {
        say::result(format!("  in {}:", commands.folder));
        say::result(format!("    {}", commands.verify_station));
        if let Some(line) = &commands.verify_vehicle {
            say::result(format!("    {line}"));
        }
        say::result(format!("    {}", commands.s_server));
        say::result(format!("    {}", commands.s_client));
    }
}

/// Prints one JSON value a row.
pub(super) fn json(outcomes: &[Outcome]) -> Result<()> {
    for outcome in outcomes {
        let (met, expected) = (&outcome.met, &outcome.expected);
        let line = json!({
            "row": outcome.scenario.name(),
            "title": outcome.scenario.title().trim(),
            "edition": outcome.generation.to_string(),
            "tls": outcome.tls(),
            "accepted": met.refused_by.is_none(),
            "refused_by": met.refused_by,
            "code": met.code,
            "alert": met.alert,
            "chain": outcome.chain_shown,
            "chain_received": met.chain,
            "bytes": met.bytes,
            "handshake_ms_median": outcome.ms(),
            "runs": outcome.runs,
            "as_expected": outcome.as_expected(),
            "expected": {
                "refused_by": expected.refused_by,
                "code": expected.code,
                "alert": expected.alert,
                "openssl_station": expected.openssl_station,
                "openssl_vehicle": expected.openssl_vehicle,
            },
            "log": outcome.log,
            "remedies": outcome.remedies,
            "commands": outcome.commands,
        });
        say::result(serde_json::to_string(&line)?);
    }
    Ok(())
}
