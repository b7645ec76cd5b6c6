#include "app/manifest.h"

#include "app/suggest.h"
#include "base/file.h"
#include "base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* models/MANIFEST, as it is in the source tree; the assembler runs in its root. */
__asm__(".pushsection .rodata\n"
        ".globl wh_manifest_builtin\n"
        "wh_manifest_builtin:\n"
        ".incbin \"models/MANIFEST\"\n"
        ".byte 0\n"
        ".popsection\n");
extern const char wh_manifest_builtin[]; /* a C string */

/* ---- reading --------------------------------------------------------------------------------------------- */

static char *trim(char *s)
{
    while (isspace((unsigned char)*s)) s++;
    size_t n = strlen(s);
    while (n && isspace((unsigned char)s[n - 1])) s[--n] = '\0';
    return s;
}

/* Make room for one more element and zero it. */
static bool grow(void **items, size_t *n, size_t size)
{
    char *more = wh_mem_resize(*items, *n + 1, size);
    if (!more) return false;
    memset(more + *n * size, 0, size);
    *items = more;
    ++*n;
    return true;
}

static bool parse_bytes(const char *s, uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(s, &end, 10);
    return *s >= '1' && *s <= '9' && *end == '\0' && errno == 0 && *out < (uint64_t)1 << 50;
}

static bool is_sha256(const char *s) { return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64; }

/* A file name that stays in the models folder. */
static bool is_plain_name(const char *s) { return *s && *s != '.' && !strchr(s, '/'); }

static wh_code add_wheel(wh_entry *e, char *value, wh_err *err)
{
    char *save, *requirement = strtok_r(value, " ", &save), *member = strtok_r(NULL, " ", &save);
    char *bytes = strtok_r(NULL, " ", &save);
    uint64_t n;
    if (!bytes || strtok_r(NULL, " ", &save) || !parse_bytes(bytes, &n) || !strstr(requirement, "==") || *requirement == '-')
        return wh_err_set(err, WH_ERR_FORMAT, "a wheel is PROJECT==VERSION MEMBER BYTES");
    if (!grow((void **)&e->wheels, &e->n_wheels, sizeof *e->wheels)) return wh_err_set(err, WH_ERR_NOMEM, "no memory");
    e->wheels[e->n_wheels - 1] = (wh_wheel){requirement, member, n};
    return WH_OK;
}

static wh_code add_text(const char ***list, size_t *n, const char *value, wh_err *err)
{
    if (!grow((void **)list, n, sizeof **list)) return wh_err_set(err, WH_ERR_NOMEM, "no memory");
    (*list)[*n - 1] = value;
    return WH_OK;
}

static wh_code set_key(wh_entry *e, const char *key, char *value, wh_err *err)
{
    if (strcmp(key, "alias") == 0) return add_text(&e->aliases, &e->n_aliases, value, err);
    if (strcmp(key, "source") == 0) return add_text(&e->sources, &e->n_sources, value, err);
    if (strcmp(key, "wheel") == 0) return add_wheel(e, value, err);
    if (strcmp(key, "licence") == 0) e->licence = value;
    else if (strcmp(key, "purpose") == 0) e->purpose = value;
    else if (strcmp(key, "default") == 0) e->is_default = strcmp(value, "yes") == 0;
    else if (strcmp(key, "file") == 0) {
        if (!is_plain_name(value)) return wh_err_set(err, WH_ERR_FORMAT, "a file is a plain name without a folder");
        e->file = value;
    } else if (strcmp(key, "bytes") == 0) {
        if (!parse_bytes(value, &e->bytes)) return wh_err_set(err, WH_ERR_FORMAT, "bytes is a whole number");
    } else if (strcmp(key, "sha256") == 0) {
        if (!is_sha256(value)) return wh_err_set(err, WH_ERR_FORMAT, "sha256 is 64 hexadecimal digits");
        e->sha256 = value;
    } else {
        return wh_err_set(err, WH_ERR_FORMAT, "unknown key '%.40s'", key);
    }
    return WH_OK;
}

static wh_code read_line(wh_manifest *m, char *line, wh_err *err)
{
    line = trim(line);
    if (!*line || *line == '#') return WH_OK;
    size_t n = strlen(line);
    if (*line == '[') {
        if (line[n - 1] != ']' || n < 3) return wh_err_set(err, WH_ERR_FORMAT, "an entry begins with [name]");
        line[n - 1] = '\0';
        if (!grow((void **)&m->entries, &m->n, sizeof *m->entries)) return wh_err_set(err, WH_ERR_NOMEM, "no memory");
        m->entries[m->n - 1].name = trim(line + 1);
        return WH_OK;
    }
    char *eq = strchr(line, '=');
    if (!eq || m->n == 0) return wh_err_set(err, WH_ERR_FORMAT, "expected \"key = value\" below a [name]");
    *eq = '\0';
    return set_key(&m->entries[m->n - 1], trim(line), trim(eq + 1), err);
}

static wh_code check_entry(const wh_entry *e, wh_err *err)
{
    if (!e->file || !e->licence || !e->purpose || e->n_sources == 0)
        return wh_err_set(err, WH_ERR_FORMAT, "[%.60s] lacks file, licence, purpose or source", e->name);
    uint64_t sum = 0;
    for (size_t i = 0; i < e->n_wheels; i++) sum += e->wheels[i].bytes;
    if (e->n_wheels && sum != e->bytes)
        return wh_err_set(err, WH_ERR_FORMAT, "[%.60s] has %llu bytes, but its wheels have %llu", e->name,
                          (unsigned long long)e->bytes, (unsigned long long)sum);
    return WH_OK;
}

static wh_code read_text(wh_manifest *m, wh_err *err)
{
    size_t number = 0;
    for (char *line = m->text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        number++;
        if (read_line(m, line, err) != WH_OK) return wh_err_wrap(err, "line %zu of the list of models", number);
    }
    for (size_t i = 0; i < m->n; i++) WH_TRY(check_entry(&m->entries[i], err));
    if (m->n == 0) return wh_err_set(err, WH_ERR_FORMAT, "the list of models is empty");
    return WH_OK;
}

wh_code wh_manifest_load(wh_manifest *m, wh_err *err)
{
    *m = (wh_manifest){0};
    wh_buf text = {0};
    wh_code code = WH_OK;
    const char *path = getenv("WHET_MANIFEST");
    if (path && *path) code = wh_file_read(&text, path, (size_t)1 << 20, err);
    else wh_buf_puts(&text, wh_manifest_builtin);
    if (code == WH_OK && !wh_buf_ok(&text)) code = wh_err_set(err, WH_ERR_NOMEM, "no memory for the list of models");
    m->text = text.data;
    if (code == WH_OK && strlen(wh_buf_str(&text)) != text.len)
        code = wh_err_set(err, WH_ERR_FORMAT, "the list of models holds a zero byte");
    if (code == WH_OK) code = m->text ? read_text(m, err) : wh_err_set(err, WH_ERR_FORMAT, "the list of models is empty");
    if (code != WH_OK) wh_manifest_free(m);
    return code;
}

void wh_manifest_free(wh_manifest *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->entries[i].aliases);
        free(m->entries[i].sources);
        free(m->entries[i].wheels);
    }
    free(m->entries);
    free(m->text);
    *m = (wh_manifest){0};
}

/* ---- finding ------------------------------------------------------------------------------------------- */

wh_code wh_manifest_find(const wh_entry **out, const wh_manifest *m, const char *name, wh_err *err)
{
    enum { MOST = 128 };
    const char *names[MOST];
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        const wh_entry *e = &m->entries[i];
        *out = e;
        if (name ? strcasecmp(name, e->name) == 0 : e->is_default) return WH_OK;
        if (n < MOST) names[n++] = e->name;
        for (size_t a = 0; name && a < e->n_aliases; a++) {
            if (strcasecmp(name, e->aliases[a]) == 0) return WH_OK;
            if (n < MOST) names[n++] = e->aliases[a];
        }
    }
    *out = NULL;
    const char *near = name ? wh_suggest_name(name, names, n) : NULL;
    if (!name) wh_err_set(err, WH_ERR_ARG, "the list of models has no default: name one (`whet pull --list`)");
    else if (near) wh_err_set(err, WH_ERR_ARG, "unknown model '%.60s'; did you mean %s?", name, near);
    else wh_err_set(err, WH_ERR_ARG, "unknown model '%.60s'; `whet pull --list` shows the names", name);
    return WH_ERR_ARG;
}

wh_code wh_manifest_folder(wh_buf *out, wh_err *err)
{
    const char *models = getenv("WHET_MODELS"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (models && *models) wh_buf_puts(out, models);
    else if (cache && *cache == '/') wh_buf_printf(out, "%s/whet/models", cache);
    else if (home && *home) wh_buf_printf(out, "%s/.cache/whet/models", home);
    else return wh_err_set(err, WH_ERR_ARG, "no place for models: set WHET_MODELS or HOME");
    return wh_buf_ok(out) ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for a path");
}

wh_code wh_manifest_path(wh_buf *out, const wh_entry *e, wh_err *err)
{
    WH_TRY(wh_manifest_folder(out, err));
    wh_buf_printf(out, "/%s", e->file);
    return wh_buf_ok(out) ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for a path");
}

static bool looks_like_path(const char *s)
{
    size_t n = strlen(s);
    return strchr(s, '/') || (n > 5 && strcmp(s + n - 5, ".gguf") == 0) || access(s, F_OK) == 0;
}

static wh_code resolve_name(wh_buf *out, const wh_manifest *m, const char *name, wh_err *err)
{
    const wh_entry *e;
    WH_TRY(wh_manifest_find(&e, m, name, err));
    WH_TRY(wh_manifest_path(out, e, err));
    struct stat st;
    if (stat(wh_buf_str(out), &st) == 0) return WH_OK;
    if (errno != ENOENT && errno != ENOTDIR) return wh_err_errno(err, "cannot use %s", wh_buf_str(out));
    return wh_err_set(err, WH_ERR_IO, "the model %s is not here yet; run: whet pull%s%s", e->name, name ? " " : "",
                      name ? (e->n_aliases ? e->aliases[0] : e->name) : "");
}

wh_code wh_manifest_resolve(wh_buf *out, const char *reference, wh_err *err)
{
    if (reference && looks_like_path(reference)) {
        wh_buf_puts(out, reference);
        return wh_buf_ok(out) ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for a path");
    }
    wh_manifest m;
    WH_TRY(wh_manifest_load(&m, err));
    wh_code code = resolve_name(out, &m, reference, err);
    wh_manifest_free(&m);
    return code;
}
