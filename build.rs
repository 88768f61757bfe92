//! Builds the Lua interpreter and the few lines of C between it and `src/sys/lua`.
//!
//! LuaJIT comes from the `luajit-src` crate, without its compiler and its foreign function interface: scripts are
//! interpreted (only the interpreter can be interrupted), and nothing in them can reach memory or code of the process.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/sys/lua/shim.c");
    println!("cargo:rerun-if-env-changed=CFLAGS");
    // The makefile reads the flags for its tools and for the library from here.
    let flags = std::env::var("CFLAGS").unwrap_or_default();
    // Without tail calls, as the function that makes one has no place in messages: `return redis.call(…)` is the most frequent
    // last line of scripts, and in Lua 5.1 errors in it tell that line.
    let without = "-DLUAJIT_DISABLE_JIT -DLUAJIT_DISABLE_FFI -DLUAJIT_DISABLE_PROFILE -DLUAJIT_DISABLE_TAILCALL";
    // Errors jump to the protected call instead of unwinding the C stack on the way, the time for which grows with the square of
    // the depth: an endless recursion through `string.gsub` held the server for seconds. (`_UNWIND_INTERNAL` would do that, too,
    // but not save all registers.)
    let jumps = "-DLUAJIT_NO_UNWIND";
    // SAFETY: a build script has one thread.
    unsafe { std::env::set_var("CFLAGS", format!("{flags} {without} {jumps}")) };
    let lua = luajit_src::Build::new().debug(false).build();
    cc::Build::new().file("src/sys/lua/shim.c").include(lua.include_dir()).compile("redstart_lua_shim");
    lua.print_cargo_metadata();
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-link-lib=dylib=m");
    }
}
