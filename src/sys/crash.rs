//! The report on a crash: what happened, the commands that ran last (names only, never values), and where the code was, so
//! that a bug can be found from a log. A signal or a panic brings it about; afterwards the process ends as it would have.
//!
//! A handler runs in the middle of whatever was going on, so it takes no lock and allocates nothing: it formats into a buffer
//! on the stack and writes to a file that it opened itself. There is one handler per process, hence the few statics; what a
//! server knows (its last commands) hangs on the thread that runs it.

use std::cell::Cell;
use std::ffi::{CString, c_int, c_void};
use std::fmt::{self, Write};
use std::path::Path;
use std::ptr::null;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Commands that are remembered.
const KEPT: usize = 16;
/// Frames of the stack that are shown.
const FRAMES_MAX: usize = 100;
/// Signals that mean a crash.
const FATAL: [(c_int, &str); 5] = [
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGILL, "SIGILL"),
    (libc::SIGABRT, "SIGABRT"),
];

/// The commands that ran last. Each is remembered by one word, so that a handler never sees half of a name.
pub struct Recent {
    names: [Cell<Option<&'static &'static str>>; KEPT],
    next: Cell<usize>,
}

impl Default for Recent {
    fn default() -> Self {
        Recent { names: [const { Cell::new(None) }; KEPT], next: Cell::new(0) }
    }
}

impl Recent {
    /// A command is about to run.
    #[inline]
    pub fn note(&self, name: &'static &'static str) {
        let next = self.next.get();
        self.names[next % KEPT].set(Some(name));
        self.next.set(next.wrapping_add(1));
    }

    /// The names, the latest first.
    fn names(&self) -> impl Iterator<Item = &'static str> {
        let next = self.next.get();
        (1..=KEPT).map_while(move |back| self.names[next.wrapping_sub(back) % KEPT].get().copied())
    }
}

impl Drop for Recent {
    fn drop(&mut self) {
        let _ = RECENT.try_with(|recent| {
            if std::ptr::eq(recent.get(), self) {
                recent.set(null());
            }
        });
    }
}

thread_local! {
    /// The commands of the server on this thread.
    static RECENT: Cell<*const Recent> = const { Cell::new(null()) };
}

/// Where reports go; standard output without.
static LOG: OnceLock<CString> = OnceLock::new();
/// `crash-log-enabled`.
static ENABLED: AtomicBool = AtomicBool::new(false);
/// Leave by exit instead of abort after a panic (`use-exit-on-panic`).
static EXIT_ON_PANIC: AtomicBool = AtomicBool::new(false);
/// Handlers are in place.
static INSTALLED: AtomicBool = AtomicBool::new(false);
/// The next SIGALRM comes from the watchdog.
static EXPIRED: AtomicBool = AtomicBool::new(false);
/// A report is being written, or was; and it is whole.
static REPORTED: AtomicBool = AtomicBool::new(false);
static FINISHED: AtomicBool = AtomicBool::new(false);

/// Prepares for crashes of this process. Reports go to this file, or to standard output.
pub fn install(log: Option<&Path>) {
    use std::os::unix::ffi::OsStrExt;
    if let Some(path) = log.and_then(|path| CString::new(path.as_os_str().as_bytes()).ok()) {
        let _ = LOG.set(path);
    }
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !ENABLED.load(Ordering::Relaxed) {
            return usual(panic);
        }
        report(&format_args!("=== ASSERTION FAILED ===\n{panic}"), None);
        if EXIT_ON_PANIC.load(Ordering::Relaxed) {
            std::process::exit(1);
        }
    }));
    // The first trace loads the library that makes traces; later ones allocate nothing.
    trace(&mut [std::ptr::null_mut(); 1]);
    let handlers = FATAL.iter().map(|(signal, _)| (*signal, on_fatal as *const () as usize));
    for (signal, handler) in handlers.chain([(libc::SIGALRM, on_alarm as *const () as usize)]) {
        // SAFETY: `sigaction` is plain data; the handlers live for ever and do nothing that a handler may not.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            // One at a time: on the stack of handlers there is no room for two. (A fault in a handler ends the process.)
            libc::sigfillset(&mut action.sa_mask);
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
    INSTALLED.store(true, Ordering::Relaxed);
}

/// A thread whose stack may be shown by another one.
pub struct Thread(libc::pthread_t);

impl Thread {
    /// This thread; none where there are no handlers, for then a signal would end the process.
    pub fn current() -> Option<Thread> {
        // SAFETY: the call cannot fail.
        INSTALLED.load(Ordering::Relaxed).then(|| Thread(unsafe { libc::pthread_self() }))
    }

    /// Has the log show where the thread is. It must not have ended.
    pub fn show_stack(&self) {
        EXPIRED.store(true, Ordering::Relaxed);
        // SAFETY: the thread is there, as the caller promises, and the handler too.
        unsafe { libc::pthread_kill(self.0, libc::SIGALRM) };
    }
}

/// Applies `crash-log-enabled` and `use-exit-on-panic`.
pub fn configure(enabled: bool, exit_on_panic: bool) {
    ENABLED.store(enabled, Ordering::Relaxed);
    EXIT_ON_PANIC.store(exit_on_panic, Ordering::Relaxed);
}

/// Names the commands that a report on a crash of this thread is to show. They are forgotten when they are dropped.
pub fn watch(recent: &Recent) {
    RECENT.set(recent);
}

/// Reads where nothing is (DEBUG SEGFAULT).
pub fn segfault() {
    // SAFETY: none. It is what the caller asked for.
    unsafe {
        let nowhere = libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
        std::ptr::read_volatile(nowhere.cast::<u8>());
    }
}

extern "C" fn on_fatal(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel hands in what it says.
    let (code, address, sender) = unsafe { ((*info).si_code, (*info).si_addr(), (*info).si_pid()) };
    let (is_reported, is_finished) = (REPORTED.load(Ordering::Relaxed), FINISHED.load(Ordering::Relaxed));
    // Somebody outside is impatient: the process ends when the report that is being written is whole.
    if is_reported && !is_finished && code == libc::SI_USER && sender != std::process::id() as i32 {
        return;
    }
    if ENABLED.load(Ordering::Relaxed) && !is_reported {
        let name = FATAL.iter().find(|(number, _)| *number == signal).map_or("?", |(_, name)| name);
        let from_outside = code <= 0;
        let place = if from_outside { null() } else { address.cast_const() };
        report(
            &format_args!(
                "Redstart {} crashed by signal: {signal} ({name}), si_code: {code}\n{}{:?}",
                env!("CARGO_PKG_VERSION"),
                if from_outside { "Killed by PID: " } else { "Accessing address: " },
                Either(from_outside.then_some(sender), place),
            ),
            instruction(context),
        );
    }
    // SAFETY: the default action takes over when the handler has returned, as if there had been none.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// SIGALRM shows where the thread is that got it, and does no harm.
extern "C" fn on_alarm(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    let mut out = Out::open();
    let expired = EXPIRED.swap(false, Ordering::Relaxed);
    let cause = if expired { "WATCHDOG TIMER EXPIRED" } else { "Received SIGALRM" };
    let _ = write!(out, "\n{}:M # --- {cause} ---\n", std::process::id());
    stack(&mut out, instruction(context));
}

/// Shows the one that is meant.
struct Either(Option<i32>, *const c_void);

impl fmt::Debug for Either {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(process) => write!(f, "{process}"),
            None => write!(f, "{:?}", self.1),
        }
    }
}

/// Writes a report, once.
fn report(cause: &dyn fmt::Display, instruction: Option<usize>) {
    if REPORTED.swap(true, Ordering::Relaxed) {
        return;
    }
    let mut out = Out::open();
    let _ = write!(out, "\n=== REDSTART BUG REPORT START: please send all of it ===\n{}:M # {cause}\n", std::process::id());
    let recent = RECENT.try_with(Cell::get).unwrap_or(null());
    // SAFETY: the commands are watched until they are dropped, and this is the thread that writes them.
    if let Some(recent) = unsafe { recent.as_ref() } {
        let _ = writeln!(out, "\n------ LAST COMMANDS, newest first; arguments are not shown ------");
        for (i, name) in recent.names().enumerate() {
            let _ = writeln!(out, "{i}: {name}");
        }
    }
    stack(&mut out, instruction);
    let _ = writeln!(out, "\n=== REDSTART BUG REPORT END. ===\n");
    drop(out);
    FINISHED.store(true, Ordering::Relaxed);
}

fn stack(out: &mut Out, instruction: Option<usize>) {
    let _ = writeln!(out, "\n------ STACK TRACE ------");
    if let Some(at) = instruction {
        let _ = writeln!(out, "Instruction at: {at:#x}");
    }
    out.flush();
    let mut frames = [std::ptr::null_mut(); FRAMES_MAX];
    let count = trace(&mut frames);
    show_trace(&frames[..count], out.file);
    let _ = writeln!(out, "------ STACK TRACE DONE ------");
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
unsafe extern "C" {
    /// glibc's: the return addresses of the calling functions.
    fn backtrace(frames: *mut *mut c_void, max: c_int) -> c_int;
    /// glibc's: writes them to a file with what it knows of their names.
    fn backtrace_symbols_fd(frames: *const *mut c_void, count: c_int, file: c_int);
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trace(frames: &mut [*mut c_void]) -> usize {
    // SAFETY: the room is as large as told.
    unsafe { backtrace(frames.as_mut_ptr(), frames.len() as c_int).max(0) as usize }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn show_trace(frames: &[*mut c_void], file: c_int) {
    // SAFETY: as many addresses as told; the call allocates nothing.
    unsafe { backtrace_symbols_fd(frames.as_ptr(), frames.len() as c_int, file) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trace(_: &mut [*mut c_void]) -> usize {
    0
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn show_trace(_: &[*mut c_void], _: c_int) {}

/// Where the thread was when the signal came.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn instruction(context: *mut c_void) -> Option<usize> {
    // SAFETY: the kernel hands in a context of this type.
    let context = unsafe { context.cast::<libc::ucontext_t>().as_ref() }?;
    Some(context.uc_mcontext.gregs[libc::REG_RIP as usize] as usize)
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn instruction(_: *mut c_void) -> Option<usize> {
    None
}

/// A file that is written to without allocating.
struct Out {
    file: c_int,
    buffer: [u8; 1024],
    filled: usize,
}

impl Out {
    fn open() -> Out {
        let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_CLOEXEC;
        // SAFETY: the path ends with a zero.
        let opened = LOG.get().map(|path| unsafe { libc::open(path.as_ptr(), flags, 0o644) });
        Out { file: opened.filter(|file| *file >= 0).unwrap_or(libc::STDOUT_FILENO), buffer: [0; 1024], filled: 0 }
    }

    fn flush(&mut self) {
        let mut from = 0;
        while from < self.filled {
            let rest = &self.buffer[from..self.filled];
            // SAFETY: the bytes are there.
            let written = unsafe { libc::write(self.file, rest.as_ptr().cast(), rest.len()) };
            if written <= 0 {
                break;
            }
            from += written as usize;
        }
        self.filled = 0;
    }
}

impl Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.filled == self.buffer.len() {
                self.flush();
            }
            self.buffer[self.filled] = byte;
            self.filled += 1;
        }
        Ok(())
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        self.flush();
        if self.file != libc::STDOUT_FILENO {
            // SAFETY: it was opened here.
            unsafe { libc::close(self.file) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_commands_are_remembered() {
        static NAMES: [&str; 3] = ["GET", "SET", "DEL"];
        let recent = Recent::default();
        assert_eq!(recent.names().count(), 0);
        NAMES.iter().for_each(|name| recent.note(name));
        assert_eq!(recent.names().collect::<Vec<_>>(), ["DEL", "SET", "GET"]);
        (0..100).for_each(|i| recent.note(&NAMES[i % 3]));
        assert_eq!(recent.names().count(), KEPT);
        assert_eq!(recent.names().next(), Some("GET"));
    }
}
