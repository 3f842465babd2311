//! Evidence for a verdict: for each certificate of a path its OCSP answer, or else its issuer's list.

use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use gridlatch_trust::certificate;
use gridlatch_trust::crl;
use gridlatch_trust::ocsp::{self, CertId, Hash};
use gridlatch_trust::verdict::{AllowedPlaces, Evidence, Source};
use hyper::body::Bytes;

use crate::cache::{Cache, Known};
use crate::http::{FetchError, Fetcher};

/// What is fetched from where, and how long it is kept.
#[derive(Debug, Clone)]
pub struct RevocationConfig {
    /// From where.
    pub places: AllowedPlaces,
    /// Who is asked about a certificate that names no responder itself.
    pub default_responder: Option<String>,
    /// How long one request may take.
    pub limit: Duration,
    /// How long an answer is used without asking again: after it at the latest a revocation is seen.
    pub keep: Duration,
}

impl RevocationConfig {
    /// Three seconds a request, so that a driver does not wait; one minute until a revocation is seen.
    #[must_use]
    pub const fn new(places: AllowedPlaces) -> Self {
        Self {
            places,
            default_responder: None,
            limit: Duration::from_secs(3),
            keep: Duration::from_secs(60),
        }
    }
}

/// How long a place that did not answer is left alone.
const PAUSE: Duration = Duration::from_secs(10);

/// Why nothing new is known about a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Where it stands on the path, 0 for the leaf.
    pub depth: usize,
    /// What was tried and how it failed.
    pub why: String,
}

/// What was gathered.
#[derive(Debug, Clone, Default)]
pub struct Gathered {
    /// For the verdict.
    pub evidence: Evidence,
    /// What could not be had.
    pub notes: Vec<Note>,
}

/// Gathers evidence, with a memory. Cheap to clone; all clones share the memory.
#[derive(Debug, Clone)]
pub struct Revocation(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    fetcher: Fetcher,
    default_responder: Option<String>,
    keep: Duration,
    cache: Cache,
}

impl Revocation {
    /// Nothing is fetched before it is needed.
    #[must_use]
    pub fn new(config: RevocationConfig) -> Self {
        Self(Arc::new(Inner {
            fetcher: Fetcher::new(config.places, config.limit),
            default_responder: config.default_responder,
            keep: config.keep,
            cache: Cache::default(),
        }))
    }

    /// What is known about each certificate of `path` (DER, leaf first, without `anchor`), which issued
    /// its last. All are asked about at once.
    pub async fn gather(&self, path: &[Vec<u8>], anchor: &[u8]) -> Gathered {
        let mut asking = tokio::task::JoinSet::new();
        let issuers = path.iter().skip(1).map(Vec::as_slice).chain([anchor]);
        for (depth, (subject, issuer)) in path.iter().zip(issuers).enumerate().take(Evidence::MAX) {
            let (this, subject, issuer) = (self.clone(), subject.clone(), issuer.to_vec());
            asking.spawn(async move { (depth, this.about(&subject, &issuer).await) });
        }
        let mut found: Vec<_> = asking.join_all().await;
        found.sort_by_key(|(depth, _)| *depth);
        let mut gathered = Gathered::default();
        for (depth, (proofs, notes)) in found {
            gathered
                .notes
                .extend(notes.into_iter().map(|why| Note { depth, why }));
            for proof in proofs {
                let taken = match &proof {
                    Proof::Answer(der, source) => gathered.evidence.add_ocsp(der, *source),
                    Proof::List(der) => gathered.evidence.add_crl(der),
                };
                if let Err(error) = taken {
                    gathered.notes.push(Note {
                        depth,
                        why: error.to_string(),
                    });
                }
            }
        }
        gathered
    }

    /// The OCSP answer (DER) about `subject` of `issuer`, for stapling: always asked anew.
    ///
    /// # Errors
    /// The certificate names no responder, or what [`Fetcher::post`] says; the answer is not an answer.
    pub async fn staple(&self, subject: &[u8], issuer: &[u8]) -> Result<Vec<u8>, String> {
        let asked = question(subject, issuer, self.0.default_responder.as_deref());
        let (url, question) = asked.ok_or("the certificate names no OCSP responder")?;
        let body = self
            .ask(&url, question)
            .await
            .map_err(|error| error.to_string())?;
        ocsp::parse_response(&body).map_err(|error| error.to_string())?;
        Ok(body.to_vec())
    }

    async fn about(&self, subject: &[u8], issuer: &[u8]) -> (Vec<Proof>, Vec<String>) {
        let mut notes = Vec::new();
        let mut old = Vec::new();
        match question(subject, issuer, self.0.default_responder.as_deref()) {
            None => notes.push("it names no OCSP responder".to_owned()),
            Some((url, question)) => {
                let key = [url.as_bytes(), b"\n", &question].concat();
                let asked = self.remembered(
                    (key, &url),
                    || self.ask(&url, question.clone()),
                    |body| {
                        ocsp::parse_response(body)
                            .map(drop)
                            .map_err(|error| error.to_string())
                    },
                );
                match asked.await {
                    (Some((body, fresh)), None) => {
                        let source = if fresh { Source::Fetched } else { Source::Cached };
                        return (vec![Proof::Answer(body, source)], notes);
                    }
                    (stale, why) => {
                        old.extend(stale.map(|(body, _)| Proof::Answer(body, Source::Cached)));
                        notes.extend(why);
                    }
                }
            }
        }
        for url in crl::distribution_points(subject).into_iter().take(MAX_POINTS) {
            let fetch = || self.0.fetcher.get(&url, crl::MAX_OCTETS);
            let asked = self.remembered((url.as_bytes().to_vec(), &url), fetch, |body| {
                crl::parse(body).map(drop).map_err(|error| error.to_string())
            });
            match asked.await {
                (Some((body, _)), None) => return (vec![Proof::List(body)], notes),
                (stale, why) => {
                    old.extend(stale.map(|(body, _)| Proof::List(body)));
                    notes.extend(why);
                }
            }
        }
        // What was known earlier may still be within what the policy allows.
        (old, notes)
    }

    async fn ask(&self, url: &str, question: Vec<u8>) -> Result<Bytes, FetchError> {
        let fetcher = &self.0.fetcher;
        fetcher
            .post(url, "application/ocsp-request", question, ocsp::MAX_RESPONSE)
            .await
    }

    /// The remembered body, or a new one that `usable` accepts; with the failure, if there was one, an
    /// older body may come along. The flag says whether it was fetched just now.
    async fn remembered<F>(
        &self,
        (key, url): (Vec<u8>, &str),
        fetch: impl FnOnce() -> F,
        usable: impl FnOnce(&[u8]) -> Result<(), String>,
    ) -> (Option<(Bytes, bool)>, Option<String>)
    where
        F: Future<Output = Result<Bytes, FetchError>>,
    {
        let cache = &self.0.cache;
        let old = match cache.find(&key, Instant::now()) {
            Known::Fresh(body) => return (Some((body, false)), None),
            Known::Failing(old) => {
                return (
                    old.map(|old| (old, false)),
                    Some(format!("{url} gave no answer a moment ago")),
                );
            }
            Known::Ask(old) => old,
        };
        let fetched = fetch().await.map_err(|error| error.to_string());
        match fetched.and_then(|body| usable(&body).map(|()| body)) {
            Ok(body) => {
                cache.keep(key, body.clone(), Instant::now(), self.0.keep);
                (Some((body, true)), None)
            }
            Err(why) => {
                cache.failed(key, Instant::now(), PAUSE);
                (old.map(|old| (old, false)), Some(why))
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        self.0.cache.len()
    }
}

/// Distribution points that are tried for one certificate.
const MAX_POINTS: usize = 2;

enum Proof {
    Answer(Bytes, Source),
    List(Bytes),
}

/// Where to ask about `subject` of `issuer`, and what. Without a nonce, so that a responder may answer
/// with what it signed ahead (RFC 5019); age is judged by the answer's dates.
fn question(subject: &[u8], issuer: &[u8], default: Option<&str>) -> Option<(String, Vec<u8>)> {
    let named = certificate::hash_data(subject, issuer).ok()?.responder_url;
    let url = named.or_else(|| default.map(str::to_owned))?;
    let serial = certificate::serial(subject).ok()?;
    // SHA-1 here names a certificate and proves nothing; every responder knows it.
    let id = CertId::new(issuer, &serial, Hash::Sha1).ok()?;
    let question = ocsp::build_request(&ocsp::Request {
        ids: vec![id],
        nonce: None,
    });
    Some((url, question.ok()?))
}
