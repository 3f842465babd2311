//! A client that asks one thing over and over, on a connection of its own for each question or on one
//! for all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Clients at the same time.
const CLIENTS: usize = 8;

/// Answers a second to `body` posted to `path`.
pub(super) async fn post(
    address: SocketAddr,
    path: &str,
    body: &[u8],
    keep_alive: bool,
    time: Duration,
) -> Result<f64> {
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/ocsp-request\r\n\
         Connection: {connection}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let question = Arc::new([head.as_bytes(), body].concat());
    let until = Instant::now() + time;
    let started = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let question = Arc::clone(&question);
        clients.push(tokio::spawn(async move {
            if keep_alive {
                kept(address, &question, until).await
            } else {
                anew(address, &question, until).await
            }
        }));
    }
    let mut count = 0;
    for client in clients {
        count += client.await.context("a client failed")??;
    }
    Ok(super::rate(count, started.elapsed()))
}

async fn anew(address: SocketAddr, question: &[u8], until: Instant) -> Result<u64> {
    let mut count = 0;
    let mut answer = Vec::with_capacity(4096);
    while Instant::now() < until {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(question).await?;
        answer.clear();
        stream.read_to_end(&mut answer).await?;
        if !answer.starts_with(b"HTTP/1.1 200") && !answer.starts_with(b"HTTP/1.0 200") {
            bail!("an answer was {}", String::from_utf8_lossy(&answer));
        }
        count += 1;
    }
    Ok(count)
}

async fn kept(address: SocketAddr, question: &[u8], until: Instant) -> Result<u64> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut count = 0;
    let mut answer = vec![0; 16 * 1024];
    while Instant::now() < until {
        stream.write_all(question).await?;
        let mut have = 0;
        loop {
            let more = stream.read(answer.get_mut(have..).unwrap_or_default()).await?;
            if more == 0 {
                bail!("the connection ended");
            }
            have += more;
            if whole(answer.get(..have).unwrap_or_default()) {
                break;
            }
        }
        count += 1;
    }
    Ok(count)
}

/// Whether head and body are there.
fn whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let text = String::from_utf8_lossy(answer.get(..head).unwrap_or_default()).to_ascii_lowercase();
    let length = text
        .split("content-length: ")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next()?.trim().parse::<usize>().ok());
    length.is_some_and(|length| answer.len() >= head + 4 + length)
}
