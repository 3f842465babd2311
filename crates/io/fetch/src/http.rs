//! One bounded request. Of the fetcher: an allowed place, a time limit over all of it, a limit on the answer.

use core::time::Duration;

use gridlatch_trust::verdict::AllowedPlaces;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Nothing was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FetchError {
    /// The certificate names a place that nobody here allowed.
    #[error("{0} is not an allowed place")]
    NotAllowed(String),
    /// The server cannot be reached, or what it says is no HTTP.
    #[error("{place} does not answer: {reason}")]
    Unreachable {
        /// Host and port.
        place: String,
        /// Why.
        reason: String,
    },
    /// It answered with another status than 200.
    #[error("{place} answers with HTTP status {status}")]
    Status {
        /// Host and port.
        place: String,
        /// The status.
        status: u16,
    },
    /// It took too long.
    #[error("{0} does not answer in time")]
    TimedOut(String),
    /// The answer is larger than what was asked for can be.
    #[error("{place} sends more than {limit} octets")]
    TooLarge {
        /// Host and port.
        place: String,
        /// The bound.
        limit: usize,
    },
}

/// Fetches from allowed places.
#[derive(Debug, Clone)]
pub struct Fetcher {
    places: AllowedPlaces,
    limit: Duration,
}

impl Fetcher {
    /// `limit` bounds each request, from the connection to the last octet.
    #[must_use]
    pub const fn new(places: AllowedPlaces, limit: Duration) -> Self {
        Self { places, limit }
    }

    /// The body at `url`, at most `octets` of it.
    ///
    /// # Errors
    /// The place is not allowed, or it does not answer as it should, in time and within the bound.
    pub async fn get(&self, url: &str, octets: usize) -> Result<Bytes, FetchError> {
        self.exchange(Method::GET, url, None, octets).await
    }

    /// What `url` answers to `body` of this type, at most `octets` of it.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn post(
        &self,
        url: &str,
        content_type: &'static str,
        body: Vec<u8>,
        octets: usize,
    ) -> Result<Bytes, FetchError> {
        self.exchange(Method::POST, url, Some((content_type, body)), octets)
            .await
    }

    async fn exchange(
        &self,
        method: Method,
        url: &str,
        body: Option<(&'static str, Vec<u8>)>,
        octets: usize,
    ) -> Result<Bytes, FetchError> {
        let Some((place, path)) = self.places.allows(url) else {
            return Err(FetchError::NotAllowed(url.chars().take(200).collect()));
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &place)
            .header(USER_AGENT, "gridlatch")
            .header(ACCEPT, "*/*");
        let mut content = Bytes::new();
        if let Some((kind, body)) = body {
            request = request.header(CONTENT_TYPE, kind);
            content = body.into();
        }
        let unreachable = |reason: String| FetchError::Unreachable {
            place: place.clone(),
            reason,
        };
        let request = request
            .body(Full::new(content))
            .map_err(|error| unreachable(error.to_string()))?;
        let work = self.run(&place, request, octets);
        timeout(self.limit, work)
            .await
            .unwrap_or_else(|_| Err(FetchError::TimedOut(place.clone())))
    }

    async fn run(
        &self,
        place: &str,
        request: Request<Full<Bytes>>,
        octets: usize,
    ) -> Result<Bytes, FetchError> {
        let tcp = TcpStream::connect(place)
            .await
            .map_err(|error| FetchError::Unreachable {
                place: place.to_owned(),
                reason: error.to_string(),
            })?;
        let answer = exchange(tcp, place, request, octets).await?;
        if answer.status != StatusCode::OK.as_u16() {
            return Err(FetchError::Status {
                place: place.to_owned(),
                status: answer.status,
            });
        }
        Ok(answer.body)
    }
}

/// A request to a partner, over whatever connection its caller has made.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// `GET`, `POST`, `PUT`.
    pub method: &'a str,
    /// Host and port, for the `Host` field and for messages.
    pub place: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// Further fields.
    pub fields: &'a [(&'static str, String)],
    /// The body.
    pub body: Vec<u8>,
}

/// What a partner answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status; redirections are not followed.
    pub status: u16,
    /// The body, complete.
    pub body: Bytes,
}

/// Sends one request over `stream` and reads the answer with at most `octets` of body; the connection ends
/// with it. The caller bounds the time and has made sure of the partner, by TLS or by staying on this machine.
///
/// # Errors
/// The request cannot be written as HTTP, the partner says no HTTP, or its answer is too large.
pub async fn ask<S>(stream: S, ask: Ask<'_>, octets: usize) -> Result<Answer, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut request = Request::builder()
        .method(ask.method)
        .uri(ask.path)
        .header(HOST, ask.place)
        .header(USER_AGENT, "gridlatch")
        .header(CONNECTION, "close");
    for (name, value) in ask.fields {
        request = request.header(*name, value);
    }
    let request = request
        .body(Full::new(ask.body.into()))
        .map_err(|error| FetchError::Unreachable {
            place: ask.place.to_owned(),
            reason: error.to_string(),
        })?;
    exchange(stream, ask.place, request, octets).await
}

async fn exchange<S>(
    stream: S,
    place: &str,
    request: Request<Full<Bytes>>,
    octets: usize,
) -> Result<Answer, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let unreachable = |error: &dyn core::fmt::Display| FetchError::Unreachable {
        place: place.to_owned(),
        reason: error.to_string(),
    };
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| unreachable(&error))?;
    // The connection lives as long as this request: dropping the task's guard ends it.
    let driver = Guard(tokio::spawn(async move {
        let _ = connection.await;
    }));
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| unreachable(&error))?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), octets).collect().await;
    drop(driver);
    match body {
        Ok(body) => Ok(Answer {
            status,
            body: body.to_bytes(),
        }),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(FetchError::TooLarge {
            place: place.to_owned(),
            limit: octets,
        }),
        Err(error) => Err(unreachable(&error)),
    }
}

/// The most octets of a head that are read.
const MAX_HEAD: usize = 16 * 1024;

struct Guard(tokio::task::JoinHandle<()>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.abort();
    }
}
