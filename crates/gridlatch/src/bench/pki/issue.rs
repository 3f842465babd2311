//! Certificates issued a second: proof of possession, policy, lint, signature, commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use gridlatch_keys::{FileKey, Signer as _};
use gridlatch_pki::ca::{Ca, World};
use gridlatch_trust::build::Subject;
use gridlatch_trust::csr;
use gridlatch_trust::profile::Kind;

use super::{Aim, Row, operator, rate, raw};

/// Who asks at the same time: their commits are shared.
const CLIENTS: usize = 64;

pub(super) async fn measure(ca: &Ca, world: World, time: Duration) -> Result<Row> {
    let floor = raw(world.algorithm(), time)?;
    // Requests made beforehand, enough for the time even at the floor's rate.
    let key = FileKey::generate(world.algorithm())?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a rate in the thousands
    let wanted = ((floor * time.as_secs_f64()) as usize).min(60_000);
    let requests = (0..wanted)
        .map(|number| {
            let subject = Subject {
                common_name: format!("DE*BEN*E{}{number}", world.folder().len()),
                organization: None,
                country: None,
            };
            csr::build(
                &subject,
                Some("CPO"),
                key.public_key_der(),
                world.algorithm(),
                &|message| key.sign(message).map_err(Into::into),
            )
        })
        .collect::<Result<Vec<_>, _>>()?;
    let requests = Arc::new(requests);
    let next = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let (ca, requests, next) = (ca.clone(), Arc::clone(&requests), Arc::clone(&next));
        clients.push(tokio::spawn(async move {
            let mut count = 0;
            while started.elapsed() < time {
                let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) else {
                    break;
                };
                let authority = format!("{}/cpo-sub2", world.folder());
                ca.enroll(request, &authority, world.profile(Kind::SeccLeaf), operator())
                    .await?;
                count += 1;
            }
            Ok::<u64, gridlatch_pki::ca::CaError>(count)
        }));
    }
    let mut count = 0;
    for client in clients {
        count += client.await.context("a client failed")??;
    }
    Ok(Row {
        what: format!(
            "requests to durable certificates, {}, {CLIENTS} clients",
            world.algorithm()
        ),
        figure: rate(count, started.elapsed()),
        against: "raw signatures, all cores",
        other: floor,
        aim: Some(Aim::AtLeast(0.5)),
    })
}
