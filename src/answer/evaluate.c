#include "answer/evaluate.h"

#include "base/rng.h"

#include <math.h>

#define MAX_DETERMINANT 6
#define POINT_SEED UINT64_C(0x77686574)

static const wh_node *at(const wh_expr *e, int32_t x)
{
    return e->nodes + x;
}

static wh_value variable(wh_scope *s, const wh_node *n)
{
    const char *name = s->e->chars + n->at, *sub = s->e->chars + n->sub_at;
    if (s->j_is_i && n->len == 1 && *name == 'j' && !n->sub_len && !n->op) return wh_value_i();
    s->variables = true;
    uint64_t h = UINT64_C(14695981039346656037) + n->op; /* FNV-1a */
    for (size_t i = 0; i < n->len; i++) h = (h ^ (unsigned char)name[i]) * UINT64_C(1099511628211);
    h = (h ^ '_') * UINT64_C(1099511628211);
    for (size_t i = 0; i < n->sub_len; i++) h = (h ^ (unsigned char)sub[i]) * UINT64_C(1099511628211);
    double u = wh_rng_uniform(POINT_SEED, h, (uint64_t)s->point);
    double x = 0.4 + 1.4 * u;
    /* the first point is positive in all variables, the second negative, the others mixed */
    bool negative = s->point == 1 || (s->point > 1 && (wh_rng_u64(POINT_SEED + 1, h, (uint64_t)s->point) & 1));
    return wh_value_real(negative ? -x : x);
}

/* The argument of a trigonometric function: degrees count there. */
static wh_value angle(wh_scope *s, int32_t x)
{
    wh_value v = wh_evaluate_in(s, x);
    return at(s->e, x)->kind == WH_N_DEG ? wh_value_mul(v, wh_value_real(M_PIl / 180)) : v;
}

/* A determinant by elimination; a pivot is any entry that is not zero. */
static wh_value determinant(wh_scope *s, int32_t x)
{
    wh_value m[MAX_DETERMINANT][MAX_DETERMINANT], det = wh_value_int(1);
    int      n = 0, rows = 0;
    for (int32_t r = at(s->e, x)->first; r >= 0; r = at(s->e, r)->next) n++;
    if (n > MAX_DETERMINANT) return wh_value_bad();
    for (int32_t r = at(s->e, x)->first; r >= 0; r = at(s->e, r)->next, rows++) {
        int k = 0;
        for (int32_t c = at(s->e, r)->first; c >= 0; c = at(s->e, c)->next, k++)
            if (k < n) m[rows][k] = wh_evaluate_in(s, c);
        if (k != n) return wh_value_bad();
    }
    for (int k = 0; k < n; k++) {
        int pivot = k;
        while (pivot < n && m[pivot][k].re == 0 && m[pivot][k].im == 0 && !m[pivot][k].bad) pivot++;
        if (pivot == n) return wh_value_int(0);
        for (int c = 0; c < n && pivot != k; c++) {
            wh_value swap = m[k][c];
            m[k][c] = wh_value_neg(m[pivot][c]);
            m[pivot][c] = swap;
        }
        det = wh_value_mul(det, m[k][k]);
        wh_value inverse = wh_value_inv(m[k][k]);
        for (int r = k + 1; r < n; r++) {
            wh_value factor = wh_value_neg(wh_value_mul(m[r][k], inverse));
            for (int c = k; c < n; c++) m[r][c] = wh_value_add(m[r][c], wh_value_mul(factor, m[k][c]));
        }
    }
    return det;
}

wh_value wh_evaluate_in(wh_scope *s, int32_t x)
{
    const wh_node *n = at(s->e, x);
    int32_t        a = n->first, b = a < 0 ? -1 : at(s->e, a)->next;
    switch (n->kind) {
    case WH_N_NUM: return n->value;
    case WH_N_SYM: return variable(s, n);
    case WH_N_PI: return wh_value_real(M_PIl);
    case WH_N_E: return wh_value_real(M_El);
    case WH_N_I: return wh_value_i();
    case WH_N_NEG: return wh_value_neg(wh_evaluate_in(s, a));
    case WH_N_DEG: return wh_evaluate_in(s, a);
    case WH_N_DET: return determinant(s, x);
    case WH_N_INV: return wh_value_inv(wh_evaluate_in(s, a));
    case WH_N_FACT: return wh_value_factorial(wh_evaluate_in(s, a));
    case WH_N_PM: {
        s->signs = true;
        wh_value v = wh_evaluate_in(s, a);
        return s->lower == (n->op == '+') ? wh_value_neg(v) : v;
    }
    case WH_N_ADD:
    case WH_N_MUL: {
        wh_value v = wh_evaluate_in(s, a);
        for (; b >= 0; b = at(s->e, b)->next)
            v = n->kind == WH_N_ADD ? wh_value_add(v, wh_evaluate_in(s, b)) : wh_value_mul(v, wh_evaluate_in(s, b));
        return v;
    }
    case WH_N_POW: {
        if (at(s->e, a)->kind == WH_N_E) return wh_value_fn(WH_FN_EXP, wh_evaluate_in(s, b));
        wh_value base = wh_evaluate_in(s, a);
        return wh_value_pow(base, wh_evaluate_in(s, b));
    }
    case WH_N_ROOT: {
        wh_value radicand = wh_evaluate_in(s, a);
        return wh_value_root(radicand, wh_evaluate_in(s, b));
    }
    case WH_N_LOG: {
        wh_value arg = wh_value_fn(WH_FN_LN, wh_evaluate_in(s, a)), base = wh_value_fn(WH_FN_LN, wh_evaluate_in(s, b));
        return wh_value_mul(arg, wh_value_inv(base));
    }
    case WH_N_BINOM: {
        wh_value top = wh_evaluate_in(s, a);
        return wh_value_binomial(top, wh_evaluate_in(s, b));
    }
    case WH_N_FN: return wh_value_fn((wh_fn)n->op, n->op <= WH_FN_CSC ? angle(s, a) : wh_evaluate_in(s, a));
    default: return wh_value_bad(); /* infinity, tuples, relations, ...: no numbers */
    }
}

wh_scope wh_scope_of(const wh_expr *e)
{
    wh_scope s = {.e = e, .j_is_i = true};
    for (size_t i = 0; i < e->n_nodes; i++) s.j_is_i &= e->nodes[i].kind != WH_N_I;
    return s;
}

wh_value wh_evaluate(const wh_expr *e, int32_t x)
{
    wh_scope s = wh_scope_of(e);
    wh_value v = wh_evaluate_in(&s, x);
    return s.variables || s.signs ? wh_value_bad() : wh_value_snap(v);
}
