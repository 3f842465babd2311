//! UDP sockets for SECC discovery (SDP): the multicast group of a network interface, or a plain socket
//! on loopback; and the limits on how often a request is looked at.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

/// The UDP port of SECC discovery (ISO 15118-2 table 14).
pub const PORT: u16 = 15118;

/// The multicast group vehicles send their request to: all nodes on the link.
pub const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Largest datagram looked at, in bytes. A request is 10 (wired) or 12 bytes long; one more than that
/// is enough to see that a datagram is too long.
pub const MAX_DATAGRAM: usize = 64;

/// A discovery socket.
#[derive(Debug)]
pub struct SdpSocket {
    socket: UdpSocket,
    local: SocketAddrV6,
}

impl SdpSocket {
    /// Joins the discovery group on the interface of this index.
    pub fn multicast(interface_index: u32) -> io::Result<Self> {
        let socket = udp()?;
        socket.bind(&SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, PORT, 0, 0)).into())?;
        socket.join_multicast_v6(&GROUP, interface_index)?;
        socket.set_multicast_if_v6(interface_index)?;
        Self::from_socket(socket)
    }

    /// A plain socket, for loopback (port 0: any).
    pub fn unicast(address: SocketAddrV6) -> io::Result<Self> {
        let socket = udp()?;
        socket.bind(&SocketAddr::V6(address).into())?;
        Self::from_socket(socket)
    }

    fn from_socket(socket: Socket) -> io::Result<Self> {
        let socket = UdpSocket::from_std(socket.into())?;
        let SocketAddr::V6(local) = socket.local_addr()? else {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        };
        Ok(Self { socket, local })
    }

    /// Where it listens.
    #[must_use]
    pub const fn local(&self) -> SocketAddrV6 {
        self.local
    }

    /// The next datagram, cut at the size of `buffer`. Cancel safe.
    pub async fn recv<'b>(&self, buffer: &'b mut [u8; MAX_DATAGRAM]) -> io::Result<(&'b [u8], SocketAddrV6)> {
        loop {
            let (length, peer) = self.socket.recv_from(buffer).await?;
            if let SocketAddr::V6(peer) = peer {
                return Ok((&buffer[..length], peer));
            }
        }
    }

    /// Sends a datagram without waiting; one that does not fit the socket's queue is lost, as any
    /// datagram may be.
    pub fn send(&self, datagram: &[u8], to: SocketAddrV6) -> io::Result<usize> {
        self.socket.try_send_to(datagram, SocketAddr::V6(to))
    }

    /// Sends a datagram, waiting for the socket's queue.
    pub async fn send_to(&self, datagram: &[u8], to: SocketAddrV6) -> io::Result<usize> {
        self.socket.send_to(datagram, SocketAddr::V6(to)).await
    }
}

fn udp() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_only_v6(true)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// How many requests are answered: so many per source, so many in all, both refilled steadily.
#[derive(Debug, Clone, Copy)]
pub struct LimitConfig {
    /// Answers one source may take at once. A vehicle asks up to 50 times, every 250 ms.
    pub per_source_burst: u32,
    /// Time after which a source may take one more.
    pub per_source_refill: Duration,
    /// Answers all sources may take at once.
    pub total_burst: u32,
    /// Time after which all sources together may take one more.
    pub total_refill: Duration,
}

impl Default for LimitConfig {
    fn default() -> Self {
        Self {
            per_source_burst: 50,
            per_source_refill: Duration::from_millis(250),
            total_burst: 400,
            total_refill: Duration::from_millis(20),
        }
    }
}

/// How many sources are remembered; the one seen longest ago is forgotten first.
const MAX_SOURCES: usize = 32;

/// Why a request is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limited {
    /// This source has used up its share; `first` on the first refusal of a row, so that a flood
    /// makes one event and not one per datagram.
    Source {
        /// Whether an event is due.
        first: bool,
    },
    /// All sources together have.
    Total {
        /// Whether an event is due.
        first: bool,
    },
}

/// Counts requests against [`LimitConfig`].
#[derive(Debug)]
pub struct Limiter {
    config: LimitConfig,
    sources: Vec<(Ipv6Addr, Bucket)>,
    total: Bucket,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    level: u32,
    filled: Instant,
    refusing: bool,
}

impl Bucket {
    const fn full(burst: u32, now: Instant) -> Self {
        Self {
            level: burst,
            filled: now,
            refusing: false,
        }
    }

    fn take(&mut self, now: Instant, burst: u32, refill: Duration) -> Result<(), bool> {
        let gained = now.saturating_duration_since(self.filled).as_nanos() / refill.as_nanos().max(1);
        if gained > 0 {
            self.level = u32::try_from(gained)
                .unwrap_or(burst)
                .saturating_add(self.level)
                .min(burst);
            self.filled = now;
        }
        if self.level == 0 {
            let first = !self.refusing;
            self.refusing = true;
            return Err(first);
        }
        self.level -= 1;
        if self.level > burst / 2 {
            self.refusing = false;
        }
        Ok(())
    }
}

impl Limiter {
    /// A limiter with full buckets.
    #[must_use]
    pub fn new(config: LimitConfig, now: Instant) -> Self {
        Self {
            config,
            sources: Vec::new(),
            total: Bucket::full(config.total_burst, now),
        }
    }

    /// Whether a request of `source` may be looked at now.
    pub fn admit(&mut self, source: Ipv6Addr, now: Instant) -> Result<(), Limited> {
        let config = self.config;
        let place = self.sources.iter().position(|(known, _)| *known == source);
        let mut entry = match place {
            Some(place) => self.sources.remove(place),
            None => (source, Bucket::full(config.per_source_burst, now)),
        };
        let taken = entry
            .1
            .take(now, config.per_source_burst, config.per_source_refill);
        if self.sources.len() >= MAX_SOURCES {
            self.sources.remove(0);
        }
        self.sources.push(entry);
        taken.map_err(|first| Limited::Source { first })?;
        self.total
            .take(now, config.total_burst, config.total_refill)
            .map_err(|first| Limited::Total { first })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_off_and_another_vehicle_is_still_served() {
        let start = Instant::now();
        let mut limiter = Limiter::new(LimitConfig::default(), start);
        let flood = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        let honest = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
        let refused: Vec<_> = (0..500)
            .filter_map(|_| limiter.admit(flood, start).err())
            .collect();
        assert_eq!(refused.len(), 450);
        assert_eq!(
            refused
                .iter()
                .filter(|l| **l == Limited::Source { first: true })
                .count(),
            1
        );
        assert_eq!(limiter.admit(honest, start), Ok(()));
        assert_eq!(
            limiter.admit(flood, start + Duration::from_secs(1)),
            Ok(()),
            "refilled"
        );
    }

    #[test]
    fn many_sources_share_one_bound_and_the_table_does_not_grow() {
        let start = Instant::now();
        let mut limiter = Limiter::new(LimitConfig::default(), start);
        let admitted = (0..10_000u128)
            .filter(|n| limiter.admit(Ipv6Addr::from((0xfe80 << 112) | n), start).is_ok())
            .count();
        assert_eq!(admitted, 400);
        assert!(limiter.sources.len() <= MAX_SOURCES);
    }

    #[tokio::test]
    async fn a_long_datagram_is_cut_not_stored() {
        let socket = SdpSocket::unicast(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0, 0, 0)).unwrap();
        let peer = SdpSocket::unicast(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0, 0, 0)).unwrap();
        peer.send_to(&[0; 1400], socket.local()).await.unwrap();
        let mut buffer = [0; MAX_DATAGRAM];
        let (bytes, _) = socket.recv(&mut buffer).await.unwrap();
        assert_eq!(bytes.len(), MAX_DATAGRAM);
    }
}
