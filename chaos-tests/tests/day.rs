//! A day in the life of a cluster, in small: it grows, heals and shrinks while clients write and processes are killed.
//! `make day` does the same with larger bodies.

use rowhouse_chaos_tests::cluster::{Cluster, ClusterOptions};
use rowhouse_chaos_tests::survival::{self, Change, Sizes, SurvivalOptions};

/// Few enough to move often in a short time.
const SHARDS: u32 = 8;
const NODES: usize = 3;
const SIZES: Sizes = Sizes { large_percent: 5, large_kib_max: 3 * 1024 };

#[tokio::test]
async fn a_day_in_the_life_loses_nothing_and_leaves_nothing_behind() {
    let environment = survival::LIMITS.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let cluster_options = ClusterOptions { environment, shards: SHARDS, ..ClusterOptions::default() };
    let cluster = Cluster::start(cluster_options).await.expect("the cluster starts");
    let options = SurvivalOptions { day: true, workers: 6, sizes: SIZES, ..SurvivalOptions::default() };
    let report = survival::run(&cluster, &options, SHARDS).await.expect("the day comes to its end");
    println!("{report}");
    assert!(report.violations.is_empty(), "{report}");
    assert!(report.untested().is_empty(), "{report}");
    for change in [Change::Add, Change::Move, Change::Lose, Change::Wipe, Change::Drain] {
        assert!(report.changes.contains_key(&change), "{change:?}: {report}");
    }
    assert_eq!(report.nodes, NODES, "{report}");
}
