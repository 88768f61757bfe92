/* What makes the order of LuaJIT's tables that of Lua 5.1. Included by the files of LuaJIT that `build.rs` changes, each of
 * which names itself by a macro.
 *
 * LuaJIT finds the place of a string in a table by a number that it makes up, at random: the order in which `pairs` walks, and
 * cjson and cmsgpack write, changes from one process to the next. What scripts wrote and compare later (the JSON text of a job
 * in a set) must not depend on that. Its tables are otherwise Lua's, so with Lua's hash, and keys put in in Lua's order, they
 * have the same order as on Redis. */

#ifdef lj_str_c
/* The hash that Redis' Lua has for strings, of all their bytes. Of those too long to be names some must do. */
static StrID redstart_string_place(const char *str, MSize len)
{
  StrID hash = len;
  MSize step = (len >> 8) + 1;
  for (; len >= step; len -= step) hash ^= (hash << 5) + (hash >> 2) + (unsigned char)str[len - 1];
  return hash;
}
#endif

#ifdef lj_tab_c
/* Lua's place of a number: the sum of its halves. */
static Node *redstart_number_place(const GCtab *t, cTValue *key)
{
  uint32_t hash = key->n == 0 ? 0 : key->u32.lo + key->u32.hi;
  return &noderef(t->node)[hash % (t->hmask | 1)];
}
#undef hashnum
#define hashnum(t, o) redstart_number_place((t), (o))
#endif

#ifdef lj_parse_c
/* LuaJIT fills the table of a constructor `{a = 1, b = 2}` while it parses, and lets it grow; Lua does when the script runs, and
 * knows the number of keys. So the keys are noted, and put into a table of the right size at the end. */

#define REDSTART_KEYS_MAX 64

/* Notes a key in the order in which it came. */
static void redstart_note_key(GCstr **keys, uint32_t *count, ExpDesc *key)
{
  uint32_t i;
  if (key->k != VKSTR) return;
  for (i = 0; i < *count && i < REDSTART_KEYS_MAX; i++)
    if (keys[i] == key->u.sval) return;
  if (i < REDSTART_KEYS_MAX) keys[i] = key->u.sval;
  *count = i + 1;
}

/* Puts the keys of a template into a hash part for `wanted` of them, in the order in which they came, unless there are others
 * than strings among them. No garbage is collected meanwhile. */
static void redstart_order_keys(lua_State *L, GCtab *t, GCstr **keys, uint32_t count, uint32_t wanted)
{
  Node *node = noderef(t->node);
  uint32_t i, used = 0;
  MRef part;
  uint32_t hmask;
  GCtab *ordered;
  if (count < 2 || count > REDSTART_KEYS_MAX || t->hmask == 0) return;
  for (i = 0; i <= t->hmask; i++) used += !tvisnil(&node[i].val);
  if (used != count) return;
  ordered = lj_tab_new(L, 0, hsize2hbits(wanted));
  for (i = 0; i < count; i++) {
    cTValue *value = lj_tab_getstr(t, keys[i]);
    if (!value) return;
    copyTV(L, lj_tab_setstr(L, ordered, keys[i]), value);
  }
  /* They exchange their hash parts; what is left is garbage. */
  part = t->node; t->node = ordered->node; ordered->node = part;
#if LJ_GC64
  part = t->freetop; t->freetop = ordered->freetop; ordered->freetop = part;
#endif
  hmask = t->hmask; t->hmask = ordered->hmask; ordered->hmask = hmask;
}
#endif
