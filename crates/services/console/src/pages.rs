//! The pages. Each is a pure function of what was read; the parts that change while it is open are regions.

use maud::Markup;

pub(crate) mod campaign;
pub(crate) mod certificates;
pub(crate) mod codes;
pub(crate) mod events;
pub(crate) mod overview;
pub(crate) mod problem;
pub(crate) mod session;
pub(crate) mod sessions;
pub(crate) mod station;
pub(crate) mod timeline;

/// The parts of a page that live updates replace: name and content.
pub(crate) type Regions = Vec<(&'static str, Markup)>;
