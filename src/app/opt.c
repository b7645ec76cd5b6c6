#include "app/opt.h"

#include "app/suggest.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- values ------------------------------------------------------------------------------------------ */

static bool parse_int(const char *text, const char **end, int64_t *out)
{
    char *e;
    if (*text != '-' && *text != '+' && (*text < '0' || *text > '9')) return false;
    errno = 0;
    long long v = strtoll(text, &e, 10);
    *out = v;
    *end = e;
    return e != text && errno == 0;
}

static bool parse_float(const char *text, double *out)
{
    char *e;
    if (!strchr("+-.0123456789", *text) || !*text) return false; /* no "nan", no "inf" */
    *out = strtod(text, &e);
    return e != text && *e == '\0' && isfinite(*out);
}

/* "1536", "512M", "2G", "1.5g", "16GiB" */
static bool parse_size(const char *text, double limit, uint64_t *out)
{
    char *e;
    if ((*text < '0' || *text > '9') && *text != '.') return false;
    double v = strtod(text, &e);
    static const char units[] = "KMGT";
    const char *u = *e ? strchr(units, *e & ~0x20) : NULL;
    if (u) {
        for (const char *s = units; s <= u; s++) v *= 1024;
        e++;
        if (*e == 'i') e++;
    }
    if (*e == 'B' || *e == 'b') e++;
    if (e == text || *e || !(v >= 0) || v > limit) return false;
    *out = (uint64_t)v;
    return true;
}

static bool has_word(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (const char *s = words; n && (s = strstr(s, word)); s++)
        if ((s == words || s[-1] == ' ') && (s[n] == ' ' || s[n] == '\0')) return true;
    return false;
}

static wh_code set_ints(const wh_opt *o, wh_opt_ints *to, const char *what, const char *text, wh_err *err)
{
    to->n = 0;
    for (const char *s = text;; s++) {
        int64_t v;
        if (!parse_int(s, &s, &v) || (*s && *s != ',') || (double)v < o->lo || (double)v > o->hi)
            return wh_err_set(err, WH_ERR_ARG, "%s wants whole numbers from %.0f to %.0f separated by commas, not '%.60s'",
                              what, o->lo, o->hi, text);
        if (to->n == WH_OPT_INTS_MAX)
            return wh_err_set(err, WH_ERR_ARG, "%s takes at most %d numbers", what, WH_OPT_INTS_MAX);
        to->v[to->n++] = v;
        if (!*s) return WH_OK;
    }
}

static wh_code add_string(const wh_opt *o, wh_opt_strings *to, const char *what, const char *text, wh_err *err)
{
    if (!*text) return wh_err_set(err, WH_ERR_ARG, "%s wants a %s, not an empty text", what, o->value);
    if (to->n == WH_OPT_STRINGS_MAX) return wh_err_set(err, WH_ERR_ARG, "%s may be given at most %d times", what, WH_OPT_STRINGS_MAX);
    to->v[to->n++] = text;
    return WH_OK;
}

static wh_code set_part(const wh_opt *o, wh_opt_part *to, const char *what, const char *text, wh_err *err)
{
    const char *end;
    if (parse_int(text, &end, &to->part) && *end == '/' && parse_int(end + 1, &end, &to->of) && !*end && to->part >= 1 &&
        to->part <= to->of && (double)to->of <= o->hi)
        return WH_OK;
    return wh_err_set(err, WH_ERR_ARG, "%s wants a part and how many there are, such as 2/5, not '%.60s'", what, text);
}

wh_code wh_opt_set(const wh_opt *o, void *values, const char *what, const char *text, wh_err *err)
{
    void *field = (char *)values + o->at;
    switch (o->type) {
    case WH_OPT_TYPE_FLAG: *(bool *)field = true; return WH_OK;
    case WH_OPT_TYPE_INT: {
        const char *end;
        int64_t v;
        if (!parse_int(text, &end, &v) || *end || (double)v < o->lo || (double)v > o->hi)
            return wh_err_set(err, WH_ERR_ARG, "%s wants a whole number from %.0f to %.0f, not '%.60s'", what, o->lo,
                              o->hi, text);
        *(int64_t *)field = v;
        return WH_OK;
    }
    case WH_OPT_TYPE_FLOAT: {
        double v;
        if (!parse_float(text, &v) || v < o->lo || v > o->hi)
            return wh_err_set(err, WH_ERR_ARG, "%s wants a number from %g to %g, not '%.60s'", what, o->lo, o->hi, text);
        *(double *)field = v;
        return WH_OK;
    }
    case WH_OPT_TYPE_SIZE:
        if (!parse_size(text, o->hi, field))
            return wh_err_set(err, WH_ERR_ARG, "%s wants a size such as 512M or 2G, not '%.60s'", what, text);
        return WH_OK;
    case WH_OPT_TYPE_STRING:
        if (!*text) return wh_err_set(err, WH_ERR_ARG, "%s wants a %s, not an empty text", what, o->value);
        *(const char **)field = text;
        return WH_OK;
    case WH_OPT_TYPE_CHOICE:
        if (strchr(text, ' ') || !has_word(o->choices, text))
            return wh_err_set(err, WH_ERR_ARG, "%s knows no '%.60s'; choose one of: %s", what, text, o->choices);
        *(const char **)field = text;
        return WH_OK;
    case WH_OPT_TYPE_INTS: return set_ints(o, field, what, text, err);
    case WH_OPT_TYPE_STRINGS: return add_string(o, field, what, text, err);
    case WH_OPT_TYPE_PART: return set_part(o, field, what, text, err);
    }
    return wh_err_set(err, WH_ERR_ARG, "%s has no type", what);
}

/* ---- the command line ---------------------------------------------------------------------------------- */

static void set_defaults(const wh_opt_spec *spec)
{
    for (size_t g = 0; g < spec->n_groups; g++) {
        const wh_opt_group *group = &spec->groups[g];
        for (size_t i = 0; i < group->n; i++) {
            const wh_opt *o = &group->opts[i];
            assert(i == 0 || strcmp(group->opts[i - 1].name, o->name) < 0);
            if (group->given) group->given[i] = false;
            if (!o->init) continue;
            wh_code code = wh_opt_set(o, group->values, o->name, o->init, NULL);
            assert(code == WH_OK);
            (void)code;
        }
    }
}

/* name ends at '=' or at the end of the word. */
static const wh_opt *find_option(const wh_opt_spec *spec, const char *name, size_t n, const wh_opt_group **group,
                                 size_t *index)
{
    for (size_t g = 0; g < spec->n_groups; g++) {
        *group = &spec->groups[g];
        for (*index = 0; *index < (*group)->n; (*index)++) {
            const wh_opt *o = &(*group)->opts[*index];
            if (strlen(o->name) == n && memcmp(o->name, name, n) == 0) return o;
        }
    }
    return NULL;
}

/* word: "--tempreature=1" or "-n" */
static wh_code unknown_option(const wh_opt_spec *spec, const char *word, wh_err *err)
{
    enum { MOST = 128 };
    const char *names[MOST];
    size_t n = 0;
    names[n++] = "help";
    for (size_t g = 0; g < spec->n_groups; g++)
        for (size_t i = 0; i < spec->groups[g].n && n < MOST; i++) names[n++] = spec->groups[g].opts[i].name;
    char bare[64] = "";
    const char *name = word + strspn(word, "-");
    size_t length = strcspn(name, "=");
    if (length < sizeof bare) memcpy(bare, name, length);
    const char *near = wh_suggest_name(bare, names, n);
    int shown = (int)strcspn(word, "=");
    if (near) return wh_err_set(err, WH_ERR_ARG, "unknown option %.*s; did you mean --%s?", shown > 60 ? 60 : shown, word, near);
    return wh_err_set(err, WH_ERR_ARG, "unknown option %.*s; `whet %s --help` lists the options", shown > 60 ? 60 : shown,
                      word, spec->command);
}

static wh_code take_option(const wh_opt_spec *spec, char **argv, int argc, int *i, wh_err *err)
{
    bool two = argv[*i][1] == '-';
    const char *word = argv[*i], *name = word + 1 + two, *eq = strchr(name, '=');
    size_t n = eq ? (size_t)(eq - name) : strlen(name), index;
    const wh_opt_group *group;
    const wh_opt *o = two || n == 1 ? find_option(spec, name, n, &group, &index) : NULL;
    if (!o) return unknown_option(spec, word, err);
    char what[64];
    snprintf(what, sizeof what, "--%s", o->name);
    const char *text = eq ? eq + 1 : NULL;
    if (o->type == WH_OPT_TYPE_FLAG) {
        if (text) return wh_err_set(err, WH_ERR_ARG, "%s takes no value", what);
    } else if (!text) {
        if (*i + 1 == argc) return wh_err_set(err, WH_ERR_ARG, "%s wants a value: %s %s", what, what, o->value);
        text = argv[++*i];
    }
    if (group->given) group->given[index] = true;
    return wh_opt_set(o, group->values, what, text, err);
}

wh_code wh_opt_parse(const wh_opt_spec *spec, int argc, char **argv, size_t *n_args, bool *help, wh_err *err)
{
    set_defaults(spec);
    *n_args = 0;
    *help = false;
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || (!spec->dash_args && strcmp(argv[i], "-h") == 0)) *help = true;
    if (*help) return WH_OK;
    bool options = true;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        bool dashes = word[0] == '-' && word[1] != '\0' && (word[1] == '-' || !spec->dash_args);
        if (options && strcmp(word, "--") == 0) options = false;
        else if (options && dashes) WH_TRY(take_option(spec, argv, argc, &i, err));
        else argv[(*n_args)++] = argv[i];
    }
    if (*n_args < spec->min_args || *n_args > spec->max_args) {
        if (*n_args > spec->max_args && spec->max_args == 1 && strchr(spec->synopsis, '"'))
            return wh_err_set(err, WH_ERR_ARG, "`whet %s` takes one text, not %zu: put quotes around what has spaces", spec->command,
                              *n_args);
        return wh_err_set(err, WH_ERR_ARG, "%s: usage is whet %s %s", *n_args < spec->min_args ? "something is missing" : "too many arguments",
                          spec->command, spec->synopsis);
    }
    return WH_OK;
}

/* ---- help ---------------------------------------------------------------------------------------------- */

/* Append text from column `indent` on, broken at spaces so that lines stay within 100 columns. */
static void put_wrapped(wh_buf *out, const char *text, size_t column, size_t indent)
{
    while (*text) {
        size_t word = strcspn(text, " ");
        if (column > indent && column + 1 + word > 100) {
            wh_buf_printf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            wh_buf_putc(out, ' ');
            column++;
        }
        wh_buf_put(out, text, word);
        column += word;
        text += word;
        text += strspn(text, " ");
    }
    wh_buf_putc(out, '\n');
}

void wh_opt_help(wh_buf *out, const wh_opt_spec *spec)
{
    enum { LEFT = 26 };
    wh_buf_printf(out, "whet %s %s\n\n%s\n", spec->command, spec->synopsis, spec->about);
    wh_buf line = {0};
    for (size_t g = 0; g < spec->n_groups; g++) {
        const wh_opt_group *group = &spec->groups[g];
        if (group->n == 0) continue;
        wh_buf_printf(out, "\n%s:\n", group->title ? group->title : "Options");
        for (size_t i = 0; i < group->n; i++) {
            const wh_opt *o = &group->opts[i];
            wh_buf_clear(&line);
            wh_buf_printf(&line, "  --%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
            wh_buf_puts(out, wh_buf_str(&line));
            if (line.len + 2 > LEFT) wh_buf_printf(out, "\n%*s", LEFT, "");
            else wh_buf_printf(out, "%*s", (int)(LEFT - line.len), "");
            wh_buf_clear(&line);
            wh_buf_puts(&line, o->help);
            if (o->choices) wh_buf_printf(&line, ": %s", o->choices);
            if (o->init) wh_buf_printf(&line, " (default %s)", o->init);
            put_wrapped(out, wh_buf_str(&line), LEFT, LEFT);
        }
    }
    wh_buf_free(&line);
}
