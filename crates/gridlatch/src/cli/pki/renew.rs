//! `pki renew`.

use std::path::PathBuf;

use gridlatch_keys::{FileKey, Signer as _};
use gridlatch_pki::ca::{Action, Ca, CaError};
use gridlatch_trust::certificate;
use serde_json::json;

use super::files::{Outputs, with_suffix};
use super::issue::{described, pem};
use super::{CliError, Place, print};

/// Issue again: a certificate by its file or serial number, or the certificate of a CA by its name.
///
/// A certificate gets a new key unless --same-key; a CA keeps its key, so that whoever trusts it need
/// not be told. The old certificate stays valid: revoke it, or let it end.
#[derive(Debug, clap::Args)]
#[command(after_help = super::EXIT)]
pub(crate) struct RenewArgs {
    #[command(flatten)]
    pub(super) place: Place,
    /// A certificate's file, a CA (iso2/cpo-sub2), or with --from a serial number
    #[arg(value_name = "FILE|CA|SERIAL")]
    what: String,
    /// The CA that issued the certificate
    #[arg(long, value_name = "CA", requires = "out")]
    from: Option<String>,
    /// Keep the certificate's key
    #[arg(long, requires = "out")]
    same_key: bool,
    /// Where the certificate and the key go, without extension
    #[arg(long, value_name = "PREFIX")]
    out: Option<PathBuf>,
}

pub(super) async fn run(args: RenewArgs) -> Result<(), CliError> {
    let opened = args.place.open().await?;
    let result = if args.from.is_none() && opened.ca.authority(&args.what).is_ok() {
        authority(&opened.ca, &args).await
    } else {
        leaf(&opened.ca, &args).await
    };
    opened.finish(result).await
}

async fn leaf(ca: &Ca, args: &RenewArgs) -> Result<(), CliError> {
    let (from, serial) = super::revoke::target(ca, &args.what, args.from.as_deref())?;
    let from = from.as_str();
    let out = args
        .out
        .as_deref()
        .ok_or_else(|| CliError::Usage("say where the certificate and its key go with --out".into()))?;
    let (certificate_path, key_path) = (with_suffix(out, ".crt.pem"), with_suffix(out, ".key.pem"));
    let mut outputs = Outputs::default();
    outputs.reserve(&certificate_path, 0o644)?;
    let key = if args.same_key {
        None
    } else {
        outputs.reserve(&key_path, 0o600)?;
        let key = FileKey::generate(ca.authority(from)?.algorithm()).map_err(CliError::run)?;
        outputs.write(&key_path, &key.to_pem().map_err(CliError::run)?)?;
        Some(key)
    };
    let spki = key.as_ref().map(|key| key.public_key_der().to_vec());
    let issued = match ca.renew(from, serial, spki, args.place.operator()).await {
        Ok(issued) => issued,
        Err(error) => {
            if key.is_some() {
                let _ = std::fs::remove_file(&key_path);
            }
            return Err(error.into());
        }
    };
    outputs.write(&certificate_path, pem(&issued.chain).as_bytes())?;
    print(args.place.format, &described(from, &issued), || {
        format!("{} by {from}\n{}", issued.serial, certificate_path.display())
    });
    Ok(())
}

async fn authority(ca: &Ca, args: &RenewArgs) -> Result<(), CliError> {
    let by = args.place.operator();
    match ca.renew_authority(&args.what, &by).await {
        Ok(der) => {
            let summary = certificate::summary(&der).map_err(CliError::run)?;
            let value = json!({ "authority": args.what, "serial": summary.serial_hex, "not_after": summary.not_after });
            print(args.place.format, &value, || {
                format!("{} {} until {}", args.what, summary.serial_hex, summary.not_after)
            });
            Ok(())
        }
        Err(CaError::ApprovalNeeded { what, .. }) => {
            let action = Action::RenewAuthority {
                authority: args.what.clone(),
            };
            filed(ca, args, &action, what).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn filed(ca: &Ca, args: &RenewArgs, action: &Action, what: &str) -> Result<(), CliError> {
    let request = ca.file(action, &args.place.operator()).await?;
    super::approve::say_filed(args.place.format, &request.id, what);
    Ok(())
}
