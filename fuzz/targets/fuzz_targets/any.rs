//! One libFuzzer binary for all targets: the environment variable `TARGET` picks one.
#![no_main]

use std::sync::OnceLock;

use gridlatch_fuzz::{Target, all};
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<Target> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("TARGET").expect("set TARGET to a folder of fuzz/corpus");
        *all().iter().find(|target| target.name == name).expect("no such target")
    });
    (target.run)(data);
});
