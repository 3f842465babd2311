//! Whether the signer of a bill still stood when it signed.

use anyhow::{Context as _, Result};
use gridlatch_receipt::Fault;
use gridlatch_receipt::bill::Report;
use gridlatch_trust::RustCrypto;
use gridlatch_trust::revocation::{Reason, Status};
use gridlatch_trust::verdict::{Policy, Unfit, standing};
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::bill as codes;
use serde_json::{Value, json};

use crate::cli::evidence::EvidenceArgs;

/// What is known about the revocation of the signer.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pub(super) lines: Vec<String>,
    /// Why the bill is not to be believed.
    pub(super) fault: Option<Fault>,
    pub(super) json: Value,
}

/// How a revocation stands to a bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// It came first.
    Before,
    /// It came later, but whoever had the key could write any date.
    Compromised,
    /// It came later and says nothing about what was signed until then.
    Since,
}

fn meaning(revoked: Timestamp, reason: Reason, signed: Timestamp) -> Meaning {
    match reason {
        _ if revoked <= signed => Meaning::Before,
        Reason::KeyCompromise | Reason::CaCompromise | Reason::AaCompromise => Meaning::Compromised,
        _ => Meaning::Since,
    }
}

/// Asks what was given and, if that was wanted, the places that the certificates name.
pub(super) fn ask(args: &EvidenceArgs, report: &Report) -> Result<Standing> {
    let Ok(signer) = &report.signer else {
        return Ok(Standing::default());
    };
    let mut evidence = args.read().map_err(anyhow::Error::msg)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let mut asked = runtime.block_on(args.ask(&signer.path));
    // What was given by hand counts first.
    let _ = evidence.merge(core::mem::take(&mut asked.evidence));
    if evidence.is_empty() && !asked.wanted {
        return Ok(Standing {
            lines: vec!["not asked (--crl FILE, --ocsp FILE or --fetch)".to_owned()],
            fault: None,
            json: json!({ "status": "not_asked", "fetch": asked.json() }),
        });
    }
    let now = Timestamp(time::OffsetDateTime::now_utc());
    let found = standing(&signer.path, now, &evidence, &Policy::default(), &RustCrypto);
    let mut told = match found {
        Ok(checked) => {
            let unknown = checked.iter().find(|one| one.status == Status::Unknown);
            let (status, line) = match unknown {
                None => ("good", "the signer was not revoked".to_owned()),
                Some(one) => (
                    "unknown",
                    format!("not known of certificate {}: {}", one.depth, one.because),
                ),
            };
            Standing {
                lines: vec![line.clone()],
                fault: None,
                json: json!({ "status": status, "message": line }),
            }
        }
        Err(unfit) => revoked(&unfit, signer.at),
    };
    told.lines.extend(asked.lines());
    told.json["fetch"] = asked.json();
    Ok(told)
}

fn revoked(unfit: &Unfit, signed: Timestamp) -> Standing {
    let why = &unfit.rejected.message;
    let (status, line, refused) = match unfit
        .at
        .zip(unfit.reason)
        .map(|(at, reason)| meaning(at, reason, signed))
    {
        Some(Meaning::Since) => (
            "revoked_since",
            format!("{why}; that was after the bill was signed at {signed}, so the signature stands"),
            false,
        ),
        Some(Meaning::Compromised) => (
            "revoked_compromised",
            format!("{why}; the bill names an earlier time, {signed}, but whoever has the key can write any"),
            true,
        ),
        Some(Meaning::Before) => (
            "revoked_before",
            format!("{why}; the bill was signed after that, at {signed}"),
            true,
        ),
        None => ("unknown", why.clone(), false),
    };
    Standing {
        fault: refused.then(|| Fault {
            code: codes::SIGNER_REVOKED,
            message: line.clone(),
        }),
        json: json!({ "status": status, "at": unfit.at, "reason": unfit.reason.map(Reason::as_str), "message": line }),
        lines: vec![line],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_revocation_leaves_a_bill_alone_unless_the_key_was_stolen() {
        let at = |seconds| Timestamp(time::OffsetDateTime::from_unix_timestamp(seconds).unwrap());
        for (revoked, reason, wanted) in [
            (9, Reason::Superseded, Meaning::Before),
            (10, Reason::Superseded, Meaning::Before),
            (11, Reason::Superseded, Meaning::Since),
            (11, Reason::CertificateHold, Meaning::Since),
            (11, Reason::KeyCompromise, Meaning::Compromised),
            (11, Reason::CaCompromise, Meaning::Compromised),
            (9, Reason::KeyCompromise, Meaning::Before),
        ] {
            assert_eq!(meaning(at(revoked), reason, at(10)), wanted, "{revoked} {reason}");
        }
    }
}
