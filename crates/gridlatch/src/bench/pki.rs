//! `gridlatch bench pki`: what the CA and its services do a second, each figure beside a floor or a peer
//! from the same run.

mod issue;
mod load;
mod ocsp;
mod scale;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use gridlatch_host::{Hub, HubConfig};
use gridlatch_keys::{FileKey, KeyAlgorithm, KeyUri, OpensslVerifier, PinSource, Signer};
use gridlatch_pki::ca::{Ca, Hardware, Issued, KeyRing, Order, Plan, Requester, Role, World};
use gridlatch_store::Store;
use gridlatch_trust::build::Subject;
use gridlatch_trust::profile::Kind;
use gridlatch_trust::verdict;
use serde_json::json;

use crate::cli::Format;
use crate::say;

/// Arguments of `bench pki`.
#[derive(Debug, clap::Args)]
pub(crate) struct PkiArgs {
    /// Seconds per figure
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// Certificates in the large store; 1000 bytes of disk each
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(10_000..=10_000_000))]
    certificates: u32,
    /// Where the stores go; a folder of its own below it is made, and removed at the end
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
    /// Only these parts, by commas
    #[arg(long, value_enum, value_name = "PART", value_delimiter = ',')]
    only: Vec<Part>,
    /// A token for the keys of one more CA, `pkcs11:token=NAME?module-path=PATH`; new keys are made in it
    #[arg(long, value_name = "URI")]
    token: Option<KeyUri>,
    /// File with the token's PIN (mode 600)
    #[arg(long, value_name = "FILE", requires = "token")]
    pin_file: Option<PathBuf>,
    /// Table for people, or one JSON value a row
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// OCSP answers
    Ocsp,
    /// Certificates from requests
    Issue,
    /// Judging chains
    Verdicts,
    /// A large store beside a small one
    Scale,
}

/// One figure beside what it is measured against.
#[derive(Debug)]
struct Row {
    what: String,
    figure: f64,
    against: &'static str,
    other: f64,
    aim: Option<Aim>,
}

/// What the ratio of figure to other is to be.
#[derive(Debug, Clone, Copy)]
enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

impl Row {
    fn ratio(&self) -> f64 {
        self.figure / self.other
    }

    fn met(&self) -> Option<bool> {
        self.aim.map(|aim| match aim {
            Aim::AtLeast(least) => self.ratio() >= least,
            Aim::AtMost(most) => self.ratio() <= most,
        })
    }
}

/// Runs it.
pub(crate) fn run(args: &PkiArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let folder = args
        .dir
        .join(format!("gridlatch-bench-pki-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let rows = runtime
        .context("cannot start the runtime")?
        .block_on(all(args, &folder));
    let _ = std::fs::remove_dir_all(&folder);
    print(args.format, &rows?);
    Ok(())
}

async fn all(args: &PkiArgs, folder: &Path) -> Result<Vec<Row>> {
    let time = Duration::from_secs(args.seconds.into());
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    let mut rows = Vec::new();
    let ca = new_ca(&folder.join("small"), None).await?;
    if wanted(Part::Ocsp) {
        say::talk("raw signatures and OCSP ...");
        let raw = raw(&FileKey::generate(KeyAlgorithm::P256)?, time)?;
        rows.extend(ocsp::measure(&ca, folder, raw, time).await?);
    }
    if wanted(Part::Issue) {
        say::talk("issue ...");
        for world in [World::Iso2, World::Iso20] {
            rows.extend(issue::measure(&ca, world, "in a file", time).await?);
        }
        if let Some(token) = &args.token {
            let pin = args
                .pin_file
                .as_ref()
                .map_or(PinSource::None, |path| PinSource::File(path.clone()));
            let keys = Hardware::new(token.clone(), pin);
            let ca = new_ca(&folder.join("token"), Some(keys)).await?;
            rows.extend(issue::measure(&ca, World::Iso2, "in the token", time).await?);
        }
    }
    if wanted(Part::Verdicts) {
        rows.extend(verdicts(&ca, time).await?);
    }
    if wanted(Part::Scale) {
        say::talk(format!("a store of {} certificates ...", args.certificates));
        rows.extend(scale::measure(folder, args.certificates, time).await?);
    }
    Ok(rows)
}

/// A CA of its own with keys in files, or those below the roots in `keys`.
async fn new_ca(folder: &Path, keys: Option<Hardware>) -> Result<Ca> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join("ca.db");
    let store = Store::open(path.to_str().context("the folder's name is not text")?).await?;
    let hub = Hub::new(HubConfig::default(), None);
    let mut ring = KeyRing::in_folder(folder);
    let mut plan = Plan {
        worlds: vec![World::Iso2, World::Iso20],
        ..Plan::single("Bench")
    };
    if let Some(keys) = keys {
        // One tree: a token has few places.
        plan.worlds = vec![World::Iso2];
        plan.keys = keys.scheme().to_owned();
        ring = ring.with(keys.scheme(), Arc::new(keys));
    }
    Ok(Ca::init(store, ring, Arc::new(hub), &plan).await?)
}

fn operator() -> Requester {
    Requester {
        role: Role::Operator,
        id: "bench".to_owned(),
    }
}

/// Issues a station's certificate for `spki`.
async fn secc(ca: &Ca, world: World, name: String, spki: Vec<u8>) -> Result<Issued> {
    let order = Order {
        authority: format!("{}/cpo-sub2", world.folder()),
        profile: world.profile(Kind::SeccLeaf),
        subject: Subject {
            common_name: name,
            organization: Some("Bench".to_owned()),
            country: None,
        },
        spki,
        alt_names: Vec::new(),
        not_before: None,
        not_after: None,
        requester: operator(),
    };
    Ok(ca.issue(order).await?)
}

/// Signatures a second by one key on every core at once, with nothing around them.
fn raw(key: &dyn Signer, time: Duration) -> Result<f64> {
    everywhere(time, |count| {
        key.sign(&count.to_be_bytes().repeat(64))?;
        Ok(())
    })
}

/// How often a second `work` is done on every core at once; on four threads at least, as a key in hardware mostly
/// waits.
fn everywhere(time: Duration, work: impl Fn(u64) -> Result<()> + Sync) -> Result<f64> {
    let threads = std::thread::available_parallelism().map_or(4, usize::from).max(4);
    let started = Instant::now();
    let counts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut count = 0_u64;
                    while started.elapsed() < time {
                        work(count)?;
                        count += 1;
                    }
                    Ok(count)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?)
            .collect::<Result<Vec<u64>>>()
    })?;
    Ok(rate(counts.iter().sum(), started.elapsed()))
}

#[allow(clippy::cast_precision_loss, reason = "counts of a bench are far below 2^52")]
fn rate(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}

/// Verdicts a second on leaf, two sub-CAs and root, beside three bare signature checks, which is the least
/// such a verdict takes.
async fn verdicts(ca: &Ca, time: Duration) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for world in [World::Iso2, World::Iso20] {
        let key = FileKey::generate(world.algorithm())?;
        let issued = secc(ca, world, "DE*BEN*E1".to_owned(), key.public_key_der().to_vec()).await?;
        let root = ca.root_of(&format!("{}/cpo-sub2", world.folder()))?.der.clone();
        let (chain, profile) = (issued.chain, world.profile(Kind::SeccLeaf));
        let anchors = [root];
        let now = gridlatch_host::now();
        let (mut count, started) = (0, Instant::now());
        while started.elapsed() < time {
            verdict::check_with(&chain, &anchors, profile, now, &OpensslVerifier)
                .map_err(|rejected| anyhow::anyhow!("the chain was refused: {rejected}"))?;
            count += 1;
        }
        let figure = rate(count, started.elapsed());
        let message = [7; 400];
        let signature = key.sign(&message)?;
        let (mut checks, started) = (0, Instant::now());
        while started.elapsed() < time {
            gridlatch_keys::verify(world.algorithm(), key.public_key_der(), &message, &signature)?;
            checks += 1;
        }
        rows.push(Row {
            what: format!(
                "verdicts on leaf, 2 sub-CAs and root, {}, one core",
                world.algorithm()
            ),
            figure,
            against: "three bare signature checks",
            other: rate(checks, started.elapsed()) / 3.0,
            aim: None,
        });
    }
    Ok(rows)
}

fn print(format: Format, rows: &[Row]) {
    if format == Format::Json {
        for row in rows {
            say::result(
                json!({ "what": row.what, "per_second": row.figure, "against": row.against,
                    "per_second_against": row.other, "ratio": row.ratio(), "met": row.met() })
                .to_string(),
            );
        }
        return;
    }
    let mut lines = vec![
        "| a second | gridlatch | against | there | ratio | aim |".to_owned(),
        "|---|---|---|---|---|---|".to_owned(),
    ];
    lines.extend(rows.iter().map(|row| {
        let aim = match row.aim {
            None => String::new(),
            Some(Aim::AtLeast(least)) => format!("at least {least}"),
            Some(Aim::AtMost(most)) => format!("at most {most}"),
        };
        let missed = if row.met() == Some(false) { ", missed" } else { "" };
        format!(
            "| {} | {:.0} | {} | {:.0} | {:.2} | {aim}{missed} |",
            row.what,
            row.figure,
            row.against,
            row.other,
            row.ratio()
        )
    }));
    say::result(lines.join("\n"));
}
