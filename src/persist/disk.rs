//! The file layer below the append-only file: what it asks of a disk, in one trait, so that tests can put a disk in its
//! place that fails, writes short, and forgets what was not synced.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A file that grows.
pub trait LogFile: Send {
    /// Writes bytes at an offset, at the file's end or before it; tells how many of them are in the file now.
    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<usize>;
    /// Waits until everything written so far survives a loss of power.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
    /// Bytes in the file.
    fn size(&self) -> io::Result<u64>;
}

/// A disk.
pub trait Disk: Send + Sync {
    /// Opens a file to go on in it; it may exist.
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
    put(disk, folder, temporary, name, bytes)?;
    disk.sync_folder(folder)
}

/// The same but for the last step: until the folder is synced a loss of power may bring the old file back.
///
/// # Errors
/// The system's; then the old file is as it was.
pub fn put(disk: &dyn Disk, folder: &Path, temporary: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = folder.join(temporary);
    let written = disk.create(&temporary).and_then(|mut file| {
        let mut at = 0;
        while at < bytes.len() {
            at += file.write_at(&bytes[at..], at as u64)?;
        }
        file.sync()
    });
    let renamed = written.and_then(|()| disk.rename(&temporary, &folder.join(name)));
    if renamed.is_err() {
        let _ = disk.remove(&temporary);
    }
    renamed
}

/// The disk of this machine.
pub struct RealDisk;

struct RealFile(File);

impl LogFile for RealFile {
    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<usize> {
        match self.0.write_at(bytes, at) {
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
        Ok(Box::new(RealFile(File::options().create(true).write(true).truncate(false).open(path)?)))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(RealFile(File::create(path)?)))
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
