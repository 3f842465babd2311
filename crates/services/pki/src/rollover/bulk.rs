//! A fleet's certificates issued again, all of them once, whatever happens on the way.
//!
//! The CA's store makes it safe: every renewal carries a token made of the job and the old certificate,
//! and the store serves a token once. The journal is a cursor for speed and for the progress that is
//! shown; losing its last write costs a look per certificate, never a second certificate.

use std::path::{Path, PathBuf};

use gridlatch_keys::write_atomically;
use gridlatch_vocab::catalogue::{pki, rollover};
use gridlatch_vocab::{Code, Event, EventSink, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::ca::{Ca, CaError, CertificateQuery, Record, Requester};

/// Certificates under way at once: their commits are grouped by the store.
pub const BATCH: u32 = 64;
/// Refusals kept in a journal by name; more are only counted.
const MAX_NAMED: usize = 1000;

/// What is to be issued again: certificates of one CA, with their keys as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The CA whose certificates are replaced: `iso2/cpo-sub2`.
    pub from: String,
    /// The CA that issues the new ones; usually the same.
    pub to: String,
    /// Only certificates that end before this time; `None` for all that are neither revoked nor ended.
    pub ending_before: Option<Timestamp>,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Tells this job from every other one.
    pub id: String,
    /// What is done.
    pub job: Job,
    /// When it was started: certificates that have ended by then are left alone.
    pub started_at: Timestamp,
    /// Certificates to issue again.
    pub total: u64,
    /// The next page begins below this number of the CA's list.
    pub before: i64,
    /// Issued again, by this run or one before.
    pub issued: u64,
    /// Refused, one by one.
    pub failed: u64,
    /// The first of the refusals.
    pub refusals: Vec<Refusal>,
    /// Whether every certificate was looked at.
    pub finished: bool,
}

impl Progress {
    /// Certificates looked at so far.
    #[must_use]
    pub const fn done(&self) -> u64 {
        self.issued + self.failed
    }
}

/// A certificate that was not issued again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Serial number of the old certificate.
    pub serial: String,
    /// The row of the catalogue.
    pub code: Code,
    /// Why.
    pub message: String,
}

/// A job cannot go on.
#[derive(Debug, Error)]
pub enum BulkError {
    /// The CA or its store failed; what was issued is kept.
    #[error("the CA failed")]
    Ca(#[from] CaError),
    /// The journal cannot be read or written.
    #[error("cannot {operation} the journal {path}", path = .path.display())]
    Journal {
        /// What was attempted.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The journal is of another job, or not a journal.
    #[error("the journal {path}: {reason}", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// A renewal was cut off because the program ends.
    #[error("the program ends; run the job again")]
    CutOff,
    /// The system gave no random numbers.
    #[error("the system gave no random numbers")]
    Entropy,
}

impl BulkError {
    /// The row of the catalogue.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Ca(error) => error.code(),
            Self::Journal { .. } | Self::Damaged { .. } => rollover::JOURNAL_DAMAGED,
            Self::CutOff => rollover::REISSUE_FAILED,
            Self::Entropy => pki::KEY_UNAVAILABLE,
        }
    }
}

/// Runs a job to its end, from where its journal says it stopped. `told` is called after each batch.
///
/// # Errors
/// The CA, its store or the journal failed. Run it again: it goes on where it stopped.
pub async fn run(
    ca: &Ca,
    job: &Job,
    journal: &Path,
    requester: &Requester,
    sink: &dyn EventSink,
    told: &mut (dyn FnMut(&Progress) + Send),
) -> Result<Progress, BulkError> {
    let mut progress = if let Some(progress) = load(journal, job)? {
        let message = format!(
            "{} of {} certificates of {} were done",
            progress.done(),
            progress.total,
            job.from
        );
        sink.emit(Event::new(ca.now(), rollover::REISSUE_RESUMED, "pki", message));
        progress
    } else {
        let fresh = begin(ca, job).await?;
        save(journal, &fresh)?;
        fresh
    };
    told(&progress);
    while !progress.finished {
        batch(ca, &mut progress, requester, sink).await?;
        save(journal, &progress)?;
        told(&progress);
    }
    let message = format!(
        "{} certificates of {} issued again, {} refused",
        progress.issued, job.from, progress.failed
    );
    sink.emit(
        Event::new(ca.now(), rollover::REISSUE_PROGRESS, "pki", message)
            .with("issued", progress.issued)
            .with("failed", progress.failed),
    );
    Ok(progress)
}

async fn begin(ca: &Ca, job: &Job) -> Result<Progress, BulkError> {
    // Both must exist before anything is written.
    ca.authority(&job.to)?;
    let mut octets = [0; 16];
    getrandom::fill(&mut octets).map_err(|_| BulkError::Entropy)?;
    let started_at = ca.now();
    let (mut total, mut first, mut before) = (0, None, None);
    // What is issued from now on has higher numbers and is never taken for a part of the job.
    while let page = page(ca, job, before, 10_000).await?
        && let (Some(newest), Some(last)) = (page.first(), page.last())
    {
        first = first.or(Some(newest.number + 1));
        before = Some(last.number);
        total += page.iter().filter(|record| bound(record, started_at)).count() as u64;
    }
    Ok(Progress {
        id: hex::encode(octets),
        job: job.clone(),
        started_at,
        total,
        before: first.unwrap_or(0),
        issued: 0,
        failed: 0,
        refusals: Vec::new(),
        finished: false,
    })
}

async fn page(ca: &Ca, job: &Job, before: Option<i64>, limit: u32) -> Result<Vec<Record>, CaError> {
    ca.list(&CertificateQuery {
        authority: Some(job.from.clone()),
        ending_before: job.ending_before,
        revoked: Some(false),
        before,
        limit,
        ..CertificateQuery::default()
    })
    .await
}

/// Whether a certificate is part of a job started at `started_at`: a leaf that had not ended. OCSP
/// signers are the CA's own affair.
fn bound(record: &Record, started_at: Timestamp) -> bool {
    use gridlatch_trust::profile::{Authority, Kind};
    record.not_after > started_at
        && record
            .kind
            .is_some_and(|kind| kind != Kind::OcspSigner && kind.row().authority == Authority::Leaf)
}

async fn batch(
    ca: &Ca,
    progress: &mut Progress,
    requester: &Requester,
    sink: &dyn EventSink,
) -> Result<(), BulkError> {
    let records = page(ca, &progress.job, Some(progress.before), BATCH).await?;
    let Some(last) = records.last() else {
        progress.finished = true;
        return Ok(());
    };
    let before = last.number;
    let renewals: Vec<_> = records
        .into_iter()
        .filter(|record| bound(record, progress.started_at))
        .map(|record| {
            let token = token(&progress.id, &record);
            let (ca, to, requester) = (ca.clone(), progress.job.to.clone(), requester.clone());
            tokio::spawn(async move {
                let result = ca.renew_once(&record, &to, &token, requester).await;
                (record, result)
            })
        })
        .collect();
    for renewal in renewals {
        let (record, result) = renewal.await.map_err(|_| BulkError::CutOff)?;
        match result {
            // Replayed: issued by a run that was stopped before it could write its journal.
            Ok(_) | Err(CaError::Replayed) => progress.issued += 1,
            Err(error) if fatal(&error) => return Err(error.into()),
            Err(error) => {
                progress.failed += 1;
                let serial = record.serial.to_string();
                let message = format!("{serial} of {}: {error} ({})", progress.job.from, error.code());
                sink.emit(
                    Event::new(ca.now(), rollover::REISSUE_FAILED, "pki", message)
                        .with("serial", serial.as_str()),
                );
                if progress.refusals.len() < MAX_NAMED {
                    progress.refusals.push(Refusal {
                        serial,
                        code: error.code(),
                        message: error.to_string(),
                    });
                }
            }
        }
    }
    progress.before = before;
    Ok(())
}

/// Errors that would meet every certificate: the job stops and can be resumed.
fn fatal(error: &CaError) -> bool {
    matches!(
        error,
        CaError::Store(_)
            | CaError::File { .. }
            | CaError::Key { .. }
            | CaError::Entropy
            | CaError::NotInitialised
            | CaError::UnknownAuthority(_)
    )
}

fn token(job: &str, record: &Record) -> Vec<u8> {
    Sha256::new()
        .chain_update(b"gridlatch reissue\0")
        .chain_update(job)
        .chain_update([0])
        .chain_update(&record.der)
        .finalize()
        .to_vec()
}

fn load(path: &Path, job: &Job) -> Result<Option<Progress>, BulkError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(BulkError::Journal {
                operation: "read",
                path: path.to_owned(),
                source,
            });
        }
    };
    let damaged = |reason| BulkError::Damaged {
        path: path.to_owned(),
        reason,
    };
    let progress: Progress =
        serde_json::from_slice(&text).map_err(|_| damaged("it is not the journal of a bulk issue"))?;
    if progress.job == *job {
        Ok(Some(progress))
    } else {
        Err(damaged("it belongs to another job; name another file"))
    }
}

fn save(path: &Path, progress: &Progress) -> Result<(), BulkError> {
    let failed = |source| BulkError::Journal {
        operation: "write",
        path: path.to_owned(),
        source,
    };
    let text = serde_json::to_vec_pretty(progress).map_err(|error| failed(error.into()))?;
    write_atomically(path, &text, 0o600).map_err(failed)
}
