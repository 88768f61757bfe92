//! The file layer below the append-only file: what it asks of a disk, in one trait, so that tests can put a disk in its
//! place that fails, writes short, and forgets what was not synced.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// A file that grows at its end.
pub trait LogFile: Send {
    /// Appends bytes; tells how many of them are in the file now.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Waits until everything appended so far survives a loss of power.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
    /// Bytes in the file.
    fn size(&self) -> io::Result<u64>;
}

/// A disk.
pub trait Disk: Send + Sync {
    /// Opens a file to append to it; it may exist.
    fn append(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;
    /// Opens an empty file; what it held is gone.
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;
    /// Gives a file another name, in the place of a file that has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes a folder, unless it is there.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Waits until the names in a folder survive a loss of power.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// Writes a whole file so that a crash leaves either the old one or the new one: under a temporary name first.
///
/// # Errors
/// The system's; then the old file is as it was, but for a failure of the last step, when it may be either.
pub fn replace(disk: &dyn Disk, folder: &Path, temporary: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = folder.join(temporary);
    let written = disk.create(&temporary).and_then(|mut file| {
        let mut rest = bytes;
        while !rest.is_empty() {
            let n = file.write(rest)?;
            rest = &rest[n..];
        }
        file.sync()
    });
    let renamed = written.and_then(|()| disk.rename(&temporary, &folder.join(name)));
    if renamed.is_err() {
        let _ = disk.remove(&temporary);
    }
    renamed.and_then(|()| disk.sync_folder(folder))
}

/// The disk of this machine.
pub struct RealDisk;

struct RealFile(File);

impl LogFile for RealFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes) {
            Ok(0) if !bytes.is_empty() => Err(io::ErrorKind::WriteZero.into()),
            done => done,
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn size(&self) -> io::Result<u64> {
        self.0.metadata().map(|about| about.len())
    }
}

impl Disk for RealDisk {
    fn append(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(RealFile(File::options().create(true).append(true).open(path)?)))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        // Appending, as a file that is cut after a failed write goes on at its end.
        let file = File::options().create(true).append(true).open(path)?;
        file.set_len(0)?;
        Ok(Box::new(RealFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}
