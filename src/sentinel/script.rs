//! The scripts that administrators have run on events: a queue with limits, retries and timeouts. Who starts and ends processes
//! is told by orders; what became of them is told here.

use super::{Effects, Level, Order};
use std::collections::VecDeque;

/// Names a script's run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct JobId(u64);

/// Scripts that may wait or run.
const QUEUE_MAX: usize = 256;
/// Scripts that may run at a time.
const RUNNING_MAX: usize = 16;
/// How often a script is tried at most.
const TRIES_MAX: u32 = 10;
/// The exit code by which a script asks for another try.
const TRY_AGAIN: i32 = 1;

/// A script that waits or runs.
#[derive(Debug)]
pub struct Job {
    id: JobId,
    /// The path and the arguments.
    pub words: Vec<Vec<u8>>,
    pub running: bool,
    /// When it was started, or while it waits the time before which it is not to be.
    pub at: i64,
    /// 0 while it does not run.
    pub pid: u32,
    pub tries: u32,
    killed: bool,
}

/// The queue.
#[derive(Debug, Default)]
pub struct Scripts {
    jobs: VecDeque<Job>,
    next: u64,
}

/// How a script ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    Exit(i32),
    Signal(i32),
}

impl Scripts {
    /// All scripts that wait or run, the oldest first.
    pub fn jobs(&self) -> impl ExactSizeIterator<Item = &Job> {
        self.jobs.iter()
    }

    /// Number of those that run.
    pub fn running(&self) -> usize {
        self.jobs.iter().filter(|job| job.running).count()
    }

    /// Adds a script. In a full queue the oldest that waits makes room.
    pub(super) fn schedule(&mut self, words: Vec<Vec<u8>>) {
        self.next += 1;
        let id = JobId(self.next);
        self.jobs.push_back(Job { id, words, running: false, at: 0, pid: 0, tries: 0, killed: false });
        if self.jobs.len() > QUEUE_MAX
            && let Some(oldest) = self.jobs.iter().position(|job| !job.running)
        {
            self.jobs.remove(oldest);
        }
    }

    /// Has scripts started that are due, and those ended that take too long.
    pub(super) fn tick(&mut self, now: i64, runtime_max: i64, effects: &mut Effects) {
        let mut running = self.running();
        for job in self.jobs.iter_mut() {
            if job.running {
                if now - job.at > runtime_max && !job.killed {
                    job.killed = true;
                    effects.event(Level::Warning, "-script-timeout", format!("{} {}", path(job), job.pid));
                    effects.orders.push(Order::Kill(job.id));
                }
            } else if running < RUNNING_MAX && job.at <= now {
                running += 1;
                (job.running, job.killed, job.at, job.tries) = (true, false, now, job.tries + 1);
                effects.orders.push(Order::Run { job: job.id, words: job.words.clone() });
            }
        }
    }

    /// A script's process is there.
    pub(super) fn started(&mut self, id: JobId, pid: u32, effects: &mut Effects) {
        if let Some(job) = self.jobs.iter_mut().find(|job| job.id == id) {
            job.pid = pid;
            effects.event(Level::Debug, "+script-child", pid.to_string());
        }
    }

    /// A script has ended. One that a signal ended, or that asked for it, is tried again later, up to a limit.
    pub(super) fn ended(&mut self, id: JobId, how: Ended, now: i64, retry_delay: i64, effects: &mut Effects) {
        let Some(at) = self.jobs.iter().position(|job| job.id == id) else { return };
        let job = &mut self.jobs[at];
        let (exit, signal) = match how {
            Ended::Exit(code) => (code, 0),
            Ended::Signal(signal) => (0, signal),
        };
        effects.event(Level::Debug, "-script-child", format!("{} {exit} {signal}", job.pid));
        if (signal != 0 || exit == TRY_AGAIN) && job.tries < TRIES_MAX {
            (job.running, job.pid) = (false, 0);
            job.at = now.saturating_add(retry_delay.saturating_mul(1 << (job.tries - 1)));
            return;
        }
        if signal != 0 || exit != 0 {
            effects.event(Level::Warning, "-script-error", format!("{} {signal} {exit}", path(job)));
        }
        self.jobs.remove(at);
    }
}

fn path(job: &Job) -> String {
    job.words.first().map(|path| String::from_utf8_lossy(path).into_owned()).unwrap_or_default()
}

/// True if there is a file under this path that somebody may execute.
pub fn is_executable(path: &[u8]) -> bool {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path));
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(effects: &mut Effects) -> Vec<Order> {
        std::mem::take(&mut effects.orders)
    }

    #[test]
    fn a_script_that_fails_is_tried_again_later_and_later() {
        let (mut scripts, mut effects) = (Scripts::default(), Effects::default());
        scripts.schedule(vec![b"/x".to_vec()]);
        let mut now = 1000;
        for tries in 1..TRIES_MAX {
            scripts.tick(now, 60_000, &mut effects);
            let [Order::Run { job, .. }] = orders(&mut effects)[..] else { panic!("try {tries}") };
            scripts.started(job, 7, &mut effects);
            let how = if tries % 2 == 0 { Ended::Exit(1) } else { Ended::Signal(9) };
            scripts.ended(job, how, now, 100, &mut effects);
            let delay = 100 << (tries - 1);
            scripts.tick(now + delay - 1, 60_000, &mut effects);
            assert!(orders(&mut effects).is_empty(), "try {tries} came early");
            now += delay;
        }
        scripts.tick(now, 60_000, &mut effects);
        let [Order::Run { job, .. }] = orders(&mut effects)[..] else { panic!("the last try") };
        scripts.ended(job, Ended::Exit(1), now, 100, &mut effects);
        assert_eq!(scripts.jobs().len(), 0);
        assert!(effects.events.iter().any(|event| event.name == "-script-error" && event.text == "/x 0 1"));
    }

    #[test]
    fn limits_hold() {
        let (mut scripts, mut effects) = (Scripts::default(), Effects::default());
        for n in 0..QUEUE_MAX + 10 {
            scripts.schedule(vec![b"/x".to_vec(), n.to_string().into_bytes()]);
        }
        assert_eq!(scripts.jobs().len(), QUEUE_MAX);
        scripts.tick(5, 60_000, &mut effects);
        assert_eq!((scripts.running(), orders(&mut effects).len()), (RUNNING_MAX, RUNNING_MAX));
        scripts.tick(60_006, 60_000, &mut effects);
        scripts.tick(60_007, 60_000, &mut effects);
        let killed = orders(&mut effects);
        assert_eq!(killed.iter().filter(|order| matches!(order, Order::Kill(_))).count(), RUNNING_MAX);
    }
}
