//! The feed over all shards as a model (docs/rules/time.md#what-is-closed-stays-closed), checked in every state that its
//! bounds reach: two or three shards whose leaders change and whose clocks say anything, and a reader.
//!
//! The model has what order and completeness depend on and nothing else: what apply does with times, which proposals
//! survive a leader, what a snapshot brings, and in which steps a gateway reads. The simulation runs the real code.

#[path = "feed_model/model.rs"]
mod model;
#[path = "feed_model/properties.rs"]
mod properties;
#[path = "feed_model/reader.rs"]
mod reader;
#[path = "feed_model/shard.rs"]
mod shard;
#[path = "feed_model/world.rs"]
mod world;

use model::Action;
use properties::{CLOSURE, COMPLETE, FEED, FRONTIER, ORDER};
use shard::Bug;
use stateright::{Checker, Expectation, HasDiscoveries, Model};
use world::Feed;

/// The states of one check; more would take minutes.
const STATES_MAX: usize = 1_000_000;
/// Fewer were no search.
const STATES_MIN: usize = 100_000;

/// A reader that goes round twice, over a change of leader.
const TWO_ROUNDS: Feed =
    Feed { shards: 2, puts: 2, elections: 1, rounds: 2, clocks: &[1, 3], limits: &[1, 3], bug: None };
/// Leaders that come back with what they proposed before.
const TWO_ELECTIONS: Feed = Feed { elections: 2, rounds: 1, ..TWO_ROUNDS };
/// Shards of which one at least stays idle. Their clocks stand still, behind all that is closed.
const THREE_SHARDS: Feed = Feed { shards: 3, rounds: 1, clocks: &[1], limits: &[1], ..TWO_ROUNDS };

/// Checks every state within the bounds. All that must hold does; what was reached is returned.
fn check(feed: Feed) -> Vec<&'static str> {
    let checker = feed.checker().spawn_bfs().join();
    let states = checker.unique_state_count();
    println!("{states} states, {} steps, depth {}", checker.state_count(), checker.max_depth());
    for property in checker.model().properties() {
        if property.expectation == Expectation::Always {
            checker.assert_no_discovery(property.name);
        }
    }
    assert!((STATES_MIN..STATES_MAX).contains(&states), "{states} states");
    checker.discoveries().into_keys().collect()
}

#[test]
fn a_feed_misses_and_doubles_nothing_in_any_order_of_steps() {
    let reached = check(TWO_ROUNDS);
    for property in TWO_ROUNDS.properties() {
        let is_example = property.expectation == Expectation::Sometimes;
        assert!(!is_example || reached.contains(&property.name), "never: {}", property.name);
    }
}

#[test]
fn leaders_that_return_with_old_proposals_break_no_feed() {
    assert!(check(TWO_ELECTIONS).contains(&properties::COMMITS_LATE));
}

#[test]
fn a_feed_over_idle_shards_misses_and_doubles_nothing() {
    assert!(check(THREE_SHARDS).contains(&properties::CLOSED_IDLE));
}

/// The steps to a state in which `property` does not hold.
fn counterexample(bug: Bug, property: &'static str) -> Vec<Action> {
    let feed = Feed { bug: Some(bug), ..TWO_ROUNDS };
    let until = HasDiscoveries::AllOf([property].into());
    let checker = feed.checker().finish_when(until).spawn_bfs().join();
    let steps = checker.assert_any_discovery(property).into_actions();
    println!("{bug:?}: {property}: not after {} steps: {steps:?}", steps.len());
    steps
}

#[test]
fn ids_given_at_propose_time_are_found() {
    counterexample(Bug::IdsAtPropose, ORDER);
    counterexample(Bug::IdsAtPropose, CLOSURE);
    counterexample(Bug::IdsAtPropose, FEED);
}

#[test]
fn events_past_the_frontier_are_found() {
    counterexample(Bug::EmitPastFrontier, FEED);
}

#[test]
fn a_snapshot_without_the_closed_time_is_found() {
    for property in [CLOSURE, FRONTIER] {
        let steps = counterexample(Bug::ForgetLastT, property);
        assert!(steps.iter().any(|step| matches!(step, Action::Restore { .. })), "{steps:?}");
        assert!(steps.iter().any(|step| matches!(step, Action::Elect { .. })), "{steps:?}");
    }
}

#[test]
fn what_a_leader_closes_without_an_entry_is_found_under_the_next_leader() {
    for property in [CLOSURE, FRONTIER, COMPLETE] {
        let steps = counterexample(Bug::CloseWithoutEntry, property);
        let promised = steps.iter().position(|step| matches!(step, Action::Promise { .. }));
        let elected = steps.iter().rposition(|step| matches!(step, Action::Elect { .. }));
        assert!(promised < elected, "{steps:?}");
    }
}
