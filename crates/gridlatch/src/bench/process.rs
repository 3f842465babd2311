//! CPU time and peak memory of a process and its children, as the kernel accounts for them.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// What a process tree has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    /// User and system time together.
    pub(crate) cpu: Duration,
    /// The largest resident set of any one process of the tree, in bytes.
    pub(crate) peak_bytes: u64,
    /// The largest resident sets of all processes of the tree, added up, in bytes: what a peer that
    /// runs a second process for its codec really needs.
    pub(crate) peak_sum_bytes: u64,
}

/// How deep a tree is followed; the peers here are two levels deep.
const MAX_DEPTH: u8 = 4;

/// Reads the usage of `pid` and its living children. A process that is gone counts as nothing.
pub(crate) fn usage(pid: u32) -> Usage {
    let mut usage = Usage::default();
    add(pid, 0, &mut usage);
    usage
}

fn add(pid: u32, depth: u8, usage: &mut Usage) {
    let proc = Path::new("/proc").join(pid.to_string());
    let Ok(stat) = fs::read_to_string(proc.join("stat")) else {
        return;
    };
    usage.cpu += cpu_of(&stat).unwrap_or_default();
    let status = fs::read_to_string(proc.join("status")).unwrap_or_default();
    let peak = peak_of(&status).unwrap_or_default();
    usage.peak_bytes = usage.peak_bytes.max(peak);
    usage.peak_sum_bytes += peak;
    if depth < MAX_DEPTH {
        for child in children(&proc) {
            add(child, depth + 1, usage);
        }
    }
}

/// Fields 14 and 15 of `stat`, in clock ticks of 10 ms (Linux fixes USER_HZ at 100). The name in
/// field 2 may hold spaces and parentheses, so counting starts after its last one.
fn cpu_of(stat: &str) -> Option<Duration> {
    let after_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 10))
}

fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

fn children(proc: &Path) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(proc.join("task")) else {
        return Vec::new();
    };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| {
            text.split_ascii_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<u32>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 1 1 1";
        assert_eq!(cpu_of(stat), Some(Duration::from_secs(3)));
    }

    #[test]
    fn this_process_uses_memory() {
        let usage = usage(std::process::id());
        assert!(usage.peak_bytes > 100 * 1024, "{usage:?}");
        assert!(usage.peak_sum_bytes >= usage.peak_bytes);
    }
}
