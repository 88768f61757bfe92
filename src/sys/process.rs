//! The process: becoming a daemon, its limits, its resource usage.

use std::io;

/// Leaves the terminal: the parent ends, the child goes on in its own session with its standard streams on `/dev/null`.
/// To be called before any thread is started.
///
/// # Errors
/// The system's, if no process can be had.
pub fn daemonize() -> io::Result<()> {
    // SAFETY: no other thread exists yet, so the child may use everything; `_exit` runs no handlers twice.
    unsafe {
        match libc::fork() {
            -1 => return Err(io::Error::last_os_error()),
            0 => {}
            _ => libc::_exit(0),
        }
        if libc::setsid() == -1 {
            return Err(io::Error::last_os_error());
        }
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
        if null != -1 {
            for stream in 0..3 {
                libc::dup2(null, stream);
            }
            if null > 2 {
                libc::close(null);
            }
        }
    }
    Ok(())
}

/// Declines huge pages where the system gives them unasked: such a page is resident as a whole for the first byte in it, and
/// making one is felt by whoever waits. True if they may be had for the asking.
pub fn decline_unasked_huge_pages() -> bool {
    #[cfg(target_os = "linux")]
    {
        /// Linux 6.18.
        const EXCEPT_ADVISED: i32 = 1 << 1;
        // SAFETY: the call takes five numbers. A kernel that does not know them says so.
        let disable = |yes: i32, flags: i32| unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, yes, flags, 0, 0) == 0 };
        let mode = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
        if mode.contains("[madvise]") {
            // The allocator of large blocks has switched them off altogether.
            return disable(0, 0);
        }
        if mode.contains("[always]") && disable(1, EXCEPT_ADVISED) {
            return true;
        }
        disable(1, 0);
    }
    false
}

/// Lets the calling thread stand back behind the others of the process where there are fewer cores than threads that have
/// work. Does nothing where priorities are not those of threads.
pub fn stand_back() {
    #[cfg(target_os = "linux")]
    {
        const NICE: i32 = 10;
        // SAFETY: the call takes three numbers; 0 is the calling thread, as Linux sees it.
        unsafe {
            libc::setpriority(libc::PRIO_PROCESS, 0, NICE);
        }
    }
}

/// Raises the limit of open files to `wanted` if the system lets us; returns the limit that holds.
pub fn raise_open_files(wanted: u64) -> u64 {
    // SAFETY: both calls only read and write the struct that they are given.
    unsafe {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) != 0 {
            return 1024;
        }
        if limit.rlim_cur >= wanted {
            return limit.rlim_cur;
        }
        let raised = libc::rlimit { rlim_cur: wanted, rlim_max: limit.rlim_max.max(wanted) };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raised) == 0 {
            return wanted;
        }
        // Without the right to raise the hard limit, take all of it.
        let all = libc::rlimit { rlim_cur: limit.rlim_max.min(wanted), rlim_max: limit.rlim_max };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &all) == 0 { all.rlim_cur } else { limit.rlim_cur }
    }
}

/// Processor time in seconds.
#[derive(Default, Clone, Copy)]
pub struct CpuTimes {
    pub system: f64,
    pub user: f64,
}

/// Processor time of this process, of its children, and of the calling thread.
pub fn cpu_times() -> (CpuTimes, CpuTimes, CpuTimes) {
    (usage(libc::RUSAGE_SELF), usage(libc::RUSAGE_CHILDREN), usage(libc::RUSAGE_THREAD))
}

fn usage(who: libc::c_int) -> CpuTimes {
    // SAFETY: `rusage` is plain data for which all zeroes is a value; the call only writes it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(who, &mut usage);
        usage
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    CpuTimes { system: seconds(usage.ru_stime), user: seconds(usage.ru_utime) }
}

/// Restricts the permission bits of files that the process creates.
pub fn set_umask(mask: u32) {
    // SAFETY: the call cannot fail and touches no memory.
    unsafe { libc::umask(mask as libc::mode_t) };
}

/// Resident bytes of this process, 0 if the system does not tell.
pub fn resident_bytes() -> u64 {
    let Ok(text) = std::fs::read_to_string("/proc/self/statm") else { return 0 };
    let pages: u64 = text.split_ascii_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    // SAFETY: the call reads a constant of the system.
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.max(0) as u64
}

/// The system's name and release, as INFO's `os` shows them.
pub fn system_name() -> String {
    // SAFETY: `utsname` is plain data; the call fills it with terminated strings.
    let name = unsafe {
        let mut name: libc::utsname = std::mem::zeroed();
        libc::uname(&mut name);
        name
    };
    let text = |field: &[libc::c_char]| {
        let bytes: Vec<u8> = field.iter().take_while(|c| **c != 0).map(|c| *c as u8).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    format!("{} {} {}", text(&name.sysname), text(&name.release), text(&name.machine))
}

/// Bytes of memory that the machine has.
pub fn total_memory() -> u64 {
    // SAFETY: both calls read constants of the system.
    unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES).max(0) as u64) * libc::sysconf(libc::_SC_PAGESIZE).max(0) as u64 }
}
