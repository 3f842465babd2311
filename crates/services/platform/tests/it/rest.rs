//! The REST interface: what it shows, and what it refuses.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use gridlatch_platform::rest::auth::{Operator, require_operator};
use gridlatch_vocab::{Secret, catalogue::platform as codes};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::{World, event};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn app(world: &World) -> Router {
    let operator = Operator::new(Secret::new(TOKEN.to_owned()), world.hub.clone());
    require_operator(
        operator,
        gridlatch_platform::rest::router(world.handle.state.clone()),
    )
}

async fn send(app: &Router, request: Request<Body>) -> (StatusCode, Value) {
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let kind = response.headers().get("content-type").cloned();
    let bytes = axum::body::to_bytes(response.into_body(), 10_000_000)
        .await
        .unwrap();
    let value: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    if status.is_client_error() || status.is_server_error() {
        assert_eq!(kind.unwrap(), "application/problem+json", "{value}");
        assert_eq!(value["status"], status.as_u16());
        assert!(
            value["code"].is_string() && value["remedy"].is_string(),
            "{value}"
        );
    }
    (status, value)
}

fn get(path: &str) -> Request<Body> {
    Request::get(path)
        .header("host", "127.0.0.1:8080")
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(Body::empty())
        .unwrap()
}

fn write(method: Method, path: &str, body: impl Into<Body>) -> Request<Body> {
    let mut request = get(path);
    *request.method_mut() = method;
    request
        .headers_mut()
        .insert("content-type", "application/json".parse().unwrap());
    *request.body_mut() = body.into();
    request
}

async fn refused(app: &Router, request: Request<Body>, status: u16, code: gridlatch_vocab::Code) {
    let shown = format!("{} {}", request.method(), request.uri());
    let (got, problem) = send(app, request).await;
    assert_eq!(got.as_u16(), status, "{shown}: {problem}");
    assert_eq!(problem["code"], code.as_str(), "{shown}");
}

#[tokio::test]
async fn shows_stations_sessions_bills_and_events() {
    let world = World::new().await;
    let app = app(&world);
    let mut station = world.station("CS-1").await;
    station.boot().await;
    station
        .ok("TransactionEvent", event("Started", 0, 0, "1000", "0"))
        .await;
    let (_, running) = send(&app, get("/api/v1/sessions/running")).await;
    assert_eq!(running[0]["latest"]["imported_wh"].as_f64(), Some(1000.0));
    station
        .ok("TransactionEvent", event("Ended", 1, 30, "3000", "500"))
        .await;
    let (_, stations) = send(&app, get("/api/v1/stations")).await;
    assert_eq!(stations[0]["connected"], true);
    let (_, one) = send(&app, get("/api/v1/stations/CS-1")).await;
    assert_eq!(one["model"], "Sim");
    let (_, finished) = send(&app, get("/api/v1/sessions/finished?limit=5")).await;
    assert_eq!(finished[0]["bill"]["currency"], "EUR");
    let (_, samples) = send(&app, get("/api/v1/sessions/CS-1/tx-1/samples")).await;
    assert_eq!(samples.as_array().unwrap().len(), 2);
    let since = "/api/v1/sessions/CS-1/tx-1/samples?since=2026-11-21T10:00:00Z";
    let (_, samples) = send(&app, get(since)).await;
    assert_eq!(samples.as_array().unwrap().len(), 1);
    let (_, cdrs) = send(&app, get("/api/v1/cdrs")).await;
    let id = cdrs[0]["id"].as_str().unwrap();
    let (_, cdr) = send(&app, get(&format!("/api/v1/cdrs/{id}"))).await;
    assert_eq!(cdr["ocpi"]["session_id"], "tx-1");
    world.event(codes::BILL_ISSUED).await;
    let mut seen = false;
    for _ in 0..100 {
        let (_, events) = send(&app, get("/api/v1/events?limit=500&station=CS-1")).await;
        seen = events.to_string().contains("platform.bill_issued");
        if seen {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(seen);
    let (status, health) = send(&app, get("/api/v1/health")).await;
    assert_eq!(
        (status, &health["stations_connected"]),
        (StatusCode::OK, &json!(1))
    );
    let (_, description) = send(&app, get("/api/v1/openapi.json")).await;
    assert!(description["paths"]["/api/v1/stations"].is_object());
}

#[tokio::test]
async fn the_tariff_can_be_changed_and_nonsense_is_refused() {
    let world = World::new().await;
    let app = app(&world);
    let (_, before) = send(&app, get("/api/v1/tariff")).await;
    assert_eq!(before["import_per_kwh"].to_string(), "0.40");
    let prices = json!({"currency": "EUR", "import_per_kwh": "0.5", "export_credit_per_kwh": "0.6", "vat_percent": "7"});
    let (status, after) = send(&app, write(Method::PUT, "/api/v1/tariff", prices.to_string())).await;
    assert_eq!(status, StatusCode::OK, "{after}");
    world.event(codes::TARIFF_CHANGED).await;
    let mut station = world.station("CS-1").await;
    station
        .ok("TransactionEvent", event("Started", 0, 0, "0", "0"))
        .await;
    let end = station
        .ok("TransactionEvent", event("Ended", 1, 30, "1000", "2000"))
        .await;
    // 0.50 - 1.20 = -0.70; with 7 % the driver is owed 0.749 -> 0.75
    assert_eq!(end["totalCost"].to_string(), "-0.75");
    for (field, value) in [
        ("currency", json!("euro")),
        ("import_per_kwh", json!("1e30")),
        ("import_per_kwh", json!("5000")),
        ("vat_percent", json!("-1")),
        ("import_per_kwh", json!([])),
        ("discount", json!(1)),
    ] {
        let mut wrong = prices.clone();
        wrong[field] = value;
        let (status, problem) = send(&app, write(Method::PUT, "/api/v1/tariff", wrong.to_string())).await;
        assert!(status.is_client_error(), "{field}: {problem}");
    }
}

#[tokio::test]
async fn without_the_token_or_from_elsewhere_nothing_is_shown_or_done() {
    let world = World::new().await;
    let app = app(&world);
    let bare = || Request::get("/api/v1/stations").header("host", "localhost:8080");
    let no_token = bare().body(Body::empty()).unwrap();
    refused(&app, no_token, 401, codes::REST_UNAUTHENTICATED).await;
    let wrong = bare().header("authorization", format!("Bearer {}", "f".repeat(32)));
    refused(
        &app,
        wrong.body(Body::empty()).unwrap(),
        401,
        codes::REST_UNAUTHENTICATED,
    )
    .await;
    let wrong = Request::get("/api/v1/stations?token=nope").header("host", "localhost");
    refused(
        &app,
        wrong.body(Body::empty()).unwrap(),
        401,
        codes::REST_UNAUTHENTICATED,
    )
    .await;

    for host in ["evil.example", "127.0.0.1.evil.example:8080", ""] {
        let mut request = get("/api/v1/stations");
        request.headers_mut().insert("host", host.parse().unwrap());
        refused(&app, request, 421, codes::REST_FOREIGN_HOST).await;
    }
    let mut request = get("/api/v1/stations");
    request.headers_mut().remove("host");
    refused(&app, request, 421, codes::REST_FOREIGN_HOST).await;

    for (header, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let mut request = write(Method::POST, "/api/v1/stations/CS-1/commands/reset", "{}");
        request.headers_mut().insert(header, value.parse().unwrap());
        refused(&app, request, 403, codes::REST_CROSS_ORIGIN).await;
    }
    let mut same = write(Method::POST, "/api/v1/stations/CS-1/commands/reset", "{}");
    same.headers_mut()
        .insert("origin", "http://127.0.0.1:8080".parse().unwrap());
    refused(&app, same, 409, codes::COMMAND_OFFLINE).await;

    let page = Request::get(format!("/api/v1/health?token={TOKEN}&x=1")).header("host", "[::1]:8080");
    let response = app
        .clone()
        .oneshot(page.body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(response.headers()["location"], "/api/v1/health?x=1");
    let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
    let pair = cookie.split(';').next().unwrap();
    let with_cookie = Request::get("/api/v1/health")
        .header("host", "localhost")
        .header("cookie", format!("a=b; {pair}"));
    assert_eq!(
        send(&app, with_cookie.body(Body::empty()).unwrap()).await.0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn malformed_requests_are_refused_with_a_code() {
    let world = World::new().await;
    let app = app(&world);
    let bad = codes::REST_BAD_REQUEST;
    for path in [
        "/api/v1/events?limit=0",
        "/api/v1/events?limit=501",
        "/api/v1/events?limit=-1",
        "/api/v1/events?limit=abc",
        "/api/v1/events?limit=99999999999999999999",
        "/api/v1/events?wat=1",
        "/api/v1/events?station=a%20b",
        "/api/v1/stations/a%20b",
        "/api/v1/stations/%FF",
        "/api/v1/sessions/CS-1/tx-1/samples?since=yesterday",
        "/api/v1/sessions/CS-1/tx-1/samples?limit=5001",
    ] {
        refused(&app, get(path), 400, bad).await;
    }
    for path in [
        "/api/v1/nothing",
        "/api/v1/stations/CS-9",
        "/api/v1/stations/CS-9/variables",
        "/api/v1/sessions/CS-1/none",
        "/api/v1/sessions/CS-1/none/samples",
        "/api/v1/cdrs/none",
    ] {
        refused(&app, get(path), 404, codes::REST_NOT_FOUND).await;
    }
    refused(&app, write(Method::DELETE, "/api/v1/stations", ""), 405, bad).await;
    let command = |name: &str| format!("/api/v1/stations/CS-1/commands/{name}");
    for (name, body) in [
        ("setpoint", "{\"evse\":1,\"watts\":\"5\"}"),
        ("setpoint", "{\"evse\":1,\"watts\":1e9}"),
        ("setpoint", "{\"evse\":0,\"watts\":1}"),
        ("setpoint", "{\"evse\":70000,\"watts\":1}"),
        ("setpoint", "{\"evse\":1,\"watts\":1,\"colour\":2}"),
        ("setpoint", "{\"evse\":1,\"watts\":NaN}"),
        ("setpoint", "[1"),
        ("start", "{}"),
        ("stop", "{\"transaction\":\"with a blank\"}"),
        ("get-variables", "[]"),
        ("set-variables", "[{\"component\":\"a\"}]"),
    ] {
        refused(&app, write(Method::POST, &command(name), body), 400, bad).await;
    }
    let mut untyped = write(Method::POST, &command("reset"), "{}");
    untyped.headers_mut().remove("content-type");
    refused(&app, untyped, 400, bad).await;
    let large = format!("{{\"immediate\":false{}}}", " ".repeat(70_000));
    refused(
        &app,
        write(Method::POST, &command("reset"), large),
        413,
        codes::REST_TOO_LARGE,
    )
    .await;
    let unknown = write(Method::POST, "/api/v1/stations/CS-9/commands/reset", "{}");
    refused(&app, unknown, 404, codes::REST_NOT_FOUND).await;
    assert_eq!(send(&app, get("/api/v1/health")).await.0, StatusCode::OK);
}
