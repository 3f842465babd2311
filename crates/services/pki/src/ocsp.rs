//! The OCSP responder (RFC 6960, with the caching of RFC 5019): answers about every certificate of every CA
//! here, each signed by that CA's own delegated signer.
//!
//! What is asked without a nonce is answered from memory: signed once, renewed before it runs out for as
//! long as somebody asks, and dropped the moment the certificate is revoked, by this process or another one
//! on the same store. What carries a nonce is signed while the client waits, in bounded number; the status it
//! tells is remembered as long as an answer would be.
//!
//! Deliberately absent: DER (`core/trust`), and any opinion about certificates of other CAs.

mod cache;
mod desk;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::body::Bytes;
use gridlatch_host::{Shutdown, now};
use gridlatch_keys::KeyAlgorithm;
use gridlatch_trust::build::BuildError;
use gridlatch_trust::ocsp::{self, CertId, Kind, OcspError, Request, Single};
use gridlatch_trust::revocation::{Reason, Status};
use gridlatch_vocab::catalogue::enrolment;
use gridlatch_vocab::{Code, Timestamp};
use tokio::sync::{Mutex, Semaphore};

pub(crate) use self::wire::fuzz_path;
use crate::ca::{Ca, CaError, Serial};
use crate::http::Report;
use cache::{Answer, Cache};
use desk::{Desk, Desks};

/// How long an answer is good for: how old what a client believes may be.
pub const LIFE: Duration = Duration::from_secs(3600);
/// How often answers that run out are looked for.
const TICK: Duration = Duration::from_secs(30);
/// How often revocations of other processes are looked for.
const WATCH: Duration = Duration::from_millis(200);
/// How many requests may wait for a signature.
const WAITING: usize = 256;
/// Revocations read at once.
const PAGE: u32 = 1_000;

/// The responder; cheap to clone.
#[derive(Debug, Clone)]
pub struct Responder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    ca: Ca,
    report: Report,
    desks: ArcSwap<Desks>,
    cache: Cache,
    /// Signatures that may be made at the same time: one per core.
    signing: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// The last revocation whose answer was dropped.
    seen: Mutex<i64>,
    /// How many revocations of this process that covers. Read with every request, so no lock.
    seen_here: AtomicU64,
}

/// Why there is no signed answer.
#[derive(Debug)]
pub(crate) struct NoAnswer {
    kind: Kind,
    why: Option<(Code, String)>,
}

impl NoAnswer {
    fn failed(error: &CaError) -> Self {
        Self {
            kind: Kind::TryLater,
            why: Some((enrolment::OCSP_UNAVAILABLE, format!("{error} ({})", error.code()))),
        }
    }
}

impl Responder {
    /// Starts answering for every CA of `ca`, and keeps answers fresh until `stop`.
    ///
    /// # Errors
    /// The store fails.
    pub async fn start(ca: Ca, report: Report, stop: Shutdown) -> Result<Self, CaError> {
        let here = ca.revocations_here();
        let last = ca.store().pki_last_revocation_of_any().await?;
        let desks = Desks::open(&ca, &report, &Desks::default()).await;
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let this = Self {
            inner: Arc::new(Inner {
                report,
                desks: ArcSwap::from_pointee(desks),
                cache: Cache::default(),
                signing: Arc::new(Semaphore::new(cores)),
                waiting: AtomicUsize::new(0),
                seen: Mutex::new(last),
                seen_here: AtomicU64::new(here),
                ca,
            }),
        };
        tokio::spawn(this.clone().keep(stop));
        Ok(this)
    }

    /// Its paths: `POST /ocsp` and `GET /ocsp/{request}`.
    pub fn router(&self) -> axum::Router {
        wire::router(self.clone())
    }

    /// The answer to a request in DER; errors of the protocol are answers too.
    pub(crate) async fn answer(&self, request: &[u8]) -> Result<Arc<Answer>, NoAnswer> {
        self.catch_up_here().await;
        let at = now();
        if let Some(answer) = self.inner.cache.find(request, at) {
            return Ok(answer);
        }
        let asked = ocsp::parse_request(request).map_err(|error| NoAnswer {
            kind: match error {
                OcspError::Hash(_) => Kind::Unauthorized,
                _ => Kind::MalformedRequest,
            },
            why: Some((enrolment::OCSP_MALFORMED, error.to_string())),
        })?;
        self.sign(request, asked).await
    }

    /// Looks everything up, signs, and keeps the answer if it can serve again.
    async fn sign(&self, request: &[u8], asked: Request) -> Result<Arc<Answer>, NoAnswer> {
        let inner = &self.inner;
        let desks = inner.desks.load_full();
        // An answer whose statuses were read before a revocation must not be kept after it.
        let epoch = inner.cache.epoch();
        let at = now();
        let next_update = Timestamp(at.0 + LIFE);
        let mut singles = Vec::with_capacity(asked.ids.len());
        let mut signer: Option<&Desk> = None;
        for id in asked.ids {
            let desk = desks.find(&id);
            signer = signer.or(desk);
            let status = match desk {
                Some(desk) => self
                    .status(desk, &id, at, epoch)
                    .await
                    .map_err(|e| NoAnswer::failed(&e))?,
                None => Status::Unknown,
            };
            singles.push(Single {
                id,
                status,
                this_update: at,
                next_update: Some(next_update),
            });
        }
        // Nobody's certificate: RFC 6960, 2.2 calls it unknown, which somebody has to sign.
        let Some(signer) = signer.or_else(|| desks.any()) else {
            return Err(NoAnswer {
                kind: Kind::Unauthorized,
                why: None,
            });
        };
        let keep = match singles.as_slice() {
            [single] if asked.nonce.is_none() && single.status != Status::Unknown => {
                Serial::from_octets(&single.id.serial).map(|serial| (signer.number, serial))
            }
            _ => None,
        };
        let cacheable = asked.nonce.is_none();
        let der = self.signature(signer, at, singles, asked.nonce).await?;
        let answer = Arc::new(Answer::new(der, at, cacheable.then_some(next_update)));
        if let Some(key) = keep {
            inner.cache.keep(request, key, &answer, epoch);
        }
        Ok(answer)
    }

    /// What the CA's books say, remembered until they change.
    async fn status(&self, desk: &Desk, id: &CertId, at: Timestamp, epoch: u64) -> Result<Status, CaError> {
        let inner = &self.inner;
        // A serial number that this CA cannot have given.
        let Some(serial) = Serial::from_octets(&id.serial) else {
            return Ok(Status::Unknown);
        };
        let key = (desk.number, serial);
        if let Some(status) = inner.cache.status(key, at) {
            return Ok(status);
        }
        let status = match inner.ca.status(&desk.name, serial).await? {
            // Not remembered: it may be issued the next moment, and anybody can think of numbers.
            None => return Ok(Status::Unknown),
            Some(None) => Status::Good,
            Some(Some((at, reason))) => Status::Revoked {
                at,
                reason: Reason::parse(reason.as_str()).unwrap_or(Reason::Unspecified),
            },
        };
        inner.cache.keep_status(key, status, at, epoch);
        Ok(status)
    }

    /// One signature, when it is its turn.
    async fn signature(
        &self,
        desk: &Desk,
        at: Timestamp,
        singles: Vec<Single>,
        nonce: Option<Vec<u8>>,
    ) -> Result<Vec<u8>, NoAnswer> {
        let inner = &self.inner;
        let place = Place::take(&inner.waiting).ok_or_else(|| NoAnswer {
            kind: Kind::TryLater,
            why: Some((
                enrolment::OCSP_BUSY,
                format!("{WAITING} requests wait for a signature"),
            )),
        })?;
        let unavailable = |message: String| NoAnswer {
            kind: Kind::TryLater,
            why: Some((enrolment::OCSP_UNAVAILABLE, message)),
        };
        let turn = Arc::clone(&inner.signing).acquire_owned().await;
        drop(place);
        let Ok(turn) = turn else {
            return Err(unavailable("the responder has stopped".to_owned()));
        };
        let signer = desk
            .signer()
            .ok_or_else(|| unavailable(format!("{} has no OCSP signer", desk.name)))?;
        let quick = signer.key.as_file().is_some() && signer.key.algorithm() == KeyAlgorithm::P256;
        let sign = move || -> Result<Vec<u8>, BuildError> {
            let _turn = turn;
            let der = signer.der.clone();
            ocsp::build_response(
                &signer.der,
                at,
                &singles,
                nonce.as_deref(),
                &[der],
                signer.key.algorithm(),
                &|message| signer.key.sign(message).map_err(Into::into),
            )
        };
        // A P-256 signature in memory takes less than handing it to another thread; every other takes longer, and
        // a key in hardware blocks for as long as it takes.
        let made = if quick {
            Ok(sign())
        } else {
            tokio::task::spawn_blocking(sign).await
        };
        match made {
            Ok(Ok(der)) => Ok(der),
            Ok(Err(error)) => Err(unavailable(format!("{}: {error}", desk.name))),
            Err(_) => Err(unavailable("the signature was abandoned".to_owned())),
        }
    }

    /// Drops answers about what this process has revoked since the last look.
    async fn catch_up_here(&self) {
        let inner = &self.inner;
        if inner.seen_here.load(Ordering::Acquire) != inner.ca.revocations_here() {
            self.catch_up().await;
        }
    }

    /// Drops answers about everything that was revoked since the last look, by anybody.
    async fn catch_up(&self) {
        let inner = &self.inner;
        let mut seen = inner.seen.lock().await;
        let count = inner.ca.revocations_here();
        loop {
            match inner.ca.store().pki_revoked_after(*seen, PAGE).await {
                Ok(revoked) => {
                    for (number, authority, serial) in &revoked {
                        inner.cache.drop_one(*authority, Serial::from_stored(*serial));
                        *seen = *number;
                    }
                    if revoked.len() < PAGE as usize {
                        inner.seen_here.store(count, Ordering::Release);
                        return;
                    }
                }
                Err(error) => {
                    // Nothing from memory may be told while it is not known what was revoked.
                    inner.cache.clear();
                    inner.report.happened(
                        enrolment::OCSP_UNAVAILABLE,
                        format!("revocations cannot be read: {error}"),
                    );
                    return;
                }
            }
        }
    }

    /// Watches for revocations, renews answers and signers.
    async fn keep(self, stop: Shutdown) {
        let mut watch = tokio::time::interval(WATCH);
        let mut tick = tokio::time::interval(TICK);
        tick.tick().await;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = watch.tick() => self.catch_up().await,
                _ = tick.tick() => self.refresh().await,
            }
        }
    }

    /// Signs anew what is asked for and past half its life, and forgets what nobody asked for.
    async fn refresh(&self) {
        let inner = &self.inner;
        if inner.ca.reload().await.is_ok() {
            let before = inner.desks.load_full();
            let desks = Desks::open(&inner.ca, &inner.report, &before).await;
            inner.desks.store(desks.into());
        }
        for request in inner.cache.due(now()) {
            if let Ok(asked) = ocsp::parse_request(&request) {
                // An error leaves the old answer until it runs out; the report has been made below.
                if let Err(NoAnswer {
                    why: Some((code, message)),
                    ..
                }) = self.sign(&request, asked).await
                {
                    inner.report.happened(code, message);
                    return;
                }
            }
        }
    }
}

/// One of the places of those who wait.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let taken = waiting.fetch_add(1, Ordering::AcqRel);
        let place = Self(waiting);
        (taken < WAITING).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// An answer as it goes over the wire.
pub(crate) fn error_bytes(kind: Kind) -> Bytes {
    Bytes::from(ocsp::error_response(kind))
}
