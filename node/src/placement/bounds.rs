//! What the planner keeps to, as the settings of [placement] say.

/// The bounds of moving, from the section [placement] of the settings.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub dead_after_ms: u64,
    pub moves_per_node: u32,
    /// A disk fuller than this takes no more replicas, in percent.
    pub disk_used_percent_max: u64,
    /// Whether replicas are spread without being asked.
    pub rebalance: bool,
}
