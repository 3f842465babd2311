//! The responder of `up` vouches for the stations of `up`: a car that insists on it charges, and does not when
//! nobody vouches.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use gridlatch_testkit::{ports, temp};

use crate::running_up::{SOON, Up};

#[test]
fn a_car_that_insists_on_an_ocsp_answer_charges_in_both_generations_and_not_without_one() {
    insists().unwrap();
}

fn insists() -> Result<()> {
    let data = temp::dir()?;
    // An address that stays the same is written into certificates as the responder's.
    let status = format!("127.0.0.1:{}", ports::tcp()?);
    let up = Up::start(data.path(), &["--est", "127.0.0.1:0", "--status", &status])?;
    // Stations fetch their first answer once the responder is up, a moment after themselves.
    let until = Instant::now() + Duration::from_secs(60);
    let generations = ["iso15118-2", "iso15118-20"];
    for protocol in generations {
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

    // Started again with the responder elsewhere, the address in the certificates is dead.
    let up = Up::start(data.path(), &["--est", "127.0.0.1:0", "--status", "127.0.0.1:0"])?;
    for protocol in generations {
        let car = format!("--for 1 --energy dc --protocol {protocol}");
        let ended = up.car(&format!("--require-ocsp {car}"))?.ended(SOON)?.expect(1)?;
        ensure!(
            ended.output.contains("staples no OCSP answer"),
            "{}",
            ended.output
        );
        // Who does not insist charges.
        up.car(&car)?.ended(SOON)?.expect(0)?;
    }
    up.stop()?;
    Ok(())
}
