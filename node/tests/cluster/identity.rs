//! A data folder belongs to one cluster, one homeserver and one process.

use rowhouse_node::Error;

use super::harness::{Cluster, TestNode, config};

#[test]
fn a_folder_of_another_cluster_is_refused() {
    let ours = Cluster::initialized(1);
    let mut other = Cluster::initialized(1);
    other.stop(0);
    let mut wrong = config(other.dir(0), "127.0.0.1:0", "wrong");
    wrong.seeds = vec![ours.address(0).to_owned()];
    let error = TestNode::try_start(wrong).err().expect("must refuse");
    assert!(matches!(error, Error::ForeignCluster { .. }), "{error}");
    assert!(error.to_string().contains("data folder belongs to cluster"), "{error}");
}

#[test]
fn a_folder_of_another_homeserver_is_refused() {
    let mut cluster = Cluster::initialized(1);
    cluster.stop(0);
    let mut wrong = config(cluster.dir(0), "127.0.0.1:0", "wrong");
    wrong.homeserver_secret = [6; 32];
    let error = TestNode::try_start(wrong).err().expect("must refuse");
    assert!(matches!(error, Error::ForeignHomeserver { .. }), "{error}");
}

#[test]
fn two_processes_cannot_share_a_folder() {
    let cluster = Cluster::started(1);
    let error =
        TestNode::try_start(config(cluster.dir(0), "127.0.0.1:0", "second")).err().expect("must refuse");
    assert!(matches!(error, Error::DataFolderInUse(_)), "{error}");
}
