//! When everything of a CA's database ends, and everything that was published: read page by page, counted
//! by [`Ends`].

use std::collections::BTreeMap;

use gridlatch_store::pki::CrlRow;
use gridlatch_trust::forecast::ends::{End, Ends, What};
use gridlatch_trust::profile::Kind;
use gridlatch_trust::revocation::MAX_AGE;
use gridlatch_trust::{certificate, crl, ocsp};
use gridlatch_vocab::Timestamp;
use thiserror::Error;

use super::plan;
use crate::ca::{Ca, CaError, from_pem_block};

/// Certificates read at a time.
const PAGE: u32 = 2_000;

/// Every unrevoked certificate of the CA that has not ended at `now`, its CAs, and its latest lists.
///
/// A certificate ends with its own validity or with that of a CA above it, whichever comes first. One that
/// has a successor (same name, kind and issuer, without a gap, longer) is not counted: nobody misses it.
/// `progress` is called after each page with how many were read and how many there are.
///
/// # Errors
/// The store fails.
pub async fn of_ca(ca: &Ca, now: Timestamp, progress: &mut dyn FnMut(u64, u64)) -> Result<Ends, CaError> {
    let mut ends = Ends::default();
    let authorities: BTreeMap<i64, (String, Timestamp, Option<String>)> = ca
        .authorities()
        .into_iter()
        .filter_map(|authority| {
            let (end, whose) = path_end(ca, &authority.name)?;
            Some((authority.number(), (authority.name.clone(), end, Some(whose))))
        })
        .collect();
    let all = u64::try_from(ca.store().pki_count().await?).unwrap_or(0);
    let mut last = 0;
    loop {
        let page = ca.store().pki_ends_after(last, now, PAGE).await?;
        let Some(latest) = page.last() else { break };
        last = latest.number;
        for row in page.into_iter().filter(|row| !row.succeeded) {
            let Some(kind) = Kind::from_slug(&row.kind) else {
                continue;
            };
            let (issuer, end, whose) = authorities
                .get(&row.authority)
                .cloned()
                .unwrap_or_else(|| (format!("#{}", row.authority), row.not_after, None));
            let own = row.not_after <= end;
            ends.add(End {
                at: after(row.not_after.min(end)),
                what: What::Certificate(kind),
                issuer,
                because: if own { None } else { whose },
                name: row.label,
                late: None,
            });
        }
        progress(u64::try_from(last).unwrap_or(0), all);
    }
    for (number, (name, ..)) in &authorities {
        for delta in [false, true] {
            if let Some(row) = ca.store().pki_crl_latest(*number, delta).await? {
                ends.add(list(name, &row));
            }
        }
    }
    Ok(ends)
}

/// When the path of what this CA signs ends, and which CA's certificate does that: its own or one above it.
fn path_end(ca: &Ca, name: &str) -> Option<(Timestamp, String)> {
    let mut found: Option<(Timestamp, String)> = None;
    let mut next = ca.authority(name).ok();
    // As deep as a chain of the CA can be.
    for _ in 0..8 {
        let Some(authority) = next else { break };
        if found.as_ref().is_none_or(|(end, _)| authority.not_after < *end) {
            found = Some((authority.not_after, authority.name.clone()));
        }
        next = authority
            .issuer
            .as_ref()
            .and_then(|issuer| ca.authority(issuer).ok());
    }
    found
}

fn list(authority: &str, row: &CrlRow) -> End {
    let (what, name) = match row.base {
        Some(base) => (What::DeltaList, format!("number {} on {base}", row.number)),
        None => (What::FullList, format!("number {}", row.number)),
    };
    End {
        at: after(row.next_update),
        what,
        issuer: authority.to_owned(),
        because: None,
        name,
        late: Some(last_quarter(row.this_update, row.next_update)),
    }
}

/// Our own publisher replaces things at half of their life: who has let three quarters pass is late.
fn last_quarter(from: Timestamp, until: Timestamp) -> Timestamp {
    Timestamp(until.0 - (until.0 - from.0) / 4)
}

/// Validity includes its last second; what is signed knows no parts of seconds, the store does.
fn after(end: Timestamp) -> Timestamp {
    let whole = end.0.replace_nanosecond(0).unwrap_or(end.0);
    Timestamp(whole.saturating_add(time::Duration::SECOND))
}

/// A published file is none of what can be read.
#[derive(Debug, Error)]
#[error("neither a certificate, a revocation list, an OCSP answer nor a rollover plan")]
pub struct NotPublished;

/// What a published file holds: certificates, one revocation list or one OCSP answer, PEM or DER, or a
/// rollover plan with its link and cross-certificates.
///
/// # Errors
/// It is none of these.
pub fn of_file(octets: &[u8]) -> Result<Ends, NotPublished> {
    let mut ends = Ends::default();
    if let Ok(plan) = plan::read(octets) {
        for der in plan.links.iter().chain(&plan.recertified) {
            ends.add(certificate_end(der, What::CrossOrLink).ok_or(NotPublished)?);
        }
        for der in [&plan.old, &plan.new] {
            ends.add(certificate_end(der, What::Certificate(plan.kind)).ok_or(NotPublished)?);
        }
        return Ok(ends);
    }
    let pem = certificate::from_pem(octets).unwrap_or_default();
    if !pem.is_empty() {
        for der in &pem {
            ends.add(certificate_end(der, What::CrossOrLink).ok_or(NotPublished)?);
        }
        return Ok(ends);
    }
    let block = from_pem_block(octets, "X509 CRL");
    let der = block.as_deref().unwrap_or(octets);
    if let Ok(list) = crl::parse(der) {
        // Without a next date it is believed for so long as any list without one.
        let until = list
            .next_update()
            .unwrap_or_else(|| Timestamp(list.this_update().0.saturating_add(MAX_AGE)));
        ends.add(End {
            at: after(until),
            what: if list.base().is_some() {
                What::DeltaList
            } else {
                What::FullList
            },
            issuer: list.issuer_name(),
            because: None,
            name: list
                .number()
                .map_or_else(|| "a list".to_owned(), |number| format!("number {number}")),
            late: Some(last_quarter(list.this_update(), until)),
        });
        return Ok(ends);
    }
    if let Ok(answer) = ocsp::parse_response(der) {
        for single in &answer.singles {
            let until = single
                .next_update
                .unwrap_or_else(|| Timestamp(single.this_update.0.saturating_add(MAX_AGE)));
            ends.add(End {
                at: after(until),
                what: What::Answer,
                issuer: signer(&answer),
                because: None,
                name: format!("serial number {}", hex::encode(&single.id.serial)),
                late: Some(last_quarter(single.this_update, until)),
            });
        }
        for der in &answer.certs {
            ends.add(certificate_end(der, What::Certificate(Kind::OcspSigner)).ok_or(NotPublished)?);
        }
        return Ok(ends);
    }
    ends.add(certificate_end(der, What::CrossOrLink).ok_or(NotPublished)?);
    Ok(ends)
}

fn signer(answer: &ocsp::Response) -> String {
    answer
        .certs
        .first()
        .and_then(|der| certificate::summary(der).ok())
        .map_or_else(|| "its CA".to_owned(), |summary| summary.subject_cn)
}

fn certificate_end(der: &[u8], what: What) -> Option<End> {
    let summary = certificate::summary(der).ok()?;
    Some(End {
        at: after(summary.not_after),
        what,
        issuer: summary.issuer_cn,
        because: None,
        name: summary.subject_cn,
        late: None,
    })
}
