/* lex: the text of an answer, TeX or plain or mixed, as tokens.
 *
 * What carries no meaning for the value (sizes, spaces, fonts, currency, units, words of prose) is dropped here,
 * so that the parser sees mathematics alone. Words are recognised in two ways: everything alphabetic inside
 * \text{...} and its like is a word; outside, a run of letters is a word when it is long or in the list below,
 * and a product of one-letter variables otherwise ("abc" is a b c).
 */
#include "answer/expr.h"

#include "base/mem.h"

#include <ctype.h>
#include <string.h>

enum { DROP = 252, TEXT, FONT, NAME }; /* actions beside the token kinds */

/* TeX commands, and the plain words that mean the same. */
static const struct command {
    const char *name;
    uint8_t     kind, arg;
} commands[] = {
#define WH_COMMAND_X(name, kind, arg) {name, kind, arg},
#include "answer/command.def"
#undef WH_COMMAND_X
};

/* Letters without \text that are words although they are short; longer runs are words anyway. */
static const char *const short_words[] = {
    "cm",  "mm",  "km",  "dm",  "kg",     "mg",  "ml",  "mL",  "ft",  "yd",  "lb",  "lbs", "oz",  "hr",
    "hrs", "min", "sec", "mph", "kph",    "in",  "sq",  "cu",  "the", "is",  "are", "per", "of",  "an",
    "at",  "to",  "yes", "no",  "odd",    "red", "day", "USD", "deg", "rad", "for", "all", "so",  "as",
    "by",  "we",  "he",  "it",  "on",     "if",  "his", "her", "boy", "men", "man", "gal", "qt",  "pt",
    "cup", "box", "pie", "egg", "cow",    "dog", "cat", "car", "bus", "pen", "hat", "has", "had", "was",
    "one", "two", "six", "ten", "dollar", "NO",  "YES", "not", "DNE", "kWh", "bag", "pcs", "EUR", "Rs",
    "mi",  "nm",  "Hz",  "amu", "mol",    "pm",  "am",  "PM",  "AM",  "out", "be",  "can", "sum", "she",
};

static bool grow(void **p, size_t *cap, size_t n, size_t size)
{
    if (n < *cap) return true;
    size_t want = *cap ? *cap * 2 : 64;
    void  *q = wh_mem_resize(*p, want, size);
    if (!q) return false;
    *p = q;
    *cap = want;
    return true;
}

static void push_chars(wh_expr *e, const char *s, size_t n)
{
    for (size_t i = 0; i < n && !e->nomem; i++) {
        void *p = e->chars;
        e->nomem = !grow(&p, &e->cap_chars, e->n_chars, 1);
        e->chars = p;
        if (!e->nomem) e->chars[e->n_chars++] = s[i];
    }
}

static void push(wh_expr *e, unsigned kind, unsigned arg, const char *s, size_t n, bool space)
{
    void *p = e->toks;
    if (!grow(&p, &e->cap_toks, e->n_toks, sizeof *e->toks)) e->nomem = true;
    e->toks = p;
    size_t at = e->n_chars;
    push_chars(e, s, n);
    if (e->nomem) return;
    e->toks[e->n_toks++] = (wh_tok){.kind = (uint8_t)kind,
                                    .arg = (uint8_t)arg,
                                    .space = space,
                                    .at = (uint16_t)at,
                                    .len = (uint16_t)(e->n_chars - at)};
}

static const struct command *find_command(const char *s, size_t n)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strlen(commands[i].name) == n && !memcmp(commands[i].name, s, n)) return &commands[i];
    return NULL;
}

static bool is_short_word(const char *s, size_t n)
{
    for (size_t i = 0; i < sizeof short_words / sizeof *short_words; i++)
        if (strlen(short_words[i]) == n && !memcmp(short_words[i] + 1, s + 1, n - 1) &&
            (short_words[i][0] == s[0] || short_words[i][0] == tolower((unsigned char)s[0])))
            return true; /* "So" */
    return false;
}

/* The reader: one pass over the text. */
typedef struct reader {
    wh_expr    *e;
    const char *s;
    size_t      n, i;
    bool        space;      /* white space since the last token */
    bool        loose_list; /* ", " occurs: then a comma without a space belongs to a number */
    int         depth;      /* open round, square and set brackets */
    size_t      text_end;   /* inside \text{} until here */
} reader;

static bool digit(const reader *r, size_t i)
{
    return i < r->n && isdigit((unsigned char)r->s[i]);
}
static bool starts(const reader *r, size_t i, const char *w)
{
    size_t len = strlen(w);
    return r->n - i >= len && !memcmp(r->s + i, w, len);
}
static size_t letters(const reader *r, size_t i)
{
    size_t k = i < r->n ? i : r->n;
    i = k;
    while (k < r->n && isalpha((unsigned char)r->s[k])) k++;
    return k - i;
}
static void emit(reader *r, unsigned kind, unsigned arg, const char *s, size_t n)
{
    push(r->e, kind, arg, s, n, r->space);
    r->space = false;
}

/* Length of a separator of thousands at i, 0 if there is none: a comma or a space, and three digits after it. */
static size_t separator(const reader *r, size_t i)
{
    static const char *const marks[] = {"{,}", ",\\!", "\\,", "\\!", "\\ ", " ", ","};
    for (size_t m = 0; m < sizeof marks / sizeof *marks; m++) {
        if (!starts(r, i, marks[m])) continue;
        size_t k = i + strlen(marks[m]);
        bool   plain = !strcmp(marks[m], ",");
        while (!plain && k < r->n && r->s[k] == ' ') k++;
        if (plain && r->depth > 0 && !r->loose_list) return 0;
        bool three = digit(r, k) && digit(r, k + 1) && digit(r, k + 2) && !digit(r, k + 3);
        return three && !starts(r, k + 3, "/") ? k - i : 0; /* 1 234/567 is a mixed number */
    }
    return 0;
}

/* The repeating digits of 0.1\overline{6}, if they come next; how many. */
static size_t read_period(reader *r)
{
    static const char mark[] = "\\overline{";
    size_t            begin = r->i + strlen(mark), end = begin;
    if (!starts(r, r->i, mark)) return 0;
    while (digit(r, end)) end++;
    if (end == begin || !starts(r, end, "}")) return 0;
    push_chars(r->e, r->s + begin, end - begin);
    r->i = end + 1;
    return end - begin;
}

/* 6.72e-05 as programs print it; "2e" alone and "2e^x" are products with the number e. */
static void read_exponent(reader *r)
{
    if (!starts(r, r->i, "e") && !starts(r, r->i, "E")) return;
    size_t sign = r->i + 1, begin = sign + (starts(r, sign, "-") || starts(r, sign, "+")), end = begin;
    while (digit(r, end)) end++;
    if (end == begin || end - begin > 4) return;
    push(r->e, WH_TOK_OP, '*', "*", 1, false);
    push(r->e, WH_TOK_NUM, 0, "10", 2, false);
    push(r->e, WH_TOK_OP, '^', "^", 1, false);
    if (starts(r, sign, "-")) push(r->e, WH_TOK_OP, '-', "-", 1, false);
    push(r->e, WH_TOK_NUM, 0, r->s + begin, end - begin, false);
    r->i = end;
}

static void read_number(reader *r)
{
    wh_expr *e = r->e;
    emit(r, WH_TOK_NUM, 0, "", 0);
    bool zero = r->s[r->i] == '0';
    for (size_t run = 0; digit(r, r->i); r->i++) {
        push_chars(e, r->s + r->i, 1);
        size_t gap = ++run <= 3 && !zero ? separator(r, r->i + 1) : 0;
        r->i += gap;
        if (gap) run = 0;
    }
    size_t period = 0;
    if (starts(r, r->i, ".")) {
        r->i++;
        if (digit(r, r->i) || starts(r, r->i, "\\overline{")) push_chars(e, ".", 1);
        while (digit(r, r->i)) push_chars(e, r->s + r->i++, 1);
        period = read_period(r);
    }
    if (e->nomem) return;
    wh_tok *t = &e->toks[e->n_toks - 1];
    t->len = (uint16_t)(e->n_chars - t->at);
    t->period = (uint16_t)period;
    read_exponent(r);
}

/* "million" behind a number */
static const struct scale {
    const char *word, *digits;
} scales[] = {{"hundred", "100"},
              {"thousand", "1000"},
              {"million", "1000000"},
              {"billion", "1000000000"},
              {"trillion", "1000000000000"}};

static bool read_scale(reader *r, const char *s, size_t n)
{
    for (size_t k = 0; k < sizeof scales / sizeof *scales; k++) {
        const char *digits = scales[k].digits;
        if (strlen(scales[k].word) != n || memcmp(scales[k].word, s, n) || !r->e->n_toks) continue;
        if (r->e->toks[r->e->n_toks - 1].kind != WH_TOK_NUM) return false;
        push(r->e, WH_TOK_OP, '*', "*", 1, false);
        push(r->e, WH_TOK_NUM, 0, digits, strlen(digits), false);
        return true;
    }
    return false;
}

static bool is_function(const struct command *c)
{
    return c && (c->kind == WH_TOK_FN || c->kind == WH_TOK_LOG);
}

/* "I think", "a square": the letter just read is English, not a variable. */
static bool is_pronoun(const reader *r, char c)
{
    size_t i = r->i + 1, n = letters(r, i);
    return strchr("IaA", c) && i < r->n && r->s[i - 1] == ' ' && n >= 2 && !starts(r, i, "and ") &&
           !starts(r, i, "or ");
}

static void read_word(reader *r, size_t n)
{
    const char *s = r->s + r->i;
    bool        text = r->i < r->text_end;
    if (n == 1 && strchr("pPaA", *s) && letters(r, r->i + 2) == 1 &&
        (starts(r, r->i + 1, ".m") || starts(r, r->i + 1, ".M"))) {
        r->i += 3; /* p.m. */
        return;
    }
    if (n > 2 && !text && is_function(find_command(s, n - 1)) && !is_function(find_command(s, n)))
        n--; /* sinx, not sinh */
    const struct command *c = find_command(s, n);
    r->i += n;
    if (n > 6 && read_scale(r, s, n)) return;
    if (n == 1 && text && isupper((unsigned char)*s)) {
        emit(r, WH_TOK_SYM, 0, s, 1); /* \text{(A) and (B)} */
    } else if (n == 1 && !text && is_pronoun(r, *s)) {
        emit(r, WH_TOK_WORD, 0, s, 1);
    } else if (n == 1 && !text) {
        emit(r, *s == 'e' ? WH_TOK_E : *s == 'i' ? WH_TOK_I : WH_TOK_SYM, 0, s, 1);
    } else if (is_short_word(s, n)) {
        emit(r, WH_TOK_WORD, 0, s, n);
    } else if (n > 1 && c &&
               (is_function(c) || c->kind == WH_TOK_PI || c->kind == WH_TOK_INF || c->kind == WH_TOK_SQRT ||
                c->kind == WH_TOK_AND || c->kind == WH_TOK_OR)) {
        emit(r, c->kind, c->arg, s, n);
    } else if (text || n > 3) {
        emit(r, WH_TOK_WORD, 0, s, n);
    } else {
        for (size_t k = 0; k < n; k++)
            emit(r, s[k] == 'e' ? WH_TOK_E : s[k] == 'i' ? WH_TOK_I : WH_TOK_SYM, 0, s + k, 1);
    }
}

/* The position after the } that closes the { at i, n if none does. */
static size_t after_group(const reader *r, size_t i)
{
    int depth = 0;
    for (; i < r->n; i++) {
        if (r->s[i] == '\\') i++;
        else if (r->s[i] == '{') depth++;
        else if (r->s[i] == '}' && --depth == 0) return i + 1;
    }
    return r->n;
}

static void read_tokens(reader *r);

static void read_command(reader *r)
{
    size_t      n = letters(r, r->i + 1);
    const char *s = r->s + r->i + 1;
    if (n == 0) {
        char c = r->i + 1 < r->n ? r->s[r->i + 1] : ' ';
        r->i += r->i + 1 < r->n ? 2 : 1;
        if (c == '{') emit(r, WH_TOK_SETOPEN, 0, "{", 1), r->depth++;
        else if (c == '}') emit(r, WH_TOK_SETCLOSE, 0, "}", 1), r->depth--;
        else if (c == '\\') emit(r, WH_TOK_ROW, 0, ";", 1);
        else if (c == '%') r->e->percent = true;
        else if (c == '|') emit(r, WH_TOK_OP, '|', "|", 1);
        else r->space = true; /* \, \! \; \: \$ \( \) \[ \] and the like */
        return;
    }
    r->i += n + 1;
    const struct command *c = find_command(s, n);
    if (!c) { /* a Greek letter, a name: a variable */
        emit(r, WH_TOK_SYM, 0, s, n);
        return;
    }
    switch (c->kind) {
    case DROP: /* \left. and \right. have a dot of their own */
        if ((n == 4 && !memcmp(s, "left", 4)) || (n == 5 && !memcmp(s, "right", 5)))
            if (r->i < r->n && r->s[r->i] == '.') r->i++;
        r->space = true;
        return;
    case FONT:
        if (n == 6 && !memcmp(s, "mathbb", 6) && (starts(r, r->i, "{R}") || starts(r, r->i, " R"))) {
            static const char line[] = "(-\\infty,\\infty)";
            reader            inner = {.e = r->e, .s = line, .n = sizeof line - 1, .space = r->space};
            read_tokens(&inner);
            r->i += r->s[r->i] == '{' ? 3 : 2;
        }
        return;
    case NAME: { /* \operatorname{arctan} is the plain word */
        size_t k = letters(r, r->i + 1);
        if (!starts(r, r->i, "{") || !starts(r, r->i + 1 + k, "}")) return;
        r->i++;
        read_word(r, k);
        r->i++;
        return;
    }
    case TEXT:
        while (r->i < r->n && r->s[r->i] == ' ') r->i++;
        if (r->i >= r->text_end && r->i < r->n && r->s[r->i] == '{') {
            size_t end = after_group(r, r->i);
            r->text_end = r->s[end - 1] == '}' ? end - 1 : end;
            r->i++; /* neither of its braces becomes a token */
        }
        r->space = true;
        return;
    case WH_TOK_BEGIN:
    case WH_TOK_FINISH: { /* \begin{pmatrix}, \begin{array}{cc} */
        size_t end = after_group(r, r->i);
        bool   array = end - r->i == 7 && starts(r, r->i, "{array}"), bars = starts(r, r->i, "{vmatrix}");
        r->i = end;
        if (array && c->kind == WH_TOK_BEGIN && r->i < r->n && r->s[r->i] == '{') r->i = after_group(r, r->i);
        emit(r, c->kind, bars, "m", 1);
        r->depth += c->kind == WH_TOK_BEGIN ? 1 : -1;
        return;
    }
    default: emit(r, c->kind, c->arg, s, n);
    }
}

/* UTF-8 signs that people and models write for TeX commands. */
static const struct sign {
    const char *utf8, *tex;
} signs[] = {
    {"\xC2\xB0", "\\circ"},
    {"\xC2\xB1", "\\pm"},
    {"\xC2\xB2", "^2"},
    {"\xC2\xB3", "^3"},
    {"\xC2\xB7", "\\cdot"},
    {"\xC3\x97", "\\times"},
    {"\xC3\xB7", "\\div"},
    {"\xCF\x80", "\\pi"},
    {"\xCE\xB8", "\\theta"},
    {"\xE2\x88\x92", "-"},
    {"\xE2\x80\x93", "-"},
    {"\xE2\x88\x9E", "\\infty"},
    {"\xE2\x88\x9A", "\\sqrt"},
    {"\xE2\x89\xA4", "\\le"},
    {"\xE2\x89\xA5", "\\ge"},
    {"\xE2\x89\xA0", "\\ne"},
    {"\xE2\x88\xAA", "\\cup"},
    {"\xE2\x88\xA9", "\\cap"},
    {"\xE2\x88\x88", "\\in"},
    {"\xE2\x89\x88", "\\approx"},
    {"\xE2\x88\x85", "\\emptyset"},
    {"\xC2\xA0", " "},
    {"\xE2\x80\xAF", " "},
    {"\xE2\x82\xAC", " "},
    {"\xC2\xA3", " "},
    {"\xC2\xA5", " "},
    {"\xC2\xBD", "\\frac12"},
    {"\xC2\xBC", "\\frac14"},
    {"\xC2\xBE", "\\frac34"},
    {"\xE2\x84\x9D", "\\mathbb{R}"},
};

static void read_sign(reader *r)
{
    for (size_t k = 0; k < sizeof signs / sizeof *signs; k++)
        if (starts(r, r->i, signs[k].utf8)) {
            reader inner = {.e = r->e, .s = signs[k].tex, .n = strlen(signs[k].tex), .space = r->space};
            read_tokens(&inner);
            r->space = inner.space;
            r->i += strlen(signs[k].utf8);
            return;
        }
    emit(r, WH_TOK_WORD, 0, r->s + r->i, 1); /* another script: a word, byte by byte */
    r->i++;
}

static void read_tokens(reader *r)
{
    while (r->i < r->n && !r->e->nomem) {
        char c = r->s[r->i], next = r->i + 1 < r->n ? r->s[r->i + 1] : '\0';
        bool text = r->i < r->text_end;
        if (r->text_end && r->i == r->text_end) {
            r->text_end = 0;
            r->i++;
            r->space = true;
        } else if (c & 0x80) read_sign(r);
        else if (isdigit((unsigned char)c) || (c == '.' && digit(r, r->i + 1))) read_number(r);
        else if (isalpha((unsigned char)c)) read_word(r, letters(r, r->i));
        else if (c == '\\') read_command(r);
        else if (c == '<' || c == '>') {
            bool eq = next == '=';
            emit(r, WH_TOK_REL, c == '<' ? (eq ? WH_REL_LE : WH_REL_LT) : (eq ? WH_REL_GE : WH_REL_GT), &c, 1);
            r->i += eq ? 2 : 1;
        } else if (c == '!' && next == '=') {
            emit(r, WH_TOK_REL, WH_REL_NE, "!=", 2);
            r->i += 2;
        } else {
            r->i++;
            if (c == '=') emit(r, WH_TOK_REL, WH_REL_EQ, "=", 1);
            else if (c == '%') r->e->percent = true;
            else if (c == '*' && next == '*') { /* bold in Markdown, a power in programs */ r->i++;
                if (r->e->n_toks && r->i < r->n &&
                    (digit(r, r->i) || r->s[r->i] == '(' || r->s[r->i] == '-' ||
                     isalpha((unsigned char)r->s[r->i])))
                    emit(r, WH_TOK_OP, '^', "^", 1);
            } else if (text && c == '-' && isalpha((unsigned char)next)) r->space = true; /* north-east */
            else if (strchr("+-*/^_()[]{},;:!|'&", c)) {
                if (c == '(' || c == '[') r->depth++;
                if (c == ')' || c == ']') r->depth--;
                if (c == '\'' && text) continue;
                emit(r, WH_TOK_OP, (unsigned char)c, &c, 1);
            } else r->space = true; /* white space, $, ~, ", `, ?, ., # and @ */
        }
    }
}

static bool is_op(const wh_tok *t, char c)
{
    return t->kind == WH_TOK_OP && t->arg == (uint8_t)c;
}

/* Drop words, their exponents ("cm^2", "\text{cm}^{3}") and what divides them ("m/s"). */
static void drop_words(wh_expr *e)
{
    size_t k = 0;
    for (size_t i = 0; i < e->n_toks; i++) {
        wh_tok *t = e->toks + i;
        if (t->kind != WH_TOK_WORD) {
            bool divides =
                is_op(t, '/') && i + 1 < e->n_toks &&
                (t[1].kind == WH_TOK_WORD || (i > 0 && t[-1].kind == WH_TOK_WORD && t[1].kind == WH_TOK_SYM));
            if (divides && t[1].kind == WH_TOK_SYM) i++;
            if (!divides) e->toks[k++] = *t;
            continue;
        }
        if (i + 1 < e->n_toks && is_op(t + 1, '^')) {
            if (i + 2 < e->n_toks && t[2].kind == WH_TOK_NUM) i += 2;
            else if (i + 4 < e->n_toks && is_op(t + 2, '{') && t[3].kind == WH_TOK_NUM && is_op(t + 4, '}'))
                i += 4;
        }
    }
    e->n_toks = k;
    /* what held nothing but words is gone: "(meters)", "{\bf cm}", and the exponent of "5^{\text{th}}" */
    k = 0;
    for (size_t i = 0; i < e->n_toks; i++) {
        const wh_tok *t = e->toks + i, *open = e->toks + k - (k > 0);
        bool empty = k > 0 && ((is_op(open, '{') && is_op(t, '}')) || (is_op(open, '(') && is_op(t, ')')));
        if (!empty) e->toks[k++] = *t;
        else if (--k > 0 && is_op(e->toks + k - 1, '^')) k--;
    }
    e->n_toks = k;
}

/* "5 m", "3 s", "30 m/s": one letter after a space behind a lone number is a unit. */
static void drop_letter_unit(wh_expr *e)
{
    const char units[] = "mgshLNJWVK";
    size_t     k = e->n_toks && is_op(e->toks, '-'); /* the number */
    if (k + 2 > e->n_toks || e->toks[k].kind != WH_TOK_NUM) return;
    const wh_tok *t = e->toks + k + 1;
    bool          letter = t->kind == WH_TOK_SYM && t->space && t->len == 1 && strchr(units, e->chars[t->at]);
    bool          alone = k + 2 == e->n_toks;
    bool          per = k + 4 == e->n_toks && is_op(t + 1, '/') && t[2].kind == WH_TOK_SYM && t[2].len == 1 &&
               strchr(units, e->chars[t[2].at]);
    if (letter && (alone || per)) e->n_toks = k + 1;
}

/* "(C)", "C.", "C)", "\textbf{(C)} 12": the letter alone stands for the choice. */
static void keep_choice(wh_expr *e)
{
    size_t at = 0;
    while (at < e->n_toks && (is_op(e->toks + at, '(') || is_op(e->toks + at, '{'))) at++;
    bool opened = at > 0 && is_op(e->toks + at - 1, '(');
    if (at + 1 >= e->n_toks) return;
    wh_tok *t = e->toks + at;
    bool    letter = t->kind == WH_TOK_SYM && t->len == 1 && e->chars[t->at] >= 'A' && e->chars[t->at] <= 'J';
    if (!letter || !(is_op(t + 1, ')') || (is_op(t + 1, ':') && at == 0))) return;
    if (is_op(t + 1, ')') && !opened && at > 0) return;
    if (at + 2 < e->n_toks && (t[2].kind == WH_TOK_AND || t[2].kind == WH_TOK_OR || is_op(t + 2, ','))) return;
    e->toks[0] = *t;
    e->toks[0].kind = WH_TOK_SYM;
    e->n_toks = 1;
}

void wh_lex_answer(wh_expr *e, const char *text, size_t n)
{
    reader r = {.e = e, .s = text, .n = n};
    for (size_t i = 0; i + 1 < n; i++)
        if (text[i] == ',' && text[i + 1] == ' ') r.loose_list = true;
    read_tokens(&r);
    keep_choice(e);
    bool math = false, words = false;
    for (size_t i = 0; i < e->n_toks; i++) {
        math |= e->toks[i].kind == WH_TOK_NUM || e->toks[i].kind == WH_TOK_PI ||
                e->toks[i].kind == WH_TOK_INF || e->toks[i].kind == WH_TOK_REL ||
                e->toks[i].kind == WH_TOK_SQRT || e->toks[i].kind == WH_TOK_FN ||
                e->toks[i].kind == WH_TOK_FRAC || is_op(e->toks + i, '+');
        words |= e->toks[i].kind == WH_TOK_WORD;
    }
    if (math && words) drop_words(e);
    drop_letter_unit(e);
    while (e->n_toks && (is_op(e->toks + e->n_toks - 1, ',') || is_op(e->toks + e->n_toks - 1, ';') ||
                         is_op(e->toks + e->n_toks - 1, ':')))
        e->n_toks--;
    push(e, WH_TOK_END, 0, "", 0, false);
}
