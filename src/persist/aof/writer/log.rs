//! The file that grows, and the one place that knows what a failure of it means.
//!
//! Nothing that was appended is dropped. What a write that failed left behind is cut off before more is written. After a sync
//! that failed the system may have thrown the pages away, so what it was to commit is written again; for that it is kept
//! until it is synced. Whoever meets a failure tells of it and calls again.
//!
//! What somebody waits for goes into a reserve in the file (see `group`), so that its sync is quicker.

use crate::persist::aof::group;
use crate::persist::disk::{Disk, LogFile};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// What was kept for a sync in a buffer larger than this is given back.
const KEPT_MAX: usize = 4 << 20;
/// Bytes that one sync has to make safe for a file to get its first reserve. With less there are few clients, and the file is
/// to be what simple readers expect: requests and nothing else.
const WORTH_RESERVE: usize = 1 << 10;
/// Bytes of a file's first reserve; each next one is twice as large, up to a bound: the larger, the fewer syncs make the file grow.
const RESERVE_MIN: u64 = 16 << 10;
const RESERVE_MAX: u64 = 1 << 20;

/// The file, if anything is logged, and what is known of it.
#[derive(Default)]
pub(super) struct Log {
    file: Option<Box<dyn LogFile>>,
    /// Bytes in the file that are whole.
    len: u64,
    /// There may be something behind them.
    torn: bool,
    /// Behind them is a reserve up to this offset, if it is greater; and bytes of the next one.
    reserved_to: u64,
    reserve: u64,
    /// For the bytes of a group.
    group: Vec<u8>,
    /// The last group was not synced.
    group_unsynced: bool,
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
    /// Where names have changed that a loss of power may undo yet, by which the file would be one that nobody knows.
    unsynced_folder: Option<(Arc<dyn Disk>, PathBuf)>,
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
        if self.group_unsynced {
            // A reader takes only the last one for one that may be in part on the disk.
            self.sync()?;
        }
        match kept {
            true => self.append_kept(bytes).map_err(not_written)?,
            false => self.write_at_end(bytes).map_err(not_written)?,
        }
        self.written = end;
        self.dirty = true;
        Ok(())
    }

    fn append_kept(&mut self, bytes: &[u8]) -> io::Result<()> {
        let at = self.len;
        let mut group = std::mem::take(&mut self.group);
        group.clear();
        let is_worth = self.reserved_to > self.len || bytes.len() >= WORTH_RESERVE;
        let written = if is_worth && bytes.len() <= group::LEN_MAX && self.file.is_some() {
            group::write_header(&mut group, at, bytes);
            group.extend_from_slice(bytes);
            let len = group.len();
            let written = self.write_group(&mut group);
            group.truncate(len);
            self.group_unsynced = written.is_ok();
            written
        } else {
            group.extend_from_slice(bytes);
            self.write_at_end(bytes)
        };
        if written.is_ok() {
            if self.uncommitted.is_empty() {
                self.uncommitted_at = at;
            }
            self.uncommitted.extend_from_slice(&group);
        }
        group.shrink_to(2 * group::LEN_MAX);
        self.group = group;
        written
    }

    /// Writes a group in the place of the reserve; the next reserve with it when that one ends.
    fn write_group(&mut self, group: &mut Vec<u8>) -> io::Result<()> {
        let (len, end) = (group.len(), self.len + group.len() as u64);
        if end > self.reserved_to {
            self.reserve = (2 * self.reserve).clamp(RESERVE_MIN, RESERVE_MAX);
            group::write_reserve(group, end, self.reserve);
            if self.write_all(group).is_ok() {
                (self.len, self.reserved_to) = (end, self.len);
                return Ok(());
            }
            // There may be no room for more than the group.
            self.reserve = 0;
            self.write_at_end(&group[..len])
        } else {
            self.write_all(&group[..len])
        }
    }

    /// Cuts the reserve off: nothing more is to take its place.
    pub(super) fn cut_reserve(&mut self) -> io::Result<()> {
        if self.reserved_to > self.len {
            self.cut()?;
            self.dirty = true;
        }
        Ok(())
    }

    /// Waits until everything appended is on the disk.
    pub(super) fn sync(&mut self) -> Result<(), Failure> {
        if !self.is_dirty() {
            return Ok(());
        }
        self.repair().map_err(not_written)?;
        if let Some((disk, folder)) = &self.unsynced_folder {
            disk.sync_folder(folder).map_err(|error| Failure { what: "Fail to fsync the folder of the AOF", error })?;
            self.unsynced_folder = None;
        }
        if let Err(error) = self.file.as_mut().map_or(Ok(()), |file| file.sync()) {
            self.lose_uncommitted();
            return Err(Failure { what: "Fail to fsync the AOF file", error });
        }
        (self.dirty, self.group_unsynced) = (false, false);
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
        if cut.is_ok() {
            self.reserved_to = self.len;
        }
        cut
    }

    /// Writes where the file ends.
    fn write_at_end(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.cut_reserve()?;
        self.write_all(bytes)
    }

    /// Writes behind what is whole.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut at = 0;
        while at < bytes.len() {
            match file.write_at(&bytes[at..], self.len + at as u64) {
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
        // A reader skips it.
        let _ = self.cut_reserve();
        self.file = None;
        self.dirty = false;
    }

    /// Goes on in another file, which is empty.
    pub(super) fn go_on_in(&mut self, file: Box<dyn LogFile>) {
        *self = Log { written: self.written, doubtful: self.doubtful, file: Some(file), ..Log::default() };
    }

    /// Syncs from now on sync this folder first.
    pub(super) fn owe_folder(&mut self, disk: Arc<dyn Disk>, folder: PathBuf) {
        self.unsynced_folder = Some((disk, folder));
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
        self.dirty || self.unsynced_folder.is_some()
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
