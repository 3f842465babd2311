//! `pki show`.

use gridlatch_pki::ca::{Ca, CaError};
use gridlatch_trust::certificate;
use serde_json::json;

use super::issue::pem;
use super::{CliError, Place, print};

/// Show one certificate, by its file or by its serial number and CA, or the certificate of a CA.
#[derive(Debug, clap::Args)]
#[command(after_help = super::EXIT)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(super) place: Place,
    /// A CA (iso2/cpo-sub2), a certificate's file, or with --from a serial number
    #[arg(value_name = "CA|FILE|SERIAL")]
    what: String,
    /// The CA that issued it
    #[arg(long, value_name = "CA")]
    from: Option<String>,
    /// Print the certificate and those above it, without the root, as PEM
    #[arg(long, conflicts_with = "format")]
    pem: bool,
}

pub(super) async fn run(args: ShowArgs) -> Result<(), CliError> {
    let opened = args.place.open().await?;
    show(&opened.ca, &args).await
}

async fn show(ca: &Ca, args: &ShowArgs) -> Result<(), CliError> {
    if args.from.is_none()
        && let Ok(authority) = ca.authority(&args.what)
    {
        if args.pem {
            crate::say::result(pem(std::slice::from_ref(&authority.der)).trim_end());
            return Ok(());
        }
        let summary = certificate::summary(&authority.der).map_err(CliError::run)?;
        let value = json!({
            "name": authority.name,
            "kind": authority.profile.kind.slug(),
            "common_name": summary.subject_cn,
            "issuer": authority.issuer,
            "serial": summary.serial_hex,
            "algorithm": authority.algorithm().as_str(),
            "not_before": summary.not_before,
            "not_after": summary.not_after,
            "fingerprint": summary.fingerprint,
            "key": authority.key_uri,
            "pem": certificate::to_pem(&authority.der),
        });
        print(args.place.format, &value, || {
            format!(
                "{}: {} ({})\n  issuer       {}\n  serial       {}\n  key          {} at {}\n  valid        {} to {}\n  SHA-256      {}",
                authority.name,
                summary.subject_cn,
                authority.profile.row().name,
                authority.issuer.as_deref().unwrap_or("itself"),
                summary.serial_hex,
                authority.algorithm(),
                authority.key_uri,
                summary.not_before,
                summary.not_after,
                summary.fingerprint
            )
        });
        return Ok(());
    }
    let (from, serial) = super::revoke::target(ca, &args.what, args.from.as_deref())?;
    let record = ca
        .find(&from, serial)
        .await?
        .ok_or_else(|| CaError::UnknownCertificate {
            authority: from.clone(),
            serial,
        })?;
    if args.pem {
        let mut chain = vec![record.der];
        chain.extend(ca.chain(&from)?);
        crate::say::result(pem(&chain).trim_end());
        return Ok(());
    }
    let mut value = super::list::value(&record, ca.now());
    if let Some(object) = value.as_object_mut() {
        object.insert("pem".into(), certificate::to_pem(&record.der).into());
    }
    print(args.place.format, &value, || {
        let mut text = format!(
            "{} {}: {}\n  label        {}\n  issuer       {}\n  valid        {} to {}\n  asked by     {} at {}",
            record
                .kind
                .map_or("certificate", gridlatch_trust::profile::Kind::slug),
            record.serial,
            record.status(ca.now()),
            record.label,
            record.authority,
            record.not_before,
            record.not_after,
            record.requester,
            record.at
        );
        if let Some((at, reason)) = record.revoked {
            text.push_str(&format!("\n  revoked      {at}: {reason}"));
        }
        text
    });
    Ok(())
}
