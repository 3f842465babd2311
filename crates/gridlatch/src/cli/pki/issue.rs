//! `pki issue`.

use std::net::IpAddr;
use std::path::PathBuf;

use gridlatch_keys::{FileKey, Signer as _};
use gridlatch_pki::ca::{Action, Ca, CaError, Issued, Order, Requester};
use gridlatch_trust::build::{AltName, Subject};
use gridlatch_trust::certificate;
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::Timestamp;
use serde_json::{Value, json};

use super::files::{Outputs, with_suffix};
use super::{CliError, Place, files, print};
use crate::say;

/// Issue a certificate: with a new key (--out), or for a certificate request (--csr).
///
/// Writes OUT.crt.pem (the certificate and those above it, without the root) and, with a new key,
/// OUT.key.pem (mode 600). Neither is overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = super::EXIT)]
pub(crate) struct IssueArgs {
    #[command(flatten)]
    pub(super) place: Place,
    /// What to issue: secc-leaf, contract-leaf, station-client, ...
    #[arg(value_name = "KIND", value_parser = kind)]
    kind: Kind,
    /// The common name: EVSEID, EMAID, PCID, station id, host
    #[arg(long, value_name = "NAME", required_unless_present = "csr")]
    cn: Option<String>,
    /// From which CA, iso2/cpo-sub2; without it, the usual one of --tree
    #[arg(long, value_name = "CA")]
    from: Option<String>,
    /// The tree, where --from is not given: iso2, iso20, iso20-ed448
    #[arg(long, default_value = "iso2")]
    tree: String,
    /// Organisation
    #[arg(long)]
    org: Option<String>,
    /// Country, two letters
    #[arg(long)]
    country: Option<String>,
    /// A host name or address the certificate is valid for; may be repeated
    #[arg(long = "san", value_name = "NAME")]
    san: Vec<String>,
    /// Days from now until it ends; without it, what the profile says
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: Option<u32>,
    /// A certificate request (PKCS#10, PEM or DER) with the key and the names
    #[arg(long, value_name = "FILE", conflicts_with_all = ["cn", "org", "country", "san", "days"])]
    csr: Option<PathBuf>,
    /// Where the certificate and the key go, without extension
    #[arg(long, value_name = "PREFIX")]
    out: PathBuf,
}

pub(super) fn kind(text: &str) -> Result<Kind, String> {
    Kind::from_slug(text).ok_or_else(|| {
        let all: Vec<&str> = gridlatch_trust::profile::ROWS
            .iter()
            .map(|row| row.kind.slug())
            .collect();
        format!("one of {}", all.join(", "))
    })
}

/// The CA that usually signs this kind.
pub(super) fn usual(kind: Kind, tree: &str) -> Option<String> {
    let name = match kind {
        Kind::SeccLeaf => "cpo-sub2",
        Kind::CpsLeaf => "cps-sub2",
        Kind::OemProvisioning | Kind::VehicleLeaf => "oem-sub2",
        Kind::ContractLeaf => "mo-sub2",
        Kind::CsmsServer | Kind::StationClient | Kind::BillSigner => return Some("ocpp/csms-sub".to_owned()),
        _ => return None,
    };
    Some(format!("{tree}/{name}"))
}

pub(super) fn alt_name(text: &str) -> AltName {
    match text.parse() {
        Ok(IpAddr::V4(ip)) => AltName::Ip(ip.octets().to_vec()),
        Ok(IpAddr::V6(ip)) => AltName::Ip(ip.octets().to_vec()),
        Err(_) => AltName::Dns(text.to_owned()),
    }
}

pub(super) async fn run(args: IssueArgs) -> Result<(), CliError> {
    let authority = match &args.from {
        Some(name) => name.clone(),
        None => usual(args.kind, &args.tree).ok_or_else(|| {
            CliError::Usage(format!(
                "a {} can come from several CAs: name one with --from",
                args.kind.slug()
            ))
        })?,
    };
    let opened = args.place.open().await?;
    let result = issue(&opened.ca, &args, &authority).await;
    let issued = opened.finish(result).await?;
    if let Some(issued) = issued {
        print(args.place.format, &described(&authority, &issued), || {
            format!(
                "{} {} by {authority}\n{}",
                args.kind.slug(),
                issued.serial,
                with_suffix(&args.out, ".crt.pem").display()
            )
        });
    }
    Ok(())
}

/// Issues and writes; `None` if a request for approval was filed instead.
async fn issue(ca: &Ca, args: &IssueArgs, authority: &str) -> Result<Option<Issued>, CliError> {
    let (certificate_path, key_path) = (
        with_suffix(&args.out, ".crt.pem"),
        with_suffix(&args.out, ".key.pem"),
    );
    let at = ca.authority(authority)?;
    let profile = at.world.profile(args.kind);
    let mut outputs = Outputs::default();
    outputs.reserve(&certificate_path, 0o644)?;
    let requester = args.place.operator();
    if let Some(path) = &args.csr {
        let request = files::pem_or_der(path, "CERTIFICATE REQUEST")?;
        let issued = ca.enroll(&request, authority, profile, requester).await?;
        outputs.write(&certificate_path, pem(&issued.chain).as_bytes())?;
        return Ok(Some(issued));
    }
    // The key is on the disk before there is a certificate for it.
    outputs.reserve(&key_path, 0o600)?;
    let key = FileKey::generate(at.world.algorithm()).map_err(CliError::run)?;
    let order = order(args, authority, profile, &key, requester, ca.now());
    outputs.write(&key_path, &key.to_pem().map_err(CliError::run)?)?;
    match ca.issue(order.clone()).await {
        Ok(issued) => {
            outputs
                .write(&certificate_path, pem(&issued.chain).as_bytes())
                .inspect_err(|_| {
                    say::talk(format!(
                        "the certificate is issued and kept: gridlatch pki show {} --from {authority} --pem",
                        issued.serial
                    ));
                })?;
            Ok(Some(issued))
        }
        Err(CaError::ApprovalNeeded { what, .. }) => {
            let request = ca.file(&Action::issue(&order), &order.requester).await?;
            print(
                args.place.format,
                &json!({ "request": request.id, "needs": what }),
                || {
                    format!(
                        "{what} takes two operators; request {} is filed, the key is in {}\n\
                     each: gridlatch pki approve {} --operator NAME --key FILE",
                        request.id,
                        key_path.display(),
                        request.id
                    )
                },
            );
            Ok(None)
        }
        Err(error) => {
            // No certificate, no use for the key.
            let _ = std::fs::remove_file(&key_path);
            Err(error.into())
        }
    }
}

fn order(
    args: &IssueArgs,
    authority: &str,
    profile: gridlatch_trust::Profile,
    key: &FileKey,
    requester: Requester,
    now: Timestamp,
) -> Order {
    Order {
        authority: authority.to_owned(),
        profile,
        subject: Subject {
            common_name: args.cn.clone().unwrap_or_default(),
            organization: args.org.clone(),
            country: args.country.clone(),
        },
        spki: key.public_key_der().to_vec(),
        alt_names: args.san.iter().map(|name| alt_name(name)).collect(),
        not_before: None,
        not_after: args
            .days
            .map(|days| Timestamp(now.0 + time::Duration::days(i64::from(days)))),
        requester,
    }
}

/// A chain as PEM.
pub(super) fn pem(chain: &[Vec<u8>]) -> String {
    chain.iter().map(|der| certificate::to_pem(der)).collect()
}

pub(super) fn described(authority: &str, issued: &Issued) -> Value {
    let summary = certificate::summary(&issued.der).ok();
    json!({
        "authority": authority,
        "serial": issued.serial.to_string(),
        "not_after": summary.map(|summary| summary.not_after),
        "chain": issued.chain.iter().map(|der| certificate::to_pem(der)).collect::<Vec<_>>(),
    })
}
