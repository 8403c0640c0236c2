//! The short survival run: twenty kills under load, then every oracle. `rowhouse-chaos survival`
//! does the same for longer and with other seeds.

use rowhouse_chaos_tests::cluster::{Cluster, ClusterOptions};
use rowhouse_chaos_tests::survival::{self, SurvivalOptions};

#[tokio::test]
async fn no_acknowledged_write_is_lost_under_twenty_kills() {
    let environment = survival::LIMITS.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let cluster_options = ClusterOptions { environment, ..ClusterOptions::default() };
    let shards = cluster_options.shards;
    let cluster = Cluster::start(cluster_options).await.expect("the cluster starts");
    let options = SurvivalOptions::default();
    let report = survival::run(&cluster, &options, shards).await.expect("the run comes to its end");
    println!("{report}");
    assert!(report.violations.is_empty(), "{report}");
    assert!(report.untested().is_empty(), "{report}");
    assert_eq!(report.kills.values().sum::<usize>(), options.kills);
}
