//! Pages for what went wrong. Each says what to do next.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::html;

use crate::layout::{Frame, Nav, page};

/// Why a page could not be shown.
#[derive(Debug)]
pub(crate) enum Problem {
    /// No such page, station, session or code; says what was looked for.
    NotFound(String),
    /// The request cannot be understood; says which part.
    BadRequest(String),
    /// The store could not be read.
    Store(gridlatch_store::StoreError),
}

impl From<gridlatch_store::StoreError> for Problem {
    fn from(error: gridlatch_store::StoreError) -> Self {
        Self::Store(error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, title, what, next) = match self {
            Self::NotFound(what) => (
                StatusCode::NOT_FOUND,
                "Not found",
                what,
                "It may have been on an older list, or the address has a typing error.",
            ),
            Self::BadRequest(what) => (
                StatusCode::BAD_REQUEST,
                "That cannot be done",
                what,
                "Go back, correct it and send it again. Nothing was changed.",
            ),
            Self::Store(error) => {
                // The particulars may hold paths and statements: they go to the log, not to a page.
                tracing::error!(%error, source = ?std::error::Error::source(&error), "the console cannot read the store");
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "The store cannot be read",
                    "The platform's database did not answer.".to_owned(),
                    "Look at the free space of the data folder and at the security log, then reload. Charging goes on meanwhile.",
                )
            }
        };
        let body = html! {
            div.pagehead { p.crumbs { (status.as_u16()) } h1 { (title) } }
            section.card.narrow.prose {
                p { (what) }
                p.dim { (next) }
                p { a.button href="/" { "Overview" } " " a.button.quiet href="/events?severity=error" { "Urgent events" } }
            }
        };
        let frame = Frame {
            title,
            nav: Nav::None,
            live: None,
            reload: false,
        };
        (status, page(&frame, &body)).into_response()
    }
}
