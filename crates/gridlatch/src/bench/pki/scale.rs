//! The same work in a small store and in a large one.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use gridlatch_host::{Hub, HubConfig, Shutdown};
use gridlatch_keys::{FileKey, Signer as _};
use gridlatch_pki::ca::{Ca, Reason, Serial, World};
use gridlatch_pki::crl::Publisher;
use gridlatch_pki::http::Report;
use gridlatch_store::pki::NewCertificate;
use gridlatch_vocab::Personal;
use std::sync::Arc;

use super::{Aim, Row, new_ca, operator, rate, secc};

/// Certificates of the small store.
const SMALL: u32 = 1_000;
/// Certificates stored per commit while filling.
const BATCH: u32 = 2_000;
/// Certificates revoked in either store.
const REVOKED: usize = 200;
const AUTHORITY: &str = "iso2/cpo-sub2";

/// A second, in each store.
struct Figures {
    issue: f64,
    lookup: f64,
    lists: f64,
}

pub(super) async fn measure(folder: &Path, large: u32, time: Duration) -> Result<Vec<Row>> {
    let small = figures(&folder.join("thousand"), SMALL, time).await?;
    let many = figures(&folder.join("many"), large, time).await?;
    let row = |what: &str, small: f64, many: f64| Row {
        what: format!("{what}, {SMALL} certificates"),
        figure: small,
        against: "with as many as asked for",
        other: many,
        aim: Some(Aim::AtMost(1.5)),
    };
    Ok(vec![
        row("issue, 64 clients", small.issue, many.issue),
        row("status lookups, one client", small.lookup, many.lookup),
        row("revoke one and publish the full list", small.lists, many.lists),
    ])
}

async fn figures(folder: &Path, size: u32, time: Duration) -> Result<Figures> {
    let ca = new_ca(folder).await?;
    let serials = fill(&ca, size).await?;
    let key = FileKey::generate(World::Iso2.algorithm())?;
    let spki = key.public_key_der().to_vec();

    let started = Instant::now();
    let mut clients = Vec::new();
    for client in 0..64 {
        let (ca, spki) = (ca.clone(), spki.clone());
        clients.push(tokio::spawn(async move {
            let mut count = 0;
            while started.elapsed() < time {
                secc(
                    &ca,
                    World::Iso2,
                    format!("DE*BEN*E{client}N{count}"),
                    spki.clone(),
                )
                .await?;
                count += 1;
            }
            Ok::<u64, anyhow::Error>(count)
        }));
    }
    let mut issued = 0;
    for client in clients {
        issued += client.await.context("a client failed")??;
    }
    let issue = rate(issued, started.elapsed());

    // Across the whole store, in an order that no cache likes.
    let (mut count, started) = (0_usize, Instant::now());
    while started.elapsed() < time {
        let place = count.wrapping_mul(7_919) % serials.len();
        if let Some(serial) = serials.get(place) {
            ca.status(AUTHORITY, *serial).await?;
        }
        count += 1;
    }
    let lookup = rate(count as u64, started.elapsed());

    let report = Report::new(Arc::new(Hub::new(HubConfig::default(), None)));
    let stop = Shutdown::new();
    stop.cancel();
    let publisher = Publisher::start(ca.clone(), report, stop).await?;
    let step = serials.len() / (4 * REVOKED);
    let revoke = async |place: usize| -> Result<()> {
        if let Some(serial) = serials.get(place * step.max(1)) {
            ca.revoke(
                AUTHORITY,
                *serial,
                Reason::Superseded,
                gridlatch_host::now(),
                &operator(),
            )
            .await?;
        }
        Ok(())
    };
    for place in 0..REVOKED {
        revoke(place).await?;
    }
    let (mut count, started) = (0_usize, Instant::now());
    while started.elapsed() < time && count < REVOKED {
        revoke(REVOKED + count).await?;
        anyhow::ensure!(
            publisher.publish_now(AUTHORITY).await,
            "the list was not published"
        );
        count += 1;
    }
    Ok(Figures {
        issue,
        lookup,
        lists: rate(count as u64, started.elapsed()),
    })
}

/// Fills the store with certificates of other names and the size of real ones.
async fn fill(ca: &Ca, size: u32) -> Result<Vec<Serial>> {
    let key = FileKey::generate(World::Iso2.algorithm())?;
    let sample = secc(
        ca,
        World::Iso2,
        "DE*BEN*E0".to_owned(),
        key.public_key_der().to_vec(),
    )
    .await?;
    let authority = ca.authority(AUTHORITY)?;
    let now = gridlatch_host::now();
    let mut serials = Vec::with_capacity(size as usize);
    let mut done = 0;
    while done < size {
        let batch = BATCH.min(size - done);
        let mut rows = Vec::with_capacity(batch as usize);
        for number in done..done + batch {
            let serial = Serial::random().context("the system gave no random numbers")?;
            serials.push(serial);
            rows.push(NewCertificate {
                authority: authority.number(),
                serial: i64::from_be_bytes(serial.octets().try_into().unwrap_or_default()),
                kind: "secc-leaf".to_owned(),
                subject: Personal::new(format!("DE*BEN*F{number}")),
                personal: false,
                der: sample.der.clone(),
                not_before: now,
                not_after: authority.not_after,
                requester: "operator:bench".to_owned(),
                at: now,
                request_digest: Some(serial.octets()),
                approved: None,
            });
        }
        ca.store().pki_insert_all(rows).await?;
        done += batch;
    }
    Ok(serials)
}
