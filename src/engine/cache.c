#include "engine/cache.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { NONE = -1, B = WH_KV_BLOCK };

typedef struct node {
    int32_t  tokens[B];
    int32_t  parent, child, next; /* next: sibling, or the next free block */
    uint32_t refs;
    uint16_t planned, computed; /* tokens */
    bool     used;
    uint64_t last_use;
} node;

struct wh_cache {
    wh_kv   *kv;
    node    *nodes; /* one per block */
    int32_t  roots, free;
    size_t   context, used;
    uint64_t tick;
};

wh_code wh_cache_create(wh_cache **out, wh_kv *kv, size_t context, wh_err *err)
{
    wh_cache *c = wh_mem_zalloc(1, sizeof *c);
    node *nodes = wh_mem_zalloc(kv->n_blocks, sizeof *nodes);
    *out = NULL;
    if (!c || !nodes) {
        free(c);
        free(nodes);
        return wh_err_set(err, WH_ERR_NOMEM, "no memory for a cache of %zu blocks", kv->n_blocks);
    }
    *c = (wh_cache){.kv = kv, .nodes = nodes, .roots = NONE, .free = NONE, .context = context};
    for (size_t i = kv->n_blocks; i-- > 0;) {
        nodes[i].next = c->free;
        c->free = (int32_t)i;
    }
    *out = c;
    return WH_OK;
}

void wh_cache_free(wh_cache *c)
{
    if (!c) return;
    free(c->nodes);
    free(c);
}

wh_code wh_cache_seq_init(wh_cache_seq *s, const wh_cache *c, wh_err *err)
{
    *s = (wh_cache_seq){0};
    s->table = wh_mem_alloc(c->context / B + 1, sizeof *s->table);
    return s->table ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for a block table");
}

void wh_cache_seq_free(wh_cache_seq *s)
{
    free(s->table);
    *s = (wh_cache_seq){0};
}

size_t wh_cache_used(const wh_cache *c) { return c->used; }

/* ---- the tree ---------------------------------------------------------------------------------------- */

static int32_t *children_of(wh_cache *c, int32_t parent) { return parent == NONE ? &c->roots : &c->nodes[parent].child; }

static void unlink_node(wh_cache *c, int32_t i)
{
    int32_t *at = children_of(c, c->nodes[i].parent);
    while (*at != i) at = &c->nodes[*at].next;
    *at = c->nodes[i].next;
}

static void release(wh_cache *c, int32_t i)
{
    unlink_node(c, i);
    c->nodes[i].used = false;
    c->nodes[i].next = c->free;
    c->free = i;
    c->used--;
}

static bool evict(wh_cache *c)
{
    int32_t oldest = NONE;
    for (size_t i = 0; i < c->kv->n_blocks; i++) {
        const node *x = &c->nodes[i];
        if (!x->used || x->refs || x->child != NONE) continue;
        if (oldest == NONE || x->last_use < c->nodes[oldest].last_use) oldest = (int32_t)i;
    }
    if (oldest == NONE) return false;
    release(c, oldest);
    return true;
}

/* A fresh block below parent, held once; NONE when all blocks are held by sequences. */
static int32_t add(wh_cache *c, int32_t parent)
{
    if (c->free == NONE && !evict(c)) return NONE;
    int32_t i = c->free;
    c->free = c->nodes[i].next;
    int32_t *siblings = children_of(c, parent);
    node *x = &c->nodes[i];
    x->parent = parent;
    x->child = NONE;
    x->next = *siblings;
    x->refs = 1;
    x->planned = x->computed = 0;
    x->used = true;
    x->last_use = ++c->tick;
    *siblings = i;
    c->used++;
    return i;
}

/* The child of parent that shares the longest computed beginning with tokens; *length tells how long. */
static int32_t best_child(const wh_cache *c, int32_t parent, const int32_t *tokens, size_t n, size_t *length)
{
    int32_t best = NONE;
    *length = 0;
    for (int32_t i = parent == NONE ? c->roots : c->nodes[parent].child; i != NONE; i = c->nodes[i].next) {
        const node *x = &c->nodes[i];
        size_t most = x->computed < n ? x->computed : n, k = 0;
        while (k < most && x->tokens[k] == tokens[k]) k++;
        if (k > *length) {
            *length = k;
            best = i;
        }
    }
    return best;
}

size_t wh_cache_match(const wh_cache *c, const int32_t *tokens, size_t n)
{
    size_t at = 0, k;
    int32_t i = NONE;
    do {
        i = best_child(c, i, tokens + at, n - at, &k);
        at += k;
    } while (k == B);
    return at;
}

void wh_cache_open(wh_cache *c, wh_cache_seq *s, const int32_t *tokens, size_t n)
{
    int32_t parent = NONE, i;
    size_t k;
    s->len = s->blocks = 0;
    while ((i = best_child(c, parent, tokens + s->len, n - s->len, &k)) != NONE && k == B) {
        c->nodes[i].refs++;
        c->nodes[i].last_use = ++c->tick;
        s->table[s->blocks++] = (uint32_t)i;
        s->len += B;
        parent = i;
    }
    if (!k) return;
    /* The beginning of a block: copied, since what follows differs. It must not be evicted meanwhile. */
    c->nodes[i].refs++;
    int32_t copy = add(c, parent);
    c->nodes[i].refs--;
    if (copy == NONE) return;
    wh_kv_copy(c->kv, (size_t)copy, (size_t)i, k);
    memcpy(c->nodes[copy].tokens, tokens + s->len, k * sizeof *tokens);
    c->nodes[copy].planned = c->nodes[copy].computed = (uint16_t)k;
    s->table[s->blocks++] = (uint32_t)copy;
    s->len += k;
}

bool wh_cache_extend(wh_cache *c, wh_cache_seq *s, int32_t token)
{
    if (s->len == s->blocks * B) {
        int32_t i = add(c, s->blocks ? (int32_t)s->table[s->blocks - 1] : NONE);
        if (i == NONE) return false;
        s->table[s->blocks++] = (uint32_t)i;
    }
    node *x = &c->nodes[s->table[s->blocks - 1]];
    x->tokens[x->planned++] = token;
    s->len++;
    return true;
}

void wh_cache_commit(wh_cache *c, const wh_cache_seq *s, size_t n)
{
    for (size_t b = s->blocks; b-- > 0;) {
        node *x = &c->nodes[s->table[b]];
        size_t begin = b * B, here = n > begin ? n - begin : 0;
        if (here > x->planned) here = x->planned;
        if (x->computed >= here) break; /* the blocks before it are full */
        x->computed = (uint16_t)here;
        x->last_use = ++c->tick;
    }
}

void wh_cache_close(wh_cache *c, wh_cache_seq *s)
{
    for (size_t b = s->blocks; b-- > 0;) {
        int32_t i = (int32_t)s->table[b];
        node *x = &c->nodes[i];
        x->refs--;
        if (x->refs == 0 && x->computed < x->planned) x->planned = x->computed;
        if (x->refs == 0 && x->computed == 0 && x->child == NONE) release(c, i);
    }
    s->len = s->blocks = 0;
}
