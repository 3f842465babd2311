use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::Request;
use axum::routing::{get, post};
use gridlatch_host::Shutdown;
use gridlatch_vocab::catalogue::enrolment;
use gridlatch_vocab::{Event, EventSink};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

#[derive(Default)]
struct Events(Mutex<Vec<Event>>);

impl EventSink for Events {
    fn emit(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Events {
    fn count(&self, code: gridlatch_vocab::Code) -> usize {
        self.0
            .lock()
            .unwrap()
            .iter()
            .filter(|event| event.code == code)
            .count()
    }
}

async fn start() -> (SocketAddr, Arc<Events>, Shutdown) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let events = Arc::new(Events::default());
    let stop = Shutdown::new();
    let router = Router::new()
        .route(
            "/where",
            get(|Extension(arrival): Extension<Arrival>| async move {
                assert!(arrival.tls.is_none());
                arrival.address.ip().to_string()
            }),
        )
        .route(
            "/body",
            post(|request: Request| async move {
                match body(request.into_body(), 1000).await {
                    Ok(bytes) => format!("{}", bytes.len()),
                    Err(fault) => format!("{fault:?}"),
                }
            }),
        );
    let router = router.route(
        "/slow",
        post(|request: Request| async move {
            let short = Duration::from_millis(100);
            format!(
                "{:?}",
                body_within(request.into_body(), 1000, short).await.unwrap_err()
            )
        }),
    );
    tokio::spawn(serve(
        listener,
        None,
        router,
        Report::new(events.clone()),
        stop.clone(),
    ));
    (address, events, stop)
}

/// Sends bytes as they are and reads until the other side closes.
async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_handler_learns_where_a_request_comes_from() {
    let (address, _, _) = start().await;
    let answer = raw(
        address,
        b"GET /where HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("127.0.0.1"), "{answer}");
}

#[tokio::test]
async fn bodies_are_bounded_whether_announced_chunked_or_broken() {
    let (address, _, _) = start().await;
    let head = "POST /body HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    let fits = format!("{head}Content-Length: 1000\r\n\r\n{}", "a".repeat(1000));
    assert!(raw(address, fits.as_bytes()).await.ends_with("1000"));
    let large = format!("{head}Content-Length: 1001\r\n\r\n{}", "a".repeat(1001));
    assert!(raw(address, large.as_bytes()).await.ends_with("TooLarge"));
    let chunk = format!("1f4\r\n{}\r\n", "a".repeat(500));
    let chunked = format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        chunk.repeat(3)
    );
    assert!(raw(address, chunked.as_bytes()).await.ends_with("TooLarge"));
    let broken = format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n");
    assert!(raw(address, broken.as_bytes()).await.ends_with("Broken"));
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let (address, _, _) = start().await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    let half = b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf";
    slow.write_all(half).await.unwrap();
    // Head and body may come in pieces.
    let mut answer = Vec::new();
    while !answer.ends_with(b"Slow") {
        let length = slow.read_buf(&mut answer).await.unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&answer));
    }
}

#[tokio::test]
async fn garbage_gets_an_error_and_one_event_a_second_and_the_service_goes_on() {
    let (address, events, _) = start().await;
    let started = Instant::now();
    for round in 0..300_u32 {
        let bytes = match round % 3 {
            0 => b"\x16\x03\x01\x00\x05hello\r\n\r\n".to_vec(),
            1 => b"GET / HTTP/9.9\r\n\r\n".to_vec(),
            _ => [&b"GET / HTTP/1.1\r\n"[..], &b"A: b\r\n".repeat(100), b"\r\n"].concat(),
        };
        let answer = raw(address, &bytes).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let large = [&b"GET /"[..], &b"a".repeat(2 * HEAD), b" HTTP/1.1\r\n\r\n"].concat();
    let answer = raw(address, &large).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    let said = events.count(enrolment::NOT_HTTP);
    let seconds = usize::try_from(started.elapsed().as_secs()).unwrap();
    assert!((1..=seconds + 2).contains(&said), "{said} events in {seconds} s");
    let answer = raw(
        address,
        b"GET /where HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn one_address_cannot_hold_every_connection_and_its_places_come_back() {
    let (address, events, _) = start().await;
    let mut held = Vec::new();
    for _ in 0..PER_ADDRESS {
        held.push(TcpStream::connect(address).await.unwrap());
    }
    let one_more = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let _ = stream
            .write_all(b"GET /where HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer
    };
    assert!(one_more.await.is_empty());
    assert_eq!(events.count(enrolment::CONNECTIONS_EXHAUSTED), 1);
    drop(held);
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = raw(
            address,
            b"GET /where HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        )
        .await;
        if answer.starts_with("HTTP/1.1 200") {
            break;
        }
        assert!(Instant::now() < until, "places did not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let (address, _, stop) = start().await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    stop.cancel();
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(GRACE + Duration::from_secs(3), idle.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "the connection outlives the service");
}

#[test]
fn dates_are_written_as_http_writes_them() {
    let at = Timestamp::from_unix_millis(1_800_000_000_000);
    assert_eq!(date(at).unwrap(), "Fri, 15 Jan 2027 08:00:00 GMT");
}
