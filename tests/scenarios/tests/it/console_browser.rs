//! The console in a real browser: it moves, the bill appears, nothing complains, everybody can read it.

#[path = "../../../../crates/services/console/tests/seed/mod.rs"]
mod seed;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use gridlatch_testkit::browser::{Browser, Look};
use gridlatch_testkit::need;
use gridlatch_vocab::catalogue::ocpp;
use gridlatch_vocab::{Event, EventSink as _};
use seed::{World, station};

/// The console on a free port; its address.
async fn serve(world: &World) -> Result<String> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = format!("http://{}", listener.local_addr()?);
    let router = world.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

/// Feeds the live session until told to stop: a sample every 100 ms, swinging between both directions.
fn feed(world: &Arc<World>) -> Arc<AtomicBool> {
    let go = Arc::new(AtomicBool::new(true));
    let (world, going) = (Arc::clone(world), Arc::clone(&go));
    tokio::spawn(async move {
        let (mut imported, mut exported) = (1_206_300_000.0_f64, 88_460_000.0_f64);
        let mut second = 0.0;
        while going.load(Ordering::Relaxed) {
            let power = 34_000.0 * (second / 3.0_f64).sin();
            imported += power.max(0.0) / 36.0;
            exported += (-power).max(0.0) / 36.0;
            world.sample(second, power, imported as u64, exported as u64);
            second += 0.1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    go
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_page_moves_and_the_bill_appears() {
    need!(chromium);
    story().await.unwrap();
}

async fn story() -> Result<()> {
    let world = Arc::new(World::seeded().await);
    let base = serve(&world).await?;
    let browser = Browser::start(Look::DESK).await?;
    let go = feed(&world);

    browser.goto(&format!("{base}/sessions/GL-DC-1/live-1")).await?;
    browser.wait_text("#live-state", "Live").await?;
    // A reload would forget this.
    browser.script("window.mark = 1").await?;
    browser.fill("#setpoint-1", "-7.5").await?;
    let path = "return document.querySelector('#power-path').getAttribute('d')";
    let mut last = browser.script(path).await?;
    for _ in 0..4 {
        let before = last.clone();
        browser
            .wait("move of the plot", async || {
                last = browser.script(path).await?;
                Ok(last != before)
            })
            .await?;
    }
    ensure!(
        browser
            .script("return document.querySelector('.area-back').getAttribute('d').length > 20")
            .await?
            == true
    );
    // Updates leave alone what somebody types and where they are.
    ensure!(
        browser
            .script("return document.querySelector('#setpoint-1').value")
            .await?
            == "-7.5"
    );
    ensure!(browser.script("return document.activeElement.id").await? == "setpoint-1");
    ensure!(
        browser
            .script("return document.querySelector('.slider').value")
            .await?
            == "-7.5"
    );
    browser.screenshot("console-session-live").await?;

    // What arrives live is text, too.
    world.hub.emit(
        Event::new(
            gridlatch_host::now(),
            ocpp::DISCONNECTED,
            "<b>x",
            "<img src=x onerror=document.title='owned'>",
        )
        .station(&station("GL-DC-1")),
    );
    browser.wait_text("[data-region=events]", "<img src=x").await?;
    ensure!(browser.script("return document.title.includes('owned')").await? == false);

    go.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.finish_live().await;
    browser
        .wait_text("#bill", "Credit for energy back to the grid")
        .await?;
    browser.wait_text("#live-state", "Final").await?;
    ensure!(
        browser.script("return window.mark").await? == 1,
        "the page was reloaded"
    );
    ensure!(
        browser.text(".orders").await?.is_none(),
        "controls of a session that is over"
    );
    browser.screenshot("console-session-billed").await?;
    browser.assert_quiet().await?;

    // An order by keyboard: the form, then the answer on the same page.
    browser.goto(&format!("{base}/stations/GL-AC-1")).await?;
    browser.fill("#token-1", "DEMO-1\u{e007}").await?;
    browser.wait_text(".banner", "accepted the start").await?;
    ensure!(
        world
            .commands
            .orders
            .lock()
            .unwrap()
            .contains(&"start GL-AC-1 1 DEMO-1".to_owned())
    );

    // Times are the reader's own, UTC is in the title.
    browser
        .devtools(
            "Emulation.setTimezoneOverride",
            serde_json::json!({"timezoneId": "Asia/Kathmandu"}),
        )
        .await?;
    browser.goto(&format!("{base}/events")).await?;
    let minutes = "const t = document.querySelector('time'); return [t.textContent.slice(14, 16), t.title.slice(14, 16)]";
    let found = browser.script(minutes).await?;
    let minute = |n: usize| {
        found[n]
            .as_str()
            .and_then(|text| text.parse::<i32>().ok())
            .unwrap_or(-1)
    };
    ensure!((minute(0) - minute(1) + 60) % 60 == 45, "{found}");

    // A stopped platform is said, not hidden.
    browser.goto(&format!("{base}/")).await?;
    browser.wait_text("#live-state", "Live").await?;
    browser.assert_quiet().await?;
    world.shutdown.cancel();
    browser.wait_text("#live-state", "Reconnecting").await?;
    browser.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_moves_on_its_page_and_marks_on_the_line_of_time_lead_to_what_breaks() {
    need!(chromium);
    campaign().await.unwrap();
}

async fn campaign() -> Result<()> {
    let world = World::empty().await;
    world.holding(14);
    world.distributing(14).await;
    let base = serve(&world).await?;
    let browser = Browser::start(Look::DESK).await?;
    // Two of fourteen wait; one of them gets its result while somebody looks.
    browser
        .goto(&format!("{base}/certificates/campaigns/g2.distribute"))
        .await?;
    browser.wait_text("#live-state", "Live").await?;
    browser.wait_text("[data-region=counts]", "12 of 14").await?;
    let late = station("GL-006");
    world.campaign_result(&late, false).await;
    world.say_changed(&late);
    browser.wait_text("[data-region=counts]", "13 of 14").await?;

    browser.goto(&format!("{base}/certificates")).await?;
    browser.wait_text("#live-state", "Live").await?;
    // What somebody unfolded stays so when the page is updated.
    browser
        .script("document.querySelector('.holder summary').click()")
        .await?;
    browser
        .script("document.querySelector('.lane a').focus()")
        .await?;
    world.campaign_result(&station("GL-013"), false).await;
    world.say_changed(&station("GL-013"));
    browser.wait_text("[data-region=campaigns]", "14 of 14").await?;
    ensure!(
        browser
            .script("return document.querySelector('.holder').open")
            .await?
            == true
    );
    ensure!(
        browser
            .script("return document.activeElement.matches('.lane a')")
            .await?
            == true
    );
    browser.screenshot("console-certificates-unfolded").await?;
    let hit =
        "document.activeElement.dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true }));
        return document.querySelector(':target')?.id";
    ensure!(browser.script(hit).await? == "break-0");
    // Asking everybody is a form, by keyboard and without script.
    browser
        .script("document.querySelector('.withorder button').click()")
        .await?;
    browser
        .wait("order to ask", async || {
            Ok(*world.trust.asked.lock().unwrap() == 1)
        })
        .await?;
    browser.assert_quiet().await?;
    browser.close().await
}

/// Text against what is behind it, by WCAG 2.1: 4.5 to 1, or 3 to 1 when large. Returns what fails.
const CONTRAST: &str = r"
    const rgba = (text) => {
        const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
        return { r, g, b, a };
    };
    const over = (top, below) => ({
        r: top.r * top.a + below.r * (1 - top.a), g: top.g * top.a + below.g * (1 - top.a),
        b: top.b * top.a + below.b * (1 - top.a), a: 1,
    });
    const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const light = (c) => 0.2126 * channel(c.r) + 0.7152 * channel(c.g) + 0.0722 * channel(c.b);
    const behind = (element) => {
        const layers = [];
        for (let e = element; e; e = e.parentElement) layers.push(rgba(getComputedStyle(e).backgroundColor));
        return layers.reverse().reduce((below, top) => over(top, below), { r: 255, g: 255, b: 255, a: 1 });
    };
    const bad = new Set();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.nodeValue.trim() || !element.checkVisibility()) continue;
        if (['SCRIPT', 'NOSCRIPT', 'OPTION'].includes(element.nodeName)) continue;
        const style = getComputedStyle(element);
        const back = behind(element);
        const front = over({ ...rgba(style.color), a: rgba(style.color).a * Number(style.opacity) }, back);
        const [high, low] = [light(front), light(back)].sort((a, b) => b - a);
        const ratio = (high + 0.05) / (low + 0.05);
        const size = parseFloat(style.fontSize);
        const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
        if (ratio < (large ? 3 : 4.5)) {
            bad.add(`${ratio.toFixed(2)} ${element.nodeName}.${element.className} ${walker.currentNode.nodeValue.trim().slice(0, 30)}`);
        }
    }
    return [...bad];
";

/// Controls without a name, images without a text, ids used twice, headings that skip a level.
const NAMES: &str = r"
    const bad = [];
    for (const e of document.querySelectorAll('input:not([type=hidden]), select, button, a')) {
        const named = e.textContent.trim() || e.ariaLabel || e.labels?.length || e.getAttribute('aria-labelledby');
        if (!named) bad.push(e.outerHTML.slice(0, 80));
    }
    const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
    for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) bad.push(`id ${id} twice`);
    if (document.querySelectorAll('h1').length !== 1) bad.push('not one h1');
    for (const e of document.querySelectorAll('svg')) {
        if (e.getAttribute('aria-hidden') !== 'true' && !e.getAttribute('aria-label')) bad.push(`svg ${e.outerHTML.slice(0, 60)}`);
    }
    return bad;
";

#[tokio::test(flavor = "multi_thread")]
async fn every_page_reads_well_in_light_and_dark_on_desk_and_phone() {
    need!(chromium);
    looks().await.unwrap();
}

async fn looks() -> Result<()> {
    let world = World::seeded().await;
    world.holding(1);
    let base = serve(&world).await?;
    let empty = World::empty().await;
    empty.holding(0);
    let bare = serve(&empty).await?;
    let fleet = World::empty().await;
    fleet.holding(200);
    fleet.distributing(200).await;
    let many = serve(&fleet).await?;
    let pages = [
        ("overview", format!("{base}/")),
        ("station", format!("{base}/stations/GL-DC-1")),
        ("station-ac", format!("{base}/stations/GL-AC-1")),
        ("reset", format!("{base}/stations/GL-DC-1/reset")),
        ("running", format!("{base}/sessions/GL-DC-1/live-1")),
        ("finished", format!("{base}/sessions/GL-DC-1/done-2")),
        ("sessions", format!("{base}/sessions")),
        ("events", format!("{base}/events")),
        ("code", format!("{base}/codes/ocpp.callerror_security")),
        ("codes", format!("{base}/codes")),
        ("certificates", format!("{base}/certificates")),
        ("certificates-none", format!("{bare}/certificates")),
        ("certificates-many", format!("{many}/certificates")),
        ("certificates-refused", format!("{many}/certificates?find=GL-002")),
        ("campaign", format!("{many}/certificates/campaigns/g2.distribute")),
        ("missing", format!("{base}/stations/NOBODY")),
        ("empty", format!("{bare}/")),
    ];
    let browser = Browser::start(Look::DESK).await?;
    for (look, screen) in [
        (Look::DESK, "desk-light"),
        (Look::DESK.dark(), "desk-dark"),
        (Look::PHONE, "phone-light"),
        (Look::PHONE.dark(), "phone-dark"),
    ] {
        browser.look(look).await?;
        for (name, url) in &pages {
            browser.goto(url).await?;
            if browser
                .script("return document.body.dataset.live !== undefined")
                .await?
                == true
            {
                browser.wait_text("#live-state", "Live").await?;
            }
            browser.screenshot(&format!("console-{name}-{screen}")).await?;
            let bad = browser.script(CONTRAST).await?;
            ensure!(
                bad.as_array().is_some_and(Vec::is_empty),
                "contrast of {name} {screen}: {bad:#}"
            );
            let bad = browser.script(NAMES).await?;
            ensure!(
                bad.as_array().is_some_and(Vec::is_empty),
                "names of {name} {screen}: {bad:#}"
            );
            let wide = browser
                .script("return document.documentElement.scrollWidth - innerWidth")
                .await?;
            ensure!(
                wide.as_i64() <= Some(0),
                "{name} {screen} is {wide} pixels too wide"
            );
        }
    }
    // The page of something that is not there answers 404, which the browser notes; nothing else may be.
    let complaints = browser.complaints().await?;
    let other: Vec<&String> = complaints
        .iter()
        .filter(|line| !line.contains("NOBODY"))
        .collect();
    ensure!(other.is_empty(), "{other:#?}");

    // Keyboard: the first stop leads past the navigation.
    browser.goto(&pages[0].1).await?;
    let body = browser.client().find(fantoccini::Locator::Css("body")).await?;
    body.send_keys("\u{e004}").await?;
    ensure!(browser.script("return document.activeElement.className").await? == "skip");

    // Without script the page is the same page, and reloads itself.
    browser
        .devtools(
            "Emulation.setScriptExecutionDisabled",
            serde_json::json!({"value": true}),
        )
        .await?;
    browser.goto(&pages[4].1).await?;
    let source = browser.client().source().await?;
    ensure!(source.contains("power-path") && source.contains("http-equiv=\"refresh\""));
    browser.screenshot("console-running-noscript").await?;
    browser.close().await
}
