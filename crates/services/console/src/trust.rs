//! What the certificates page shows besides the store: the binary reads the platform's inventory and foretells from
//! it, as `gridlatch pki forecast --platform` does; the console draws.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use gridlatch_vocab::{Code, StationId, Timestamp};

/// A certificate somebody holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRow {
    /// `true` for a root it trusts, `false` for a part of a chain it shows.
    pub anchor: bool,
    /// The kind in people's words: `V2G root`, `SECC certificate of ISO 15118-2`.
    pub kind: String,
    /// Common name; empty where it stands for a person and is not kept.
    pub subject: String,
    /// Common name of the issuer.
    pub issuer: String,
    /// SHA-256, hex; empty where the certificate is not kept.
    pub fingerprint: String,
    /// The last moment of its validity.
    pub not_after: Option<Timestamp>,
}

/// A change that a station refused, and has not taken since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRow {
    /// The campaign in which it did.
    pub campaign: String,
    /// What it was told, in words: `install V2GRootCertificate "New Root" (1a2b3c4d)`.
    pub what: String,
    /// Why it did not.
    pub message: String,
    /// The code of the refusal.
    pub code: Option<Code>,
    /// When.
    pub at: Timestamp,
}

/// Who holds what, and what of it breaks first.
#[derive(Debug, Clone, Default)]
pub struct HolderRow {
    /// Role and name: `station GL-AC-1`.
    pub name: String,
    /// The station, where it is one.
    pub station: Option<StationId>,
    /// Whether it is connected; `None` for whom that means nothing.
    pub connected: Option<bool>,
    /// When it last said or showed what it holds.
    pub as_of: Option<Timestamp>,
    /// Why it did not answer when it was last asked.
    pub failure: Option<String>,
    /// Anchors first, then chains, leaf first.
    pub certificates: Vec<CertificateRow>,
    /// OCPP's words for certificates it names that nobody knows.
    pub unknown: Vec<String>,
    /// What it refused, latest first.
    pub refused: Vec<RefusedRow>,
    /// Roots that most of its kind have and it lacks, and the other way round, in words.
    pub drift: Vec<String>,
    /// When the first of what it shows is refused by somebody, and the code.
    pub next: Option<(Timestamp, Code)>,
}

/// Something that stops working if nothing is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakRow {
    /// From when on; the time of the picture for what is broken already.
    pub at: Timestamp,
    /// What is refused, in people's words: `SECC certificate of ISO 15118-2`.
    pub kind: String,
    /// Why.
    pub cause: Code,
    /// One sentence: which certificate, why.
    pub message: String,
    /// Who shows it.
    pub shown_by: Vec<String>,
    /// Who will refuse it; empty where its own dates speak.
    pub refused_by: Vec<String>,
    /// What to do about it.
    pub remedy: String,
}

/// What is shown.
#[derive(Debug, Clone)]
pub struct TrustPicture {
    /// When it was drawn.
    pub at: Timestamp,
    /// What is soonest to break first.
    pub holders: Vec<HolderRow>,
    /// Whether there are more holders than were read.
    pub more: bool,
    /// Earliest first.
    pub breaks: Vec<BreakRow>,
    /// Stations that were asked in the round under way, and how many there are; `None` if nobody is asked now.
    pub asking: Option<(usize, usize)>,
}

/// Where the picture comes from.
pub trait Trust: Send + Sync {
    /// The picture, a few seconds old at most, or why there is none.
    fn picture(&self) -> BoxFuture<'_, Result<Arc<TrustPicture>, String>>;
    /// Has every station asked what it holds; returns at once.
    fn ask(&self);
}
