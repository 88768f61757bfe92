//! When the engine, out of work, naps instead of going to sleep: interrupt moderation, as network cards have it.
//!
//! With I/O threads the engine is woken across threads, and at one command a wake-up that costs 2.5 µs for 0.2 µs of work.
//! While commands come steadily it is cheaper not to be woken: to nap for about as long as a few commands take to arrive.
//! A nap is never longer than 0.15 ms, and where it does not gather anything (few clients, each waiting
//! for its reply) the engine goes back to being woken.

use std::time::{Duration, Instant};

/// A nap is to gather this many commands.
const GATHER: u32 = 16;
/// One that gathered fewer was not worth it.
const GATHER_MIN: u64 = 4;
const NAP_MAX: Duration = Duration::from_micros(150);
/// After a nap that was not worth it the engine is woken this many times before it tries another.
const WAKES_BEFORE_NEXT_TRY: u32 = 200;

/// What the decision needs to know.
#[derive(Default)]
pub struct Naps {
    last: Option<(Instant, u64)>,
    napped: bool,
    hold_off: u32,
}

impl Naps {
    /// How long to nap now that all work is done; `None`: sleep until rung. `commands` counts all that were run so far.
    pub fn after(&mut self, commands: u64, now: Instant) -> Option<Duration> {
        let (since, before) = self.last.replace((now, commands))?;
        let gathered = commands - before;
        if std::mem::take(&mut self.napped) && gathered < GATHER_MIN {
            self.hold_off = WAKES_BEFORE_NEXT_TRY;
        }
        if self.hold_off > 0 {
            self.hold_off -= 1;
            return None;
        }
        let apart = now.duration_since(since).checked_div(u32::try_from(gathered).ok()?)?;
        let nap = apart * GATHER;
        if nap > NAP_MAX * 2 {
            return None;
        }
        self.napped = true;
        Some(nap.min(NAP_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steady_work_is_gathered_and_lone_commands_are_not_kept_waiting() {
        let mut naps = Naps::default();
        let start = Instant::now();
        let at = |micros| start + Duration::from_micros(micros);
        assert_eq!(naps.after(0, at(0)), None);
        assert_eq!(naps.after(20, at(100)), Some(Duration::from_micros(80)));
        assert_eq!(naps.after(40, at(200)), Some(Duration::from_micros(80)));
        // A nap that gathered one command: no more for a while.
        assert_eq!(naps.after(41, at(300)), None);
        for i in 1..WAKES_BEFORE_NEXT_TRY as u64 {
            assert_eq!(naps.after(41 + 20 * i, at(300 + 100 * i)), None);
        }
        assert!(naps.after(41 + 20 * 200, at(300 + 100 * 200)).is_some());
        // A command every millisecond is slow enough to be woken for.
        assert_eq!(naps.after(4050, at(21_300)), None);
    }
}
