//! The same work in a small store and in a large one.

use std::path::Path;
use std::sync::atomic::AtomicUsize;
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

use super::issue::{enrolled, requests};
use super::{Aim, Row, new_ca, operator, rate, secc};

/// Certificates of the small store.
const SMALL: u32 = 1_000;
/// Certificates stored per commit while filling.
const BATCH: u32 = 2_000;
/// Certificates revoked in either store before it is measured.
const REVOKED: usize = 200;
/// Lists published at most in a round: few beside [`REVOKED`], so that both stores publish lists of about one length.
const LISTS: usize = 60;
/// Who issues at the same time: their commits are shared.
const CLIENTS: usize = 256;
/// Requests made ahead: more than any machine serves meanwhile.
const REQUESTS_A_MILLISECOND: u128 = 30;
const AUTHORITY: &str = "iso2/cpo-sub2";

/// How often the stores take turns.
const ROUNDS: u32 = 6;

/// A second, in one store.
#[derive(Default)]
struct Figures {
    issue: f64,
    enroll: f64,
    lookup: f64,
    lists: f64,
}

impl Figures {
    fn add(&mut self, other: &Self) {
        self.issue += other.issue / f64::from(ROUNDS);
        self.enroll += other.enroll / f64::from(ROUNDS);
        self.lookup += other.lookup / f64::from(ROUNDS);
        self.lists += other.lists / f64::from(ROUNDS);
    }
}

/// The stores take turns, so that a busy moment of machine or disk hits both, and the small one is a new one each
/// time, because it grows while it is measured.
pub(super) async fn measure(folder: &Path, large: u32, time: Duration) -> Result<Vec<Row>> {
    let time = time / ROUNDS;
    let mut many = Filled::new(&folder.join("many"), large).await?;
    let (mut thousand, mut million) = (Figures::default(), Figures::default());
    for round in 0..ROUNDS {
        let mut few = Filled::new(&folder.join(format!("thousand-{round}")), SMALL).await?;
        // What filling left to the disk must not be paid for by what is measured.
        let _ = std::process::Command::new("sync").status();
        thousand.add(&few.figures(time).await?);
        million.add(&many.figures(time).await?);
    }
    let row = |what: &str, small: f64, many: f64| Row {
        what: format!("{what}, {SMALL} certificates"),
        figure: small,
        against: "with as many as asked for",
        other: many,
        aim: Some(Aim::AtMost(1.5)),
    };
    Ok(vec![
        row(
            &format!("certificates by order of an operator, {CLIENTS} clients"),
            thousand.issue,
            million.issue,
        ),
        row(
            &format!("requests to durable certificates, {CLIENTS} clients"),
            thousand.enroll,
            million.enroll,
        ),
        row("status lookups, one client", thousand.lookup, million.lookup),
        row(
            "revoke one and publish the full list",
            thousand.lists,
            million.lists,
        ),
    ])
}

/// A CA with so many certificates.
struct Filled {
    ca: Ca,
    serials: Vec<Serial>,
    key: FileKey,
    publisher: Publisher,
    revoked: usize,
    /// Requests made so far.
    asked: usize,
}

impl Filled {
    async fn new(folder: &Path, size: u32) -> Result<Self> {
        let ca = new_ca(folder, None).await?;
        let serials = fill(&ca, size).await?;
        let key = FileKey::generate(World::Iso2.algorithm())?;
        let report = Report::new(Arc::new(Hub::new(HubConfig::default(), None)));
        let stop = Shutdown::new();
        stop.cancel();
        let publisher = Publisher::start(ca.clone(), report, stop).await?;
        let mut this = Self {
            ca,
            serials,
            key,
            publisher,
            revoked: 0,
            asked: 0,
        };
        for _ in 0..REVOKED {
            this.revoke().await?;
        }
        Ok(this)
    }

    async fn figures(&mut self, time: Duration) -> Result<Figures> {
        Ok(Figures {
            issue: self.issue(time).await?,
            enroll: self.enroll(time).await?,
            lookup: self.lookup(time).await?,
            lists: self.lists(time).await?,
        })
    }

    async fn issue(&self, time: Duration) -> Result<f64> {
        let started = Instant::now();
        let mut clients = Vec::new();
        for client in 0..CLIENTS {
            let (ca, spki) = (self.ca.clone(), self.key.public_key_der().to_vec());
            clients.push(tokio::spawn(async move {
                let mut count = 0;
                while started.elapsed() < time {
                    let name = format!("DE*BEN*E{client}N{count}");
                    secc(&ca, World::Iso2, name, spki.clone()).await?;
                    count += 1;
                }
                Ok::<u64, anyhow::Error>(count)
            }));
        }
        let mut issued = 0;
        for client in clients {
            issued += client.await.context("a client failed")??;
        }
        Ok(rate(issued, started.elapsed()))
    }

    /// By requests, whose digests are kept so that each is served once.
    async fn enroll(&mut self, time: Duration) -> Result<f64> {
        let count = (time.as_millis() * REQUESTS_A_MILLISECOND) as usize;
        let prefix = format!("DE*BEN*R{}N", self.asked);
        let requests = Arc::new(requests(World::Iso2, &self.key, &prefix, count)?);
        self.asked += count;
        let next = Arc::new(AtomicUsize::new(0));
        enrolled(&self.ca, World::Iso2, AUTHORITY, &requests, &next, time).await
    }

    /// Across the whole store, in an order that no cache likes.
    async fn lookup(&self, time: Duration) -> Result<f64> {
        let (mut count, started) = (0_usize, Instant::now());
        while started.elapsed() < time {
            let place = count.wrapping_mul(7_919) % self.serials.len();
            if let Some(serial) = self.serials.get(place) {
                self.ca.status(AUTHORITY, *serial).await?;
            }
            count += 1;
        }
        Ok(rate(count as u64, started.elapsed()))
    }

    async fn revoke(&mut self) -> Result<()> {
        let step = (self.serials.len() / (5 * REVOKED)).max(1);
        let serial = self
            .serials
            .get(self.revoked * step)
            .context("everything was revoked")?;
        self.revoked += 1;
        let now = gridlatch_host::now();
        self.ca
            .revoke(AUTHORITY, *serial, Reason::Superseded, now, &operator())
            .await?;
        Ok(())
    }

    async fn lists(&mut self, time: Duration) -> Result<f64> {
        let (mut count, started) = (0, Instant::now());
        while started.elapsed() < time && count < LISTS {
            self.revoke().await?;
            anyhow::ensure!(
                self.publisher.publish_now(AUTHORITY).await,
                "the list was not published"
            );
            count += 1;
        }
        Ok(rate(count as u64, started.elapsed()))
    }
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
                request_digest: Some(serial.octets().repeat(4)),
                approved: None,
            });
        }
        ca.store().pki_insert_all(rows).await?;
        done += batch;
    }
    Ok(serials)
}
