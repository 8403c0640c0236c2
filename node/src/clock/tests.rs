use std::cell::Cell;

use super::testing::{Records, World};
use super::*;

const START: u64 = 1_780_000_000_000_000;
const SECOND: u64 = 1_000_000;
const HOUR: u64 = 3600 * SECOND;
const DAY: u64 = 24 * HOUR;
const YEARS: u64 = 80 * 365 * DAY;

/// Ahead, and behind as far as a clock that counts from 1970 can be.
const ERRORS: [i64; 6] = [
    (8 * HOUR).cast_signed(),
    DAY.cast_signed(),
    YEARS.cast_signed(),
    -(8 * HOUR).cast_signed(),
    -DAY.cast_signed(),
    -(50 * 365 * DAY).cast_signed(),
];

thread_local! {
    static STEADY: Cell<u64> = const { Cell::new(START) };
    static WALL: Cell<u64> = const { Cell::new(START) };
}

fn source() -> TimeSource {
    TimeSource { steady_us: Arc::new(|| STEADY.get()), wall_us: Arc::new(|| WALL.get()) }
}

fn open(engine: &Arc<Records>) -> Clock {
    Clock::open(engine.clone(), source()).expect("readable")
}

/// The clock of a node without a cluster.
fn alone(engine: &Arc<Records>) -> Clock {
    let clock = open(engine);
    clock.judge_alone();
    clock
}

fn hlc(clock: &Clock) -> u64 {
    clock.stamp().expect("judged and reserved").hlc_us
}

fn stored(engine: &Records) -> u64 {
    let stored = engine.node_record(RESERVATION).expect("readable").expect("written");
    u64::from_be_bytes(stored[..].try_into().expect("8 bytes"))
}

#[test]
fn the_clock_rises_while_time_stands_still_and_over_a_backward_step() {
    let clock = alone(&Arc::default());
    let mut last = 0;
    for _ in 0..1000 {
        let now = hlc(&clock);
        assert!(now > last);
        last = now;
    }
    STEADY.set(START - 15 * SECOND);
    assert!(hlc(&clock) > last);
    assert_eq!(clock.physical_us(), START - 15 * SECOND, "windows and expiries follow physical time");
}

#[test]
fn a_merged_clock_is_passed_as_far_as_it_may_be_believed() {
    let clock = alone(&Arc::default());
    let ahead = START + 9 * SECOND;
    clock.merge(ahead);
    assert!(hlc(&clock) > ahead);
    assert!(clock.latest() > ahead);
    assert_eq!(clock.judged_ms(), Some(START / 1000));
    clock.merge(5);
    assert!(hlc(&clock) > ahead);
    for remote in [START + HOUR, START + YEARS, u64::MAX] {
        clock.merge(remote);
        let now = hlc(&clock);
        assert!(now > ahead && now <= START + HLC_AHEAD_US_MAX + 10, "{} ahead", now - START);
    }
}

#[test]
fn the_hlc_comes_back_when_physical_time_was_corrected() {
    let engine = Arc::<Records>::default();
    STEADY.set(START + 8 * HOUR);
    let clock = alone(&engine);
    assert_eq!(hlc(&clock), START + 8 * HOUR);
    clock.judge(vec![-(8 * HOUR).cast_signed(), -(8 * HOUR).cast_signed()], 3);
    let corrected = START + FROM_OTHERS_US_MAX.cast_unsigned();
    assert_eq!((clock.latest(), hlc(&clock)), (corrected, corrected));
    assert!(hlc(&clock) > corrected);
    assert!(clock.is_extension_due(clock.latest()), "the reservation of the wrong time is written anew");
    clock.extend(clock.latest()).expect("writable");
    assert!(stored(&engine) < START + 20 * SECOND);
}

#[test]
fn a_restart_goes_on_above_everything_handed_out() {
    let engine = Arc::<Records>::default();
    let mut last = 0;
    for step in [0i64, -5, 900, 905, 920] {
        STEADY.set(START.saturating_add_signed(step * SECOND.cast_signed()));
        let clock = alone(&engine);
        for _ in 0..10 {
            let now = hlc(&clock);
            assert!(now > last, "after a step of {step} s");
            last = now;
        }
    }
}

#[test]
fn a_start_is_not_bound_to_a_reservation_of_another_time() {
    let engine = Arc::<Records>::default();
    STEADY.set(START + YEARS);
    assert_eq!(hlc(&alone(&engine)), START + YEARS);
    assert!(stored(&engine) > START + YEARS);
    STEADY.set(START);
    let clock = alone(&engine);
    let now = hlc(&clock);
    assert!(now > START && now <= START + HLC_AHEAD_US_MAX + 1, "{} ahead", now - START);
    assert!(clock.is_extension_due(now));
}

#[test]
fn every_value_handed_out_is_covered_by_the_durable_reservation() {
    let engine = Arc::<Records>::default();
    let clock = alone(&engine);
    for step in [0u64, 4_000_000, 9_999_999, 10_000_000, 30_000_000] {
        STEADY.set(START + step);
        let now = hlc(&clock);
        assert!(now < stored(&engine), "{now} is not below the reservation");
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
fn a_clock_is_held_near_the_median_from_both_sides() {
    let clock = open(&Arc::default());
    let hour = HOUR.cast_signed();
    clock.judge(vec![clock.offset_of(START - HOUR).expect("a reading"), -hour + 5], 3);
    assert_eq!(clock.physical_us(), START - HOUR + 5 + 500_000, "two of three are an hour behind");
    assert_eq!((clock.offset(), clock.is_held()), ((hour - 5, 3), true), "operators hear how far");
    assert_eq!(clock.reading_us(), START, "others hear what this clock says");
    clock.judge(vec![hour, hour + 5], 3);
    assert_eq!(clock.physical_us(), START + HOUR - 500_000, "two of three are an hour ahead");
    for (others, of) in [
        (vec![0, -hour], "one of three is behind"),
        (vec![0, hour], "one of three is ahead"),
        (vec![-hour, hour], "one on each side"),
        (vec![-hour], "one against one"),
        (vec![hour], "one against one"),
        (vec![0, hour, hour], "two against two"),
        (vec![], "nobody else"),
    ] {
        clock.judge(others, 3);
        assert_eq!((clock.physical_us(), clock.is_held()), (START, false), "{of}");
    }
    assert_eq!(clock.offset(), (0, 1), "nobody else");
    clock.judge(vec![hour, hour, hour], 4);
    assert_eq!(clock.physical_us(), START + HOUR - 500_000, "both medians agree");
    assert_eq!(clock.offset_of(0), None);
}

#[test]
fn nothing_is_stamped_before_a_majority_was_heard() {
    let clock = open(&Arc::default());
    let refused = |clock: &Clock| matches!(clock.stamp(), Err(Error::ClockNotJudged));
    assert!(refused(&clock));
    assert_eq!((clock.latest(), clock.judged_us()), (0, None), "and nobody is told the time");
    clock.merge(START + 5);
    clock.judge(vec![], 3);
    assert!(refused(&clock));
    clock.judge(vec![7], 5);
    assert!(refused(&clock), "two of five");
    clock.judge(vec![7, 9], 5);
    assert_eq!(hlc(&clock), START);
    clock.judge(vec![], 5);
    assert!(!refused(&clock), "later silence takes nothing back");
}

#[test]
fn a_node_that_joins_asks_the_others_first() {
    let clock = alone(&Arc::default());
    hlc(&clock);
    clock.judge(vec![], 3);
    assert!(matches!(clock.stamp(), Err(Error::ClockNotJudged)));
    let single = open(&Arc::default());
    single.judge(vec![], 1);
    hlc(&single);
}

#[test]
fn one_node_of_three_with_a_wrong_clock_moves_nothing() {
    for error in ERRORS {
        let mut world = World::new(START, &[error, 0, 0]);
        world.talk();
        for node in 0..3 {
            let off = world.now_us(node).abs_diff(world.true_us());
            assert!(off <= HLC_AHEAD_US_MAX, "node {node} is {off} µs off with one at {error}");
        }
    }
}

#[test]
fn a_cluster_that_began_with_wrong_clocks_follows_when_most_are_corrected() {
    for error in ERRORS {
        let mut world = World::new(START, &[error, error, error]);
        world.talk();
        for node in 0..3 {
            assert!(world.now_us(node).abs_diff(world.true_us().saturating_add_signed(error)) < 2 * SECOND);
        }
        for corrected in 0..3 {
            world.advance(60 * SECOND);
            world.restart(corrected, 0);
            world.talk();
            let expected = if corrected == 0 { error } else { 0 };
            for node in 0..3 {
                let now = world.now_us(node);
                let off = now.abs_diff(world.true_us().saturating_add_signed(expected));
                assert!(off <= 2 * HLC_AHEAD_US_MAX, "{corrected} corrected: node {node} is {off} µs off");
            }
        }
    }
}
