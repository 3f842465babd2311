//! Every page as it is rendered, over a seeded store.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops there"
)]

mod seed;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use gridlatch_console::Refused;
use gridlatch_store::EventKind;
use gridlatch_vocab::catalogue::{host, ocpp};
use gridlatch_vocab::{Event, EventSink as _};
use seed::{World, station, transaction};
use tower::ServiceExt as _;

async fn get(router: &Router, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let policy = response.headers()[header::CONTENT_SECURITY_POLICY]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"),
        "{policy}"
    );
    let body = to_bytes(response.into_body(), 4 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn post(router: &Router, path: &str, form: &str) -> (StatusCode, String, String) {
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(form.to_owned()))
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let to = response
        .headers()
        .get(header::LOCATION)
        .map_or("", |v| v.to_str().unwrap())
        .to_owned();
    let body = to_bytes(response.into_body(), 4 << 20).await.unwrap();
    (status, to, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn the_overview_shows_stations_sessions_energy_and_events() {
    let world = World::seeded().await;
    let (status, html) = get(&world.router(), "/").await;
    assert_eq!(status, StatusCode::OK);
    for expected in [
        "GL-AC-1",
        "GL-DC-1",
        "all connected",
        "Faulted",
        "Occupied",
        "/sessions/GL-DC-1/live-1",
        "into the vehicle",
        "ocpp.callerror_security",
        "/codes/power.permit_lapsed",
        "EUR",
        "since ",
    ] {
        assert!(html.contains(expected), "missing {expected}");
    }
    // The policy forbids inline script and style: a page that has any would be broken.
    assert!(!html.contains(" style=") && !html.contains("<script>") && !html.contains(" onclick"));
}

#[tokio::test]
async fn empty_pages_say_the_next_command() {
    let router = World::empty().await.router();
    for (path, expected) in [
        ("/", "gridlatch ev charge"),
        ("/", "gridlatch up"),
        ("/sessions", "gridlatch ev charge"),
        ("/events", "gridlatch ev charge"),
    ] {
        let (status, html) = get(&router, path).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(html.contains(expected), "{path} lacks {expected}");
    }
}

#[tokio::test]
async fn a_running_session_has_a_plot_in_both_directions_and_controls() {
    let world = World::seeded().await;
    let (status, html) = get(&world.router(), "/sessions/GL-DC-1/live-1").await;
    assert_eq!(status, StatusCode::OK);
    for expected in [
        "area-into",
        "area-back",
        "class=\"setpoint\"",
        "power-path",
        "Set-point",
        "Stop this session",
        "Comes when the session ends",
        "data-live=\"/live/sessions/GL-DC-1/live-1\"",
        "http-equiv=\"refresh\"",
        "eMAID",
        "power.contactor_closed",
    ] {
        assert!(html.contains(expected), "missing {expected}");
    }
}

#[tokio::test]
async fn a_finished_session_shows_its_bill_and_readings() {
    let world = World::seeded().await;
    let (status, html) = get(&world.router(), "/sessions/GL-DC-1/done-2").await;
    assert_eq!(status, StatusCode::OK);
    for expected in [
        "Energy into the vehicle",
        "Credit for energy back to the grid",
        "VAT 19",
        "Total",
        "/api/v1/cdrs/CDR-done-2",
        "21.640",
        "4.180",
        "1\u{202f}021.640",
        "the vehicle ended it",
    ] {
        assert!(html.contains(expected), "missing {expected}");
    }
    assert!(!html.contains("data-live"), "a settled page needs no updates");
    let (_, owed) = get(&world.router(), "/sessions/GL-DC-1/done-3").await;
    assert!(owed.contains("Total, to be paid out"));
}

#[tokio::test]
async fn sessions_are_paged() {
    let world = World::empty().await;
    world
        .store
        .station_register(&station("S"), world.now)
        .await
        .unwrap();
    for n in 0..60 {
        world
            .record("S", &format!("t{n}"), 0, EventKind::Started, 100, &[])
            .await;
        world
            .record("S", &format!("t{n}"), 1, EventKind::Ended, 50, &[])
            .await;
    }
    let router = world.router();
    let (_, first) = get(&router, "/sessions").await;
    assert!(first.contains("/sessions/S/t59") && !first.contains("/sessions/S/t9\""));
    let next = first.split("href=\"/sessions?before=").nth(1).unwrap();
    let cursor = next.split('"').next().unwrap();
    let (_, second) = get(&router, &format!("/sessions?before={cursor}")).await;
    assert!(second.contains("/sessions/S/t9\"") && !second.contains("/sessions/S/t59"));
    assert_eq!(
        get(&router, "/sessions?before=x").await.0,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn events_are_filtered() {
    let world = World::seeded().await;
    let router = world.router();
    let (_, errors) = get(&router, "/events?severity=error").await;
    assert!(errors.contains("asked to be GL-AC-9") && !errors.contains("The platform is up."));
    let (_, code) = get(&router, "/events?code=OCPP_CALLERROR_SECURITY_VIOLATION").await;
    assert!(code.contains("asked to be GL-AC-9") && !code.contains("is billed"));
    let (_, one) = get(&router, "/events?station=GL-DC-1&severity=").await;
    assert!(one.contains("is matched") && !one.contains("asked to be GL-AC-9"));
    let (_, none) = get(&router, "/events?code=nonsense.code").await;
    assert!(none.contains("There is no code"));
    let (_, empty) = get(&router, "/events?station=NOBODY").await;
    assert!(empty.contains("No event matches"));
}

#[tokio::test]
async fn codes_are_explained_also_by_alias() {
    let router = World::seeded().await.router();
    for path in [
        "/codes/ocpp.callerror_security",
        "/codes/OCPP_CALLERROR_SECURITY_VIOLATION",
    ] {
        let (status, html) = get(&router, path).await;
        assert_eq!(status, StatusCode::OK);
        assert!(
            html.contains("What to do") && html.contains("the charging station"),
            "{path}"
        );
    }
    assert!(get(&router, "/codes").await.1.contains("power.permit_lapsed"));
}

#[tokio::test]
async fn what_is_not_there_says_what_to_do() {
    let router = World::seeded().await.router();
    for path in [
        "/nowhere",
        "/stations/NOBODY",
        "/stations/a%2Fb",
        "/sessions/GL-DC-1/none",
        "/codes/none",
        "/live/sessions/GL-DC-1/none",
        "/stations/%00",
    ] {
        let (status, html) = get(&router, path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert!(html.contains("href=\"/\""), "{path}");
    }
}

#[tokio::test]
async fn nothing_from_outside_becomes_markup() {
    let world = World::seeded().await;
    let evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";
    // A transaction id may hold any printable character.
    let id = "<script>alert(3)</script>";
    world.record("GL-AC-1", id, 0, EventKind::Started, 10, &[]).await;
    world.hub.emit(
        Event::new(world.now, ocpp::CALLERROR_SECURITY, evil, evil)
            .station(&station("GL-DC-1"))
            .transaction(&transaction("live-1"))
            .with(evil, evil),
    );
    let router = world.router();
    for path in [
        "/",
        "/events",
        "/events?code=%3Cscript%3E",
        "/stations/GL-DC-1",
        "/stations/GL-AC-1",
        "/sessions",
        "/sessions/GL-DC-1/live-1",
        "/sessions/GL-AC-1/%3Cscript%3Ealert%283%29%3C%2Fscript%3E",
        "/codes/%3Cscript%3E",
        "/stations/%3Cscript%3E",
        "/stations/GL-DC-1?done=%3Cscript%3E",
    ] {
        let (_, html) = get(&router, path).await;
        for tag in ["<script>", "<img", "</script>\"", "onerror=alert(2)>"] {
            assert!(!html.contains(tag), "{path} holds {tag}");
        }
    }
    *world.commands.refuse.lock().unwrap() = Some(Refused {
        code: None,
        message: evil.to_owned(),
    });
    let (status, _, html) = post(&router, "/stations/GL-DC-1/start", "evse=1&token=%3Cscript%3E").await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(!html.contains("<script>") && html.contains("&lt;script&gt;"));
}

#[tokio::test]
async fn orders_go_through_and_come_back() {
    let world = World::seeded().await;
    let router = world.router();
    let base = "/stations/GL-DC-1";
    for (path, form, to) in [
        ("start", "evse=1&token=DEMO-1", "/stations/GL-DC-1?done=started"),
        ("setpoint", "evse=1&kw=-11.5", "/stations/GL-DC-1?done=set"),
        (
            "setpoint",
            "evse=1&kw=7%2C4&transaction=live-1",
            "/sessions/GL-DC-1/live-1?done=set",
        ),
        ("setpoint", "evse=1&kw=&clear=1", "/stations/GL-DC-1?done=lifted"),
        ("stop", "evse=1", "/stations/GL-DC-1?done=stopped"),
        (
            "stop",
            "evse=1&transaction=live-1",
            "/sessions/GL-DC-1/live-1?done=stopped",
        ),
        ("reset", "when=now&confirm=yes", "/stations/GL-DC-1?done=reset"),
    ] {
        let (status, location, body) = post(&router, &format!("{base}/{path}"), form).await;
        assert_eq!(status, StatusCode::SEE_OTHER, "{path} {form}: {body}");
        assert_eq!(location, to);
    }
    let orders = world.commands.orders.lock().unwrap().clone();
    assert_eq!(
        orders,
        [
            "start GL-DC-1 1 DEMO-1",
            "setpoint GL-DC-1 1 -11500 W",
            "setpoint GL-DC-1 1 7400 W",
            "clear GL-DC-1 1",
            "stop GL-DC-1 live-1",
            "stop GL-DC-1 live-1",
            "reset GL-DC-1 true"
        ]
    );
    assert!(
        get(&router, "/stations/GL-DC-1?done=reset")
            .await
            .1
            .contains("comes back")
    );
}

#[tokio::test]
async fn bad_orders_never_reach_the_station() {
    let world = World::seeded().await;
    let router = world.router();
    for (path, form) in [
        ("start", "evse=1&token="),
        ("start", "evse=1&token=0123456789012345678901234567890123456789"),
        ("start", "evse=x&token=A"),
        ("start", "token=A"),
        ("setpoint", "evse=1&kw=nan"),
        ("setpoint", "evse=1&kw=inf"),
        ("setpoint", "evse=1&kw=1e9"),
        ("setpoint", "evse=1&kw="),
        ("stop", "evse=1&transaction=with%20blank"),
        ("reset", "when=now&confirm=no"),
        ("reset", "when=never&confirm=yes"),
        ("reset", ""),
    ] {
        let (status, _, html) = post(&router, &format!("/stations/GL-DC-1/{path}"), form).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path} {form}");
        assert!(html.contains("Nothing was changed"));
    }
    let huge = format!("evse=1&token={}", "A".repeat(8000));
    assert_eq!(
        post(&router, "/stations/GL-DC-1/start", &huge).await.0,
        StatusCode::BAD_REQUEST
    );
    let (status, _, html) = post(&router, "/stations/GL-AC-1/stop", "evse=1").await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(html.contains("No session is running at EVSE 1."));
    assert!(world.commands.orders.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_refusal_names_its_code_and_a_reset_asks_first() {
    let world = World::seeded().await;
    let router = world.router();
    *world.commands.refuse.lock().unwrap() = Some(Refused::new(
        host::LOG_WRITE_FAILED,
        "The station did not answer within 30 s.",
    ));
    let (status, _, html) = post(&router, "/stations/GL-DC-1/setpoint", "evse=1&kw=5").await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(html.contains("did not answer within 30 s") && html.contains("/codes/host.log_write_failed"));
    let (_, ask) = get(&router, "/stations/GL-DC-1/reset").await;
    assert!(ask.contains("One session is running") && ask.contains("Keep it running"));
}

#[tokio::test]
async fn the_static_files_are_served() {
    let router = World::empty().await.router();
    let (_, html) = get(&router, "/").await;
    for part in ["/assets/console.css?", "/assets/console.js?", "/assets/icon.svg?"] {
        let at = html.find(part).unwrap();
        let href = html[at..].split('"').next().unwrap();
        let (status, body) = get(&router, href).await;
        assert_eq!(status, StatusCode::OK, "{href}");
        assert!(!body.is_empty() && !body.contains("https://"), "{href}");
    }
}
