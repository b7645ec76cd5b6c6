#include "engine/cache.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { NONE = -1, B = WH_KV_BLOCK };

typedef struct node {
    int32_t  tokens[B];
    int32_t  parent, child, next; /* next: sibling, or the next free node */
    int32_t  open, closed;        /* halves, or NONE */
    uint32_t refs;
    uint16_t planned, computed; /* tokens */
    bool     used;
    uint64_t last_use;
} node;

/* Free halves of one kind, as a stack. */
typedef struct pool {
    int32_t *free;
    size_t   n;
} pool;

struct wh_cache {
    wh_kv   *kv;
    node    *nodes;
    size_t   n_nodes; /* one for each half: enough, since a node in use has at least one */
    pool     open, closed;
    int32_t  roots, free;
    size_t   context, used;
    uint64_t tick;
};

static bool pool_init(pool *p, size_t n)
{
    p->free = wh_mem_alloc(n, sizeof *p->free);
    if (!p->free) return false;
    for (p->n = 0; p->n < n; p->n++) p->free[p->n] = (int32_t)(n - 1 - p->n);
    return true;
}

wh_code wh_cache_create(wh_cache **out, wh_kv *kv, size_t context, wh_err *err)
{
    *out = NULL;
    wh_cache *c = wh_mem_zalloc(1, sizeof *c);
    if (!c) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a cache");
    *c = (wh_cache){.kv = kv, .n_nodes = kv->n_open + kv->n_closed, .roots = NONE, .free = NONE, .context = context};
    c->nodes = wh_mem_zalloc(c->n_nodes, sizeof *c->nodes);
    if (!c->nodes || !pool_init(&c->open, kv->n_open) || !pool_init(&c->closed, kv->n_closed)) {
        wh_err_set(err, WH_ERR_NOMEM, "no memory for a cache of %zu blocks", c->n_nodes);
        wh_cache_free(c);
        return WH_ERR_NOMEM;
    }
    for (size_t i = c->n_nodes; i-- > 0;) {
        c->nodes[i].next = c->free;
        c->free = (int32_t)i;
    }
    *out = c;
    return WH_OK;
}

void wh_cache_free(wh_cache *c)
{
    if (!c) return;
    free(c->nodes);
    free(c->open.free);
    free(c->closed.free);
    free(c);
}

wh_code wh_cache_seq_init(wh_cache_seq *s, const wh_cache *c, wh_err *err)
{
    size_t most = c->context / B + 1;
    *s = (wh_cache_seq){.nodes = wh_mem_alloc(most, sizeof *s->nodes), .table = wh_mem_alloc(most, sizeof *s->table)};
    if (s->nodes && s->table) return WH_OK;
    wh_cache_seq_free(s);
    return wh_err_set(err, WH_ERR_NOMEM, "no memory for a block table");
}

void wh_cache_seq_free(wh_cache_seq *s)
{
    free(s->nodes);
    free(s->table);
    *s = (wh_cache_seq){0};
}

size_t wh_cache_used(const wh_cache *c) { return c->used; }

/* ---- the tree ---------------------------------------------------------------------------------------- */

static int32_t *children_of(wh_cache *c, int32_t parent) { return parent == NONE ? &c->roots : &c->nodes[parent].child; }

static void give(pool *p, int32_t *half)
{
    if (*half != NONE) p->free[p->n++] = *half;
    *half = NONE;
}

static void release(wh_cache *c, int32_t i)
{
    node *x = &c->nodes[i];
    int32_t *at = children_of(c, x->parent);
    while (*at != i) at = &c->nodes[*at].next;
    *at = x->next;
    give(&c->open, &x->open);
    give(&c->closed, &x->closed);
    x->used = false;
    x->next = c->free;
    c->free = i;
    c->used--;
}

/* The leaf that nobody holds, was not used for longest, and has a half of the kind that is needed. */
static bool evict(wh_cache *c, bool open)
{
    int32_t oldest = NONE;
    for (size_t i = 0; i < c->n_nodes; i++) {
        const node *x = &c->nodes[i];
        if (!x->used || x->refs || x->child != NONE || (open ? x->open : x->closed) == NONE) continue;
        if (oldest == NONE || x->last_use < c->nodes[oldest].last_use) oldest = (int32_t)i;
    }
    if (oldest == NONE) return false;
    release(c, oldest);
    return true;
}

static int32_t take(wh_cache *c, bool open)
{
    pool *p = open ? &c->open : &c->closed;
    if (!p->n && !evict(c, open)) return NONE;
    return p->free[--p->n];
}

/* A fresh block below parent, held `refs` times; NONE when all open halves are held by sequences. */
static int32_t add(wh_cache *c, int32_t parent, uint32_t refs)
{
    int32_t half = take(c, true);
    if (half == NONE) return NONE;
    int32_t i = c->free;
    c->free = c->nodes[i].next;
    int32_t *siblings = children_of(c, parent);
    node *x = &c->nodes[i];
    x->parent = parent;
    x->child = NONE;
    x->next = *siblings;
    x->open = half;
    x->closed = NONE;
    x->refs = refs;
    x->planned = x->computed = 0;
    x->used = true;
    x->last_use = ++c->tick;
    *siblings = i;
    c->used++;
    return i;
}

/* The child of parent that shares the longest usable beginning with tokens; *length tells how long. */
static int32_t best_child(const wh_cache *c, int32_t parent, const int32_t *tokens, size_t n, size_t *length)
{
    int32_t best = NONE;
    *length = 0;
    for (int32_t i = parent == NONE ? c->roots : c->nodes[parent].child; i != NONE; i = c->nodes[i].next) {
        const node *x = &c->nodes[i];
        size_t most = x->computed < n ? x->computed : n, k = 0;
        while (k < most && x->tokens[k] == tokens[k]) k++;
        if (k < B && x->open == NONE) continue;
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

static void put_last(wh_cache_seq *s, const wh_cache *c, int32_t i)
{
    s->nodes[s->blocks] = (uint32_t)i;
    s->table[s->blocks] = (uint32_t)c->nodes[i].closed;
    s->blocks++;
}

/* A copy of the first k tokens of node i as its sibling; NONE when there is no room. */
static int32_t copy_beginning(wh_cache *c, int32_t i, size_t k, uint32_t refs)
{
    c->nodes[i].refs++; /* not to be evicted meanwhile */
    int32_t copy = add(c, c->nodes[i].parent, refs);
    c->nodes[i].refs--;
    if (copy == NONE) return NONE;
    node *x = &c->nodes[copy];
    wh_kv_copy(c->kv, (size_t)x->open, (size_t)c->nodes[i].open, k);
    memcpy(x->tokens, c->nodes[i].tokens, k * sizeof *x->tokens);
    x->planned = x->computed = (uint16_t)k;
    return copy;
}

void wh_cache_open(wh_cache *c, wh_cache_seq *s, const int32_t *tokens, size_t n)
{
    int32_t parent = NONE, i;
    size_t k;
    s->len = s->blocks = 0;
    while ((i = best_child(c, parent, tokens + s->len, n - s->len, &k)) != NONE && k == B) {
        c->nodes[i].refs++;
        c->nodes[i].last_use = ++c->tick;
        put_last(s, c, i);
        s->len += B;
        parent = i;
    }
    if (!k) return;
    c->nodes[i].last_use = ++c->tick;
    int32_t copy = copy_beginning(c, i, k, 1);
    if (copy == NONE) return;
    put_last(s, c, copy);
    s->len += k;
}

bool wh_cache_extend(wh_cache *c, wh_cache_seq *s, int32_t token)
{
    if (s->len == s->blocks * B) {
        int32_t i = add(c, s->blocks ? (int32_t)s->nodes[s->blocks - 1] : NONE, 1);
        if (i == NONE) return false;
        put_last(s, c, i);
    }
    node *x = &c->nodes[s->nodes[s->blocks - 1]];
    if (x->planned == B - 1) {
        x->closed = take(c, false);
        if (x->closed == NONE) return false;
        s->table[s->blocks - 1] = (uint32_t)x->closed;
    }
    x->tokens[x->planned++] = token;
    s->len++;
    return true;
}

uint32_t wh_cache_open_half(const wh_cache *c, const wh_cache_seq *s, size_t p)
{
    return (uint32_t)c->nodes[s->nodes[p / B]].open;
}

/* Block b of s, which has just become full, and all below it go to the sibling that holds the same, if there is one. */
static void merge(wh_cache *c, wh_cache_seq *s, size_t b)
{
    int32_t i = (int32_t)s->nodes[b], twin = *children_of(c, c->nodes[i].parent);
    node *x = &c->nodes[i];
    while (twin != NONE && (twin == i || c->nodes[twin].computed < B || memcmp(c->nodes[twin].tokens, x->tokens, sizeof x->tokens) != 0))
        twin = c->nodes[twin].next;
    if (twin == NONE) return;
    node *y = &c->nodes[twin];
    while (x->child != NONE) {
        int32_t child = x->child;
        x->child = c->nodes[child].next;
        c->nodes[child].parent = twin;
        c->nodes[child].next = y->child;
        y->child = child;
    }
    y->refs++;
    y->last_use = x->last_use;
    s->nodes[b] = (uint32_t)twin;
    s->table[b] = (uint32_t)y->closed;
    release(c, i);
}

void wh_cache_commit(wh_cache *c, wh_cache_seq *s, size_t n)
{
    size_t b = s->blocks;
    for (; b > 0; b--) { /* down to the first block that has new tokens */
        const node *x = &c->nodes[s->nodes[b - 1]];
        size_t begin = (b - 1) * B;
        if (n > begin && (x->computed >= n - begin || x->computed == B)) break;
    }
    for (; b < s->blocks && n > b * B; b++) {
        node *x = &c->nodes[s->nodes[b]];
        size_t here = n - b * B < x->planned ? n - b * B : x->planned;
        x->computed = (uint16_t)here;
        x->last_use = ++c->tick;
        if (here < B) continue;
        give(&c->open, &x->open);
        merge(c, s, b);
    }
}

void wh_cache_keep(wh_cache *c, const wh_cache_seq *s, size_t n)
{
    size_t k = n % B ? n % B : B - 1;
    int32_t i = (int32_t)s->nodes[(n - 1) / B];
    if (c->nodes[i].open != NONE) copy_beginning(c, i, k, 0);
}

void wh_cache_close(wh_cache *c, wh_cache_seq *s)
{
    for (size_t b = s->blocks; b-- > 0;) {
        int32_t i = (int32_t)s->nodes[b];
        node *x = &c->nodes[i];
        if (--x->refs) continue;
        if (x->computed < x->planned) { /* a step that did not happen */
            x->planned = x->computed;
            give(&c->closed, &x->closed);
        }
        if (!x->computed && x->child == NONE) release(c, i);
    }
    s->len = s->blocks = 0;
}
