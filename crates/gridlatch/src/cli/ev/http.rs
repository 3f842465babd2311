//! Requests to the platform's REST interface: HTTP/1.0 over loopback, one request per connection.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Largest answer taken; a page of sessions is a few KiB.
const MAX_ANSWER: u64 = 4 * 1024 * 1024;
/// Time for one request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Fetches JSON from `base` (`http://host:port/prefix`) + `path`.
pub(crate) async fn get(base: &str, path: &str, token: &str) -> Result<Value> {
    request("GET", base, path, token, "").await
}

/// Sends JSON to `base` + `path`; the answer.
pub(crate) async fn post(base: &str, path: &str, token: &str, body: &Value) -> Result<Value> {
    request("POST", base, path, token, &body.to_string()).await
}

async fn request(method: &str, base: &str, path: &str, token: &str, body: &str) -> Result<Value> {
    let rest = base
        .strip_prefix("http://")
        .with_context(|| format!("{base} is not a http address"))?;
    let (host, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = if prefix.is_empty() {
        String::new()
    } else {
        format!("/{}", prefix.trim_end_matches('/'))
    };
    let request = format!(
        "{method} {prefix}{path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nAccept: application/json\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let exchange = async {
        let mut stream = TcpStream::connect(host).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(TIMEOUT, exchange)
        .await
        .with_context(|| format!("{base}{path} did not answer in time"))?
        .with_context(|| format!("cannot ask {base}{path}"))?;
    let head_end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .with_context(|| format!("{base}{path} sent no HTTP answer"))?;
    let (head, body) = answer.split_at(head_end + 4);
    let head = String::from_utf8_lossy(head);
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    if status != "200" {
        // A refusal says why, with a code.
        let problem: Value = serde_json::from_slice(body).unwrap_or_default();
        match (problem["detail"].as_str(), problem["code"].as_str()) {
            (Some(detail), Some(code)) => bail!("{detail} ({code})"),
            _ => bail!("{base}{path} answered {status}"),
        }
    }
    serde_json::from_slice(body).with_context(|| format!("{base}{path} sent no JSON"))
}
