//! What `up` prints: what runs where, and what to try next.

use std::path::Path;

use crate::run_file::{RunFile, Supply};
use crate::say;

/// Prints the table of what runs where.
pub(crate) fn print(run: &RunFile, token: &str, data: &Path) {
    let mut lines = vec![
        String::new(),
        "  gridlatch is up".to_owned(),
        String::new(),
        format!("  console   {}?token={token}", run.console),
        format!(
            "  REST      {}  (openapi.json there; token in {})",
            run.rest,
            run.token_file.display()
        ),
        format!("  OCPP      {}<station>  (TLS, client certificates)", run.ocpp),
        format!("  EST       {}  (a secret: gridlatch pki client add)", run.est),
        format!(
            "  pools     {}/v1 and /opnc/v1  (a client: gridlatch pki pools client)",
            run.pools
        ),
        format!("  OCSP      {}", run.ocsp),
        format!("  CRL       {}", run.crl.replace("{authority}", "<tree>/<CA>")),
    ];
    for station in &run.stations {
        for evse in &station.evses {
            let kind = match evse.kind {
                Supply::Ac => "AC 22 kW",
                Supply::Dc => "DC 150 kW, bidirectional",
            };
            lines.push(format!(
                "  station   {} EVSE {}: {kind}, discovery at {}",
                station.id, evse.evse, evse.sdp
            ));
        }
    }
    lines.push(format!("  state     {}", data.display()));
    lines.push(String::new());
    lines.push("  Next, in a second terminal:".to_owned());
    let data = data_flag(data);
    lines.push(format!("    gridlatch ev charge{data}"));
    lines.push(format!(
        "    gridlatch ev charge{data} --protocol iso15118-20 --energy dc-bpt --discharge"
    ));
    lines.push(String::new());
    lines.push("  Ctrl-C stops everything.".to_owned());
    say::result(lines.join("\n"));
}

/// ` --data DIR` where a command would otherwise look elsewhere.
fn data_flag(data: &Path) -> String {
    let default = gridlatch_host::DataDir::default_root();
    if default.canonicalize().is_ok_and(|default| default == data) {
        String::new()
    } else {
        format!(" --data {}", data.display())
    }
}

/// Runs one charging session as a demonstration, as a second terminal would.
pub(crate) async fn demo(data: &Path) {
    say::talk("\n  demonstration: gridlatch ev charge --protocol iso15118-20 --energy dc-bpt --discharge\n");
    let Ok(this) = std::env::current_exe() else {
        say::talk("the demonstration cannot find its own program");
        return;
    };
    let ended = tokio::process::Command::new(this)
        .args([
            "ev",
            "charge",
            "--protocol",
            "iso15118-20",
            "--energy",
            "dc-bpt",
            "--discharge",
            "--data",
        ])
        .arg(data)
        .kill_on_drop(true)
        .status()
        .await;
    match ended {
        Ok(status) if status.success() => say::talk("\n  the demonstration is over; everything is still up"),
        Ok(status) => say::talk(format!("\n  the demonstration ended with {status}")),
        Err(error) => say::talk(format!("the demonstration could not start: {error}")),
    }
}
