use std::cell::Cell;

use super::testing::Records;
use super::*;

const START: u64 = 1_780_000_000_000_000;

thread_local! {
    static STEADY: Cell<u64> = const { Cell::new(START) };
    static WALL: Cell<u64> = const { Cell::new(START) };
}

fn source() -> TimeSource {
    TimeSource { steady_us: || STEADY.get(), wall_us: || WALL.get() }
}

fn open(engine: &Arc<Records>) -> Clock {
    Clock::open(engine.clone(), source()).expect("readable")
}

#[test]
fn the_clock_rises_while_time_stands_still_and_over_a_backward_step() {
    let clock = open(&Arc::default());
    let mut last = 0;
    for _ in 0..1000 {
        let now = clock.now().expect("reserved");
        assert!(now > last);
        last = now;
    }
    STEADY.set(START - 900_000_000);
    assert!(clock.now().expect("reserved") > last);
    assert_eq!(clock.physical_us(), START - 900_000_000, "windows and expiries follow physical time");
}

#[test]
fn a_merged_clock_is_passed_but_does_not_move_physical_time() {
    let clock = open(&Arc::default());
    let ahead = START + 3_600_000_000;
    clock.merge(ahead);
    assert!(clock.now().expect("reserved") > ahead);
    assert!(clock.latest() >= ahead);
    assert_eq!(clock.physical_ms(), START / 1000);
    clock.merge(5);
    assert!(clock.now().expect("reserved") > ahead);
}

#[test]
fn a_restart_goes_on_above_everything_handed_out() {
    let engine = Arc::<Records>::default();
    let mut last = 0;
    for step in [0i64, -900_000_000, 900_000_000, 0] {
        STEADY.set(START.saturating_add_signed(step));
        let clock = open(&engine);
        for _ in 0..10 {
            let now = clock.now().expect("reserved");
            assert!(now > last, "after a step of {step} µs");
            last = now;
        }
        clock.merge(last + 60_000_000);
        last = clock.now().expect("reserved");
    }
}

#[test]
fn every_value_handed_out_is_covered_by_the_durable_reservation() {
    let engine = Arc::<Records>::default();
    let clock = open(&engine);
    for step in [0u64, 4_000_000, 9_999_999, 10_000_000, 30_000_000] {
        STEADY.set(START + step);
        let now = clock.now().expect("reserved");
        let stored = engine.node_record(RESERVATION).expect("readable").expect("written");
        let reserved = u64::from_be_bytes(stored[..].try_into().expect("8 bytes"));
        assert!(now < reserved, "{now} is not below {reserved}");
    }
}

#[test]
fn a_stepped_wall_clock_is_followed_slowly() {
    let clock = open(&Arc::default());
    WALL.set(START + 900_000_000);
    assert_eq!(clock.slew(), 900_000_000);
    assert_eq!(clock.physical_us(), START + 500);
    WALL.set(START - 900_000_000);
    clock.slew();
    clock.slew();
    assert_eq!(clock.physical_us(), START - 500);
}

#[test]
fn a_clock_that_runs_away_is_held_near_the_median() {
    let clock = open(&Arc::default());
    let hour = 3_600_000_000;
    clock.judge(vec![clock.offset_of(START - hour).expect("a reading"), -hour.cast_signed() + 5]);
    assert_eq!(clock.physical_us(), START - hour + 5 + 500_000, "two of three are an hour behind");
    assert_eq!(clock.reading_us(), START, "others hear what this clock says");
    assert!(clock.now().expect("reserved") > START, "what was handed out is passed all the same");
    clock.judge(vec![0, -hour.cast_signed()]);
    assert_eq!(clock.physical_us(), START, "one of three is an hour behind");
    STEADY.set(START + 7);
    clock.judge(vec![hour.cast_signed(), hour.cast_signed()]);
    assert_eq!(clock.physical_us(), START + 7, "others that are ahead move nothing");
}

#[test]
fn a_reading_without_a_majority_against_it_is_never_held() {
    let clock = open(&Arc::default());
    clock.judge(vec![]);
    assert_eq!(clock.physical_us(), START);
    clock.judge(vec![-3_600_000_000]);
    assert_eq!(clock.physical_us(), START, "one against one");
    assert_eq!(clock.offset_of(0), None);
}
