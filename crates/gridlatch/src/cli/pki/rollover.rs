//! `gridlatch pki rollover`, `cross` and `link`: one root taking the place of another, and the
//! certificates that join PKIs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Subcommand, ValueEnum};
use gridlatch_keys::{FileKey, OpensslVerifier, Signer as _, write_atomically};
use gridlatch_pki::rollover::plan;
use gridlatch_trust::cross::{CrossRequest, Link, Reach, cross, link};
use gridlatch_trust::profile::Kind;
use gridlatch_trust::rollover::{Blocker, Plan, Stage};
use gridlatch_trust::{Generation, KeyAlgorithm, Profile, certificate, verdict};
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::rollover;
use serde_json::json;

use super::campaign::{self, CampaignArgs, StageArgs, Where};
use super::forecast::{Holders, moment};
use super::succession::{self, PrepareArgs};
use crate::cli::{Format, bounded};
use crate::say;

/// A root takes the place of another in five stages: publish, cross-link, distribute, switch, retire.
///
/// A stage is done when its condition holds for every holder of the inventory, not when somebody says so.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 done, or nothing stands in the way; 1 something does; 2 usage or run error."
)]
pub(crate) struct RolloverArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write a plan
    Plan(PlanArgs),
    /// Make the next generation of this CA's V2G root, what joins it to the old one, and the plan
    Prepare(PrepareArgs),
    /// The stages with their dates, and what stands in the way of the next one
    Status(StatusArgs),
    /// Complete the next stage, if nothing stands in its way
    Done(StatusArgs),
    /// Install the new root at the stations, as a campaign of the running platform
    Distribute(StageArgs),
    /// Have the stations ask for certificates below the new root
    Switch(StageArgs),
    /// Remove the old root from the stations that hold the new one
    Retire(StageArgs),
    /// Campaigns at the running platform, or one with its stations' results
    Campaigns(ListArgs),
    /// Go on with a campaign that stopped
    Resume(CampaignArgs),
    /// Stop a campaign: no further station is told
    Stop(CampaignArgs),
    /// Take back what a campaign did, where it did it
    Undo(CampaignArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// One of them
    #[arg(value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    at: Where,
}

#[derive(Debug, clap::Args)]
struct PlanArgs {
    /// The plan's file; a plan that is there is not replaced
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// The root that goes, PEM
    #[arg(long, value_name = "FILE")]
    old: PathBuf,
    /// The root that comes, PEM
    #[arg(long, value_name = "FILE")]
    new: PathBuf,
    /// Which kind of root
    #[arg(long, value_name = "KIND", default_value = "v2g-root")]
    kind: String,
    /// When it is published; now if not given
    #[arg(long, value_name = "TIME", value_parser = moment)]
    start: Option<Timestamp>,
    /// Days from one stage to the next
    #[arg(
        long,
        value_name = "DAYS",
        default_value = "7,30,30,90",
        value_delimiter = ',',
        num_args = 1
    )]
    days: Vec<u16>,
    /// Link certificates, PEM (`gridlatch pki link`)
    #[arg(long, value_name = "FILE")]
    link: Vec<PathBuf>,
    /// Sub-CAs of the old root certified by the new one, PEM (`gridlatch pki cross`)
    #[arg(long, value_name = "FILE")]
    recertified: Vec<PathBuf>,
    /// A holder that is left behind on purpose
    #[arg(long, value_name = "NAME")]
    exempt: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct StatusArgs {
    /// The plan's file
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    #[command(flatten)]
    holders: Holders,
    /// Text for people, or one JSON value
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Runs it; returns the exit code.
pub(crate) async fn run(args: &RolloverArgs) -> u8 {
    let result = match &args.what {
        What::Plan(args) => write_plan(args),
        What::Prepare(args) => succession::prepare(args).await,
        What::Status(args) => status(args, false).await,
        What::Done(args) => status(args, true).await,
        What::Distribute(args) => campaign::stage(campaign::Stage::Distribute, args).await,
        What::Switch(args) => campaign::stage(campaign::Stage::Switch, args).await,
        What::Retire(args) => campaign::stage(campaign::Stage::Retire, args).await,
        What::Campaigns(args) => campaign::list(args.name.as_deref(), &args.at).await,
        What::Resume(args) => campaign::change("resume", args).await,
        What::Stop(args) => campaign::change("stop", args).await,
        What::Undo(args) => campaign::change("undo", args).await,
    };
    result.unwrap_or_else(|error| say::failed(&error))
}

fn write_plan(args: &PlanArgs) -> Result<u8> {
    if args.plan.exists() {
        bail!("{} is there already", args.plan.display());
    }
    let kind = Kind::from_slug(&args.kind)
        .filter(|kind| kind.is_root())
        .with_context(|| format!("{:?} is no kind of root", args.kind))?;
    let mut at = args.start.unwrap_or_else(gridlatch_host::now);
    let mut dates = BTreeMap::new();
    if args.days.len() != Stage::ALL.len() - 1 {
        bail!(
            "--days takes {} numbers, one between each two stages",
            Stage::ALL.len() - 1
        );
    }
    for (stage, days) in Stage::ALL.into_iter().zip(std::iter::once(&0).chain(&args.days)) {
        at = Timestamp(at.0 + time::Duration::days(i64::from(*days)));
        dates.insert(stage, at);
    }
    let many = |paths: &[PathBuf]| -> Result<Vec<Vec<u8>>> {
        let mut all = Vec::new();
        for path in paths {
            let found = pem(path)?;
            for der in &found {
                verdict::plain(der, 1)
                    .map_err(|rejected| anyhow!("{}: {rejected} ({})", path.display(), rejected.code))?;
            }
            all.extend(found);
        }
        Ok(all)
    };
    let plan = Plan {
        kind,
        old: root(kind, &args.old)?,
        new: root(kind, &args.new)?,
        dates,
        done: BTreeMap::new(),
        links: many(&args.link)?,
        recertified: many(&args.recertified)?,
        exempt: args.exempt.iter().cloned().collect(),
    };
    plan::save(&args.plan, &plan)?;
    for (stage, at) in &plan.dates {
        say::result(format!("{:<12} {}", stage.as_str(), at.0.date()));
    }
    Ok(0)
}

/// One root of that kind. Everybody is going to trust it: what the plan holds is judged before anybody is sent anything.
fn root(kind: Kind, path: &Path) -> Result<Vec<u8>> {
    let der = one(path)?;
    let chain = std::slice::from_ref(&der);
    // Whether it is in time is for the stages' dates to say: the old one may be near its end, the new one not begun.
    let begins = certificate::summary(&der)
        .with_context(|| path.display().to_string())?
        .not_before;
    let judged = |generation| {
        let profile = Profile { kind, generation };
        verdict::check_with(chain, chain, profile, begins, &OpensslVerifier)
    };
    match judged(Generation::Iso2).or_else(|first| judged(Generation::Iso20).map_err(|_| first)) {
        Ok(_) => Ok(der),
        Err(rejected) => bail!(
            "{} is no {}: {rejected} ({})",
            path.display(),
            kind.slug(),
            rejected.code
        ),
    }
}

async fn status(args: &StatusArgs, complete: bool) -> Result<u8> {
    let mut plan = plan::load(&args.plan)?;
    let read = args.holders.inventory().await?.read()?;
    let now = args.holders.from();
    let next = plan.next();
    let blockers = if complete {
        match plan.complete(&read.holders, now, &OpensslVerifier) {
            Ok(_) => {
                plan::save(&args.plan, &plan)?;
                Vec::new()
            }
            Err(blockers) => blockers,
        }
    } else {
        plan.blockers(&read.holders, now, &OpensslVerifier)
    };
    match args.format {
        Format::Text => text(&plan, next, &blockers),
        Format::Json => {
            let name = |stage: Stage| stage.as_str();
            let dates = |dates: &BTreeMap<Stage, Timestamp>| -> BTreeMap<&'static str, Timestamp> {
                dates.iter().map(|(stage, at)| (name(*stage), *at)).collect()
            };
            say::result(
                json!({
                    "stage": next.map(name),
                    "code": if blockers.is_empty() { rollover::STAGE_DONE } else { rollover::STAGE_BLOCKED },
                    "completed": complete && blockers.is_empty() && next.is_some(),
                    "dates": dates(&plan.dates), "done": dates(&plan.done),
                    "blockers": blockers.iter().map(|one| json!({ "holder": one.holder, "reason": one.reason }))
                        .collect::<Vec<_>>(),
                })
                .to_string(),
            );
        }
    }
    Ok(u8::from(!blockers.is_empty()))
}

fn text(plan: &Plan, next: Option<Stage>, blockers: &[Blocker]) {
    for stage in Stage::ALL {
        let planned = plan
            .dates
            .get(&stage)
            .map_or_else(String::new, |at| at.0.date().to_string());
        let state = match plan.done.get(&stage) {
            Some(at) => format!("done {}", at.0.date()),
            None if Some(stage) == next => "next".to_owned(),
            None => String::new(),
        };
        say::result(format!("{:<12} {planned:<12} {state}", stage.as_str()).trim_end());
    }
    if !blockers.is_empty() {
        say::result(format!("\nIn the way ({}):", rollover::STAGE_BLOCKED));
    }
    for one in blockers {
        let who = one.holder.as_deref().unwrap_or("the plan");
        say::result(format!("    {who}: {}", one.reason));
    }
}

/// Certify another PKI's sub-CA under a root of this one, so that its stations are trusted by this one's
/// cars.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 issued; 1 refused (the code is named); 2 usage or run error.")]
pub(crate) struct CrossArgs {
    /// The root that signs, PEM
    #[arg(long, value_name = "FILE")]
    issuer: PathBuf,
    /// Its key, PEM (mode 600)
    #[arg(long, value_name = "FILE")]
    issuer_key: PathBuf,
    /// The CA to be certified, PEM: the other PKI's sub-CA 1
    #[arg(long, value_name = "FILE")]
    subject: PathBuf,
    /// What kind of CA that is
    #[arg(long, value_name = "KIND", default_value = "cpo-sub1")]
    kind: String,
    /// Certify even a root: vehicles that keep to three certificates [V2G2-009] will refuse such chains
    #[arg(long)]
    over_root_for_experiment: bool,
    /// Where the certificate goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Which way a link certificate points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    /// The old root's key under the new root: for those who hold only the new one
    OldWithNew,
    /// The new root's key under the old root: for those who hold only the old one
    NewWithOld,
}

/// Certify an old root by its successor, or the successor by the old one (RFC 4210 section 4.4).
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 issued; 1 refused (the code is named); 2 usage or run error.")]
pub(crate) struct LinkArgs {
    /// The root that goes, PEM
    #[arg(long, value_name = "FILE")]
    old: PathBuf,
    /// The root that comes, PEM
    #[arg(long, value_name = "FILE")]
    new: PathBuf,
    /// Which way
    #[arg(long, value_enum)]
    way: Way,
    /// The key that signs, PEM (mode 600): the new root's for old-with-new, the old root's for new-with-old
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Which kind of root
    #[arg(long, value_name = "KIND", default_value = "v2g-root")]
    kind: String,
    /// Where the certificate goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Runs `cross`; returns the exit code.
pub(crate) fn run_cross(args: &CrossArgs) -> u8 {
    issued(cross_sign(args), &args.out)
}

/// Runs `link`; returns the exit code.
pub(crate) fn run_link(args: &LinkArgs) -> u8 {
    issued(link_roots(args), &args.out)
}

type Made = Result<Result<Vec<u8>, gridlatch_trust::build::BuildError>>;

fn issued(made: Made, out: &Path) -> u8 {
    let written = made.and_then(|made| match made {
        Ok(der) => {
            write_atomically(out, certificate::to_pem(&der).as_bytes(), 0o644)
                .with_context(|| format!("cannot write {}", out.display()))?;
            let summary = certificate::summary(&der)?;
            say::result(format!(
                "{} by {} until {}\n{}",
                summary.subject_cn,
                summary.issuer_cn,
                summary.not_after,
                out.display()
            ));
            Ok(0)
        }
        Err(refused) => {
            let code = match &refused {
                gridlatch_trust::build::BuildError::Lint { faults, .. } => {
                    faults.first().map_or_else(|| refused.code(), |fault| fault.code)
                }
                _ => refused.code(),
            };
            say::talk(format!("gridlatch: {code}: {refused}"));
            say::talk(format!("  {}", code.row().remedy));
            Ok(1)
        }
    });
    written.unwrap_or_else(|error| say::failed(&error))
}

fn cross_sign(args: &CrossArgs) -> Made {
    let key = FileKey::load(&args.issuer_key)?;
    let (issuer, subject) = (one(&args.issuer)?, one(&args.subject)?);
    belongs(&key, &issuer, &args.issuer)?;
    let kind = Kind::from_slug(&args.kind).with_context(|| format!("{:?} is no kind of CA", args.kind))?;
    Ok(cross(
        &CrossRequest {
            subject: &subject,
            kind,
            generation: generation(key.algorithm()),
            serial: &serial()?,
            not_before: gridlatch_host::now(),
            not_after: None,
            ocsp_url: None,
            crl_url: None,
            reach: if args.over_root_for_experiment {
                Reach::OverRootForExperiment
            } else {
                Reach::WithinPath
            },
        },
        &issuer,
        key.algorithm(),
        &|message| key.sign(message).map_err(Into::into),
    ))
}

fn link_roots(args: &LinkArgs) -> Made {
    let key = FileKey::load(&args.key)?;
    let (old, new) = (one(&args.old)?, one(&args.new)?);
    let (which, signer, path) = match args.way {
        Way::OldWithNew => (Link::OldWithNew, &new, &args.new),
        Way::NewWithOld => (Link::NewWithOld, &old, &args.old),
    };
    belongs(&key, signer, path)?;
    let kind = Kind::from_slug(&args.kind)
        .filter(|kind| kind.is_root())
        .with_context(|| format!("{:?} is no kind of root", args.kind))?;
    let profile = Profile {
        kind,
        generation: generation(key.algorithm()),
    };
    Ok(link(
        (&old, &new),
        which,
        profile,
        (&serial()?, gridlatch_host::now()),
        key.algorithm(),
        &|message| key.sign(message).map_err(Into::into),
    ))
}

fn belongs(key: &FileKey, certificate: &[u8], path: &Path) -> Result<()> {
    if certificate::public_key_der(certificate)? != key.public_key_der() {
        bail!("the key does not belong to {}", path.display());
    }
    Ok(())
}

const fn generation(algorithm: KeyAlgorithm) -> Generation {
    match algorithm {
        KeyAlgorithm::P256 => Generation::Iso2,
        KeyAlgorithm::P521 | KeyAlgorithm::Ed448 => Generation::Iso20,
    }
}

/// Eight random octets, positive.
fn serial() -> Result<[u8; 8]> {
    let mut octets = [0; 8];
    getrandom::fill(&mut octets).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    octets[0] = octets[0] & 0x3F | 0x40;
    Ok(octets)
}

/// The largest file of certificates that is read, bytes.
const MAX_OCTETS: u64 = 1024 * 1024;

fn pem(path: &Path) -> Result<Vec<Vec<u8>>> {
    let text = bounded::read(path, MAX_OCTETS).with_context(|| format!("cannot read {}", path.display()))?;
    certificate::from_pem(&text).with_context(|| format!("{} is not PEM", path.display()))
}

fn one(path: &Path) -> Result<Vec<u8>> {
    match pem(path)?.as_mut_slice() {
        [one] => Ok(std::mem::take(one)),
        _ => bail!("{} is not one certificate in PEM", path.display()),
    }
}
