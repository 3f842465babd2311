//! All sessions, newest first, page by page.

use maud::Markup;
use maud::html;

use super::overview::session_table;
use crate::layout::{Frame, Nav, empty, page};
use crate::model::Session;

/// How many sessions one page shows.
pub(crate) const PER_PAGE: u32 = 50;

/// `first`: this is the newest page; `next`: the cursor of the page after it.
pub(crate) fn render(sessions: &[Session], first: bool, next: Option<i64>) -> Markup {
    let body = html! {
        div.pagehead { h1 { "Sessions" } }
        section.card {
            @if sessions.is_empty() && first {
                (empty("No session yet.", "A whole one, from plug to bill:", Some("gridlatch ev charge")))
            } @else if sessions.is_empty() {
                (empty("There is nothing on this page.", "The list ends before it.", None))
            } @else {
                (session_table(sessions, true))
            }
        }
        (pager("/sessions", "", first, next))
    };
    let frame = Frame {
        title: "Sessions",
        nav: Nav::Sessions,
        live: None,
        reload: false,
    };
    page(&frame, &body)
}

/// Links to the newest page and to the one after this. `query` is what both keep.
pub(crate) fn pager(path: &str, query: &str, first: bool, next: Option<i64>) -> Markup {
    let and = if query.is_empty() { "" } else { "&" };
    html! {
        @if !first || next.is_some() {
            nav.pager aria-label="Pages" {
                @if !first { a.button.quiet href={ (path) "?" (query) } { "\u{2190} Newest" } }
                @if let Some(next) = next {
                    a.button.quiet rel="next" href={ (path) "?" (query) (and) "before=" (next) } { "Older \u{2192}" }
                }
            }
        }
    }
}
