//! The TCP port of one EVSE: one connection at a time, a second one is refused at once, and the
//! listener is never re-created, so nobody can change what it serves after it is open.

use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::sync::Arc;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many connections the kernel may hold that we have not looked at.
const BACKLOG: i32 = 16;

/// The port.
#[derive(Debug)]
pub struct Port {
    listener: TcpListener,
    local: SocketAddrV6,
    slot: Arc<Semaphore>,
}

/// The one connection an EVSE may have, over however many ports.
#[derive(Debug, Clone)]
pub struct Slot(Arc<Semaphore>);

impl Default for Slot {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// What came in.
#[derive(Debug)]
pub enum Arrival {
    /// The one connection of this EVSE.
    Admitted(Admitted),
    /// Another connection is being served; this one was closed with a reset.
    Refused {
        /// Who it was.
        peer: SocketAddrV6,
    },
}

/// The one connection of an EVSE. The place is free again once this is dropped.
#[derive(Debug)]
pub struct Admitted {
    /// The connection, with Nagle's delay off.
    pub stream: TcpStream,
    /// Who it is.
    pub peer: SocketAddrV6,
    /// Keeps the place; move it into the session that serves the connection.
    pub place: Place,
}

/// The right to be the connection of this EVSE.
#[derive(Debug)]
pub struct Place(#[allow(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Port {
    /// Opens a port on `address` (port 0: any). Must be called inside a tokio runtime. Ports that share
    /// a `slot` admit one connection together.
    pub fn bind(address: SocketAddrV6, slot: &Slot) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_only_v6(true)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::V6(address).into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from_std(socket.into())?;
        let local = v6(listener.local_addr()?)?;
        Ok(Self {
            listener,
            local,
            slot: Arc::clone(&slot.0),
        })
    }

    /// The address vehicles connect to.
    #[must_use]
    pub const fn local(&self) -> SocketAddrV6 {
        self.local
    }

    /// The next connection. Cancel safe.
    pub async fn accept(&self) -> io::Result<Arrival> {
        let (stream, peer) = self.listener.accept().await?;
        let peer = v6(peer)?;
        let Ok(permit) = Arc::clone(&self.slot).try_acquire_owned() else {
            // A reset rather than a polite close: nothing this peer sent is kept, no state remains.
            let _ = SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO));
            return Ok(Arrival::Refused { peer });
        };
        stream.set_nodelay(true)?;
        Ok(Arrival::Admitted(Admitted {
            stream,
            peer,
            place: Place(permit),
        }))
    }
}

fn v6(address: SocketAddr) -> io::Result<SocketAddrV6> {
    match address {
        SocketAddr::V6(address) => Ok(address),
        SocketAddr::V4(_) => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::Ipv6Addr;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn a_second_connection_is_refused_and_the_first_is_untouched() {
        let port = Port::bind(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0, 0, 0), &Slot::default()).unwrap();
        let first = TcpStream::connect(port.local()).await.unwrap();
        let Arrival::Admitted(admitted) = port.accept().await.unwrap() else {
            panic!("refused the first")
        };
        let mut second = TcpStream::connect(port.local()).await.unwrap();
        assert!(matches!(port.accept().await.unwrap(), Arrival::Refused { .. }));
        assert!(matches!(second.read(&mut [0]).await, Ok(0) | Err(_)));
        first.writable().await.unwrap();
        drop(admitted);
        let _third = TcpStream::connect(port.local()).await.unwrap();
        assert!(matches!(port.accept().await.unwrap(), Arrival::Admitted(_)));
    }
}
