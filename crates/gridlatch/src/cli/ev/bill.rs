//! Waits for the bill of the session that just ended and fetches it.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use gridlatch_receipt::Fault;
use gridlatch_receipt::bill::{Report, SignedBill};
use gridlatch_trust::RustCrypto;
use gridlatch_vocab::{StationId, Timestamp, catalogue};
use serde_json::Value;

use super::http;
use crate::run_file::RunFile;

/// How long the bill may take: the transaction's end has to reach the platform and be committed.
const PATIENCE: Duration = Duration::from_secs(15);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// A bill, and what checking its signatures here and now found.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// As REST gives it.
    pub(crate) bill: Value,
    /// The check, or why there is none.
    pub(crate) report: Result<Report, Fault>,
}

/// The bill of the session at `station` and `evse` that began at `began` or later; `None` when there is
/// none in time.
pub(crate) async fn fetch(
    (run, data): (&RunFile, &Path),
    station: &StationId,
    evse: u16,
    began: Timestamp,
) -> Result<Option<Fetched>> {
    let token = run.token()?;
    let token = token.as_str();
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let sessions = http::get(&run.rest, "/sessions/finished?limit=20", token).await?;
        if let Some(cdr) = ours(&sessions, station, evse, began) {
            let bill = http::get(&run.rest, &format!("/cdrs/{cdr}"), token).await?;
            let report = match bill["jws"].as_str() {
                Some(jws) => {
                    let roots = crate::cli::bill::roots(data)?;
                    SignedBill::new(bill["ocpi"].clone(), jws.to_owned()).check(&roots, &RustCrypto)
                }
                None => Err(Fault {
                    code: catalogue::bill::SIGNATURE_INVALID,
                    message: "the platform issued this bill without a signature".to_owned(),
                }),
            };
            return Ok(Some(Fetched { bill, report }));
        }
        if tokio::time::Instant::now() >= until {
            return Ok(None);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The id of our session's bill in a list of finished sessions.
fn ours<'s>(sessions: &'s Value, station: &StationId, evse: u16, began: Timestamp) -> Option<&'s str> {
    let began = began.to_rfc3339();
    sessions
        .as_array()?
        .iter()
        .filter(|session| {
            session["station"] == station.as_str()
                && session["evse"] == evse
                // RFC 3339 in UTC with fixed digits sorts as text.
                && session["started_at"].as_str().is_some_and(|at| at >= began.as_str())
        })
        .find_map(|session| session["bill"]["cdr"].as_str())
}
