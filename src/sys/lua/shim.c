/* Between Lua and Rust: raises errors when the Rust function has already returned.
 *
 * A Lua error jumps to the protected call. It must not jump across a Rust frame, which would never drop what it owns; so Rust
 * functions answer with a code, and the error is raised here, where all frames up to the protected call are C. */

#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>

/* Runs the Rust function `f`. Returns the number of results, or what to raise. */
extern int redstart_lua_call(lua_State *L, void *f);
/* Runs the hook, which is told whether a line begins. Returns 0, or 1 if it left an error to be raised on the stack. */
extern int redstart_lua_hook(lua_State *L, int at_line);

enum { RAISE_VALUE = -1, RAISE_TEXT_WITH_PLACE = -2, RAISE_ARGUMENT = -3 };

/* Every Rust function is this closure; its first upvalue tells which. */
int redstart_lua_enter(lua_State *L) {
    int n = redstart_lua_call(L, lua_touserdata(L, lua_upvalueindex(1)));
    if (n >= 0) return n;
    if (n == RAISE_TEXT_WITH_PLACE) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    } else if (n <= RAISE_ARGUMENT) {
        return luaL_argerror(L, RAISE_ARGUMENT - n, lua_tostring(L, -1));
    }
    return lua_error(L);
}

void redstart_lua_enter_hook(lua_State *L, lua_Debug *ar) {
    if (redstart_lua_hook(L, ar->event == LUA_HOOKLINE)) lua_error(L);
}

/* Fills the globals with the standard libraries that can be safe. Called protected. */
int redstart_lua_open(lua_State *L) {
    static const luaL_Reg libraries[] = {
        {"", luaopen_base},   {LUA_TABLIBNAME, luaopen_table}, {LUA_STRLIBNAME, luaopen_string}, {LUA_MATHLIBNAME, luaopen_math},
        {LUA_OSLIBNAME, luaopen_os}, {NULL, NULL},
    };
    for (const luaL_Reg *library = libraries; library->func; library++) {
        lua_pushcfunction(L, library->func);
        lua_pushstring(L, library->name);
        lua_call(L, 1, 0);
    }
    return 0;
}
