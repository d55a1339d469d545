//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use premier::{Algo, Error, Limit};

use crate::seconds;

/// Replays calls from stdin (CSV: at,key,cost) against a limit and writes its decisions to stdout
/// (CSV: at,key,cost,decision,wait,retry_after,remaining).
#[derive(Debug, Parser)]
#[command(name = "simulate", allow_negative_numbers = true)]
pub(crate) struct Arguments {
    /// The algorithm: fixed_window, sliding_window, sliding_log, token_bucket (or gcra) or leaky_bucket
    #[arg(long)]
    algo: Algo,
    /// How many units are admitted per duration
    #[arg(long)]
    quota: u64,
    /// The period of the quota: "500ms", "5s", "1m", "2h", "1d", or a number of seconds
    #[arg(long, value_parser = seconds::parse_duration)]
    duration: Duration,
    /// How many tokens a token bucket holds [default: the quota]
    #[arg(long)]
    burst: Option<u64>,
    /// How many units may wait in a leaky bucket [default: the quota]
    #[arg(long)]
    bucket_size: Option<u64>,
    /// Decides in this Redis instead of in memory, under a new keyspace; Redis counts time in whole
    /// microseconds
    #[arg(long, value_name = "URL")]
    pub(crate) redis: Option<String>,
    /// Draws the calls and their decisions into this SVG file
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn limit(&self) -> Result<Limit, Error> {
        let mut limit = Limit::new(self.algo, self.quota, self.duration);
        if let Some(tokens) = self.burst {
            limit = limit.burst(tokens);
        }
        if let Some(units) = self.bucket_size {
            limit = limit.bucket_size(units);
        }
        limit.validate()?;
        Ok(limit)
    }
}
