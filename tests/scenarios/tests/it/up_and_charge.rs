//! A stranger's first hour: `gridlatch up` in one terminal, `gridlatch ev charge` in another, every way there is.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use gridlatch_testkit::browser::{Browser, Look};
use gridlatch_testkit::{need, temp};
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Value, json};

use crate::running_up::{Ended, SOON, Up, decimal, list, session_path, wait};

/// The AC station's ways; `--energy ac` goes with all of them.
const AC: [&str; 7] = [
    "--protocol iso15118-2 --auth pnc",
    "--protocol iso15118-2 --auth eim",
    "--protocol iso15118-2 --no-tls",
    "--protocol iso15118-20 --auth pnc --control scheduled",
    "--protocol iso15118-20 --auth pnc --control dynamic",
    "--protocol iso15118-20 --auth eim --control scheduled",
    "--protocol iso15118-20 --auth eim --control dynamic",
];

/// The DC station's ways; where energy comes back, it must.
const DC: [&str; 15] = [
    "--energy dc-bpt --discharge",
    "--energy dc --protocol iso15118-2 --auth pnc",
    "--energy dc --protocol iso15118-2 --auth eim",
    "--energy dc --protocol iso15118-2 --no-tls",
    "--energy dc --auth pnc --control scheduled",
    "--energy dc --auth pnc --control dynamic",
    "--energy dc --auth eim --control scheduled",
    "--energy dc --auth eim --control dynamic",
    "--energy dc-bpt --auth pnc --control scheduled",
    "--energy dc-bpt --auth eim --control dynamic",
    "--energy dc-bpt --discharge --auth pnc --control scheduled",
    "--energy dc-bpt --discharge --auth pnc --control dynamic",
    "--energy dc-bpt --discharge --auth eim --control scheduled",
    "--energy dc-bpt --discharge --auth eim --control dynamic",
    "",
];

/// Prices with digits that show a mistake: per kWh in, credited per kWh out, tax in per cent.
const PRICES: [&str; 3] = ["0.3973", "0.2519", "19"];

#[test]
fn every_way_to_charge_ends_with_a_bill() {
    every_way().unwrap();
}

fn every_way() -> Result<()> {
    let data = temp::dir()?;
    let up = Up::start(data.path(), &["--allow-plaintext"])?;
    let tariff = json!({"currency": "EUR", "import_per_kwh": PRICES[0],
        "export_credit_per_kwh": PRICES[1], "vat_percent": PRICES[2]});
    let answer = up.ask("PUT", "/tariff", Some(&tariff))?;
    ensure!(answer.status == 200, "{answer:?}");
    // Both stations at once: one car at each, one after the other.
    let all_at = |ways: &[&str], more: &str| -> Result<usize> {
        ways.iter()
            .map(|way| one_way(&up, &format!("{way} {more}")))
            .sum::<Result<usize>>()
    };
    let cars = thread::scope(|scope| -> Result<usize> {
        let ac = scope.spawn(|| all_at(&AC, "--energy ac --for 1"));
        let dc = scope.spawn(|| all_at(&DC, "--for 1"));
        Ok(joined(ac)? + joined(dc)?)
    })?;
    let cdrs = up.get("/cdrs?limit=500")?;
    ensure!(
        list(&cdrs).len() == cars,
        "{} bills for {cars} cars",
        list(&cdrs).len()
    );
    meters_agree(&up, &cdrs)
}

fn joined<T>(cars: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    cars.join().map_err(|_| anyhow!("the cars' thread panicked"))?
}

/// Charges that way and looks at everything it says. How many cars it took: where this machine stalls for
/// more than 100 ms, the station rightly opens its contactor, and another car comes.
fn one_way(up: &Up, words: &str) -> Result<usize> {
    let mut cars = 1;
    let ended = loop {
        let stalls = up.count("power.permit_lapsed")?;
        let ended = up.car(words)?.ended(Duration::from_secs(60))?;
        if ended.code == 0 || cars == 4 || up.count("power.permit_lapsed")? == stalls {
            break ended.expect(0)?;
        }
        println!("the machine stalled and the contactor opened; again: {words}");
        cars += 1;
    };
    check_steps(&ended).with_context(|| format!("{words}\n{}", ended.output))?;
    check_bill(&ended).with_context(|| format!("{words}\n{}", ended.output))?;
    check_proof(&ended).with_context(|| format!("{words}\n{}", ended.output))?;
    Ok(cars)
}

fn check_steps(ended: &Ended) -> Result<()> {
    let has = |word: &str| ended.words.contains(word);
    let (secured, back, dc) = (!has("--no-tls"), has("--discharge"), !has("--energy ac"));
    let expected: Vec<&str> = [
        ("matching", true),
        ("discovery", true),
        ("tls", secured),
        ("protocol", true),
        ("identification", true),
        ("authorisation", true),
        ("parameters", true),
        ("cable check", dc),
        ("pre-charge", dc),
        ("energy in", true),
        ("energy out", back),
        ("stop", true),
    ]
    .into_iter()
    .filter_map(|(name, wanted)| wanted.then_some(name))
    .collect();
    let steps = ended.steps();
    let names: Vec<&str> = steps.iter().filter_map(|step| step["name"].as_str()).collect();
    ensure!(names == expected, "steps {names:?}, expected {expected:?}");
    for step in &steps {
        ensure!(step["ok"] == true && step["duration_ms"].is_number(), "{step}");
    }

    let iso2 = has("iso15118-2 ");
    let protocol = if iso2 { "iso15118-2" } else { "iso15118-20" };
    ensure!(ended.step("protocol")?["fields"]["protocol"] == protocol);
    if secured {
        let tls = &ended.step("tls")?["fields"];
        ensure!(
            tls["version"] == if iso2 { "TLSv1.2" } else { "TLSv1.3" },
            "{tls}"
        );
        ensure!(list(&tls["chain"]).len() >= 2, "no chain: {tls}");
    }
    let auth = if has("--auth eim") || !secured {
        "eim"
    } else {
        "pnc"
    };
    ensure!(ended.step("authorisation")?["fields"]["auth"] == auth);
    for control in ["scheduled", "dynamic"] {
        if has(&format!("--control {control}")) {
            ensure!(ended.step("parameters")?["fields"]["control"] == control);
        }
    }
    let session = ended.session()?;
    ensure!(session["ok"] == true && session["note"].is_null(), "{session}");
    ensure!(
        session["energy_in_wh"].as_f64() > Some(1.0),
        "no energy: {session}"
    );
    let out = session["energy_out_wh"].as_f64().unwrap_or(-1.0);
    ensure!(
        if back { out > 1.0 } else { out == 0.0 },
        "{out} Wh out: {session}"
    );
    Ok(())
}

/// The bill again, from the meter's figures and the prices alone.
fn check_bill(ended: &Ended) -> Result<()> {
    let bill = ended.bill()?;
    let thousand = Decimal::ONE_THOUSAND;
    let imported = decimal(&bill["imported_wh"])? / thousand;
    let exported = decimal(&bill["exported_wh"])? / thousand;
    let [price, credit, tax]: [Decimal; 3] = [PRICES[0].parse()?, PRICES[1].parse()?, PRICES[2].parse()?];
    let round = |amount: Decimal, digits| {
        amount.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero)
    };
    let lines = [round(imported * price, 4), -round(exported * credit, 4)];
    let taxes = lines.map(|cost| round(cost * tax / Decimal::ONE_HUNDRED, 4));
    let without: Decimal = lines.iter().sum();
    let with: Decimal = without + taxes.iter().sum::<Decimal>();
    ensure!(decimal(&bill["total_excl"])? == without, "without tax {without}");
    ensure!(
        decimal(&bill["total_incl"])? == round(with, 2),
        "to pay {}",
        round(with, 2)
    );
    ensure!(bill["currency"] == "EUR");
    let ocpi = &bill["ocpi"];
    ensure!(decimal(&ocpi["total_energy"])? == imported, "OCPI energy: {ocpi}");
    ensure!(
        decimal(&ocpi["total_cost"]["excl_vat"])? == without,
        "OCPI cost: {ocpi}"
    );
    let export = list(&ocpi["x_gridlatch"]["lines"])
        .iter()
        .find(|line| line["dimension"] == "ENERGY_EXPORT");
    ensure!(
        export.is_some() == (exported > Decimal::ZERO),
        "export line: {export:?}"
    );
    if let Some(line) = export {
        ensure!(
            decimal(&line["cost"])? == lines[1] && lines[1] < Decimal::ZERO,
            "credit: {line}"
        );
    }
    // The station's meter and the car's battery measured the same energy, each on its own.
    let session = ended.session()?;
    for (meter, car) in [("imported_wh", "energy_in_wh"), ("exported_wh", "energy_out_wh")] {
        let (meter, car) = (
            bill[meter].as_f64().unwrap_or(0.0),
            session[car].as_f64().unwrap_or(0.0),
        );
        ensure!(
            (meter - car).abs() < 2.0 + 0.1 * car,
            "meter {meter} Wh, car {car} Wh"
        );
    }
    Ok(())
}

/// Signed by the meter, signed by the platform, and the total follows: the car's own verdict, and the figures in it.
fn check_proof(ended: &Ended) -> Result<()> {
    let (bill, proof) = (ended.bill()?, ended.proof()?);
    ensure!(proof["valid"] == true && proof["id"] == bill["id"], "{proof}");
    ensure!(
        proof["bill"]["signer"]["name"] == "Gridlatch Dev Bills",
        "{proof}"
    );
    ensure!(proof["total"]["follows"] == true, "{proof}");
    let meter = &proof["readings"]["meter"];
    for register in ["imported", "exported"] {
        let billed = decimal(&bill[format!("{register}_wh")])? * Decimal::ONE_THOUSAND;
        ensure!(decimal(&meter[register])? == billed, "{register}: {proof}");
    }
    let station = bill["station"].as_str().context("no station")?;
    ensure!(meter["serial"] == format!("{station}-1"), "{proof}");
    ensure!(bill["readings"] == "verified", "{bill}");
    let location = &bill["ocpi"]["cdr_location"];
    let power = if station == "GL-AC-1" { "AC_3_PHASE" } else { "DC" };
    ensure!(location["connector_power_type"] == power, "{location}");
    Ok(())
}

/// All sessions of a station in a row: each begins where the one before left the registers, and their bills add
/// up to what the meter counted.
fn meters_agree(up: &Up, cdrs: &Value) -> Result<()> {
    let mut finished = list(&up.get("/sessions/finished?limit=500")?).to_vec();
    finished.sort_by_key(|session| session["number"].as_i64());
    for station in ["GL-AC-1", "GL-DC-1"] {
        for (register, billed) in [("imported_wh", "imported_wh"), ("exported_wh", "exported_wh")] {
            let mut last = Decimal::ZERO;
            for session in finished.iter().filter(|session| session["station"] == station) {
                ensure!(session["backwards"] == false, "{session}");
                let samples = up.samples(session)?;
                let readings: Vec<&Value> = samples
                    .iter()
                    .map(|sample| &sample[register])
                    .filter(|value| !value.is_null())
                    .collect();
                let (Some(first), Some(end)) = (readings.first(), readings.last()) else {
                    continue;
                };
                ensure!(
                    decimal(first)? == last,
                    "{station} {register}: {first} after {last}"
                );
                last = decimal(end)?;
            }
            let mut sum = Decimal::ZERO;
            for cdr in list(cdrs).iter().filter(|cdr| cdr["station"] == station) {
                sum += decimal(&cdr[billed])?;
            }
            ensure!(
                sum == last,
                "{station}: bills over {sum} Wh, {register} at {last}"
            );
        }
    }
    Ok(())
}

#[test]
fn a_setpoint_is_followed_and_negative_means_discharge() {
    setpoint().unwrap();
}

fn setpoint() -> Result<()> {
    let data = temp::dir()?;
    let up = Up::start(data.path(), &[])?;
    let car = up.car("--energy dc-bpt --control dynamic --for 120")?;
    let session = up.flowing("GL-DC-1")?;
    let free = session["latest"]["power"].as_f64().context("no power")?;
    ensure!(free > 40_000.0, "unbounded, the car takes what it can: {free}");
    for (order, expected) in [
        (Some(-20_000_i32), -20_000.0),
        (Some(30_000), 30_000.0),
        (None, free),
    ] {
        up.setpoint("GL-DC-1", order.map(i64::from))?;
        let before = up.samples(&session)?.len();
        let (seen, later) = wait("power as ordered", SOON, || {
            let samples = up.samples(&session)?;
            let last = samples.last().context("no samples")?;
            let power = last["power"].as_f64().unwrap_or(0.0);
            // The battery's voltage moves a little; its limits shrink as it fills.
            let near = (power - expected).abs() < 0.05 * expected.abs();
            let told = last["setpoint"].as_f64() == order.map(f64::from);
            Ok((near && told).then(|| (last.clone(), samples.len() - before)))
        })?;
        // One a second: the first or the second shows it. Another may come between two looks at them.
        ensure!(later <= 3, "{expected} W after {later} samples: {seen}");
        ensure!(
            seen["current"]
                .as_f64()
                .is_some_and(|amps| amps.signum() == expected.signum()),
            "current has the sign of the power: {seen}"
        );
    }
    // More than the hardware can is bounded, not refused; nonsense is refused.
    up.setpoint("GL-DC-1", Some(-900_000))?;
    let bounded = wait("bounded discharge", SOON, || {
        let samples = up.samples(&session)?;
        let power = samples.last().and_then(|sample| sample["power"].as_f64());
        Ok(power.filter(|watts| *watts < -25_000.0))
    })?;
    ensure!(bounded >= -50_500.0, "beyond the station's 50 kW: {bounded}");
    for watts in ["1e9", "\"fast\"", "true"] {
        let body: Value = serde_json::from_str(&format!("{{\"evse\": 1, \"watts\": {watts}}}"))?;
        let answer = up.ask("POST", "/stations/GL-DC-1/commands/setpoint", Some(&body))?;
        answer.expect_problem(400, "platform.rest_bad_request")?;
    }
    // An AC station cannot give back.
    let body = json!({"evse": 1, "watts": -5000});
    let answer = up.ask("POST", "/stations/GL-AC-1/commands/setpoint", Some(&body))?;
    ensure!(answer.status == 409, "{answer:?}");

    car.process.interrupt()?;
    let ended = car.ended(SOON)?.expect(0)?;
    ensure!(ended.session()?["note"] == "stopped on request");
    ensure!(ended.bill()?["exported_wh"].as_f64() > Some(1.0), "no credit");
    // The order was for that transaction: the next car is not told to discharge.
    let next = up
        .car("--energy dc-bpt --control dynamic --for 2")?
        .ended(SOON)?
        .expect(0)?;
    ensure!(next.session()?["energy_out_wh"] == 0.0, "{:?}", next.session()?);
    Ok(())
}

#[test]
fn a_car_without_tls_is_refused_with_a_code() {
    without_tls().unwrap();
}

fn without_tls() -> Result<()> {
    let data = temp::dir()?;
    let up = Up::start(data.path(), &[])?;
    let plain = "--protocol iso15118-2 --no-tls --for 1";
    let ended = up.car(plain)?.ended(SOON)?.expect(1)?;
    let failure = &ended.session()?["failure"];
    ensure!(failure["code"] == "sdp.no_tls_refused", "{failure}");
    ensure!(failure["step"] == "discovery", "{failure}");
    ensure!(
        failure["remedy"]
            .as_str()
            .is_some_and(|text| text.contains("--allow-plaintext")),
        "{failure}"
    );
    wait("the station's event", SOON, || {
        Ok((up.count("sdp.no_tls_refused")? > 0).then_some(()))
    })?;
    ensure!(list(&up.get("/cdrs")?).is_empty(), "a bill for nothing");
    up.stop()?;
    let up = Up::start(data.path(), &["--allow-plaintext"])?;
    let ended = up.car(plain)?.ended(SOON)?.expect(0)?;
    ensure!(ended.step("discovery")?["fields"]["tls"] == false);
    ensure!(ended.bill()?["imported_wh"].as_f64() > Some(1.0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_follows_a_real_session() {
    need!(chromium);
    console().await.unwrap();
}

async fn console() -> Result<()> {
    let data = temp::dir()?;
    let up = Up::start(data.path(), &[])?;
    let browser = Browser::start(Look::DESK).await?;
    let base = format!("http://{}", up.web());
    browser.goto(&format!("{base}/?token={}", up.token())).await?;
    browser.wait_text("#live-state", "Live").await?;
    ensure!(
        browser.client().current_url().await?.query().is_none(),
        "the token stays in the address"
    );
    let car = up.car("--energy dc-bpt --control dynamic --for 120")?;
    browser.wait_text("body", "GL-DC-1").await?;
    let session = up.flowing("GL-DC-1")?;
    browser.screenshot("up-overview").await?;
    // What this system's stations hold, asked by the button and foretold.
    browser.goto(&format!("{base}/certificates")).await?;
    browser.wait_text("#live-state", "Live").await?;
    browser
        .script("document.querySelector('.withorder button').click()")
        .await?;
    browser.wait_text("[data-region=summary]", "2 of 2").await?;
    browser
        .wait_text("[data-region=breaks]", "SECC certificate")
        .await?;
    browser
        .script("document.querySelector('[data-key=\"station GL-AC-1\"] summary').click()")
        .await?;
    browser
        .wait_text("[data-key=\"station GL-AC-1\"]", "V2G root")
        .await?;
    browser.screenshot("up-certificates").await?;
    browser.goto(&format!("{base}{}", session_path(&session))).await?;
    browser.wait_text("#live-state", "Live").await?;
    // A reload would forget this.
    browser.script("window.mark = 1").await?;
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
    browser.screenshot("up-session-charging").await?;
    up.setpoint("GL-DC-1", Some(-35_000))?;
    let back = "const e = document.querySelector('.area-back'); return e ? e.getAttribute('d').length : 0";
    browser
        .wait("energy on its way back in the plot", async || {
            Ok(browser.script(back).await?.as_u64() > Some(20))
        })
        .await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    browser.screenshot("up-session-discharging").await?;
    car.process.interrupt()?;
    browser.wait_text("#bill", "EUR").await?;
    browser
        .wait_text("#proof", "Signed by Gridlatch Dev Bills")
        .await?;
    browser
        .wait_text("#proof", "Signed by the meter GL-DC-1-1")
        .await?;
    browser.wait_text("#live-state", "Final").await?;
    ensure!(
        browser.script("return window.mark").await? == 1,
        "the page was reloaded"
    );
    browser.screenshot("up-session-billed").await?;
    let ended = car.ended(SOON)?.expect(0)?;
    let id = ended.bill()?["total_incl"]
        .as_str()
        .context("no total")?
        .to_owned();
    browser.wait_text("body", &id).await?;
    browser.goto(&format!("{base}/events")).await?;
    browser.wait_text("body", "bill").await?;
    browser.screenshot("up-events").await?;
    browser.assert_quiet().await?;
    browser.close().await
}
