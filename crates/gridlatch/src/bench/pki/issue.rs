//! Certificates issued a second: proof of possession, policy, lint, signature, commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use gridlatch_keys::{FileKey, Signer as _, verify};
use gridlatch_pki::ca::{Ca, World};
use gridlatch_trust::build::Subject;
use gridlatch_trust::csr;
use gridlatch_trust::profile::Kind;

use super::{Aim, Row, everywhere, operator, rate, raw};

/// Who asks at the same time: their commits are shared.
const CLIENTS: usize = 256;

/// What the CA of `world` issues a second, beside its key alone and beside the two computations that no CA which
/// checks requests can leave out. `place` says where the key is.
pub(super) async fn measure(ca: &Ca, world: World, place: &str, time: Duration) -> Result<Vec<Row>> {
    let authority = format!("{}/cpo-sub2", world.folder());
    let signer = ca.signer(&authority)?;
    let key = FileKey::generate(world.algorithm())?;
    let message = [7; 300];
    let signature = key.sign(&message)?;
    let least = |_| {
        let good = verify(world.algorithm(), key.public_key_der(), &message, &signature)?;
        ensure!(good, "a good signature was refused");
        signer.sign(&message)?;
        Ok(())
    };
    // Requests made beforehand, enough for the time even at the rate of the bare computations.
    let ceiling = everywhere(time / 3, least)?;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate in the thousands"
    )]
    let wanted = (1.5 * ceiling * time.as_secs_f64()) as usize;
    let prefix = format!("DE*BEN*E{}N", world.folder().len());
    let requests = Arc::new(requests(world, &key, &prefix, wanted)?);
    let next = Arc::new(AtomicUsize::new(0));
    // In turns, so that a busy moment of the machine hits all three.
    let third = time / 3;
    let (mut floor, mut ceiling, mut issued) = (0.0, 0.0, 0.0);
    for _ in 0..3 {
        floor += raw(&*signer, third)? / 3.0;
        ceiling += everywhere(third, least)? / 3.0;
        issued += enrolled(ca, world, &authority, &requests, &next, third).await? / 3.0;
    }
    let row = |figure, what: &str, against, other, aim| Row {
        what: format!("{what}, {}, the CA's key {place}", world.algorithm()),
        figure,
        against,
        other,
        aim,
    };
    let what = format!("requests to durable certificates, {CLIENTS} clients");
    Ok(vec![
        row(
            issued,
            &what,
            "raw signatures of that key",
            floor,
            Some(Aim::AtLeast(0.5)),
        ),
        row(
            ceiling,
            "one signature checked and one made, nothing else",
            "raw signatures of that key",
            floor,
            None,
        ),
        row(issued, &what, "one checked and one made", ceiling, None),
    ])
}

/// So many requests for station certificates, each with a name of its own behind `prefix`.
pub(super) fn requests(world: World, key: &FileKey, prefix: &str, count: usize) -> Result<Vec<Vec<u8>>> {
    let request = |number| {
        let subject = Subject {
            common_name: format!("{prefix}{number}"),
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
    };
    Ok((0..count).map(request).collect::<Result<Vec<_>, _>>()?)
}

/// Requests served a second.
pub(super) async fn enrolled(
    ca: &Ca,
    world: World,
    authority: &str,
    requests: &Arc<Vec<Vec<u8>>>,
    next: &Arc<AtomicUsize>,
    time: Duration,
) -> Result<f64> {
    let started = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let (ca, requests, next) = (ca.clone(), Arc::clone(requests), Arc::clone(next));
        let authority = authority.to_owned();
        clients.push(tokio::spawn(async move {
            let mut count = 0;
            while started.elapsed() < time {
                let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) else {
                    break;
                };
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
    Ok(rate(count, started.elapsed()))
}
