//! The stack of a running interpreter, made safe: every place is checked before it is used, room is made before something is
//! pushed, and nothing here raises a Lua error.
//!
//! An index counts from 1 (the first argument) or, negative, from the top (-1). A place that does not exist reads as `None`
//! or `Type::None` and cannot be written.

use super::ffi::{self, lua_State};
use super::shared::Shared;
use super::{Hook, LuaError, LuaFn, tick};
use std::any::TypeId;
use std::borrow::Cow;
use std::ffi::{CStr, c_int, c_void};
use std::rc::Rc;

/// The kind of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    /// There is no such place.
    None,
    Nil,
    Boolean,
    LightUserdata,
    Number,
    String,
    Table,
    Function,
    Userdata,
    Thread,
}

impl Type {
    fn of(code: c_int) -> Self {
        match code {
            0 => Type::Nil,
            1 => Type::Boolean,
            2 => Type::LightUserdata,
            3 => Type::Number,
            4 => Type::String,
            5 => Type::Table,
            6 => Type::Function,
            7 => Type::Userdata,
            8 => Type::Thread,
            _ => Type::None,
        }
    }

    /// The name that messages use.
    pub fn name(self) -> &'static str {
        match self {
            Type::None => "no value",
            Type::Nil => "nil",
            Type::Boolean => "boolean",
            Type::LightUserdata | Type::Userdata => "userdata",
            Type::Number => "number",
            Type::String => "string",
            Type::Table => "table",
            Type::Function => "function",
            Type::Thread => "thread",
        }
    }
}

/// What functions that take texts take.
pub enum Argument<'a> {
    Bytes(&'a [u8]),
    Number(f64),
}

/// A value kept where the collector finds it: `State::keep`.
#[derive(Debug, PartialEq, Eq)]
pub struct Kept(c_int);

/// A place in the source of a script.
#[derive(Debug, PartialEq, Eq, Clone)]
pub struct Place {
    /// The chunk's name as it was loaded, with its `@`.
    pub source: Vec<u8>,
    /// -1 in a function that is not Lua's.
    pub line: i32,
}

/// Longer strings are refused; Lua's own limit is just below 2 GB.
const STRING_MAX: usize = 1 << 30;
/// Hints of sizes beyond this are not followed at once.
const SIZE_HINT_MAX: usize = 1 << 16;

/// The stack of the function that runs.
pub struct State {
    l: *mut lua_State,
    shared: *const Shared,
    /// Free places on the stack that are known to exist.
    room: u32,
}

/// The results of calls and protected calls.
pub type Outcome<T = ()> = Result<T, LuaError>;

impl State {
    /// # Safety
    /// `l` is alive and idle, or runs a function that was called through the shim; the state is not used beyond that.
    pub(super) unsafe fn at(l: *mut lua_State) -> Self {
        // SAFETY: the interpreter is alive.
        let shared = unsafe { std::ptr::from_ref(Shared::of(l)) };
        State { l, shared, room: ffi::LUA_MINSTACK }
    }

    pub(super) fn raw(&self) -> *mut lua_State {
        self.l
    }

    #[inline]
    pub(super) fn shared(&self) -> &Shared {
        // SAFETY: the interpreter, and what it shares, is alive as long as its states.
        unsafe { &*self.shared }
    }

    /// Makes room for `n` values.
    #[inline]
    pub fn reserve(&mut self, n: u32) -> Outcome {
        if self.room < n {
            self.grow(n)?;
        }
        Ok(())
    }

    #[cold]
    fn grow(&mut self, n: u32) -> Outcome {
        let wanted = n.max(ffi::LUA_MINSTACK);
        // SAFETY: it answers with failure instead of raising an error.
        if unsafe { ffi::lua_checkstack(self.l, wanted as c_int) } == 0 {
            return Err(LuaError::StackOverflow);
        }
        self.room = wanted;
        Ok(())
    }

    /// Room for one value, and memory for it.
    #[inline]
    fn prepare(&mut self) -> Outcome {
        if self.room == 0 {
            self.grow(1)?;
        }
        self.room -= 1;
        Ok(())
    }

    /// Fails once Rust code has used more memory than the script may have.
    #[inline]
    pub fn check_memory(&self) -> Outcome {
        if self.shared().is_over() { Err(LuaError::Memory) } else { Ok(()) }
    }

    /// Number of values on the stack; at first those are the arguments.
    #[inline]
    pub fn top(&self) -> usize {
        // SAFETY: reads a difference of pointers.
        unsafe { ffi::lua_gettop(self.l) as usize }
    }

    /// An index from the bottom, if there is a value.
    #[inline]
    fn place(&self, index: i32) -> Option<c_int> {
        let top = self.top() as i32;
        let at = if index < 0 { top + 1 + index } else { index };
        (at >= 1 && at <= top).then_some(at)
    }

    fn existing(&self, index: i32) -> Outcome<c_int> {
        self.place(index).ok_or(LuaError::Bare(Cow::Borrowed(b"no such place on the stack")))
    }

    fn table(&self, index: i32) -> Outcome<c_int> {
        let at = self.existing(index)?;
        match self.type_of(at) {
            Type::Table => Ok(at),
            _ => Err(LuaError::Bare(Cow::Borrowed(b"not a table"))),
        }
    }

    /// Drops all values above the first `n`, or fills up with nil.
    pub fn set_top(&mut self, n: usize) -> Outcome {
        let top = self.top();
        if n > top {
            self.reserve((n - top) as u32)?;
        }
        // SAFETY: there is room.
        unsafe { ffi::lua_settop(self.l, n as c_int) };
        self.room = if n > top { self.room - (n - top) as u32 } else { self.room + (top - n) as u32 };
        Ok(())
    }

    /// Drops `n` values, or all if there are fewer.
    #[inline]
    pub fn pop(&mut self, n: usize) {
        let top = self.top();
        let n = n.min(top);
        // SAFETY: there are as many.
        unsafe { ffi::lua_settop(self.l, (top - n) as c_int) };
        self.room += n as u32;
    }

    /// Removes a value; those above move down.
    pub fn remove(&mut self, index: i32) {
        if let Some(at) = self.place(index) {
            // SAFETY: the place exists.
            unsafe { ffi::lua_remove(self.l, at) };
            self.room += 1;
        }
    }

    /// Moves the value on top to this place; those above move up.
    pub fn insert(&mut self, index: i32) {
        if let Some(at) = self.place(index) {
            // SAFETY: the place exists.
            unsafe { ffi::lua_insert(self.l, at) };
        }
    }

    /// Moves the value on top to this place, in the stead of what is there.
    pub fn replace(&mut self, index: i32) {
        if let Some(at) = self.place(index) {
            // SAFETY: the place exists, and so does the top.
            unsafe { ffi::lua_replace(self.l, at) };
            self.room += 1;
        }
    }

    /// What kind of value is there.
    #[inline]
    pub fn type_of(&self, index: i32) -> Type {
        match self.place(index) {
            // SAFETY: the place exists.
            Some(at) => Type::of(unsafe { ffi::lua_type(self.l, at) }),
            None => Type::None,
        }
    }

    /// The value as a condition: false for nil and false.
    pub fn truth(&self, index: i32) -> bool {
        // SAFETY: the place exists.
        self.place(index).is_some_and(|at| unsafe { ffi::lua_toboolean(self.l, at) != 0 })
    }

    /// A number, or a string that reads as one.
    #[inline]
    pub fn number(&self, index: i32) -> Option<f64> {
        let at = self.place(index)?;
        // SAFETY: the place exists.
        unsafe {
            let number = ffi::lua_tonumber(self.l, at);
            (number != 0.0 || ffi::lua_isnumber(self.l, at) != 0).then_some(number)
        }
    }

    /// The bytes of a string; `None` for numbers, too.
    #[inline]
    pub fn bytes(&self, index: i32) -> Option<&[u8]> {
        let at = self.place(index)?;
        // SAFETY: the place exists and holds a string: nothing is converted. The string stays as it is on the stack, and
        // the stack cannot change while it is borrowed.
        unsafe {
            if ffi::lua_type(self.l, at) != 4 {
                return None;
            }
            let mut len = 0;
            let start = ffi::lua_tolstring(self.l, at, &mut len);
            Some(std::slice::from_raw_parts(start.cast(), len))
        }
    }

    /// Hands over the arguments of the function that runs, or whatever is on the stack, in order. False if one was neither a
    /// string nor a number; the rest is left out then.
    #[inline]
    pub fn each_argument(&self, mut f: impl FnMut(Argument<'_>)) -> bool {
        for at in 1..=self.top() as c_int {
            // SAFETY: the place exists. A string stays as it is on the stack, which does not change meanwhile.
            unsafe {
                match ffi::lua_type(self.l, at) {
                    4 => {
                        let mut len = 0;
                        let start = ffi::lua_tolstring(self.l, at, &mut len);
                        f(Argument::Bytes(std::slice::from_raw_parts(start.cast(), len)));
                    }
                    3 => f(Argument::Number(ffi::lua_tonumber(self.l, at))),
                    _ => return false,
                }
            }
        }
        true
    }

    /// The bytes of a string or number. The number in this place becomes a string: not for the keys of a walk with `next`.
    pub fn text(&mut self, index: i32) -> Option<&[u8]> {
        if self.type_of(index) == Type::Number
            && let Some(at) = self.place(index)
        {
            // SAFETY: the place exists; making a string of a number can only fail for want of memory, which Rust code is
            // never told.
            unsafe { ffi::lua_tolstring(self.l, at, std::ptr::null_mut()) };
        }
        self.bytes(index)
    }

    /// An address that tells tables, functions and the like apart.
    pub fn address(&self, index: i32) -> Option<usize> {
        // SAFETY: the place exists.
        self.place(index).map(|at| unsafe { ffi::lua_topointer(self.l, at) as usize })
    }

    /// True if both are the same value, without asking metamethods.
    pub fn raw_equal(&self, a: i32, b: i32) -> bool {
        match (self.place(a), self.place(b)) {
            // SAFETY: both places exist.
            (Some(a), Some(b)) => unsafe { ffi::lua_rawequal(self.l, a, b) != 0 },
            _ => false,
        }
    }

    pub fn push_nil(&mut self) -> Outcome {
        self.prepare()?;
        // SAFETY: there is room.
        unsafe { ffi::lua_pushnil(self.l) };
        Ok(())
    }

    pub fn push_boolean(&mut self, yes: bool) -> Outcome {
        self.prepare()?;
        // SAFETY: there is room.
        unsafe { ffi::lua_pushboolean(self.l, yes as c_int) };
        Ok(())
    }

    /// Pushes an address that is none: a value unlike any other, which stands for a null.
    pub fn push_null(&mut self) -> Outcome {
        self.prepare()?;
        // SAFETY: there is room.
        unsafe { ffi::lua_pushlightuserdata(self.l, std::ptr::null_mut()) };
        Ok(())
    }

    #[inline]
    pub fn push_number(&mut self, number: f64) -> Outcome {
        self.prepare()?;
        // SAFETY: there is room.
        unsafe { ffi::lua_pushnumber(self.l, number) };
        Ok(())
    }

    #[inline]
    pub fn push_bytes(&mut self, bytes: &[u8]) -> Outcome {
        if bytes.len() > STRING_MAX {
            return Err(LuaError::Memory);
        }
        self.prepare()?;
        // SAFETY: there is room; the length is below Lua's limit; want of memory is not told to Rust code.
        unsafe { ffi::lua_pushlstring(self.l, bytes.as_ptr().cast(), bytes.len()) };
        self.check_memory()
    }

    /// Pushes a copy of a value.
    #[inline]
    pub fn push_copy(&mut self, index: i32) -> Outcome {
        let at = self.existing(index)?;
        self.prepare()?;
        // SAFETY: the place exists and there is room.
        unsafe { ffi::lua_pushvalue(self.l, at) };
        Ok(())
    }

    /// Pushes a function of ours.
    pub fn push_function(&mut self, function: LuaFn) -> Outcome {
        self.push_closure(function, 0)
    }

    /// Pushes a function of ours; the `n` values on top become its own, to be read with `push_upvalue`.
    pub fn push_closure(&mut self, function: LuaFn, n: usize) -> Outcome {
        const UPVALUES_MAX: usize = 250;
        if n > self.top() || n > UPVALUES_MAX {
            return Err(LuaError::Bare(Cow::Borrowed(b"no such place on the stack")));
        }
        self.prepare()?;
        // SAFETY: there is room for the address, which goes below the other values; `redstart_lua_call` takes it as what
        // it is.
        unsafe {
            ffi::lua_pushlightuserdata(self.l, function as *mut c_void);
            ffi::lua_insert(self.l, -1 - n as c_int);
            ffi::lua_pushcclosure(self.l, ffi::redstart_lua_enter, n as c_int + 1);
        }
        self.room += n as u32;
        self.check_memory()
    }

    /// Pushes value `n` (from 1) of the function that runs. Only inside functions of ours.
    pub fn push_upvalue(&mut self, n: usize) -> Outcome {
        self.prepare()?;
        // SAFETY: there is room; an upvalue that does not exist reads as nil.
        unsafe { ffi::lua_pushvalue(self.l, ffi::LUA_GLOBALSINDEX - 1 - n as c_int) };
        Ok(())
    }

    /// Pushes a new table with room for so many items and fields.
    pub fn push_table(&mut self, items: usize, fields: usize) -> Outcome {
        self.prepare()?;
        let (items, fields) = (items.min(SIZE_HINT_MAX), fields.min(SIZE_HINT_MAX));
        // SAFETY: there is room, and the sizes are far below Lua's limits.
        unsafe { ffi::lua_createtable(self.l, items as c_int, fields as c_int) };
        self.check_memory()
    }

    /// Number of items of a table, or of bytes of a string.
    pub fn raw_len(&self, index: i32) -> usize {
        // SAFETY: the place exists.
        self.place(index).map_or(0, |at| unsafe { ffi::lua_objlen(self.l, at) })
    }

    /// Replaces the key on top by its value in the table, without metamethods.
    pub fn raw_get(&mut self, table: i32) -> Outcome {
        let at = self.table(table)?;
        // SAFETY: it is a table, and the key is on top.
        unsafe { ffi::lua_rawget(self.l, at) };
        Ok(())
    }

    /// Pushes item `n` of a table.
    #[inline]
    pub fn raw_get_item(&mut self, table: i32, n: i32) -> Outcome {
        let at = self.table(table)?;
        self.prepare()?;
        // SAFETY: it is a table, and there is room.
        unsafe { ffi::lua_rawgeti(self.l, at, n) };
        Ok(())
    }

    /// Pushes a field of a table.
    pub fn raw_get_field(&mut self, table: i32, name: &str) -> Outcome {
        let at = self.table(table)?;
        self.push_bytes(name.as_bytes())?;
        self.raw_get(at)
    }

    /// Sets `table[key] = value`, which are on top, the value uppermost, and drops them. A key can be neither nil nor NaN.
    pub fn raw_set(&mut self, table: i32) -> Outcome {
        let at = self.table(table)?;
        let bad_key = match self.type_of(-2) {
            Type::Nil | Type::None => true,
            Type::Number => self.number(-2).is_none_or(f64::is_nan),
            _ => false,
        };
        if bad_key {
            return Err(LuaError::text("table index is nil"));
        }
        self.check_memory()?;
        // SAFETY: it is a table; the key is good; the bound on memory keeps tables below Lua's limit of size.
        unsafe { ffi::lua_rawset(self.l, at) };
        self.room += 2;
        Ok(())
    }

    /// Sets item `n` of a table to the value on top, and drops that.
    #[inline]
    pub fn raw_set_item(&mut self, table: i32, n: i32) -> Outcome {
        let at = self.table(table)?;
        self.check_memory()?;
        // SAFETY: it is a table (so there is a top); the bound on memory keeps it below Lua's limit of size.
        unsafe { ffi::lua_rawseti(self.l, at, n) };
        self.room += 1;
        Ok(())
    }

    /// Sets a field of a table to the value on top, and drops that.
    pub fn raw_set_field(&mut self, table: i32, name: &str) -> Outcome {
        let at = self.table(table)?;
        self.push_bytes(name.as_bytes())?;
        self.insert(-2);
        self.raw_set(at)
    }

    /// Adds a function of ours to a table.
    pub fn set_function(&mut self, table: i32, name: &str, function: LuaFn) -> Outcome {
        let at = self.table(table)?;
        self.push_function(function)?;
        self.raw_set_field(at, name)
    }

    /// Walks a table: replaces the key on top (nil at first) by the next key and its value. False at the end, when the key
    /// was dropped. The table must not get new keys meanwhile, nor the key be changed: that ends the process.
    pub fn next(&mut self, table: i32) -> Outcome<bool> {
        let at = self.table(table)?;
        self.reserve(1)?;
        // SAFETY: it is a table, there is room, and the key on top came from this walk.
        let more = unsafe { ffi::lua_next(self.l, at) != 0 };
        self.room = if more { self.room - 1 } else { self.room + 1 };
        Ok(more)
    }

    /// Pushes the metatable of a value, if it has one.
    pub fn push_metatable(&mut self, index: i32) -> Outcome<bool> {
        let at = self.existing(index)?;
        self.reserve(1)?;
        // SAFETY: the place exists, and there is room.
        let has = unsafe { ffi::lua_getmetatable(self.l, at) != 0 };
        self.room -= has as u32;
        Ok(has)
    }

    /// Makes the table (or nil) on top the metatable of a value, and drops it.
    pub fn set_metatable(&mut self, index: i32) -> Outcome {
        let at = self.existing(index)?;
        if !matches!(self.type_of(-1), Type::Table | Type::Nil) {
            return Err(LuaError::Bare(Cow::Borrowed(b"not a table")));
        }
        // SAFETY: the place exists, and a table or nil is on top.
        unsafe { ffi::lua_setmetatable(self.l, at) };
        self.room += 1;
        Ok(())
    }

    /// Makes the table on top the environment of a function, and drops it.
    pub fn set_environment(&mut self, index: i32) -> Outcome {
        let at = self.existing(index)?;
        self.table(-1)?;
        // SAFETY: the place exists, and a table is on top.
        unsafe { ffi::lua_setfenv(self.l, at) };
        self.room += 1;
        Ok(())
    }

    /// Pushes the table of globals.
    pub fn push_globals(&mut self) -> Outcome {
        self.prepare()?;
        // SAFETY: there is room.
        unsafe { ffi::lua_pushvalue(self.l, ffi::LUA_GLOBALSINDEX) };
        Ok(())
    }

    /// Makes the table on top the globals of what is loaded from here on, and drops it.
    pub fn set_globals(&mut self) -> Outcome {
        self.table(-1)?;
        // SAFETY: a table is on top.
        unsafe { ffi::lua_replace(self.l, ffi::LUA_GLOBALSINDEX) };
        self.room += 1;
        Ok(())
    }

    /// Keeps the value on top for later, and drops it from the stack.
    pub fn keep(&mut self) -> Outcome<Kept> {
        self.existing(-1)?;
        self.reserve(2)?;
        // SAFETY: there is a value on top, and room for what it does.
        let kept = Kept(unsafe { ffi::luaL_ref(self.l, ffi::LUA_REGISTRYINDEX) });
        self.room += 1;
        self.check_memory()?;
        Ok(kept)
    }

    /// Pushes a kept value.
    #[inline]
    pub fn push_kept(&mut self, kept: &Kept) -> Outcome {
        self.prepare()?;
        // SAFETY: there is room.
        unsafe { ffi::lua_rawgeti(self.l, ffi::LUA_REGISTRYINDEX, kept.0) };
        Ok(())
    }

    /// Gives a kept value up.
    pub fn release(&mut self, kept: Kept) {
        if self.reserve(2).is_ok() {
            // SAFETY: the number was given out by `luaL_ref` and is used for the last time.
            unsafe { ffi::luaL_unref(self.l, ffi::LUA_REGISTRYINDEX, kept.0) };
        }
    }

    /// Compiles source text; the function is on top then. Never precompiled code.
    pub fn load(&mut self, source: &[u8], name: &CStr) -> Outcome {
        self.prepare()?;
        let was = self.shared().in_lua.replace(true);
        // SAFETY: there is room for the function or the message; errors are returned.
        let code = unsafe { ffi::luaL_loadbufferx(self.l, source.as_ptr().cast(), source.len(), name.as_ptr(), c"t".as_ptr()) };
        self.shared().in_lua.set(was);
        if code == 0 { Ok(()) } else { Err(LuaError::Value) }
    }

    /// Calls the function below `arguments` values; `results` values are on top then, or the error.
    pub fn call(&mut self, arguments: usize, results: usize) -> Outcome {
        self.call_protected(arguments, results as c_int, 0)
    }

    /// As `call`, with all results; returns how many.
    pub fn call_open(&mut self, arguments: usize) -> Outcome<usize> {
        let below = self.top().saturating_sub(arguments + 1);
        self.call_protected(arguments, ffi::LUA_MULTRET, 0)?;
        Ok(self.top() - below)
    }

    /// As `call`; the function at `handler` is given the error where it happened and returns what becomes of it.
    pub fn call_handled(&mut self, arguments: usize, results: usize, handler: i32) -> Outcome {
        let handler = self.existing(handler)?;
        self.call_protected(arguments, results as c_int, handler)
    }

    /// As `call`, in the middle of a hook: `hook` is called after every `count` instructions of what is called. No hook is set
    /// when this returns.
    pub fn call_in_hook(&mut self, arguments: usize, results: usize, hook: Hook, count: u32) -> Outcome {
        // SAFETY: the interpreter is alive; that a hook runs is taken back below, before that hook returns.
        let was_in_hook = unsafe { ffi::redstart_lua_leave_hook(self.l) != 0 };
        self.set_hook(Some((hook, count)));
        let called = self.call(arguments, results);
        self.set_hook(None);
        if was_in_hook {
            // SAFETY: as above.
            unsafe { ffi::redstart_lua_reenter_hook(self.l) };
        }
        called
    }

    fn call_protected(&mut self, arguments: usize, results: c_int, handler: c_int) -> Outcome {
        let top = self.top();
        if arguments >= top {
            return Err(LuaError::Bare(Cow::Borrowed(b"no such place on the stack")));
        }
        self.reserve(results.max(1) as u32)?;
        let was = self.shared().in_lua.replace(true);
        // SAFETY: a function and its arguments are on top, and there is room for the results. Errors end here.
        let code = unsafe { ffi::lua_pcall(self.l, arguments as c_int, results, handler) };
        self.shared().in_lua.set(was);
        // How much room is left is only known for what was on the stack before.
        self.room = 0;
        if code == 0 { Ok(()) } else { Err(LuaError::Value) }
    }

    /// Where the function `level` calls up is: 0 is the one that runs, 1 its caller.
    pub fn place_of(&self, level: i32) -> Option<Place> {
        // SAFETY: a structure of pointers and numbers may be zero; Lua fills it before it is read, and `source` is a string
        // that lives as long as its function, which is on the stack.
        unsafe {
            let mut activation: ffi::lua_Debug = std::mem::zeroed();
            if ffi::lua_getstack(self.l, level, &mut activation) == 0
                || ffi::lua_getinfo(self.l, c"Sl".as_ptr(), &mut activation) == 0
            {
                return None;
            }
            let source = CStr::from_ptr(activation.source).to_bytes().to_vec();
            Some(Place { source, line: activation.currentline })
        }
    }

    /// What the function `level` calls up is called by its caller, if that has a name for it.
    pub fn name_of(&self, level: i32) -> Option<Vec<u8>> {
        // SAFETY: as in `place_of`; a name is a string that lives as long as the function that holds it, which is on the stack.
        unsafe {
            let mut activation: ffi::lua_Debug = std::mem::zeroed();
            if ffi::lua_getstack(self.l, level, &mut activation) == 0
                || ffi::lua_getinfo(self.l, c"n".as_ptr(), &mut activation) == 0
                || activation.name.is_null()
            {
                return None;
            }
            Some(CStr::from_ptr(activation.name).to_bytes().to_vec())
        }
    }

    /// Tells activations of functions apart: the stack that the function which runs is on, and how far up it is there.
    pub fn frame(&self) -> (usize, u32) {
        const OFFSET: u32 = 0xFFFF;
        // SAFETY: as in `place_of`.
        let activation = unsafe {
            let mut activation: ffi::lua_Debug = std::mem::zeroed();
            ffi::lua_getstack(self.l, 0, &mut activation);
            activation
        };
        (self.l as usize, activation.i_ci as u32 & OFFSET)
    }

    /// Pushes local variable `n` (from 1) of the function `level` calls up, and returns its name. `None` if there is no such.
    pub fn push_local(&mut self, level: i32, n: i32) -> Outcome<Option<Vec<u8>>> {
        self.reserve(1)?;
        // SAFETY: as in `place_of`; there is room for the value, and the name lives as long as the function.
        unsafe {
            let mut activation: ffi::lua_Debug = std::mem::zeroed();
            if n < 1 || ffi::lua_getstack(self.l, level, &mut activation) == 0 {
                return Ok(None);
            }
            let name = ffi::lua_getlocal(self.l, &activation, n);
            if name.is_null() {
                return Ok(None);
            }
            self.room -= 1;
            Ok(Some(CStr::from_ptr(name).to_bytes().to_vec()))
        }
    }

    /// Calls `hook` every few milliseconds while Lua's code runs, or never again: before the interpreter is left for longer than
    /// it takes to answer.
    pub fn set_tick(&mut self, hook: Option<Hook>) {
        /// Instructions in a tick where there is no timer.
        const COUNT: u32 = 100_000;
        let Some(hook) = hook else {
            tick::leave();
            // SAFETY: the interpreter is alive.
            if self.shared().hook.take().is_some() && unsafe { ffi::lua_gethookmask(self.l) } != 0 {
                self.set_hook(None);
            }
            return;
        };
        if tick::enter(self.shared()) {
            self.shared().by_ticks.set(true);
            self.shared().hook.set(Some(hook));
        } else {
            self.set_hook(Some((hook, COUNT)));
        }
    }

    /// Takes the hook of one tick out again.
    pub(super) fn settle_tick(&mut self) {
        if self.shared().by_ticks.get() {
            tick::leave();
            // SAFETY: no hook is set any more.
            unsafe { ffi::lua_sethook(self.l, None, 0, 0) };
            tick::enter(self.shared());
        }
    }

    /// Calls `hook` after every `count` instructions, or never again.
    pub fn set_hook(&mut self, hook: Option<(Hook, u32)>) {
        self.set_hook_for(hook, ffi::LUA_MASKCOUNT);
    }

    /// Calls `hook` where a line begins, and after every `count` instructions: `is_at_line` tells which.
    pub fn set_line_hook(&mut self, hook: Hook, count: u32) {
        self.set_hook_for(Some((hook, count)), ffi::LUA_MASKLINE | ffi::LUA_MASKCOUNT);
    }

    /// True in a hook that was called because a line begins.
    pub fn is_at_line(&self) -> bool {
        self.shared().at_line.get()
    }

    fn set_hook_for(&mut self, hook: Option<(Hook, u32)>, events: c_int) {
        tick::leave();
        self.shared().by_ticks.set(false);
        self.shared().hook.set(hook.map(|(hook, _)| hook));
        let (entry, mask, count): (Option<ffi::lua_Hook>, _, _) = match hook {
            Some((_, count)) => (Some(ffi::redstart_lua_enter_hook), events, count as c_int),
            None => (None, 0, 0),
        };
        // SAFETY: the hook is the shim's, which calls what was stored just now.
        unsafe { ffi::lua_sethook(self.l, entry, mask, count) };
    }

    /// Bytes of memory in use by the interpreter.
    pub fn memory(&self) -> usize {
        self.shared().used()
    }

    /// Lets the hook run, as it does while Lua's own code does: for functions that may take long.
    pub fn give_way(&mut self) -> Outcome {
        self.shared().at_line.set(false);
        match self.shared().hook.get() {
            Some(hook) => hook(self),
            None => Ok(()),
        }
    }

    /// Bytes of memory that the interpreter may still take.
    pub fn memory_left(&self) -> usize {
        self.shared().left()
    }

    /// Collects a little garbage; a larger number does more.
    pub fn collect_step(&mut self, size: u32) {
        // SAFETY: nothing has a finalizer that could fail.
        unsafe { ffi::lua_gc(self.l, ffi::LUA_GCSTEP, size as c_int) };
    }

    /// Collects all garbage.
    pub fn collect(&mut self) {
        // SAFETY: as above.
        unsafe { ffi::lua_gc(self.l, ffi::LUA_GCCOLLECT, 0) };
    }

    /// What `Machine::add_context` put beside the interpreter.
    pub fn context<T: 'static>(&self) -> Option<Rc<T>> {
        self.shared().context()
    }

    /// Leaves the fiber in the middle with `ask`, and goes on with what it is resumed with. `None` outside of a fiber of these
    /// types.
    pub fn ask<Ask: 'static, Answer: 'static>(&mut self, ask: Ask) -> Option<Answer> {
        let (types, yielder) = self.shared().yielder.get()?;
        if types != TypeId::of::<(Ask, Answer)>() {
            return None;
        }
        // SAFETY: `Fiber` stored the address of a yielder of these types, which lives while its body runs: now.
        let yielder = unsafe { &*yielder.cast::<corosensei::Yielder<Answer, Ask>>() };
        Some(yielder.suspend(ask))
    }
}
