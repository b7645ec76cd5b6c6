/* equal: keys in the hand, groups of a vote, and the more forgiving comparison of a grader.
 *
 * Grading walks two trees side by side. At each pair it first compares keys; where they differ and both are
 * numbers it allows what wh_answer_grade promises, and where both have elements it goes down.
 */
#include "answer/answer.h"

#include "answer/evaluate.h"
#include "answer/normalize.h"
#include "base/mem.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_MATCHED 64 /* elements of a set that are matched one against another */
#define MAX_PAIRS 4096 /* pairs of nodes that are compared before the answer is "different" */

static wh_code nomem(wh_err *err)
{
    return wh_err_set(err, WH_ERR_NOMEM, "no memory to compare answers");
}

wh_code wh_answer_parse(wh_answer *out, const char *text, size_t n, wh_err *err)
{
    wh_expr e = {0};
    wh_buf  key = {0};
    out->key = NULL;
    bool ok = wh_normalize_read(&e, text, n);
    if (ok) wh_normalize_answer(&key, &e, text, n);
    wh_expr_free(&e);
    if (ok && wh_buf_ok(&key)) out->key = wh_mem_strndup(key.len ? key.data : "", key.len);
    wh_buf_free(&key);
    return out->key ? WH_OK : nomem(err);
}

void wh_answer_free(wh_answer *a)
{
    free(a->key);
    a->key = NULL;
}

bool wh_answer_is_empty(const wh_answer *a)
{
    return !a->key || !*a->key;
}

bool wh_answer_equal(const wh_answer *a, const wh_answer *b)
{
    return !wh_answer_is_empty(a) && !wh_answer_is_empty(b) && !strcmp(a->key, b->key);
}

wh_code wh_answer_group(int32_t *group, size_t *n_groups, const char *const *texts, size_t n, wh_err *err)
{
    wh_answer *leaders = wh_mem_zalloc(n, sizeof *leaders);
    if (!leaders) return nomem(err);
    wh_code code = WH_OK;
    *n_groups = 0;
    for (size_t i = 0; i < n && code == WH_OK; i++) {
        wh_answer a = {0};
        size_t    g = 0;
        group[i] = -1;
        if (!texts[i] || (code = wh_answer_parse(&a, texts[i], strlen(texts[i]), err)) != WH_OK) continue;
        while (g < *n_groups && !wh_answer_equal(&a, &leaders[g])) g++;
        if (!wh_answer_is_empty(&a)) group[i] = (int32_t)g;
        if (!wh_answer_is_empty(&a) && g == *n_groups) leaders[(*n_groups)++] = a;
        else wh_answer_free(&a);
    }
    for (size_t g = 0; g < *n_groups; g++) wh_answer_free(&leaders[g]);
    free(leaders);
    return code;
}

/* ---- grading ----------------------------------------------------------------------------------------- */

typedef struct side {
    const wh_expr *e;
    int32_t        x;
    int           *pairs_left; /* of the whole comparison */
} side;

static const wh_node *top(side s)
{
    return s.e->nodes + s.x;
}
static side child(side s)
{
    s.x = top(s)->first;
    return s;
}
static side sibling(side s)
{
    s.x = top(s)->next;
    return s;
}
static size_t count(side s)
{
    size_t n = 0;
    for (int32_t c = top(s)->first; c >= 0; c = s.e->nodes[c].next) n++;
    return n;
}

static bool same_key(side a, side b)
{
    wh_buf ka = {0}, kb = {0};
    bool   ok = wh_normalize_key(&ka, a.e, a.x) && wh_normalize_key(&kb, b.e, b.x) && wh_buf_ok(&ka) &&
              wh_buf_ok(&kb) && !strcmp(ka.data, kb.data);
    wh_buf_free(&ka);
    wh_buf_free(&kb);
    return ok;
}

static bool has_decimal(side s)
{
    if (top(s)->decimal) return true;
    for (side c = child(s); c.x >= 0; c = sibling(c))
        if (has_decimal(c)) return true;
    return false;
}

/* Two numbers that differ, but by no more than a decimal is expected to be off. */
static bool same_number(side gold, side pred)
{
    wh_value g = wh_evaluate(gold.e, gold.x), p = wh_evaluate(pred.e, pred.x);
    if (g.bad || p.bad || !(has_decimal(gold) || has_decimal(pred))) return false;
    bool g_whole = wh_value_is_integer(g), p_whole = wh_value_is_integer(p);
    if (g_whole && p_whole) return false;
    long double tolerance =
        1.000001e-4L * /* 0.3333 is 1e-4 from 1/3 */ fmaxl(hypotl(g.re, g.im), hypotl(p.re, p.im));
    if (g_whole || p_whole) tolerance = fminl(tolerance, 1e-3);
    return hypotl(g.re - p.re, g.im - p.im) <= tolerance; /* false for infinities */
}

/* 50% for 0.5 and back; 50% and 50 have one key already. */
static bool same_percent(side gold, side pred)
{
    if (gold.e->percent == pred.e->percent) return false;
    wh_value g = wh_evaluate(gold.e, gold.x), p = wh_evaluate(pred.e, pred.x);
    if (g.bad || p.bad) return false;
    long double scale = gold.e->percent ? 0.01 : 100;
    return fabsl(g.re * scale - p.re) <= 1e-9 * fabsl(p.re) && g.im == 0 && p.im == 0;
}

static bool same(side gold, side pred);

static bool same_in_order(side gold, side pred)
{
    if (count(gold) != count(pred)) return false;
    side g = child(gold), p = child(pred);
    for (; g.x >= 0; g = sibling(g), p = sibling(p))
        if (!same(g, p)) return false;
    return true;
}

/* Each element of gold meets an element of pred of its own, first come first served. */
static bool same_in_any_order(side gold, side pred)
{
    bool   used[MAX_MATCHED] = {false};
    size_t n = count(gold);
    if (n != count(pred) || n > MAX_MATCHED) return false;
    for (side g = child(gold); g.x >= 0; g = sibling(g)) {
        size_t k = 0;
        side   p = child(pred);
        while (p.x >= 0 && (used[k] || !same(g, p))) p = sibling(p), k++;
        if (p.x < 0) return false;
        used[k] = true;
    }
    return true;
}

/* a : b against a number: the quotient, as problems that ask for a ratio mean it. */
static bool same_ratio(side ratio, side other)
{
    if (top(ratio)->kind != WH_N_RATIO || count(ratio) != 2 || top(other)->kind == WH_N_RATIO) return false;
    side     a = child(ratio), b = sibling(a);
    wh_value quotient = wh_value_mul(wh_evaluate(a.e, a.x), wh_value_inv(wh_evaluate(b.e, b.x)));
    wh_value value = wh_evaluate(other.e, other.x);
    char     keys[2][WH_VALUE_KEY];
    if (quotient.bad || value.bad) return false;
    wh_value_key(keys[0], quotient);
    wh_value_key(keys[1], value);
    return !strcmp(keys[0], keys[1]);
}

/* y = f against f: the other side of the equation, -1 when s is no such equation. */
static side behind_equal(side s)
{
    const wh_node *n = top(s);
    side           none = {.x = -1};
    if (n->kind != WH_N_REL || top(child(s))->kind != WH_N_SYM) return none;
    side rhs = sibling(child(s));
    return top(rhs)->next < 0 && top(rhs)->rel == WH_REL_EQ ? rhs : none;
}

static bool same(side gold, side pred)
{
    if (--*gold.pairs_left < 0) return false;
    gold.x = wh_normalize_meaning(gold.e, gold.x);
    pred.x = wh_normalize_meaning(pred.e, pred.x);
    if (same_key(gold, pred) || same_number(gold, pred) || same_percent(gold, pred)) return true;
    const wh_node *g = top(gold), *p = top(pred);
    bool           g_row = g->kind == WH_N_TUPLE, p_row = p->kind == WH_N_TUPLE;
    bool           g_bag = g->kind == WH_N_LIST, p_bag = p->kind == WH_N_LIST;
    if (g_row && p_row && g->op == p->op && g->close == p->close) return same_in_order(gold, pred);
    if ((g_row && p_bag) || (g_bag && p_row)) return same_in_order(gold, pred);
    bool g_set = g_bag || g->kind == WH_N_SET, p_set = p_bag || p->kind == WH_N_SET;
    if ((g_set && p_set) || (g->kind == WH_N_UNION && p->kind == WH_N_UNION))
        return same_in_any_order(gold, pred);
    if (g->kind == p->kind && (g->kind == WH_N_MATRIX || g->kind == WH_N_ROW || g->kind == WH_N_RATIO))
        return same_in_order(gold, pred);
    if (g->kind == WH_N_BASE && p->kind == WH_N_NUM) return same_key(child(gold), pred);
    if (p->kind == WH_N_BASE && g->kind == WH_N_NUM) return same_key(gold, child(pred));
    if (same_ratio(gold, pred) || same_ratio(pred, gold)) return true;
    side g_rhs = behind_equal(gold), p_rhs = behind_equal(pred);
    if (g_rhs.x >= 0 && p->kind != WH_N_REL) return same(g_rhs, pred);
    if (p_rhs.x >= 0 && g->kind != WH_N_REL) return same(gold, p_rhs);
    return false;
}

/* 3R^2 and 3r^2: the letters as they stand, without regard to case and blanks. */
static bool same_letters(const wh_buf *a, const wh_buf *b)
{
    size_t i = 0, j = 0;
    for (;; i++, j++) {
        while (i < a->len && isspace((unsigned char)a->data[i])) i++;
        while (j < b->len && isspace((unsigned char)b->data[j])) j++;
        if (i == a->len || j == b->len) return i == a->len && j == b->len;
        if (tolower((unsigned char)a->data[i]) != tolower((unsigned char)b->data[j])) return false;
    }
}

wh_code wh_answer_grade(bool *equal, const char *gold, size_t gold_n, const char *pred, size_t pred_n,
                        wh_err *err)
{
    wh_buf    text[2] = {{0}, {0}};
    wh_expr   e[2] = {{0}, {0}};
    wh_answer key[2] = {{0}, {0}};
    wh_code   code = wh_extract_bare(&text[0], gold, gold_n, err);
    if (code == WH_OK) code = wh_extract_bare(&text[1], pred, pred_n, err);
    for (int i = 0; i < 2 && code == WH_OK; i++) {
        code = wh_answer_parse(&key[i], wh_buf_str(&text[i]), text[i].len, err);
        if (code == WH_OK && !wh_normalize_read(&e[i], wh_buf_str(&text[i]), text[i].len)) code = nomem(err);
    }
    *equal = false;
    if (code == WH_OK) {
        int  left = MAX_PAIRS;
        bool said = !wh_answer_is_empty(&key[0]) && !wh_answer_is_empty(&key[1]);
        *equal = wh_answer_equal(&key[0], &key[1]) || (said && same_letters(&text[0], &text[1]));
        if (!*equal && e[0].root >= 0 && e[1].root >= 0)
            *equal = same((side){&e[0], e[0].root, &left}, (side){&e[1], e[1].root, &left});
    }
    for (int i = 0; i < 2; i++) {
        wh_buf_free(&text[i]);
        wh_expr_free(&e[i]);
        wh_answer_free(&key[i]);
    }
    return code;
}
