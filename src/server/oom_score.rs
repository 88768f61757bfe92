//! The kernel's score for choosing which process to end when memory runs out: `oom-score-adj` and `oom-score-adj-values`.

use crate::config::{Config, OomScoreAdj};
use std::cell::Cell;
use std::io;

/// Where the kernel keeps the adjustment of this process.
const FILE: &str = "/proc/self/oom_score_adj";
/// What the kernel takes.
const SCORES: std::ops::RangeInclusive<i64> = -1000..=1000;

/// The adjustment, and what it was before the server began to change it.
#[derive(Default)]
pub struct OomScore {
    before: Cell<Option<i64>>,
}

impl OomScore {
    /// Sets the adjustment that the configuration wants. When it wants none any more the one from before comes back.
    ///
    /// # Errors
    /// The kernel's: only privileged processes may lower their score.
    pub fn apply(&self, config: &Config) -> io::Result<()> {
        let wanted = config.oom_score_adj_values[config.replicaof.is_some() as usize];
        let score = match (config.oom_score_adj, self.before.get()) {
            (OomScoreAdj::No, None) => return Ok(()),
            (OomScoreAdj::No, Some(before)) => {
                self.before.set(None);
                before
            }
            (mode, known) => {
                let before = known.map_or_else(read, Ok)?;
                self.before.set(Some(before));
                if mode == OomScoreAdj::Absolute { wanted } else { before + wanted }
            }
        };
        let score = score.clamp(*SCORES.start(), *SCORES.end());
        std::fs::write(FILE, score.to_string())
            .inspect_err(|error| tracing::warn!("Can't set the out-of-memory score to {score}: {error}"))
    }
}

fn read() -> io::Result<i64> {
    let text = std::fs::read_to_string(FILE)?;
    text.trim().parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not a score"))
}
