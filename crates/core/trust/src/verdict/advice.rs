//! What to do about a chain that does not hold: the ways out when a root is missing, and whether it is
//! the clock.

use gridlatch_vocab::{Timestamp, catalogue::pki};

use super::link::Link;
use super::{Case, Judgement, Missing, judge};
use crate::Verify;
use crate::build::timestamp;
use crate::certificate;
use crate::profile::Kind;

/// One way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fix {
    /// A root that is trusted here certifies the key of the chain's sub-CA 1. Not of its root: that would
    /// make four certificates, and [V2G2-009] allows three.
    CrossCertify,
    /// The station gets a second leaf from a root that is trusted here and shows the one that fits.
    SecondLeaf,
    /// The chain's root is installed here.
    InstallRoot,
    /// The peer sends the sub-CA it left out.
    SendSubCa,
}

impl Fix {
    /// The letter under which the literature on cross-certified charging knows it, or a word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::CrossCertify => "A'",
            Self::SecondLeaf => "B",
            Self::InstallRoot => "C",
            Self::SendSubCa => "send",
        }
    }
}

/// A way out, spelled out for this chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Which.
    pub fix: Fix,
    /// Who has to do what.
    pub text: String,
}

/// The ways out for a chain that ends without an anchor, the cheapest first; empty if that is not what
/// is wrong.
#[must_use]
pub fn proposals(case: &Case<'_>, judgement: &Judgement) -> Vec<Proposal> {
    if judgement.accepted.is_some() {
        return Vec::new();
    }
    let Some((tried, missing)) = judgement
        .tried
        .iter()
        .filter_map(|tried| tried.missing.as_ref().map(|missing| (tried, missing)))
        .max_by_key(|(tried, _)| tried.path.len())
    else {
        return Vec::new();
    };
    let root = match missing {
        Missing::SubCa(name) => {
            return vec![Proposal {
                fix: Fix::SendSubCa,
                text: format!("let the peer send the sub-CA {name:?} with its chain; it was left out"),
            }];
        }
        Missing::Root(name) => name,
    };
    let trusted = trusted_names(case.anchors);
    let install = Proposal {
        fix: Fix::InstallRoot,
        text: format!(
            "install the root {root:?} here, after comparing its fingerprint with its operator ({} trusted now; \
             vehicles hold at least ten [V2G2-878])",
            case.anchors.len()
        ),
    };
    if trusted.is_empty() {
        return vec![install];
    }
    // The highest CA of the chain below its root.
    let sub_ca = tried
        .path
        .iter()
        .rev()
        .find(|step| !step.anchor && step.name != *root && step.name != case.profile.row().name);
    let cross = sub_ca.map(|sub_ca| Proposal {
        fix: Fix::CrossCertify,
        text: format!(
            "let {trusted} certify the key of the sub-CA {:?} (not of the root {root:?}: that path would be too \
             long [V2G2-009]); the peer then sends that certificate in place of its own",
            sub_ca.name
        ),
    });
    let second = Proposal {
        fix: Fix::SecondLeaf,
        text: format!(
            "give the peer a second leaf issued under {trusted}, which it shows to those who trust no other root"
        ),
    };
    if case.profile.kind == Kind::SeccLeaf {
        // The station's side can act at once; a vehicle is reached over the air, if at all.
        cross.into_iter().chain([second, install]).collect()
    } else {
        [install].into_iter().chain(cross).collect()
    }
}

/// Up to three names of anchors, as one phrase.
fn trusted_names(anchors: &[Vec<u8>]) -> String {
    let names: Vec<String> = anchors
        .iter()
        .take(3)
        .filter_map(|der| certificate::parse(der).ok())
        .filter_map(|anchor| certificate::names(&anchor.tbs_certificate.subject).common_name)
        .map(|name| format!("{name:?}"))
        .collect();
    names.join(" or ")
}

/// Whether another time would make the chain hold: by how many days, at least, the clock here would
/// have to be ahead (positive) or behind (negative). `None` if time is not what is wrong.
#[must_use]
pub fn clock_hint(case: &Case<'_>, judgement: &Judgement, verifier: &dyn Verify) -> Option<i64> {
    let reason = judgement.reason()?;
    let links = case.chain.iter().filter_map(|der| Link::read(der, 0).ok());
    let ends: Vec<(Timestamp, Timestamp)> = links
        .map(|link| {
            let validity = &link.certificate.tbs_certificate.validity;
            (timestamp(&validity.not_before), link.end())
        })
        .collect();
    let other = if reason.code == pki::EXPIRED {
        ends.iter().map(|(_, end)| *end).min()?
    } else if reason.code == pki::NOT_YET_VALID {
        ends.iter().map(|(start, _)| *start).max()?
    } else {
        return None;
    };
    let then = Case { now: other, ..*case };
    judge(&then, verifier).accepted?;
    let seconds = (case.now.0 - other.0).whole_seconds();
    // Rounded away from zero: one second is a day too.
    const DAY: i64 = 86_400;
    Some(if seconds >= 0 {
        seconds.saturating_add(DAY - 1) / DAY
    } else {
        seconds.saturating_sub(DAY - 1) / DAY
    })
}
