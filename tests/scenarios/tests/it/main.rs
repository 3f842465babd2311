//! Stories that need the whole product or a foreign peer, one file each, one binary.
#![allow(clippy::unwrap_used)]
// A story that fails is read from what it printed.
#![allow(clippy::print_stdout)]

mod console_browser;
mod josev_car;
mod josev_station;
mod ocpp_python;
