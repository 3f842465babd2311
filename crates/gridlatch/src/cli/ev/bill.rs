//! Waits for the bill of the session that just ended and fetches it.

use std::time::Duration;

use anyhow::Result;
use gridlatch_vocab::{StationId, Timestamp};
use serde_json::Value;

use super::http;
use crate::run_file::RunFile;

/// How long the bill may take: the transaction's end has to reach the platform and be committed.
const PATIENCE: Duration = Duration::from_secs(15);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// The bill of the session at `station` and `evse` that began at `began` or later; `None` when there is
/// none in time.
pub(crate) async fn fetch(
    run: &RunFile,
    station: &StationId,
    evse: u16,
    began: Timestamp,
) -> Result<Option<Value>> {
    let token = run.token()?;
    let token = token.as_str();
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let sessions = http::get(&run.rest, "/sessions/finished?limit=20", token).await?;
        if let Some(cdr) = ours(&sessions, station, evse, began) {
            return http::get(&run.rest, &format!("/cdrs/{cdr}"), token)
                .await
                .map(Some);
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
