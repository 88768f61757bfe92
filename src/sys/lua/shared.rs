//! What an interpreter shares with its functions: the count and bound of its memory, the way out of a fiber, the hook, and
//! whatever the rooms above put beside it.

use super::ffi;
use super::{LuaError, State};
use std::alloc::Layout;
use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::rc::Rc;

/// Called from time to time while a script runs; an error ends the script.
pub type Hook = fn(&mut State) -> Result<(), LuaError>;

/// Lives as long as its interpreter, at one address.
pub(super) struct Shared {
    used: Cell<usize>,
    limit: Cell<usize>,
    /// Lua's own code runs, which can be told that there is no memory. Rust code between cannot.
    pub in_lua: Cell<bool>,
    pub hook: Cell<Option<Hook>>,
    /// What `State::ask` suspends, and the types that it takes.
    pub yielder: Cell<Option<(TypeId, *const c_void)>>,
    contexts: RefCell<Vec<(TypeId, Rc<dyn Any>)>>,
    /// The interpreter itself, not one of its coroutines.
    main: Cell<*mut ffi::lua_State>,
    /// The hook is called by ticks, each of which puts it in place once.
    pub by_ticks: Cell<bool>,
    /// The hook was called because a line begins.
    pub at_line: Cell<bool>,
}

impl Shared {
    pub fn new(limit: usize) -> Box<Self> {
        Box::new(Shared {
            used: Cell::new(0),
            limit: Cell::new(limit),
            in_lua: Cell::new(false),
            hook: Cell::new(None),
            yielder: Cell::new(None),
            contexts: RefCell::default(),
            main: Cell::new(std::ptr::null_mut()),
            by_ticks: Cell::new(false),
            at_line: Cell::new(false),
        })
    }

    /// That of an interpreter.
    ///
    /// # Safety
    /// `l` belongs to an interpreter that `Machine::new` made and that is alive for as long as the reference is used.
    #[inline]
    pub unsafe fn of<'a>(l: *mut ffi::lua_State) -> &'a Shared {
        let mut ud = std::ptr::null_mut();
        // SAFETY: the interpreter is alive; it was made with `allocate` and a `Shared` that outlives it.
        unsafe {
            ffi::lua_getallocf(l, &mut ud);
            &*ud.cast::<Shared>()
        }
    }

    /// The interpreter.
    #[inline]
    pub fn main(&self) -> *mut ffi::lua_State {
        self.main.get()
    }

    pub fn set_main(&self, l: *mut ffi::lua_State) {
        self.main.set(l);
    }

    pub fn used(&self) -> usize {
        self.used.get()
    }

    pub fn left(&self) -> usize {
        self.limit.get().saturating_sub(self.used.get())
    }

    /// True if Rust code took more memory than scripts may have.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.used.get() > self.limit.get()
    }

    pub fn set_limit(&self, bytes: usize) {
        self.limit.set(bytes);
    }

    pub fn add_context<T: 'static>(&self, context: Rc<T>) {
        self.contexts.borrow_mut().push((TypeId::of::<T>(), context));
    }

    pub fn drop_contexts(&mut self) {
        self.contexts.get_mut().clear();
    }

    pub fn context<T: 'static>(&self) -> Option<Rc<T>> {
        let contexts = self.contexts.borrow();
        let (_, context) = contexts.iter().find(|(type_id, _)| *type_id == TypeId::of::<T>())?;
        context.clone().downcast::<T>().ok()
    }
}

/// Lua aligns nothing more strictly.
const ALIGN: usize = 16;

/// Lua's allocator: memory of the process, counted and bounded. While Rust code is on the stack the bound gives way, as an
/// error raised there would jump across it; whoever runs next in Lua's own code is refused.
///
/// # Safety
/// Called by Lua, with the `Shared` of the interpreter and blocks that this function gave out.
pub(super) unsafe extern "C" fn allocate(ud: *mut c_void, block: *mut c_void, old: usize, new: usize) -> *mut c_void {
    // SAFETY: see `Shared::of`.
    let shared = unsafe { &*ud.cast::<Shared>() };
    let old = if block.is_null() { 0 } else { old };
    let used = shared.used.get() - old;
    let layout = |size| Layout::from_size_align(size, ALIGN).ok();
    if new == 0 {
        if let Some(layout) = layout(old).filter(|_| !block.is_null()) {
            // SAFETY: the block was allocated here with this size.
            unsafe { std::alloc::dealloc(block.cast(), layout) };
        }
        shared.used.set(used);
        return std::ptr::null_mut();
    }
    if new > old && used + new > shared.limit.get() && shared.in_lua.get() {
        return std::ptr::null_mut();
    }
    let (Some(before), Some(after)) = (layout(old.max(1)), layout(new)) else { return std::ptr::null_mut() };
    // SAFETY: sizes are not zero, and the block was allocated here with the size `old`.
    let made = unsafe { if block.is_null() { std::alloc::alloc(after) } else { std::alloc::realloc(block.cast(), before, new) } };
    if made.is_null() {
        if !shared.in_lua.get() {
            std::alloc::handle_alloc_error(after);
        }
        return made.cast();
    }
    shared.used.set(used + new);
    made.cast()
}
