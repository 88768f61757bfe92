//! Counters that INFO reads. Plain numbers: only the engine's thread touches them.

use crate::histogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// What one command has done so far.
#[derive(Default, Clone)]
pub struct CommandStats {
    pub calls: u64,
    /// Time of the calls that were measured.
    pub nanos: u64,
    /// Calls that were measured. Commands of constant time are not, unless someone asks for it.
    pub measured: u64,
    /// Time of the last call that was measured.
    pub last_nanos: u64,
    /// Durations of the measured calls, while `latency-tracking` is on.
    pub durations: Option<Histogram>,
    /// Refused before it ran.
    pub rejected: u64,
    /// Answered with an error of its own.
    pub failed: u64,
}

/// A figure per second, from samples of a counter taken ten times a second.
#[derive(Default)]
pub struct Rate {
    samples: [u64; 16],
    next: usize,
    last_value: u64,
    last_millis: i64,
}

impl Rate {
    /// Takes a sample of `value` at `millis` by the real clock.
    pub fn sample(&mut self, value: u64, millis: i64) {
        let elapsed = millis - self.last_millis;
        if self.last_millis != 0 && elapsed > 0 {
            self.samples[self.next] = value.saturating_sub(self.last_value) * 1000 / elapsed as u64;
            self.next = (self.next + 1) % self.samples.len();
        }
        self.last_value = value;
        self.last_millis = millis;
    }

    /// What was counted when the last sample was taken.
    pub fn last_value(&self) -> u64 {
        self.last_value
    }

    /// The mean of the last samples.
    pub fn per_second(&self) -> u64 {
        self.samples.iter().sum::<u64>() / self.samples.len() as u64
    }
}

/// The server's counters since its start or CONFIG RESETSTAT.
#[derive(Default)]
pub struct Stats {
    pub connections: u64,
    /// Full syncs begun, partial ones, and refused wishes for partial ones.
    pub sync_full: u64,
    pub sync_partial_ok: u64,
    pub sync_partial_err: u64,
    /// Bytes sent to replicas.
    pub replication_bytes_out: u64,
    pub rejected_connections: u64,
    pub commands: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub errors: u64,
    pub reads_processed: u64,
    pub writes_processed: u64,
    pub query_buffer_limit_disconnections: u64,
    /// When a web request was last told of in the log, in Unix seconds.
    pub web_request_logged_at: Option<i64>,
    pub output_buffer_limit_disconnections: u64,
    /// Closed because clients together took too much memory.
    pub evicted_clients: u64,
    pub unexpected_errors: u64,
    /// Bytes that came from the primary.
    pub replication_bytes_in: u64,
    pub used_memory_peak: u64,
    pub used_memory_peak_millis: i64,
    pub active_expire_nanos: u64,
    /// Time during which more memory was used than allowed, but for the present such time.
    pub eviction_exceeded_nanos: u64,
    /// Share of the time that defragmentation takes at the moment, in percent.
    pub defrag_percent: u64,
    /// Blocks that defragmentation moved, and that it left where they were.
    pub defrag_hits: u64,
    pub defrag_misses: u64,
    /// The same for keys.
    pub defrag_key_hits: u64,
    pub defrag_key_misses: u64,
    pub defrag_total: Duration,
    pub defrag_current: Duration,
    pub cron_ticks: u64,
    /// Time spent in timed work.
    pub cron_nanos: u64,
    /// Most commands that one turn of the engine ran.
    pub commands_per_loop_max: u64,
    pub engine_loops: u64,
    pub engine_loop_nanos: u64,
    pub engine_loop_nanos_max: u64,
    pub commands_rate: Rate,
    pub bytes_in_rate: Rate,
    pub bytes_out_rate: Rate,
    pub loops_rate: Rate,
    pub loop_nanos_rate: Rate,
    /// Indexed by the command's position in the table.
    pub per_command: Vec<CommandStats>,
    /// How often each error code was answered. Bounded: clients can invent codes through scripts.
    pub per_error: ErrorCounts,
    /// More error codes than the table holds were met: they are not counted any more.
    pub errors_overflowed: bool,
}

/// Error codes with their counts.
pub type ErrorCounts = BTreeMap<Box<[u8]>, u64>;

/// Error codes counted one by one at most.
pub const ERROR_CODES_MAX: usize = 128;

impl Stats {
    /// Counters for a table of `commands` commands.
    pub fn new(commands: usize) -> Self {
        Stats { per_command: vec![CommandStats::default(); commands], ..Stats::default() }
    }

    /// Counts an error reply by its code. When there are too many codes to count they are all given up, and returned.
    pub fn count_error(&mut self, code: &[u8]) -> Option<ErrorCounts> {
        self.errors += 1;
        if self.errors_overflowed {
            return None;
        }
        if let Some(count) = self.per_error.get_mut(code) {
            *count += 1;
            return None;
        }
        if self.per_error.len() < ERROR_CODES_MAX {
            self.per_error.insert(code.into(), 1);
            return None;
        }
        self.errors_overflowed = true;
        Some(std::mem::replace(&mut self.per_error, [(b"ERRORSTATS_DISABLED"[..].into(), 1)].into()))
    }

    /// Notes that a call of the command at `at` took `nanos`.
    #[inline]
    pub fn note_duration(&mut self, at: u16, nanos: u64, tracking: bool) {
        let command = &mut self.per_command[at as usize];
        command.nanos += nanos;
        command.measured += 1;
        command.last_nanos = nanos;
        if tracking {
            command.durations.get_or_insert_default().record(nanos, 1);
        }
    }

    /// What a call that was not measured took on average: what is left of the engine's time, shared evenly.
    pub fn unmeasured_nanos(&self) -> u64 {
        let measured: u64 = self.per_command.iter().map(|c| c.nanos).sum();
        let calls: u64 = self.per_command.iter().map(|c| c.calls.saturating_sub(c.measured)).sum();
        self.engine_loop_nanos.saturating_sub(measured + self.cron_nanos).checked_div(calls).unwrap_or(0)
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&mut self) {
        let peak = (self.used_memory_peak, self.used_memory_peak_millis);
        *self = Stats::new(self.per_command.len());
        (self.used_memory_peak, self.used_memory_peak_millis) = peak;
    }
}
