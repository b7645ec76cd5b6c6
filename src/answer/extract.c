/* extract: the final answer in the text of a solution.
 *
 * The rules are tried from the strongest to the weakest; the first that finds something that is not blank wins.
 * Every rule is one or two passes over the text, whatever the text is: an unclosed brace runs to the end once,
 * because the search goes from the back and stops at the first box that holds something (and a blank box is
 * only looked into up to its end, which lies before the box behind it).
 */
#include "answer/answer.h"

#include "answer/normalize.h"

#include <ctype.h>
#include <string.h>

typedef struct span {
    const char *s;
    size_t      n;
} span;

static const span nothing = {NULL, 0};

const char *wh_extract_rule_name(wh_extract_rule rule)
{
    switch (rule) {
    case WH_EXTRACT_NONE: return "none";
    case WH_EXTRACT_FINAL: return "final answer";
    case WH_EXTRACT_BOXED: return "boxed";
    case WH_EXTRACT_HASHES: return "hashes";
    case WH_EXTRACT_ANSWER_IS: return "answer is";
    case WH_EXTRACT_LAST_MATH: return "last math";
    case WH_EXTRACT_LAST_NUMBER: return "last number";
    }
    return "?";
}

static bool blank(char c)
{
    return isspace((unsigned char)c) || c == '\0';
}

/* Without white space, a leading ":" and marks around, a trailing "." or "/" (method.md 2.7). */
static span trim(span t)
{
    while (t.n && (blank(*t.s) || *t.s == ':' || *t.s == '*' || *t.s == '`')) t.s++, t.n--;
    while (t.n && (blank(t.s[t.n - 1]) || strchr("*`./,;", t.s[t.n - 1]))) {
        bool escaped = t.n > 1 && t.s[t.n - 2] == '\\'; /* "\," is a space, "\." nothing */
        t.n -= escaped ? 2 : 1;
    }
    return t;
}

static bool same_letters(const char *s, const char *word, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (tolower((unsigned char)s[i]) != word[i]) return false;
    return true;
}

/* The last place in text before `before` where word (lower case) stands, any case; text.n when nowhere. */
static size_t find_last(span text, size_t before, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = before < n ? 0 : before - n + 1; i-- > 0;)
        if ((text.s[i] | 0x20) == word[0] && same_letters(text.s + i, word, n))
            return i; /* | 0x20: lower case */
    return text.n;
}

static span until(span text, size_t from, const char *stops)
{
    size_t i = from;
    while (i < text.n && !strchr(stops, text.s[i])) i++;
    return (span){text.s + from, i - from};
}

/* What a \boxed at i (just behind the word) holds. */
static span box(span text, size_t i)
{
    while (i < text.n && blank(text.s[i])) i++;
    if (i == text.n || text.s[i] != '{') return until(text, i, "$\n");
    int depth = 0;
    for (size_t k = i; k < text.n; k++) {
        if (text.s[k] == '\\') k++;
        else if (text.s[k] == '{') depth++;
        else if (text.s[k] == '}' && --depth == 0) return (span){text.s + i + 1, k - i - 1};
    }
    return until(text, i + 1, "$\n"); /* never closed: the text was cut off */
}

static span last_box(span text)
{
    static const char *const words[] = {"\\boxed", "\\fbox", "\\framebox"};
    size_t                   end = text.n;
    while (end > 0) {
        size_t at = end, len = 0;
        while (at-- > 0 && !len)
            for (size_t w = 0; w < 3 && text.s[at] == '\\'; w++) {
                size_t n = strlen(words[w]);
                if (end - at >= n && !memcmp(text.s + at, words[w], n) &&
                    (at + n == text.n || !isalpha((unsigned char)text.s[at + n])))
                    len = n;
            }
        if (!len) return nothing;
        at++;
        span found = trim(box((span){text.s, end}, at + len));
        if (found.n) return found;
        end = at;
    }
    return nothing;
}

/* Lewkowycz et al. 2022: "The final answer is $...$. I hope it is correct." */
static span final_answer(span text)
{
    static const char lead[] = "final answer is";
    size_t            at = find_last(text, text.n, lead);
    if (at == text.n) return nothing;
    span   rest = {text.s + at + strlen(lead), text.n - at - strlen(lead)};
    size_t hope = 0;
    while (hope + 6 <= rest.n && memcmp(rest.s + hope, "I hope", 6)) hope++;
    if (hope + 6 > rest.n) return nothing;
    return trim((span){rest.s, hope});
}

static span hashes(span text)
{
    size_t at = find_last(text, text.n, "####");
    return at == text.n ? nothing : trim(until(text, at + 4, "\n"));
}

/* Up to the end of the sentence: "." before white space, a line's end; behind a leading $ up to its partner. */
static span sentence(span text, size_t from)
{
    span t = trim(until(text, from, "\n"));
    if (t.n == 0) { /* "The answer is:" and the answer on the next line */
        size_t i = from;
        while (i < text.n && (blank(text.s[i]) || strchr(":*", text.s[i]))) i++;
        t = trim(until(text, i, "\n"));
    }
    if (t.n > 1 && t.s[0] == '$' && !isdigit((unsigned char)t.s[1])) {
        size_t open = 1 + (t.s[1] == '$');
        span   inside = until(t, open, "$");
        if (open + inside.n < t.n) return trim(inside);
    }
    for (size_t i = 0; i + 1 < t.n; i++)
        if (t.s[i] == '.' && blank(t.s[i + 1])) return trim((span){t.s, i});
    return t;
}

static span answer_is(span text)
{
    static const char *const leads[] = {"answer is", "answer:", "answer**:", "answer is:"};
    size_t                   best = 0;
    for (size_t k = 0; k < sizeof leads / sizeof *leads; k++) {
        size_t at = find_last(text, text.n, leads[k]);
        if (at != text.n && at + strlen(leads[k]) > best) best = at + strlen(leads[k]);
    }
    return best ? sentence(text, best) : nothing;
}

/* The last number: digits with separators, decimals and a sign; a/b counts as one. */
static span last_number(span text)
{
    size_t end = text.n;
    while (end > 0 && !isdigit((unsigned char)text.s[end - 1])) end--;
    if (!end) return nothing;
    size_t begin = end;
    bool   slash = false;
    while (begin > 0) {
        char c = text.s[begin - 1];
        bool inner = begin > 1 && isdigit((unsigned char)text.s[begin - 2]);
        if (isdigit((unsigned char)c)) begin--;
        else if (c == '.' && isdigit((unsigned char)text.s[begin])) begin--;
        else if (c == ',' && inner && begin + 2 < text.n && isdigit((unsigned char)text.s[begin + 2])) begin--;
        else if (c == '/' && inner && !slash) slash = true, begin--;
        else break;
    }
    bool sign =
        begin > 0 && text.s[begin - 1] == '-' &&
        (begin == 1 || !(isalnum((unsigned char)text.s[begin - 2]) || strchr(")}]", text.s[begin - 2])));
    if (sign) begin--;
    return (span){text.s + begin, end - begin};
}

/* The $...$ around a number, or what follows its last "="; nothing when the number stands in prose. */
static span math_around(span text, span number)
{
    size_t at = (size_t)(number.s - text.s), end = at + number.n, open = 0, dollars = 0;
    size_t line = at;
    while (line > 0 && text.s[line - 1] != '\n') line--;
    for (size_t i = line; i < at; i++) {
        if (text.s[i] == '\\') i++;
        else if (text.s[i] == '$') dollars++, open = i + 1;
    }
    if (dollars % 2 == 0) return nothing;
    size_t close = end;
    while (close < text.n && text.s[close] != '$' && text.s[close] != '\n') close++;
    if (close == text.n || text.s[close] != '$') return nothing;
    for (size_t i = open; i < close; i++)
        if (text.s[i] == '=') open = i + 1;
    return trim((span){text.s + open, close - open});
}

static wh_code put(wh_buf *out, span t, wh_err *err)
{
    wh_buf_put(out, t.s, t.n);
    return wh_buf_ok(out) ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for an answer of %zu bytes", t.n);
}

static span strong_rules(span text, wh_extract_rule *rule)
{
    static const struct {
        span (*find)(span text);
        wh_extract_rule rule;
    } rules[] = {{final_answer, WH_EXTRACT_FINAL},
                 {last_box, WH_EXTRACT_BOXED},
                 {hashes, WH_EXTRACT_HASHES},
                 {answer_is, WH_EXTRACT_ANSWER_IS}};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        span found = rules[i].find(text);
        *rule = rules[i].rule;
        if (found.n) return found;
    }
    *rule = WH_EXTRACT_NONE;
    return nothing;
}

static span weak_rules(span text, wh_extract_rule *rule)
{
    span number = last_number(text);
    *rule = WH_EXTRACT_NONE;
    if (!number.n) return nothing;
    span math = math_around(text, number);
    *rule = math.n ? WH_EXTRACT_LAST_MATH : WH_EXTRACT_LAST_NUMBER;
    return math.n ? math : number;
}

size_t wh_extract_thought(const char *text, size_t n, bool open)
{
    static const char begin[] = "<think>", end[] = "</think>";
    size_t at = 0;
    for (const char *p; (p = memmem(text + at, n - at, end, sizeof end - 1)) != NULL; open = false) at = (size_t)(p - text) + sizeof end - 1;
    return open || memmem(text + at, n - at, begin, sizeof begin - 1) ? n : at;
}

wh_code wh_extract_answer(wh_buf *out, wh_extract_rule *rule, const char *text, size_t n, wh_err *err)
{
    wh_extract_rule found;
    size_t          thought = wh_extract_thought(text, n, false);
    span            said = {text + thought, n - thought}, t = strong_rules(said, &found);
    if (!t.n) t = weak_rules(said, &found);
    if (!t.n && thought) t = strong_rules((span){text, n}, &found);
    if (rule) *rule = found;
    return t.n ? put(out, t, err) : WH_OK;
}

/* More than one line or sentence: an argument, not an answer. */
static bool is_prose(span t)
{
    for (size_t i = 0; i + 2 < t.n; i++)
        if (t.s[i] == '\n' || (t.s[i] == '.' && t.s[i + 1] == ' ' && isalpha((unsigned char)t.s[i + 2])))
            return true;
    return false;
}

wh_code wh_extract_bare(wh_buf *out, const char *text, size_t n, wh_err *err)
{
    wh_extract_rule rule;
    span            whole = {text, n}, t = strong_rules(whole, &rule);
    if (t.n) return put(out, t, err);
    wh_expr e = {0};
    t = trim(whole);
    bool ok = is_prose(t) || wh_normalize_read(&e, t.s, t.n);
    bool reads = ok && e.n_nodes && e.root >= 0;
    wh_expr_free(&e);
    if (!ok) return wh_err_set(err, WH_ERR_NOMEM, "no memory to read an answer");
    span number = reads ? nothing : weak_rules(t, &rule);
    return put(out, number.n ? number : t, err);
}
