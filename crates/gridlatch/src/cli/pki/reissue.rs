//! `gridlatch pki reissue`: every certificate of a CA issued again, with a progress bar, and from where
//! it stopped when it was killed.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Instant;

use gridlatch_pki::rollover::bulk::{self, BulkError, Job, Progress};
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::rollover;
use serde_json::json;

use super::{CliError, Place, print};
use crate::say;

/// Issue a whole fleet's certificates again: all leaves of a CA that are neither revoked nor ended, for the
/// keys they have.
///
/// Killed or stopped, it goes on from its journal; no certificate is issued twice. The old certificates stay
/// valid until they end or are revoked.
#[derive(Debug, clap::Args)]
#[command(after_help = super::EXIT)]
pub(crate) struct ReissueArgs {
    #[command(flatten)]
    pub(super) place: Place,
    /// The CA whose certificates are replaced (iso2/cpo-sub2)
    #[arg(long, value_name = "CA")]
    from: String,
    /// The CA that issues the new ones; the same where none is named
    #[arg(long, value_name = "CA")]
    to: Option<String>,
    /// Only certificates that end before this time (2027-01-31T00:00:00Z)
    #[arg(long, value_name = "TIME", value_parser = super::forecast::moment)]
    ending_before: Option<Timestamp>,
    /// Where the progress is kept
    #[arg(long, value_name = "FILE")]
    journal: PathBuf,
}

pub(super) async fn run(args: ReissueArgs) -> Result<(), CliError> {
    let opened = args.place.open().await?;
    let job = Job {
        from: args.from.clone(),
        to: args.to.clone().unwrap_or_else(|| args.from.clone()),
        ending_before: args.ending_before,
    };
    let mut bar = Bar::new();
    let by = args.place.operator();
    let log = opened.sink();
    let result = bulk::run(&opened.ca, &job, &args.journal, &by, &*log, &mut |progress| {
        bar.show(progress)
    })
    .await;
    bar.end();
    let progress = opened.finish(result.map_err(refused)).await?;
    let value = json!({
        "from": job.from, "to": job.to, "total": progress.total, "issued": progress.issued,
        "failed": progress.failed, "refusals": progress.refusals,
    });
    print(args.place.format, &value, || {
        format!(
            "{} of {} issued again, {} refused",
            progress.issued, progress.total, progress.failed
        )
    });
    if progress.failed > 0 {
        return Err(CliError::No(
            rollover::REISSUE_FAILED,
            format!(
                "{} certificates were not issued again; {} names them",
                progress.failed,
                args.journal.display()
            ),
        ));
    }
    Ok(())
}

fn refused(error: BulkError) -> CliError {
    match error {
        BulkError::Ca(error) => error.into(),
        BulkError::Damaged { .. } => CliError::No(error.code(), error.to_string()),
        other => CliError::run(other),
    }
}

/// The progress on standard error: a bar on a terminal, a line per tenth elsewhere.
struct Bar {
    began: Instant,
    first: Option<u64>,
    tenth: u64,
    drawn: bool,
}

impl Bar {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            first: None,
            tenth: 0,
            drawn: false,
        }
    }

    fn show(&mut self, progress: &Progress) {
        const WIDTH: u64 = 30;
        let done = progress.done();
        let total = progress.total.max(done).max(1);
        let first = *self.first.get_or_insert(done);
        let rate = (done - first) as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        let left = if rate > 0.0 {
            format!(", {:.0} s left", (total - done) as f64 / rate)
        } else {
            String::new()
        };
        let line = format!("{done}/{total}, {} refused, {rate:.0}/s{left}", progress.failed);
        if std::io::stderr().is_terminal() {
            let filled = done * WIDTH / total;
            let bar: String = (0..WIDTH)
                .map(|cell| if cell < filled { '#' } else { '.' })
                .collect();
            let mut err = std::io::stderr().lock();
            // A closed terminal does not stop the work.
            let _ = write!(err, "\r[{bar}] {line}\x1b[K");
            let _ = err.flush();
            self.drawn = true;
        } else if done * 10 / total > self.tenth {
            self.tenth = done * 10 / total;
            say::talk(line);
        }
    }

    fn end(&self) {
        if self.drawn {
            say::talk("");
        }
    }
}
