#include "journal/journal.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>
#include <zstd_errors.h>

/* Invariant: the first `good` bytes of the file are whole frames, the first of which begins with the header,
 * and the file ends there, except inside append. */
struct wh_journal {
    int        fd;
    uint64_t   good;
    double     synced;
    bool       dirty;
    ZSTD_CCtx *zstd;
    char      *path;
};

enum {
    VERSION = 1,
    FRAME_LIMIT = 1 << 28, /* bytes of JSON in a frame */
    LEVEL = 6
};
static const unsigned char magic[4] = {0x28, 0xB5, 0x2F, 0xFD}; /* RFC 8878 §3.1.1 */
static const double sync_seconds = 1.0;

/* ---- reading --------------------------------------------------------------------------------------------- */

/* One whole, sound frame at data[0 .. n)? Its text is put into out (cleared first); returns its size in the
 * file, 0 when there is none. */
static size_t read_frame(wh_buf *out, const unsigned char *data, size_t n)
{
    wh_buf_clear(out);
    if (n < sizeof magic || memcmp(data, magic, sizeof magic) != 0) return 0;
    size_t size = ZSTD_findFrameCompressedSize(data, n);
    if (ZSTD_isError(size)) return 0;
    unsigned long long content = ZSTD_getFrameContentSize(data, size);
    if (content > FRAME_LIMIT || !wh_buf_reserve(out, (size_t)content)) return 0;
    size_t got = ZSTD_decompress(out->data, (size_t)content, data, size);
    if (ZSTD_isError(got) || got != content) return 0;
    out->len = got;
    out->data[got] = '\0';
    return size;
}

/* Where the next sound frame begins, n when there is none. */
static size_t find_frame(wh_buf *scratch, const unsigned char *data, size_t n)
{
    for (size_t at = 1; at < n; at++) {
        const unsigned char *p = memchr(data + at, magic[0], n - at);
        if (!p) return n;
        at = (size_t)(p - data);
        if (read_frame(scratch, p, n - at) != 0) return at;
    }
    return n;
}

/* Is this the beginning of a frame and no more? So a journal looks that was torn in its very first frame;
 * anything else is somebody's file and no business of ours. */
static bool begins_frame(const unsigned char *data, size_t n)
{
    if (memcmp(data, magic, n < sizeof magic ? n : sizeof magic) != 0) return false;
    return ZSTD_getErrorCode(ZSTD_findFrameCompressedSize(data, n)) == ZSTD_error_srcSize_wrong;
}

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

static wh_code read_lines(reader *r, char *text, size_t at, wh_err *err)
{
    for (char *line = text, *end; *line; line = end) {
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

/* *good = the bytes of the whole frames. */
static wh_code read_frames(reader *r, const wh_map *map, wh_buf *text, size_t *good, wh_err *err)
{
    size_t at = 0;
    while (at < map->size) {
        size_t left = map->size - at, size = read_frame(text, map->data + at, left);
        if (size == 0) {
            if (at == 0 && !begins_frame(map->data, left)) return wh_err_set(err, WH_ERR_FORMAT, "%s is no journal of Whet", r->path);
            size_t next = find_frame(text, map->data + at, left);
            if (next < left)
                return wh_err_set(err, WH_ERR_FORMAT, "%s is damaged: bytes %zu to %zu are no frame, but whole ones follow",
                                  r->path, at, at + next - 1);
            break;
        }
        WH_TRY(read_lines(r, text->data, at, err));
        at += size;
    }
    *good = at;
    return WH_OK;
}

static wh_code read_file(reader *r, size_t *good, size_t *size, wh_err *err)
{
    wh_map map;
    WH_TRY(wh_file_map(&map, r->path, err));
    wh_buf text = {0};
    wh_code code = read_frames(r, &map, &text, good, err);
    *size = map.size;
    wh_buf_free(&text);
    wh_file_unmap(&map);
    return code;
}

wh_code wh_journal_read(const char *path, json_t **run, wh_journal_each *each, void *user, size_t *torn, wh_err *err)
{
    reader r = {path, NULL, each, user};
    size_t good = 0, size = 0;
    wh_code code = read_file(&r, &good, &size, err);
    if (code == WH_OK && !r.run) code = wh_err_set(err, WH_ERR_FORMAT, "%s holds no whole record", path);
    if (code == WH_OK && torn) *torn = size - good;
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

static wh_code write_bytes(wh_journal *j, const char *data, size_t n, wh_err *err)
{
    for (size_t done = 0; done < n;) {
        ssize_t w = pwrite(j->fd, data + done, n - done, (off_t)(j->good + done));
        if (w < 0 && errno == EINTR) continue;
        if (w < 0) {
            wh_code code = wh_err_errno(err, "cannot write the journal %s", j->path);
            /* If even this fails the torn frame stays at the end, where the next run expects it. */
            int cut = ftruncate(j->fd, (off_t)j->good);
            (void)cut;
            return code;
        }
        done += (size_t)w;
    }
    j->good += n;
    j->dirty = true;
    return WH_OK;
}

static wh_code sync_file(wh_journal *j, wh_err *err)
{
    if (!j->dirty) return WH_OK;
    if (fsync(j->fd) != 0) return wh_err_errno(err, "cannot write the journal %s", j->path);
    j->dirty = false;
    j->synced = wh_clock_now();
    return WH_OK;
}

static wh_code write_frame(wh_journal *j, const char *text, size_t n, wh_err *err)
{
    if (n > FRAME_LIMIT) return wh_err_set(err, WH_ERR_BUDGET, "a group of records has %zu bytes, more than %d", n, FRAME_LIMIT);
    size_t bound = ZSTD_compressBound(n);
    char *frame = wh_mem_alloc(bound, 1);
    if (!frame) return wh_err_set(err, WH_ERR_NOMEM, "no memory to write the journal %s", j->path);
    size_t size = ZSTD_compress2(j->zstd, frame, bound, text, n);
    wh_code code = ZSTD_isError(size) ? wh_err_set(err, WH_ERR_NOMEM, "cannot compress for the journal %s: %s", j->path, ZSTD_getErrorName(size))
                                      : write_bytes(j, frame, size, err);
    free(frame);
    if (code == WH_OK && wh_clock_now() - j->synced >= sync_seconds) code = sync_file(j, err);
    return code;
}

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
    else if (text.len) code = write_frame(j, text.data, text.len, err);
    wh_buf_free(&text);
    return code;
}

static wh_code write_header(wh_journal *j, const json_t *run, wh_err *err)
{
    json_t *header = json_pack("{s:s, s:i, s:s, s:O}", "journal", "whet", "version", VERSION, "whet", wh_version(), "run", run);
    wh_buf text = {0};
    wh_code code = header && put_line(&text, header) ? write_frame(j, text.data, text.len, err)
                                                     : wh_err_set(err, WH_ERR_NOMEM, "no memory for the journal %s", j->path);
    wh_buf_free(&text);
    json_decref(header);
    return code;
}

static wh_code open_file(wh_journal *j, const char *path, wh_err *err)
{
    j->path = wh_mem_strndup(path, strlen(path));
    j->zstd = ZSTD_createCCtx();
    if (!j->path || !j->zstd) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the journal %s", path);
    ZSTD_CCtx_setParameter(j->zstd, ZSTD_c_compressionLevel, LEVEL);
    ZSTD_CCtx_setParameter(j->zstd, ZSTD_c_checksumFlag, 1);
    j->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (j->fd < 0) return wh_err_errno(err, "cannot open the journal %s", path);
    struct stat st;
    if (fstat(j->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return wh_err_set(err, WH_ERR_IO, "the journal %s is not a regular file", path);
    if (flock(j->fd, LOCK_EX | LOCK_NB) != 0)
        return wh_err_set(err, WH_ERR_IO, "another process is writing the journal %s", path);
    return WH_OK;
}

wh_code wh_journal_open(wh_journal **out, const char *path, const json_t *run, wh_journal_each *each, void *user,
                        size_t *torn, wh_err *err)
{
    *out = NULL;
    wh_journal *j = wh_mem_zalloc(1, sizeof *j);
    if (!j) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the journal %s", path);
    j->fd = -1;
    reader r = {path, NULL, NULL, NULL};
    size_t good = 0, size = 0;
    wh_code code = open_file(j, path, err);
    /* Twice over the file: no record is handed out before the run is known to be the same. */
    if (code == WH_OK) code = read_file(&r, &good, &size, err);
    if (code == WH_OK && r.run) code = compare_runs(path, r.run, run, "", err);
    if (code == WH_OK && each && r.run) {
        r.each = each;
        r.user = user;
        json_decref(r.run);
        r.run = NULL;
        code = read_file(&r, &good, &size, err);
    }
    if (code == WH_OK && good < size && ftruncate(j->fd, (off_t)good) != 0)
        code = wh_err_errno(err, "cannot cut the torn end off the journal %s", path);
    j->good = good;
    if (torn) *torn = size - good;
    if (code == WH_OK && !r.run) code = write_header(j, run, err);
    json_decref(r.run);
    if (code == WH_OK) *out = j;
    else (void)wh_journal_close(j, NULL);
    return code;
}

wh_code wh_journal_close(wh_journal *j, wh_err *err)
{
    if (!j) return WH_OK;
    wh_code code = sync_file(j, err);
    if (j->fd >= 0 && close(j->fd) != 0 && code == WH_OK) code = wh_err_errno(err, "cannot write the journal %s", j->path);
    ZSTD_freeCCtx(j->zstd);
    free(j->path);
    free(j);
    return code;
}
