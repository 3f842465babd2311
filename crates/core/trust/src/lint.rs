//! Comparing a certificate with its profile.

use gridlatch_vocab::{Code, catalogue::pki};
use x509_cert::TbsCertificate;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};

use crate::build::{purpose_oid, timestamp};
use crate::certificate;
use crate::profile::{Authority, Profile, Row};

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The row of the catalogue.
    pub code: Code,
    /// What is wrong, with the clause. Holds no personal data: names are not repeated.
    pub message: String,
}

fn fault(faults: &mut Vec<Fault>, code: Code, message: String) {
    faults.push(Fault { code, message });
}

/// Every rule of the profile that a certificate about to be issued breaks. `octets` is its size.
#[must_use]
pub fn lint(tbs: &TbsCertificate, octets: usize, profile: Profile) -> Vec<Fault> {
    let row = profile.row();
    let mut faults = accept(tbs, octets, profile);
    let names = certificate::names(&tbs.subject);
    match &names.common_name {
        Some(name) if row.common_name.accepts(name) => {}
        _ => fault(
            &mut faults,
            pki::COMMON_NAME,
            format!(
                "the common name is not {} ({})",
                row.common_name.rule(),
                row.clause
            ),
        ),
    }
    if names.domain_component.as_deref() != row.domain_component && !row.domain_component_required {
        fault(
            &mut faults,
            pki::DOMAIN_COMPONENT,
            format!(
                "the domain component is not {:?} ({})",
                row.domain_component, row.clause
            ),
        );
    }
    let lifetime = timestamp(&tbs.validity.not_after).0 - timestamp(&tbs.validity.not_before).0;
    if lifetime > time::Duration::days(i64::from(row.max_days)) {
        fault(
            &mut faults,
            pki::LIFETIME,
            format!(
                "{} days are more than the {} of {}",
                lifetime.whole_days(),
                row.max_days,
                row.clause
            ),
        );
    }
    if !key_usage(tbs).is_some_and(|(critical, bits)| critical && bits == row.issued_usage) {
        fault(
            &mut faults,
            pki::KEY_USAGE,
            format!("key usage is not exactly that of {}", row.clause),
        );
    }
    faults
}

/// Every rule that makes a certificate of this profile invalid wherever it comes from. More lenient
/// than [`lint`] where standards leave room and real certificates use it.
#[must_use]
pub fn accept(tbs: &TbsCertificate, octets: usize, profile: Profile) -> Vec<Fault> {
    let row = profile.row();
    let mut faults = Vec::new();
    if octets > profile.max_octets() {
        fault(
            &mut faults,
            pki::TOO_LARGE,
            format!(
                "{octets} octets are more than the {} allowed for a {profile}",
                profile.max_octets()
            ),
        );
    }
    let algorithm = certificate::key_algorithm(&tbs.subject_public_key_info);
    if !algorithm.is_some_and(|algorithm| profile.algorithms().contains(&algorithm)) {
        fault(
            &mut faults,
            pki::WRONG_CURVE,
            format!(
                "the key is {}, a {profile} needs {}",
                certificate::key_kind(&tbs.subject_public_key_info),
                profile
                    .algorithms()
                    .iter()
                    .map(|a| a.as_str())
                    .collect::<Vec<_>>()
                    .join(" or ")
            ),
        );
    }
    constraints(tbs, row, &mut faults);
    if row.domain_component_required
        && certificate::names(&tbs.subject).domain_component.as_deref() != row.domain_component
    {
        fault(
            &mut faults,
            pki::DOMAIN_COMPONENT,
            format!(
                "the domain component is not {:?}, without which a {} is invalid ({})",
                row.domain_component.unwrap_or_default(),
                row.name,
                row.clause
            ),
        );
    }
    if key_usage(tbs).is_none_or(|(_, bits)| bits & row.required_usage != row.required_usage) {
        fault(
            &mut faults,
            pki::KEY_USAGE,
            format!("key usage lacks a bit that {} requires", row.clause),
        );
    }
    if !row.purposes.is_empty() {
        let purposes = tbs
            .get::<ExtendedKeyUsage>()
            .ok()
            .flatten()
            .map(|(_, purposes)| purposes.0);
        // OCPP accepts a certificate without purposes; one with others is for something else.
        let fits = purposes.is_none_or(|found| {
            row.purposes
                .iter()
                .all(|purpose| found.contains(&purpose_oid(*purpose)))
        });
        if !fits {
            fault(
                &mut faults,
                pki::KEY_USAGE,
                format!("extended key usage lacks the purpose of {}", row.clause),
            );
        }
    }
    faults
}

fn constraints(tbs: &TbsCertificate, row: &Row, faults: &mut Vec<Fault>) {
    let found = tbs
        .get::<BasicConstraints>()
        .ok()
        .flatten()
        .map(|(_, constraints)| constraints);
    let is_ca = found.as_ref().is_some_and(|constraints| constraints.ca);
    match row.authority {
        Authority::Leaf if is_ca => {
            fault(
                faults,
                pki::BASIC_CONSTRAINTS,
                format!("a {} must not be a CA ({})", row.name, row.clause),
            );
        }
        Authority::Ca { .. } if !is_ca => {
            fault(
                faults,
                pki::BASIC_CONSTRAINTS,
                format!("a {} must be a CA ({})", row.name, row.clause),
            );
        }
        Authority::Ca {
            path_len: Some(limit),
        } => {
            let allowed = found.and_then(|constraints| constraints.path_len_constraint);
            if allowed.is_none_or(|allowed| allowed > limit) {
                fault(
                    faults,
                    pki::BASIC_CONSTRAINTS,
                    format!("the path length is not limited to {limit} ({})", row.clause),
                );
            }
        }
        _ => {}
    }
}

/// Criticality and bits of `keyUsage`.
pub(crate) fn key_usage(tbs: &TbsCertificate) -> Option<(bool, u16)> {
    tbs.get::<KeyUsage>()
        .ok()
        .flatten()
        .map(|(critical, usage)| (critical, usage.0.bits()))
}
