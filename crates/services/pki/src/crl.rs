//! Revocation lists (RFC 5280, section 5): one full list and one delta for every CA, published before the
//! last one runs out and whenever something was revoked, at addresses that never change.
//!
//! A delta stands on the last full list that came out on schedule, so that whoever holds that one, or any
//! later one, can apply it.
//!
//! Deliberately absent: DER (`core/trust`) and numbers (the store gives them, and none twice).

mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::HeaderValue;
use gridlatch_host::{Shutdown, now};
use gridlatch_store::pki::CrlRow;
use gridlatch_trust::crl::{CrlRequest, MAX_ENTRIES, build};
use gridlatch_trust::revocation::{Reason, Revoked};
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::enrolment;
use sha2::{Digest as _, Sha256};

use crate::ca::{Authority, Ca, CaError};
use crate::http::Report;

/// How long a full list is good for; the next one comes at half of it.
pub const FULL_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How long a delta is good for; the next one comes at half of it.
pub const DELTA_LIFE: Duration = Duration::from_secs(3600);
/// How often revocations are looked for.
const WATCH: Duration = Duration::from_millis(200);
/// How often lists that run out are looked for, and failed ones tried again.
const TICK: Duration = Duration::from_secs(60);
/// How often the same failure is said again: a root's key is away on purpose.
const AGAIN: Duration = Duration::from_secs(3600);
/// A full list out of turn takes at most this share of a core: one part in.
const SHARE: u32 = 20;
/// A certificate stays listed for so long after its own end (RFC 5280, 3.3).
const AFTER_END: time::Duration = time::Duration::days(7);
/// Entries read at once.
const PAGE: u32 = 10_000;
/// How often another number is tried when another process publishes too.
const TRIES: usize = 4;

/// Publishes the lists; cheap to clone.
#[derive(Debug, Clone)]
pub struct Publisher {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    ca: Ca,
    report: Report,
    lists: RwLock<BTreeMap<String, Published>>,
}

/// What is out for one CA.
#[derive(Debug, Default, Clone)]
struct Published {
    full: Option<Arc<List>>,
    delta: Option<Arc<List>>,
    /// Number and last revocation of the full list that deltas stand on.
    anchor: Option<(i64, i64)>,
    /// Revocations that the full list does not have, because one came out just before.
    behind: bool,
    /// Before when no full list comes out of turn.
    rest: Option<Instant>,
    /// What went wrong last, and when that was said.
    failed: Option<(String, Instant)>,
}

/// A list as it is served.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) body: Bytes,
    pub(crate) etag: HeaderValue,
    number: i64,
    revocation: i64,
    this_update: Timestamp,
    next_update: Timestamp,
}

impl List {
    fn of(row: &CrlRow) -> Option<Arc<Self>> {
        let digest = hex::encode(Sha256::digest(&row.der));
        Some(Arc::new(Self {
            body: Bytes::from(row.der.clone()),
            etag: HeaderValue::from_str(&format!("\"{digest}\"")).ok()?,
            number: row.number,
            revocation: row.revocation,
            this_update: row.this_update,
            next_update: row.next_update,
        }))
    }

    /// Whether half of its life is over.
    fn due(&self, now: Timestamp) -> bool {
        let life = self.next_update.0 - self.this_update.0;
        now.0 - self.this_update.0 >= life / 2
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Full,
    Delta,
}

impl Publisher {
    /// Publishes the first lists, or those of an earlier run where they are still good, and keeps them
    /// fresh until `stop`.
    ///
    /// # Errors
    /// The store fails. A CA whose key is away is reported and tried again.
    pub async fn start(ca: Ca, report: Report, stop: Shutdown) -> Result<Self, CaError> {
        let last = ca.store().pki_last_revocation_of_any().await?;
        let this = Self {
            inner: Arc::new(Inner {
                ca,
                report,
                lists: RwLock::default(),
            }),
        };
        for authority in this.inner.ca.authorities() {
            this.load(&authority).await?;
        }
        this.publish_due().await;
        tokio::spawn(this.clone().keep(last, stop));
        Ok(this)
    }

    /// Its paths: `/crl/{tree}/{name}.crl` and `/crl/{tree}/{name}-delta.crl`.
    pub fn router(&self) -> axum::Router {
        wire::router(self.clone())
    }

    /// Publishes a CA's full list now, whether it is due or not; says whether that went well.
    pub async fn publish_now(&self, authority: &str) -> bool {
        match self.inner.ca.authority(authority) {
            Ok(authority) => self.publish(&authority, Which::Full).await,
            Err(_) => false,
        }
    }

    pub(crate) fn find(&self, name: &str, delta: bool) -> Option<Arc<List>> {
        let lists = self.inner.lists.read().unwrap_or_else(PoisonError::into_inner);
        let published = lists.get(name)?;
        if delta {
            published.delta.clone()
        } else {
            published.full.clone()
        }
    }

    /// Takes up the lists of an earlier run.
    async fn load(&self, authority: &Authority) -> Result<(), CaError> {
        let store = self.inner.ca.store();
        let full = store.pki_crl_latest(authority.number(), false).await?;
        let delta = store.pki_crl_latest(authority.number(), true).await?;
        let last = store.pki_last_revocation(authority.number()).await?;
        let full = full.as_ref().and_then(List::of);
        let published = Published {
            anchor: full.as_ref().map(|list| (list.number, list.revocation)),
            behind: full.as_ref().is_some_and(|list| list.revocation < last),
            delta: delta.as_ref().and_then(List::of),
            full,
            rest: None,
            failed: None,
        };
        self.change(&authority.name, |entry| *entry = published);
        Ok(())
    }

    async fn keep(self, mut last: i64, stop: Shutdown) {
        let mut watch = tokio::time::interval(WATCH);
        let mut tick = tokio::time::interval(TICK);
        tick.tick().await;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => self.publish_due().await,
                _ = watch.tick() => {
                    if let Ok(revoked) = self.inner.ca.store().pki_revoked_after(last, PAGE).await {
                        let authorities: BTreeSet<i64> = revoked.iter().map(|one| one.1).collect();
                        last = revoked.last().map_or(last, |one| one.0);
                        self.publish_out_of_turn(&authorities).await;
                    }
                }
            }
        }
    }

    /// What has run half its time, or never came out.
    async fn publish_due(&self) {
        let at = now();
        for authority in self.inner.ca.authorities() {
            if at >= authority.not_after {
                continue;
            }
            let published = self.state(&authority.name);
            if published.full.as_ref().is_none_or(|list| list.due(at))
                && self.publish(&authority, Which::Full).await
            {
                self.change(&authority.name, |entry| {
                    entry.anchor = entry.full.as_ref().map(|list| (list.number, list.revocation));
                });
            }
            let published = self.state(&authority.name);
            let stale = |list: &List| {
                list.due(at)
                    || published
                        .full
                        .as_ref()
                        .is_some_and(|full| full.revocation > list.revocation)
            };
            if published.delta.as_ref().is_none_or(|list| stale(list)) {
                self.publish(&authority, Which::Delta).await;
            }
        }
    }

    /// Something was revoked: a delta at once, and a full list unless one came out just before.
    async fn publish_out_of_turn(&self, revoked: &BTreeSet<i64>) {
        for authority in self.inner.ca.authorities() {
            let fresh = revoked.contains(&authority.number());
            let published = self.state(&authority.name);
            if fresh {
                self.publish(&authority, Which::Delta).await;
            }
            if !fresh && !published.behind {
                continue;
            }
            let resting = published.rest.is_some_and(|until| Instant::now() < until);
            if resting {
                self.change(&authority.name, |entry| entry.behind = true);
                continue;
            }
            let started = Instant::now();
            let done = self.publish(&authority, Which::Full).await;
            let rest = (started.elapsed() * SHARE).max(Duration::from_secs(1));
            self.change(&authority.name, |entry| {
                entry.behind = !done;
                entry.rest = Some(Instant::now() + rest);
            });
        }
    }

    /// Makes one list, stores it and serves it from then on; says whether that went well.
    async fn publish(&self, authority: &Arc<Authority>, which: Which) -> bool {
        let report = &self.inner.report;
        match self.make(authority, which).await {
            Ok(Some(list)) => {
                let kind = match which {
                    Which::Full => "full list",
                    Which::Delta => "delta",
                };
                report.happened(
                    enrolment::CRL_PUBLISHED,
                    format!("{kind} {} of {}", list.number, authority.name),
                );
                self.change(&authority.name, |entry| {
                    entry.failed = None;
                    match which {
                        Which::Full => entry.full = Some(list),
                        Which::Delta => entry.delta = Some(list),
                    }
                });
                true
            }
            Ok(None) => false,
            Err(error) => {
                let message = format!("{}: {error} ({})", authority.name, error.code());
                let said = self
                    .state(&authority.name)
                    .failed
                    .is_some_and(|(before, at)| before == message && at.elapsed() < AGAIN);
                if !said {
                    report.happened(enrolment::CRL_FAILED, message.clone());
                    self.change(&authority.name, |entry| {
                        entry.failed = Some((message, Instant::now()));
                    });
                }
                false
            }
        }
    }

    /// `None` for a delta that has nothing to stand on.
    async fn make(&self, authority: &Arc<Authority>, which: Which) -> Result<Option<Arc<List>>, CaError> {
        let ca = &self.inner.ca;
        let (base, since) = match (which, self.state(&authority.name).anchor) {
            (Which::Full, _) => (None, 0),
            (Which::Delta, Some((number, revocation))) => (Some(number), revocation),
            (Which::Delta, None) => return Ok(None),
        };
        let this_update = now();
        let (revoked, last) = self.revoked(authority, (which, since), this_update).await?;
        let life = match which {
            Which::Full => FULL_LIFE,
            Which::Delta => DELTA_LIFE,
        };
        // Nobody believes a list that outlives the CA's certificate.
        let next_update = Timestamp(this_update.0 + life).min(authority.not_after);
        let delta_url = match which {
            Which::Full => delta_url(ca, &authority.name),
            Which::Delta => None,
        };
        for _ in 0..TRIES {
            let number = ca.store().pki_next_crl_number(authority.number()).await?;
            let signer = ca.signer(&authority.name)?;
            let (authority_too, revoked, delta_url) =
                (Arc::clone(authority), Arc::clone(&revoked), delta_url.clone());
            // A long list takes a while, and so does a key in hardware.
            let signed = tokio::task::spawn_blocking(move || {
                build(
                    &CrlRequest {
                        issuer: &authority_too.der,
                        number: number.unsigned_abs(),
                        base: base.map(i64::unsigned_abs),
                        this_update,
                        next_update,
                        revoked: &revoked,
                        delta_url: delta_url.as_deref(),
                    },
                    signer.algorithm(),
                    &|message| signer.sign(message).map_err(Into::into),
                )
            });
            let der = signed.await.map_err(|_| CaError::Damaged {
                what: authority.name.clone(),
                reason: "making its list was abandoned",
            })??;
            let row = CrlRow {
                number,
                base,
                revocation: last,
                this_update,
                next_update,
                der,
            };
            let list = List::of(&row);
            if ca.store().pki_crl_put(authority.number(), row).await? {
                return Ok(list);
            }
        }
        Err(CaError::Damaged {
            what: authority.name.clone(),
            reason: "another process keeps taking the numbers of its lists",
        })
    }

    /// What a list has to name, and the last revocation among it.
    async fn revoked(
        &self,
        authority: &Authority,
        (which, since): (Which, i64),
        at: Timestamp,
    ) -> Result<(Arc<Vec<Revoked>>, i64), CaError> {
        let alive_at = Timestamp(at.0 - AFTER_END);
        let (mut all, mut last) = (Vec::new(), since);
        loop {
            let page = self
                .inner
                .ca
                .revoked_since(&authority.name, last, alive_at, PAGE)
                .await?;
            let full = page.len() == PAGE as usize;
            for one in page {
                last = one.number;
                // Only a delta says that a hold was lifted; a full list says nothing of the certificate.
                if which == Which::Full && one.reason == Reason::RemoveFromCrl {
                    continue;
                }
                all.push(Revoked {
                    serial: one.serial.octets(),
                    at: one.at,
                    reason: Reason::parse(one.reason.as_str()).unwrap_or(Reason::Unspecified),
                });
            }
            if !full || all.len() > MAX_ENTRIES {
                return Ok((Arc::new(all), last));
            }
        }
    }

    fn state(&self, name: &str) -> Published {
        let lists = self.inner.lists.read().unwrap_or_else(PoisonError::into_inner);
        lists.get(name).cloned().unwrap_or_default()
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Published)) {
        let mut lists = self.inner.lists.write().unwrap_or_else(PoisonError::into_inner);
        change(lists.entry(name.to_owned()).or_default());
    }
}

/// Where the delta of a CA is, beside the full list that its certificates name.
fn delta_url(ca: &Ca, name: &str) -> Option<String> {
    let full = ca.policy().urls.crl.as_ref()?.replace("{authority}", name);
    Some(format!("{}-delta.crl", full.strip_suffix(".crl")?))
}
