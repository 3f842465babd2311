//! `pki verify`.

use std::path::PathBuf;

use gridlatch_keys::OpensslVerifier;
use gridlatch_pki::ca::Ca;
use gridlatch_trust::profile::Kind;
use gridlatch_trust::verdict::check_with;
use gridlatch_trust::{Generation, Profile, certificate};
use gridlatch_vocab::catalogue::{pki, revocation};
use serde_json::json;

use super::{CliError, Place, files, print};

/// Judge a chain (leaf first or in any order) by this CA's roots, its profiles and its revocations.
#[derive(Debug, clap::Args)]
#[command(after_help = super::EXIT)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(super) place: Place,
    /// The chain, PEM or DER
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// As what it has to serve; without it, what the CA issued it as
    #[arg(long = "as", value_name = "KIND", value_parser = super::issue::kind)]
    kind: Option<Kind>,
}

pub(super) async fn run(args: VerifyArgs) -> Result<(), CliError> {
    let chain = files::certificates(&args.file)?;
    let opened = args.place.open().await?;
    let Judged {
        accepted,
        profile,
        unregistered,
    } = judge(&opened.ca, &chain, args.kind).await?;
    let anchor = certificate::summary(&accepted.anchor).map_err(CliError::run)?;
    let value = json!({
        "verdict": "accepted",
        "profile": profile.kind.slug(),
        "anchor": anchor.subject_cn,
        "path": accepted.path.len(),
        "valid_until": accepted.valid_until,
        "unregistered": unregistered,
    });
    print(args.place.format, &value, || {
        let mut text = format!(
            "accepted as {profile}: {} certificates below {}, until {}",
            accepted.path.len(),
            anchor.subject_cn,
            accepted.valid_until
        );
        for one in &unregistered {
            text.push_str(&format!(
                "\nnot in the register: {one}. Its key signed this, and not through this CA. Unless an older backup was \
                 restored here, somebody else has the key: take that authority out of service"
            ));
        }
        text
    });
    Ok(())
}

/// A chain that holds.
struct Judged {
    accepted: gridlatch_trust::verdict::Accepted,
    profile: Profile,
    /// Serial number and authority of those that bear an authority's signature and are not in its register. They
    /// cannot be revoked by their serial number before they are looked at, so they are told and not passed over.
    unregistered: Vec<String>,
}

async fn judge(ca: &Ca, chain: &[Vec<u8>], kind: Option<Kind>) -> Result<Judged, CliError> {
    let leaf = chain.first().map(Vec::as_slice).unwrap_or_default();
    let known = match ca.issuer_of(leaf) {
        Ok((authority, serial)) => ca.find(&authority, serial).await?,
        Err(_) => None,
    };
    let summary = certificate::summary(leaf)
        .map_err(|error| CliError::No(pki::MALFORMED, format!("the leaf: {error}")))?;
    let kind = kind
        .or_else(|| known.as_ref().and_then(|record| record.kind))
        .ok_or_else(|| {
            CliError::Usage("this CA did not issue it: say what it has to serve as with --as".into())
        })?;
    let generation = match summary.key {
        Some(gridlatch_trust::KeyAlgorithm::P256) | None => Generation::Iso2,
        Some(_) => Generation::Iso20,
    };
    let profile = Profile { kind, generation };
    let anchors: Vec<Vec<u8>> = ca
        .authorities()
        .iter()
        .filter(|authority| authority.is_root() && authority.active)
        .map(|authority| authority.der.clone())
        .collect();
    let accepted = check_with(chain, &anchors, profile, ca.now(), &OpensslVerifier)
        .map_err(|rejected| CliError::No(rejected.code, rejected.to_string()))?;
    // Every certificate of the path, not the leaf alone.
    let mut unregistered = Vec::new();
    for der in &accepted.path {
        let (authority, serial) = ca.issuer_of(der)?;
        match ca.status(&authority, serial).await? {
            Some(Some((at, reason))) => {
                return Err(CliError::No(
                    revocation::REVOKED,
                    format!("serial number {serial} of {authority} was revoked at {at}: {reason}"),
                ));
            }
            Some(None) => {}
            None => unregistered.push(format!("serial number {serial} of {authority}")),
        }
    }
    Ok(Judged {
        accepted,
        profile,
        unregistered,
    })
}
