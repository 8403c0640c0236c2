//! What happens to the cluster during a run, in which order.

use super::change::Change;
use super::faults::{VICTIMS, Victim};
use super::in_flight::Transfer;
use super::options::SurvivalOptions;

/// Every so many kills, one strikes amid a change of the cluster.
const KILLS_PER_CHANGE: usize = 2;
/// Most kills of a run that is bounded by time.
const KILLS_MAX: usize = 10_000;
/// A day: from three nodes to five; one dies for good, one loses its disk, one leaves.
const DAY: [Option<Wanted>; 9] = [
    None,
    Some(Wanted::This(Change::Add)),
    Some(Wanted::This(Change::Add)),
    Some(Wanted::This(Change::Move)),
    Some(Wanted::This(Change::Lose)),
    Some(Wanted::This(Change::Move)),
    Some(Wanted::This(Change::Wipe)),
    Some(Wanted::This(Change::Drain)),
    None,
];

/// Which change is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    This(Change),
    /// One of the kinds that the options name.
    Any,
}

/// One kill, in the midst of a change if there is one.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub change: Option<Wanted>,
    pub victim: Victim,
    /// What the kill waits for.
    pub amid: Transfer,
}

/// The steps of a run with these options.
pub fn steps(options: &SurvivalOptions) -> Vec<Step> {
    let changes: Vec<Option<Wanted>> = if options.day {
        DAY.to_vec()
    } else {
        let is_due = |number: usize| !options.kinds.is_empty() && number % KILLS_PER_CHANGE == 1;
        let kills = if options.seconds.is_some() { KILLS_MAX } else { options.kills };
        (0..kills).map(|number| is_due(number).then_some(Wanted::Any)).collect()
    };
    changes.into_iter().enumerate().map(|(number, change)| step(number, change)).collect()
}

fn step(number: usize, change: Option<Wanted>) -> Step {
    // Each kind of victim gets both.
    let upload = (number + number / VICTIMS.len()).is_multiple_of(2);
    let amid = if upload { Transfer::Upload } else { Transfer::Download };
    Step { change, victim: VICTIMS[number % VICTIMS.len()], amid }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_and_ends_with_three_nodes() {
        let steps = steps(&SurvivalOptions { day: true, ..SurvivalOptions::default() });
        let mut living = 3;
        for step in &steps {
            let Some(Wanted::This(change)) = step.change else { continue };
            assert!(change.is_possible(living), "{change:?} with {living} nodes");
            match change {
                Change::Add => living += 1,
                Change::Lose | Change::Drain => living -= 1,
                Change::Wipe | Change::Move => {}
            }
        }
        assert_eq!(living, 3);
        assert!(VICTIMS.iter().all(|victim| steps.iter().any(|step| step.victim == *victim)));
    }

    #[test]
    fn changes_are_made_beside_kills_only_where_they_are_asked_for() {
        let kills = SurvivalOptions { kills: 8, ..SurvivalOptions::default() };
        assert!(steps(&kills).iter().all(|step| step.change.is_none()));
        let changes = SurvivalOptions { kinds: vec![Change::Add], ..kills };
        let made = steps(&changes).iter().filter(|step| step.change == Some(Wanted::Any)).count();
        assert_eq!((made, steps(&changes).len()), (8 / KILLS_PER_CHANGE, 8));
    }
}
