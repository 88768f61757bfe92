//! Where a snapshot goes: a file, or whatever else implements [`Sink`].

use crate::persist::rdb::format::{HEADER_LEN, VERSION_MAX};
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Takes the bytes of a snapshot, on the writer's thread.
pub trait Sink: Send {
    /// Takes the next bytes. May block: the snapshot then waits, the engine does not.
    ///
    /// # Errors
    /// Nothing more can be taken; the snapshot has failed.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// True if the header can be changed at the end, when it is known which version of the format the content needs.
    /// Otherwise it tells what `announces` says.
    fn patches_header(&self) -> bool {
        false
    }

    /// The version that the header tells before it is known which one is needed.
    fn announces(&self) -> u16 {
        VERSION_MAX
    }

    /// Everything has been taken: makes it last. `header` takes the place of the first bytes if that was promised.
    ///
    /// # Errors
    /// It cannot be made to last; the snapshot has failed.
    fn finish(&mut self, header: &[u8; HEADER_LEN]) -> io::Result<()>;

    /// The snapshot has failed or was given up: leaves nothing behind.
    fn abandon(&mut self);
}

/// A file, which gets its name when it is complete and safe on the disk.
pub struct FileSink {
    temporary: PathBuf,
    target: PathBuf,
    file: File,
    written: u64,
    /// Bytes whose way to the disk has begun.
    synced: u64,
    incremental: bool,
    /// Where what has the target's name goes before it is replaced.
    aside: Option<PathBuf>,
    done: bool,
}

/// With `rdb-save-incremental-fsync` the kernel is asked to write after so many bytes.
const SYNC_EVERY: u64 = 1 << 20;

impl FileSink {
    /// A file in `folder` that is called `temporary` while it is written and `target` in the end, when it replaces what had
    /// that name. `incremental` is `rdb-save-incremental-fsync`.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn create(folder: &Path, temporary: &str, target: &str, incremental: bool) -> io::Result<FileSink> {
        let (temporary, target) = (folder.join(temporary), folder.join(target));
        let file = File::create(&temporary)?;
        Ok(FileSink { temporary, target, file, written: 0, synced: 0, incremental, aside: None, done: false })
    }

    /// What has the target's name now is kept under this name.
    pub fn keep_aside(&mut self, name: Option<PathBuf>) {
        self.aside = name;
    }
}

impl Sink for FileSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.written += bytes.len() as u64;
        if self.incremental && self.written - self.synced >= SYNC_EVERY {
            crate::sys::file::begin_writeback(&self.file, self.synced, self.written - self.synced);
            // What was begun the last time is mostly written by now.
            crate::sys::file::forget_cached(&self.file, self.synced);
            self.synced = self.written;
        }
        Ok(())
    }

    fn patches_header(&self) -> bool {
        true
    }

    fn finish(&mut self, header: &[u8; HEADER_LEN]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(header)?;
        self.file.sync_all()?;
        if let Some(aside) = &self.aside
            && self.target.exists()
        {
            // A second name first, so that there is a file at any time; where there are no second names it has to move.
            std::fs::hard_link(&self.target, aside).or_else(|_| std::fs::rename(&self.target, aside))?;
        }
        std::fs::rename(&self.temporary, &self.target)?;
        self.done = true;
        let folder = self.target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }

    fn abandon(&mut self) {
        if !self.done {
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        self.abandon();
        self.done = true;
    }
}

/// Memory, for tests: the bytes can be looked at when the snapshot is done.
#[derive(Clone, Default)]
pub struct MemorySink(pub std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl MemorySink {
    /// What was written.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl Sink for MemorySink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend_from_slice(bytes);
        Ok(())
    }

    fn patches_header(&self) -> bool {
        true
    }

    fn finish(&mut self, header: &[u8; HEADER_LEN]) -> io::Result<()> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)[..HEADER_LEN].copy_from_slice(header);
        Ok(())
    }

    fn abandon(&mut self) {}
}
