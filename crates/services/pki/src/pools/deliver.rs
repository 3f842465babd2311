//! Delivering notifications: one after the other, bounded in time and size, tried again with growing pauses.

use std::time::Duration;

use gridlatch_host::Shutdown;
use gridlatch_store::PoolDelivery;
use gridlatch_tls::WebClient;
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::pools as codes;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::places::Target;
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
/// Bytes of an answer that are looked at: the status line.
const MAX_ANSWER: u64 = 1024;

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
    let request = request(&target, &hook.secret, &delivery.body);
    if target.plain() {
        return exchange(stream, &request).await;
    }
    let client = WebClient::new(&[]).map_err(|error| error.to_string())?;
    let stream = client
        .connect(stream, target.host())
        .await
        .map_err(|error| error.to_string())?;
    exchange(stream, &request).await
}

fn request(target: &Target, secret: &str, body: &str) -> Vec<u8> {
    let signature = hex::encode(hmac_sha256(secret.as_bytes(), body.as_bytes()));
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         payload-signature: {signature}\r\nX-Hubject-Signature: sha256={signature}\r\nUser-Agent: gridlatch\r\n\
         Connection: close\r\n\r\n{body}",
        path = target.path,
        host = target.authority(),
        length = body.len(),
    )
    .into_bytes()
}

/// Sends the request and reads the status; redirections are not followed.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &[u8]) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("the connection broke: {error}");
    stream.write_all(request).await.map_err(failed)?;
    stream.flush().await.map_err(failed)?;
    let mut answer = Vec::new();
    let mut reader = stream.take(MAX_ANSWER);
    loop {
        let read = reader.read_buf(&mut answer).await.map_err(failed)?;
        if read == 0 || answer.contains(&b'\n') {
            break;
        }
    }
    let line = answer.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = core::str::from_utf8(line).unwrap_or_default();
    let mut words = line.split_ascii_whitespace();
    match (
        words.next(),
        words.next().and_then(|status| status.parse::<u16>().ok()),
    ) {
        (Some(version), Some(200..=299)) if version.starts_with("HTTP/1.") => Ok(()),
        (Some(version), Some(status)) if version.starts_with("HTTP/1.") => Err(format!("answered {status}")),
        _ => Err("did not answer in HTTP".to_owned()),
    }
}

/// HMAC-SHA-256 (RFC 2104).
pub(super) fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0_u8; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        for (slot, byte) in block.iter_mut().zip(key) {
            *slot = *byte;
        }
    }
    let pad = |value: u8| block.map(|byte| byte ^ value);
    let inner = Sha256::new()
        .chain_update(pad(0x36))
        .chain_update(message)
        .finalize();
    Sha256::new()
        .chain_update(pad(0x5c))
        .chain_update(inner)
        .finalize()
        .into()
}
