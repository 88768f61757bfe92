//! The file that grows, and the one place that knows what a failure of it means.
//!
//! Nothing that was appended is dropped. What a write that failed left behind is cut off before more is written. After a sync
//! that failed the system may have thrown the pages away, so what it was to commit is written again; for that it is kept
//! until it is synced. Whoever meets a failure tells of it and calls again.

use crate::persist::disk::LogFile;
use std::io;

/// What was kept for a sync in a buffer larger than this is given back.
const KEPT_MAX: usize = 4 << 20;

/// The file, if anything is logged, and what is known of it.
#[derive(Default)]
pub(super) struct Log {
    file: Option<Box<dyn LogFile>>,
    /// Bytes in the file that are whole.
    len: u64,
    /// There may be something behind them.
    torn: bool,
    synced_len: u64,
    /// Position in the stream of what was appended.
    written: u64,
    /// There is something that was not synced.
    dirty: bool,
    /// What the next sync is to commit, as somebody waits for it; and where it is in the file.
    uncommitted: Vec<u8>,
    uncommitted_at: u64,
    /// It is to be written again.
    lost: bool,
    /// A sync failed, and something that it was to save cannot be written again.
    doubtful: bool,
}

/// Why a file did not take bytes, or did not sync them.
pub(super) struct Failure {
    pub what: &'static str,
    pub error: io::Error,
}

impl Log {
    pub(super) fn new(file: Option<Box<dyn LogFile>>, len: u64, position: u64) -> Log {
        Log { file, len, synced_len: len, written: position, ..Log::default() }
    }

    /// Appends all of `bytes`, which end at position `end` of the stream, or none. If somebody waits for the sync that commits
    /// them they are `kept` until then.
    pub(super) fn append(&mut self, bytes: &[u8], end: u64, kept: bool) -> Result<(), Failure> {
        self.repair().map_err(not_written)?;
        let at = self.len;
        self.write_all(bytes).map_err(not_written)?;
        if kept {
            if self.uncommitted.is_empty() {
                self.uncommitted_at = at;
            }
            self.uncommitted.extend_from_slice(bytes);
        }
        self.written = end;
        self.dirty = true;
        Ok(())
    }

    /// Waits until everything appended is on the disk.
    pub(super) fn sync(&mut self) -> Result<(), Failure> {
        if !self.dirty {
            return Ok(());
        }
        self.repair().map_err(not_written)?;
        if let Err(error) = self.file.as_mut().map_or(Ok(()), |file| file.sync()) {
            self.lose_uncommitted();
            return Err(Failure { what: "Fail to fsync the AOF file", error });
        }
        self.dirty = false;
        self.synced_len = self.len;
        self.forget_uncommitted();
        Ok(())
    }

    fn lose_uncommitted(&mut self) {
        // What was written under another policy, which promised less, is not at hand any more.
        self.doubtful |= self.uncommitted.is_empty() || self.synced_len < self.uncommitted_at;
        if !self.uncommitted.is_empty() {
            self.len = self.uncommitted_at;
            (self.torn, self.lost) = (true, true);
        }
    }

    /// Nobody waits for a sync any more. Not to be called while something is lost.
    pub(super) fn forget_uncommitted(&mut self) {
        self.uncommitted.clear();
        self.uncommitted.shrink_to(KEPT_MAX);
    }

    /// Makes the file again what it is to be.
    fn repair(&mut self) -> io::Result<()> {
        if self.torn {
            self.cut()?;
        }
        if self.lost {
            let uncommitted = std::mem::take(&mut self.uncommitted);
            let written = self.write_all(&uncommitted);
            self.uncommitted = uncommitted;
            written?;
            self.lost = false;
        }
        Ok(())
    }

    fn cut(&mut self) -> io::Result<()> {
        let cut = self.file.as_mut().map_or(Ok(()), |file| file.truncate(self.len));
        self.torn = cut.is_err();
        cut
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut at = 0;
        while at < bytes.len() {
            match file.write(&bytes[at..]) {
                Ok(n) => at += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // If it cannot be cut off now it will be before more is written.
                    let _ = self.cut();
                    return Err(error);
                }
            }
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Lets go of the file.
    pub(super) fn close(&mut self) {
        self.file = None;
        self.dirty = false;
    }

    /// Goes on in another file, which is empty.
    pub(super) fn go_on_in(&mut self, file: Box<dyn LogFile>) {
        *self = Log { written: self.written, doubtful: self.doubtful, file: Some(file), ..Log::default() };
    }

    /// Bytes in the file.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Position in the stream of what was appended.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// True if there is something that was not synced.
    pub(super) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// True if somebody waits for a sync.
    pub(super) fn is_awaited(&self) -> bool {
        !self.uncommitted.is_empty()
    }

    /// True if a sync failed and what it was to commit is yet to be written again.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// True if something may be lost from the file for good, once.
    pub(super) fn take_doubt(&mut self) -> bool {
        std::mem::take(&mut self.doubtful)
    }
}

fn not_written(error: io::Error) -> Failure {
    Failure { what: "Error writing to the AOF file", error }
}
