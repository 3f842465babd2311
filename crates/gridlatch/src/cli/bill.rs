//! The sub-command `bill`: a signed bill, checked without the platform that issued it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use gridlatch_receipt::bill::{MAX_FILE, Report, SignedBill};
use gridlatch_receipt::{Fault, short};
use gridlatch_trust::{RustCrypto, certificate};
use serde_json::{Value, json};

mod revocation;

use super::Format;
use super::evidence::EvidenceArgs;
use crate::say;

/// Largest file with roots, in bytes.
const MAX_ROOTS: u64 = 256 * 1024;

/// Arguments of `gridlatch bill`.
#[derive(Debug, clap::Args)]
pub(crate) struct BillCommand {
    #[command(subcommand)]
    command: BillSubcommand,
}

#[derive(Debug, Subcommand)]
enum BillSubcommand {
    /// Check who signed a bill, what signed its readings, and its total
    Verify(VerifyArgs),
}

/// Arguments of `gridlatch bill verify`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 valid; 1 not valid, with the reason; 2 the file or the root cannot be read."
)]
pub(crate) struct VerifyArgs {
    /// The signed bill (console or GET /api/v1/cdrs/ID/signed); - for stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The issuer's root, PEM or DER; the one of the data folder unless told
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// Data folder of `gridlatch up`, for its root
    #[arg(long, value_name = "DIR", env = "GRIDLATCH_DATA", default_value_os_t = gridlatch_host::DataDir::default_root())]
    data: PathBuf,
    #[command(flatten)]
    evidence: EvidenceArgs,
    /// text or json
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Runs it; returns the exit code.
pub(crate) fn run(command: BillCommand) -> u8 {
    let BillSubcommand::Verify(args) = command.command;
    match verify(&args) {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(error) => say::failed(&error),
    }
}

fn verify(args: &VerifyArgs) -> Result<bool> {
    let roots = match &args.root {
        Some(path) => certificates(path)?,
        None => roots(&args.data).with_context(|| {
            format!(
                "name the issuer's root with --root: there is none in {}",
                args.data.display()
            )
        })?,
    };
    let text = read(&args.file, MAX_FILE as u64)?;
    let checked = SignedBill::parse(&text).and_then(|bill| bill.check(&roots, &RustCrypto));
    let standing = match &checked {
        Ok(report) => revocation::ask(&args.evidence, report)?,
        Err(_) => revocation::Standing::default(),
    };
    let fault = |report: &Report| report.fault().or(standing.fault.as_ref()).cloned();
    let valid = matches!(&checked, Ok(report) if fault(report).is_none());
    match (args.format, &checked) {
        (Format::Json, Ok(report)) => {
            let mut value = proof(report);
            value["valid"] = valid.into();
            value["fault"] = fault(report).as_ref().map_or(Value::Null, told);
            value["revocation"] = standing.json.clone();
            say::result(value.to_string());
        }
        (Format::Json, Err(fault)) => say::result(json!({"valid": false, "fault": told(fault)}).to_string()),
        (Format::Text, Ok(report)) => {
            let (payable, currency) = &report.payable;
            say::result(format!("Bill {}: {payable} {currency}", report.id));
            for line in lines(report) {
                say::result(line);
            }
            for text in &standing.lines {
                say::result(line("revocation", text));
            }
            match fault(report) {
                None => say::result("Valid."),
                Some(fault) => say::result(refusal(&fault)),
            }
        }
        (Format::Text, Err(fault)) => say::result(refusal(fault)),
    }
    Ok(valid)
}

fn refusal(fault: &Fault) -> String {
    format!(
        "NOT VALID: {} ({})\n{}",
        fault.message,
        fault.code,
        fault.code.row().remedy
    )
}

/// Reads at most `most` bytes.
fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let done = if path.as_os_str() == "-" {
        io::stdin().lock().take(most + 1).read_to_end(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut text))
    };
    done.with_context(|| format!("cannot read {}", path.display()))?;
    if text.len() as u64 > most {
        bail!("{} has more than {most} bytes", path.display());
    }
    Ok(text)
}

/// The certificates of a PEM or DER file.
fn certificates(path: &Path) -> Result<Vec<Vec<u8>>> {
    let content = read(path, MAX_ROOTS)?;
    let found = if content.starts_with(b"\x30") {
        vec![content]
    } else {
        certificate::from_pem(&content).with_context(|| format!("{} holds no certificate", path.display()))?
    };
    match found.iter().find_map(|der| certificate::parse(der).err()) {
        None if !found.is_empty() => Ok(found),
        None => bail!("{} holds no certificate", path.display()),
        Some(error) => Err(error).with_context(|| format!("{} holds no certificate", path.display())),
    }
}

/// The root of the bills of the `gridlatch up` that keeps its state in `data`.
pub(crate) fn roots(data: &Path) -> Result<Vec<Vec<u8>>> {
    certificates(&data.join("pki/ocpp/csms-root.crt.pem"))
}

fn line(name: &str, text: &str) -> String {
    format!("  {name:<18} {text}")
}

/// What a check found, for people.
pub(crate) fn lines(report: &Report) -> Vec<String> {
    let line = |name: &str, text: String| line(name, &text);
    let mut lines = Vec::new();
    match &report.signer {
        Ok(signer) => {
            lines.push(line(
                "bill signed by",
                format!("{}, under {}: verified", signer.name, signer.root),
            ));
            lines.push(line("", format!("certificate {}", short(&signer.certificate))));
        }
        Err(fault) => lines.push(line("bill", format!("NOT VERIFIED: {}", fault.message))),
    }
    match &report.meter {
        Ok(meter) => {
            lines.push(line(
                "readings signed by",
                format!("meter {}: verified", meter.serial),
            ));
            lines.push(line("", format!("key {}", short(&meter.key))));
            lines.push(line(
                "",
                format!("{} kWh in, {} kWh out", kwh(meter.imported), kwh(meter.exported)),
            ));
        }
        Err(fault) => lines.push(line("readings", format!("NOT VERIFIED: {}", fault.message))),
    }
    let total = match (&report.total, &report.meter) {
        (Ok(()), Ok(_)) => "follows from the signed readings and the tariff".to_owned(),
        (Ok(()), Err(_)) => "follows from the bill's own lines only".to_owned(),
        (Err(fault), _) => format!("WRONG: {}", fault.message),
    };
    lines.push(line("total", total));
    lines
}

/// Milliwatt hours in kilowatt hours, every digit.
fn kwh(energy: u64) -> String {
    format!("{}.{:06}", energy / 1_000_000, energy % 1_000_000)
}

/// What a check found, for programs.
pub(crate) fn proof(report: &Report) -> Value {
    json!({
        "id": report.id,
        "valid": report.fault().is_none(),
        "fault": report.fault().map(told),
        "bill": match &report.signer {
            Ok(signer) => json!({"verified": true, "signer": signer}),
            Err(fault) => json!({"verified": false, "fault": told(fault)}),
        },
        "readings": match &report.meter {
            Ok(meter) => json!({"verified": true, "meter": meter}),
            Err(fault) => json!({"verified": false, "fault": told(fault)}),
        },
        "total": match &report.total {
            Ok(()) => json!({"follows": true}),
            Err(fault) => json!({"follows": false, "fault": told(fault)}),
        },
    })
}

fn told(fault: &Fault) -> Value {
    json!({"code": fault.code, "message": fault.message})
}
