//! Every command line in the documents is one that this program takes.
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Command, CommandFactory as _, Parser as _};

use super::Cli;

fn documents() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let listed = |folder: &str| {
        let entries = std::fs::read_dir(root.join(folder)).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .collect::<Vec<PathBuf>>()
    };
    let mut paths = [listed("."), listed("docs"), listed("docs/adr")].concat();
    paths.retain(|path| path.extension().is_some_and(|name| name == "md"));
    // Written by a program from the catalogue, whose remedies have a test of their own below.
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// The words of a shell line up to a pipe, a redirection or a comment. `None` if it is none of ours.
fn words(line: &str) -> Option<Vec<String>> {
    let line = line.trim().trim_start_matches("$ ");
    let line = line.strip_prefix("cargo run --").map_or_else(
        || line.to_owned(),
        |rest| format!("gridlatch{}", rest.trim_start_matches(" --release --")),
    );
    if !(line == "gridlatch" || line.starts_with("gridlatch ")) {
        return None;
    }
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for letter in line.chars().chain([' ']) {
        match (quote, letter) {
            (Some(open), letter) if open == letter => quote = None,
            (Some(_), letter) => word.push(letter),
            (None, '\'' | '"') => quote = Some(letter),
            (None, '|' | '>' | '#' | '&' | ';') => break,
            (None, ' ') if word.is_empty() => {}
            (None, ' ') => words.push(std::mem::take(&mut word)),
            (None, letter) => word.push(letter),
        }
    }
    Some(words)
}

/// Lines of fenced blocks, joined where they end in a backslash.
fn fenced(text: &str) -> Vec<String> {
    let (mut lines, mut inside, mut joined) = (Vec::new(), false, String::new());
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if inside {
            joined.push_str(line.trim_end_matches('\\'));
            if !line.ends_with('\\') {
                lines.push(std::mem::take(&mut joined));
            }
        }
    }
    lines
}

/// Code within a line.
fn inline(text: &str) -> Vec<String> {
    let mut inside = false;
    let prose: Vec<&str> = text
        .lines()
        .filter(|line| {
            let fence = line.trim_start().starts_with("```");
            inside ^= fence;
            !inside && !fence
        })
        .collect();
    let prose = prose.join(" ");
    prose.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Names only: which sub-command it is, and whether that has the options. Values stand for themselves in prose.
fn known(line: &str, words: &[String]) -> Result<(), String> {
    let mut command: Command = Cli::command();
    command.build();
    let mut rest = &words[1..];
    while let Some(next) = rest.first().and_then(|word| command.find_subcommand(word)) {
        command = next.clone();
        rest = &rest[1..];
    }
    if command.has_subcommands()
        && let Some(word) = rest.first()
        && word
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || letter == '-')
        && !word.starts_with('-')
    {
        return Err(format!("{line}: {} has no {word}", command.get_name()));
    }
    for word in rest {
        let Some(name) = word.trim_matches(['[', ']', '.', ',']).strip_prefix("--") else {
            continue;
        };
        let name = name.split(['=', '[', '|']).next().unwrap_or_default();
        let global = ["help", "version", ""];
        if !global.contains(&name) && !command.get_arguments().any(|arg| arg.get_long() == Some(name)) {
            return Err(format!("{line}: {} has no --{name}", command.get_name()));
        }
    }
    Ok(())
}

#[test]
fn every_command_line_in_the_documents_is_one_the_program_takes() {
    let (mut whole, mut named, mut wrong) = (0, 0, Vec::new());
    for (document, text) in documents() {
        for line in fenced(&text) {
            let Some(words) = words(&line) else { continue };
            // Synopses have choices and ellipses in them.
            if line.contains("...") || line.contains('[') {
                named += 1;
                wrong.extend(known(&line, &words).err().map(|why| format!("{document}: {why}")));
                continue;
            }
            whole += 1;
            if let Err(error) = Cli::try_parse_from(&words)
                && !matches!(
                    error.kind(),
                    ErrorKind::DisplayHelp
                        | ErrorKind::DisplayVersion
                        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                )
            {
                wrong.push(format!("{document}: {line}\n{error}"));
            }
        }
        for line in inline(&text) {
            let Some(words) = words(&line) else { continue };
            named += 1;
            wrong.extend(known(&line, &words).err().map(|why| format!("{document}: {why}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        whole > 40 && named > 60,
        "{whole} command lines, {named} named: too few were found"
    );
}

#[test]
fn every_command_that_a_remedy_names_exists() {
    let mut named = 0;
    for row in gridlatch_vocab::catalogue::all() {
        for line in inline(row.remedy) {
            let Some(words) = words(&line) else { continue };
            named += 1;
            known(&line, &words).unwrap_or_else(|why| panic!("{}: {why}", row.code));
        }
    }
    assert!(named > 10, "{named}");
}
