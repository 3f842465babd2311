//! Ports for servers that must be told theirs before they start.
//!
//! A port that the kernel gave away a moment ago (`bind` to port 0) is one that it may give to the next socket too:
//! every outgoing connection of every test takes one from the same range. These come from below that range, and each
//! is kept for this process by a name that only one process can hold.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};

/// Where they come from: above what services use by custom, below what Linux gives to outgoing connections (from 32768).
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// What keeps the ports of this process: held until it ends, however it ends.
static KEPT: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());

/// A TCP port that nothing listens on and that no other caller gets while this process lives.
///
/// # Errors
/// When every port of the range is taken.
pub fn tcp() -> Result<u16> {
    row(1)
}

/// The first of two neighbouring ports of that kind.
///
/// # Errors
/// When there are no two in a row.
pub fn tcp_pair() -> Result<u16> {
    row(2)
}

fn row(length: u16) -> Result<u16> {
    // Anywhere: processes that begin at the same port would meet at every step.
    let begin = RandomState::new().build_hasher().finish();
    for step in 0..u64::from(COUNT) {
        let offset = (begin % u64::from(COUNT) + step) % u64::from(COUNT - length + 1);
        let first = FIRST + u16::try_from(offset)?;
        let row: Option<Vec<UnixListener>> = (first..first + length).map(keep).collect();
        if let Some(row) = row {
            KEPT.lock().unwrap_or_else(PoisonError::into_inner).extend(row);
            return Ok(first);
        }
    }
    bail!("no free port from {FIRST} to {}", FIRST + COUNT - 1)
}

/// The port's name, if nobody has it and nobody listens there.
fn keep(port: u16) -> Option<UnixListener> {
    let name = SocketAddr::from_abstract_name(format!("gridlatch-test-port-{port}")).ok()?;
    let kept = UnixListener::bind_addr(&name).ok()?;
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).ok()?;
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gets_a_port_twice_or_one_that_is_served() {
        let mut all: Vec<u16> = (0..200).map(|_| tcp().unwrap()).collect();
        let pair = tcp_pair().unwrap();
        all.extend([pair, pair + 1]);
        let mut once = all.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), all.len());
        assert!(
            once.iter().all(|port| keep(*port).is_none()),
            "kept by this process"
        );
        let served = TcpListener::bind((Ipv4Addr::LOCALHOST, all[0])).unwrap();
        // As another process sees it, which does not hold the name.
        KEPT.lock().unwrap().clear();
        assert!(keep(all[0]).is_none(), "somebody listens there");
        drop(served);
        assert!(keep(all[1]).is_some());
    }
}
