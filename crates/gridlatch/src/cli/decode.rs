//! The sub-command `decode`: the V2G messages of a capture or of a hex string.

mod hex_string;
mod print;

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use gridlatch_vocab::catalogue::wire;
use gridlatch_watch::capture::{self, CaptureError, Entry, Summary, What};
use gridlatch_watch::tls::KeyLog;

use print::Printer;

/// Largest key log read, in bytes.
const MAX_KEY_LOG: u64 = 64 * 1024 * 1024;

/// How entries are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// One line per message for people
    Text,
    /// One JSON object per line, the last one with the figures
    Json,
}

/// The protocol a bare message is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Protocol {
    /// ISO 15118-2
    #[value(name = "iso15118-2")]
    Iso2,
    /// ISO 15118-20
    #[value(name = "iso15118-20")]
    Iso20,
    /// DIN 70121 (envelope only)
    #[value(name = "din70121")]
    Din70121,
}

/// Arguments of `gridlatch decode`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 everything decoded; 1 something did not, or there is no V2G in it; 2 the input cannot be read."
)]
pub(crate) struct DecodeArgs {
    /// A pcap or pcapng file, or - for standard input
    #[arg(value_name = "FILE", required_unless_present = "hex", conflicts_with = "hex")]
    file: Option<PathBuf>,
    /// A TLS key log (NSS format, SSLKEYLOGFILE); secrets inside a pcapng are used as well
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// text or json
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Every field of every message (text)
    #[arg(short, long)]
    verbose: bool,
    /// Decode these bytes: V2GTP frames, a HomePlug frame, or a bare EXI message
    #[arg(long, value_name = "STRING")]
    hex: Option<String>,
    /// With --hex: the protocol the two sides had agreed on
    #[arg(long, value_enum, requires = "hex")]
    protocol: Option<Protocol>,
    /// With --hex and a bare EXI message: its V2GTP payload type
    #[arg(long, value_name = "NUMBER", requires = "hex")]
    payload_type: Option<String>,
    /// Only this TCP stream (0 is the first)
    #[arg(long, value_name = "N")]
    stream: Option<u32>,
    /// Stop after so many lines
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

/// Runs it; returns the exit code.
pub(crate) fn run(args: DecodeArgs) -> u8 {
    let stdout = BufWriter::new(io::stdout().lock());
    let mut stderr = io::stderr().lock();
    match decode(&args, stdout, &mut stderr) {
        Ok(code) => code,
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(Failure::Output(error)) => {
            let _ = writeln!(stderr, "gridlatch: cannot write: {error}");
            2
        }
        Err(Failure::Input(text)) => {
            let _ = writeln!(stderr, "gridlatch: {text}");
            2
        }
    }
}

/// Why nothing more can be done.
enum Failure {
    Input(String),
    Output(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

fn decode(args: &DecodeArgs, out: impl Write, stderr: &mut dyn Write) -> Result<u8, Failure> {
    let mut printer = Printer::new(out, args.format, args.verbose);
    if let Some(text) = &args.hex {
        let whole = hex_string::decode(text, args.protocol, args.payload_type.as_deref(), &mut printer)?;
        printer.flush()?;
        return Ok(u8::from(!whole));
    }
    let Some(path) = &args.file else {
        return Err(Failure::Input("no file given".to_owned()));
    };
    let keys = read_keys(args.keys.as_deref())?;
    let file = open(path)?;
    let mut told = 0;
    let mut output: io::Result<()> = Ok(());
    let mut sink = |entry: Entry| {
        if args.stream.is_some_and(|stream| entry.stream != Some(stream)) {
            return true;
        }
        if args.limit.is_some_and(|limit| told >= limit) {
            return false;
        }
        told += 1;
        output = printer.entry(&entry);
        output.is_ok() && args.limit.is_none_or(|limit| told < limit)
    };
    let read = capture::read(file, keys, &mut sink);
    output?;
    let (summary, error) = match read {
        Ok(summary) => (summary, None),
        Err((error, summary)) => (*summary, Some(error)),
    };
    printer.summary(&summary)?;
    printer.flush()?;
    let mut complaint = complaint(&summary, args);
    match error {
        // A recorder that was killed leaves half a packet: what came before counts.
        Some(error @ CaptureError::Truncated { .. }) if summary.packets > 0 => {
            complaint = Some(match complaint {
                Some(complaint) => format!("{complaint}; {error}"),
                None => error.to_string(),
            });
        }
        Some(error) => {
            return Err(Failure::Input(format!(
                "{}: {error} ({})",
                path.display(),
                wire::CAPTURE_UNREADABLE
            )));
        }
        None => {}
    }
    if let Some(complaint) = &complaint {
        let _ = writeln!(stderr, "gridlatch: {complaint}");
    }
    Ok(u8::from(complaint.is_some()))
}

/// What keeps the exit code from being 0.
fn complaint(summary: &Summary, args: &DecodeArgs) -> Option<String> {
    if summary.total() == 0 && summary.undecodable.is_empty() && args.limit.is_none() {
        return Some(format!("no V2G messages found ({})", wire::V2G_NOT_FOUND));
    }
    let mut parts = Vec::new();
    if summary.total_undecodable() > 0 {
        parts.push(format!("{} frames did not decode", summary.total_undecodable()));
    }
    if summary.envelope_only > 0 {
        parts.push(format!(
            "of {} DIN 70121 messages only the envelope was read",
            summary.envelope_only
        ));
    }
    for code in [
        wire::TLS_KEYS_MISSING,
        wire::TLS_KEYS_WRONG,
        wire::TLS_NOT_READABLE,
    ] {
        if summary.notices.contains_key(code.as_str()) {
            parts.push(format!("TLS stayed closed ({code})"));
        }
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn open(path: &Path) -> Result<Box<dyn Read + Send>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    match File::open(path) {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => Err(Failure::Input(format!("cannot open {}: {error}", path.display()))),
    }
}

fn read_keys(path: Option<&Path>) -> Result<KeyLog, Failure> {
    let Some(path) = path else {
        return Ok(KeyLog::default());
    };
    let failed =
        |error: io::Error| Failure::Input(format!("cannot read the key log {}: {error}", path.display()));
    let mut text = String::new();
    File::open(path)
        .map_err(failed)?
        .take(MAX_KEY_LOG)
        .read_to_string(&mut text)
        .map_err(failed)?;
    let keys = KeyLog::parse(&text);
    if keys.is_empty() {
        return Err(Failure::Input(format!("{} holds no TLS secrets", path.display())));
    }
    Ok(keys)
}

/// Whether an entry is a failure, for the mark in front of it.
fn is_bad(what: &What) -> bool {
    match what {
        What::Undecodable(_) => true,
        What::Message(message) => message.is_refusal(),
        What::Tls(_) | What::Notice { .. } => false,
    }
}
