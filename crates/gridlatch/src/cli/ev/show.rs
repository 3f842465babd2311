//! Shows a session: steps as they end, live figures on a terminal, the bill as a table; or JSON lines.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use gridlatch_evcc::{Outcome, Progress, Step};
use gridlatch_vocab::StationId;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::args::Format;
use super::bill::Fetched;
use crate::cli::bill::{lines, proof};

/// Writes one line of talk to stderr.
pub(super) fn talk(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Writes one line of result to stdout; a reader that has gone away is not our failure.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// Writes one JSON object as a line of result.
pub(super) fn line(value: &Value) {
    say(&value.to_string());
}

/// Prints in one format.
pub(super) struct Shower {
    format: Format,
    figures: watch::Receiver<Progress>,
    colour: bool,
    live: bool,
    drawn: bool,
}

impl Shower {
    pub(super) fn new(format: Format, figures: watch::Receiver<Progress>) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            format,
            figures,
            colour: terminal && !plain,
            live: terminal && format == Format::Text,
            drawn: false,
        }
    }

    /// Prints steps until the session is over.
    pub(super) async fn steps(mut self, mut steps: mpsc::Receiver<Step>) -> Self {
        let mut tick = tokio::time::interval(Duration::from_millis(200));
        loop {
            tokio::select! {
                step = steps.recv() => match step {
                    Some(step) => self.step(&step),
                    None => break,
                },
                _ = tick.tick(), if self.live => self.progress(),
            }
        }
        self.wipe();
        self
    }

    fn step(&mut self, step: &Step) {
        self.wipe();
        match self.format {
            Format::Json => {
                let mut line = json!(step);
                line["type"] = json!("step");
                say(&line.to_string());
            }
            Format::Text => say(&step_line(step, self.colour)),
        }
    }

    fn progress(&mut self) {
        let now = *self.figures.borrow();
        if now.loops == 0 {
            return;
        }
        self.drawn = true;
        let mut out = std::io::stdout().lock();
        let _ = write!(
            out,
            "\r\x1b[K  {:>8.1} kW   battery {:>5.1} %   in {:.3} kWh   out {:.3} kWh",
            now.watts / 1000.0,
            now.soc,
            now.taken_wh / 1000.0,
            now.given_wh / 1000.0
        );
        let _ = out.flush();
    }

    fn wipe(&mut self) {
        if self.drawn {
            self.drawn = false;
            let mut out = std::io::stdout().lock();
            let _ = write!(out, "\r\x1b[K");
            let _ = out.flush();
        }
    }

    /// Prints how the session ended.
    pub(super) fn outcome(&self, outcome: &Outcome) {
        let summary = outcome.summary();
        if self.format == Format::Json {
            let mut line = json!(summary);
            line["type"] = json!("session");
            line["ok"] = json!(outcome.failure().is_none());
            match outcome {
                Outcome::Ended { note, .. } => line["note"] = json!(note),
                Outcome::Failed { failure, .. } => {
                    line["failure"] = json!({
                        "step": failure.step.as_str(),
                        "code": failure.code.as_str(),
                        "blame": failure.blame.as_str(),
                        "request": failure.request,
                        "response_code": failure.response_code,
                        "message": failure.message,
                        "remedy": failure.code.row().remedy,
                    });
                }
            }
            say(&line.to_string());
            return;
        }
        match outcome {
            Outcome::Ended { note, .. } => {
                let note = note
                    .as_ref()
                    .map_or_else(String::new, |note| format!(" ({note})"));
                say(&format!(
                    "\nDone: {:.3} kWh in, {:.3} kWh out, battery {:.1} % to {:.1} %{note}",
                    summary.energy_in_wh / 1000.0,
                    summary.energy_out_wh / 1000.0,
                    summary.soc.0,
                    summary.soc.1
                ));
            }
            Outcome::Failed { failure, .. } => {
                let row = failure.code.row();
                talk(&format!(
                    "\nRefused at {}: {}",
                    failure.step.as_str(),
                    failure.message
                ));
                talk(&format!("  who:  the {}", failure.blame.as_str()));
                talk(&format!("  why:  {} ({})", row.what, row.code));
                talk(&format!("  do:   {}", row.remedy));
                talk(&format!("  more: gridlatch explain {}", row.code));
            }
        }
    }

    /// Prints the bill and what its signatures are worth; whether all of it is proven.
    pub(super) fn bill(&self, fetched: &Fetched) -> bool {
        let valid = matches!(&fetched.report, Ok(report) if report.fault().is_none());
        if self.format == Format::Json {
            let proof = match &fetched.report {
                Ok(report) => proof(report),
                Err(fault) => {
                    json!({"valid": false, "fault": {"code": fault.code, "message": fault.message}})
                }
            };
            say(&json!({ "type": "bill", "bill": fetched.bill, "proof": proof }).to_string());
            return valid;
        }
        for line in bill_lines(&fetched.bill) {
            say(&line);
        }
        match &fetched.report {
            Ok(report) => lines(report).iter().for_each(|line| say(line)),
            Err(fault) => say(&format!("  bill signed      NOT VERIFIED: {}", fault.message)),
        }
        let fault = match &fetched.report {
            Ok(report) => report.fault(),
            Err(fault) => Some(fault),
        };
        if let Some(fault) = fault {
            talk(&format!(
                "This bill is not proven: {} ({})",
                fault.message, fault.code
            ));
            talk(&format!("  do:   {}", fault.code.row().remedy));
        }
        valid
    }

    pub(super) fn no_bill(&self, data: &Path, station: &StationId) {
        talk(&format!(
            "No bill yet: the platform has not closed this session of {station}. Look later in the console of `gridlatch up --data {}`.",
            data.display()
        ));
    }

    pub(super) fn bill_failed(&self, error: &anyhow::Error) {
        talk(&format!(
            "The session is over, but its bill cannot be fetched: {error:#}"
        ));
    }
}

/// One step as a line.
pub(super) fn step_line(step: &Step, colour: bool) -> String {
    let (mark, tint) = if step.ok { ("✔", "32") } else { ("✘", "31") };
    let mark = if colour {
        format!("\x1b[{tint}m{mark}\x1b[0m")
    } else {
        mark.to_owned()
    };
    let millis = step.duration.as_secs_f64() * 1000.0;
    let took = if millis < 10_000.0 {
        format!("{millis:.0} ms")
    } else {
        format!("{:.1} s", millis / 1000.0)
    };
    format!("{mark} {:<14} {took:>9}  {}", step.name.as_str(), step.detail)
}

/// A bill as lines of a table.
pub(super) fn bill_lines(bill: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let currency = text(&bill["currency"]);
    let document = &bill["ocpi"];
    let extension = &document["x_gridlatch"];
    let mut lines = vec![
        String::new(),
        format!("Bill {}", text(&bill["id"])),
        format!("  {:<24} {:>12}  {:>12}  {:>7}", "", "amount", "cost", "tax %"),
    ];
    let entries = extension["lines"].as_array().map_or(&[][..], Vec::as_slice);
    for entry in entries {
        let dimension = text(&entry["dimension"]);
        let volume = entry["volume"].as_f64().unwrap_or(0.0);
        let (name, amount) = match dimension.as_str() {
            "ENERGY" => ("energy in".to_owned(), format!("{:.3} kWh", volume / 1e6)),
            "ENERGY_EXPORT" => (
                "energy out (credit)".to_owned(),
                format!("{:.3} kWh", volume / 1e6),
            ),
            "TIME" => ("charging time".to_owned(), format!("{:.1} min", volume / 60e3)),
            "PARKING_TIME" => ("parking time".to_owned(), format!("{:.1} min", volume / 60e3)),
            "FLAT" => ("session fee".to_owned(), String::new()),
            other => (other.to_lowercase(), String::new()),
        };
        lines.push(format!(
            "  {name:<24} {amount:>12}  {:>12}  {:>7}",
            text(&entry["cost"]),
            text(&entry["vat"])
        ));
    }
    if entries.is_empty() {
        let kwh = |value: &Value| format!("{:.3} kWh", value.as_f64().unwrap_or(0.0) / 1000.0);
        lines.push(format!("  {:<24} {:>12}", "energy in", kwh(&bill["imported_wh"])));
        lines.push(format!(
            "  {:<24} {:>12}",
            "energy out",
            kwh(&bill["exported_wh"])
        ));
    }
    lines.push(format!(
        "  {:<24} {:>12}  {:>12} {currency}",
        "without tax",
        "",
        text(&bill["total_excl"])
    ));
    lines.push(format!(
        "  {:<24} {:>12}  {:>12} {currency}",
        "total with tax",
        "",
        text(&bill["total_incl"])
    ));
    let payable = text(&extension["payable"]);
    if !payable.is_empty() {
        lines.push(format!("  {:<24} {:>12}  {payable:>12} {currency}", "to pay", ""));
    }
    lines
}
