#include "search/tree.h"

#include "base/mem.h"
#include "base/rng.h"

#include <stdlib.h>
#include <string.h>

/* Memory of the tree: blocks from which pieces are cut; a piece larger than a block gets its own. */
struct wh_tree_block {
    struct wh_tree_block *next;
    size_t                used, size;
    _Alignas(16) unsigned char data[];
};

const char *wh_end_name(wh_end end)
{
    static const char *const names[] = {
        [WH_END_NONE] = "none",       [WH_END_EOS] = "eos",         [WH_END_BOXED] = "boxed",
        [WH_END_DEPTH] = "depth",     [WH_END_LENGTH] = "length",   [WH_END_CONTEXT] = "context",
        [WH_END_LOOP] = "loop",       [WH_END_BUDGET] = "budget",   [WH_END_STUCK] = "stuck",     [WH_END_CANCELLED] = "cancelled",
    };
    return names[end];
}

const char *wh_fate_name(wh_fate fate)
{
    static const char *const names[] = {
        [WH_FATE_IN_PLAY] = "in play",      [WH_FATE_SOLUTION] = "solution",
        [WH_FATE_PRUNED] = "pruned",        [WH_FATE_DUPLICATE] = "duplicate",
        [WH_FATE_OVERLONG] = "overlong",    [WH_FATE_SPECULATIVE] = "speculative",
    };
    return names[fate];
}

void *wh_tree_alloc(wh_tree *t, size_t n, size_t size)
{
    enum { BLOCK = 1 << 14, ALIGN = 16 };
    size_t bytes;
    if (!wh_mem_mul(&bytes, n, size) || !wh_mem_add(&bytes, bytes, ALIGN)) return NULL;
    bytes = bytes / ALIGN * ALIGN;
    struct wh_tree_block *b = t->blocks;
    if (!b || b->size - b->used < bytes) {
        size_t room = bytes < BLOCK ? BLOCK : bytes, total;
        if (!wh_mem_add(&total, room, sizeof *b)) return NULL;
        b = wh_mem_zalloc(total, 1);
        if (!b) return NULL;
        b->size = room;
        /* A large piece goes behind the block in use, which may have room left. */
        if (t->blocks && bytes >= BLOCK) {
            b->next = t->blocks->next;
            t->blocks->next = b;
        } else {
            b->next = t->blocks;
            t->blocks = b;
        }
    }
    void *p = b->data + b->used;
    b->used += bytes;
    return p;
}

char *wh_tree_strndup(wh_tree *t, const char *s, size_t n)
{
    size_t bytes;
    char *p = wh_mem_add(&bytes, n, 1) ? wh_tree_alloc(t, bytes, 1) : NULL;
    if (p && n) memcpy(p, s, n);
    return p;
}

wh_code wh_tree_init(wh_tree *t, const char *question, const int32_t *prompt, size_t n_prompt, uint64_t seed,
                     wh_err *err)
{
    *t = (wh_tree){.seed = seed};
    if (n_prompt == 0 || n_prompt > UINT32_MAX / 2)
        return wh_err_set(err, WH_ERR_ARG, "a prompt of %zu tokens cannot be searched from", n_prompt);
    char *q = wh_tree_strndup(t, question, strlen(question));
    int32_t *p = wh_tree_alloc(t, n_prompt, sizeof *p);
    t->nodes = wh_mem_alloc(16, sizeof *t->nodes);
    if (!q || !p || !t->nodes) {
        wh_tree_reset(t);
        return wh_err_set(err, WH_ERR_NOMEM, "no memory for a search tree");
    }
    memcpy(p, prompt, n_prompt * sizeof *p);
    t->question = q;
    t->prompt = p;
    t->n_prompt = n_prompt;
    t->cap_nodes = 16;
    t->n_nodes = 1;
    t->nodes[0] = (wh_node){.state = WH_NODE_READY, .text = "", .sample = WH_NO_SAMPLE};
    return WH_OK;
}

void wh_tree_reset(wh_tree *t)
{
    for (struct wh_tree_block *b = t->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(t->nodes);
    *t = (wh_tree){0};
}

wh_code wh_tree_add(wh_tree *t, uint32_t *out, uint32_t parent, uint32_t index, uint32_t lane,
                    uint32_t expansion, wh_err *err)
{
    if (t->n_nodes == t->cap_nodes) {
        size_t cap = (size_t)t->cap_nodes * 2;
        wh_node *nodes = cap < UINT32_MAX ? wh_mem_resize(t->nodes, cap, sizeof *nodes) : NULL;
        if (!nodes) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a search tree of %zu nodes", cap);
        t->nodes = nodes;
        t->cap_nodes = (uint32_t)cap;
    }
    uint32_t id = t->n_nodes++;
    wh_node *p = &t->nodes[parent];
    t->nodes[id] = (wh_node){
        .parent = parent,
        .index = index,
        .lane = lane,
        .expansion = expansion,
        .depth = p->depth,
        .path_tokens = p->path_tokens,
        .sample = WH_NO_SAMPLE,
        .stream = wh_rng_substream(p->stream, index),
        .text = "",
    };
    if (p->last_child) t->nodes[p->last_child].next = id;
    else p->first_child = id;
    p->last_child = id;
    *out = id;
    return WH_OK;
}

/* The first n elements of old, and m more of `more`, in the tree's memory; NULL when there is none. */
static void *extend(wh_tree *t, const void *old, size_t n, const void *more, size_t m, size_t size)
{
    char *all = wh_tree_alloc(t, n + m, size);
    if (!all) return NULL;
    if (n) memcpy(all, old, n * size);
    if (m) memcpy(all + n * size, more, m * size);
    return all;
}

wh_code wh_tree_write(wh_tree *t, uint32_t node, const wh_gen_result *r, wh_err *err)
{
    wh_node *n = &t->nodes[node];
    if (r->n_tokens > UINT32_MAX / 2 - n->path_tokens || r->text_len > UINT32_MAX / 2 - n->text_len)
        return wh_err_set(err, WH_ERR_BUDGET, "a path of the search tree has become too long");
    int32_t *tokens = extend(t, n->tokens, n->n_tokens, r->tokens, r->n_tokens, sizeof *tokens);
    char *text = extend(t, n->text, n->text_len, r->text, r->text_len + 1, 1); /* with its zero */
    wh_mark *marks = extend(t, n->marks, n->n_marks, r->marks, r->n_marks, sizeof *marks);
    if (!tokens || !text || !marks) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a step of the search");
    n->tokens = tokens;
    n->n_tokens += (uint32_t)r->n_tokens;
    n->path_tokens += (uint32_t)r->n_tokens;
    n->text = text;
    n->text_len += (uint32_t)r->text_len;
    n->marks = marks;
    n->n_marks += (uint32_t)r->n_marks;
    return WH_OK;
}

void wh_tree_text(const wh_tree *t, uint32_t node, wh_buf *out)
{
    if (!node) return;
    const wh_node *n = &t->nodes[node];
    wh_tree_text(t, n->parent, out);
    wh_buf_put(out, n->text, n->text_len);
}

void wh_tree_tokens(const wh_tree *t, uint32_t node, int32_t *out)
{
    memcpy(out, t->prompt, t->n_prompt * sizeof *out);
    for (uint32_t i = node; i; i = t->nodes[i].parent) {
        const wh_node *n = &t->nodes[i];
        if (n->n_tokens)
            memcpy(out + t->n_prompt + n->path_tokens - n->n_tokens, n->tokens, n->n_tokens * sizeof *out);
    }
}

size_t wh_tree_scores(const wh_tree *t, uint32_t node, double *out, size_t max)
{
    size_t n = 0;
    for (uint32_t i = node; i; i = t->nodes[i].parent) n += t->nodes[i].n_scores;
    size_t end = n;
    for (uint32_t i = node; i; i = t->nodes[i].parent) {
        end -= t->nodes[i].n_scores;
        for (size_t k = 0; k < t->nodes[i].n_scores && end + k < max; k++) out[end + k] = t->nodes[i].scores[k];
    }
    return n;
}

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

size_t wh_tree_next_step(const char **step, size_t *at, const char *text, size_t n)
{
    while (*at < n) {
        size_t begin = *at, end = begin;
        while (end < n && !(text[end] == '\n' && end + 1 < n && text[end + 1] == '\n')) end++;
        *at = end < n ? end + 2 : n;
        while (begin < end && is_space(text[begin])) begin++;
        while (end > begin && is_space(text[end - 1])) end--;
        if (begin < end) {
            *step = text + begin;
            return end - begin;
        }
    }
    return 0;
}

size_t wh_tree_count_steps(const char *text, size_t n)
{
    const char *step;
    size_t at = 0, count = 0;
    while (wh_tree_next_step(&step, &at, text, n)) count++;
    return count;
}
