//! `pki revoke`.

use std::path::PathBuf;

use gridlatch_pki::ca::{Action, Ca, CaError, Reason, Serial};
use serde_json::json;

use super::{CliError, Place, files, print};

/// Revoke a certificate, by its file or by its serial number and CA.
#[derive(Debug, clap::Args)]
#[command(after_help = super::EXIT)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    pub(super) place: Place,
    /// The certificate's file, or with --from its serial number
    #[arg(value_name = "FILE|SERIAL")]
    what: String,
    /// The CA that issued it
    #[arg(long, value_name = "CA")]
    from: Option<String>,
    /// Why: keyCompromise, superseded, cessationOfOperation, certificateHold, ...
    #[arg(long, default_value = "unspecified", value_parser = reason)]
    reason: Reason,
}

fn reason(text: &str) -> Result<Reason, String> {
    Reason::parse(text).ok_or_else(|| {
        let all: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
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

/// The CA and the serial number that a file, or a number with --from, stands for.
pub(super) fn target(ca: &Ca, what: &str, from: Option<&str>) -> Result<(String, Serial), CliError> {
    if let Some(from) = from {
        let serial = what
            .parse()
            .map_err(|error| CliError::Usage(format!("{what}: {error}")))?;
        return Ok((from.to_owned(), serial));
    }
    let path = PathBuf::from(what);
    if !path.exists() {
        return Err(CliError::Usage(format!(
            "{what} is no file; with a serial number, name the CA with --from"
        )));
    }
    let chain = files::certificates(&path)?;
    let leaf = chain.first().map(Vec::as_slice).unwrap_or_default();
    ca.issuer_of(leaf).map_err(Into::into)
}
