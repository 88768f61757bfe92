/* LuaJIT calls no hook while one runs. A debugger stops a script inside of a hook and runs other Lua code there, which must be
 * possible to end: for that time the interpreter is told that no hook runs. */

#include "lj_obj.h"

/* Returns whether a hook runs. */
int redstart_lua_leave_hook(lua_State *L) {
    global_State *g = G(L);
    int was = hook_active(g) != 0;
    hook_leave(g);
    return was;
}

void redstart_lua_reenter_hook(lua_State *L) { hook_enter(G(L)); }
