//! Leaders spread out again after a node was away.

use super::harness::{Cluster, wait_for};

#[test]
fn a_node_that_comes_back_leads_again() {
    let mut cluster = Cluster::initialized(3);
    cluster.stop(0);
    cluster.restart(0);
    wait_for("the returned node to lead something, and nobody everything", || {
        let leads = |n| {
            let groups = cluster.status(n, false).map(|status| status.groups).unwrap_or_default();
            groups.iter().filter(|group| group.role == "leader").count()
        };
        let counts: Vec<usize> = (0..3).map(leads).collect();
        let (least, most) = (counts.iter().min()?, counts.iter().max()?);
        (counts.iter().sum::<usize>() == 5 && most - least <= 1).then_some(())
    });
}
