//! A data folder belongs to one cluster, one homeserver and one process.

use bytes::Bytes;
use rowhouse_node::Error;
use rowhouse_raft::log_store::{LogEngine, LogOptions, RocksLog};

use super::harness::{Cluster, TestNode, config};

#[test]
fn a_folder_of_another_cluster_is_refused() {
    let ours = Cluster::initialized(1);
    let mut other = Cluster::initialized(1);
    other.stop(0);
    let mut wrong = config(other.dir(0), "127.0.0.1:0", "wrong");
    wrong.node.seeds = vec![ours.address(0).to_owned()];
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

/// The records that say the format of a folder and of its log, as every folder of the first release has them.
const FORMATS_OF_THE_FIRST_RELEASE: [(&str, &[u8]); 2] =
    [("data_folder_version", &[0, 0, 0, 1]), ("format_version", &[0, 0, 0, 1])];

#[test]
fn a_folder_of_an_older_format_is_refused_with_both_versions_and_what_to_do() {
    for (record, golden) in FORMATS_OF_THE_FIRST_RELEASE {
        let mut cluster = Cluster::started(1);
        cluster.stop(0);
        let log = cluster.dir(0).path().join("data").join("log");
        let engine = RocksLog::open(&log, &LogOptions::new(1 << 20)).expect("the node is down");
        engine.put_node_record(record, Bytes::from_static(golden)).expect("writes");
        drop(engine);
        let error =
            TestNode::try_start(config(cluster.dir(0), "127.0.0.1:0", "new")).err().expect("must refuse");
        assert!(matches!(error, Error::FormatVersion { found: 1, known: 2, .. }), "{record}: {error}");
        let told = error.to_string();
        for part in ["has version 1", "program knows 2", "Start the program that wrote it", "as a new node"] {
            assert!(told.contains(part), "{record}: {told}");
        }
    }
}

#[test]
fn two_processes_cannot_share_a_folder() {
    let cluster = Cluster::started(1);
    let error =
        TestNode::try_start(config(cluster.dir(0), "127.0.0.1:0", "second")).err().expect("must refuse");
    assert!(matches!(error, Error::DataFolderInUse(_)), "{error}");
}
