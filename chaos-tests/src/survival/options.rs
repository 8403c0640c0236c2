//! Options of a survival run: how many kills, which changes, how much load.

use clap::Args;

use super::change::Change;
use super::content::Sizes;

/// Command-line options of `rowhouse-chaos survival`.
#[derive(Args, Clone, Debug)]
pub struct SurvivalOptions {
    /// Processes killed, in turn: leader of a busy shard, follower, meta leader, gateway.
    #[arg(long, default_value_t = 20)]
    pub kills: usize,
    /// Go on killing until so many seconds are over, however many kills that takes.
    #[arg(long, conflicts_with_all = ["kills", "day"])]
    pub seconds: Option<u64>,
    /// Changes of the cluster that are made beside the kills, one of these at random for every two kills.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub kinds: Vec<Change>,
    /// A day in the life instead: from three nodes to five; one dies for good, one loses its disk, one leaves.
    #[arg(long, conflicts_with_all = ["kills", "kinds"])]
    pub day: bool,
    /// Chooses victims, pauses and what the workers do; timing stays the machine's own.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Clients that write and read at the same time.
    #[arg(long, default_value_t = 8)]
    pub workers: usize,
    #[arg(long, default_value_t = 8)]
    pub users: usize,
    /// Planted bug the processes run with; they must be built with the feature `planted-bugs`.
    #[arg(long)]
    pub planted: Option<String>,
    #[command(flatten)]
    pub sizes: Sizes,
}

impl Default for SurvivalOptions {
    fn default() -> Self {
        Self {
            kills: 20,
            seconds: None,
            kinds: Vec::new(),
            day: false,
            seed: 1,
            workers: 8,
            users: 8,
            planted: None,
            sizes: Sizes::default(),
        }
    }
}
