//! SDP over UDP: ask until a usable answer is in.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use gridlatch_link::sdp::{GROUP, MAX_DATAGRAM, PORT, SdpSocket};
use gridlatch_session::evcc::{Discovery, DiscoveryEvent, Failure, Found, StepName};
use gridlatch_vocab::catalogue::cable as codes;
use tokio::time::Instant;

use crate::config::DiscoverAt;

/// Requests before the vehicle gives up [V2G2-161].
const ATTEMPTS: u32 = 50;

/// The answer, where to connect, how many requests it took, and what was ignored on the way.
#[derive(Debug)]
pub(crate) struct Discovered {
    pub(crate) found: Found,
    pub(crate) address: SocketAddrV6,
    pub(crate) attempts: u32,
    pub(crate) ignored: Vec<Failure>,
}

/// Ignored answers kept for the report; more of them say nothing new.
const MAX_IGNORED: usize = 8;

pub(crate) async fn discover(
    at: &DiscoverAt,
    secured: bool,
    patience: u32,
) -> Result<Discovered, (Failure, Vec<Failure>)> {
    let (target, scope, bind) = target(at).map_err(|failure| (failure, Vec::new()))?;
    let socket = SdpSocket::unicast(bind)
        .map_err(|error| (failed(format!("cannot open a UDP socket: {error}")), Vec::new()))?;
    let off_link = matches!(at, DiscoverAt::Address(_));
    let mut engine = Discovery::new(secured, off_link, ATTEMPTS.saturating_mul(patience.max(1)));
    let origin = Instant::now();
    let now = || u64::try_from(origin.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut ignored = Vec::new();
    let mut buffer = [0u8; MAX_DATAGRAM];
    engine.start(now());
    loop {
        if let Some(datagram) = engine.poll_transmit() {
            // An unreachable group (link still coming up) is no reason to stop asking: the retry comes.
            let _ = socket.send_to(&datagram, target).await;
        }
        let due = engine.poll_timeout().unwrap_or_else(|| now() + 250);
        let event = tokio::select! {
            received = socket.recv(&mut buffer) => match received {
                Ok((datagram, _)) => engine.handle_datagram(now(), datagram),
                // ICMP errors of a loopback port nobody listens on yet surface here.
                Err(_) => { tokio::time::sleep(Duration::from_millis(50)).await; None }
            },
            () = tokio::time::sleep_until(origin + Duration::from_millis(due)) => engine.handle_timeout(now().max(due)),
        };
        match event {
            Some(DiscoveryEvent::Found(found)) => {
                let address =
                    SocketAddrV6::new(found.address, found.port, 0, scope_for(found.address, scope));
                return Ok(Discovered {
                    found,
                    address,
                    attempts: engine.attempts(),
                    ignored,
                });
            }
            Some(DiscoveryEvent::GaveUp(failure)) => return Err((failure, ignored)),
            Some(DiscoveryEvent::Ignored(failure)) if ignored.len() < MAX_IGNORED => ignored.push(failure),
            Some(DiscoveryEvent::Ignored(_)) | None => {}
        }
    }
}

/// Where requests go, the scope of answers, and what to bind to.
fn target(at: &DiscoverAt) -> Result<(SocketAddrV6, u32, SocketAddrV6), Failure> {
    match at {
        DiscoverAt::Address(address) => {
            let bind = if address.ip().is_loopback() {
                Ipv6Addr::LOCALHOST
            } else {
                Ipv6Addr::UNSPECIFIED
            };
            Ok((*address, address.scope_id(), SocketAddrV6::new(bind, 0, 0, 0)))
        }
        DiscoverAt::Interface(name) => {
            let index = interface_index(name)?;
            Ok((
                SocketAddrV6::new(GROUP, PORT, 0, index),
                index,
                SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 0, 0, 0),
            ))
        }
    }
}

/// The kernel's number for a network interface, from the table of this thread's network namespace
/// (`/sys` shows the namespace of whoever mounted it). An interface without an IPv6 address is not in it,
/// and would be of no use.
fn interface_index(name: &str) -> Result<u32, Failure> {
    let table = std::fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap_or_default();
    table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|fields| fields.get(5) == Some(&name))
        .and_then(|fields| u32::from_str_radix(fields.get(1)?, 16).ok())
        .ok_or_else(|| {
            Failure::new(
                StepName::Discovery,
                codes::NO_INTERFACE,
                format!("there is no network interface {name:?} with an IPv6 address"),
            )
        })
}

/// Link-local addresses need the interface they are on.
const fn scope_for(address: Ipv6Addr, scope: u32) -> u32 {
    if address.is_unicast_link_local() { scope } else { 0 }
}

fn failed(message: String) -> Failure {
    Failure::new(StepName::Discovery, codes::SDP_NO_ANSWER, message)
}
