/* tok_merge: merge neighbours, best pair first, in O(n log n).
 *
 * Symbols are a doubly linked list in an array; a merge keeps the left symbol and unlinks the right one.
 * Candidates are never removed from the heap: one is stale when the symbols at its place are no longer
 * the two it was made for, and is then skipped. Each merge pushes at most two candidates, so the heap
 * never holds more than 3n and a word of a megabyte costs no more per byte than a short one.
 */
#include "base/mem.h"
#include "text/tok_impl.h"

#include <stdlib.h>
#include <string.h>

void wh_merge_free(wh_merge *m)
{
    free(m->sym);
    free(m->heap);
    *m = (wh_merge){0};
}

wh_code wh_merge_reset(wh_merge *m, size_t n, wh_err *err)
{
    m->n_sym = m->n_heap = 0;
    if (n <= m->cap_sym) return WH_OK;
    size_t cap = n < 64 ? 64 : n + n / 2;
    void  *sym = wh_mem_resize(m->sym, cap, sizeof *m->sym);
    if (!sym) return wh_err_set(err, WH_ERR_NOMEM, "no memory to tokenize a word of %zu bytes", n);
    m->sym = sym;
    m->cap_sym = cap;
    return WH_OK;
}

void wh_merge_add(wh_merge *m, int32_t id, size_t from)
{
    int32_t at = (int32_t)m->n_sym++;
    m->sym[at] = (wh_merge_sym){id, at - 1, -1, (int32_t)from};
    if (at) m->sym[at - 1].next = at;
}

static bool before(const wh_merge_cand *a, const wh_merge_cand *b)
{
    return a->key < b->key || (a->key == b->key && a->at < b->at);
}

static wh_code push(wh_merge *m, wh_merge_cand c, wh_err *err)
{
    if (m->n_heap == m->cap_heap) {
        size_t cap = m->cap_heap ? 2 * m->cap_heap : 128;
        void  *heap = wh_mem_resize(m->heap, cap, sizeof *m->heap);
        if (!heap) return wh_err_set(err, WH_ERR_NOMEM, "no memory to merge %zu symbols", m->n_sym);
        m->heap = heap;
        m->cap_heap = cap;
    }
    size_t i = m->n_heap++;
    for (; i && before(&c, &m->heap[(i - 1) / 2]); i = (i - 1) / 2) m->heap[i] = m->heap[(i - 1) / 2];
    m->heap[i] = c;
    return WH_OK;
}

static wh_merge_cand pop(wh_merge *m)
{
    wh_merge_cand top = m->heap[0], last = m->heap[--m->n_heap];
    size_t        i = 0;
    for (size_t kid; (kid = 2 * i + 1) < m->n_heap; i = kid) {
        if (kid + 1 < m->n_heap && before(&m->heap[kid + 1], &m->heap[kid])) kid++;
        if (!before(&m->heap[kid], &last)) break;
        m->heap[i] = m->heap[kid];
    }
    m->heap[i] = last;
    return top;
}

static wh_code consider(wh_merge *m, wh_merge_find find, const void *ctx, int32_t left, int32_t right, wh_err *err)
{
    if (left < 0 || right < 0) return WH_OK;
    wh_merge_cand c = {.at = left, .left = m->sym[left].id, .right = m->sym[right].id};
    return find(ctx, &c, m, left, right) ? push(m, c, err) : WH_OK;
}

wh_code wh_merge_run(wh_merge *m, wh_merge_find find, const void *ctx, wh_err *err)
{
    for (int32_t i = 1; i < (int32_t)m->n_sym; i++) WH_TRY(consider(m, find, ctx, i - 1, i, err));
    while (m->n_heap) {
        wh_merge_cand c = pop(m);
        wh_merge_sym *left = &m->sym[c.at];
        if (left->id != c.left || left->next < 0 || m->sym[left->next].id != c.right) continue;
        m->sym[left->next].id = WH_MERGE_GONE;
        left->id = c.merged;
        left->next = m->sym[left->next].next;
        if (left->next >= 0) m->sym[left->next].prev = c.at;
        WH_TRY(consider(m, find, ctx, left->prev, c.at, err));
        WH_TRY(consider(m, find, ctx, c.at, left->next, err));
    }
    return WH_OK;
}
