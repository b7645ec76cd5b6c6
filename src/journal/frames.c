#include "journal/frames.h"

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

/* Invariant after a scan: the first `good` bytes of the file are whole frames, and the file ends there, except inside
 * append and before the first one. */
struct wh_frames {
    int         fd;
    uint64_t    good, size; /* size: of the file when it was scanned */
    double      synced;
    bool        dirty;
    ZSTD_CCtx  *zstd;
    char       *path;
    const char *noun;
};

enum { FRAME_LIMIT = 1 << 28 }; /* bytes of content in a frame */
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

/* Is this the beginning of a frame and no more? So a file looks that was torn in its very first frame;
 * anything else is somebody's file and no business of ours. */
static bool begins_frame(const unsigned char *data, size_t n)
{
    if (memcmp(data, magic, n < sizeof magic ? n : sizeof magic) != 0) return false;
    return ZSTD_getErrorCode(ZSTD_findFrameCompressedSize(data, n)) == ZSTD_error_srcSize_wrong;
}

/* *good = the bytes of the whole frames. */
static wh_code read_frames(const char *path, const char *noun, const wh_map *map, wh_frames_each *each, void *user, wh_buf *text,
                           size_t *good, wh_err *err)
{
    size_t at = 0;
    while (at < map->size) {
        size_t left = map->size - at, size = read_frame(text, map->data + at, left);
        if (size == 0) {
            if (at == 0 && !begins_frame(map->data, left)) return wh_err_set(err, WH_ERR_FORMAT, "%s is no %s of Whet", path, noun);
            size_t next = find_frame(text, map->data + at, left);
            if (next < left)
                return wh_err_set(err, WH_ERR_FORMAT, "%s is damaged: bytes %zu to %zu are no frame, but whole ones follow", path, at,
                                  at + next - 1);
            break;
        }
        WH_TRY(each(user, text->data, text->len, at, err));
        at += size;
    }
    *good = at;
    return WH_OK;
}

static wh_code read_file(const char *path, const char *noun, wh_frames_each *each, void *user, size_t *good, size_t *size, wh_err *err)
{
    wh_map map;
    WH_TRY(wh_file_map(&map, path, err));
    wh_buf text = {0};
    wh_code code = read_frames(path, noun, &map, each, user, &text, good, err);
    *size = map.size;
    wh_buf_free(&text);
    wh_file_unmap(&map);
    return code;
}

wh_code wh_frames_read(const char *path, const char *noun, wh_frames_each *each, void *user, size_t *torn, wh_err *err)
{
    size_t good = 0, size = 0;
    WH_TRY(read_file(path, noun, each, user, &good, &size, err));
    if (torn) *torn = size - good;
    return WH_OK;
}

/* ---- writing ----------------------------------------------------------------------------------------------- */

static wh_code open_file(wh_frames *f, const char *path, int level, wh_err *err)
{
    f->path = wh_mem_strndup(path, strlen(path));
    f->zstd = ZSTD_createCCtx();
    if (!f->path || !f->zstd) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the %s %s", f->noun, path);
    ZSTD_CCtx_setParameter(f->zstd, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(f->zstd, ZSTD_c_checksumFlag, 1);
    f->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (f->fd < 0) return wh_err_errno(err, "cannot open the %s %s", f->noun, path);
    struct stat st;
    if (fstat(f->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return wh_err_set(err, WH_ERR_IO, "the %s %s is not a regular file", f->noun, path);
    if (flock(f->fd, LOCK_EX | LOCK_NB) != 0)
        return wh_err_set(err, WH_ERR_IO, "another process is writing the %s %s", f->noun, path);
    return WH_OK;
}

wh_code wh_frames_open(wh_frames **out, const char *path, const char *noun, int level, wh_err *err)
{
    *out = NULL;
    wh_frames *f = wh_mem_zalloc(1, sizeof *f);
    if (!f) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the %s %s", noun, path);
    f->fd = -1;
    f->noun = noun;
    wh_code code = open_file(f, path, level, err);
    if (code == WH_OK) *out = f;
    else (void)wh_frames_close(f, NULL);
    return code;
}

wh_code wh_frames_scan(wh_frames *f, wh_frames_each *each, void *user, size_t *torn, wh_err *err)
{
    size_t good = 0, size = 0;
    WH_TRY(read_file(f->path, f->noun, each, user, &good, &size, err));
    f->good = good;
    f->size = size;
    if (torn) *torn = size - good;
    return WH_OK;
}

static wh_code write_bytes(wh_frames *f, const char *data, size_t n, wh_err *err)
{
    if (f->good < f->size && ftruncate(f->fd, (off_t)f->good) != 0)
        return wh_err_errno(err, "cannot cut the torn end off the %s %s", f->noun, f->path);
    f->size = f->good;
    for (size_t done = 0; done < n;) {
        ssize_t w = pwrite(f->fd, data + done, n - done, (off_t)(f->good + done));
        if (w < 0 && errno == EINTR) continue;
        if (w < 0) {
            wh_code code = wh_err_errno(err, "cannot write the %s %s", f->noun, f->path);
            /* If even this fails the torn frame stays at the end, where the next run expects it. */
            int cut = ftruncate(f->fd, (off_t)f->good);
            (void)cut;
            return code;
        }
        done += (size_t)w;
    }
    f->good += n;
    f->dirty = true;
    return WH_OK;
}

static wh_code sync_file(wh_frames *f, wh_err *err)
{
    if (!f->dirty) return WH_OK;
    if (fsync(f->fd) != 0) return wh_err_errno(err, "cannot write the %s %s", f->noun, f->path);
    f->dirty = false;
    f->synced = wh_clock_now();
    return WH_OK;
}

wh_code wh_frames_append(wh_frames *f, const void *data, size_t n, wh_err *err)
{
    if (n > FRAME_LIMIT) return wh_err_set(err, WH_ERR_BUDGET, "%zu bytes are too many for a frame of %d", n, FRAME_LIMIT);
    size_t bound = ZSTD_compressBound(n);
    char *frame = wh_mem_alloc(bound, 1);
    if (!frame) return wh_err_set(err, WH_ERR_NOMEM, "no memory to write the %s %s", f->noun, f->path);
    size_t size = ZSTD_compress2(f->zstd, frame, bound, data, n);
    wh_code code = ZSTD_isError(size) ? wh_err_set(err, WH_ERR_NOMEM, "cannot compress for the %s %s: %s", f->noun, f->path, ZSTD_getErrorName(size))
                                      : write_bytes(f, frame, size, err);
    free(frame);
    if (code == WH_OK && wh_clock_now() - f->synced >= sync_seconds) code = sync_file(f, err);
    return code;
}

wh_code wh_frames_close(wh_frames *f, wh_err *err)
{
    if (!f) return WH_OK;
    wh_code code = sync_file(f, err);
    if (f->fd >= 0 && close(f->fd) != 0 && code == WH_OK) code = wh_err_errno(err, "cannot write the %s %s", f->noun, f->path);
    ZSTD_freeCCtx(f->zstd);
    free(f->path);
    free(f);
    return code;
}
