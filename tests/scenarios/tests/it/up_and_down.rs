//! `gridlatch up` ends, in order and not, and starts again: nothing acknowledged is lost, nothing is billed twice.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use gridlatch_testkit::{binary, temp};
use rust_decimal::Decimal;
use serde_json::Value;

use crate::running_up::{SOON, Up, decimal, list};

/// A second `up` that must not run: its exit code and what it said.
fn up_fails(data: &Path, more: &[&str]) -> Result<(Option<i32>, String)> {
    let mut command = Command::new(binary()?);
    command.arg("up").arg("--data").arg(data).args(more);
    let out = command.output()?;
    Ok((
        out.status.code(),
        String::from_utf8_lossy(&out.stderr).into_owned(),
    ))
}

/// The last reading of a register in a session, watt hours.
fn register(up: &Up, session: &Value, name: &str, last: bool) -> Result<Decimal> {
    let samples = up.samples(session)?;
    let mut readings = samples
        .iter()
        .map(|sample| &sample[name])
        .filter(|v| !v.is_null());
    let found = if last {
        readings.next_back()
    } else {
        readings.next()
    };
    decimal(found.context("no reading")?)
}

#[test]
fn stopping_and_starting_keeps_everything() {
    stop_and_start().unwrap();
}

fn stop_and_start() -> Result<()> {
    let data = temp::dir()?;
    let up = Up::start(data.path(), &[])?;
    let token = up.token().to_owned();

    // The folder is taken, and so are the ports.
    let free = ["--console", "127.0.0.1:0", "--ocpp", "127.0.0.1:0"];
    let (code, said) = up_fails(data.path(), &free)?;
    ensure!(
        code == Some(2) && said.contains("another gridlatch runs on"),
        "{code:?} {said}"
    );
    ensure!(said.contains("--data"), "{said}");
    let other = temp::dir()?;
    let (code, said) = up_fails(other.path(), &["--console", up.web(), "--ocpp", "127.0.0.1:0"])?;
    ensure!(code == Some(2) && said.contains("--console"), "{code:?} {said}");
    let (code, said) = up_fails(other.path(), &["--console", "127.0.0.1:0", "--ocpp", up.ocpp()])?;
    ensure!(code == Some(2) && said.contains("--ocpp"), "{code:?} {said}");
    let (code, said) = up_fails(other.path(), &["--console", "0.0.0.0:0", "--ocpp", "127.0.0.1:0"])?;
    ensure!(code == Some(2) && said.contains("loopback"), "{code:?} {said}");

    // Ctrl-C while cars charge at both stations and a page is open.
    let first = up.car("--energy dc --for 120")?;
    let second = up.car("--energy ac --protocol iso15118-2 --for 120")?;
    let dc = up.flowing("GL-DC-1")?;
    let ac = up.flowing("GL-AC-1")?;
    let page = {
        let (web, token) = (up.web().to_owned(), token.clone());
        let headers = format!("Authorization: Bearer {token}\r\n");
        thread::spawn(move || crate::running_up::http(&web, "GET", "/live/overview", &headers, None))
    };
    thread::sleep(Duration::from_millis(1500));
    let took = up.stop()?;
    ensure!(took < Duration::from_secs(8), "stopping took {took:?}");
    ensure!(!data.path().join("run.json").exists(), "run.json stays");
    for car in [first, second] {
        let ended = car.ended(SOON)?.expect(0)?;
        let session = ended.session()?;
        ensure!(
            session["note"]
                .as_str()
                .is_some_and(|note| note.contains("station")),
            "{session}"
        );
        ensure!(ended.step("stop")?["ok"] == true);
    }
    let page = page.join().map_err(|_| anyhow!("the page panicked"))??;
    ensure!(page.status == 200, "{page:?}");

    let up = Up::start(data.path(), &[])?;
    ensure!(up.token() == token, "another token after the restart");
    for session in [&dc, &ac] {
        let billed = up.billed(session)?;
        ensure!(
            billed["ended_at"].is_string() && billed["stop_reason"].is_string(),
            "{billed}"
        );
        ensure!(
            billed["stop_reason"] != "PowerLoss",
            "the session did not end in order: {billed}"
        );
        let last = register(&up, session, "imported_wh", true)?;
        ensure!(
            last > Decimal::ZERO && decimal(&billed["imported_wh"])? == last,
            "{last} {billed}"
        );
    }
    // The meter goes on where it was.
    let before = register(&up, &dc, "imported_wh", true)?;
    up.car("--energy dc --for 1")?.ended(SOON)?.expect(0)?;
    let finished = up.get("/sessions/finished?limit=1")?;
    let after = register(&up, &finished[0], "imported_wh", false)?;
    ensure!(
        after == before,
        "the register was at {before}, now begins at {after}"
    );
    ensure!(list(&up.get("/cdrs")?).len() == 3, "one bill a session");
    up.stop().map(drop)
}
