//! `pki revoke`.

use std::path::PathBuf;

use gridlatch_pki::ca::{Action, Ca, CaError, Reason, Serial};
use gridlatch_trust::verdict::plain;
use serde_json::json;

use super::{CliError, Place, files, print};

/// Revoke a certificate, by its file or by its serial number and CA; or a CA by its name.
///
/// A CA of two operators asks both before a CA is revoked. What is revoked stays so, a certificate on
/// hold (certificateHold) too: issue another one.
#[derive(Debug, clap::Args)]
#[command(after_help = super::EXIT)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    pub(super) place: Place,
    /// The certificate's file, a CA (iso2/cpo-sub2), or with --from a serial number
    #[arg(value_name = "FILE|CA|SERIAL")]
    what: String,
    /// The CA that issued it
    #[arg(long, value_name = "CA")]
    from: Option<String>,
    /// Why: keyCompromise, superseded, cessationOfOperation, certificateHold, ...
    #[arg(long, default_value = "unspecified", value_parser = reason)]
    reason: Reason,
    /// Lift a hold (certificateHold) instead: the certificate is good again
    #[arg(long, conflicts_with = "reason")]
    release: bool,
}

fn reason(text: &str) -> Result<Reason, String> {
    // That one lifts a hold in a delta list; nothing is revoked with it.
    let possible = |reason: &Reason| *reason != Reason::RemoveFromCrl;
    Reason::parse(text).filter(possible).ok_or_else(|| {
        let all = Reason::ALL.iter().filter(|reason| possible(reason));
        let all: Vec<&str> = all.map(|reason| reason.as_str()).collect();
        format!("one of {}", all.join(", "))
    })
}

pub(super) async fn run(args: RevokeArgs) -> Result<(), CliError> {
    let opened = args.place.open().await?;
    let result = revoke(&opened.ca, &args).await;
    opened.finish(result).await
}

async fn revoke(ca: &Ca, args: &RevokeArgs) -> Result<(), CliError> {
    let (from, serial) = target(ca, &args.what, args.from.as_deref())?;
    let by = args.place.operator();
    if args.release {
        ca.release(&from, serial, &by).await?;
        let value = json!({ "authority": from, "serial": serial.to_string(), "released": true });
        print(args.place.format, &value, || {
            format!("released {serial} of {from}")
        });
        return Ok(());
    }
    match ca.revoke(&from, serial, args.reason, ca.now(), &by).await {
        Ok(()) => {
            let value =
                json!({ "authority": from, "serial": serial.to_string(), "reason": args.reason.as_str() });
            print(args.place.format, &value, || {
                format!("revoked {serial} of {from}: {}", args.reason)
            });
            Ok(())
        }
        Err(CaError::ApprovalNeeded { what, .. }) => {
            let action = Action::Revoke {
                authority: from,
                serial: serial.to_string(),
                reason: args.reason.as_str().to_owned(),
            };
            let request = ca.file(&action, &by).await?;
            super::approve::say_filed(args.place.format, &request.id, what);
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// The CA and the serial number that a file, a CA's name, or a number with --from stands for.
pub(super) fn target(ca: &Ca, what: &str, from: Option<&str>) -> Result<(String, Serial), CliError> {
    if let Some(from) = from {
        let serial = what
            .parse()
            .map_err(|error| CliError::Usage(format!("{what}: {error}")))?;
        return Ok((from.to_owned(), serial));
    }
    if let Ok(authority) = ca.authority(what)
        && let Some(serial) = authority.serial
    {
        let issuer = authority.issuer.clone().unwrap_or_else(|| what.to_owned());
        return Ok((issuer, serial));
    }
    let path = PathBuf::from(what);
    if matches!(path.try_exists(), Ok(false)) {
        return Err(CliError::Usage(format!(
            "{what} is neither a file nor a CA (`gridlatch pki list --authorities`); with a serial number, name \
             the CA with --from"
        )));
    }
    let chain = files::certificates(&path)?;
    let leaf = chain.first().map(Vec::as_slice).unwrap_or_default();
    // What this CA issues is plain, at whatever place of a path; anything else is a fault of the file, not of the register.
    plain(leaf, 1).map_err(|rejected| CliError::No(rejected.code, format!("{what}: {rejected}")))?;
    ca.issuer_of(leaf).map_err(Into::into)
}
