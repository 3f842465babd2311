//! The TCP port of one EVSE: one connection at a time, a second one is refused at once, and the
//! listener is never re-created, so nobody can change what it serves after it is open.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::sync::Arc;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many connections the kernel may hold that we have not looked at.
const BACKLOG: i32 = 16;

/// The ports a station may announce (ISO 15118-2 table 14: dynamic ports of IANA).
pub const DYNAMIC: core::ops::RangeInclusive<u16> = 49_152..=65_535;

/// How many ports are tried before giving up.
const ATTEMPTS: u64 = 256;

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
    /// Opens a port on `address` (port 0: any of [`DYNAMIC`]). Must be called inside a tokio runtime.
    /// Ports that share a `slot` admit one connection together.
    pub fn bind(address: SocketAddrV6, slot: &Slot) -> io::Result<Self> {
        if address.port() != 0 {
            return Self::bind_exactly(address, slot);
        }
        // Vehicles refuse a port outside the dynamic range, and the kernel's own choice is wider.
        let start = RandomState::new().build_hasher().finish();
        let count = u64::from(*DYNAMIC.end() - *DYNAMIC.start()) + 1;
        let mut failed = io::Error::from(io::ErrorKind::AddrInUse);
        for attempt in 0..ATTEMPTS {
            let offset = u16::try_from(start.wrapping_add(attempt) % count).unwrap_or_default();
            let mut address = address;
            address.set_port(DYNAMIC.start() + offset);
            match Self::bind_exactly(address, slot) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => failed = error,
                bound => return bound,
            }
        }
        Err(failed)
    }

    fn bind_exactly(address: SocketAddrV6, slot: &Slot) -> io::Result<Self> {
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
    use std::net::Ipv6Addr;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn a_second_connection_is_refused_and_the_first_is_untouched() {
        let port = Port::bind(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0, 0, 0), &Slot::default()).unwrap();
        assert!(DYNAMIC.contains(&port.local().port()));
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
