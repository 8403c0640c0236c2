//! Command line of the load generator.

use clap::{Args, ValueEnum};

/// The kind of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Scenario {
    /// PUT to a path never used before.
    PutNew,
    /// PUT over an existing file.
    PutOver,
    /// GET of a public file, without credentials.
    Get,
    /// GET of one byte of one file of the size asked for, at random places.
    GetRange,
    /// The first 100 of a directory of 1,000 files.
    List,
    /// Nine GETs to one PUT over an existing file.
    Mixed,
    /// POST /session: a new cookie session for an AuthToken, as phones have one for each write.
    SignIn,
    /// PUTs to new paths on all connections, and one reader that polls `/events/`: from acknowledgement to the feed.
    FeedTail,
    /// Pages of 1,000 of `/events/` from the beginning on, again and again. An operation is a page.
    FeedHistory,
    /// The batch of one user that has nothing new, as indexers ask for it all day.
    UserBatchEmpty,
    /// As many live streams as connections on the first URL, without traffic: the gateway's memory.
    LiveStreams,
    /// Pairs of PUTs to new paths without and with a reader of the feed, one pair for each repetition: CPU of a write.
    ClosingCost,
    /// Pages of 1,000 of a directory of `--files` files: at its beginning, in its middle, at its end.
    ListMillion,
    /// Pairs of PUTs to new paths in an empty directory and in one of `--files` files, one pair for each repetition.
    PutMillion,
    /// Questions to a directory before `--deleted` files were put and deleted in it, at once after, and a minute later.
    ListDeleted,
    /// No requests: CPU of the measured processes at rest.
    Idle,
}

impl Scenario {
    /// As in the report and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::PutNew => "put_new",
            Self::PutOver => "put_over",
            Self::Get => "get",
            Self::GetRange => "get_range",
            Self::List => "list",
            Self::Mixed => "mixed",
            Self::SignIn => "sign_in",
            Self::FeedTail => "feed_tail",
            Self::FeedHistory => "feed_history",
            Self::UserBatchEmpty => "user_batch_empty",
            Self::LiveStreams => "live_streams",
            Self::ClosingCost => "closing_cost",
            Self::ListMillion => "list_million",
            Self::PutMillion => "put_million",
            Self::ListDeleted => "list_deleted",
            Self::Idle => "idle",
        }
    }
}

/// Form of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Table,
    Json,
}

/// Command-line options of `rowhouse-chaos bench`.
#[derive(Args, Clone, Debug)]
pub struct BenchOptions {
    /// Plain HTTP listener of a Pubky homeserver; several are used in turn by the connections.
    #[arg(long = "url", required = true)]
    pub urls: Vec<String>,
    /// Users to sign up; each operation picks one at random.
    #[arg(long, default_value_t = 64)]
    pub users: usize,
    /// Files of the directory that `list_million` and `put_million` fill.
    #[arg(long, default_value_t = 1_000_000)]
    pub files: u32,
    /// Files that `list_deleted` puts and deletes.
    #[arg(long, default_value_t = 50_000)]
    pub deleted: u32,
    /// Body sizes: bytes, or with k or m.
    #[arg(long, value_delimiter = ',', default_value = "1k", value_parser = parse_size)]
    pub sizes: Vec<usize>,
    /// Connections, each with one request outstanding.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    pub concurrency: Vec<usize>,
    /// Seconds measured in each cell.
    #[arg(long, default_value_t = 10)]
    pub duration: u64,
    /// Seconds of load before each measurement.
    #[arg(long, default_value_t = 1)]
    pub warmup: u64,
    /// Repetitions of each cell; the one with the median rate is shown.
    #[arg(long, default_value_t = 1)]
    pub reps: usize,
    #[arg(long, value_enum, value_delimiter = ',', default_value = "put_new,put_over,get,list")]
    pub scenario: Vec<Scenario>,
    /// Acknowledge the server's packets at once (TCP_QUICKACK): see docs/benchmarks.md.
    #[arg(long)]
    pub quickack: bool,
    /// Processes whose trees are measured: `auto` (who listens on the URLs' ports), pids, or both.
    #[arg(long, value_delimiter = ',', default_value = "auto")]
    pub pids: Vec<String>,
    #[arg(long, value_enum, default_value = "table")]
    pub output: Output,
    /// Name of the measured system in the output.
    #[arg(long, default_value = "server")]
    pub name: String,
}

/// Bytes of a text such as `1k` or `10M`; units are powers of 1,024.
pub fn parse_size(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1024),
        None => match text.strip_suffix(['m', 'M']) {
            Some(digits) => (digits, 1024 * 1024),
            None => (text, 1),
        },
    };
    let number: usize = digits.parse().map_err(|_| format!("not a size: {text}"))?;
    number.checked_mul(unit).ok_or_else(|| format!("too large: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("1k"), Ok(1024));
        assert_eq!(parse_size("2M"), Ok(2 * 1024 * 1024));
        assert_eq!(parse_size("77"), Ok(77));
        assert!(
            parse_size("k").is_err()
                && parse_size("-1").is_err()
                && parse_size("99999999999999999999m").is_err()
        );
    }
}
