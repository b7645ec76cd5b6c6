/* normalize: trees to keys. Two answers are the same if and only if their keys are.
 *
 *   a constant            its value: wh_value_key
 *   an expression         its values at N_POINTS fixed points: "v" and their keys (Schwartz 1980)
 *   an equation           the ratios of lhs - rhs at the points to that at the first point: a factor does not count
 *   tuples, matrices      the keys of the elements, in order
 *   lists, sets, unions   the keys of the elements, sorted, each once
 *   one inequality        the interval it describes; others as equations, the factor being positive
 *   everything else       its letters in lower case
 */
#include "answer/normalize.h"

#include "answer/evaluate.h"
#include "base/mem.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define N_POINTS 4
#define MAX_ELEMENTS 512

static const wh_node *at(const wh_expr *e, int32_t x)
{
    return e->nodes + x;
}

/* ---- shapes ------------------------------------------------------------------------------------------ */

static bool is_name(const wh_expr *e, int32_t x) /* x, f(x), P(A), or a product of letters with a capital: AB */
{
    const wh_node *n = at(e, x);
    if (n->kind == WH_N_SYM) return true;
    if (n->kind != WH_N_MUL) return false;
    const wh_node *f = at(e, n->first), *arg = at(e, f->next);
    if (f->kind == WH_N_POW) f = at(e, f->first); /* f^{-1}(x) */
    if (f->kind == WH_N_SYM && arg->next < 0 && arg->paren) return true;
    bool capital = false;
    for (int32_t c = n->first; c >= 0; c = at(e, c)->next) {
        if (at(e, c)->kind != WH_N_SYM) return false;
        capital |= isupper((unsigned char)e->chars[at(e, c)->at]) != 0;
    }
    return capital;
}

static bool is_constant(const wh_expr *e, int32_t x)
{
    wh_scope s = wh_scope_of(e);
    wh_value v = wh_evaluate_in(&s, x);
    return !v.bad && !s.variables;
}

/* infinity: +1, -1; anything else 0 */
static int infinity_sign(const wh_expr *e, int32_t x)
{
    int            sign = 1;
    const wh_node *n = at(e, x);
    for (; n->kind == WH_N_NEG; n = at(e, n->first)) sign = -sign;
    return n->kind == WH_N_INF ? sign : 0;
}

int32_t wh_normalize_meaning(const wh_expr *e, int32_t x)
{
    const wh_node *n = at(e, x);
    if (n->kind != WH_N_REL) return x;
    int32_t last = n->first;
    bool    equalities = true, constants = true;
    for (int32_t c = n->first; c >= 0; c = at(e, c)->next) {
        if (c != n->first) equalities &= at(e, c)->rel == WH_REL_EQ || at(e, c)->rel == WH_REL_IN;
        constants &= is_constant(e, c) || (c == n->first && (is_name(e, c) || at(e, c)->kind == WH_N_TUPLE));
        last = c;
    }
    if (!equalities) return x;
    const wh_node *lhs = at(e, n->first), *rhs = at(e, last);
    if (constants) return last; /* x = 5, AB = 5, 2 + 3 = 5 */
    if (rhs->rel == WH_REL_IN) return last;
    if (lhs->kind == WH_N_TUPLE || rhs->kind >= WH_N_LIST) return last; /* (x, y) = (1, 2) */
    if (infinity_sign(e, last)) return last;
    /* y = 2x + 3 is a curve, f(x) = 2x + 3 and A = 2x + 3 name an expression */
    bool curve = lhs->kind == WH_N_SYM && lhs->len == 1 && strchr("xyz", e->chars[lhs->at]);
    return is_name(e, n->first) && !curve ? last : x;
}

/* ---- keys -------------------------------------------------------------------------------------------- */

static void put_value(wh_buf *out, wh_value v)
{
    char text[WH_VALUE_KEY];
    wh_value_key(text, v);
    wh_buf_puts(out, text);
}

/* Key of an expression for one choice of the signs. */
static bool expression_key(wh_buf *out, const wh_expr *e, int32_t x, bool lower, bool *signs)
{
    wh_scope s = wh_scope_of(e);
    wh_value v[N_POINTS];
    bool     constant = true;
    s.lower = lower;
    for (s.point = 0; s.point < N_POINTS; s.point++) {
        v[s.point] = wh_evaluate_in(&s, x);
        if (v[s.point].bad && s.point == 0) return false;
        wh_value d = wh_value_add(v[s.point], wh_value_neg(v[0]));
        constant &= !d.bad && hypotl(d.re, d.im) <= 1e-12 * hypotl(v[0].re, v[0].im);
    }
    *signs = s.signs;
    if (!s.variables || constant) { /* x + 2 - x is 2 */
        put_value(out, wh_value_snap(v[0]));
        return true;
    }
    wh_buf_putc(out, 'v');
    for (int i = 0; i < N_POINTS; i++) {
        if (v[i].bad) wh_buf_putc(out, '?'); /* outside its domain */
        else put_value(out, v[i]);
        wh_buf_putc(out, ' ');
    }
    return true;
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The keys in list (each ended by a zero byte) sorted, each once, with commas between. */
static void put_sorted(wh_buf *out, wh_buf *list, const char *open, const char *close)
{
    const char *keys[MAX_ELEMENTS] = {NULL};
    size_t      n = 0;
    if (!wh_buf_ok(list)) out->failed = true;
    for (size_t i = 0; i < list->len && n < MAX_ELEMENTS; i += strlen(list->data + i) + 1)
        keys[n++] = list->data + i;
    qsort(keys, n, sizeof *keys, compare_text);
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(keys[i], keys[k - 1])) keys[k++] = keys[i];
    if (k == 1) {
        wh_buf_puts(out, keys[0]); /* a set of one is that one */
    } else {
        wh_buf_puts(out, open);
        for (size_t i = 0; i < k; i++) wh_buf_printf(out, "%s%s", i ? ";" : "", keys[i]);
        wh_buf_puts(out, close);
    }
    wh_buf_free(list);
}

/* Append the keys of an element to a list: two when it holds a +-. */
static bool put_elements(wh_buf *list, const wh_expr *e, int32_t x)
{
    const wh_node *n = at(e, x = wh_normalize_meaning(e, x));
    if (n->kind >= WH_N_LIST) {
        bool ok = wh_normalize_key(list, e, x);
        wh_buf_put(list, "", 1);
        return ok;
    }
    if (infinity_sign(e, x)) {
        wh_buf_puts(list, infinity_sign(e, x) > 0 ? "inf" : "-inf");
        wh_buf_put(list, "", 1);
        return true;
    }
    bool signs = false;
    bool ok = expression_key(list, e, x, false, &signs);
    wh_buf_put(list, "", 1);
    if (ok && signs) {
        ok = expression_key(list, e, x, true, &signs);
        wh_buf_put(list, "", 1);
    }
    return ok;
}

static bool children_sorted(wh_buf *out, const wh_expr *e, int32_t x, const char *open, const char *close)
{
    wh_buf list = {0};
    bool   ok = true;
    size_t n = 0;
    for (int32_t c = at(e, x)->first; c >= 0 && ok; c = at(e, c)->next)
        ok = ++n < MAX_ELEMENTS / 2 && put_elements(&list, e, c);
    put_sorted(out, &list, open, close);
    return ok;
}

static bool children_ordered(wh_buf *out, const wh_expr *e, int32_t x, const char *open, const char *close)
{
    bool ok = true;
    wh_buf_puts(out, open);
    for (int32_t c = at(e, x)->first; c >= 0 && ok; c = at(e, c)->next) {
        if (c != at(e, x)->first) wh_buf_putc(out, ';');
        ok = wh_normalize_key(out, e, c);
    }
    wh_buf_puts(out, close);
    return ok;
}

/* a < x <= b, x > a, a >= x: the interval; false when it is not of this form. */
static bool interval_key(wh_buf *out, const wh_expr *e, int32_t x)
{
    int32_t c[3], n = 0;
    for (int32_t k = at(e, x)->first; k >= 0 && n < 4; k = at(e, k)->next, n++)
        if (n < 3) c[n] = k;
    if (n < 2 || n > 3) return false;
    int32_t low = -1, high = -1, mid = at(e, c[0])->kind == WH_N_SYM ? 0 : 1;
    bool    low_closed = false, high_closed = false;
    if (at(e, c[mid])->kind != WH_N_SYM) return false;
    for (int32_t k = 1; k < n; k++) {
        wh_rel rel = (wh_rel)at(e, c[k])->rel;
        if (rel != WH_REL_LT && rel != WH_REL_LE && rel != WH_REL_GT && rel != WH_REL_GE) return false;
        bool    less = rel == WH_REL_LT || rel == WH_REL_LE, closed = rel == WH_REL_LE || rel == WH_REL_GE;
        bool    left_is_x = k - 1 == mid;
        int32_t bound = left_is_x ? c[k] : c[k - 1];
        if (!left_is_x && k != mid) return false;
        if (!infinity_sign(e, bound) && !is_constant(e, bound)) return false;
        if (left_is_x == less) {
            if (high >= 0) return false;
            high = bound, high_closed = closed;
        } else {
            if (low >= 0) return false;
            low = bound, low_closed = closed;
        }
    }
    wh_buf_putc(out, low_closed ? '[' : '(');
    bool ok = low < 0 || wh_normalize_key(out, e, low);
    if (low < 0) wh_buf_puts(out, "-inf");
    wh_buf_putc(out, ';');
    ok = ok && (high < 0 || wh_normalize_key(out, e, high));
    if (high < 0) wh_buf_puts(out, "inf");
    wh_buf_putc(out, high_closed ? ']' : ')');
    return ok;
}

static bool relation_key(wh_buf *out, const wh_expr *e, int32_t x)
{
    if (interval_key(out, e, x)) return true;
    int32_t a = at(e, x)->first, b = at(e, a)->next;
    wh_rel  rel = (wh_rel)at(e, b)->rel;
    if (at(e, b)->next >= 0 || rel == WH_REL_IN) return false;
    wh_scope s = wh_scope_of(e);
    wh_value first = wh_value_bad();
    bool flip = rel == WH_REL_GT || rel == WH_REL_GE; /* a > b is b < a */
    static const char *const names[] = {"?", "=", "!=", "<", "<=", "<", "<=", "in"};
    wh_buf_puts(out, names[rel]);
    for (s.point = 0; s.point < N_POINTS; s.point++) {
        wh_value left = wh_evaluate_in(&s, a), right = wh_evaluate_in(&s, b);
        wh_value d = flip ? wh_value_add(right, wh_value_neg(left)) : wh_value_add(left, wh_value_neg(right));
        if (s.point == 0) {
            first = d;
            if (d.bad || s.signs || hypotl(d.re, d.im) < 1e-12) return false;
            if (rel != WH_REL_EQ && rel != WH_REL_NE) {
                first = wh_value_fn(WH_FN_ABS, d);
                wh_buf_putc(out, d.re < 0 ? '-' : '+');
            }
            continue;
        }
        wh_buf_putc(out, ' ');
        if (d.bad) wh_buf_putc(out, '?');
        else put_value(out, wh_value_snap(wh_value_mul(d, wh_value_inv(first))));
    }
    return true;
}

/* "x = 1, y = 2": different letters on the left make it the tuple of the values in the order of the letters; false
 * when they are not (x = 1, x = 2; x_1 = 1, x_2 = 2: the values are a list). */
static bool assignments_key(wh_buf *out, const wh_expr *e, int32_t x)
{
    int32_t names[8], n = 0;
    for (int32_t c = at(e, x)->first; c >= 0; c = at(e, c)->next) {
        const wh_node *r = at(e, c), *lhs = r->first < 0 ? r : at(e, r->first);
        if (n == 8 || r->kind != WH_N_REL || lhs->kind != WH_N_SYM || wh_normalize_meaning(e, c) == c)
            return false;
        int32_t k = n++;
        for (; k > 0; k--) {
            int order = e->chars[lhs->at] - e->chars[at(e, at(e, names[k - 1])->first)->at];
            if (!order) return false;
            if (order > 0) break;
            names[k] = names[k - 1];
        }
        names[k] = c;
    }
    bool ok = n > 1;
    wh_buf_putc(out, '(');
    for (int32_t k = 0; k < n && ok; k++) {
        if (k) wh_buf_putc(out, ';');
        ok = wh_normalize_key(out, e, wh_normalize_meaning(e, names[k]));
    }
    wh_buf_putc(out, ')');
    return ok;
}

/* An interval or an inequality, of which "or" makes a union; points and values make a list. */
static bool is_region(const wh_expr *e, int32_t x)
{
    const wh_node *n = at(e, x);
    if (n->kind == WH_N_REL) return wh_normalize_meaning(e, x) == x;
    if (n->kind != WH_N_TUPLE) return false;
    bool region = n->op == '[' || n->close == ']';
    for (int32_t c = n->first; c >= 0; c = at(e, c)->next) region |= infinity_sign(e, c) != 0;
    return region;
}

bool wh_normalize_key(wh_buf *out, const wh_expr *e, int32_t x)
{
    const wh_node *n = at(e, x = wh_normalize_meaning(e, x));
    switch (n->kind) {
    case WH_N_LIST: {
        size_t start = out->len;
        if (assignments_key(out, e, x)) return true;
        out->len = start;
        bool regions = n->op == '|';
        for (int32_t c = n->first; c >= 0; c = at(e, c)->next) regions &= is_region(e, c);
        return regions ? children_sorted(out, e, x, "U{", "}") : children_sorted(out, e, x, "{", "}");
    }
    case WH_N_SET: return children_sorted(out, e, x, "{", "}");
    case WH_N_UNION: return children_sorted(out, e, x, "U{", "}");
    case WH_N_CAP: return children_sorted(out, e, x, "I{", "}");
    case WH_N_MINUS: return children_ordered(out, e, x, "\\(", ")");
    case WH_N_RATIO: return children_ordered(out, e, x, ":(", ")");
    case WH_N_MATRIX: return children_ordered(out, e, x, "M(", ")");
    case WH_N_ROW: return children_ordered(out, e, x, "R(", ")");
    case WH_N_TUPLE: {
        char open[2] = {(char)n->op, 0}, close[2] = {(char)n->close, 0};
        return children_ordered(out, e, x, open, close);
    }
    case WH_N_REL: {
        size_t start = out->len;
        bool   ok = relation_key(out, e, x);
        if (!ok) out->len = start;
        return ok;
    }
    case WH_N_BASE: return children_ordered(out, e, x, "B(", ")");
    default: {
        wh_buf list = {0};
        bool   ok = put_elements(&list, e, x);
        put_sorted(out, &list, "{", "}");
        return ok;
    }
    }
}

/* ---- whole answers ----------------------------------------------------------------------------------- */

static const char *const number_words[] = {
    "zero",     "one",     "two",     "three",     "four",     "five",     "six",
    "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",   "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"};

/* The letters of an answer that is no mathematics: tokens in lower case, without layout; articles do not count. */
static void text_key(wh_buf *out, const wh_expr *e, const char *text, size_t n)
{
    size_t start = out->len;
    wh_buf_puts(out, "t:");
    if (e->n_toks > 1) {
        for (size_t i = 0; i < e->n_toks; i++) {
            const wh_tok *t = e->toks + i;
            const char   *s = e->chars + t->at;
            bool          article = t->kind == WH_TOK_WORD && ((t->len == 3 && !strncasecmp(s, "the", 3)) ||
                                                      (t->len == 2 && !strncasecmp(s, "an", 2)));
            bool          layout = t->kind == WH_TOK_OP && strchr("{},;:'!()[]", t->arg) && e->root < 0;
            if (article || (layout && e->n_toks > 2)) continue;
            if (t->space && out->len > start + 2 && out->data[out->len - 1] != ' ') wh_buf_putc(out, ' ');
            for (size_t k = 0; k < t->len; k++) wh_buf_putc(out, (char)tolower((unsigned char)s[k]));
        }
    } else {
        for (size_t i = 0; i < n; i++)
            if ((unsigned char)text[i] > ' ') wh_buf_putc(out, (char)tolower((unsigned char)text[i]));
    }
    if (out->failed) return;
    for (size_t k = 0; k < sizeof number_words / sizeof *number_words; k++)
        if (!strcmp(out->data + start + 2, number_words[k])) {
            out->len = start;
            put_value(out, wh_value_int((int64_t)k));
            return;
        }
    const char *said = out->data + start + 2;
    if (!strcmp(said, "all real numbers") || !strcmp(said, "all reals")) {
        out->len = start;
        wh_buf_puts(out, "(-inf;inf)");
    }
    if (out->len == start + 2) out->len = start; /* says nothing */
}

bool wh_normalize_read(wh_expr *e, const char *text, size_t n)
{
    e->root = -1;
    if (n <= WH_ANSWER_MAX) {
        wh_lex_answer(e, text, n);
        wh_expr_parse(e);
    }
    return !e->nomem;
}

void wh_normalize_answer(wh_buf *out, const wh_expr *e, const char *text, size_t n)
{
    size_t start = out->len;
    if (e->root >= 0) {
        const wh_node *r = at(e, e->root);
        bool           letter =
            r->kind == WH_N_SYM && r->len == 1 && !r->sub_len && !r->op; /* a choice, or one variable */
        if (!letter && wh_normalize_key(out, e, e->root)) return;
        out->len = start;
        if (letter) {
            wh_buf_printf(out, "t:%c", tolower((unsigned char)e->chars[r->at]));
            return;
        }
    }
    text_key(out, e, text, n);
}
