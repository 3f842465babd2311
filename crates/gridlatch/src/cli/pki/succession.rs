//! `gridlatch pki rollover prepare`: the next generation of this CA's V2G root, and when it begins to issue.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use gridlatch_host::DataDir;
use gridlatch_pki::ca::{Ca, DATABASE, KeyRing, Requester, Role, World};
use gridlatch_pki::rollover::plan;
use gridlatch_store::Store;
use gridlatch_trust::profile::Kind;
use gridlatch_trust::rollover::{Plan, Stage};
use gridlatch_vocab::Timestamp;

use super::Log;
use crate::say;

/// Make the new root and the CAs below it, both link certificates, the old sub-CA certified by the new root, and the
/// plan. Nothing is issued below the new root before `gridlatch pki rollover switch`.
#[derive(Debug, clap::Args)]
pub(crate) struct PrepareArgs {
    /// The plan's file; a plan that is there is not replaced
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// The data folder with the CA
    #[arg(long, value_name = "DIR", env = "GRIDLATCH_DATA", default_value_os_t = DataDir::default_root())]
    data: PathBuf,
    /// Which tree: iso2, iso20
    #[arg(long, value_name = "TREE", default_value = "iso2")]
    tree: String,
    /// The number of the new generation
    #[arg(long, value_name = "N", default_value_t = 2)]
    generation: u8,
    /// Days from one stage to the next
    #[arg(
        long,
        value_name = "DAYS",
        default_value = "7,30,30,90",
        value_delimiter = ',',
        num_args = 1
    )]
    days: Vec<u16>,
    /// A holder that is left behind on purpose
    #[arg(long, value_name = "NAME")]
    exempt: Vec<String>,
    /// Who asks, as the certificates' records will say
    #[arg(
        long = "by",
        value_name = "NAME",
        env = "USER",
        default_value = "operator",
        hide_env = true
    )]
    by: String,
}

async fn open(data: &Path) -> Result<Ca> {
    let folder = data.join("pki");
    let path = folder.join(DATABASE);
    if !path.exists() {
        bail!("{} holds no CA", folder.display());
    }
    let text = path
        .to_str()
        .with_context(|| format!("{} is not text", path.display()))?;
    let store = Store::open(text).await?;
    Ok(Ca::open(store, KeyRing::in_folder(&folder), Arc::new(Log::default())).await?)
}

/// Runs it; returns the exit code.
pub(crate) async fn prepare(args: &PrepareArgs) -> Result<u8> {
    if args.plan.exists() {
        bail!("{} is there already", args.plan.display());
    }
    if args.days.len() != Stage::ALL.len() - 1 {
        bail!(
            "--days takes {} numbers, one between each two stages",
            Stage::ALL.len() - 1
        );
    }
    let world = World::from_folder(&args.tree).with_context(|| format!("{:?} is no tree", args.tree))?;
    let ca = open(&args.data).await?;
    let by = Requester {
        role: Role::Operator,
        id: args.by.clone(),
    };
    let made = match ca.succeed(world, args.generation, &by).await {
        Ok(made) => made,
        Err(error) => {
            say::talk(format!("gridlatch: {}: {error}", error.code()));
            say::talk(format!("  {}", error.code().row().remedy));
            return Ok(1);
        }
    };
    let mut at = gridlatch_host::now();
    let mut dates = BTreeMap::new();
    for (stage, days) in Stage::ALL.into_iter().zip(std::iter::once(&0).chain(&args.days)) {
        at = Timestamp(at.0 + time::Duration::days(i64::from(*days)));
        dates.insert(stage, at);
    }
    let plan = Plan {
        kind: Kind::V2gRoot,
        old: made.old,
        new: made.new,
        dates,
        done: BTreeMap::new(),
        links: made.links,
        recertified: vec![made.recertified],
        exempt: args.exempt.iter().cloned().collect(),
    };
    publish(&ca, &plan, &args.by).await?;
    plan::save(&args.plan, &plan)?;
    say::result(format!(
        "{} will issue for stations after `gridlatch pki rollover switch`",
        made.issuing
    ));
    for (stage, at) in &plan.dates {
        say::result(format!("{:<12} {}", stage.as_str(), at.0.date()));
    }
    Ok(0)
}

/// Puts the new root and both link certificates into the CA's own root pool, where a peer fetches them. A CA
/// without pools has none.
async fn publish(ca: &Ca, plan: &Plan, by: &str) -> Result<()> {
    let provisioner = match crate::services::provisioner(ca, None, by, Arc::new(Log::default())).await {
        Ok(provisioner) => provisioner,
        Err(error) => {
            say::talk(format!(
                "gridlatch: the link certificates are not in the root pool: {}: {error}",
                error.code()
            ));
            return Ok(());
        }
    };
    for link in &plan.links {
        provisioner.add_link(link, by).await?;
    }
    Ok(())
}

/// Lets the data folder's CA issue for stations below the plan's new root, if it has that root; whether it has.
pub(crate) async fn issue_below(data: &Path, plan: &Plan) -> Result<bool> {
    if !data.join("pki").join(DATABASE).exists() {
        return Ok(false);
    }
    let ca = open(data).await?;
    for authority in ca.authorities() {
        if authority.profile.kind == Kind::CpoSub2
            && ca.root_of(&authority.name).is_ok_and(|root| root.der == plan.new)
        {
            ca.issue_below(authority.world, &authority.name).await?;
            return Ok(true);
        }
    }
    Ok(false)
}
