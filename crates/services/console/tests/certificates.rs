//! Certificates and campaigns: nothing, one, many; what breaks, who refused what; nothing from outside becomes markup.
#![allow(clippy::unwrap_used, reason = "tests")]

mod seed;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use gridlatch_console::TrustPicture;
use seed::{World, station};
use tower::ServiceExt as _;

async fn get(router: &Router, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    let status = answer.status();
    let body = to_bytes(answer.into_body(), 4 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn with_nothing_known_the_page_says_the_next_command() {
    let world = World::empty().await;
    let (status, html) = get(&world.router(), "/certificates").await;
    assert_eq!(status, StatusCode::OK);
    // No picture: said, and campaigns are shown all the same.
    assert!(html.contains("could not be read") && html.contains("gridlatch pki rollover prepare"));
    world.holding(0);
    let (_, html) = get(&world.router(), "/certificates").await;
    for expected in [
        "Nothing breaks, as far as is known",
        "Nobody is known yet",
        "gridlatch up",
    ] {
        assert!(html.contains(expected), "missing {expected}");
    }
}

#[tokio::test]
async fn one_station_is_shown_with_all_it_holds_and_when_it_breaks() {
    let world = World::empty().await;
    world.holding(1);
    let (_, html) = get(&world.router(), "/certificates").await;
    for expected in [
        "SECC certificate of ISO 15118-2",
        "in 20 days",
        "Gridlatch Dev CPO Sub2",
        "V2G root",
        "SHA-256",
        "Days left",
        "14000",
        "href=\"#break-0\"",
        "id=\"break-0\"",
        "/codes/pki.expired",
        "refused by vehicle demo",
        "1 later.",
        "href=\"/stations/GL-000\"",
        "data-live=\"/live/certificates\"",
    ] {
        assert!(html.contains(expected), "missing {expected}");
    }
    // One holder is unfolded; the policy forbids inline script and style.
    assert!(html.contains("data-key=\"station GL-000\" open"));
    assert!(!html.contains(" style=") && !html.contains("<script>") && !html.contains(" onclick"));
}

#[tokio::test]
async fn two_hundred_stations_are_paged_found_by_name_and_the_worst_is_first() {
    let world = World::empty().await;
    world.holding(200);
    let router = world.router();
    let (_, first) = get(&router, "/certificates").await;
    assert_eq!(first.matches("<details class=\"holder\"").count(), 25);
    let at = |name: &str| first.find(&format!("data-key=\"station {name}\""));
    assert!(
        at("GL-003").unwrap() < at("GL-000").unwrap(),
        "broken now comes first"
    );
    assert!(first.contains("1 to 25 of 200") && first.contains("href=\"/certificates?from=25\""));
    let (_, second) = get(&router, "/certificates?from=25").await;
    assert!(
        second.contains("26 to 50 of 200") && second.contains("data-live=\"/live/certificates?from=25\"")
    );
    assert!(!second.contains("data-key=\"station GL-003\""));
    let (_, last) = get(&router, "/certificates?from=175").await;
    assert!(last.contains("176 to 200 of 200") && !last.contains("rel=\"next\""));
    let (_, one) = get(&router, "/certificates?find=gl-002").await;
    for expected in [
        "1 to 1 of 1",
        "refused 1",
        "Rejected: NoSpace",
        "campaigns/g2.distribute",
        "nobody here knows",
        "it lacks",
    ] {
        assert!(one.contains(expected), "missing {expected}");
    }
    let (_, none) = get(&router, "/certificates?find=nobody").await;
    assert!(none.contains("Nobody here has such a name"));
    let (_, far) = get(&router, "/certificates?from=18446744073709551615").await;
    assert!(far.contains("none of 200"));
    assert_eq!(
        get(&router, "/certificates?from=-1").await.0,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn a_campaign_tells_its_step_its_counts_and_why_stations_refused() {
    let world = World::empty().await;
    world.holding(1);
    world.distributing(200).await;
    let router = world.router();
    let (_, list) = get(&router, "/certificates").await;
    let refused = "href=\"/certificates/campaigns/g2.distribute?state=refused\"";
    for expected in ["3 of 5", "distribute", refused, "172 of 200"] {
        assert!(list.contains(expected), "missing {expected}");
    }
    let base = "/certificates/campaigns/g2.distribute";
    let (status, page) = get(&router, base).await;
    assert_eq!(status, StatusCode::OK);
    for expected in [
        "aria-current=\"step\">3. distribute",
        "/stations/GL-000",
        "?after=GL-049",
        "platform.command_refused",
    ] {
        assert!(page.contains(expected), "missing {expected}");
    }
    let (_, refused) = get(&router, &format!("{base}?state=refused")).await;
    assert!(refused.contains("/stations/GL-002") && !refused.contains("/stations/GL-000\""));
    assert!(refused.contains("Rejected: NoSpace"));
    let (_, next) = get(&router, &format!("{base}?after=GL-149")).await;
    assert!(next.contains("/stations/GL-150") && !next.contains("rel=\"next\""));
    for (path, expected) in [
        ("/certificates/campaigns/none".to_owned(), StatusCode::NOT_FOUND),
        (format!("{base}?state=odd"), StatusCode::BAD_REQUEST),
        (
            format!("{base}?after={}", "x".repeat(300)),
            StatusCode::BAD_REQUEST,
        ),
    ] {
        assert_eq!(get(&router, &path).await.0, expected, "{path}");
    }
}

#[tokio::test]
async fn asking_everybody_is_an_order_and_comes_back_to_the_page() {
    let world = World::empty().await;
    let request = Request::post("/certificates/ask").body(Body::empty()).unwrap();
    let answer = world.router().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()["location"], "/certificates");
    assert_eq!(*world.trust.asked.lock().unwrap(), 1);
    // Looking at the address asks nobody.
    get(&world.router(), "/certificates/ask").await;
    assert_eq!(*world.trust.asked.lock().unwrap(), 1);
}

#[tokio::test]
async fn nothing_that_a_station_or_a_certificate_says_becomes_markup() {
    let world = World::empty().await;
    world.holding(3);
    let evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";
    let picture = world.trust.picture.lock().unwrap().clone().unwrap();
    let mut holders = picture.holders.clone();
    for one in &mut holders {
        one.failure = Some(evil.to_owned());
        one.drift = vec![evil.to_owned()];
        one.unknown = vec![evil.to_owned()];
        for refused in &mut one.refused {
            refused.what = evil.to_owned();
            refused.message = evil.to_owned();
            refused.campaign = evil.to_owned();
        }
        for row in &mut one.certificates {
            row.subject = evil.to_owned();
            row.issuer = evil.to_owned();
            row.kind = evil.to_owned();
            row.fingerprint = evil.to_owned();
        }
    }
    let mut breaks = picture.breaks.clone();
    for one in &mut breaks {
        one.message = evil.to_owned();
        one.kind = evil.to_owned();
        one.shown_by = vec![evil.to_owned()];
        one.refused_by = vec![evil.to_owned()];
    }
    *world.trust.picture.lock().unwrap() = Some(Arc::new(TrustPicture {
        holders,
        breaks,
        ..TrustPicture::clone(&picture)
    }));
    world.distributing(3).await;
    let id = station("GL-002");
    let number = world
        .store
        .campaign_find("g2.distribute")
        .await
        .unwrap()
        .unwrap()
        .number;
    world.store.campaign_retry(number).await.unwrap();
    let result = Some((evil, evil));
    assert!(
        world
            .store
            .campaign_mark(number, &id, "failed", result, world.now)
            .await
            .unwrap()
    );
    let router = world.router();
    for path in [
        "/certificates",
        "/certificates?find=%3Cscript%3E",
        "/certificates/campaigns/g2.distribute",
        "/certificates/campaigns/%3Cscript%3E",
    ] {
        let (_, html) = get(&router, path).await;
        for tag in ["<script>", "<img", "</script>\"", "onerror=alert(2)>"] {
            assert!(!html.contains(tag), "{path} holds {tag}");
        }
    }
}
