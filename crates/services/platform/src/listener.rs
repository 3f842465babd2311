//! The OCPP port: handshakes run beside each other, bounded in number and time.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use gridlatch_vocab::{Event, EventSink as _, catalogue};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, Sleep};

use crate::accept::{Accept, Peer};
use gridlatch_host::{Hub, Shutdown, now};

/// How many connections may be in their TLS handshake at once. A reconnecting fleet waits in the kernel's
/// backlog and in its own back-off; memory and CPU for handshakes stay bounded.
const HALF_OPEN: usize = 64;
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection may take from TLS to its WebSocket upgrade.
const UPGRADE: Duration = Duration::from_secs(10);
/// How many connections may be open at once.
const CONNECTIONS: usize = 20_000;

/// A listener whose handshakes do not block each other.
pub(crate) struct OcppListener<S> {
    ready: mpsc::Receiver<(Guarded<S>, Arrival)>,
    local: SocketAddr,
}

/// What a request handler learns about its connection.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) peer: Option<Peer>,
    /// Set once the connection is a WebSocket: the upgrade deadline no longer applies.
    pub(crate) upgraded: Arc<AtomicBool>,
}

impl<S> OcppListener<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// Starts accepting on `tcp`.
    pub(crate) fn start<A>(tcp: TcpListener, accept: Arc<A>, hub: Hub, shutdown: Shutdown) -> io::Result<Self>
    where
        A: Accept<Stream = S>,
    {
        let local = tcp.local_addr()?;
        let (sender, ready) = mpsc::channel(HALF_OPEN);
        tokio::spawn(accept_all(tcp, accept, hub, sender, shutdown));
        Ok(Self { ready, local })
    }
}

async fn accept_all<A: Accept>(
    tcp: TcpListener,
    accept: Arc<A>,
    hub: Hub,
    ready: mpsc::Sender<(Guarded<A::Stream>, Arrival)>,
    shutdown: Shutdown,
) {
    let half_open = Arc::new(Semaphore::new(HALF_OPEN));
    let open = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = tcp.accept() => accepted,
        };
        let Ok((stream, address)) = accepted else {
            // Out of file descriptors, most likely: give others time to close theirs.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let permits = half_open
            .clone()
            .try_acquire_owned()
            .and_then(|half| Ok((half, open.clone().try_acquire_owned()?)));
        let Ok((half, permit)) = permits else {
            hub.emit(Event::new(
                now(),
                catalogue::platform::HANDSHAKES_EXHAUSTED,
                crate::SOURCE,
                format!("closed a connection from {address}: {HALF_OPEN} handshakes are under way"),
            ));
            drop(stream);
            continue;
        };
        let (accept, hub, ready) = (accept.clone(), hub.clone(), ready.clone());
        tokio::spawn(async move {
            if let Some((stream, peer)) = handshake(&*accept, stream, address, &hub).await {
                let arrival = Arrival {
                    peer: Some(peer),
                    upgraded: Arc::new(AtomicBool::new(false)),
                };
                let guarded = Guarded::new(stream, arrival.upgraded.clone(), permit);
                let _ = ready.send((guarded, arrival)).await;
            }
            drop(half);
        });
    }
}

async fn handshake<A: Accept>(
    accept: &A,
    stream: TcpStream,
    address: SocketAddr,
    hub: &Hub,
) -> Option<(A::Stream, Peer)> {
    // Messages are small and answered one by one: waiting to fill packets would only delay them.
    let _ = stream.set_nodelay(true);
    let (code, message) = match tokio::time::timeout(HANDSHAKE, accept.accept(stream, address)).await {
        Ok(Ok(accepted)) => return Some(accepted),
        Ok(Err(refused)) => (refused.code, refused.message),
        Err(_) => (
            catalogue::platform::CONNECTION_REFUSED,
            format!("no TLS handshake within {} s", HANDSHAKE.as_secs()),
        ),
    };
    hub.emit(Event::new(now(), code, crate::SOURCE, message).with("peer", address.to_string()));
    None
}

impl<S> Listener for OcppListener<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Io = Guarded<S>;
    type Addr = Arrival;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(ready) => ready,
            // The accepting task ended: the process stops, and the server with it.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Arrival> {
        Ok(Arrival {
            peer: None,
            upgraded: Arc::default(),
        })
    }
}

impl<S> OcppListener<S> {
    /// The bound address.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.local
    }
}

impl<S> Connected<IncomingStream<'_, OcppListener<S>>> for Arrival
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn connect_info(stream: IncomingStream<'_, OcppListener<S>>) -> Self {
        stream.remote_addr().clone()
    }
}

/// A connection that ends by itself unless it becomes a WebSocket in time.
pub(crate) struct Guarded<S> {
    stream: S,
    deadline: Pin<Box<Sleep>>,
    upgraded: Arc<AtomicBool>,
    _permit: OwnedSemaphorePermit,
}

impl<S> Guarded<S> {
    fn new(stream: S, upgraded: Arc<AtomicBool>, permit: OwnedSemaphorePermit) -> Self {
        Self {
            stream,
            deadline: Box::pin(tokio::time::sleep_until(Instant::now() + UPGRADE)),
            upgraded,
            _permit: permit,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.upgraded.load(Ordering::Relaxed) && self.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
