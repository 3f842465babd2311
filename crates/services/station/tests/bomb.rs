//! The EXI string-table bomb against a running station over TLS. In a process of its own, because it
//! measures the process.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a test prints its figures"
)]

#[path = "it/bench.rs"]
#[allow(dead_code, reason = "the bench serves more tests than this one")]
mod bench;

use std::time::Duration;

use gridlatch_tls::{Generation, VehicleClient, VehicleClientConfig};
use gridlatch_vocab::catalogue::{session, wire};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An offer, a session setup, and the largest bomb that the station's limit lets in: 2,280 references to
/// one text of 3,500 characters. It decodes, and is refused for the session it names.
const BOMB: &[u8] = include_bytes!("../../../../fuzz/corpus/secc/bomb");

/// Most the process may grow under it, in KiB.
const BOUND: u64 = 64 * 1024;

fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bomb_is_refused_and_the_station_stays_small() {
    let bench = bench::bench(2, false);
    // Everything is loaded and warm before the figure is taken.
    bench.serves(1, "nothing").await;
    let client = VehicleClient::new(VehicleClientConfig {
        generation: Generation::Iso2,
        roots: bench::pki().v2g_roots(),
        identity: None,
        key_log: None,
        handshake_timeout: Duration::from_secs(10),
    })
    .unwrap();
    let before = memory("VmHWM:");
    // The same again in front of a larger header: refused by the header alone.
    let mut oversized = BOMB[..BOMB.len() - 8185].to_vec();
    let at = oversized.len() - 4;
    oversized[at..].copy_from_slice(&75_000u32.to_be_bytes());
    oversized.extend(std::iter::repeat_n(0x80, 75_000));
    for (what, bytes, code) in [
        ("a bomb that fits", BOMB.to_vec(), session::UNKNOWN_SESSION),
        ("a bomb that does not", oversized, wire::V2GTP_TOO_LARGE),
    ] {
        for _ in 0..10 {
            let refused = bench.count(1, code);
            let tcp = TcpStream::connect(bench.evse(1).tls.unwrap()).await.unwrap();
            let (mut tls, _) = client.connect(tcp, None).await.unwrap();
            let _ = tls.write_all(&bytes).await;
            let reading =
                async { while matches!(tls.read(&mut [0; 512]).await, Ok(length) if length > 0) {} };
            let _ = tokio::time::timeout(Duration::from_millis(300), reading).await;
            drop(tls);
            bench.reports(1, code, refused).await;
        }
        assert!(!bench.is_closed(1));
        bench.serves(1, what).await;
        bench.serves(2, what).await;
    }
    let grown = memory("VmHWM:").saturating_sub(before);
    println!("twenty bombs: {before} KiB before, {grown} KiB more at most");
    assert!(grown < BOUND, "grown by {grown} KiB");
    bench.stop().await;
}
