//! The sub-command `explain`: rows of the catalogue of codes.

use std::io::{self, BufWriter, Write};

use gridlatch_vocab::catalogue::{Code, Row, all};
use serde_json::json;

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// For documents (with --list)
    Markdown,
}

/// Arguments of `gridlatch explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 explained; 1 no such code (the nearest ones are named).")]
pub(crate) struct ExplainArgs {
    /// A code (tls.unknown_ca) or what other systems call it ("tlsv1 alert unknown ca")
    #[arg(value_name = "CODE", required_unless_present = "list", conflicts_with = "list", num_args = 1..)]
    code: Vec<String>,
    /// Every code
    #[arg(long)]
    list: bool,
    /// text, json or markdown
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Runs it; returns the exit code.
pub(crate) fn run(args: ExplainArgs) -> u8 {
    let mut out = BufWriter::new(io::stdout().lock());
    let result = if args.list {
        list(args.format, &mut out).map(|()| 0)
    } else {
        // Unquoted words are one alias.
        explain(&args.code.join(" "), args.format, &mut out)
    };
    match result.and_then(|code| out.flush().map(|()| code)) {
        Ok(code) => code,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(error) => {
            let _ = writeln!(io::stderr(), "gridlatch: cannot write: {error}");
            2
        }
    }
}

fn explain(text: &str, format: Format, out: &mut impl Write) -> io::Result<u8> {
    let Some(code) = Code::find(text) else {
        let near = nearest(text);
        match format {
            Format::Json => {
                writeln!(
                    out,
                    "{}",
                    json!({ "error": "unknown code", "asked": text, "nearest": near })
                )?;
            }
            Format::Text | Format::Markdown => {
                let _ = writeln!(
                    io::stderr(),
                    "gridlatch: no code or alias {text:?}; nearest: {}",
                    near.join(", ")
                );
            }
        }
        return Ok(1);
    };
    match format {
        Format::Json => writeln!(out, "{}", json!(code.row()))?,
        Format::Markdown => markdown(code.row(), out)?,
        Format::Text => plain(code.row(), out)?,
    }
    Ok(0)
}

fn list(format: Format, out: &mut impl Write) -> io::Result<()> {
    match format {
        Format::Json => writeln!(out, "{}", json!(all().collect::<Vec<_>>())),
        Format::Markdown => all().try_for_each(|row| markdown(row, out)),
        Format::Text => all().try_for_each(|row| {
            writeln!(
                out,
                "{:<36} {:<8} {:<9} {}",
                row.code,
                row.severity.as_str(),
                row.blame.as_str(),
                row.what
            )
        }),
    }
}

fn plain(row: &Row, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{}  ({}, points at: {})",
        row.code,
        row.severity.as_str(),
        row.blame.as_str()
    )?;
    writeln!(out, "\n{}", row.what)?;
    if !row.causes.is_empty() {
        writeln!(out, "\nLikely causes:")?;
        for cause in row.causes {
            writeln!(out, "  - {cause}")?;
        }
    }
    writeln!(out, "\nWhat to do: {}", row.remedy)?;
    if !row.aliases.is_empty() {
        writeln!(out, "\nAlso known as: {}", row.aliases.join(", "))?;
    }
    Ok(())
}

fn markdown(row: &Row, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "### `{}`\n", row.code)?;
    writeln!(
        out,
        "{} · points at: {}\n\n{}\n",
        row.severity.as_str(),
        row.blame.as_str(),
        row.what
    )?;
    if !row.causes.is_empty() {
        writeln!(out, "Likely causes:\n")?;
        for cause in row.causes {
            writeln!(out, "- {cause}")?;
        }
        writeln!(out)?;
    }
    writeln!(out, "What to do: {}\n", row.remedy)?;
    if !row.aliases.is_empty() {
        let names: Vec<String> = row.aliases.iter().map(|alias| format!("`{alias}`")).collect();
        writeln!(out, "Also known as: {}\n", names.join(", "))?;
    }
    Ok(())
}

/// Longest text compared; the distance is quadratic in it.
const MAX_TEXT: usize = 80;

/// The three codes whose spelling or alias is nearest.
fn nearest(text: &str) -> Vec<&'static str> {
    let text: String = text.to_ascii_lowercase().chars().take(MAX_TEXT).collect();
    let mut ranked: Vec<(usize, &'static str)> = all()
        .map(|row| {
            let spellings = std::iter::once(&row.code).chain(row.aliases);
            let best = spellings
                .map(|spelling| distance(&text, &spelling.to_ascii_lowercase()))
                .min();
            (best.unwrap_or(usize::MAX), row.code)
        })
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().take(3).map(|(_, code)| code).collect()
}

/// Edit distance; a part of the other text counts as near.
fn distance(a: &str, b: &str) -> usize {
    if a.len() >= 3 && b.contains(a) {
        return 0;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn a_slip_of_the_pen_finds_its_code() {
        assert_eq!(nearest("tls.unknwon_ca")[0], "tls.unknown_ca");
        assert_eq!(nearest("match timeoutt")[0], "slac.match_timeout");
        assert_eq!(distance("abc", "abd"), 1);
        assert_eq!(distance("", "abd"), 3);
    }
}
