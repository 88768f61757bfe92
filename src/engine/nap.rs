//! When the engine, out of work, naps instead of going to sleep: interrupt moderation, as network cards have it.
//!
//! With I/O threads the engine is woken across threads, and at one command a wake-up that costs from 2.5 µs to 30 µs (a
//! virtual machine whose core had gone idle) for 0.2 µs of work. While requests come steadily it is cheaper not to be woken:
//! to nap for about as long as a few requests take to arrive. A pipeline is one request: what counts is how often the engine
//! would be woken. A nap has its bound, and where it does not gather anything (few clients, each waiting for its reply) the
//! engine goes back to being woken. I/O threads that nap as well spare as much again at one command a request, but cost a
//! tenth of what pipelines get done.
//!
//! To let I/O threads ring only when so many requests are there would spare the timer, half of what a nap costs on such a
//! machine. But as soon as the system lets one of them wait for a core, those of the others wait with it.

use std::time::{Duration, Instant};

/// After a nap that was not worth it the engine is woken this many times before it tries another.
const WAKES_BEFORE_NEXT_TRY: u32 = 200;
/// Timers are no finer: where requests come so densely, a nap would gather far more than it is to.
const NAP_MIN: Duration = Duration::from_micros(50);
/// So many naps in a row that gathered too little, and they were not worth it.
const POOR_MAX: u32 = 4;
/// Requests that come more seldom than this, in nanoseconds, are not told apart.
const SELDOM_NS: u128 = 2_000_000;

/// A nap is to gather this many requests.
const GATHER: u32 = 24;
/// One that gathered fewer was not worth it.
const GATHER_MIN: u64 = 4;
const NAP_MAX: Duration = Duration::from_micros(250);

/// What the decision needs to know.
#[derive(Default)]
pub struct Naps {
    last: Option<(Instant, u64)>,
    /// Nanoseconds and requests of late: each look counts seven eighths of the one after it.
    lately: (u64, u64),
    napped: bool,
    /// Naps in a row that gathered too little.
    poor: u32,
    hold_off: u32,
}

impl Naps {
    /// How long to nap now that all work is done; `None`: sleep until rung. `requests` counts all that came so far.
    pub fn after(&mut self, requests: u64, now: Instant) -> Option<Duration> {
        let (since, before) = *self.last.get_or_insert((now, requests));
        let gathered = requests - before;
        if gathered > 0 {
            self.last = Some((now, requests));
            let elapsed = now.duration_since(since).as_nanos().min(SELDOM_NS) as u64;
            let (nanos, count) = self.lately;
            // Sixteen-fold, so that small counts do not vanish in the division.
            self.lately = (nanos / 8 * 7 + 16 * elapsed, count / 8 * 7 + 16 * gathered);
        }
        if std::mem::take(&mut self.napped) {
            self.poor = if gathered < GATHER_MIN { self.poor + 1 } else { 0 };
            if self.poor == POOR_MAX {
                (self.poor, self.hold_off) = (0, WAKES_BEFORE_NEXT_TRY);
            }
        }
        if self.hold_off > 0 {
            self.hold_off -= 1;
            return None;
        }
        let apart = Duration::from_nanos(self.lately.0.checked_div(self.lately.1)?);
        if gathered == 0 || apart * 2 * GATHER_MIN as u32 > NAP_MAX {
            return None;
        }
        let nap = (apart * GATHER).min(NAP_MAX);
        self.napped = nap >= NAP_MIN;
        self.napped.then_some(nap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steady_work_is_gathered_and_lone_requests_are_not_kept_waiting() {
        let (mut naps, mut now, mut requests) = (Naps::default(), Instant::now(), 0);
        let mut look = |arrived: u64, micros: u64| {
            now += Duration::from_micros(micros);
            requests += arrived;
            naps.after(requests, now)
        };
        assert_eq!(look(0, 0), None);
        for _ in 0..10 {
            let nap = look(20, 100).expect("one of 24 times 5 us, about").as_micros();
            assert!((115..=130).contains(&nap), "{nap}");
        }
        // Naps that gathered one request: no more for a while.
        for _ in 1..POOR_MAX {
            assert!(look(1, 5).is_some());
        }
        assert_eq!(look(1, 5), None);
        for _ in 1..WAKES_BEFORE_NEXT_TRY {
            assert_eq!(look(20, 100), None);
        }
        assert!(look(20, 100).is_some());
        // Requests come so densely that a nap gathers them by the hundred.
        for _ in 0..100 {
            look(1000, 1000);
        }
        assert_eq!(look(1000, 1000), None);
        // A request every millisecond is slow enough to be woken for.
        for _ in 0..100 {
            look(1, 1000);
        }
        assert_eq!(look(1, 1000), None);
    }
}
