//! What is known about revocation, and what is asked of it.

use gridlatch_vocab::{Code, Timestamp, catalogue::revocation};
use thiserror::Error;
use time::Duration;

use super::link::Link;
use super::{Checked, MAX_SIGNATURES, Rejected};
use crate::Verify;
use crate::crl::{self, Crl, CrlError};
use crate::ocsp::{self, NonceRule, OcspError, Response};
use crate::revocation::{Reason, Status, trim};

/// Where an OCSP answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The peer showed it in the handshake.
    Stapled,
    /// Kept from an earlier question.
    Cached,
    /// Just asked.
    Fetched,
}

impl Source {
    /// The lower-case word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stapled => "stapled",
            Self::Cached => "cached",
            Self::Fetched => "fetched",
        }
    }
}

/// What to do where nothing is known about a certificate's revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// Do not believe the chain.
    Refuse,
    /// Believe it; [`Checked`] says that nothing was known.
    Accept,
    /// Believe it while the last answer has not been overdue for longer than this; refuse it where there
    /// never was one.
    AcceptWithin(Duration),
}

/// What is asked of revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// What to do about the unknown.
    pub unknown: Unknown,
    /// Whether the leaf is asked about.
    pub leaf: bool,
    /// Whether the CAs between leaf and anchor are asked about.
    pub sub_cas: bool,
    /// How old a list or an answer may be, whatever it says of itself.
    pub max_age: Option<Duration>,
}

impl Policy {
    /// Revocation is not asked about at all.
    pub const NOT_ASKED: Self = Self {
        unknown: Unknown::Accept,
        leaf: false,
        sub_cas: false,
        max_age: None,
    };

    /// Nothing is believed about whose revocation nothing is known.
    pub const STRICT: Self = Self {
        unknown: Unknown::Refuse,
        leaf: true,
        sub_cas: true,
        max_age: None,
    };

    pub(super) const fn asks(&self, depth: usize) -> bool {
        if depth == 0 { self.leaf } else { self.sub_cas }
    }
}

/// Everything below the anchor is asked about. What is known to be revoked is refused, also by a list
/// that has run out; where nothing is known the chain is believed and [`Checked`] says so, because a
/// station that cannot reach a responder must still be able to charge.
impl Default for Policy {
    fn default() -> Self {
        Self {
            unknown: Unknown::Accept,
            ..Self::STRICT
        }
    }
}

/// Lists and answers at hand. Nothing in it is believed before the path that ends in an anchor says who
/// had to sign it.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    lists: Vec<Crl>,
    answers: Vec<(Source, Response)>,
}

/// A list or an answer was not taken up.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EvidenceError {
    /// Not a usable list.
    #[error(transparent)]
    Crl(#[from] CrlError),
    /// Not an answer.
    #[error(transparent)]
    Ocsp(#[from] OcspError),
    /// There are [`Evidence::MAX`] already.
    #[error("more than {} lists or answers for one verdict", Evidence::MAX)]
    TooMany,
}

impl EvidenceError {
    /// The row of the catalogue.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Crl(error) => error.code(),
            Self::Ocsp(error) => error.code(),
            Self::TooMany => revocation::TOO_LARGE,
        }
    }
}

impl Evidence {
    /// How many lists, and how many answers, serve one verdict.
    pub const MAX: usize = MAX_EVIDENCE;

    /// Takes up a list (DER), full or delta.
    ///
    /// # Errors
    /// Not a usable list, or too many.
    pub fn add_crl(&mut self, der: &[u8]) -> Result<(), EvidenceError> {
        if self.lists.len() == MAX_EVIDENCE {
            return Err(EvidenceError::TooMany);
        }
        self.lists.push(crl::parse(der)?);
        Ok(())
    }

    /// Takes up an OCSP answer (DER).
    ///
    /// # Errors
    /// Not an answer, or too many.
    pub fn add_ocsp(&mut self, der: &[u8], source: Source) -> Result<(), EvidenceError> {
        if self.answers.len() == MAX_EVIDENCE {
            return Err(EvidenceError::TooMany);
        }
        self.answers.push((source, ocsp::parse_response(der)?));
        Ok(())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty() && self.answers.is_empty()
    }

    /// Takes up what `other` holds, as far as there is room; what there was before counts first.
    ///
    /// # Errors
    /// Something found no room.
    pub fn merge(&mut self, other: Self) -> Result<(), EvidenceError> {
        let lists = MAX_EVIDENCE - self.lists.len();
        let answers = MAX_EVIDENCE - self.answers.len();
        let fits = other.lists.len() <= lists && other.answers.len() <= answers;
        self.lists.extend(other.lists.into_iter().take(lists));
        self.answers.extend(other.answers.into_iter().take(answers));
        if fits { Ok(()) } else { Err(EvidenceError::TooMany) }
    }

    /// What is known about `link`, issued by `issuer`.
    pub(super) fn about(
        &self,
        link: &Link<'_>,
        issuer: &Link<'_>,
        now: Timestamp,
        policy: &Policy,
        verifier: &dyn Verify,
        signatures: &mut usize,
    ) -> Known {
        let mut known = Known::default();
        self.by_lists(link, issuer, (now, policy), verifier, signatures, &mut known);
        self.by_answers(link, issuer, (now, policy), verifier, signatures, &mut known);
        known
    }

    fn by_lists(
        &self,
        link: &Link<'_>,
        issuer: &Link<'_>,
        (now, policy): (Timestamp, &Policy),
        verifier: &dyn Verify,
        signatures: &mut usize,
        known: &mut Known,
    ) {
        let serial = link.certificate.tbs_certificate.serial_number.as_bytes();
        let usable: Vec<&Crl> = self
            .lists
            .iter()
            .filter(|list| list.covers(&link.certificate))
            .filter(|list| {
                if !spend(signatures) {
                    known.doubt("too many signatures were checked already");
                    return false;
                }
                let authentic = list.authentic(&issuer.certificate, verifier);
                authentic.map_err(|error| known.doubt(error)).is_ok()
            })
            .collect();
        for list in &usable {
            let base = usable
                .iter()
                .any(|full| list.base().is_some() && list.completes(full));
            if list.base().is_some() && !base {
                // Alone a delta cannot clear anybody, but it can condemn.
                if let Status::Revoked { at, reason } = list.status_of_content(serial) {
                    known.revoked(at, reason, list_name(list), list.this_update());
                }
                continue;
            }
            match list.status_of_content(serial) {
                Status::Revoked { at, reason } => {
                    known.revoked(at, reason, list_name(list), list.this_update());
                }
                Status::Unknown => {}
                Status::Good => {
                    let age = (list.this_update(), list.next_update());
                    known.good(age, now, policy, list_name(list));
                }
            }
        }
    }

    fn by_answers(
        &self,
        link: &Link<'_>,
        issuer: &Link<'_>,
        (now, policy): (Timestamp, &Policy),
        verifier: &dyn Verify,
        signatures: &mut usize,
        known: &mut Known,
    ) {
        let serial = trim(link.certificate.tbs_certificate.serial_number.as_bytes());
        for (source, answer) in &self.answers {
            // Cheap first: an answer about another certificate is no reason for doubt.
            let Ok(single) = ocsp::about(answer, &issuer.certificate, serial) else {
                continue;
            };
            if !spend(signatures) {
                known.doubt("too many signatures were checked already");
                continue;
            }
            let by = format!("a {} OCSP answer", source.as_str());
            if let Err(error) =
                ocsp::authentic(answer, &issuer.certificate, NonceRule::NotSent, now, verifier)
            {
                known.doubt(error);
                continue;
            }
            match single.status {
                Status::Revoked { at, reason } => known.revoked(at, reason, by, single.this_update),
                Status::Good => known.good((single.this_update, single.next_update), now, policy, by),
                Status::Unknown => known.doubt("the OCSP responder does not know the certificate"),
            }
        }
    }
}

/// Lists, and answers, of one verdict.
const MAX_EVIDENCE: usize = 32;

fn list_name(list: &Crl) -> String {
    let kind = if list.base().is_some() {
        "delta list"
    } else {
        "list"
    };
    list.number().map_or_else(
        || format!("the {kind} of {:?}", list.issuer_name()),
        |number| format!("the {kind} {number} of {:?}", list.issuer_name()),
    )
}

/// The budget of the verdict covers lists and answers too, with as much again.
fn spend(signatures: &mut usize) -> bool {
    *signatures += 1;
    *signatures <= 2 * MAX_SIGNATURES
}

/// What lists and answers say together.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The latest word that it is revoked: when, why, by what, as of when.
    revoked: Option<(Timestamp, Reason, String, Timestamp)>,
    /// The latest word that it is not, and as of when.
    good: Option<(String, Timestamp)>,
    /// The least overdue word that it is not.
    overdue: Option<(Duration, String)>,
    doubts: Vec<String>,
}

impl Known {
    /// Since when it is revoked and why, if it is.
    pub(super) fn since(&self) -> Option<(Timestamp, Reason)> {
        self.revoked.as_ref().map(|(at, reason, _, _)| (*at, *reason))
    }

    fn doubt(&mut self, why: impl core::fmt::Display) {
        self.doubts.push(why.to_string());
    }

    fn revoked(&mut self, at: Timestamp, reason: Reason, by: String, as_of: Timestamp) {
        if self
            .revoked
            .as_ref()
            .is_none_or(|(_, _, _, earlier)| *earlier < as_of)
        {
            self.revoked = Some((at, reason, by, as_of));
        }
    }

    fn good(
        &mut self,
        (this, next): (Timestamp, Option<Timestamp>),
        now: Timestamp,
        policy: &Policy,
        by: String,
    ) {
        use crate::revocation::{MAX_AGE, SKEW};
        if this.0 > now.0.saturating_add(SKEW) {
            return self.doubt(format!("{by} is of {this}, which is in the future"));
        }
        let mut end = next.map_or_else(|| this.0.saturating_add(MAX_AGE), |next| next.0);
        if let Some(age) = policy.max_age {
            end = end.min(this.0.saturating_add(age));
        }
        let overdue = now.0 - end;
        if overdue <= SKEW {
            if self.good.as_ref().is_none_or(|(_, earlier)| *earlier < this) {
                self.good = Some((by, this));
            }
            return;
        }
        self.doubt(format!("{by} ran out at {}", Timestamp(end)));
        if self.overdue.as_ref().is_none_or(|(best, _)| overdue < *best) {
            self.overdue = Some((overdue, by));
        }
    }

    /// What the policy makes of it.
    pub(super) fn decide(self, link: &Link<'_>, depth: usize, policy: &Policy) -> Result<Checked, Rejected> {
        let checked = |status, because| Checked {
            depth,
            status,
            because,
        };
        if let Some((at, reason, by, as_of)) = &self.revoked {
            // A suspension may be lifted: a later word that all is well counts. Nothing else is undone.
            let lifted = *reason == Reason::CertificateHold
                && self.good.as_ref().is_some_and(|(_, later)| later > as_of);
            if !lifted {
                let why = format!("was revoked at {at} ({reason}), says {by}");
                return Err(link.rejected(revocation::REVOKED, depth, &why));
            }
        }
        if let Some((by, _)) = self.good {
            return Ok(checked(Status::Good, by));
        }
        let why = if self.doubts.is_empty() {
            "no revocation list and no OCSP answer of its issuer is at hand".to_owned()
        } else {
            self.doubts.join("; ")
        };
        let tolerated = match policy.unknown {
            Unknown::Refuse => false,
            Unknown::Accept => true,
            Unknown::AcceptWithin(limit) => self.overdue.is_some_and(|(overdue, _)| overdue <= limit),
        };
        if tolerated {
            Ok(checked(Status::Unknown, why))
        } else {
            let why = format!("whether it was revoked is not known: {why}");
            Err(link.rejected(revocation::UNKNOWN, depth, &why))
        }
    }
}

/// The hosts from which revocation may be fetched. A certificate names its own responder, and whoever
/// made it could name any machine of this network: nothing is fetched from places nobody here allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedPlaces {
    hosts: Vec<String>,
}

impl AllowedPlaces {
    /// `host` or `host:port` each; without a port, 80 is meant.
    #[must_use]
    pub fn new(hosts: impl IntoIterator<Item = String>) -> Self {
        let with_port = |host: String| {
            let host = host.trim().to_ascii_lowercase();
            let bare = host.rsplit(']').next().unwrap_or_default();
            if bare.contains(':') {
                host
            } else {
                format!("{host}:80")
            }
        };
        Self {
            hosts: hosts.into_iter().map(with_port).collect(),
        }
    }

    /// The host with port and the path of `url`, if it is plain HTTP to an allowed place. Revocation is
    /// signed by itself, and asking for it over TLS would need revocation first.
    #[must_use]
    pub fn allows<'u>(&self, url: &'u str) -> Option<(String, &'u str)> {
        let rest = url.strip_prefix("http://")?;
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let fine = url.len() <= MAX_URL
            && url.bytes().all(|octet| octet.is_ascii_graphic())
            && !authority.contains(['@', '\\', '?', '#'])
            && !path.contains('#');
        let authority = authority.to_ascii_lowercase();
        let bare = authority.rsplit(']').next().unwrap_or_default();
        let authority = if bare.contains(':') {
            authority
        } else {
            format!("{authority}:80")
        };
        (fine && self.hosts.contains(&authority)).then_some((authority, path))
    }
}

/// The longest address that is fetched, in characters: a question in a GET is part of it.
const MAX_URL: usize = 2048;
