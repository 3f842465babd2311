//! `pki why`: what a chain is worth and, where it is worth nothing, which certificate is to blame.

mod picture;
mod sources;

use std::path::PathBuf;
use std::time::Duration;

use gridlatch_tls::Shown;
use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_trust::verdict::{self, Case, Evidence, Finding, Judgement, Policy, Proposal, Source, Unknown};
use gridlatch_trust::{Generation, certificate};
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::pki;
use serde_json::json;

use super::{CliError, failed};
use crate::cli::Format;
use crate::cli::evidence::{Asked, EvidenceArgs};
use crate::say;

const EXIT: &str =
    "Exit codes: 0 trusted; 1 not trusted (each path and its fault are printed); 2 usage or run error.";

/// Explain why a chain is trusted or not: of files, or of a live TLS endpoint
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT)]
pub(crate) struct WhyArgs {
    /// Chain files (PEM, DER, PKCS#7 or PKCS#12; leaf first), or one HOST:PORT
    #[arg(value_name = "FILE|HOST:PORT", required = true, num_args = 1..)]
    what: Vec<String>,
    /// A file with trusted roots (may be repeated)
    #[arg(long, value_name = "FILE")]
    root: Vec<PathBuf>,
    /// A folder searched, with its subfolders, for trusted roots and further CAs; without --root and --roots, the
    /// PKI of the data folder
    #[arg(long, value_name = "DIR")]
    roots: Vec<PathBuf>,
    /// The data folder of `gridlatch up`, for its roots
    #[arg(long, value_name = "DIR", env = "GRIDLATCH_DATA", default_value_os_t = gridlatch_host::DataDir::default_root())]
    data: PathBuf,
    /// File whose first line is the passphrase of a PKCS#12 file; without it, the environment's
    /// GRIDLATCH_PKCS12_PASSPHRASE, none, or a question
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// A file with further CAs that are not trusted by themselves (may be repeated)
    #[arg(long, value_name = "FILE")]
    extra: Vec<PathBuf>,
    /// Judge as this kind (secc-leaf, contract-leaf, vehicle-leaf, ...) instead of guessing
    #[arg(long = "as", value_name = "KIND")]
    kind: Option<String>,
    /// Judge by ISO 15118-2 or -20, and speak its TLS; instead of guessing
    #[arg(long, value_name = "2|20")]
    generation: Option<String>,
    /// Judge at this time (2026-11-21 or 2026-11-21T12:00:00Z) instead of now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    #[command(flatten)]
    evidence: EvidenceArgs,
    /// What to do where nothing is known about revocation
    #[arg(long, value_enum, default_value = "accept")]
    unknown: UnknownArg,
    /// Server name to ask for (SNI); the host unless it is an address
    #[arg(long, value_name = "NAME")]
    sni: Option<String>,
    /// text, or json: one value a line
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum UnknownArg {
    /// Believe the chain and say what is not known
    Accept,
    /// Do not believe it
    Refuse,
}

/// How long an endpoint may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Runs it; returns the exit code.
pub(super) async fn run(args: WhyArgs) -> u8 {
    let format = args.format;
    match explain(&args).await {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(error) => {
            // Whatever stops the question before it is answered is no verdict.
            failed(&error, format);
            2
        }
    }
}

/// A chain as it was found.
struct Found {
    from: String,
    chain: Vec<Vec<u8>>,
    shown: Option<Shown>,
}

/// One chain with everything that is said about it.
struct Told {
    found: Found,
    profile: Profile,
    sign: &'static str,
    leaf_at: usize,
    judgement: Judgement,
    proposals: Vec<Proposal>,
    clock: Option<i64>,
    findings: Vec<Finding>,
    asked: Asked,
}

async fn explain(args: &WhyArgs) -> Result<bool, CliError> {
    let now = args.at.as_deref().map_or_else(
        || Ok(Timestamp(time::OffsetDateTime::now_utc())),
        sources::time_of,
    )?;
    let generation = match args.generation.as_deref() {
        None => None,
        Some("2" | "iso2") => Some(Generation::Iso2),
        Some("20" | "iso20") => Some(Generation::Iso20),
        Some(other) => return Err(CliError::Usage(format!("--generation is 2 or 20, not {other}"))),
    };
    let kind = args
        .kind
        .as_deref()
        .map(|slug| {
            Kind::from_slug(slug)
                .ok_or_else(|| CliError::Usage(format!("no kind of certificate is called {slug}")))
        })
        .transpose()?;
    let passphrase = sources::Passphrase::new(args.passphrase_file.as_deref());
    let known = sources::known(&args.root, &args.roots, &args.data, &args.extra, &passphrase)?;
    let evidence = args.evidence.read().map_err(CliError::Usage)?;
    let mut trusted = true;
    for found in find(args, generation, &passphrase).await? {
        let told = tell(args, found, (kind, generation), &known, evidence.clone(), now).await;
        trusted &= told.judgement.accepted.is_some();
        match args.format {
            Format::Text => say::result(picture::text(&told, &known, now)),
            Format::Json => say::result(picture::json(&told, known.roots.len(), now).to_string()),
        }
    }
    Ok(trusted)
}

/// The chains that are asked about: one of files, or one of each TLS version of an endpoint.
async fn find(
    args: &WhyArgs,
    generation: Option<Generation>,
    passphrase: &sources::Passphrase<'_>,
) -> Result<Vec<Found>, CliError> {
    let Some(endpoint) = sources::endpoint(&args.what) else {
        let mut chain = Vec::new();
        for path in &args.what {
            chain.extend(sources::certificates(path.as_ref(), passphrase)?);
        }
        let from = args.what.join(" ");
        return Ok(vec![Found {
            from,
            chain,
            shown: None,
        }]);
    };
    let name = args.sni.clone().unwrap_or_else(|| endpoint.host.clone());
    let mut found: Vec<Found> = Vec::new();
    let mut refused = Vec::new();
    for each in [Generation::Iso2, Generation::Iso20] {
        if generation.is_some_and(|wanted| wanted != each) {
            continue;
        }
        let tcp = sources::connect(&endpoint, LIMIT).await?;
        match gridlatch_tls::look(tcp, each, Some(&name), LIMIT).await {
            // An endpoint that shows the same to both is told of once.
            Ok(shown) if found.iter().any(|other| other.chain == shown.chain) => {}
            Ok(shown) => found.push(Found {
                from: format!("{} in {}", endpoint.shown, shown.version),
                chain: shown.chain.clone(),
                shown: Some(shown),
            }),
            Err(refusal) => refused.push(refusal),
        }
    }
    if found.is_empty() {
        let why: Vec<String> = refused.iter().map(|refusal| refusal.message.clone()).collect();
        let code = refused.first().map_or(pki::NO_PATH, |refusal| refusal.code);
        return Err(CliError::No(code, why.join("; ")));
    }
    Ok(found)
}

async fn tell(
    args: &WhyArgs,
    mut found: Found,
    (kind, generation): (Option<Kind>, Option<Generation>),
    known: &sources::Known,
    mut evidence: Evidence,
    now: Timestamp,
) -> Told {
    if let Some(staple) = found.shown.as_ref().and_then(|shown| shown.staple.as_ref()) {
        // A staple that cannot be read is as good as none.
        let _ = evidence.add_ocsp(staple, Source::Stapled);
    }
    let leaf_at = sources::leaf_at(&found.chain);
    let (guessed, sign) = found
        .chain
        .get(leaf_at)
        .and_then(|leaf| verdict::guess(leaf).ok())
        .unwrap_or((Profile::iso2(Kind::SeccLeaf), "nothing could be read"));
    let profile = Profile {
        kind: kind.unwrap_or(guessed.kind),
        generation: generation.unwrap_or(guessed.generation),
    };
    let sign = if kind.is_some() { "you said so" } else { sign };
    let findings = verdict::findings(&found.chain, profile);
    // The rest of the verdict is about the certificates, not about their order.
    if leaf_at > 0 {
        let leaf = found.chain.remove(leaf_at);
        found.chain.insert(0, leaf);
    }
    let verifier = gridlatch_keys::OpensslVerifier;
    let path = Case {
        chain: &found.chain,
        anchors: &known.roots,
        extra: &known.extra,
        profile,
        now,
        evidence: &Evidence::default(),
        policy: Policy::NOT_ASKED,
    };
    // Others are asked about a path that holds, not about whatever somebody made.
    let mut asked = Asked::default();
    if let Some(accepted) = verdict::judge(&path, &verifier).accepted {
        let mut path = accepted.path;
        path.push(accepted.anchor);
        asked = args.evidence.ask(&path).await;
        // What was given by hand counts first; what finds no room would not change a verdict of 32 lists.
        let _ = evidence.merge(core::mem::take(&mut asked.evidence));
    }
    let case = Case {
        evidence: &evidence,
        policy: Policy {
            unknown: match args.unknown {
                UnknownArg::Accept => Unknown::Accept,
                UnknownArg::Refuse => Unknown::Refuse,
            },
            ..Policy::default()
        },
        ..path
    };
    let judgement = verdict::judge(&case, &verifier);
    Told {
        proposals: verdict::proposals(&case, &judgement),
        clock: verdict::clock_hint(&case, &judgement, &verifier),
        judgement,
        profile,
        sign,
        leaf_at,
        findings,
        asked,
        found,
    }
}

/// The readable facts of one certificate, without what may be personal.
fn facts(der: &[u8]) -> serde_json::Value {
    certificate::summary(der).map_or_else(
        |error| json!({ "error": error.to_string() }),
        |summary| {
            json!({
                "subject": summary.is_ca.then_some(summary.subject_cn),
                "issuer": summary.issuer_cn,
                "domain_component": summary.domain_component,
                "not_before": summary.not_before,
                "not_after": summary.not_after,
                "ca": summary.is_ca,
                "fingerprint": summary.fingerprint,
            })
        },
    )
}
