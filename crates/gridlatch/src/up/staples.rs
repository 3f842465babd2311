//! Where a simulated station gets the OCSP answers it staples: the responder that its certificate names, if that
//! is on this machine.

use std::time::Duration;

use gridlatch_station::{Fetched, StapleSource};
use gridlatch_trust::certificate;
use gridlatch_trust::ocsp::{CertId, Hash, MAX_RESPONSE, Request, build_request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The head of an HTTP answer, bytes.
const MAX_HEAD: usize = 8 * 1024;
/// `up` starts its stations before its responder: how often a station asks again meanwhile.
const AGAIN: Duration = Duration::from_secs(1);
/// And how many times.
const TIMES: usize = 20;

/// The responders that the certificates themselves name, on this machine only: a certificate must not be
/// able to send a station anywhere.
#[derive(Debug)]
pub(crate) struct Named;

impl Named {
    /// Whether a chain's leaf names a responder at all.
    pub(crate) fn by(chain: &[Vec<u8>]) -> bool {
        responder_of(chain).is_some()
    }
}

fn responder_of(chain: &[Vec<u8>]) -> Option<String> {
    let [leaf, issuer, ..] = chain else { return None };
    certificate::hash_data(leaf, issuer).ok()?.responder_url
}

/// An OCSP responder over plain HTTP (answers are signed).
#[derive(Debug)]
struct HttpResponder {
    authority: String,
    path: String,
}

impl HttpResponder {
    /// The responder at `url`, `http://127.0.0.1:PORT/PATH`.
    fn new(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("http://")?;
        let (authority, path) = rest.split_once('/')?;
        let here = authority.starts_with("127.0.0.1:") || authority.starts_with("[::1]:");
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        (here && plain(authority) && plain(path)).then(|| Self {
            authority: authority.to_owned(),
            path: format!("/{path}"),
        })
    }

    async fn ask(&self, request: &[u8]) -> Result<Vec<u8>, String> {
        let failed = |error: std::io::Error| format!("the responder {}: {error}", self.authority);
        let mut stream = TcpStream::connect(&self.authority).await.map_err(failed)?;
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/ocsp-request\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            self.path,
            self.authority,
            request.len()
        );
        stream
            .write_all(&[head.as_bytes(), request].concat())
            .await
            .map_err(failed)?;
        let mut answer = Vec::new();
        let most = (MAX_HEAD + MAX_RESPONSE) as u64;
        stream.take(most).read_to_end(&mut answer).await.map_err(failed)?;
        body(&answer).map_err(|why| format!("the responder {} {why}", self.authority))
    }
}

/// The body of an HTTP answer that was ended by closing the connection.
fn body(answer: &[u8]) -> Result<Vec<u8>, String> {
    let end = answer
        .windows(4)
        .take(MAX_HEAD)
        .position(|window| window == b"\r\n\r\n")
        .ok_or("did not answer in HTTP")?;
    let (head, rest) = answer.split_at(end);
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .unwrap_or("nothing");
    if status != "200" {
        return Err(format!("answered {status}"));
    }
    let body = &rest[4..];
    let promised = lines
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|length| length.trim().parse::<usize>().ok());
    // Without a length the body might be chunked, or cut off.
    match promised {
        Some(length) if length == body.len() => Ok(body.to_vec()),
        Some(_) => Err("sent a body of another length than it promised".to_owned()),
        None => Err("did not say how long its answer is".to_owned()),
    }
}

impl StapleSource for Named {
    fn fetch<'a>(&'a self, chain: &'a [Vec<u8>]) -> Fetched<'a> {
        Box::pin(async move {
            let [leaf, issuer, ..] = chain else {
                return Err("the chain does not hold the issuer".to_owned());
            };
            let url = responder_of(chain).ok_or("the certificate names no OCSP responder")?;
            let responder = HttpResponder::new(&url)
                .ok_or_else(|| format!("the certificate names {url}, which is not on this machine"))?;
            let parsed = certificate::parse(leaf).map_err(|error| error.to_string())?;
            let serial = parsed.tbs_certificate.serial_number.as_bytes();
            // SHA-1 names the certificate and signs nothing; every responder knows it.
            let id = CertId::new(issuer, serial, Hash::Sha1).map_err(|error| error.to_string())?;
            let request = Request {
                ids: vec![id],
                nonce: None,
            };
            let request = build_request(&request).map_err(|error| error.to_string())?;
            let mut tries = 0;
            loop {
                match responder.ask(&request).await {
                    Err(_) if tries < TIMES => {
                        tries += 1;
                        tokio::time::sleep(AGAIN).await;
                    }
                    done => return done,
                }
            }
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_answer_is_taken() {
        assert_eq!(
            body(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc").unwrap(),
            b"abc"
        );
        for bad in [
            &b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nabc"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n",
            b"",
        ] {
            body(bad).unwrap_err();
        }
        assert!(HttpResponder::new("https://x/ocsp").is_none());
        assert!(HttpResponder::new("http://127.0.0.1:1/o c").is_none());
        assert!(HttpResponder::new("http://ocsp.example.org/").is_none());
        let responder = HttpResponder::new("http://127.0.0.1:8080/ocsp").unwrap();
        assert_eq!(
            (responder.authority.as_str(), responder.path.as_str()),
            ("127.0.0.1:8080", "/ocsp")
        );
    }
}
