//! The one home of Lua's C interface: LuaJIT's interpreter behind a safe face.
//!
//! `Machine` owns an interpreter, `State` is the stack of the function that runs, `Fiber` runs an interpreter on a stack of
//! its own. A library is a plain Rust file that uses `State` only; see `scripting::lib` for how one is written.
//!
//! # Errors
//! Lua raises an error by a jump to the protected call (`build.rs`). That must never leave a Rust frame behind, as what this one
//! owns would not be dropped, so
//! - a Rust function returns `Err`; the C shim (`shim.c`), which called it, raises the error when the function has returned;
//! - nothing that `State` calls can raise one: types, places and room are checked before, metamethods are never asked, and the
//!   allocator refuses memory only while Lua's own code runs (`Shared::in_lua`). What Rust code takes beyond the bound is
//!   reported by `Err(Memory)` from the next call that pushes or stores, at the latest when the function returns.
#![allow(non_camel_case_types, non_snake_case)] // The names of the C interface.

mod error;
mod ffi;
mod fiber;
mod shared;
mod state;
#[cfg(test)]
mod tests;
mod tick;

pub use error::LuaError;
pub use fiber::{Fiber, FiberStack};
pub use shared::Hook;
use shared::Shared;
pub use state::{Argument, Kept, Outcome, Place, State, Type};
use std::borrow::Cow;
use std::ffi::{c_int, c_void};
use std::ptr::NonNull;
use std::rc::Rc;

/// A function for scripts: arguments are on the stack, results are left on top; it returns how many.
pub type LuaFn = fn(&mut State) -> Result<usize, LuaError>;

/// An interpreter with its memory.
pub struct Machine {
    l: NonNull<ffi::lua_State>,
    shared: Box<Shared>,
}

impl Machine {
    /// A new interpreter with the libraries `base`, `coroutine`, `table`, `string`, `math` and `os` as they come; the sandbox
    /// takes from them what is not for scripts. It may use so many bytes of memory.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn new(limit: usize) -> Result<Self, LuaError> {
        let shared = Shared::new(limit);
        // SAFETY: the allocator is given its `Shared`, which lives in the machine, longer than the interpreter.
        let l = unsafe { ffi::lua_newstate(shared::allocate, std::ptr::from_ref(&*shared).cast_mut().cast()) };
        let l = NonNull::new(l).ok_or(LuaError::Memory)?;
        shared.set_main(l.as_ptr());
        let mut machine = Machine { l, shared };
        machine.open()?;
        Ok(machine)
    }

    fn open(&mut self) -> Result<(), LuaError> {
        let mut state = self.state();
        // SAFETY: the function is called protected, below.
        unsafe { ffi::lua_pushcclosure(state.raw(), ffi::redstart_lua_open, 0) };
        state.call(0, 0)
    }

    /// The stack, while nothing runs.
    pub fn state(&mut self) -> State {
        // SAFETY: the interpreter is alive and idle, as it is borrowed mutably.
        unsafe { State::at(self.l.as_ptr()) }
    }

    /// Puts something beside the interpreter for `State::context`.
    pub fn add_context<T: 'static>(&mut self, context: Rc<T>) {
        self.shared.add_context(context);
    }

    /// Bytes of memory in use.
    pub fn memory(&self) -> usize {
        self.shared.used()
    }

    /// Changes how much memory it may use.
    pub fn set_memory_limit(&mut self, bytes: usize) {
        self.shared.set_limit(bytes);
    }

    /// Ends its use: what is left may be dropped on any thread.
    pub fn retire(mut self) -> Remains {
        self.shared.drop_contexts();
        Remains(self)
    }

    fn shared(&self) -> &Shared {
        &self.shared
    }
}

/// An interpreter that nobody uses any more. Dropping it frees its memory, which may take long.
pub struct Remains(#[expect(dead_code, reason = "Held to be dropped")] Machine);

// SAFETY: all that it can do is to be dropped. What belonged to the thread that used it, its contexts, is gone; the interpreter
// and its `Shared` are reached from nowhere else, and Lua's closing of a state runs no code of ours but the allocator.
unsafe impl Send for Remains {}

impl Drop for Machine {
    fn drop(&mut self) {
        // SAFETY: the interpreter is idle and used for the last time.
        unsafe { ffi::lua_close(self.l.as_ptr()) };
    }
}

/// What the shim is told to do, when not the number of results.
const RAISE_VALUE: c_int = -1;
const RAISE_TEXT_WITH_PLACE: c_int = -2;
const RAISE_ARGUMENT: c_int = -3;

/// Runs a Rust function for the shim.
///
/// # Safety
/// Called by the shim, with what `State::push_closure` stored.
#[unsafe(no_mangle)]
unsafe extern "C" fn redstart_lua_call(l: *mut ffi::lua_State, function: *mut c_void) -> c_int {
    // SAFETY: the address is that of a `LuaFn`.
    let function: LuaFn = unsafe { std::mem::transmute(function) };
    // SAFETY: the interpreter runs, and with it lives what belongs to it; the state is dropped before this returns.
    let (shared, mut state) = unsafe { (Shared::of(l), State::at(l)) };
    shared.in_lua.set(false);
    let code = match function(&mut state) {
        Ok(n) if !shared.is_over() => n.min(state.top()) as c_int,
        Ok(_) => raise(&mut state, LuaError::Memory),
        Err(error) => raise(&mut state, error),
    };
    shared.in_lua.set(true);
    code
}

/// Leaves what is to be raised on top of the stack.
fn raise(state: &mut State, error: LuaError) -> c_int {
    let (code, text) = match error {
        LuaError::Value if state.top() > 0 => return RAISE_VALUE,
        LuaError::Value => (RAISE_VALUE, Cow::Borrowed(&b"unknown error"[..])),
        LuaError::Text(text) => (RAISE_TEXT_WITH_PLACE, text),
        LuaError::Bare(text) => (RAISE_VALUE, text),
        LuaError::Argument { at, reason } => (RAISE_ARGUMENT - at.min(255) as c_int, reason),
        LuaError::Memory => (RAISE_VALUE, Cow::Borrowed(&b"not enough memory"[..])),
        LuaError::StackOverflow => (RAISE_TEXT_WITH_PLACE, Cow::Borrowed(&b"stack overflow"[..])),
    };
    // A stack that is full gives up what the function has no use for any more.
    let top = state.top();
    if state.push_bytes(&text).is_err() && state.top() == top {
        state.pop(ffi::LUA_MINSTACK as usize);
        if state.push_bytes(&text).is_err() && state.type_of(-1) != Type::String {
            let _ = state.push_bytes(b"stack overflow");
        }
    }
    code
}

/// Runs the hook for the shim.
///
/// # Safety
/// Called by the shim, inside a hook of Lua's.
#[unsafe(no_mangle)]
unsafe extern "C" fn redstart_lua_hook(l: *mut ffi::lua_State, at_line: c_int) -> c_int {
    // SAFETY: as in `redstart_lua_call`.
    let (shared, mut state) = unsafe { (Shared::of(l), State::at(l)) };
    let Some(hook) = shared.hook.get() else { return 0 };
    shared.in_lua.set(false);
    shared.at_line.set(at_line != 0);
    state.settle_tick();
    let raised = match hook(&mut state) {
        Ok(()) => 0,
        Err(error) => {
            raise(&mut state, error);
            1
        }
    };
    shared.in_lua.set(true);
    raised
}
