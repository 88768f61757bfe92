//! What looks after a script that runs long: a timer of the thread, whose signal puts the hook into the interpreter that runs
//! there.
//!
//! A hook that counts instructions would do the same without a signal, but an interpreter that counts is two to three times
//! slower. The timer costs a script nothing: it is started with the first one and goes on, a tick every few milliseconds,
//! until no script has run for a while. Where there is no such timer, instructions are counted.
//!
//! `lua_sethook` is what LuaJIT means to be called by a signal's handler. It must not be interrupted by itself, which `leave`
//! and `enter` around every other call of it see to.

use super::ffi;
use super::shared::Shared;
use std::cell::Cell;
use std::ptr;

/// Time between two ticks.
#[cfg(target_os = "linux")]
const TICK_NANOS: i64 = 2_000_000;
/// So many ticks without a script stop the timer.
#[cfg(target_os = "linux")]
const IDLE_MAX: u32 = 10;

thread_local! {
    /// The interpreter whose script runs on this thread. Read by the signal's handler, as are the next two: plain cells, which
    /// are there from the start and need no destructor.
    static RUNNING: Cell<*mut ffi::lua_State> = const { Cell::new(ptr::null_mut()) };
    /// Ticks since a script ran.
    static IDLE: Cell<u32> = const { Cell::new(0) };
    /// The timer that ticks, if it does.
    static TICKING: Cell<Option<timer::Id>> = const { Cell::new(None) };
    /// Ends the timer with the thread.
    static TIMER: timer::Timer = timer::Timer::new();
}

/// From now on the interpreter's script is looked after. False if that is not possible here.
#[inline]
pub(super) fn enter(shared: &Shared) -> bool {
    RUNNING.set(shared.main());
    TICKING.get().is_some() || start()
}

/// Nothing is looked after any more.
#[inline]
pub(super) fn leave() {
    RUNNING.set(ptr::null_mut());
}

#[cold]
fn start() -> bool {
    IDLE.set(0);
    let ticking = TIMER.try_with(timer::Timer::start).ok().flatten();
    TICKING.set(ticking);
    ticking.is_some()
}

#[cfg(target_os = "linux")]
mod timer {
    use super::{IDLE, IDLE_MAX, RUNNING, TICK_NANOS, TICKING, ffi};
    use std::ffi::c_int;
    use std::{mem, ptr};

    pub type Id = libc::timer_t;

    /// This thread's timer.
    pub struct Timer(Option<Id>);

    /// A signal that nothing else here uses.
    fn signal() -> c_int {
        libc::SIGRTMIN() + 5
    }

    impl Timer {
        pub fn new() -> Self {
            // SAFETY: both structures are plain data; the handler lives for ever and does nothing that a handler may not. The
            // signal goes to this thread.
            unsafe {
                let mut action: libc::sigaction = mem::zeroed();
                action.sa_sigaction = on_tick as extern "C" fn(c_int) as usize;
                action.sa_flags = libc::SA_RESTART;
                if libc::sigaction(signal(), &action, ptr::null_mut()) != 0 {
                    return Timer(None);
                }
                let mut event: libc::sigevent = mem::zeroed();
                event.sigev_notify = libc::SIGEV_THREAD_ID;
                event.sigev_signo = signal();
                event.sigev_notify_thread_id = libc::gettid();
                let mut id: Id = ptr::null_mut();
                let made = libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut id) == 0;
                Timer(made.then_some(id))
            }
        }

        /// Lets it tick.
        pub fn start(&self) -> Option<Id> {
            self.0.filter(|id| set(*id, TICK_NANOS))
        }
    }

    impl Drop for Timer {
        fn drop(&mut self) {
            TICKING.set(None);
            if let Some(id) = self.0 {
                // SAFETY: the timer was made here and is used for the last time.
                unsafe { libc::timer_delete(id) };
            }
        }
    }

    /// Lets a timer tick, or stops it (0).
    fn set(id: Id, nanos: i64) -> bool {
        let tick = libc::timespec { tv_sec: 0, tv_nsec: nanos };
        let every = libc::itimerspec { it_interval: tick, it_value: tick };
        // SAFETY: the timer lives as long as its thread; the structure is read during the call.
        unsafe { libc::timer_settime(id, 0, &every, ptr::null_mut()) == 0 }
    }

    /// The signal's handler: what it does must not allocate, lock or fail.
    extern "C" fn on_tick(_: c_int) {
        let running = RUNNING.get();
        if !running.is_null() {
            IDLE.set(0);
            // SAFETY: the interpreter lives while it is in `RUNNING`, on this thread, which is not inside `lua_sethook`.
            unsafe {
                if ffi::lua_gethookmask(running) == 0 {
                    ffi::lua_sethook(running, Some(ffi::redstart_lua_enter_hook), ffi::LUA_MASKCOUNT, 1);
                }
            }
            return;
        }
        IDLE.set(IDLE.get() + 1);
        if IDLE.get() >= IDLE_MAX
            && let Some(id) = TICKING.take()
        {
            // SAFETY: where the thread's error number is, it can be read and written.
            unsafe {
                let errno = *libc::__errno_location();
                set(id, 0);
                *libc::__errno_location() = errno;
            }
        }
    }
}

/// No timer whose signal goes to one thread.
#[cfg(not(target_os = "linux"))]
mod timer {
    pub type Id = ();
    pub struct Timer;

    impl Timer {
        pub fn new() -> Self {
            Timer
        }

        pub fn start(&self) -> Option<Id> {
            None
        }
    }
}
