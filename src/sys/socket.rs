//! What a socket tells of its other end.

use std::os::fd::{AsFd, AsRawFd};

/// True if the other end has said that it sends no more, even where something that it sent before is yet to be read. False where
/// the system does not tell.
pub fn has_stopped_sending(socket: &impl AsFd) -> bool {
    #[cfg(target_os = "linux")]
    {
        let mut asked = libc::pollfd { fd: socket.as_fd().as_raw_fd(), events: libc::POLLRDHUP, revents: 0 };
        // SAFETY: one entry, which outlives the call; no waiting.
        let found = unsafe { libc::poll(&raw mut asked, 1, 0) };
        found > 0 && asked.revents & (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) != 0
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = socket.as_fd().as_raw_fd();
        false
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn an_end_is_seen_behind_what_is_unread() {
        let (here, mut there) = UnixStream::pair().unwrap();
        there.write_all(b"unread").unwrap();
        assert!(!has_stopped_sending(&here));
        drop(there);
        assert!(has_stopped_sending(&here));
    }
}
