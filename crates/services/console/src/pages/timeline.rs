//! What breaks if nothing is done, on a line of time: a lane for each kind of certificate, a mark for each date.

use gridlatch_vocab::Timestamp;
use maud::{Markup, html};
use time::{Date, Month};

use crate::trust::{BreakRow, TrustPicture};

/// How far the line goes, in days.
pub(crate) const DAYS: i64 = 400;
/// Marks nearer than this, in thousandths of the line, are one mark with a number.
const APART: i64 = 65;
/// What is nearer than this many days has a mark of its own shape.
const SOON: i64 = 30;
/// Lanes drawn; there are fewer kinds of leaves.
const LANES: usize = 16;

/// Whole days from `now` to `at`: 0 on the last day, less than 0 afterwards.
pub(crate) fn days(now: Timestamp, at: Timestamp) -> i64 {
    (at.0 - now.0).whole_seconds().div_euclid(86_400)
}

/// How long it is until then, in words.
pub(crate) fn until(now: Timestamp, at: Timestamp) -> String {
    if at <= now {
        return "now".to_owned();
    }
    match days(now, at) {
        0 => "in less than a day".to_owned(),
        1 => "in 1 day".to_owned(),
        days => format!("in {days} days"),
    }
}

/// A date in UTC, as certificates have it, with the moment in the title.
pub(crate) fn date(at: Timestamp) -> Markup {
    let utc = at.0.to_offset(time::UtcOffset::UTC);
    html! { span.date title=(at.to_rfc3339()) { (utc.date()) } }
}

/// Breaks that are on the line.
pub(crate) fn on_line(picture: &TrustPicture) -> Vec<&BreakRow> {
    picture
        .breaks
        .iter()
        .filter(|one| days(picture.at, one.at) <= DAYS)
        .collect()
}

/// Where on the line, in thousandths of it.
fn place(now: Timestamp, at: Timestamp) -> i64 {
    let seconds = (at.0 - now.0).whole_seconds().max(0);
    (seconds / (DAYS * 86)).min(1000)
}

fn percent(place: i64) -> String {
    format!("{}.{}%", place / 10, place % 10)
}

/// Some breaks whose marks would touch each other.
struct Mark<'a> {
    place: i64,
    first: &'a BreakRow,
    /// Its number in the list below.
    number: usize,
    count: usize,
}

/// The line; nothing if there is nothing on it.
pub(crate) fn render(picture: &TrustPicture) -> Markup {
    let mut lanes: Vec<(&str, Vec<Mark<'_>>)> = Vec::new();
    for (number, one) in on_line(picture).into_iter().enumerate() {
        let at = place(picture.at, one.at);
        let lane = match lanes.iter_mut().find(|(kind, _)| *kind == one.kind) {
            Some((_, marks)) => marks,
            None => {
                lanes.push((&one.kind, Vec::new()));
                let Some((_, marks)) = lanes.last_mut() else {
                    continue;
                };
                marks
            }
        };
        match lane.last_mut() {
            // What is broken already is never mixed with what is to come.
            Some(mark)
                if at - mark.place < APART && (mark.first.at <= picture.at) == (one.at <= picture.at) =>
            {
                mark.count += 1;
            }
            _ => lane.push(Mark {
                place: at,
                first: one,
                number,
                count: 1,
            }),
        }
    }
    html! {
        @if !lanes.is_empty() {
            div.timeline {
                div.lane.axis { span.dim { "From today" } (axis(picture.at)) }
                @for (kind, marks) in lanes.iter().take(LANES) {
                    div.lane {
                        span { (kind) }
                        svg aria-label={ (kind) ": dates on which something breaks" } {
                            line.grid x1="0%" y1="15" x2="100%" y2="15" {}
                            @for mark in marks { (draw(mark, picture.at)) }
                        }
                    }
                }
            }
        }
    }
}

fn draw(mark: &Mark<'_>, now: Timestamp) -> Markup {
    let left = days(now, mark.first.at);
    let (class, shape) = if mark.first.at <= now {
        ("mark bad", "M-9 -9h18v18h-18z")
    } else if left <= SOON {
        ("mark caution", "M0 -12 12 9h-24z")
    } else {
        ("mark busy", "M0 -9a9 9 0 1 0 0 18 9 9 0 0 0 0 -18z")
    };
    let many = if mark.count > 1 {
        format!(" and {} more soon after", mark.count - 1)
    } else {
        String::new()
    };
    html! {
        a href={ "#break-" (mark.number) } aria-label={ (mark.first.kind) ", " (until(now, mark.first.at)) (many) } {
            svg class=(class) x=(percent(mark.place)) y="15" overflow="visible" aria-hidden="true" {
                path d=(shape) {}
                @if mark.count > 1 { text y="4" text-anchor="middle" { (mark.count) } }
                text.opt x="15" y="4" { @if mark.first.at <= now { "now" } @else { (left) " d" } }
            }
        }
    }
}

/// Months, and years where they begin.
fn axis(now: Timestamp) -> Markup {
    let today = now.0.to_offset(time::UtcOffset::UTC).date();
    let mut ticks = Vec::new();
    let (mut year, mut month) = (today.year(), today.month());
    for index in 0..=DAYS / 28 {
        month = month.next();
        if month == Month::January {
            year += 1;
        }
        let Ok(first) = Date::from_calendar_date(year, month, 1) else {
            break;
        };
        let at = place(now, Timestamp(first.midnight().assume_utc()));
        if at >= 990 {
            break;
        }
        let label = match month {
            Month::January => year.to_string(),
            other => other.to_string().chars().take(3).collect(),
        };
        ticks.push((at, label, index % 3 == 0));
    }
    html! {
        svg aria-hidden="true" {
            @for (at, label, always) in &ticks {
                line.grid x1=(percent(*at)) y1="20" x2=(percent(*at)) y2="30" {}
                text class=(if *always { "tick" } else { "tick opt" }) x=(percent(*at)) y="14" text-anchor="middle" { (label) }
            }
        }
    }
}
