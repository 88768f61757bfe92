//! Latency spikes by event, as LATENCY shows them: the last 160 seconds' worst for each event.

use std::collections::BTreeMap;

/// Samples kept for an event.
pub const HISTORY_MAX: usize = 160;

/// Spikes of all events.
#[derive(Default)]
pub struct LatencyMonitor {
    pub events: BTreeMap<&'static str, EventHistory>,
}

/// Spikes of one event, oldest first, at most one a second.
#[derive(Default)]
pub struct EventHistory {
    pub samples: std::collections::VecDeque<(i64, u32)>,
    pub max_millis: u32,
    pub sum_millis: u64,
    pub count: u64,
}

impl LatencyMonitor {
    /// Notes that `event` took `millis` at `unix_seconds`. Callers compare with `latency-monitor-threshold` first.
    pub fn record(&mut self, event: &'static str, unix_seconds: i64, millis: u32) {
        let history = self.events.entry(event).or_default();
        history.max_millis = history.max_millis.max(millis);
        history.sum_millis += millis as u64;
        history.count += 1;
        if let Some(last) = history.samples.back_mut()
            && last.0 == unix_seconds
        {
            last.1 = last.1.max(millis);
            return;
        }
        if history.samples.len() == HISTORY_MAX {
            history.samples.pop_front();
        }
        history.samples.push_back((unix_seconds, millis));
    }
}
