//! Ports that are free at the moment of asking.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};

use anyhow::{Context as _, Result};

/// A free TCP port on 127.0.0.1.
///
/// # Errors
/// When none can be bound.
pub fn tcp() -> Result<u16> {
    bound(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// A free TCP port on `::1`.
///
/// # Errors
/// When none can be bound.
pub fn tcp6() -> Result<u16> {
    bound(IpAddr::V6(Ipv6Addr::LOCALHOST))
}

fn bound(host: IpAddr) -> Result<u16> {
    let listener = TcpListener::bind((host, 0)).with_context(|| format!("finding a free port on {host}"))?;
    Ok(listener.local_addr()?.port())
}
