//! Live updates: what is sent, what is not, and where it stops.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops there"
)]

mod seed;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use futures_util::StreamExt as _;
use seed::World;
use tokio::time::timeout;
use tower::ServiceExt as _;

struct Stream {
    body: axum::body::BodyDataStream,
    text: String,
}

impl Stream {
    async fn open(router: &Router, path: &str) -> (StatusCode, Self) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().into_data_stream();
        (
            status,
            Self {
                body,
                text: String::new(),
            },
        )
    }

    /// Reads on until everything read so far contains `wanted`.
    async fn until(&mut self, wanted: &str) {
        let read = async {
            while !self.text.contains(wanted) {
                let chunk = self.body.next().await.expect("the stream ended").unwrap();
                self.text.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        };
        if timeout(Duration::from_secs(10), read).await.is_err() {
            panic!("no {wanted:?} in {}", self.text);
        }
    }

    /// Reads on until the server ends the stream.
    async fn end(&mut self) {
        let read = async {
            while let Some(chunk) = self.body.next().await {
                self.text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
            }
        };
        timeout(Duration::from_secs(10), read)
            .await
            .expect("the stream goes on");
    }
}

#[tokio::test]
async fn a_sample_moves_the_session_page_and_only_what_changed_is_sent() {
    let world = World::seeded().await;
    let router = world.router();
    let (status, mut stream) = Stream::open(&router, "/live/sessions/GL-DC-1/live-1").await;
    assert_eq!(status, StatusCode::OK);
    stream.until("event: state").await;
    assert!(stream.text.contains("data: plot\n"));
    stream.text.clear();
    world.sample(1.0, -17_250.0, 1_205_900_000, 88_460_000);
    stream.until("17.25").await;
    stream.until("event: state").await;
    assert!(stream.text.contains("data: plot\n"));
    assert!(!stream.text.contains("data: bill\n"), "the bill did not change");
}

#[tokio::test]
async fn the_bill_arrives_and_the_stream_is_settled() {
    let world = World::seeded().await;
    let router = world.router();
    let (_, mut stream) = Stream::open(&router, "/live/sessions/GL-DC-1/live-1").await;
    stream.until("event: state").await;
    assert!(!stream.text.contains("Credit for energy"));
    world.finish_live().await;
    stream.until("Credit for energy back to the grid").await;
    stream.until("event: settled").await;
    stream.end().await;
}

#[tokio::test]
async fn the_overview_hears_of_events_and_stations() {
    let world = World::seeded().await;
    let router = world.router();
    let (_, mut stream) = Stream::open(&router, "/live/overview").await;
    stream.until("event: state").await;
    stream.text.clear();
    world.finish_live().await;
    stream.until("live-1 is billed").await;
    stream.until("data: finished\n").await;
}

#[tokio::test]
async fn the_sixty_fifth_page_is_refused_and_a_closed_one_makes_room() {
    let world = World::seeded().await;
    let router = world.router();
    let mut open = Vec::new();
    for _ in 0..64 {
        let (status, stream) = Stream::open(&router, "/live/events").await;
        assert_eq!(status, StatusCode::OK);
        open.push(stream);
    }
    let (status, mut refused) = Stream::open(&router, "/live/events").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    refused.end().await;
    assert!(refused.text.contains("64 live pages"));
    open.pop();
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if Stream::open(&router, "/live/events").await.0 == StatusCode::OK {
            return;
        }
    }
    panic!("the place of a closed page was not given back");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_dropped() {
    let world = World::seeded().await;
    let router = world.router();
    let mut stalled = Vec::new();
    for _ in 0..64 {
        stalled.push(Stream::open(&router, "/live/overview").await.1);
    }
    // Nobody reads. Beyond the patience of the server every place is free again, though the clients are there.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let (status, _) = Stream::open(&router, "/live/overview").await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_shutdown_ends_every_stream() {
    let world = World::seeded().await;
    let router = world.router();
    let (_, mut stream) = Stream::open(&router, "/live/overview").await;
    stream.until("event: state").await;
    world.shutdown.cancel();
    stream.end().await;
}
