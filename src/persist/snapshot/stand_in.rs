//! A process that stands for a snapshot in the making.
//!
//! Redis saves in a child process, and people and tools know it: `ps` shows that a save is under way, `kill` gives it up, and
//! a system that runs out of memory ends it first (`oom-score-adj-values`). Here a thread does the work. The child is the
//! same program under the name that Redis' child has; it holds no data and only waits for the end of the snapshot or of the
//! server. When somebody ends it, the snapshot is given up.

use super::Purpose;
use super::sink::Sink;
use crate::config::{Config, OomScoreAdj};
use crate::persist::rdb::format::HEADER_LEN;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::warn;

/// Names under which the program only waits.
const NAMES: [&str; 3] = ["redis-rdb-bgsave", "redis-aof-rewrite", "redis-rdb-to-slaves"];

/// The program under one of these names does nothing else than [`wait`].
pub fn is_name(name: &[u8]) -> bool {
    NAMES.iter().any(|known| known.as_bytes() == name)
}

/// What the child does: it waits until the server closes the pipe, or is no more.
pub fn wait() {
    let mut none = [0; 16];
    while std::io::stdin().read(&mut none).is_ok_and(|n| n > 0) {}
}

/// The child of a snapshot, as the engine sees it: none before the writer has started it, and after the end.
#[derive(Clone, Default)]
pub struct Watch(Arc<Mutex<Option<StandIn>>>);

impl Watch {
    /// The signal by which somebody has ended the child; none if nobody has. (That it ends by itself is no wish of anybody's.)
    pub fn ended(&self) -> Option<i32> {
        // Whoever holds it is about to start or to end it.
        let mut stand_in = self.0.try_lock().ok()?;
        stand_in.as_mut()?.0.try_wait().ok().flatten()?.signal()
    }

    fn set(&self, stand_in: Option<StandIn>) {
        let before = std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), stand_in);
        drop(before);
    }
}

/// A sink whose snapshot has a process to stand for it. The writer's thread starts it, as that takes a moment.
pub struct StoodFor {
    sink: Box<dyn Sink>,
    /// How it is to be started, until it was.
    wanted: Option<Wanted>,
    watch: Watch,
}

struct Wanted {
    name: &'static str,
    oom: OomWish,
}

impl StoodFor {
    /// Puts it in front of another sink.
    pub fn new(sink: Box<dyn Sink>, purpose: Purpose, config: &Config, watch: Watch) -> StoodFor {
        let name = match purpose {
            Purpose::Rdb => NAMES[0],
            Purpose::AofBase => NAMES[1],
            Purpose::FullSync => NAMES[2],
        };
        StoodFor { sink, wanted: Some(Wanted { name, oom: OomWish::of(config) }), watch }
    }
}

impl Sink for StoodFor {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(Wanted { name, oom }) = self.wanted.take() {
            match StandIn::start(name, oom) {
                Ok(stand_in) => {
                    self.sink.stood_for(stand_in.0.id());
                    self.watch.set(Some(stand_in));
                }
                Err(error) => warn!("No process to stand for the snapshot ({error}); it goes on without."),
            }
        }
        self.sink.write(bytes)
    }

    fn patches_header(&self) -> bool {
        self.sink.patches_header()
    }

    fn finish(&mut self, header: &[u8; HEADER_LEN]) -> io::Result<()> {
        let done = self.sink.finish(header);
        self.watch.set(None);
        done
    }

    fn abandon(&mut self) {
        self.sink.abandon();
        self.watch.set(None);
    }
}

/// The child. It ends with this handle.
struct StandIn(Child);

impl StandIn {
    fn start(name: &str, oom: OomWish) -> io::Result<StandIn> {
        // The program as it is running, even if its file was replaced meanwhile.
        let mut command = Command::new("/proc/self/exe");
        command.arg0(name).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).env_clear();
        let stand_in = StandIn(command.spawn()?);
        oom.apply(stand_in.0.id());
        Ok(stand_in)
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the system's score for it is to be when memory runs out: the third of `oom-score-adj-values`.
#[derive(Clone, Copy)]
enum OomWish {
    None,
    Is(i64),
    /// Relative to that of the server.
    Differs(i64),
}

impl OomWish {
    fn of(config: &Config) -> OomWish {
        let [.., saves] = config.oom_score_adj_values;
        match config.oom_score_adj {
            OomScoreAdj::No => OomWish::None,
            OomScoreAdj::Absolute => OomWish::Is(saves),
            // The server's own is relative to what it was, too.
            OomScoreAdj::Relative => OomWish::Differs(saves - config.oom_score_adj_values[config.replicaof.is_some() as usize]),
        }
    }

    fn apply(self, pid: u32) {
        let score = match self {
            OomWish::None => return,
            OomWish::Is(score) => score,
            OomWish::Differs(by) => {
                let own =
                    std::fs::read_to_string("/proc/self/oom_score_adj").ok().and_then(|text| text.trim().parse::<i64>().ok());
                let Some(own) = own else { return };
                own + by
            }
        };
        if let Err(error) = std::fs::write(format!("/proc/{pid}/oom_score_adj"), score.clamp(-1000, 1000).to_string()) {
            warn!("Unable to write oom_score_adj of the process that stands for the snapshot: {error}");
        }
    }
}
