//! Tests of the face of Lua: errors, bounds, fibers.

use super::*;

const LIMIT: usize = 64 << 20;

fn run(machine: &mut Machine, source: &str) -> Result<String, String> {
    let mut state = machine.state();
    let done = state.load(source.as_bytes(), c"@test").and_then(|()| state.call(0, 1));
    let text = String::from_utf8_lossy(state.text(-1).unwrap_or_default()).into_owned();
    state.set_top(0).unwrap();
    if done.is_ok() { Ok(text) } else { Err(text) }
}

fn machine(functions: &[(&str, LuaFn)]) -> Machine {
    let mut machine = Machine::new(LIMIT).unwrap();
    let mut state = machine.state();
    state.push_globals().unwrap();
    for (name, function) in functions {
        state.set_function(1, name, *function).unwrap();
    }
    state.set_top(0).unwrap();
    machine
}

#[test]
fn functions_take_arguments_and_raise_errors_with_their_place() {
    let add: LuaFn = |state| {
        let a = state.number(1).ok_or_else(|| LuaError::argument(1, "number expected"))?;
        let b = state.number(2).ok_or_else(|| LuaError::text("no second number"))?;
        state.push_number(a + b)?;
        Ok(1)
    };
    let mut machine = machine(&[("add", add)]);
    assert_eq!(run(&mut machine, "return add(1, '2')"), Ok("3".into()));
    assert_eq!(run(&mut machine, "return add({}, 2)"), Err("test:1: bad argument #1 to 'add' (number expected)".into()));
    assert_eq!(run(&mut machine, "\nreturn add(1)"), Err("test:2: no second number".into()));
    assert_eq!(run(&mut machine, "return select(2, pcall(add, 1))"), Ok("no second number".into()));
    assert_eq!(run(&mut machine, "return 1LL"), Err("test:1: malformed number near '1LL'".into()));
    assert_eq!(run(&mut machine, "\x1bLJ"), Err("attempt to load chunk with wrong mode".into()));
}

#[test]
fn memory_is_bounded_in_lua_and_in_rust() {
    let fill: LuaFn = |state| {
        state.push_table(0, 0)?;
        for n in 1..i32::MAX {
            state.push_bytes(&[b'x'; 1000])?;
            state.raw_set_item(1, n)?;
            state.push_bytes(format!("{n:01000}").as_bytes())?;
            state.raw_set_item(1, n)?;
        }
        Ok(1)
    };
    let mut machine = machine(&[("fill", fill)]);
    for bomb in ["return ('x'):rep(1e9)", "local t = {} for i = 1, 1e9 do t[i] = {} end", "fill()"] {
        assert_eq!(run(&mut machine, bomb), Err("not enough memory".into()), "{bomb}");
        machine.state().collect();
        assert!(machine.memory() < LIMIT / 10, "{bomb}: {}", machine.memory());
    }
}

#[test]
fn a_fiber_asks_and_a_hook_ends_it() {
    let ask: LuaFn = |state| {
        let n = state.number(1).unwrap_or_default();
        let answer: f64 = state.ask(n).ok_or(LuaError::text("no fiber"))?;
        state.push_number(answer)?;
        Ok(1)
    };
    let mut machine = machine(&[("ask", ask)]);
    assert_eq!(run(&mut machine, "return ask(1)"), Err("test:1: no fiber".into()));
    machine.state().load(b"return ask(1) + ask(10)", c"@test").unwrap();
    let body = |state: &mut State, _: f64| {
        state.call(0, 1).unwrap();
        state.number(-1)
    };
    let mut fiber = Fiber::<f64, f64, _>::new(machine, FiberStack::new().unwrap(), body);
    let mut answer = 0.0;
    while let Some(n) = fiber.resume(answer) {
        answer = n * 2.0;
    }
    let (mut machine, stack, done) = fiber.end().unwrap();
    assert_eq!(done, Some(22.0));
    machine.state().set_top(0).unwrap();
    machine.state().load(b"while true do pcall(function() while true do end end) end", c"@test").unwrap();
    let body = |state: &mut State, _: ()| {
        let hook: Hook = |state| {
            state.set_hook(Some((|_| Err(LuaError::text("killed")), 1)));
            state.ask::<(), ()>(());
            Ok(())
        };
        state.set_tick(Some(hook));
        let ended = state.call(0, 0);
        state.set_tick(None);
        (ended, String::from_utf8_lossy(state.bytes(-1).unwrap_or_default()).into_owned())
    };
    let mut fiber = Fiber::<(), (), _>::new(machine, stack, body);
    assert_eq!(fiber.resume(()), Some(()), "the hook asks");
    assert_eq!(fiber.resume(()), None, "it ends");
    let (_, _, (ended, text)) = fiber.end().unwrap();
    assert_eq!(ended, Err(LuaError::Value));
    // Without a place when the hook met pcall itself and not the loop inside.
    assert!(matches!(text.as_str(), "killed" | "test:1: killed"), "{text}");
}

#[test]
fn recursion_ends_with_an_error() {
    let deep = [
        ("local function f() return f() + 1 end return f()", "stack overflow"),
        ("local function f() return (('x'):gsub('x', f)) end return f()", "stack overflow"),
        ("local function f() table.sort({1, 2, 3}, f) end return f()", "stack overflow"),
        ("local t = {} t = setmetatable(t, {__index = function(t, k) return t[k] end}) return t.x", "stack overflow"),
        ("local f f = function() return tostring(setmetatable({}, {__tostring = f})) end return f()", "stack overflow"),
    ];
    for (source, expected) in deep {
        let mut machine = machine(&[]);
        machine.state().load(source.as_bytes(), c"@test").unwrap();
        let body = |state: &mut State, _: ()| {
            let ended = state.call_open(0);
            (ended.is_ok(), String::from_utf8_lossy(state.bytes(-1).unwrap_or_default()).into_owned())
        };
        let mut fiber = Fiber::<(), (), _>::new(machine, FiberStack::new().unwrap(), body);
        assert_eq!(fiber.resume(()), None, "it ends");
        let (_, _, (_, text)) = fiber.end().unwrap();
        assert!(text.contains(expected), "{source}: {text}");
    }
}
