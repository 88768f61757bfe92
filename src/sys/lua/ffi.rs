//! The part of Lua's C interface that is used. Lua's errors jump: each function here is called only where it cannot raise
//! one, or is `lua_pcall` itself.

use std::ffi::{c_char, c_int, c_void};

/// An interpreter, or one of its coroutines.
#[repr(C)]
pub struct lua_State {
    _opaque: [u8; 0],
}

pub type lua_CFunction = unsafe extern "C" fn(*mut lua_State) -> c_int;
pub type lua_Alloc = unsafe extern "C" fn(*mut c_void, *mut c_void, usize, usize) -> *mut c_void;
pub type lua_Hook = unsafe extern "C" fn(*mut lua_State, *mut lua_Debug);

/// What `lua_getinfo` fills.
#[repr(C)]
pub struct lua_Debug {
    pub event: c_int,
    pub name: *const c_char,
    pub namewhat: *const c_char,
    pub what: *const c_char,
    pub source: *const c_char,
    pub currentline: c_int,
    pub nups: c_int,
    pub linedefined: c_int,
    pub lastlinedefined: c_int,
    pub short_src: [c_char; 60],
    pub i_ci: c_int,
}

pub const LUA_REGISTRYINDEX: c_int = -10000;
pub const LUA_GLOBALSINDEX: c_int = -10002;
pub const LUA_MULTRET: c_int = -1;
pub const LUA_MASKLINE: c_int = 1 << 2;
pub const LUA_MASKCOUNT: c_int = 1 << 3;
pub const LUA_GCCOLLECT: c_int = 2;
pub const LUA_GCSTEP: c_int = 5;
/// Free places that a C function finds on the stack.
pub const LUA_MINSTACK: u32 = 20;

unsafe extern "C" {
    pub fn lua_newstate(f: lua_Alloc, ud: *mut c_void) -> *mut lua_State;
    pub fn lua_close(l: *mut lua_State);
    pub fn lua_getallocf(l: *mut lua_State, ud: *mut *mut c_void) -> lua_Alloc;

    pub fn lua_gettop(l: *mut lua_State) -> c_int;
    pub fn lua_settop(l: *mut lua_State, idx: c_int);
    pub fn lua_pushvalue(l: *mut lua_State, idx: c_int);
    pub fn lua_remove(l: *mut lua_State, idx: c_int);
    pub fn lua_insert(l: *mut lua_State, idx: c_int);
    pub fn lua_replace(l: *mut lua_State, idx: c_int);
    pub fn lua_checkstack(l: *mut lua_State, n: c_int) -> c_int;

    pub fn lua_type(l: *mut lua_State, idx: c_int) -> c_int;
    pub fn lua_rawequal(l: *mut lua_State, a: c_int, b: c_int) -> c_int;
    pub fn lua_isnumber(l: *mut lua_State, idx: c_int) -> c_int;
    pub fn lua_tonumber(l: *mut lua_State, idx: c_int) -> f64;
    pub fn lua_toboolean(l: *mut lua_State, idx: c_int) -> c_int;
    pub fn lua_tolstring(l: *mut lua_State, idx: c_int, len: *mut usize) -> *const c_char;
    pub fn lua_topointer(l: *mut lua_State, idx: c_int) -> *const c_void;
    pub fn lua_objlen(l: *mut lua_State, idx: c_int) -> usize;

    pub fn lua_pushnil(l: *mut lua_State);
    pub fn lua_pushnumber(l: *mut lua_State, n: f64);
    pub fn lua_pushlstring(l: *mut lua_State, s: *const c_char, len: usize);
    pub fn lua_pushcclosure(l: *mut lua_State, f: lua_CFunction, n: c_int);
    pub fn lua_pushboolean(l: *mut lua_State, b: c_int);
    pub fn lua_pushlightuserdata(l: *mut lua_State, p: *mut c_void);

    pub fn lua_rawget(l: *mut lua_State, idx: c_int);
    pub fn lua_rawgeti(l: *mut lua_State, idx: c_int, n: c_int);
    pub fn lua_rawset(l: *mut lua_State, idx: c_int);
    pub fn lua_rawseti(l: *mut lua_State, idx: c_int, n: c_int);
    pub fn lua_createtable(l: *mut lua_State, narr: c_int, nrec: c_int);
    pub fn lua_getmetatable(l: *mut lua_State, idx: c_int) -> c_int;
    pub fn lua_setmetatable(l: *mut lua_State, idx: c_int) -> c_int;
    pub fn lua_setfenv(l: *mut lua_State, idx: c_int) -> c_int;
    pub fn lua_next(l: *mut lua_State, idx: c_int) -> c_int;

    pub fn lua_pcall(l: *mut lua_State, nargs: c_int, nresults: c_int, errfunc: c_int) -> c_int;
    pub fn lua_gc(l: *mut lua_State, what: c_int, data: c_int) -> c_int;
    pub fn lua_sethook(l: *mut lua_State, f: Option<lua_Hook>, mask: c_int, count: c_int) -> c_int;
    pub fn lua_gethookmask(l: *mut lua_State) -> c_int;
    pub fn lua_getstack(l: *mut lua_State, level: c_int, ar: *mut lua_Debug) -> c_int;
    pub fn lua_getinfo(l: *mut lua_State, what: *const c_char, ar: *mut lua_Debug) -> c_int;
    pub fn lua_getlocal(l: *mut lua_State, ar: *const lua_Debug, n: c_int) -> *const c_char;

    pub fn luaL_ref(l: *mut lua_State, t: c_int) -> c_int;
    pub fn luaL_unref(l: *mut lua_State, t: c_int, r: c_int);
    pub fn luaL_loadbufferx(
        l: *mut lua_State,
        buff: *const c_char,
        size: usize,
        name: *const c_char,
        mode: *const c_char,
    ) -> c_int;

    pub fn redstart_lua_enter(l: *mut lua_State) -> c_int;
    pub fn redstart_lua_enter_hook(l: *mut lua_State, ar: *mut lua_Debug);
    pub fn redstart_lua_open(l: *mut lua_State) -> c_int;
    pub fn redstart_lua_leave_hook(l: *mut lua_State) -> c_int;
    pub fn redstart_lua_reenter_hook(l: *mut lua_State);
}
