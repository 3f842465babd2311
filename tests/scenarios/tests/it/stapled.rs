//! The responder of `up` vouches for the stations of `up`: a car that insists on it charges.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use gridlatch_testkit::{ports, temp};

use crate::running_up::{SOON, Up};

#[test]
fn a_car_that_insists_on_an_ocsp_answer_charges_in_both_generations() {
    insists().unwrap();
}

fn insists() -> Result<()> {
    let data = temp::dir()?;
    // An address that stays the same is written into certificates as the responder's.
    let status = format!("127.0.0.1:{}", ports::tcp()?);
    let up = Up::start(data.path(), &["--est", "127.0.0.1:0", "--status", &status])?;
    // Stations fetch their first answer once the responder is up, a moment after themselves.
    let until = Instant::now() + Duration::from_secs(60);
    for protocol in ["iso15118-2", "iso15118-20"] {
        loop {
            let ended = up
                .car(&format!(
                    "--require-ocsp --for 1 --energy dc --protocol {protocol}"
                ))?
                .ended(SOON)?;
            match (ended.code, ended.output.contains("\"staple\":\"good\"")) {
                (0, true) => break,
                (0, false) => bail!("it charged without a staple: {ended:?}"),
                _ if Instant::now() > until => bail!("no staple within a minute: {ended:?}"),
                _ => std::thread::sleep(Duration::from_secs(1)),
            }
        }
    }
    up.stop()?;
    Ok(())
}
