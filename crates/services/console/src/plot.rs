//! The plot of power over a session: above the zero line into the vehicle, below it back to the grid.
//!
//! Drawn on the server, so that the page is whole without script. Only paths are in the SVG; its labels are
//! HTML beside it, because text inside a stretched SVG would stretch too.

use std::fmt::Write as _;

use gridlatch_vocab::{Timestamp, Watts};
use maud::{Markup, html};

use crate::format::{duration, number};
use crate::model::Sample;

/// The most samples a plot holds; beyond it, the extreme of each slice of time is kept.
pub(crate) const POINTS: usize = 600;

/// The plot never shows less time than this, so that a new session starts as a line and not as a wall.
const SHORTEST_MILLIS: i64 = 30_000;

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 300.0;

/// Adds a sample and thins the whole evenly over time when there are too many.
pub(crate) fn push(samples: &mut Vec<Sample>, sample: Sample) {
    if samples.last().is_some_and(|last| last.at > sample.at) {
        return;
    }
    samples.push(sample);
    if samples.len() > POINTS {
        thin(samples);
    }
}

/// Leaves at most half of [`POINTS`] samples: in each slice of time the one farthest from zero.
pub(crate) fn thin(samples: &mut Vec<Sample>) {
    let (Some(first), Some(last)) = (samples.first(), samples.last().cloned()) else {
        return;
    };
    let start = first.at.unix_millis();
    let slices = (POINTS / 2 - 1) as i64;
    let slice = ((last.at.unix_millis() - start) / slices).max(1);
    let size = |sample: &Sample| sample.power.map_or(0.0, |power| power.0.abs());
    let mut kept: Vec<Sample> = Vec::with_capacity(POINTS);
    let mut current = None;
    for sample in samples.drain(..) {
        let index = ((sample.at.unix_millis() - start) / slice).min(slices - 1);
        match kept.last_mut() {
            Some(best) if current == Some(index) => {
                if size(&sample) > size(best) {
                    *best = sample;
                }
            }
            _ => {
                current = Some(index);
                kept.push(sample);
            }
        }
    }
    if kept.last().is_some_and(|kept| kept.at < last.at) {
        kept.push(last);
    }
    *samples = kept;
}

/// The figure, or a sentence where there is nothing to draw yet.
pub(crate) fn figure(samples: &[Sample], started: Timestamp, running: bool) -> Markup {
    let points: Vec<(i64, f64)> = samples
        .iter()
        .filter_map(|sample| Some((sample.at.unix_millis(), sample.power?.0)))
        .filter(|(_, power)| power.is_finite())
        .collect();
    let (Some(&(first_at, _)), Some(&(last_at, last_power))) = (points.first(), points.last()) else {
        return html! {
            div.empty {
                p { "No meter values yet." }
                @if running { p.hint { "The first ones arrive when the contactor has closed." } }
            }
        };
    };
    let start = started.unix_millis().min(first_at);
    let end = last_at.max(start + SHORTEST_MILLIS);
    let setpoints: Vec<(i64, Option<f64>)> = samples
        .iter()
        .map(|sample| {
            let value = sample.setpoint.map(|s| s.0).filter(|s| s.is_finite());
            (sample.at.unix_millis(), value)
        })
        .collect();
    let values = points
        .iter()
        .map(|p| p.1)
        .chain(setpoints.iter().filter_map(|s| s.1));
    let (low, high) = values.fold((0.0_f64, 0.0_f64), |(l, h), v| (l.min(v), h.max(v)));
    let axis = Axis::over(low, high);
    let scale = Scale { start, end, axis };
    let summary = format!(
        "Power from {} to {} kW over {}, now {} kW.",
        number(low / 1000.0, 1),
        number(high / 1000.0, 1),
        duration(started, Timestamp::from_unix_millis(last_at)),
        number(last_power / 1000.0, 1),
    );
    html! {
        figure.plot {
            div.legend {
                span { svg.swatch viewBox="0 0 12 12" aria-hidden="true" { rect.fill-into width="12" height="12" {} } "into the vehicle" }
                span { svg.swatch viewBox="0 0 12 12" aria-hidden="true" { rect.fill-back width="12" height="12" {} } "back to the grid" }
                @if setpoints.iter().any(|s| s.1.is_some()) {
                    span { svg.swatch viewBox="0 0 12 12" aria-hidden="true" { path.setpoint d="M0 6h12" {} } "set-point" }
                }
                span.axis-unit { "kW" }
            }
            div.plot-body {
                div.plot-y aria-hidden="true" {
                    @for tick in axis.ticks().iter().rev() { span { (number(tick / 1000.0, axis.digits())) } }
                }
                svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(summary) {
                    @for tick in axis.ticks() {
                        @let y = fixed(scale.y(tick));
                        line class=(if tick == 0.0 { "zero" } else { "grid" }) x1="0" x2=(WIDTH) y1=(y) y2=(y) {}
                    }
                    path.area-into d=(scale.area(&points, f64::max)) {}
                    path.area-back d=(scale.area(&points, f64::min)) {}
                    path.setpoint d=(scale.steps(&setpoints)) {}
                    path.power #power-path d=(scale.line(&points)) {}
                }
                div.plot-x aria-hidden="true" {
                    @for quarter in 0..=4_i64 {
                        span { (elapsed((end - start) * quarter / 4)) }
                    }
                }
            }
        }
    }
}

/// A bar that grows from the middle: right into the vehicle, left back to the grid.
pub(crate) fn bar(power: Watts, most: Watts) -> Markup {
    let share = (power.0 / most.0.abs().max(1.0)).clamp(-1.0, 1.0) * 50.0;
    let (x, width) = if share < 0.0 {
        (50.0 + share, -share)
    } else {
        (50.0, share)
    };
    html! {
        svg.bar viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" {
            rect.track width="100" height="8" {}
            rect class=(if share < 0.0 { "fill-back" } else { "fill-into" }) x=(fixed(x)) width=(fixed(width)) height="8" {}
            rect.middle x="49.8" width="0.4" height="8" {}
        }
    }
}

/// Elapsed time under the plot: `0:45`, `12:30`, `2:05:00`.
fn elapsed(millis: i64) -> String {
    let seconds = millis / 1000;
    if seconds >= 3600 {
        format!(
            "{}:{:02}:{:02}",
            seconds / 3600,
            seconds % 3600 / 60,
            seconds % 60
        )
    } else {
        format!("{}:{:02}", seconds / 60, seconds % 60)
    }
}

fn fixed(value: f64) -> String {
    format!("{value:.1}")
}

/// A vertical axis whose ends and steps are round numbers and which always holds zero.
#[derive(Debug, Clone, Copy)]
struct Axis {
    step: f64,
    low: i32,
    high: i32,
}

impl Axis {
    fn over(low: f64, high: f64) -> Self {
        let span = (high - low).clamp(1_000.0, 1e9);
        let rough = span / 4.0;
        let magnitude = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0]
            .into_iter()
            .map(|factor| factor * magnitude)
            .find(|step| *step >= rough * 0.999)
            .unwrap_or(magnitude * 10.0);
        let low = (low.max(-1e9) / step).floor() as i32;
        let high = ((high.min(1e9) / step).ceil() as i32).max(low + 1);
        Self { step, low, high }
    }

    fn ticks(self) -> Vec<f64> {
        (self.low..=self.high).map(|n| f64::from(n) * self.step).collect()
    }

    /// Decimals a tick needs when shown in kW.
    fn digits(self) -> usize {
        let step = self.step / 1000.0;
        if step.fract() == 0.0 {
            0
        } else if (step * 10.0).fract() == 0.0 {
            1
        } else {
            2
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Scale {
    start: i64,
    end: i64,
    axis: Axis,
}

impl Scale {
    fn x(self, at: i64) -> f64 {
        let span = (self.end - self.start).max(1) as f64;
        ((at - self.start) as f64 / span).clamp(0.0, 1.0) * WIDTH
    }

    fn y(self, value: f64) -> f64 {
        let low = f64::from(self.axis.low) * self.axis.step;
        let high = f64::from(self.axis.high) * self.axis.step;
        (high - value) / (high - low) * HEIGHT
    }

    fn line(self, points: &[(i64, f64)]) -> String {
        let mut d = String::with_capacity(points.len() * 13);
        for (i, (at, value)) in points.iter().enumerate() {
            let command = if i == 0 { 'M' } else { 'L' };
            let _ = write!(d, "{command}{:.1} {:.1}", self.x(*at), self.y(*value));
        }
        d
    }

    /// The area between the zero line and the side of the curve that `side` keeps.
    fn area(self, points: &[(i64, f64)], side: fn(f64, f64) -> f64) -> String {
        if points.iter().all(|(_, value)| side(*value, 0.0) == 0.0) {
            return String::new();
        }
        let zero = self.y(0.0);
        let mut d = String::with_capacity(points.len() * 13);
        let mut before: Option<(i64, f64)> = None;
        for &(at, value) in points {
            match before {
                None => {
                    let _ = write!(d, "M{:.1} {zero:.1}", self.x(at));
                }
                Some((was_at, was)) if (was > 0.0) != (value > 0.0) && was != value => {
                    // The curve crosses zero between two samples: the area must touch it there.
                    let share = was / (was - value);
                    let x = self.x(was_at) + (self.x(at) - self.x(was_at)) * share;
                    let _ = write!(d, "L{x:.1} {zero:.1}");
                }
                Some(_) => {}
            }
            let _ = write!(d, "L{:.1} {:.1}", self.x(at), self.y(side(value, 0.0)));
            before = Some((at, value));
        }
        if let Some((at, _)) = before {
            let _ = write!(d, "L{:.1} {zero:.1}Z", self.x(at));
        }
        d
    }

    /// A stepped line with gaps where no value holds.
    fn steps(self, values: &[(i64, Option<f64>)]) -> String {
        let mut d = String::new();
        let mut drawing = false;
        for (at, value) in values {
            match value {
                Some(value) if drawing => {
                    let _ = write!(d, "H{:.1}V{:.1}", self.x(*at), self.y(*value));
                }
                Some(value) => {
                    let _ = write!(d, "M{:.1} {:.1}", self.x(*at), self.y(*value));
                    drawing = true;
                }
                None if drawing => {
                    let _ = write!(d, "H{:.1}", self.x(*at));
                    drawing = false;
                }
                None => {}
            }
        }
        d
    }
}

#[cfg(test)]
mod tests;
