//! Keeps the OCSP answers that the station staples fresh: fetched ahead of their end, believed before they
//! are served, dropped when they have run out, and reported when they cannot be had.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use gridlatch_keys::OpensslVerifier;
use gridlatch_tls::VehicleServer;
use gridlatch_trust::certificate;
use gridlatch_trust::ocsp::{Stapled, read_staple};
use gridlatch_trust::revocation::Status;
use gridlatch_vocab::catalogue::{revocation, tls};
use gridlatch_vocab::{Code, Timestamp};

use crate::report::Reporter;

/// How long a source may take.
const FETCH: Duration = Duration::from_secs(30);
/// How often it is looked whether something is due; also the pause after a failure.
const LOOK: Duration = Duration::from_secs(60);
/// The life of an answer that does not say when it ends.
const UNLIMITED: time::Duration = time::Duration::hours(1);

/// What a [`StapleSource`] promises.
pub type Fetched<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send + 'a>>;

/// Where OCSP answers come from: a responder in this process, or one on the network.
pub trait StapleSource: Send + Sync + fmt::Debug {
    /// A DER `OCSPResponse` about the first certificate of `chain` (DER; the second issued it), or why
    /// there is none.
    fn fetch<'a>(&'a self, chain: &'a [Vec<u8>]) -> Fetched<'a>;
}

/// What is known of one credential's staple.
#[derive(Debug, Default)]
struct Kept {
    stapled: Option<Stapled>,
    warned: bool,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    Fetch,
    /// The answer has run out and must not be served any more.
    Drop,
}

fn due(stapled: Option<&Stapled>, now: Timestamp) -> Due {
    let Some(stapled) = stapled else { return Due::Fetch };
    let (from, to) = (stapled.this_update.0, end(stapled).0);
    if now.0 >= to {
        Due::Drop
    } else if now.0 - from >= (to - from) / 2 {
        Due::Fetch
    } else {
        Due::Nothing
    }
}

fn end(stapled: &Stapled) -> Timestamp {
    stapled
        .next_update
        .unwrap_or_else(|| Timestamp(stapled.this_update.0.saturating_add(UNLIMITED)))
}

/// Runs for as long as the station does.
pub(crate) async fn keep_fresh(server: Arc<VehicleServer>, source: Arc<dyn StapleSource>, report: Reporter) {
    keep_fresh_looking_every(LOOK, server, source, report).await;
}

async fn keep_fresh_looking_every(
    pause: Duration,
    server: Arc<VehicleServer>,
    source: Arc<dyn StapleSource>,
    report: Reporter,
) {
    let mut known: BTreeMap<Vec<u8>, Kept> = BTreeMap::new();
    loop {
        let chains = server.chains();
        // Credentials that were exchanged are forgotten.
        known.retain(|one, _| chains.iter().any(|(_, chain)| chain.contains(one)));
        let mut seen = BTreeSet::new();
        for (label, chain) in chains {
            for (label, pair) in pairs(&label, &chain, server.roots(), server.staples_whole_chain()) {
                let Some(one) = pair.first().filter(|one| seen.insert((*one).clone())) else {
                    continue;
                };
                let kept = known.entry(one.clone()).or_default();
                look(&server, &*source, &report, &label, &pair, kept).await;
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// Each certificate whose answer is stapled, with its issuer: the leaf, and with `whole` the sub-CAs too, the last of
/// which was issued by one of `roots`.
fn pairs(label: &str, chain: &[Vec<u8>], roots: &[Vec<u8>], whole: bool) -> Vec<(String, Vec<Vec<u8>>)> {
    let mut found = Vec::new();
    for (place, one) in chain.iter().enumerate().take(if whole { chain.len() } else { 1 }) {
        let issued_by = |der: &&Vec<u8>| {
            let names = (certificate::summary(one), certificate::summary(der));
            matches!(names, (Ok(one), Ok(issuer)) if one.issuer_cn == issuer.subject_cn)
        };
        let issuer = chain.get(place + 1).or_else(|| roots.iter().find(issued_by));
        let Some(issuer) = issuer else { continue };
        let label = match (place, certificate::summary(one)) {
            (0, _) | (_, Err(_)) => label.to_owned(),
            (_, Ok(summary)) => format!("{:?} above {label}", summary.subject_cn),
        };
        found.push((label, vec![one.clone(), issuer.clone()]));
    }
    found
}

async fn look(
    server: &VehicleServer,
    source: &dyn StapleSource,
    report: &Reporter,
    label: &str,
    chain: &[Vec<u8>],
    kept: &mut Kept,
) {
    let [leaf, issuer, ..] = chain else { return };
    let now = gridlatch_host::now();
    match due(kept.stapled.as_ref(), now) {
        Due::Nothing => return,
        Due::Fetch => {}
        Due::Drop => {
            kept.stapled = None;
            // Taking a staple away cannot fail.
            let _ = server.set_staple(leaf, None);
            report.say(
                tls::STAPLE_EXPIRED,
                format!(
                    "the OCSP answer for {label} has run out; vehicles get none until there is a new one"
                ),
            );
        }
    }
    match fresh(source, chain, leaf, issuer, now).await {
        Ok((der, stapled)) => {
            if let Err(error) = server.set_staple(leaf, Some(&der)) {
                report.say(tls::STAPLE_UNAVAILABLE, format!("{label}: {error}"));
                return;
            }
            if let Status::Revoked { at, reason } = stapled.status {
                report.say(
                    revocation::REVOKED,
                    format!(
                        "the certificate of {label} was revoked at {at} ({})",
                        reason.as_str()
                    ),
                );
            }
            report.emit(
                report
                    .event(
                        tls::STAPLE_RENEWED,
                        format!("the OCSP answer for {label} is valid until {}", end(&stapled)),
                    )
                    .with("certificate", label.to_owned()),
            );
            *kept = Kept {
                stapled: Some(stapled),
                warned: false,
            };
        }
        Err((code, why)) if !kept.warned => {
            kept.warned = true;
            let left = kept.stapled.as_ref().map_or_else(
                || "vehicles get none".to_owned(),
                |old| format!("the old one is valid until {}", end(old)),
            );
            report.say(
                code,
                format!("no new OCSP answer for {label}: {why}; {left}; asked again every minute"),
            );
        }
        Err(_) => {}
    }
}

/// An answer that is believed and newer than nothing: what would not convince this station is not shown to vehicles.
async fn fresh(
    source: &dyn StapleSource,
    chain: &[Vec<u8>],
    leaf: &[u8],
    issuer: &[u8],
    now: Timestamp,
) -> Result<(Vec<u8>, Stapled), (Code, String)> {
    let der = match tokio::time::timeout(FETCH, source.fetch(chain)).await {
        Ok(Ok(der)) => der,
        Ok(Err(why)) => return Err((tls::STAPLE_UNAVAILABLE, why)),
        Err(_) => {
            let why = format!("the responder did not answer in {} s", FETCH.as_secs());
            return Err((tls::STAPLE_UNAVAILABLE, why));
        }
    };
    match read_staple(&der, leaf, issuer, now, &OpensslVerifier) {
        Ok(Stapled {
            status: Status::Unknown,
            ..
        }) => Err((
            tls::STAPLE_UNAVAILABLE,
            "the responder does not know the certificate".to_owned(),
        )),
        Ok(stapled) => Ok((der, stapled)),
        Err(error) => Err((
            tls::STAPLE_UNAVAILABLE,
            format!("it is not believed: {error} ({})", error.code()),
        )),
    }
}

#[cfg(test)]
mod tests;
