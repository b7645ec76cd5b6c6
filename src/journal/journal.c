#include "journal/journal.h"

#include "base/buf.h"
#include "base/mem.h"
#include "journal/frames.h"

#include <stdlib.h>
#include <string.h>

struct wh_journal {
    wh_frames *frames;
    char      *path;
};

enum { VERSION = 1, LEVEL = 6 };
static const char noun[] = "journal";

/* ---- reading --------------------------------------------------------------------------------------------- */

typedef struct reader {
    const char      *path;
    json_t          *run; /* from the header; NULL before it was read */
    wh_journal_each *each;
    void            *user;
} reader;

static wh_code read_header(reader *r, const json_t *line, wh_err *err)
{
    const char *what = json_string_value(json_object_get(line, "journal"));
    json_t *version = json_object_get(line, "version"), *run = json_object_get(line, "run");
    if (!what || strcmp(what, "whet") != 0 || !json_is_object(run))
        return wh_err_set(err, WH_ERR_FORMAT, "%s is no journal of Whet", r->path);
    if (json_integer_value(version) != VERSION)
        return wh_err_set(err, WH_ERR_UNSUPPORTED, "%s is a journal of version %d, this is for version %d", r->path,
                          (int)json_integer_value(version), VERSION);
    r->run = json_incref(run);
    return WH_OK;
}

static wh_code read_lines(void *user, const char *text, size_t size, size_t at, wh_err *err)
{
    (void)size;
    reader *r = user;
    for (const char *line = text, *end; *line; line = end) {
        end = line + strcspn(line, "\n");
        size_t n = (size_t)(end - line);
        if (*end) end++;
        json_t *value = json_loadb(line, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
        if (!json_is_object(value)) {
            json_decref(value);
            return wh_err_set(err, WH_ERR_FORMAT, "%s: the frame at byte %zu holds something else than JSON objects", r->path, at);
        }
        wh_code code = WH_OK;
        if (!r->run) code = read_header(r, value, err);
        else if (r->each) code = r->each(r->user, value, err);
        json_decref(value);
        WH_TRY(code);
    }
    return WH_OK;
}

wh_code wh_journal_read(const char *path, json_t **run, wh_journal_each *each, void *user, size_t *torn, wh_err *err)
{
    reader r = {path, NULL, each, user};
    wh_code code = wh_frames_read(path, noun, read_lines, &r, torn, err);
    if (code == WH_OK && !r.run) code = wh_err_set(err, WH_ERR_FORMAT, "%s holds no whole record", path);
    if (code == WH_OK && run) *run = json_incref(r.run);
    json_decref(r.run);
    return code;
}

/* ---- which run ----------------------------------------------------------------------------------------------- */

static void print_value(wh_buf *out, const json_t *v)
{
    char *s = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(9)) : NULL;
    wh_buf_printf(out, "%.60s", s ? s : "nothing");
    free(s);
}

/* WH_ERR_ARG with the first difference between the run in the file and ours. */
static wh_code compare_runs(const char *path, const json_t *file, const json_t *ours, const char *prefix, wh_err *err)
{
    for (int side = 0; side < 2; side++) {
        const char *key;
        json_t *value;
        /* json_object_foreach takes objects that are not const, and changes nothing. */
        json_object_foreach((json_t *)(uintptr_t)(side ? file : ours), key, value) {
            const json_t *a = json_object_get(file, key), *b = json_object_get(ours, key);
            if (a && b && json_equal(a, b)) continue;
            wh_buf name = {0}, was = {0}, now = {0};
            wh_buf_printf(&name, "%s%s", prefix, key);
            wh_code code = WH_ERR_ARG;
            if (json_is_object(a) && json_is_object(b)) {
                wh_buf_putc(&name, '.');
                code = compare_runs(path, a, b, wh_buf_str(&name), err);
            } else {
                print_value(&was, a);
                print_value(&now, b);
                wh_err_set(err, code, "the journal %s was begun with %s %s, not %s; continue with that, or name another journal",
                           path, wh_buf_str(&name), wh_buf_str(&was), wh_buf_str(&now));
            }
            wh_buf_free(&name);
            wh_buf_free(&was);
            wh_buf_free(&now);
            return code;
        }
    }
    return WH_OK;
}

/* ---- writing ----------------------------------------------------------------------------------------------- */

static bool put_line(wh_buf *text, const json_t *value)
{
    char *line = json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(17));
    if (!line) return false;
    wh_buf_puts(text, line);
    wh_buf_putc(text, '\n');
    free(line);
    return wh_buf_ok(text);
}

wh_code wh_journal_append(wh_journal *j, const json_t *records, wh_err *err)
{
    wh_buf text = {0};
    bool ok = true;
    for (size_t i = 0; ok && i < json_array_size(records); i++) ok = put_line(&text, json_array_get(records, i));
    wh_code code = WH_OK;
    if (!ok) code = wh_err_set(err, WH_ERR_NOMEM, "no memory to write the journal %s", j->path);
    else if (text.len) code = wh_frames_append(j->frames, text.data, text.len, err);
    wh_buf_free(&text);
    return code;
}

static wh_code write_header(wh_journal *j, const json_t *run, wh_err *err)
{
    json_t *header = json_pack("{s:s, s:i, s:s, s:O}", "journal", "whet", "version", VERSION, "whet", wh_version(), "run", run);
    wh_buf text = {0};
    wh_code code = header && put_line(&text, header) ? wh_frames_append(j->frames, text.data, text.len, err)
                                                     : wh_err_set(err, WH_ERR_NOMEM, "no memory for the journal %s", j->path);
    wh_buf_free(&text);
    json_decref(header);
    return code;
}

static wh_code open_journal(wh_journal *j, const char *path, const json_t *run, wh_journal_each *each, void *user, size_t *torn,
                            wh_err *err)
{
    j->path = wh_mem_strndup(path, strlen(path));
    if (!j->path) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the journal %s", path);
    WH_TRY(wh_frames_open(&j->frames, path, noun, LEVEL, err));
    reader r = {path, NULL, NULL, NULL};
    /* Twice over the file: no record is handed out before the run is known to be the same. */
    wh_code code = wh_frames_scan(j->frames, read_lines, &r, torn, err);
    if (code == WH_OK && r.run) code = compare_runs(path, r.run, run, "", err);
    bool begun = r.run != NULL;
    json_decref(r.run);
    WH_TRY(code);
    if (!begun) return write_header(j, run, err);
    if (!each) return WH_OK;
    r = (reader){path, NULL, each, user};
    code = wh_frames_scan(j->frames, read_lines, &r, torn, err);
    json_decref(r.run);
    return code;
}

wh_code wh_journal_open(wh_journal **out, const char *path, const json_t *run, wh_journal_each *each, void *user,
                        size_t *torn, wh_err *err)
{
    *out = NULL;
    wh_journal *j = wh_mem_zalloc(1, sizeof *j);
    if (!j) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the journal %s", path);
    wh_code code = open_journal(j, path, run, each, user, torn, err);
    if (code == WH_OK) *out = j;
    else (void)wh_journal_close(j, NULL);
    return code;
}

wh_code wh_journal_close(wh_journal *j, wh_err *err)
{
    if (!j) return WH_OK;
    wh_code code = wh_frames_close(j->frames, err);
    free(j->path);
    free(j);
    return code;
}
