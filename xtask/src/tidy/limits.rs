//! `docs/limits.md` says what the code enforces: each row's constant exists and has the stated value.

use std::collections::BTreeMap;

use super::Finding;

/// The page with the tables.
const PAGE: &str = "docs/limits.md";

pub(super) fn check(files: &BTreeMap<String, String>) -> Vec<Finding> {
    let Some(page) = files.get(PAGE) else {
        return vec![Finding::new(PAGE, "the page is missing")];
    };
    let mut findings = Vec::new();
    for (at, line) in page.lines().enumerate() {
        let Some((value, path, name)) = row(line) else {
            continue;
        };
        let place = format!("{PAGE}:{}", at + 1);
        let Some(text) = files.get(path) else {
            findings.push(Finding::new(place, format!("{path} does not exist")));
            continue;
        };
        match text.lines().find_map(|line| defined(line, name)) {
            None => findings.push(Finding::new(place, format!("{path} has no constant {name}"))),
            Some(real) if real != value => {
                findings.push(Finding::new(
                    place,
                    format!("{name} is {real}, the page says {value}"),
                ));
            }
            Some(_) => {}
        }
    }
    findings
}

/// `| what | `VALUE` | `PATH` `NAME` |`
fn row(line: &str) -> Option<(&str, &str, &str)> {
    let mut cells = line.strip_prefix("| ")?.split('|').map(str::trim).skip(1);
    let value = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
    let mut place = cells.next()?.split('`').filter(|part| !part.trim().is_empty());
    Some((value, place.next()?, place.next()?))
}

/// The value, if this line is `const NAME: TYPE = VALUE;`.
fn defined<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once("const ")?;
    let (_, value) = rest.strip_prefix(name)?.strip_prefix(':')?.split_once(" = ")?;
    value.split_once(';').map(|(value, _)| value)
}
