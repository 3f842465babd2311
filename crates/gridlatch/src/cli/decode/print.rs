//! Entries as lines of text or JSON.

use std::io::{self, Write};

use gridlatch_session::wire::{Described, Layer, Undecodable};
use gridlatch_watch::capture::{Entry, Summary, What};
use serde_json::Value;

use super::{Format, is_bad};

/// Writes entries.
pub(super) struct Printer<W> {
    out: W,
    format: Format,
    verbose: bool,
}

impl<W: Write> Printer<W> {
    pub(super) fn new(out: W, format: Format, verbose: bool) -> Self {
        Self { out, format, verbose }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// One entry of a capture.
    pub(super) fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        if self.format == Format::Json {
            return self.json(&entry.to_json());
        }
        let arrow = if entry.from_vehicle { "->" } else { "<-" };
        let place = match (entry.stream, entry.tls) {
            (Some(stream), true) => format!("{stream}s"),
            (Some(stream), false) => stream.to_string(),
            (None, _) => "-".to_owned(),
        };
        let mark = if is_bad(&entry.what) { '!' } else { ' ' };
        write!(
            self.out,
            "{:>12.6} {place:>3} {arrow} {mark}",
            entry.since_start as f64 / 1e9
        )?;
        self.what(&entry.what)
    }

    fn what(&mut self, what: &What) -> io::Result<()> {
        match what {
            What::Message(message) => self.message(message),
            What::Undecodable(undecodable) => self.undecodable(undecodable),
            What::Tls(step) => writeln!(self.out, "{} {}", step.name(), step.summary()),
            What::Notice { code, text } => writeln!(self.out, "note: {text} ({code})"),
        }
    }

    /// One message, without a capture around it.
    pub(super) fn bare_message(&mut self, message: &Described) -> io::Result<()> {
        match self.format {
            Format::Json => self.json(&message.to_json()),
            Format::Text => self.message(message),
        }
    }

    /// One frame that is none, without a capture around it.
    pub(super) fn bare_undecodable(&mut self, undecodable: &Undecodable) -> io::Result<()> {
        match self.format {
            Format::Json => self.json(&undecodable.to_json()),
            Format::Text => self.undecodable(undecodable),
        }
    }

    fn message(&mut self, message: &Described) -> io::Result<()> {
        write!(self.out, "{}", message.name)?;
        if let Some(code) = &message.response_code {
            write!(self.out, " {code}")?;
        }
        if !self.verbose {
            let summary = message.summary();
            if !summary.is_empty() {
                write!(self.out, " {summary}")?;
            }
        }
        if let Some(notice) = &message.notice {
            write!(self.out, " ({notice})")?;
        }
        writeln!(self.out)?;
        if self.verbose {
            write!(self.out, "{}", message.fields.to_text(4))?;
        }
        Ok(())
    }

    fn undecodable(&mut self, undecodable: &Undecodable) -> io::Result<()> {
        writeln!(self.out, "UNDECODABLE {undecodable}")
    }

    fn json(&mut self, value: &Value) -> io::Result<()> {
        writeln!(self.out, "{value}")
    }

    /// The figures at the end.
    pub(super) fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        if self.format == Format::Json {
            return self.json(&summary.to_json());
        }
        writeln!(
            self.out,
            "\n{} packets, {} TCP streams ({} with V2G, {} with TLS); {} messages, {} undecodable",
            summary.packets,
            summary.streams,
            summary.v2g_streams,
            summary.tls_streams,
            summary.total(),
            summary.total_undecodable(),
        )?;
        for layer in [Layer::HomePlug, Layer::Sdp, Layer::V2gtp] {
            if summary.layer(layer) == 0 {
                continue;
            }
            write!(self.out, "  {} {}:", layer.as_str(), summary.layer(layer))?;
            for ((_, name), count) in summary.messages.iter().filter(|((of, _), _)| *of == layer) {
                write!(self.out, " {name}={count}")?;
            }
            writeln!(self.out)?;
        }
        if summary.tls_records > 0 {
            writeln!(
                self.out,
                "  tls: {} records, {} opened and verified",
                summary.tls_records, summary.tls_opened
            )?;
        }
        if summary.envelope_only > 0 {
            writeln!(
                self.out,
                "  DIN 70121: {} messages read by envelope only",
                summary.envelope_only
            )?;
        }
        for (count, what) in [
            (summary.missing_bytes, "bytes missing in TCP streams"),
            (summary.cut_packets, "packets cut short by the capture"),
            (summary.fragments, "IP fragments not put together"),
            (summary.unknown_link, "packets of an unknown link type"),
        ] {
            if count > 0 {
                writeln!(self.out, "  {count} {what}")?;
            }
        }
        for (reason, count) in &summary.undecodable {
            writeln!(self.out, "  undecodable {count}: {reason}")?;
        }
        Ok(())
    }
}
