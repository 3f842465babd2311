//! The contract of the simulated car: the one it was given at a station, the one the development PKI made for it,
//! or the one it is to ask for.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use gridlatch_evcc::{Action, Auth, ContractCredential, ContractFolder, InstallCredential, WithoutMoRoot};
use gridlatch_host::DataDir;
use gridlatch_pki::dev::{DevPki, VehicleName};
use gridlatch_trust::{Generation, certificate};
use gridlatch_vocab::Personal;

use super::args::{AuthKind, ChargeArgs, InstallKind};

/// How the car identifies itself by Plug & Charge.
pub(super) fn papers(
    args: &ChargeArgs,
    pki: &DevPki,
    name: &VehicleName,
    generation: Generation,
) -> Result<Auth> {
    debug_assert!(args.auth == AuthKind::Pnc);
    let kept = ContractFolder {
        folder: DataDir::open(&args.data)?.dir(&format!("vehicles/{name}"))?,
        name: match generation {
            Generation::Iso2 => "contract-iso2".to_owned(),
            Generation::Iso20 => "contract-iso20".to_owned(),
        },
    };
    let held = kept
        .read()
        .map_err(|why| anyhow!(why))
        .context("the contract this car keeps")?;
    let (action, chain, key, emaid) = match (args.get_contract, held) {
        (None, Some((contract, _))) => return Ok(Auth::Contract(contract)),
        (None, None) => {
            let contract = pki
                .contract(name, generation)
                .context("cannot get the vehicle's contract")?;
            return Ok(Auth::Contract(ContractCredential {
                emaid: Personal::new(contract.emaid.reveal().as_str().to_owned()),
                chain: contract.chain,
                key: contract.key,
            }));
        }
        (Some(InstallKind::Install), _) => {
            let (chain, key) = pki
                .provisioning_with_key(name, generation)
                .context("cannot get the vehicle's provisioning certificate")?;
            (Action::Install, chain, key, None)
        }
        (Some(InstallKind::Update), Some((contract, key))) => {
            (Action::Update, contract.chain, key, Some(contract.emaid))
        }
        (Some(InstallKind::Update), None) => {
            bail!("this car keeps no contract to update; get one with --get-contract first")
        }
    };
    let told = args.mo_roots.as_deref().map(mo_roots).transpose()?;
    Ok(Auth::Install(InstallCredential {
        action,
        chain,
        key,
        pcid: name.pcid(),
        emaid,
        roots: pki.v2g_roots(),
        // Told which roots to believe, the car takes nobody's word where none of them is of this standard.
        without_mo_root: match &told {
            Some(roots) if !roots.is_empty() => WithoutMoRoot::Refuse,
            _ => WithoutMoRoot::default(),
        },
        mo_roots: told.unwrap_or_else(|| pki.mo_roots()),
        keep: Some(kept),
    }))
}

/// The roots in a PEM file; an empty file is a car that knows none.
fn mo_roots(file: &Path) -> Result<Vec<Vec<u8>>> {
    let text = crate::cli::bounded::read(file, super::MAX_ROOTS)
        .with_context(|| format!("cannot read {}", file.display()))?;
    if text.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let roots = certificate::from_pem(&text).with_context(|| format!("{} holds no roots", file.display()))?;
    // Only an empty file says that the provisioning service's word is enough; text without a root is a mistake.
    if roots.is_empty() {
        bail!(
            "{} holds no roots in PEM; an empty file is a car that knows none",
            file.display()
        );
    }
    Ok(roots)
}
