//! The front door of the certificate services: HTTP/1.1, plain or over TLS, bounded in connections, sizes
//! and time before anything looks at what was asked.
//!
//! Deliberately absent: what is served. Routers are handed in and find an [`Arrival`] with each request.

mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use gridlatch_host::Shutdown;
use gridlatch_tls::{WebServer, channel_bindings};
use gridlatch_vocab::Timestamp;
use gridlatch_vocab::catalogue::enrolment;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use time::macros::format_description;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

pub use report::Report;

/// How many connections one listener keeps open.
const CONNECTIONS: usize = 512;
/// How many of them one address may hold.
const PER_ADDRESS: usize = 128;
/// How long a client may take to send a request's head, also from one request to the next.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long a client may take to send a body.
const BODY_TIME: Duration = Duration::from_secs(10);
/// How long one connection may last before it is asked to come again.
const LIFETIME: Duration = Duration::from_secs(300);
/// How long the answer under way may still take after that, or when the service stops.
const GRACE: Duration = Duration::from_secs(5);
/// Head of a request, bytes.
const HEAD: usize = 16 * 1024;
/// Header fields of a request.
const FIELDS: usize = 64;

/// What a request's handler learns about the connection.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Where it comes from.
    pub address: SocketAddr,
    /// Present if the connection is protected.
    pub tls: Option<Protected>,
}

/// What TLS established.
#[derive(Debug, Clone)]
pub struct Protected {
    /// The client's verified certificates in DER, leaf first; empty if it showed none.
    pub chain: Arc<[Vec<u8>]>,
    /// What a request may carry to prove that it belongs to this connection.
    pub bindings: Arc<[Vec<u8>]>,
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyFault {
    /// Larger than the bound.
    TooLarge,
    /// Not complete in time.
    Slow,
    /// The connection ended, or the body is not what its head announces.
    Broken,
}

/// Reads a body of at most `limit` bytes in bounded time.
pub(crate) async fn body(body: Body, limit: usize) -> Result<Bytes, BodyFault> {
    body_within(body, limit, BODY_TIME).await
}

async fn body_within(body: Body, limit: usize, time: Duration) -> Result<Bytes, BodyFault> {
    let reading = axum::body::to_bytes(body, limit);
    match tokio::time::timeout(time, reading).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_limit(&error) => Err(BodyFault::TooLarge),
        Ok(Err(_)) => Err(BodyFault::Broken),
        Err(_) => Err(BodyFault::Slow),
    }
}

fn is_limit(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains("length limit exceeded") {
            return true;
        }
        cause = error.source();
    }
    false
}

/// `Sat, 21 Nov 2026 13:00:00 GMT`.
pub(crate) fn date(at: Timestamp) -> Option<HeaderValue> {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let text = at.0.to_offset(time::UtcOffset::UTC).format(&format).ok()?;
    HeaderValue::from_str(&text).ok()
}

/// Serves `router` on `listener` until `stop`, over TLS if `tls` is given. Returns when the connections
/// have ended or their grace is over.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<WebServer>>,
    router: Router,
    report: Report,
    stop: Shutdown,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let places = Places::default();
    let running = gridlatch_host::TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, address)) = accepted else {
            // Out of file descriptors, most likely: give others time to close theirs.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (Ok(permit), Some(place)) = (room.clone().try_acquire_owned(), places.take(address.ip())) else {
            report.refused(
                enrolment::CONNECTIONS_EXHAUSTED,
                address,
                "closed a connection: too many are open",
            );
            continue;
        };
        let (tls, router, report, stop) = (tls.clone(), router.clone(), report.clone(), stop.clone());
        running.spawn(async move {
            connection(stream, address, tls, router, &report, stop).await;
            drop((permit, place));
        });
    }
    running.close();
    let _ = tokio::time::timeout(GRACE + Duration::from_secs(1), running.wait()).await;
}

async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<Arc<WebServer>>,
    router: Router,
    report: &Report,
    stop: Shutdown,
) {
    // Answers are small: waiting to fill packets would only delay them.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        return requests(stream, Arrival { address, tls: None }, router, report, stop).await;
    };
    match tls.accept(stream).await {
        Ok((stream, handshake)) => {
            let tls = Some(Protected {
                chain: handshake.peer_chain.into(),
                bindings: channel_bindings(&stream).into(),
            });
            requests(stream, Arrival { address, tls }, router, report, stop).await;
        }
        Err(refusal) => report.refused(refusal.code, address, refusal.message),
    }
}

async fn requests<S>(stream: S, arrival: Arrival, router: Router, report: &Report, stop: Shutdown)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let address = arrival.address;
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(arrival.clone());
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_headers(FIELDS)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = tokio::time::sleep(LIFETIME) => None,
        () = stop.cancelled() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(GRACE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended
        && (error.is_parse() || error.is_parse_too_large())
    {
        report.refused(
            enrolment::NOT_HTTP,
            address,
            format!("closed a connection: {error}"),
        );
    }
}

/// Connections by address.
#[derive(Debug, Clone, Default)]
struct Places(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

/// One of an address's connections; its place is free again when this goes.
struct Place {
    places: Places,
    address: IpAddr,
}

impl Places {
    fn take(&self, address: IpAddr) -> Option<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if *count >= PER_ADDRESS {
            return None;
        }
        *count += 1;
        drop(open);
        Some(Place {
            places: self.clone(),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}
