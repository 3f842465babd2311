//! OCSP answers a second.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use axum::Router;
use axum::body::Bytes;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::post;
use gridlatch_host::{Hub, HubConfig, Shutdown};
use gridlatch_keys::{FileKey, Signer as _};
use gridlatch_pki::ca::{Ca, World};
use gridlatch_pki::http::{Report, serve};
use gridlatch_pki::ocsp::Responder;
use gridlatch_trust::certificate;
use gridlatch_trust::ocsp::{CertId, Hash, Request, build_request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{Aim, Row, load, secc};

const AUTHORITY: &str = "iso2/cpo-sub2";

pub(super) async fn measure(ca: &Ca, folder: &Path, raw: f64, time: Duration) -> Result<Vec<Row>> {
    let key = FileKey::generate(World::Iso2.algorithm())?;
    let issued = secc(
        ca,
        World::Iso2,
        "DE*BEN*E0".to_owned(),
        key.public_key_der().to_vec(),
    )
    .await?;
    let issuer = ca.authority(AUTHORITY)?.der.clone();
    let question = |nonce: Option<Vec<u8>>| -> Result<Vec<u8>> {
        let id = CertId::new(&issuer, &issued.serial.octets(), Hash::Sha1)?;
        Ok(build_request(&Request { ids: vec![id], nonce })?)
    };
    let (plain, nonce) = (question(None)?, question(Some(vec![9; 16]))?);

    let stop = Shutdown::new();
    let report = Report::new(Arc::new(Hub::new(HubConfig::default(), None)));
    let responder = Responder::start(ca.clone(), report.clone(), stop.clone()).await?;
    let (listener, ours) = listen().await?;
    tokio::spawn(serve(listener, None, responder.router(), report, stop.clone()));
    let first = once(ours, "/ocsp", &plain).await?;

    // The same octets by a handler that knows nothing else, on axum's own server.
    let (listener, bare) = listen().await?;
    let body = Bytes::from(first);
    let handler = post(move |asked: Bytes| async move {
        let _ = asked;
        let kind = (CONTENT_TYPE, "application/ocsp-response");
        ([kind, (CACHE_CONTROL, "max-age=3600, public")], body)
    });
    let router = Router::new().route("/ocsp", handler);
    tokio::spawn(async move { axum::serve(listener, router).await });

    let kernel = kernel(once_whole(ours, "/ocsp", &plain).await?)?;
    let peer = Peer::start(ca, folder, &issued.der, &plain).await?;
    // Interleaved, so that a busy moment of the machine hits everybody.
    let third = time / 3;
    let mut sums = [0.0; 7];
    for _ in 0..3 {
        for (place, (address, path, asked, kept)) in [
            (peer.address, "/", &plain, false),
            (ours, "/ocsp", &plain, false),
            (ours, "/ocsp", &nonce, false),
            (bare, "/ocsp", &plain, true),
            (ours, "/ocsp", &plain, true),
            (kernel, "/ocsp", &plain, false),
            (ours, "/ocsp", &nonce, true),
        ]
        .into_iter()
        .enumerate()
        {
            let figure = load::post(address, path, asked, kept, third).await?;
            if let Some(sum) = sums.get_mut(place) {
                *sum += figure / 3.0;
            }
        }
    }
    stop.cancel();
    let [openssl, fresh, signed, axum, repeated, kernel, signed_kept] = sums;
    let row = |what: &str, figure, against, other, aim| Row {
        what: what.to_owned(),
        figure,
        against,
        other,
        aim,
    };
    let five = Some(Aim::AtLeast(5.0));
    let memory = "OCSP answers from memory, a connection each";
    let memory_kept = "OCSP answers from memory, connections kept";
    let demand = "OCSP answers signed on demand (nonce), a connection each";
    let demand_kept = "OCSP answers signed on demand (nonce), connections kept";
    Ok(vec![
        row(memory, fresh, "openssl ocsp", openssl, five),
        row(
            "accept, read, write the same octets, close: no HTTP",
            kernel,
            "openssl ocsp",
            openssl,
            None,
        ),
        row(memory, fresh, "accept, read, write, close", kernel, None),
        row(
            memory_kept,
            repeated,
            "openssl ocsp, which keeps none",
            openssl,
            five,
        ),
        row(demand, signed, "openssl ocsp", openssl, None),
        row(
            demand_kept,
            signed_kept,
            "openssl ocsp, which keeps none",
            openssl,
            None,
        ),
        row(demand_kept, signed_kept, "raw signatures, all cores", raw, None),
        row(memory_kept, repeated, "raw signatures, all cores", raw, None),
        // Written as how many times slower.
        row(
            "bare axum handler, same octets, connections kept",
            axum,
            "OCSP answers from memory",
            repeated,
            Some(Aim::AtMost(1.5)),
        ),
    ])
}

/// What the kernel alone takes for a connection each: a server that reads once, writes `answer` and closes.
fn kernel(answer: Vec<u8>) -> Result<SocketAddr> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let answer = Arc::new(answer);
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    for _ in 0..cores {
        let (listener, answer) = (listener.try_clone()?, Arc::clone(&answer));
        // Ends with the process: nobody connects any more, and a thread that waits costs nothing.
        std::thread::Builder::new()
            .name("kernel".to_owned())
            .spawn(move || {
                let mut question = [0; 2048];
                while let Ok((mut stream, _)) = listener.accept() {
                    if stream.read(&mut question).is_ok() {
                        let _ = stream.write_all(&answer);
                    }
                }
            })?;
    }
    Ok(address)
}

async fn listen() -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// One question, and the body of the answer.
async fn once(address: SocketAddr, path: &str, body: &[u8]) -> Result<Vec<u8>> {
    let mut answer = once_whole(address, path, body).await?;
    let head = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .context("the responder gave no answer")?;
    Ok(answer.split_off(head + 4))
}

/// One question, and the answer with its head.
async fn once_whole(address: SocketAddr, path: &str, body: &[u8]) -> Result<Vec<u8>> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&[head.as_bytes(), body].concat()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// `openssl ocsp` as a responder for the same CA.
struct Peer {
    process: std::process::Child,
    address: SocketAddr,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Peer {
    async fn start(ca: &Ca, folder: &Path, leaf: &[u8], question: &[u8]) -> Result<Self> {
        let signer = ca.ocsp_signer(AUTHORITY).await?;
        let key = signer
            .key
            .as_file()
            .context("the OCSP signer's key is not in a file")?;
        let (key_file, cert) = (folder.join("ocsp.key"), folder.join("ocsp.pem"));
        let (issuer, index) = (folder.join("issuer.pem"), folder.join("index.txt"));
        key.save(&key_file)?;
        std::fs::write(&cert, certificate::to_pem(&signer.der))?;
        std::fs::write(&issuer, certificate::to_pem(&ca.authority(AUTHORITY)?.der))?;
        let serial = certificate::summary(leaf)?.serial_hex;
        std::fs::write(
            &index,
            format!("V\t301231235959Z\t\t{serial}\tunknown\t/CN=DE*BEN*E0\n"),
        )?;
        let port = {
            let (listener, address) = listen().await?;
            drop(listener);
            address.port()
        };
        let process = Command::new("openssl")
            .args(["ocsp", "-port", &port.to_string(), "-nmin", "60", "-index"])
            .arg(index)
            .arg("-CA")
            .arg(issuer)
            .arg("-rsigner")
            .arg(cert)
            .arg("-rkey")
            .arg(key_file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start `openssl ocsp`, which this is measured against")?;
        let this = Self {
            process,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        };
        for _ in 0..100 {
            // A whole question: it never comes back from a connection that ends without one.
            if once(this.address, "/", question).await.is_ok() {
                return Ok(this);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("`openssl ocsp` does not listen")
    }
}
