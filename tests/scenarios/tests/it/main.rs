//! Stories that need the whole product or a foreign peer, one file each, one binary.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops there"
)]
#![allow(
    clippy::print_stdout,
    reason = "a story that fails is read from what it printed"
)]

mod certificates_renewed;
mod command_line;
mod console_browser;
mod contract_over_the_cable;
mod contract_refused;
mod contract_revoked;
mod josev_car;
mod josev_station;
mod keys_in_tokens;
mod ocpp_python;
mod peers_revoked;
mod random_kills;
mod root_rollover;
mod running_up;
mod signed_bill;
mod staples_required;
mod trust_edges;
mod up_and_charge;
mod up_and_down;
mod up_by_rest;
