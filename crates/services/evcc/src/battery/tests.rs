use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn energy_is_conserved_and_the_state_stays_in_its_bounds(
        soc in 0.0..100.0f64,
        moves in proptest::collection::vec((-200_000.0..200_000.0f64, 0.0..600.0f64), 0..40),
    ) {
        let mut battery = Battery::new(BatteryConfig { soc, ..BatteryConfig::default() });
        let before = battery.soc();
        for (watts, seconds) in moves {
            battery.apply(watts, seconds);
            prop_assert!((0.0..=100.0 + 1e-9).contains(&battery.soc()));
            let state = battery.state();
            prop_assert!(state.battery_voltage >= state.minimum_voltage);
            prop_assert!(state.battery_voltage <= state.maximum_voltage);
            prop_assert!(battery.charge_limit() >= 0.0 && battery.discharge_limit() >= 0.0);
        }
        let moved = battery.taken_wh() - battery.given_wh();
        let stored = (battery.soc() - before) / 100.0 * 60_000.0;
        prop_assert!((moved - stored).abs() < 1e-6, "moved {moved}, stored {stored}");
    }

    #[test]
    fn a_fuller_battery_takes_no_more_and_stands_no_lower(low in 0.0..100.0f64, step in 0.0..50.0f64) {
        let at = |soc| Battery::new(BatteryConfig { soc, ..BatteryConfig::default() });
        let (emptier, fuller) = (at(low), at((low + step).min(100.0)));
        prop_assert!(fuller.charge_limit() <= emptier.charge_limit() + 1e-9);
        prop_assert!(fuller.discharge_limit() + 1e-9 >= emptier.discharge_limit());
        prop_assert!(fuller.voltage() + 1e-9 >= emptier.voltage());
    }
}

#[test]
fn nothing_goes_in_when_full_and_nothing_comes_out_at_the_floor() {
    let full = Battery::new(BatteryConfig {
        soc: 100.0,
        ..BatteryConfig::default()
    });
    assert!(full.charge_limit() < 1e-9);
    let floor = Battery::new(BatteryConfig {
        soc: 20.0,
        ..BatteryConfig::default()
    });
    assert!(floor.discharge_limit() < 1e-9);
}

#[test]
fn what_is_no_number_moves_nothing() {
    let mut battery = Battery::new(BatteryConfig::default());
    battery.apply(f64::NAN, 1.0);
    battery.apply(1.0, f64::INFINITY);
    battery.apply(1000.0, -5.0);
    assert!((battery.soc() - 40.0).abs() < 1e-9);
}
