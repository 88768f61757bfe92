//! The writer: a thread that turns frames into the bytes of a file and sees them safely into the sink. Compressing,
//! checksums and everything that may wait for a disk or a network happens here.

use super::frames::Frames;
use super::sink::Sink;
use crate::persist::rdb::Encoder;
use crate::persist::rdb::output::Output;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// What the engine tells the writer. That it hangs up without `End` means that the snapshot is given up.
pub enum Message {
    Frames(Frames),
    /// That was all; the file needs this version.
    End {
        version: u16,
    },
}

/// What engine and writer both look at.
#[derive(Default)]
pub struct Shared {
    /// Bytes on their way to the writer.
    pub queued: AtomicUsize,
    /// Bytes that the engine has set aside until a collection is complete.
    pub aside: AtomicUsize,
    /// Keys written.
    pub keys: AtomicU64,
    /// The writer failed: what is sent is dropped.
    pub failed: AtomicBool,
    /// Nobody wants the result any more.
    pub cancelled: AtomicBool,
}

/// The engine's side of a writer.
pub struct Writer {
    pub messages: Sender<Message>,
    /// Emptied frames, to be filled again.
    pub spares: Receiver<Frames>,
    pub shared: Arc<Shared>,
    pub thread: JoinHandle<io::Result<u64>>,
}

/// How a writer is to work.
#[derive(Clone, Copy)]
pub struct Manner {
    pub compression: bool,
    pub checksum: bool,
    /// `rdb-key-save-delay`, in microseconds; below 0 the inverse: so many keys per microsecond.
    pub key_delay: i64,
}

/// While more bytes than this wait, emptied frames are freed, and the writer does not make way for others.
const SPARE_BELOW: usize = 1 << 20;

/// Starts a writer.
///
/// # Errors
/// There is no thread to be had.
pub fn start(sink: Box<dyn Sink>, manner: Manner) -> io::Result<Writer> {
    let (messages, inbox) = channel();
    let (give_back, spares) = channel();
    let shared = Arc::new(Shared::default());
    let mine = shared.clone();
    let thread =
        std::thread::Builder::new().name("snapshot".into()).spawn(move || run(&inbox, &give_back, &mine, sink, manner))?;
    Ok(Writer { messages, spares, shared, thread })
}

fn run(
    inbox: &Receiver<Message>,
    spares: &Sender<Frames>,
    shared: &Shared,
    sink: Box<dyn Sink>,
    manner: Manner,
) -> io::Result<u64> {
    // Who waits for a reply comes first; if this thread lags too far behind, those who write wait for it.
    crate::sys::process::stand_back();
    let mut encoder = Encoder::new(manner.compression);
    let mut out = Output::new(sink, manner.checksum);
    while let Ok(message) = inbox.recv() {
        match message {
            Message::Frames(mut frames) => {
                let size = frames.size();
                if !shared.failed.load(Ordering::Relaxed) && !shared.cancelled.load(Ordering::Relaxed) {
                    // While little waits; or what waits would take memory, and make those who write wait.
                    let has_time = shared.queued.load(Ordering::Relaxed) < SPARE_BELOW;
                    frames.finish(&mut encoder, &mut out, has_time);
                    shared.failed.store(out.failed(), Ordering::Release);
                    delay(manner.key_delay, frames.keys, shared);
                }
                shared.keys.fetch_add(frames.keys.into(), Ordering::Relaxed);
                let reusable = frames.clear();
                // After a burst its memory is not kept.
                if shared.queued.fetch_sub(size, Ordering::AcqRel) < SPARE_BELOW && reusable {
                    // The engine may have gone already.
                    let _ = spares.send(frames);
                }
            }
            Message::End { version } if !shared.cancelled.load(Ordering::Relaxed) => return out.finish(version),
            Message::End { .. } => break,
        }
    }
    let given_up = || io::Error::new(io::ErrorKind::Interrupted, "the snapshot was given up");
    Err(out.abandon().unwrap_or_else(given_up))
}

/// The delay of so many keys: `per_key` microseconds each, or one for every `-per_key` keys.
pub fn delay_of(per_key: i64, keys: u64) -> Duration {
    Duration::from_micros(match u64::try_from(per_key) {
        Ok(micros) => micros.saturating_mul(keys),
        Err(_) => keys / per_key.unsigned_abs(),
    })
}

/// The delay that tests ask for.
fn delay(per_key: i64, keys: u32, shared: &Shared) {
    /// So that a writer that is given up notices soon.
    const STEP: Duration = Duration::from_millis(5);
    let mut left = delay_of(per_key, keys.into());
    while !left.is_zero() && !shared.cancelled.load(Ordering::Relaxed) {
        std::thread::sleep(left.min(STEP));
        left = left.saturating_sub(STEP);
    }
}
