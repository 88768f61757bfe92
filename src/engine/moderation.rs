//! Interrupt moderation for a thread that serves sockets itself: when many clients send steadily, it naps for a moment before
//! it goes to sleep.
//!
//! Being woken costs several microseconds of the kernel, more than the command that it is for. With fifty clients that each
//! wait for their reply, an engine quicker than they are is woken for one or two commands at a time; after a nap of some
//! fifty microseconds it finds ten, and so does the client on its side, which gains as well: 16 % more commands in a second
//! for a sixth less CPU time (SET by 50 clients, two cores).
//!
//! Clients that are few, or quick, would lose: each nap is time in which nobody is served. So naps are on trial all the
//! time. What is measured is how many requests are served in a tenth of a second; naps stay only while it is no less
//! than without, they are left out for a moment now and then to see, and where they did harm the next trial comes later
//! each time. A nap that gathers next to nothing ends them at once. As clients wait for their replies, what is
//! served in a second tells of their latency, too.

use std::cell::RefCell;
use std::time::{Duration, Instant};

/// What is asked for; Linux adds its timer slack of 50 µs.
const NAP: Duration = Duration::from_micros(5);
/// Batches of requests a second from which on naps are tried.
const RATE_MIN: u64 = 12_000;
/// A nap is to gather this many batches; after so many in a row that did not there are no more.
const GATHER_MIN: u64 = 3;
const POOR_MAX: u8 = 8;
/// What is served with naps must be at least this much of what is served without.
const WORTH_PERCENT: u64 = 96;
/// How long what is served is counted before it is judged.
const PERIOD: Duration = Duration::from_millis(50);
/// Periods of naps before the first look at what they are worth; twice as many before each next one, up to the other figure.
const PERIODS_OF_NAPS_MIN: u32 = 2;
const PERIODS_OF_NAPS_MAX: u32 = 64;
/// A trial wants a steady load: no period differs from the one before it by more.
const STEADY_PERCENT: u64 = 10;
/// Periods without a trial after one that failed; twice as many after the next one.
const HOLD_MIN: u32 = 20;
const HOLD_MAX: u32 = 1200;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// No naps, nor a trial for some periods.
    Awake { hold: u32 },
    /// Naps for one period, to see how much is served in comparison with the one before.
    Trial,
    /// Naps that proved their worth.
    Napping { periods_left: u32 },
    /// No naps for one period, to see whether they are still worth it.
    Check,
}

/// The decision and what it needs to know.
#[derive(Debug)]
struct Moderation {
    phase: Phase,
    napping: bool,
    /// Batches served in this period, and since the last nap.
    served: u64,
    gathered: u64,
    /// Naps in a row that gathered too little.
    poor: u8,
    /// Periods without a trial if the next one fails.
    hold: u32,
    /// Periods of naps after the next look that finds them worth it.
    naps: u32,
    /// What was served in the last period.
    last_rate: u64,
    since: Option<Instant>,
}

impl Moderation {
    const fn new() -> Moderation {
        let phase = Phase::Awake { hold: 0 };
        Moderation { phase, napping: false, served: 0, gathered: 0, poor: 0, hold: HOLD_MIN, naps: 0, last_rate: 0, since: None }
    }

    fn served(&mut self, batches: u64) {
        self.served += batches;
        self.gathered += batches;
    }

    /// Whether to nap before the thread sleeps until there is something to do.
    fn naps_now(&mut self) -> bool {
        let gathered = std::mem::take(&mut self.gathered);
        if !self.napping || gathered == 0 {
            return false;
        }
        self.poor = if gathered < GATHER_MIN { self.poor + 1 } else { 0 };
        self.napping = self.poor < POOR_MAX;
        self.napping
    }

    fn tick(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let elapsed = now.duration_since(since);
        if elapsed < PERIOD {
            return;
        }
        self.since = Some(now);
        let rate = std::mem::take(&mut self.served) * 1_000_000 / elapsed.as_micros() as u64;
        let last = std::mem::replace(&mut self.last_rate, rate);
        let steady = rate.abs_diff(last) * 100 <= last * STEADY_PERCENT;
        self.phase = match self.phase {
            Phase::Awake { hold } if hold > 0 => Phase::Awake { hold: hold - 1 },
            Phase::Awake { .. } if rate < RATE_MIN || !steady => Phase::Awake { hold: 0 },
            Phase::Awake { .. } => {
                self.naps = PERIODS_OF_NAPS_MIN;
                Phase::Trial
            }
            Phase::Trial if !self.napping || rate * 100 < last * WORTH_PERCENT => self.fail(),
            Phase::Check if last * 100 < rate * WORTH_PERCENT => self.fail(),
            Phase::Trial | Phase::Check => {
                let periods_left = self.naps;
                self.naps = (2 * periods_left).min(PERIODS_OF_NAPS_MAX);
                if self.naps == PERIODS_OF_NAPS_MAX {
                    self.hold = HOLD_MIN;
                }
                Phase::Napping { periods_left }
            }
            Phase::Napping { .. } if !self.napping || rate < RATE_MIN => Phase::Awake { hold: 0 },
            Phase::Napping { periods_left: 0 | 1 } => Phase::Check,
            Phase::Napping { periods_left } => Phase::Napping { periods_left: periods_left - 1 },
        };
        let napping = matches!(self.phase, Phase::Trial | Phase::Napping { .. });
        if napping != self.napping {
            (self.napping, self.poor) = (napping, 0);
        }
    }

    fn fail(&mut self) -> Phase {
        let hold = self.hold;
        self.hold = (2 * hold).min(HOLD_MAX);
        Phase::Awake { hold }
    }
}

thread_local! {
    /// The runtime calls from outside of everything else, so this has no other place.
    static HERE: RefCell<Moderation> = const { RefCell::new(Moderation::new()) };
}

/// Counts batches that this thread's engine served.
#[inline]
pub fn served(batches: u64) {
    HERE.with_borrow_mut(|here| here.served(batches));
}

/// To be called several times a second while the engine runs.
pub fn tick(now: Instant) {
    HERE.with_borrow_mut(|here| here.tick(now));
}

/// To be called when this thread has nothing left to do and is about to sleep.
pub fn before_sleep() {
    if HERE.with_borrow_mut(Moderation::naps_now) {
        std::thread::sleep(NAP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets periods pass in each of which `rate` (told whether there are naps) batches a second are served.
    fn pass(moderation: &mut Moderation, now: &mut Instant, periods: u32, rate: impl Fn(bool) -> u64) {
        for _ in 0..periods {
            moderation.served(rate(moderation.napping) / 20);
            *now += PERIOD;
            moderation.tick(*now);
        }
    }

    #[test]
    fn naps_stay_where_they_do_no_harm() {
        let (mut moderation, mut now) = (Moderation::new(), Instant::now());
        moderation.tick(now);
        pass(&mut moderation, &mut now, 10, |_| RATE_MIN - 1000);
        assert!(!moderation.napping, "little is going on");
        pass(&mut moderation, &mut now, 1, |_| 100_000);
        assert!(!moderation.napping, "is this a load that stays?");
        pass(&mut moderation, &mut now, 1, |_| 100_000);
        assert_eq!(moderation.phase, Phase::Trial);
        pass(&mut moderation, &mut now, 1, |_| 97_000);
        assert_eq!(moderation.phase, Phase::Napping { periods_left: PERIODS_OF_NAPS_MIN });
        let mut without = 0;
        for _ in 0..1000 {
            pass(&mut moderation, &mut now, 1, |napping| if napping { 110_000 } else { 100_000 });
            without += u32::from(!moderation.napping);
        }
        assert!((15..=30).contains(&without), "{without}: looked at now and then");
        pass(&mut moderation, &mut now, 1, |_| 1000);
        assert!(!moderation.napping, "the load is gone");
    }

    #[test]
    fn naps_that_do_harm_are_tried_ever_less_often() {
        let (mut moderation, mut now) = (Moderation::new(), Instant::now());
        moderation.tick(now);
        let mut with = 0;
        for _ in 0..2000 {
            pass(&mut moderation, &mut now, 1, |napping| if napping { 60_000 } else { 100_000 });
            with += u32::from(moderation.napping);
        }
        assert!((4..10).contains(&with), "{with}");
        // What was worth it is so no more.
        let (mut moderation, mut now) = (Moderation::new(), Instant::now());
        moderation.tick(now);
        pass(&mut moderation, &mut now, 3, |_| 100_000);
        assert!(moderation.napping);
        pass(&mut moderation, &mut now, PERIODS_OF_NAPS_MIN + 1, |napping| if napping { 60_000 } else { 100_000 });
        assert!(matches!(moderation.phase, Phase::Awake { .. }), "{moderation:?}");
    }

    #[test]
    fn a_nap_that_gathers_nothing_is_the_last() {
        let (mut moderation, mut now) = (Moderation::new(), Instant::now());
        moderation.tick(now);
        pass(&mut moderation, &mut now, 4, |_| 100_000);
        moderation.gathered = 0;
        assert!(!moderation.naps_now(), "nothing was served since: there is nobody to wait for");
        for _ in 0..100 {
            moderation.served(10);
            assert!(moderation.naps_now());
        }
        // All but one client are gone.
        for _ in 1..POOR_MAX {
            moderation.served(1);
            assert!(moderation.naps_now());
        }
        moderation.served(1);
        assert!(!moderation.naps_now());
        moderation.served(10);
        assert!(!moderation.naps_now());
    }
}
