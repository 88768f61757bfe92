//! The walls around scripts: what they find, what they cannot change, and that nothing stays from one script to the next.
//!
//! A table that scripts may read but not change is hidden behind an empty one, whose metatable passes reads on and refuses
//! writes. Lua's functions that look at a table without asking metatables (`pairs`, `rawget`, `rawset`, `table.insert` …) are
//! replaced by ones that know the hidden tables.

use super::interpreter::Run;
use super::lib::arguments;
use super::{api, format, lib, random};
use crate::sys::lua::{Kept, LuaError, LuaFn, Outcome, State, Type};
use std::borrow::Cow;
use std::ffi::CString;

/// Of Lua's globals, those that stay.
const GLOBALS: &[&str] = &[
    "_VERSION",
    "assert",
    "collectgarbage",
    "coroutine",
    "error",
    "gcinfo",
    "getmetatable",
    "ipairs",
    "load",
    "loadstring",
    "math",
    "next",
    "os",
    "pairs",
    "pcall",
    "rawequal",
    "rawget",
    "rawset",
    "select",
    "setmetatable",
    "string",
    "table",
    "tonumber",
    "tostring",
    "type",
    "unpack",
    "xpcall",
];

/// Of the library tables, what goes: not in Lua 5.1, or not for scripts.
const REMOVED: &[(&str, &[&str])] = &[
    ("table", &["move"]),
    ("coroutine", &["isyieldable"]),
    ("os", &["date", "difftime", "execute", "exit", "getenv", "remove", "rename", "setlocale", "time", "tmpname"]),
];

/// What replaces functions of Lua's.
const REPLACED: &[(&str, LuaFn)] = &[
    ("pairs", pairs),
    ("rawget", rawget),
    ("rawset", rawset),
    ("setmetatable", setmetatable),
    ("getmetatable", getmetatable),
    ("pcall", pcall),
    ("load", load),
    ("loadstring", loadstring),
    ("collectgarbage", collectgarbage),
];

/// Closes the sandbox of a new interpreter: scripts loaded from here on see the globals it leaves. Returns the table behind
/// them.
pub(super) fn close(state: &mut State, run: &Run) -> Outcome<Kept> {
    state.push_globals()?; // 1: as Lua made them
    state.raw_get_field(1, "next")?;
    *run.next.borrow_mut() = Some(state.keep()?);
    remove(state)?;
    state.push_table(0, 64)?; // 2: the new ones
    for name in GLOBALS {
        state.raw_get_field(1, name)?;
        state.raw_set_field(2, name)?;
    }
    for (name, function) in REPLACED {
        state.set_function(2, name, *function)?;
    }
    replace_in(state, "table", &[("insert", insert as LuaFn)])?;
    replace_in(state, "string", &[("format", format::format as LuaFn)])?;
    replace_in(state, "math", &[("deg", deg as LuaFn), ("rad", rad)])?;
    replace_in(state, "math", &[("random", random::random as LuaFn), ("randomseed", random::randomseed)])?;
    copy_in(state, "math", "fmod", "mod")?;
    copy_in(state, "string", "gmatch", "gfind")?;
    for (name, open) in lib::ALL {
        open(state)?;
        state.raw_set_field(2, name)?;
    }
    api::open(state)?;
    state.push_copy(-1)?;
    state.raw_set_field(2, "redis")?;
    state.raw_set_field(2, "server")?;
    protect_libraries(state, run)?;
    state.push_function(no_such_global)?;
    set_index(state, 2)?;
    protect(state, run, 2)?; // 3: what scripts see
    state.push_copy(3)?;
    state.raw_set_field(2, "_G")?;
    state.push_copy(3)?;
    state.set_globals()?;
    protect_strings(state, run)?;
    state.set_top(2)?;
    state.keep()
}

fn remove(state: &mut State) -> Outcome {
    for (library, names) in REMOVED {
        state.raw_get_field(1, library)?;
        for name in *names {
            state.push_nil()?;
            state.raw_set_field(-2, name)?;
        }
        state.pop(1);
    }
    Ok(())
}

fn replace_in(state: &mut State, library: &str, functions: &[(&str, LuaFn)]) -> Outcome {
    state.raw_get_field(1, library)?;
    for (name, function) in functions {
        state.set_function(-1, name, *function)?;
    }
    state.pop(1);
    Ok(())
}

fn copy_in(state: &mut State, library: &str, from: &str, to: &str) -> Outcome {
    state.raw_get_field(1, library)?;
    state.raw_get_field(-1, from)?;
    state.raw_set_field(-2, to)?;
    state.pop(1);
    Ok(())
}

/// Puts every table among the new globals behind one that cannot be changed.
fn protect_libraries(state: &mut State, run: &Run) -> Outcome {
    let mut names = Vec::new();
    state.push_nil()?;
    while state.next(2)? {
        if state.type_of(-1) == Type::Table {
            names.push(String::from_utf8_lossy(state.bytes(-2).unwrap_or_default()).into_owned());
        }
        state.pop(1);
    }
    for name in names {
        state.raw_get_field(2, &name)?;
        protect(state, run, -1)?;
        state.raw_set_field(2, &name)?;
        state.pop(1);
    }
    Ok(())
}

/// The metatable of strings can be seen, but not changed.
fn protect_strings(state: &mut State, run: &Run) -> Outcome {
    state.push_bytes(b"")?;
    if state.push_metatable(-1)? {
        state.push_table(0, 1)?;
        state.raw_get_field(2, "string")?;
        state.raw_set_field(-2, "__index")?;
        protect(state, run, -1)?;
        state.raw_set_field(-3, SHOWN)?;
    }
    Ok(())
}

/// Pushes a table that shows the one at `index`, and that scripts cannot change.
pub(super) fn protect(state: &mut State, run: &Run, index: i32) -> Outcome {
    let hidden = if index < 0 { state.top() as i32 + 1 + index } else { index };
    state.push_table(0, 0)?;
    if let Some(address) = state.address(-1) {
        run.protected.borrow_mut().push(address);
    }
    state.push_table(0, 3)?;
    state.push_copy(hidden)?;
    state.raw_set_field(-2, "__index")?;
    state.set_function(-1, "__newindex", refuse_write)?;
    state.set_metatable(-2)
}

/// Lets reads of what the table at `index` lacks go to the value on top, and drops that.
pub(super) fn set_index(state: &mut State, index: i32) -> Outcome {
    let table = if index < 0 { state.top() as i32 + 1 + index } else { index };
    state.push_table(0, 1)?;
    state.insert(-2);
    state.raw_set_field(-2, "__index")?;
    state.set_metatable(table)
}

/// The field of a metatable under which scripts are shown something else in its stead.
const SHOWN: &str = "__shown";

const READ_ONLY: LuaError = LuaError::Text(Cow::Borrowed(b"Attempt to modify a readonly table"));

fn refuse_write(_: &mut State) -> Result<usize, LuaError> {
    Err(READ_ONLY)
}

/// What scripts get for a global that does not exist.
pub(super) fn no_such_global(state: &mut State) -> Result<usize, LuaError> {
    let name = state.text(2).map(|name| String::from_utf8_lossy(name).into_owned());
    match name {
        Some(name) => Err(LuaError::text(format!("Script attempted to access nonexistent global variable '{name}'"))),
        None => Err(LuaError::text("Second argument to luaProtectedTableError must be a string or number")),
    }
}

/// True if the value at `index` is a table that scripts may not change.
fn is_protected(state: &State, index: i32) -> bool {
    let Some(address) = state.address(index) else { return false };
    Run::of(state).protected.borrow().contains(&address)
}

/// Pushes the table behind a protected one.
fn push_hidden(state: &mut State, index: i32) -> Outcome {
    if state.push_metatable(index)? {
        state.raw_get_field(-1, "__index")?;
        state.remove(-2);
    }
    Ok(())
}

fn check_table(state: &State, at: usize) -> Result<(), LuaError> {
    match state.type_of(at as i32) {
        Type::Table => Ok(()),
        other => Err(LuaError::argument(at, format!("table expected, got {}", other.name()))),
    }
}

/// pairs(table)
fn pairs(state: &mut State) -> Result<usize, LuaError> {
    check_table(state, 1)?;
    state.set_top(1)?;
    if is_protected(state, 1) {
        push_hidden(state, 1)?;
        state.push_closure(next_hidden, 1)?;
    } else {
        let run = Run::of(state);
        if let Some(next) = &*run.next.borrow() {
            state.push_kept(next)?;
        }
    }
    state.push_copy(1)?;
    state.push_nil()?;
    Ok(3)
}

/// The `next` of a protected table, which keeps the hidden one to itself.
fn next_hidden(state: &mut State) -> Result<usize, LuaError> {
    state.set_top(2)?;
    state.push_upvalue(1)?;
    state.insert(1);
    // 1: hidden, 2: shown, 3: key
    if state.type_of(3) != Type::Nil {
        state.push_copy(3)?;
        state.raw_get(1)?;
        if state.type_of(-1) == Type::Nil {
            return Err(LuaError::text("invalid key to 'next'"));
        }
        state.pop(1);
    }
    if state.next(1)? {
        return Ok(2);
    }
    state.push_nil()?;
    Ok(1)
}

/// rawget(table, key)
fn rawget(state: &mut State) -> Result<usize, LuaError> {
    check_table(state, 1)?;
    state.set_top(2)?;
    if is_protected(state, 1) {
        push_hidden(state, 1)?;
        state.replace(1);
    }
    state.raw_get(1)?;
    Ok(1)
}

/// rawset(table, key, value)
fn rawset(state: &mut State) -> Result<usize, LuaError> {
    check_table(state, 1)?;
    state.set_top(3)?;
    if is_protected(state, 1) {
        return Err(READ_ONLY);
    }
    state.raw_set(1)?;
    Ok(1)
}

/// setmetatable(table, metatable)
fn setmetatable(state: &mut State) -> Result<usize, LuaError> {
    check_table(state, 1)?;
    if !matches!(state.type_of(2), Type::Nil | Type::Table) {
        return Err(LuaError::argument(2, "nil or table expected"));
    }
    if is_protected(state, 1) {
        return Err(READ_ONLY);
    }
    state.set_top(2)?;
    if state.push_metatable(1)? {
        state.raw_get_field(-1, "__metatable")?;
        if state.type_of(-1) != Type::Nil {
            return Err(LuaError::text("cannot change a protected metatable"));
        }
        state.set_top(2)?;
    }
    state.set_metatable(1)?;
    Ok(1)
}

/// getmetatable(value)
fn getmetatable(state: &mut State) -> Result<usize, LuaError> {
    if state.top() == 0 {
        return Err(LuaError::argument(1, "value expected"));
    }
    state.set_top(1)?;
    if !state.push_metatable(1)? {
        state.push_nil()?;
        return Ok(1);
    }
    if is_protected(state, 1) {
        let run = Run::of(state);
        state.push_table(0, 0)?;
        protect(state, &run, -1)?;
        // It is shown once and forgotten: its address may be given to another table later.
        run.protected.borrow_mut().pop();
        return Ok(1);
    }
    for field in ["__metatable", SHOWN] {
        state.raw_get_field(2, field)?;
        if state.type_of(-1) != Type::Nil {
            return Ok(1);
        }
        state.pop(1);
    }
    Ok(1)
}

/// pcall(function, …): as Lua's, but of an error of ours, which is a table, the text is returned.
fn pcall(state: &mut State) -> Result<usize, LuaError> {
    if state.top() == 0 {
        return Err(LuaError::argument(1, "value expected"));
    }
    state.push_boolean(true)?;
    state.insert(1);
    match state.call_open(state.top() - 2) {
        Ok(_) => {}
        Err(LuaError::Value) => {
            if state.type_of(-1) == Type::Table {
                state.raw_get_field(-1, "err")?;
                if state.type_of(-1) == Type::String {
                    state.replace(-2);
                } else {
                    state.pop(1);
                }
            }
            state.push_boolean(false)?;
            state.replace(1);
        }
        Err(other) => return Err(other),
    }
    Ok(state.top())
}

/// Compiles source text, and answers as `load` does.
fn compile(state: &mut State, source: &[u8], name: &[u8]) -> Result<usize, LuaError> {
    let name: Vec<u8> = name.iter().copied().take_while(|byte| *byte != 0).collect();
    let name = CString::new(name).unwrap_or_default();
    match state.load(source, &name) {
        Ok(()) => Ok(1),
        Err(LuaError::Value) => {
            state.push_nil()?;
            state.insert(-2);
            Ok(2)
        }
        Err(other) => Err(other),
    }
}

/// loadstring(text [, name])
fn loadstring(state: &mut State) -> Result<usize, LuaError> {
    let given = state.type_of(1).name();
    let source = state.text(1).map(<[u8]>::to_vec);
    let source = source.ok_or_else(|| LuaError::argument(1, format!("string expected, got {given}")))?;
    let name = state.text(2).map_or_else(|| source.clone(), <[u8]>::to_vec);
    compile(state, &source, &name)
}

/// load(function [, name]): the function gives the text piece by piece.
fn load(state: &mut State) -> Result<usize, LuaError> {
    const SOURCE_MAX: usize = 64 << 20;
    if state.type_of(1) != Type::Function {
        let given = state.type_of(1).name();
        return Err(LuaError::argument(1, format!("function expected, got {given}")));
    }
    let name = state.text(2).map_or_else(|| b"=(load)".to_vec(), <[u8]>::to_vec);
    let mut source = Vec::new();
    loop {
        state.push_copy(1)?;
        if let Err(LuaError::Value) = state.call(0, 1) {
            state.push_nil()?;
            state.insert(-2);
            return Ok(2);
        }
        let is_end = matches!(state.type_of(-1), Type::Nil | Type::None);
        match state.text(-1) {
            Some(b"") => break,
            Some(piece) if source.len() + piece.len() <= SOURCE_MAX => source.extend_from_slice(piece),
            Some(_) => return Err(LuaError::Memory),
            None if is_end => break,
            None => {
                state.push_nil()?;
                state.push_bytes(b"reader function must return a string")?;
                return Ok(2);
            }
        }
        state.pop(1);
    }
    compile(state, &source, &name)
}

/// math.deg(angle): LuaJIT's own checks no types.
fn deg(state: &mut State) -> Result<usize, LuaError> {
    let degrees = arguments::number(state, 1)? / (std::f64::consts::PI / 180.0);
    state.push_number(degrees)?;
    Ok(1)
}

/// math.rad(angle): likewise.
fn rad(state: &mut State) -> Result<usize, LuaError> {
    let radians = arguments::number(state, 1)? * (std::f64::consts::PI / 180.0);
    state.push_number(radians)?;
    Ok(1)
}

/// collectgarbage([what]): what would last beyond the script does nothing.
fn collectgarbage(state: &mut State) -> Result<usize, LuaError> {
    let what = state.bytes(1).unwrap_or(b"collect").to_vec();
    match &what[..] {
        b"count" => state.push_number(state.memory() as f64 / 1024.0)?,
        b"collect" => {
            state.collect();
            state.push_number(0.0)?;
        }
        b"step" => {
            state.collect_step(10);
            state.push_boolean(true)?;
        }
        b"stop" | b"restart" => state.push_number(0.0)?,
        b"setpause" | b"setstepmul" => state.push_number(200.0)?,
        other => {
            let name = String::from_utf8_lossy(other);
            return Err(LuaError::argument(1, format!("invalid option '{name}'")));
        }
    }
    Ok(1)
}

/// table.insert(list, [position,] value)
fn insert(state: &mut State) -> Result<usize, LuaError> {
    check_table(state, 1)?;
    if is_protected(state, 1) {
        return Err(READ_ONLY);
    }
    let end = state.raw_len(1) as i32 + 1;
    let at = match state.top() {
        2 => end,
        3 => {
            let Some(at) = state.number(2) else {
                let given = state.type_of(2).name();
                return Err(LuaError::argument(2, format!("number expected, got {given}")));
            };
            at as i32
        }
        _ => return Err(LuaError::text("wrong number of arguments to 'insert'")),
    };
    let mut from = end;
    while from > at {
        state.raw_get_item(1, from - 1)?;
        state.raw_set_item(1, from)?;
        from -= 1;
    }
    state.raw_set_item(1, at)?;
    Ok(0)
}
