use super::*;

fn sample(seconds: i64, watts: f64) -> Sample {
    Sample {
        at: Timestamp::from_unix_millis(seconds * 1000),
        power: Some(Watts(watts)),
        imported: None,
        exported: None,
        soc: None,
        setpoint: None,
    }
}

#[test]
fn a_week_of_samples_stays_bounded_and_keeps_its_peak() {
    let mut samples = Vec::new();
    for i in 0..100_000 {
        let watts = if i == 40_000 { -50_000.0 } else { 11_000.0 };
        push(&mut samples, sample(i * 6, watts));
        assert!(samples.len() <= POINTS);
    }
    assert!(samples.iter().any(|s| s.power == Some(Watts(-50_000.0))));
    assert_eq!(samples.last().map(|s| s.at.unix_millis()), Some(99_999 * 6000));
}

#[test]
fn samples_out_of_order_are_ignored() {
    let mut samples = vec![sample(10, 1.0)];
    push(&mut samples, sample(5, 2.0));
    assert_eq!(samples.len(), 1);
}

#[test]
fn the_axis_holds_zero_and_both_directions() {
    let axis = Axis::over(-11_000.0, 22_000.0);
    let ticks = axis.ticks();
    assert!(ticks.contains(&0.0));
    assert!(ticks[0] <= -11_000.0 && ticks[ticks.len() - 1] >= 22_000.0);
    assert!(ticks.len() <= 8, "{ticks:?}");
    // A peer can report nonsense; the axis stays small.
    assert!(Axis::over(-1e300, 1e300).ticks().len() < 12);
}

#[test]
fn both_areas_touch_zero_where_the_power_turns() {
    let html = figure(
        &[sample(0, 10_000.0), sample(60, -10_000.0)],
        Timestamp::from_unix_millis(0),
        true,
    )
    .into_string();
    assert!(html.contains("area-into") && html.contains("area-back"));
    // Halfway between the samples.
    assert_eq!(html.matches("L500.0 150.0").count(), 2, "{html}");
}

#[test]
fn values_that_are_not_numbers_are_not_drawn() {
    let html = figure(
        &[sample(0, f64::NAN), sample(1, f64::INFINITY)],
        Timestamp::from_unix_millis(0),
        true,
    )
    .into_string();
    assert!(html.contains("No meter values yet"));
    assert!(!html.contains("NaN"));
}
