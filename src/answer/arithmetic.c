/* A scan over each line for places where an expression may begin, and a recursive descent from there. What was read once
 * is not read again, but for what failed: after a bracket that did not close the scan goes on inside it.
 */
#include "answer/arithmetic.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { DEPTH = 8, UNIT_WORDS = 3 };

typedef struct reader {
    const char *s;
    size_t      n, at; /* of a line */
    int         depth;
    /* of the side that is being read */
    int    numbers, operations, decimals; /* decimals: of its last number */
    double first;                         /* its first number */
    bool   percent;
} reader;

typedef struct side {
    double value, first;
    int    operations, decimals;
    bool   percent;
} side;

/* ---- small things ------------------------------------------------------------------------------------------------- */

static char peek(const reader *r, size_t ahead) { return r->at + ahead < r->n ? r->s[r->at + ahead] : '\0'; }
static bool one_of(char c, const char *set) { return c && strchr(set, c); }
static bool digit(char c) { return c >= '0' && c <= '9'; }
static bool letter(char c) { return isalpha((unsigned char)c) != 0; }

static bool at_text(const reader *r, const char *what)
{
    size_t n = strlen(what);
    return r->n - r->at >= n && memcmp(r->s + r->at, what, n) == 0;
}

static bool take(reader *r, const char *what)
{
    if (!at_text(r, what)) return false;
    r->at += strlen(what);
    return true;
}

/* A TeX command: what follows is no letter. */
static bool take_command(reader *r, const char *what)
{
    if (!at_text(r, what) || letter(peek(r, strlen(what)))) return false;
    r->at += strlen(what);
    return true;
}

static bool take_one(reader *r, const char *const *list)
{
    for (; *list; list++)
        if (letter((*list)[strlen(*list) - 1]) ? take_command(r, *list) : take(r, *list)) return true;
    return false;
}

static const char *const fractions[] = {"\\frac", "\\dfrac", "\\tfrac", NULL};

static bool at_fraction(const reader *r)
{
    reader copy = *r;
    return peek(r, 0) == '\\' && take_one(&copy, fractions);
}

static const char blanks[] = " \t\r$~&"; /* white space, and what is only there for the looks */

/* Those, and the TeX commands that are. */
static void skip_space(reader *r)
{
    static const char *const commands[] = {"\\$", "\\,", "\\;", "\\!", "\\ ", "\\left", "\\right", "\\quad", "\\boxed", NULL};
    for (;;) {
        char c = peek(r, 0);
        if (one_of(c, blanks)) r->at++;
        else if (c != '\\' || !take_one(r, commands)) return;
    }
}

/* \text{ apples}; false: there is none, it has no end, or it says "of", which multiplies. */
static bool skip_tex_text(reader *r)
{
    static const char *const commands[] = {"\\text", "\\mathrm", "\\textrm", "\\mbox", NULL};
    size_t began = r->at;
    if (take_one(r, commands) && peek(r, 0) == '{' && !at_text(r, "{of ") && !at_text(r, "{ of ")) {
        const char *end = memchr(r->s + r->at, '}', r->n - r->at);
        if (end) {
            r->at = (size_t)(end - r->s) + 1;
            return true;
        }
    }
    r->at = began;
    return false;
}

/* Two letters or more, with what may be in a word ("miles/hour", "kilowatt-hours"). */
static bool skip_word(reader *r)
{
    size_t n = 0;
    while (letter(peek(r, n)) || (n && one_of(peek(r, n), "'/-") && letter(peek(r, n + 1)))) n++;
    if (n < 2 || digit(peek(r, n)) || peek(r, n) == '_') return false;
    r->at += n;
    return true;
}

/* Can white space or a word begin here? Most places tell by their first byte. */
static bool maybe_word(const reader *r)
{
    char c = peek(r, 0);
    return c == '\\' || letter(c) || one_of(c, blanks);
}

static bool at_operator(const reader *r);

/* Units and names behind a number, where the expression goes on or ends behind them. */
static void skip_units(reader *r)
{
    size_t began = r->at, words = 0;
    if (!maybe_word(r)) return;
    for (;; words++) {
        skip_space(r);
        if (words == UNIT_WORDS || at_text(r, "of ") || !(skip_tex_text(r) || skip_word(r))) break;
    }
    if (words && !at_operator(r) && !one_of(peek(r, 0), "=)]}")) r->at = began;
}

/* ---- operators --------------------------------------------------------------------------------------------------- */

typedef enum { OP_NONE, OP_ADD, OP_SUBTRACT, OP_MULTIPLY, OP_DIVIDE } op;

static op take_sum_op(reader *r)
{
    if (!one_of(peek(r, 0), "+-\xe2")) return OP_NONE;
    if (peek(r, 0) == '+' && peek(r, 1) != '+' && peek(r, 1) != '=') return take(r, "+") ? OP_ADD : OP_NONE;
    if (at_text(r, "->") || at_text(r, "--") || at_text(r, "-=")) return OP_NONE;
    return take(r, "-") || take(r, "\xe2\x88\x92") /* U+2212 */ ? OP_SUBTRACT : OP_NONE;
}

/* "5 x 3", "20% of 50": a letter and a word that multiply, between numbers. */
static bool take_spoken_times(reader *r)
{
    size_t began = r->at;
    if (take(r, "x ") || take(r, "X ") || take(r, "of ")) {
        skip_space(r);
        if (digit(peek(r, 0)) || peek(r, 0) == '(') return true;
    }
    r->at = began;
    return false;
}

static op take_product_op(reader *r)
{
    static const char *const times[] = {"\xc3\x97", "\xc2\xb7", "\xe2\x8b\x85", "\\times", "\\cdot", NULL}, /* U+D7, B7, 22C5 */
        *const divided[] = {"\xc3\xb7", "\\div", NULL}; /* U+F7 */
    if (!one_of(peek(r, 0), "*/xXo\\\xc2\xc3\xe2")) return OP_NONE;
    if (at_text(r, "**") || at_text(r, "//") || at_text(r, "*=") || at_text(r, "/=")) return OP_NONE;
    if (take(r, "*") || take_one(r, times) || take_spoken_times(r)) return OP_MULTIPLY;
    return take(r, "/") || take_one(r, divided) ? OP_DIVIDE : OP_NONE;
}

static bool at_operator(const reader *r)
{
    reader copy = *r;
    return take_sum_op(&copy) != OP_NONE || take_product_op(&copy) != OP_NONE;
}

/* ---- expressions: each reader is at the first byte behind it, or the result is false ------------------------------------- */

static bool read_sum(reader *r, double *out);

/* 1,200 or 1{,}200: exactly three digits behind each comma. */
static size_t thousands(const reader *r)
{
    size_t comma = at_text(r, "{,}") ? 3 : peek(r, 0) == ',' ? 1 : 0;
    if (!comma) return 0;
    for (size_t i = 0; i < 3; i++)
        if (!digit(peek(r, comma + i))) return 0;
    return digit(peek(r, comma + 3)) ? 0 : comma;
}

static bool read_number(reader *r, double *out)
{
    double value = 0, place = 1;
    size_t digits = 0, comma = 0;
    int decimals = 0;
    for (; digit(peek(r, 0)) || (digits && digits < 4 && (comma = thousands(r)) != 0); digits++) {
        if (!digit(peek(r, 0))) {
            r->at += comma;
            digits = 0;
        }
        value = 10 * value + (r->s[r->at++] - '0');
    }
    if (peek(r, 0) == '.' && digit(peek(r, 1)))
        for (r->at++; digit(peek(r, 0)); decimals++) value += (place /= 10) * (r->s[r->at++] - '0');
    if (!digits && !decimals) return false;
    /* 10:30, 1.2.3, 3x, and the mixed number 2\frac12 are other things. */
    if (one_of(peek(r, 0), ":.") && digit(peek(r, 1))) return false;
    if ((letter(peek(r, 0)) && !letter(peek(r, 1))) || peek(r, 0) == '_' || at_fraction(r)) return false;
    r->decimals = decimals;
    size_t before = r->at;
    if (peek(r, 0) == ' ') r->at++;
    if (take(r, "%") || take(r, "\\%")) {
        value /= 100;
        r->percent = true;
    } else {
        r->at = before;
    }
    if (r->numbers++ == 0) r->first = value;
    *out = value;
    return true;
}

static bool read_enclosed(reader *r, double *out, char close)
{
    r->at++;
    if (!read_sum(r, out)) return false;
    skip_space(r);
    return peek(r, 0) == close && ++r->at;
}

static bool read_fraction(reader *r, double *out)
{
    double over, under;
    if (peek(r, 0) != '{' || !read_enclosed(r, &over, '}') || peek(r, 0) != '{' || !read_enclosed(r, &under, '}') || under == 0) return false;
    r->operations++;
    *out = over / under;
    return true;
}

static bool read_atom(reader *r, double *out)
{
    skip_space(r);
    if (peek(r, 0) == '(') return read_enclosed(r, out, ')');
    if (peek(r, 0) == '[') return read_enclosed(r, out, ']');
    if (peek(r, 0) == '{') return read_enclosed(r, out, '}');
    return take_one(r, fractions) ? read_fraction(r, out) : read_number(r, out);
}

/* 3 x, \frac12 y */
static bool at_variable(const reader *r)
{
    if (!maybe_word(r)) return false;
    reader copy = *r;
    skip_space(&copy);
    return letter(peek(&copy, 0)) && !letter(peek(&copy, 1)) && !at_operator(&copy);
}

static bool read_power(reader *r, double *out)
{
    if (r->depth == DEPTH) return false;
    r->depth++;
    bool ok = read_atom(r, out);
    if (ok && peek(r, 0) == '^') {
        double exponent;
        r->at++;
        r->operations++;
        ok = read_atom(r, &exponent) && fabs(exponent) <= 64;
        if (ok) *out = pow(*out, exponent);
    }
    r->depth--;
    return ok && peek(r, 0) != '!' && !at_variable(r) && isfinite(*out);
}

static bool read_product(reader *r, double *out)
{
    if (!read_power(r, out)) return false;
    for (;;) {
        bool adjacent = peek(r, 0) == '('; /* 2(3 + 4) */
        skip_units(r);
        size_t before = r->at;
        op o = adjacent && peek(r, 0) == '(' ? OP_MULTIPLY : take_product_op(r);
        double by;
        if (o == OP_NONE) return true;
        if (!read_power(r, &by)) {
            r->at = before;
            return !adjacent;
        }
        if (o == OP_DIVIDE && by == 0) return false;
        r->operations++;
        *out = o == OP_MULTIPLY ? *out * by : *out / by;
    }
}

static bool read_sum(reader *r, double *out)
{
    skip_space(r);
    op sign = take_sum_op(r);
    if (!read_product(r, out)) return false;
    if (sign == OP_SUBTRACT) *out = -*out;
    for (;;) {
        skip_space(r);
        size_t before = r->at;
        op o = take_sum_op(r);
        double by;
        if (o == OP_NONE) return true;
        if (!read_product(r, &by)) {
            r->at = before;
            return true;
        }
        r->operations++;
        *out += o == OP_ADD ? by : -by;
    }
}

/* ---- equations ------------------------------------------------------------------------------------------------------ */

typedef enum { READ, CUT, NOTHING } outcome; /* CUT: an operand could not be read; the reader is at its operator */

static outcome read_side(reader *r, side *out)
{
    r->numbers = r->operations = r->decimals = r->depth = 0;
    r->percent = false;
    if (!read_sum(r, &out->value) || !isfinite(out->value)) return NOTHING;
    out->first = r->first;
    out->operations = r->operations;
    out->decimals = r->decimals;
    out->percent = r->percent;
    return at_operator(r) ? CUT : READ;
}

static bool take_equals(reader *r)
{
    skip_space(r);
    if (peek(r, 0) != '=' || peek(r, 1) == '=') return false;
    r->at++;
    skip_space(r);
    (void)take(r, "**"); /* bold */
    return true;
}

static bool whole(double x) { return fabs(x - round(x)) <= 1e-9 * fmax(1, fabs(x)); }
static bool close_to(double x, double y, double by) { return fabs(x - y) <= by + 1e-9 * fmax(fabs(x), fabs(y)); }

/* Does x = y hold, as y is written? Half a percent is what people round away. */
static void compare(wh_arithmetic *a, const side *left, const side *right)
{
    double x = left->value, y = right->value;
    bool exact = whole(x) && whole(y), rounded = whole(y) && !whole(x) && !right->decimals;
    bool run_on = right->operations && close_to(x, right->first, 0); /* 2 + 3 = 5 * 4 = 20 */
    double slack = exact ? 0 : fmax(right->decimals ? pow(10, -right->decimals) : 0, 0.005 * fabs(y));
    if (close_to(x, y, slack)) a->holds++;
    else if (left->percent || right->percent) a->holds += close_to(x, 100 * y, 100 * slack) || close_to(100 * x, y, slack);
    else if (!(rounded && fabs(x - y) < 1) && !run_on) a->fails++;
}

typedef enum { BEFORE_NOTHING, BEFORE_WORD, BEFORE_OPERATOR } before; /* what stands before a place */

static bool at_start(const reader *r, before was)
{
    char c = peek(r, 0);
    bool sign = (c == '-' && was == BEFORE_NOTHING) || c == '.';
    return digit(c) || (sign && digit(peek(r, 1))) || c == '(' || c == '[' || at_fraction(r);
}

/* The number, bracket or command that begins no expression. */
static before pass_start(reader *r)
{
    if (one_of(peek(r, 0), "(-\\[")) {
        bool command = peek(r, 0) == '\\';
        for (r->at++; command && letter(peek(r, 0));) r->at++;
        return BEFORE_NOTHING;
    }
    while (digit(peek(r, 0)) || letter(peek(r, 0)) || peek(r, 0) == '.' || peek(r, 0) == '_') r->at++;
    return BEFORE_WORD;
}

/* known: nothing stands before the chain that belongs to its first side. */
static before read_chain(wh_arithmetic *a, reader *r, bool known)
{
    side left, right;
    size_t began = r->at;
    outcome first = read_side(r, &left);
    if (first == NOTHING) {
        r->at = began;
        return pass_start(r);
    }
    if (first == CUT) return BEFORE_WORD;
    for (known = known && left.operations; take_equals(r); left = right, known = true) {
        size_t behind = r->at;
        outcome next = read_side(r, &right);
        if (next == NOTHING) r->at = behind;
        if (next != READ) return next == CUT ? BEFORE_WORD : BEFORE_NOTHING;
        if (known) compare(a, &left, &right);
    }
    return at_start(r, BEFORE_WORD) ? BEFORE_OPERATOR : BEFORE_WORD; /* the mixed number 4 1/2 */
}

/* ---- lines -------------------------------------------------------------------------------------------------------------- */

static before pass_operator(reader *r)
{
    if (take_sum_op(r) == OP_NONE && take_product_op(r) == OP_NONE) r->at++;
    return BEFORE_OPERATOR;
}

static bool in_word(char c) { return letter(c) || digit(c) || c == '_' || (c & 0x80); }

/* Pass what begins no expression. */
static before pass(reader *r, before was)
{
    char c = peek(r, 0);
    if (take(r, "**")) return was; /* bold */
    if (c == '-' && was == BEFORE_NOTHING) { /* a bullet, or a sign */
        r->at++;
        return was;
    }
    if (c == '^' || c == '_' || at_operator(r)) return pass_operator(r);
    if (in_word(c)) {
        while (in_word(peek(r, 0))) r->at++;
        return peek(r, 0) == '(' ? BEFORE_OPERATOR : BEFORE_WORD; /* f(...) */
    }
    if (take_command(r, "\\left") || take_command(r, "\\right")) return was;
    r->at++;
    if (c == '\\' && letter(peek(r, 0))) {
        while (letter(peek(r, 0))) r->at++;
        return BEFORE_WORD;
    }
    return one_of(c, " \t$\\") ? was : one_of(c, ")]}%") ? BEFORE_WORD : BEFORE_NOTHING;
}

static void check_line(wh_arithmetic *a, const char *s, size_t n)
{
    reader r = {.s = s, .n = n};
    before was = BEFORE_NOTHING;
    while (r.at < n) was = at_start(&r, was) ? read_chain(a, &r, was != BEFORE_OPERATOR) : pass(&r, was);
}

void wh_arithmetic_check(wh_arithmetic *a, const char *text, size_t n)
{
    for (size_t at = 0; at < n;) {
        const char *end = memchr(text + at, '\n', n - at);
        size_t len = end ? (size_t)(end - text) - at : n - at;
        check_line(a, text + at, len);
        at += len + 1;
    }
}
