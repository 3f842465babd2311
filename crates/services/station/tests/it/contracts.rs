//! Contracts over real TLS, judged by the installed roots.

use gridlatch_host::now;
use gridlatch_pki::dev;
use gridlatch_station::backend::Identification;
use gridlatch_vocab::catalogue::{pnc, power};

use crate::bench::{Recorder, Told, bench, pki};

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_of_our_operator_charges_and_one_of_a_stranger_is_never_shown_to_the_platform() {
    let bench = bench(1, false);
    let folder = tempfile::tempdir().unwrap();
    let stranger = dev::ensure(folder.path(), &Recorder::default(), now()).unwrap();
    // Ends of the transaction before may still come in.
    let asked = || {
        let told = bench.told().into_iter();
        told.filter(|told| matches!(told, Told::Authorize(Identification::Contract { .. })))
            .count()
    };
    for dynamic in [false, true] {
        let before = asked();
        let closed = bench.count(1, power::CONTACTOR_CLOSED);
        let refused = bench.count(1, pnc::CONTRACT_UNTRUSTED);
        let car = || {
            if dynamic {
                bench.car(1).dynamic()
            } else {
                bench.car(1)
            }
        };
        let outcome = car().contract(&stranger).charge().await;
        assert!(
            outcome.failure().is_some(),
            "dynamic {dynamic}: a stranger's contract charged"
        );
        // The vehicle knows before the station has written down why.
        bench.reports(1, pnc::CONTRACT_UNTRUSTED, refused).await;
        assert_eq!(
            bench.count(1, pnc::CONTRACT_UNTRUSTED),
            refused + 1,
            "{:#?}",
            bench.codes(1)
        );
        assert_eq!(asked(), before, "the platform was asked");
        assert_eq!(bench.count(1, power::CONTACTOR_CLOSED), closed);

        let own = { car().contract(&pki()) };
        let outcome = own.millis(100).charge().await;
        assert!(outcome.failure().is_none(), "{outcome:?}\n{:#?}", bench.codes(1));
        assert_eq!(asked(), before + 1);
    }
    bench.stop().await;
}
