//! `gridlatch bench keys`: what a key costs by where it lives: signatures and handshakes per second.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use gridlatch_keys::{FileKey, KeyAlgorithm, KeyUri, PinSource, Signer, open};
use serde_json::json;

use crate::cli::Format;
use crate::say;

/// Arguments of `bench keys`.
#[derive(Debug, clap::Args)]
pub(crate) struct KeysArgs {
    /// A key to measure beside fresh keys in memory; may be given several times
    #[arg(long, value_name = "URI")]
    uri: Vec<String>,
    /// File with the PIN of all of them (mode 600)
    #[arg(long, value_name = "FILE")]
    pin_file: Option<std::path::PathBuf>,
    /// Seconds per figure
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Table for people, or one JSON value a row
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Threads of the second figure.
const THREADS: usize = 4;

/// Runs it.
pub(crate) fn run(args: &KeysArgs) -> Result<()> {
    let pin = args
        .pin_file
        .as_deref()
        .map_or(PinSource::None, |path: &Path| PinSource::File(path.to_owned()));
    let mut keys: Vec<(String, Arc<dyn Signer>)> = Vec::new();
    for algorithm in KeyAlgorithm::ALL {
        keys.push(("memory".to_owned(), Arc::new(FileKey::generate(algorithm)?)));
    }
    for text in &args.uri {
        let uri: KeyUri = text.parse()?;
        keys.push((uri.to_string(), open(&uri, &pin).context("cannot open the key")?));
    }
    if args.format == Format::Text {
        say::result(format!(
            "{:10} {:>14} {:>14}  key",
            "algorithm", "signatures/s", "4 threads/s"
        ));
    }
    for (name, key) in keys {
        let time = Duration::from_secs(args.seconds);
        let one = rate(&key, 1, time)?;
        let four = rate(&key, THREADS, time)?;
        let algorithm = key.algorithm();
        say::result(match args.format {
            Format::Text => format!("{algorithm:10} {one:14.0} {four:14.0}  {name}"),
            Format::Json => json!({
                "key": name,
                "algorithm": algorithm.as_str(),
                "signatures_per_s": one,
                "threads": THREADS,
                "signatures_per_s_threads": four,
            })
            .to_string(),
        });
    }
    Ok(())
}

/// Signatures per second on so many threads; the first failure ends it.
fn rate(key: &Arc<dyn Signer>, threads: usize, time: Duration) -> Result<f64> {
    let count = AtomicU64::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    while started.elapsed() < time {
                        key.sign(b"gridlatch bench keys")?;
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok::<(), gridlatch_keys::KeyError>(())
                })
            })
            .collect();
        for worker in workers {
            worker
                .join()
                .map_err(|_| anyhow::anyhow!("a worker panicked"))??;
        }
        anyhow::Ok(())
    })?;
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    Ok(count.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64())
}
