//! Delivering notifications: one after the other, bounded in time and size, tried again with growing pauses.

use std::time::Duration;

use gridlatch_fetch::Ask;
use gridlatch_host::Shutdown;
use gridlatch_store::PoolDelivery;
use gridlatch_tls::WebClient;
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::pools as codes;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use tokio::net::TcpStream;

use super::{Pools, hook};

/// How often the queue is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// Notifications per look.
const AT_ONCE: u16 = 32;
/// How long one attempt may take, connecting included.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Attempts before a notification is given up: about a day with the pauses below.
const MAX_ATTEMPTS: i64 = 12;
/// The longest pause between two attempts, seconds.
const MAX_PAUSE: i64 = 4 * 3600;
/// Bytes of an answer's body; a longer one counts as a failure.
const MAX_ANSWER: usize = 64 * 1024;

pub(super) async fn run(pools: &Pools, stop: Shutdown) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let now = pools.provisioner.now();
        let Ok(due) = pools.provisioner.store().pool_deliveries_due(now, AT_ONCE).await else {
            continue;
        };
        for delivery in due {
            if stop.is_cancelled() {
                return;
            }
            one(pools, &delivery).await;
        }
    }
}

/// One attempt, and what follows from it.
pub(super) async fn one(pools: &Pools, delivery: &PoolDelivery) {
    let outcome = tokio::time::timeout(ATTEMPT, attempt(pools, delivery))
        .await
        .unwrap_or_else(|_| Err("no answer in time".to_owned()));
    let store = pools.provisioner.store();
    let client = &delivery.webhook.client;
    let kept = match outcome {
        Ok(()) => store.pool_delivery_done(delivery.number).await,
        Err(reason) if delivery.attempts + 1 >= MAX_ATTEMPTS => {
            pools.provisioner.emit(
                codes::DELIVERY_DROPPED,
                format!("a notification for {client} was given up after {MAX_ATTEMPTS} attempts: {reason}"),
            );
            store.pool_delivery_done(delivery.number).await
        }
        Err(reason) => {
            pools.provisioner.emit(
                codes::DELIVERY_FAILED,
                format!("a notification for {client}: {reason}"),
            );
            let pause = 5_i64
                .saturating_mul(1 << delivery.attempts.clamp(0, 20))
                .min(MAX_PAUSE);
            let due = Timestamp(pools.provisioner.now().0 + time::Duration::seconds(pause));
            store.pool_delivery_retry(delivery.number, due).await
        }
    };
    if let Err(error) = kept {
        // It stays due and is sent again: a partner may see a notification twice, never too seldom.
        pools.provisioner.emit(
            codes::DELIVERY_FAILED,
            format!("the queue of notifications: {error}"),
        );
    }
}

async fn attempt(pools: &Pools, delivery: &PoolDelivery) -> Result<(), String> {
    let hook = hook::read(&delivery.webhook).ok_or("the webhook cannot be read")?;
    // The places may have changed since the webhook was made.
    let target = pools.places.admit(&hook.url).map_err(|error| error.to_string())?;
    let stream = TcpStream::connect((target.host(), target.port()))
        .await
        .map_err(|error| format!("cannot connect: {error}"))?;
    let place = target.authority();
    let signature = signature(hook.secret.as_bytes(), delivery.body.as_bytes());
    let ask = Ask {
        method: "POST",
        place: &place,
        path: &target.path,
        fields: &[
            ("content-type", "application/json".to_owned()),
            ("payload-signature", signature.clone()),
            ("x-hubject-signature", format!("sha256={signature}")),
        ],
        body: delivery.body.clone().into_bytes(),
    };
    let answered = if target.plain() {
        gridlatch_fetch::ask(stream, ask, MAX_ANSWER).await
    } else {
        let client = WebClient::new(&[]).map_err(|error| error.to_string())?;
        let stream = client
            .connect(stream, target.host())
            .await
            .map_err(|error| error.to_string())?;
        gridlatch_fetch::ask(stream, ask, MAX_ANSWER).await
    };
    match answered.map_err(|error| error.to_string())?.status {
        200..=299 => Ok(()),
        status => Err(format!("answered {status}")),
    }
}

/// HMAC-SHA-256 (RFC 2104) of the body, lower-case hexadecimal.
pub(super) fn signature(secret: &[u8], body: &[u8]) -> String {
    // A key of any length will do, so there is nothing to refuse.
    Hmac::<Sha256>::new_from_slice(secret)
        .map(|mac| hex::encode(mac.chain_update(body).finalize().into_bytes()))
        .unwrap_or_default()
}
