//! What files need beyond the standard library: locks, and telling the kernel how long files are going to be used.

use std::fs::File;
use std::os::fd::AsRawFd;

/// Begins to write a part of a file to the disk without waiting for it, so that a later `fsync` has less left to do.
/// Advice: where it cannot be given nothing is lost.
pub fn begin_writeback(file: &File, offset: u64, len: u64) {
    #[cfg(target_os = "linux")]
    // SAFETY: a plain system call on an open descriptor.
    unsafe {
        libc::sync_file_range(file.as_raw_fd(), offset as i64, len as i64, libc::SYNC_FILE_RANGE_WRITE);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file.as_raw_fd(), offset, len);
}

/// Tells that the part of a file before `len` will not be read soon: once written it need not stay in memory.
pub fn forget_cached(file: &File, len: u64) {
    #[cfg(target_os = "linux")]
    // SAFETY: as above.
    unsafe {
        libc::posix_fadvise(file.as_raw_fd(), 0, len as i64, libc::POSIX_FADV_DONTNEED);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file.as_raw_fd(), len);
}

/// Locks a file against other processes until it is closed. False if another has it.
///
/// # Errors
/// The system's: this file cannot be locked.
pub fn try_lock(file: &File) -> std::io::Result<bool> {
    // SAFETY: a plain system call on an open descriptor.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(true);
    }
    match std::io::Error::last_os_error() {
        error if error.kind() == std::io::ErrorKind::WouldBlock => Ok(false),
        error => Err(error),
    }
}
