//! Interrupt moderation for a thread that serves sockets itself: when many clients send steadily, it naps for a moment before
//! it goes to sleep.
//!
//! Being woken costs several microseconds of the kernel, more than the command that it is for. With fifty clients that each
//! wait for their reply, an engine quicker than they are is woken for one or two commands at a time; after a nap of some
//! fifty microseconds it finds ten, and so does the client on its side, which gains as well: 16 % more commands in a second
//! for a sixth less CPU time (SET by 50 clients, two cores).
//!
//! Clients that are few, or quick, would lose: each nap is time in which nobody is served. So naps are on trial all the
//! time. What is measured is how many requests are served in a second, and what CPU time each takes, in short periods with naps
//! and without that take turns in an order in which a drift cancels out; naps stay only while no less is served with them (as
//! far as can be told) and each request costs less, as a reply comes a tenth of a millisecond later for them: pipelines of
//! sixteen, between which the thread sleeps seldom, gain nothing. The comparison is made again now and then, and where naps did
//! harm the next one comes later each time. A nap that gathers next to nothing ends them at once.

use crate::sys::time::thread_cpu;
use std::cell::RefCell;
use std::time::{Duration, Instant};

/// What a nap is to gather, in batches of requests; and what it must gather not to count as poor.
const GATHER: u64 = 3;
const GATHER_MIN: u64 = 2;
/// After so many poor naps in a row there are no more.
const POOR_MAX: u8 = 8;
/// Linux adds its timer slack to what is asked for.
const SLACK: Duration = Duration::from_micros(55);
const NAP_MIN: Duration = Duration::from_micros(5);
const NAP_MAX: Duration = Duration::from_micros(100);
/// Batches of requests a second from which on naps are tried.
const RATE_MIN: u64 = 12_000;
/// How long what is served is counted.
const PERIOD: Duration = Duration::from_millis(20);
/// The thread looks at the clock each time that it has run out of work this often.
const SLEEPS_PER_LOOK: u8 = 8;

/// What is served with naps must be at least this much of what is served without.
const WORTH_PERCENT: u64 = 95;
/// A comparison that comes out between these is continued, up to a bound: other load on the machine makes them differ by a tenth.
const UNCLEAR_PERCENT: std::ops::Range<u64> = 90..102;
/// The same for the CPU time of a batch, of which naps are to take at most so much of what it is without; that differs less.
const COST_PERCENT: u64 = 97;
const UNCLEAR_COST_PERCENT: std::ops::Range<u64> = 95..100;
const COMPARED_MIN: u32 = 8;
const COMPARED_MAX: u32 = 24;
/// Periods of naps before the first look at whether they are still worth it; twice as many before each next one.
const NAPS_MIN: u32 = 50;
const NAPS_MAX: u32 = 250;
/// Periods without naps after a comparison that spoke against them; twice as many after each next one.
const HOLD_MIN: u32 = 100;
const HOLD_MAX: u32 = 3000;
/// What is served differs by half from what it was when it was last judged, for so many periods: it is another load.
const OTHER_LOAD_PERIODS: u8 = 3;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// No naps, nor a comparison for some periods.
    Awake { periods_left: u32 },
    /// Periods with and without naps take turns.
    Comparing { step: u32, with: Sum, without: Sum },
    /// Naps that proved their worth.
    Napping { periods_left: u32 },
}

/// What periods of one kind have seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Sum {
    /// Of what was served in a second.
    rates: u64,
    batches: u64,
    cpu_nanos: u64,
}

impl Sum {
    const NONE: Sum = Sum { rates: 0, batches: 0, cpu_nanos: 0 };

    fn add(self, period: Sum) -> Sum {
        Sum {
            rates: self.rates + period.rates,
            batches: self.batches + period.batches,
            cpu_nanos: self.cpu_nanos + period.cpu_nanos,
        }
    }

    /// CPU time of a thousand batches.
    fn cost(self) -> u64 {
        self.cpu_nanos.saturating_mul(1000) / self.batches.max(1)
    }
}

/// The decision and what it needs to know.
#[derive(Debug)]
struct Moderation {
    phase: Phase,
    napping: bool,
    nap: Duration,
    /// CPU time of the thread when this period began.
    cpu: Duration,
    /// Batches served in this period, and since the last nap.
    served: u64,
    gathered: u64,
    /// Naps in a row that gathered too little.
    poor: u8,
    sleeps: u8,
    /// Periods without a comparison if the next one fails, and with naps if it does not.
    hold: u32,
    naps: u32,
    /// What was served in a second when it was last judged, and for how many periods it has been another.
    judged: u64,
    other: u8,
    since: Option<Instant>,
}

const BEGIN: Phase = Phase::Comparing { step: 0, with: Sum::NONE, without: Sum::NONE };

/// Whether a step of a comparison is one with naps: 0110 1001 and so on (the Thue-Morse sequence), so that a load that grows or
/// shrinks meanwhile speaks for neither.
fn has_naps(step: u32) -> bool {
    step.count_ones() % 2 == 1
}

impl Moderation {
    const fn new() -> Moderation {
        Moderation {
            phase: Phase::Awake { periods_left: 1 },
            napping: false,
            nap: NAP_MIN,
            cpu: Duration::ZERO,
            served: 0,
            gathered: 0,
            poor: 0,
            sleeps: 0,
            hold: HOLD_MIN,
            naps: NAPS_MIN,
            judged: 0,
            other: 0,
            since: None,
        }
    }

    fn served(&mut self, batches: u64) {
        self.served += batches;
        self.gathered += batches;
    }

    fn is_time_to_look(&mut self) -> bool {
        self.sleeps = (self.sleeps + 1) % SLEEPS_PER_LOOK;
        self.sleeps == 0
    }

    /// How long to nap before the thread sleeps until there is something to do.
    fn nap_now(&mut self) -> Option<Duration> {
        let gathered = std::mem::take(&mut self.gathered);
        if !self.napping || gathered == 0 {
            return None;
        }
        self.poor = if gathered < GATHER_MIN { self.poor + 1 } else { 0 };
        self.napping = self.poor < POOR_MAX;
        self.napping.then_some(self.nap)
    }

    fn look(&mut self, now: Instant, cpu: impl FnOnce() -> Duration) {
        let since = *self.since.get_or_insert(now);
        let elapsed = now.duration_since(since);
        if elapsed < PERIOD {
            return;
        }
        self.since = Some(now);
        let cpu = cpu();
        let cpu_nanos = cpu.saturating_sub(std::mem::replace(&mut self.cpu, cpu)).as_nanos() as u64;
        let batches = std::mem::take(&mut self.served);
        let rate = batches * 1_000_000 / elapsed.as_micros() as u64;
        if rate < RATE_MIN {
            self.judged = 0;
        }
        let is_other = self.judged > 0 && (rate * 2 > self.judged * 3 || rate * 3 < self.judged * 2);
        self.other = if is_other { self.other.saturating_add(1) } else { 0 };
        self.phase = match self.phase {
            _ if rate < RATE_MIN => Phase::Awake { periods_left: 1 },
            Phase::Awake { periods_left: 0 } => self.begin(rate),
            Phase::Awake { .. } | Phase::Napping { .. } if self.other >= OTHER_LOAD_PERIODS => {
                (self.hold, self.naps) = (HOLD_MIN, NAPS_MIN);
                self.begin(rate)
            }
            Phase::Awake { periods_left } => Phase::Awake { periods_left: periods_left - 1 },
            Phase::Comparing { step, .. } if has_naps(step) && !self.napping => self.fail(rate),
            Phase::Comparing { step, with, without } => {
                let period = Sum { rates: rate, batches, cpu_nanos };
                let (with, without) = if has_naps(step) { (with.add(period), without) } else { (with, without.add(period)) };
                self.compared(step + 1, with, without)
            }
            Phase::Napping { .. } if !self.napping => self.fail(rate),
            Phase::Napping { periods_left: 0 } => self.begin(rate),
            Phase::Napping { periods_left } => Phase::Napping { periods_left: periods_left - 1 },
        };
        let napping = match self.phase {
            Phase::Awake { .. } => false,
            Phase::Comparing { step, .. } => has_naps(step),
            Phase::Napping { .. } => true,
        };
        if napping != self.napping {
            (self.napping, self.poor) = (napping, 0);
        }
    }

    fn begin(&mut self, rate: u64) -> Phase {
        self.nap = Duration::from_micros(GATHER * 1_000_000 / rate).saturating_sub(SLACK).clamp(NAP_MIN, NAP_MAX);
        BEGIN
    }

    fn compared(&mut self, steps: u32, with: Sum, without: Sum) -> Phase {
        let percent = with.rates * 100 / without.rates.max(1);
        let cost_percent = with.cost().saturating_mul(100) / without.cost().max(1);
        let is_clear = percent < UNCLEAR_PERCENT.start
            || cost_percent >= UNCLEAR_COST_PERCENT.end
            || (percent >= UNCLEAR_PERCENT.end && cost_percent < UNCLEAR_COST_PERCENT.start);
        if !steps.is_multiple_of(COMPARED_MIN) || (steps < COMPARED_MAX && !is_clear) {
            return Phase::Comparing { step: steps, with, without };
        }
        if percent < WORTH_PERCENT || cost_percent > COST_PERCENT {
            return self.fail(2 * without.rates / u64::from(steps));
        }
        (self.judged, self.other) = (2 * with.rates / u64::from(steps), 0);
        let periods_left = self.naps;
        self.naps = (2 * periods_left).min(NAPS_MAX);
        if self.naps == NAPS_MAX {
            self.hold = HOLD_MIN;
        }
        Phase::Napping { periods_left }
    }

    fn fail(&mut self, rate: u64) -> Phase {
        (self.judged, self.other) = (rate, 0);
        self.naps = NAPS_MIN;
        let periods_left = self.hold;
        self.hold = (2 * periods_left).min(HOLD_MAX);
        Phase::Awake { periods_left }
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
    HERE.with_borrow_mut(|here| here.look(now, thread_cpu));
}

/// To be called when this thread has nothing left to do and is about to sleep.
pub fn before_sleep() {
    let nap = HERE.with_borrow_mut(|here| {
        if here.is_time_to_look() {
            here.look(Instant::now(), thread_cpu);
        }
        here.nap_now()
    });
    if let Some(nap) = nap {
        std::thread::sleep(nap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Rng;

    /// Lets periods pass in each of which `rate` (told whether there are naps) batches a second are served. Returns in how many
    /// of them there were naps.
    fn pass(moderation: &mut Moderation, now: &mut Instant, periods: u32, rate: impl FnMut(bool) -> u64) -> u32 {
        pass_at_cost(moderation, now, periods, rate, |napping| if napping { 8000 } else { 10_000 })
    }

    /// The same with the CPU time that a batch takes, in nanoseconds.
    fn pass_at_cost(
        moderation: &mut Moderation,
        now: &mut Instant,
        periods: u32,
        mut rate: impl FnMut(bool) -> u64,
        mut nanos: impl FnMut(bool) -> u64,
    ) -> u32 {
        let mut with = 0;
        for _ in 0..periods {
            let napping = moderation.napping;
            with += u32::from(napping);
            let batches = rate(napping) / 50;
            moderation.served(batches);
            *now += PERIOD;
            let cpu = moderation.cpu + Duration::from_nanos(batches * nanos(napping));
            moderation.look(*now, || cpu);
        }
        with
    }

    fn begun() -> (Moderation, Instant) {
        let (mut moderation, now) = (Moderation::new(), Instant::now());
        moderation.look(now, || Duration::ZERO);
        (moderation, now)
    }

    #[test]
    fn naps_stay_where_they_do_no_harm() {
        let (mut moderation, mut now) = begun();
        pass(&mut moderation, &mut now, 10, |_| RATE_MIN - 1000);
        assert!(!moderation.napping, "little is going on");
        pass(&mut moderation, &mut now, 2, |_| 100_000);
        assert_eq!(moderation.phase, BEGIN);
        assert_eq!(
            pass(&mut moderation, &mut now, COMPARED_MIN, |napping| if napping { 110_000 } else { 100_000 }),
            COMPARED_MIN / 2
        );
        assert_eq!(moderation.phase, Phase::Napping { periods_left: NAPS_MIN });
        let with = pass(&mut moderation, &mut now, 3000, |napping| if napping { 110_000 } else { 100_000 });
        assert!((2900..2990).contains(&with), "{with}: looked at now and then");
        pass(&mut moderation, &mut now, 1, |_| 1000);
        assert!(!moderation.napping, "the load is gone");
    }

    #[test]
    fn naps_that_do_harm_are_tried_ever_less_often() {
        let (mut moderation, mut now) = begun();
        let harm = |napping| if napping { 85_000 } else { 100_000 };
        let with = pass(&mut moderation, &mut now, 5000, harm);
        assert!((20..50).contains(&with), "{with}");
        // Another load is looked at at once.
        pass(&mut moderation, &mut now, u32::from(OTHER_LOAD_PERIODS), |_| 30_000);
        assert_eq!(moderation.phase, BEGIN);
        pass(&mut moderation, &mut now, COMPARED_MAX, |_| 30_000);
        assert!(moderation.napping);
        // What was worth it is so no more.
        let with =
            pass(&mut moderation, &mut now, NAPS_MIN + COMPARED_MIN + HOLD_MIN, |napping| if napping { 25_000 } else { 30_000 });
        assert!(with < NAPS_MIN + COMPARED_MIN && !moderation.napping, "{with}");
    }

    /// With pipelines of sixteen naps made each reply a tenth of a millisecond later, for nothing.
    #[test]
    fn naps_that_spare_nothing_are_none() {
        let (mut moderation, mut now) = begun();
        let mut random = Rng::seeded(1);
        let with = pass_at_cost(&mut moderation, &mut now, 5000, |_| 100_000, |_| 9_800 + random.below(400));
        assert!((10..200).contains(&with), "{with}");
        let with =
            pass_at_cost(&mut moderation, &mut now, HOLD_MAX + 5000, |_| 100_000, |napping| if napping { 9_000 } else { 10_000 });
        assert!(with > 2000, "{with}: they do now");
    }

    /// A single comparison of two short periods took 13 % more commands in a second for a loss, as they differ by as much for
    /// what else the machine does.
    #[test]
    fn noise_does_not_decide() {
        let mut good = 0;
        for seed in 0..100 {
            let mut random = Rng::seeded(seed);
            let mut noisy = |rate: u64| rate * (85 + random.below(31)) / 100;
            let (mut moderation, mut now) = begun();
            let with = pass(&mut moderation, &mut now, 200, |napping| noisy(if napping { 110_000 } else { 100_000 }));
            good += u32::from(with > 150);
        }
        assert!(good >= 95, "{good}");
    }

    #[test]
    fn a_load_that_grows_speaks_for_neither() {
        assert_eq!((0..8).map(has_naps).collect::<Vec<_>>(), [false, true, true, false, true, false, false, true]);
        let (mut moderation, mut now) = begun();
        let mut rate = 50_000;
        pass(&mut moderation, &mut now, 2 + COMPARED_MIN, |_| {
            rate += 5_000;
            rate
        });
        assert!(moderation.napping, "{moderation:?}");
    }

    #[test]
    fn a_nap_that_gathers_nothing_is_the_last() {
        let (mut moderation, mut now) = begun();
        pass(&mut moderation, &mut now, 2 + COMPARED_MAX, |_| 100_000);
        moderation.gathered = 0;
        assert_eq!(moderation.nap_now(), None, "nothing was served since: there is nobody to wait for");
        for _ in 0..100 {
            moderation.served(10);
            assert_eq!(moderation.nap_now(), Some(NAP_MIN));
        }
        // All but one client are gone.
        for _ in 1..POOR_MAX {
            moderation.served(1);
            assert!(moderation.nap_now().is_some());
        }
        moderation.served(1);
        assert_eq!(moderation.nap_now(), None);
        moderation.served(10);
        assert_eq!(moderation.nap_now(), None);
    }
}
