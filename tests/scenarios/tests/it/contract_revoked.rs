//! A contract that its operator revoked does not charge, at once and at any station; others go on.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use gridlatch_testkit::temp;
use serde_json::Value;

use crate::running_up::{SOON, Up, list, wait};

#[test]
fn a_revoked_contract_is_refused_and_the_reason_is_said_while_others_charge() {
    revoked().unwrap();
}

fn revoked() -> Result<()> {
    let data = temp::dir()?;
    let up = Up::start(data.path(), &["--est", "127.0.0.1:0", "--status", "127.0.0.1:0"])?;
    up.car("--energy dc --auth pnc --for 1")?.ended(SOON)?.expect(0)?;

    let contract = wait("the contract in the CA's list", SOON, || {
        let listed = pki(&up, &["list", "--format", "json"])?;
        Ok(listed
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|row| {
                row.to_string().contains("iso20/mo-sub2") && row.to_string().contains("contract-leaf")
            }))
    })?;
    let serial = contract["serial"]
        .as_str()
        .context("no serial number")?
        .to_owned();
    pki(
        &up,
        &[
            "revoke",
            &serial,
            "--from",
            "iso20/mo-sub2",
            "--reason",
            "keyCompromise",
        ],
    )?;

    // The platform remembers a good answer for some seconds, and no longer.
    let refused = wait("the refusal", SOON, || {
        let ended = up.car("--energy dc --auth pnc --for 1")?.ended(SOON)?;
        Ok((ended.code != 0).then_some(ended))
    })?;
    ensure!(refused.code == 1, "{}", refused.output);
    let events = up.get("/events?limit=200")?;
    let said = |code: &str, text: &str| {
        list(&events).iter().any(|event| {
            event["code"] == code
                && event["message"]
                    .as_str()
                    .is_some_and(|message| message.contains(text))
        })
    };
    ensure!(said("revocation.revoked", "keyCompromise"), "{events}");
    ensure!(said("platform.authorization_refused", ""), "{events}");

    // The same car's contract of the other generation is another certificate, and so is a card.
    up.car("--energy dc --protocol iso15118-2 --auth pnc --for 1")?
        .ended(SOON)?
        .expect(0)?;
    up.stop().map(drop)
}

/// Runs `gridlatch pki` on this folder.
fn pki(up: &Up, words: &[&str]) -> Result<String> {
    let output = Command::new(gridlatch_testkit::binary()?)
        .arg("pki")
        .args(words)
        .arg("--data")
        .arg(&up.data)
        .output()?;
    ensure!(
        output.status.success(),
        "{words:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
