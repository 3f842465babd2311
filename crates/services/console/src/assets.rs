//! The static files, compiled in. Their addresses carry a digest of their content, so that a browser may keep
//! them for ever and a new release is seen at once.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::get;

/// The mark beside the name; also the icon.
pub(crate) const MARK: &str = include_str!("../assets/mark.svg");

const CSS: &str = include_str!("../assets/console.css");
const JS: &str = include_str!("../assets/console.js");
const ICON: &str = include_str!("../assets/icon.svg");

const CSS_DIGEST: u32 = digest(CSS.as_bytes());
const JS_DIGEST: u32 = digest(JS.as_bytes());
const ICON_DIGEST: u32 = digest(ICON.as_bytes());

pub(crate) fn css_href() -> String {
    format!("/assets/console.css?{CSS_DIGEST:08x}")
}

pub(crate) fn js_href() -> String {
    format!("/assets/console.js?{JS_DIGEST:08x}")
}

pub(crate) fn icon_href() -> String {
    format!("/assets/icon.svg?{ICON_DIGEST:08x}")
}

pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let serve = |kind: &'static str, content: &'static str| {
        get(move || async move {
            (
                [
                    (CONTENT_TYPE, kind),
                    (CACHE_CONTROL, "public, max-age=31536000, immutable"),
                ],
                content,
            )
        })
    };
    Router::new()
        .route("/assets/console.css", serve("text/css; charset=utf-8", CSS))
        .route("/assets/console.js", serve("text/javascript; charset=utf-8", JS))
        .route("/assets/icon.svg", serve("image/svg+xml", ICON))
        .route("/favicon.ico", serve("image/svg+xml", ICON))
}

/// FNV-1a: tells versions apart; nothing rests on it being hard to forge.
const fn digest(bytes: &[u8]) -> u32 {
    let mut hash = 0x811c_9dc5_u32;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    hash
}
