//! `pki bundle`.

use std::path::PathBuf;

use clap::ArgGroup;
use gridlatch_pki::ca::World;
use gridlatch_trust::profile::Kind;
use serde_json::json;

use super::files::Outputs;
use super::issue::pem;
use super::{CliError, Place, print};

/// Write trust anchors, or the chain of a CA, as PEM.
#[derive(Debug, clap::Args)]
#[command(after_help = super::EXIT, group = ArgGroup::new("which").required(true))]
pub(crate) struct BundleArgs {
    #[command(flatten)]
    pub(super) place: Place,
    /// Roots: v2g (for vehicles), oem and mo (for stations), csms (for OCPP), or all
    #[arg(long, value_name = "WHOSE", group = "which", value_parser = ["v2g", "oem", "mo", "csms", "all"])]
    roots: Option<String>,
    /// Only of this tree: iso2, iso20, iso20-ed448, ocpp
    #[arg(long, value_name = "TREE", requires = "roots", value_parser = super::init::tree)]
    tree: Option<World>,
    /// The chain of this CA instead: itself and those above it, without the root
    #[arg(long, value_name = "CA", group = "which")]
    chain: Option<String>,
    /// The file; without it, standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn run(args: BundleArgs) -> Result<(), CliError> {
    let opened = args.place.open().await?;
    let ca = &opened.ca;
    let certificates = match &args.chain {
        Some(name) => ca.chain(name)?,
        None => {
            let wanted = match args.roots.as_deref() {
                Some("v2g") => Some(Kind::V2gRoot),
                Some("oem") => Some(Kind::OemRoot),
                Some("mo") => Some(Kind::MoRoot),
                Some("csms") => Some(Kind::CsmsRoot),
                _ => None,
            };
            ca.authorities()
                .into_iter()
                .filter(|authority| authority.is_root() && authority.active)
                .filter(|authority| wanted.is_none_or(|kind| authority.profile.kind == kind))
                .filter(|authority| args.tree.is_none_or(|tree| authority.world == tree))
                .map(|authority| authority.der.clone())
                .collect()
        }
    };
    if certificates.is_empty() {
        return Err(CliError::Usage(
            "the CA has no such root: `gridlatch pki list --authorities` shows what it has".into(),
        ));
    }
    let text = pem(&certificates);
    let Some(path) = &args.out else {
        print(args.place.format, &json!({ "pem": text }), || {
            text.trim_end().to_owned()
        });
        return Ok(());
    };
    let mut outputs = Outputs::default();
    outputs.reserve(path, 0o644)?;
    outputs.write(path, text.as_bytes())?;
    let value = json!({ "file": path, "certificates": certificates.len() });
    print(args.place.format, &value, || {
        format!("{}: {} certificates", path.display(), certificates.len())
    });
    Ok(())
}
