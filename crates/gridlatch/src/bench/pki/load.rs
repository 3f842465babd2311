//! A client that asks one thing over and over, on a connection of its own for each question or on one for all.
//!
//! Client and server share the machine, so the client does as little as it can: blocking sockets on a few threads
//! of their own, the same for everybody who is measured.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Clients at the same time.
const CLIENTS: usize = 8;
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

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
    let started = Instant::now();
    let until = started + time;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let question = Arc::clone(&question);
            let client = move || {
                if keep_alive {
                    kept(address, &question, until)
                } else {
                    anew(address, &question, until)
                }
            };
            std::thread::Builder::new().name("load".to_owned()).spawn(client)
        })
        .collect::<std::io::Result<_>>()?;
    // The servers run on this runtime: it must not be held up.
    let ended = tokio::task::spawn_blocking(move || {
        clients
            .into_iter()
            .map(|client| client.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
            .collect::<Result<Vec<u64>>>()
    });
    let counts = ended.await.context("the clients were abandoned")??;
    Ok(super::rate(counts.iter().sum(), started.elapsed()))
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn anew(address: SocketAddr, question: &[u8], until: Instant) -> Result<u64> {
    let mut count = 0;
    let mut answer = [0; 8192];
    while Instant::now() < until {
        let mut stream = connect(address)?;
        stream.write_all(question)?;
        let mut have = 0;
        loop {
            let more = stream.read(answer.get_mut(have..).unwrap_or_default())?;
            if more == 0 {
                break;
            }
            have += more;
        }
        if !answer.starts_with(b"HTTP/1.1 200") && !answer.starts_with(b"HTTP/1.0 200") {
            let said = answer.get(..have).unwrap_or_default();
            bail!("an answer was {}", String::from_utf8_lossy(said));
        }
        count += 1;
    }
    Ok(count)
}

fn kept(address: SocketAddr, question: &[u8], until: Instant) -> Result<u64> {
    let mut stream = connect(address)?;
    stream.set_nodelay(true)?;
    let mut count = 0;
    let mut answer = vec![0; 16 * 1024];
    while Instant::now() < until {
        stream.write_all(question)?;
        let (mut have, mut length) = (0, None);
        // Each anew: signatures are not all of one length.
        while length.is_none_or(|length| have < length) {
            let more = stream.read(answer.get_mut(have..).unwrap_or_default())?;
            if more == 0 {
                bail!("the connection ended");
            }
            have += more;
            if length.is_none() {
                length = whole(answer.get(..have).unwrap_or_default());
            }
        }
        anyhow::ensure!(
            length == Some(have) && answer.starts_with(b"HTTP/1.1 200"),
            "an answer was {}",
            String::from_utf8_lossy(answer.get(..have).unwrap_or_default())
        );
        count += 1;
    }
    Ok(count)
}

/// The length of head and body, once the head is there. Names of fields are written small by whoever is asked here.
fn whole(answer: &[u8]) -> Option<usize> {
    const FIELD: &[u8] = b"\r\ncontent-length: ";
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let field = answer.windows(FIELD.len()).position(|text| text == FIELD)?;
    let digits = answer.get(field + FIELD.len()..)?;
    let length = digits
        .iter()
        .take_while(|octet| octet.is_ascii_digit())
        .fold(0_usize, |sum, octet| sum * 10 + usize::from(octet - b'0'));
    Some(head + 4 + length)
}
