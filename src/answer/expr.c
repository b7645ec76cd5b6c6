/* expr: recursive descent from the tokens of one answer to its tree.
 *
 *   list     rel (("," | ";" | "and" | "or") rel)*          without brackets around it
 *   rel      union (("=" | "<" | "in" | ...) union)*
 *   union    sum (("cup" | "cap" | "setminus") sum)*
 *   sum      ["+" | "-" | "pm"] product (("+" | "-" | "pm" | "mp") product)*
 *   product  power (("*" | "/" | ":" | nothing) power)*
 *   power    postfix ["^" argument]
 *   postfix  primary ("!" | degree sign | "_" base)*
 *   primary  number, variable, function, root, fraction, brackets, matrix, ...
 *
 * Every parse function returns the index of a node or -1: -1 means that the answer is no expression, and is passed
 * up at once. Nodes are referred to by index because the array moves when it grows.
 */
#include "answer/expr.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

typedef struct parser {
    wh_expr *e;
    size_t   i;     /* next token */
    int      depth; /* nesting so far */
    int      bars;  /* open |...| */
} parser;

static int32_t parse_list(parser *p);
static int32_t parse_sum(parser *p);
static int32_t parse_power(parser *p);
static int32_t primary(parser *p);

static const wh_tok *peek(const parser *p)
{
    return p->e->toks + p->i;
}
static bool is(const parser *p, wh_tok_kind kind)
{
    return peek(p)->kind == kind;
}
static bool is_op(const parser *p, char c)
{
    return peek(p)->kind == WH_TOK_OP && peek(p)->arg == (uint8_t)c;
}
static bool take_op(parser *p, char c)
{
    if (!is_op(p, c)) return false;
    p->i++;
    return true;
}

static int32_t node(parser *p, wh_node_kind kind)
{
    wh_expr *e = p->e;
    if (e->n_nodes == e->cap_nodes) {
        size_t   cap = e->cap_nodes ? e->cap_nodes * 2 : 32;
        wh_node *q = wh_mem_resize(e->nodes, cap, sizeof *q);
        if (!q) {
            e->nomem = true;
            return -1;
        }
        e->nodes = q;
        e->cap_nodes = cap;
    }
    e->nodes[e->n_nodes] = (wh_node){.kind = (uint8_t)kind, .first = -1, .next = -1};
    return (int32_t)e->n_nodes++;
}

/* A node over up to two children. A child of -1 makes the whole -1. */
static int32_t over(parser *p, wh_node_kind kind, int32_t a, int32_t b)
{
    if (a < 0 || b < 0) return -1;
    int32_t n = node(p, kind);
    if (n < 0) return -1;
    p->e->nodes[n].first = a;
    if (a != b) p->e->nodes[a].next = b;
    return n;
}
static int32_t unary(parser *p, wh_node_kind kind, int32_t a)
{
    return over(p, kind, a, a);
}

/* Children in the order they come. */
typedef struct chain {
    int32_t first, last;
    size_t  n;
} chain;

static bool chain_add(parser *p, chain *c, int32_t a)
{
    if (a < 0) return false;
    if (c->n++ == 0) c->first = a;
    else p->e->nodes[c->last].next = a;
    c->last = a;
    return true;
}
/* One child is the child itself. */
static int32_t chain_node(parser *p, const chain *c, wh_node_kind kind)
{
    return c->n == 1 ? c->first : unary(p, kind, c->first);
}

static int32_t number(parser *p, const char *s, size_t n, size_t period)
{
    int32_t x = node(p, WH_N_NUM);
    if (x < 0) return -1;
    p->e->nodes[x].value = wh_value_decimal(s, n, period);
    p->e->nodes[x].decimal = memchr(s, '.', n) != NULL;
    return x;
}

static int32_t leaf(parser *p, wh_node_kind kind)
{
    p->i++;
    return node(p, kind);
}

static int32_t symbol(parser *p)
{
    const wh_tok *t = peek(p);
    int32_t       x = leaf(p, WH_N_SYM);
    if (x < 0) return -1;
    p->e->nodes[x].at = t->at;
    p->e->nodes[x].len = t->len;
    return x;
}

/* { sum }, or one token: of a number all digits (x^10 is meant as x^{10}), or with one_digit the first (\frac12). */
static int32_t argument(parser *p, bool one_digit)
{
    if (++p->depth > WH_ANSWER_DEPTH) return -1;
    int32_t x = -1;
    wh_tok *t = p->e->toks + p->i;
    if (take_op(p, '{')) {
        x = parse_sum(p);
        if (x >= 0 && is(p, WH_TOK_OVER)) { /* {a \over b}, {n \choose k} */
            wh_node_kind kind = peek(p)->arg == 'C' ? WH_N_BINOM : WH_N_MUL;
            p->i++;
            int32_t b = parse_sum(p);
            x = over(p, kind, x, kind == WH_N_MUL ? unary(p, WH_N_INV, b) : b);
        }
        if (!take_op(p, '}')) x = -1;
        if (x >= 0) p->e->nodes[x].paren = true;
    } else if (one_digit && t->kind == WH_TOK_NUM && t->len > 1) {
        x = number(p, p->e->chars + t->at, 1, 0);
        t->at++;
        t->len--;
    } else if (take_op(p, '-')) {
        x = unary(p, WH_N_NEG, argument(p, one_digit));
    } else if (is(p, WH_TOK_NUM)) {
        x = number(p, p->e->chars + t->at, t->len, t->period);
        p->i++;
    } else if (is(p, WH_TOK_SYM)) {
        x = symbol(p);
    } else if (!is(p, WH_TOK_END)) {
        x = parse_power(p);
    }
    p->depth--;
    return x;
}

static bool plain_integer(const parser *p, size_t i)
{
    const wh_tok *t = p->e->toks + i;
    return t->kind == WH_TOK_NUM && !memchr(p->e->chars + t->at, '.', t->len);
}

/* \frac a b behind its command */
static int32_t fraction(parser *p)
{
    int32_t a = argument(p, true);
    int32_t b = a < 0 ? -1 : argument(p, true);
    return over(p, WH_N_MUL, a, unary(p, WH_N_INV, b));
}

/* A number, and what can stand right behind it: 1\frac45, 1 4/5, 52_8. */
static int32_t read_number(parser *p)
{
    const wh_tok *t = peek(p);
    bool          whole = plain_integer(p, p->i);
    int32_t       x = number(p, p->e->chars + t->at, t->len, t->period);
    p->i++;
    if (x < 0 || !whole) return x;
    if (is(p, WH_TOK_FRAC)) { /* a mixed number only when the fraction is made of digits alone */
        size_t k = p->i + 1;
        for (int part = 0; part < 2; part++) {
            bool brace = p->e->toks[k].kind == WH_TOK_OP && p->e->toks[k].arg == '{';
            k += brace;
            if (!plain_integer(p, k)) return x;
            if (!brace && part == 0 && p->e->toks[k].len > 1) return p->i++, over(p, WH_N_ADD, x, fraction(p));
            k += 1u + brace;
        }
        p->i++;
        return over(p, WH_N_ADD, x, fraction(p));
    }
    if (plain_integer(p, p->i) && peek(p)->space && p->e->toks[p->i + 1].kind == WH_TOK_OP &&
        p->e->toks[p->i + 1].arg == '/' && plain_integer(p, p->i + 2)) {
        const wh_tok *a = peek(p), *b = peek(p) + 2;
        p->i += 3;
        int32_t num = number(p, p->e->chars + a->at, a->len, 0);
        int32_t den = unary(p, WH_N_INV, number(p, p->e->chars + b->at, b->len, 0));
        return over(p, WH_N_ADD, x, over(p, WH_N_MUL, num, den));
    }
    if (take_op(p, '_')) return over(p, WH_N_BASE, x, argument(p, false));
    return x;
}

/* A variable with its subscript (one token) and primes, which belong to the name: x_1 is x_{1}; f'. */
static int32_t variable(parser *p)
{
    wh_expr *e = p->e;
    int32_t  x = symbol(p);
    if (x < 0) return -1;
    if (take_op(p, '_')) {
        bool          brace = take_op(p, '{');
        const wh_tok *t = peek(p);
        if (t->kind != WH_TOK_NUM && t->kind != WH_TOK_SYM && t->kind != WH_TOK_I && t->kind != WH_TOK_E)
            return -1;
        e->nodes[x].sub_at = t->at;
        e->nodes[x].sub_len = t->len;
        p->i++;
        if (brace && !take_op(p, '}')) return -1;
    }
    while (take_op(p, '\'')) e->nodes[x].op++;
    return x;
}

/* What a function is applied to: brackets, so that sin(x)^2 is the square of the sine; or, in "sin 2x cos x", the
 * factors up to the next operator or function; "sin pi/6" takes its denominator along. */
static int32_t function_argument(parser *p)
{
    if (is_op(p, '(') || is_op(p, '{') || is_op(p, '|')) return primary(p);
    chain c = {0};
    bool  negative = take_op(p, '-');
    do {
        if (!chain_add(p, &c, parse_power(p))) return -1;
    } while (is(p, WH_TOK_NUM) || is(p, WH_TOK_SYM) || is(p, WH_TOK_PI) || is(p, WH_TOK_E) ||
             is(p, WH_TOK_FRAC) || is(p, WH_TOK_SQRT));
    if (is_op(p, '/') && plain_integer(p, p->i + 1)) {
        p->i++;
        if (!chain_add(p, &c, unary(p, WH_N_INV, argument(p, false)))) return -1;
    }
    int32_t x = chain_node(p, &c, WH_N_MUL);
    return negative ? unary(p, WH_N_NEG, x) : x;
}

static bool is_minus_one(const wh_expr *e, int32_t x)
{
    const wh_node *n = e->nodes + x;
    return n->kind == WH_N_NEG && e->nodes[n->first].kind == WH_N_NUM && e->nodes[n->first].value.re == 1;
}

static int32_t function(parser *p, const wh_tok *t)
{
    if (++p->depth > WH_ANSWER_DEPTH) return -1;
    int32_t base = -1, power = -1;
    uint8_t fn = t->kind == WH_TOK_FN ? t->arg : WH_FN_LG; /* \log without a base: 10 */
    p->i++;
    if (t->kind == WH_TOK_LOG && take_op(p, '_') && (base = argument(p, true)) < 0) return -1;
    if (take_op(p, '^')) { /* \sin^2 x; \sin^{-1} x is the inverse function */
        if ((power = argument(p, false)) < 0) return -1;
        if (is_minus_one(p->e, power) && fn <= WH_FN_TAN) {
            fn = (uint8_t)(WH_FN_ASIN + (fn - WH_FN_SIN));
            power = -1;
        }
    }
    int32_t arg = function_argument(p);
    p->depth--;
    int32_t x = base >= 0 ? over(p, WH_N_LOG, arg, base) : unary(p, WH_N_FN, arg);
    if (x >= 0) p->e->nodes[x].op = fn;
    return power >= 0 ? over(p, WH_N_POW, x, power) : x;
}

static int32_t root(parser *p)
{
    int32_t index = -1;
    if (take_op(p, '[')) {
        index = parse_sum(p);
        if (index < 0 || !take_op(p, ']')) return -1;
    } else {
        index = number(p, "2", 1, 0);
    }
    int32_t x = is_op(p, '(') ? primary(p) : argument(p, false); /* sqrt(2) in plain text */
    return over(p, WH_N_ROOT, x, index);
}

static int32_t matrix(parser *p)
{
    wh_node_kind kind = peek(p)->arg ? WH_N_DET : WH_N_MATRIX;
    chain        rows = {0};
    p->i++;
    while (!is(p, WH_TOK_FINISH)) {
        chain row = {0};
        do {
            if (!chain_add(p, &row, parse_sum(p))) return -1;
        } while (take_op(p, '&'));
        if (!chain_add(p, &rows, unary(p, WH_N_ROW, row.first))) return -1;
        if (is(p, WH_TOK_ROW)) p->i++;
        else break;
    }
    if (!is(p, WH_TOK_FINISH) || rows.n == 0) return -1;
    p->i++;
    return unary(p, kind, rows.first);
}

/* ( ... ) [ ... ] ( ... ] [ ... ): an expression in brackets, or a tuple or an interval. */
static int32_t bracket(parser *p)
{
    uint8_t open = peek(p)->arg;
    int     bars = p->bars;
    p->i++;
    p->bars = 0;
    int32_t x = parse_list(p);
    p->bars = bars;
    if (x < 0 || !(is_op(p, ')') || is_op(p, ']'))) return -1;
    uint8_t close = peek(p)->arg;
    p->i++;
    wh_node *n = p->e->nodes + x;
    if (n->kind == WH_N_LIST) {
        n->kind = WH_N_TUPLE;
        n->op = open;
        n->close = close;
    } else if ((open == '(') != (close == ')')) {
        return -1;
    }
    p->e->nodes[x].paren = true;
    return x;
}

/* Where the condition of { x | x > 3 }, { x : x > 3 }, { x \in R : x > 3 } begins; 0: the set lists its elements. */
static size_t condition(const parser *p)
{
    enum { LONGEST = 10 }; /* tokens: x \in (-\infty, \infty) */
    const wh_tok *t = p->e->toks;
    size_t        k = p->i + 1;
    if (!is(p, WH_TOK_SYM)) return 0;
    if (t[k].kind == WH_TOK_REL && t[k].arg == WH_REL_IN)
        while (k < p->i + LONGEST && t[k].kind != WH_TOK_END &&
               !(t[k].kind == WH_TOK_OP && strchr("|:", t[k].arg)))
            k++;
    bool bar = t[k].kind == WH_TOK_OP && (t[k].arg == '|' || t[k].arg == ':');
    return bar && t[k + 1].kind != WH_TOK_NUM ? k + 1 : 0;
}

/* { ... }; of a set with a condition, what the condition describes */
static int32_t set(parser *p)
{
    p->i++;
    if (is(p, WH_TOK_SETCLOSE)) return leaf(p, WH_N_SET);
    size_t begin = condition(p);
    if (begin) p->i = begin;
    int32_t x = parse_list(p);
    if (x < 0 || !is(p, WH_TOK_SETCLOSE)) return -1;
    p->i++;
    if (begin) return x;
    if (p->e->nodes[x].kind != WH_N_LIST) return unary(p, WH_N_SET, x);
    p->e->nodes[x].kind = WH_N_SET;
    return x;
}

static int32_t enclosed(parser *p, wh_fn fn)
{
    p->i++;
    p->bars += fn == WH_FN_ABS;
    int32_t x = unary(p, WH_N_FN, parse_sum(p));
    p->bars -= fn == WH_FN_ABS;
    bool closed = fn == WH_FN_ABS ? is_op(p, '|') : is(p, WH_TOK_CLOSE);
    if (x < 0 || !closed) return -1;
    p->i++;
    p->e->nodes[x].op = (uint8_t)fn;
    return x;
}

static int32_t primary(parser *p)
{
    const wh_tok *t = peek(p);
    switch (t->kind) {
    case WH_TOK_NUM: return read_number(p);
    case WH_TOK_SYM: return variable(p);
    case WH_TOK_PI: return leaf(p, WH_N_PI);
    case WH_TOK_E: return leaf(p, WH_N_E);
    case WH_TOK_I: return leaf(p, WH_N_I);
    case WH_TOK_INF: return leaf(p, WH_N_INF);
    case WH_TOK_EMPTY: return leaf(p, WH_N_SET);
    case WH_TOK_FRAC: p->i++; return fraction(p);
    case WH_TOK_SQRT: p->i++; return root(p);
    case WH_TOK_BINOM: {
        p->i++;
        int32_t n = argument(p, true);
        return n < 0 ? -1 : over(p, WH_N_BINOM, n, argument(p, true));
    }
    case WH_TOK_FN:
    case WH_TOK_LOG: return function(p, t);
    case WH_TOK_FLOOR: return enclosed(p, WH_FN_FLOOR);
    case WH_TOK_CEIL: return enclosed(p, WH_FN_CEIL);
    case WH_TOK_BEGIN: return matrix(p);
    case WH_TOK_SETOPEN: return set(p);
    case WH_TOK_OP:
        if (t->arg == '(' || t->arg == '[') return bracket(p);
        if (t->arg == '{') return argument(p, false);
        if (t->arg == '|') return enclosed(p, WH_FN_ABS);
        return -1;
    default: return -1;
    }
}

static int32_t parse_power(parser *p)
{
    if (++p->depth > WH_ANSWER_DEPTH) return -1;
    int32_t x = primary(p);
    for (int marks = 0; x >= 0; marks++) {
        if (is_op(p, '!')) {
            p->i++;
            x = marks < 3 ? unary(p, WH_N_FACT, x) : -1;
        } else if (is(p, WH_TOK_DEG)) {
            p->i++;
            x = unary(p, WH_N_DEG, x);
        } else {
            break;
        }
    }
    if (x >= 0 && take_op(p, '^')) {
        bool brace = is_op(p, '{');
        if (p->e->toks[p->i + brace].kind == WH_TOK_DEG) { /* 90^\circ, 90^{\circ} */
            p->i += 1u + brace;
            x = !brace || take_op(p, '}') ? unary(p, WH_N_DEG, x) : -1;
        } else {
            bool    negative = take_op(p, '-');
            int32_t y = brace ? argument(p, false) : parse_power(p); /* a^b^c is a^(b^c) */
            if (brace && y >= 0 && take_op(p, '^')) y = over(p, WH_N_POW, y, argument(p, false));
            x = over(p, WH_N_POW, x, negative ? unary(p, WH_N_NEG, y) : y);
        }
    }
    p->depth--;
    return x;
}

/* Can the next token start a factor that is multiplied without a sign? */
static bool starts_factor(const parser *p)
{
    switch (peek(p)->kind) {
    case WH_TOK_SYM:
    case WH_TOK_PI:
    case WH_TOK_E:
    case WH_TOK_I:
    case WH_TOK_FRAC:
    case WH_TOK_SQRT:
    case WH_TOK_BINOM:
    case WH_TOK_FN:
    case WH_TOK_LOG:
    case WH_TOK_NUM:
    case WH_TOK_FLOOR:
    case WH_TOK_CEIL:
    case WH_TOK_BEGIN: return true;
    case WH_TOK_OP: return is_op(p, '(') || is_op(p, '{') || is_op(p, '[') || (is_op(p, '|') && !p->bars);
    default: return false;
    }
}

static int32_t parse_product(parser *p)
{
    chain c = {0};
    chain ratio = {0};
    for (bool invert = false;;) {
        bool bare_number = is(p, WH_TOK_NUM);
        bool negative = false;
        while (c.n && (is_op(p, '-') || is_op(p, '+'))) negative ^= is_op(p, '-'), p->i++; /* 2 * -3 */
        int32_t x = parse_power(p);
        if (negative) x = unary(p, WH_N_NEG, x);
        if (!chain_add(p, &c, invert ? unary(p, WH_N_INV, x) : x)) return -1;
        invert = false;
        if (take_op(p, '*')) continue;
        if (take_op(p, '/')) invert = true;
        else if (is_op(p, ':')) {
            p->i++;
            if (!chain_add(p, &ratio, chain_node(p, &c, WH_N_MUL))) return -1;
            c = (chain){0};
        } else if (!starts_factor(p) || (bare_number && is(p, WH_TOK_NUM))) break;
    }
    int32_t x = chain_node(p, &c, WH_N_MUL);
    if (!ratio.n) return x;
    return chain_add(p, &ratio, x) ? unary(p, WH_N_RATIO, ratio.first) : -1;
}

static int32_t parse_sum(parser *p)
{
    if (++p->depth > WH_ANSWER_DEPTH) return -1;
    chain c = {0};
    for (bool first = true;; first = false) {
        bool negative = false, sign = false;
        char pm = 0;
        for (;; p->i++, sign = true) {
            if (is_op(p, '-')) negative = !negative;
            else if (is(p, WH_TOK_PM)) pm = '+';
            else if (is(p, WH_TOK_MP)) pm = '-';
            else if (!is_op(p, '+')) break;
        }
        if (!first && !sign) break;
        int32_t x = parse_product(p);
        if (pm && (x = unary(p, WH_N_PM, x)) >= 0) p->e->nodes[x].op = (uint8_t)pm;
        if (negative) x = unary(p, WH_N_NEG, x);
        if (!chain_add(p, &c, x)) return -1;
    }
    p->depth--;
    return chain_node(p, &c, WH_N_ADD);
}

static bool is_set_sign(const parser *p)
{
    return is(p, WH_TOK_CUP) || is(p, WH_TOK_CAP) || is(p, WH_TOK_MINUS);
}

static int32_t parse_union(parser *p)
{
    int32_t x = parse_sum(p);
    if (x < 0 || !is_set_sign(p)) return x;
    wh_tok_kind  sign = peek(p)->kind;
    wh_node_kind kind = sign == WH_TOK_CUP ? WH_N_UNION : sign == WH_TOK_CAP ? WH_N_CAP : WH_N_MINUS;
    chain        c = {0};
    chain_add(p, &c, x);
    while (is(p, sign)) {
        p->i++;
        if (!chain_add(p, &c, parse_sum(p))) return -1;
    }
    return is_set_sign(p) ? -1 : unary(p, kind, c.first); /* cup and cap mixed without brackets: no guess */
}

static int32_t parse_rel(parser *p)
{
    chain c = {0};
    while (is(p, WH_TOK_REL) && peek(p)->arg == WH_REL_EQ) p->i++; /* "Area = 5" lost its word */
    if (!chain_add(p, &c, parse_union(p))) return -1;
    while (is(p, WH_TOK_REL)) {
        uint8_t rel = peek(p)->arg;
        p->i++;
        if (!chain_add(p, &c, parse_union(p))) return -1;
        p->e->nodes[c.last].rel = rel;
    }
    return chain_node(p, &c, WH_N_REL);
}

static int32_t parse_list(parser *p)
{
    if (++p->depth > WH_ANSWER_DEPTH) return -1;
    chain c = {0};
    bool  either = false;
    for (;;) {
        if (!chain_add(p, &c, parse_rel(p))) return -1;
        bool more = false;
        while (is_op(p, ',') || is_op(p, ';') || is(p, WH_TOK_AND) || is(p, WH_TOK_OR)) { /* "1, 2, and 3" */
            either |= is(p, WH_TOK_OR);
            more = true;
            p->i++;
        }
        if (!more) break;
    }
    p->depth--;
    int32_t x = chain_node(p, &c, WH_N_LIST);
    if (x >= 0 && c.n > 1) p->e->nodes[x].op = either ? '|' : ',';
    return x;
}

void wh_expr_parse(wh_expr *e)
{
    parser p = {.e = e};
    e->root = -1;
    if (e->nomem || e->n_toks <= 1) return;
    int32_t root_node = parse_list(&p);
    if (is(&p, WH_TOK_END) && !e->nomem) e->root = root_node;
}

void wh_expr_free(wh_expr *e)
{
    free(e->chars);
    free(e->toks);
    free(e->nodes);
    *e = (wh_expr){0};
}
