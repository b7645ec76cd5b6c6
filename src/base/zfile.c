/* The table at the end is checked as a whole before memory is sized by it: its frames must fill the file exactly
 * and may not claim more than zstd could have compressed. A frame is then inflated into its own place in the
 * content and must fill it. */
#include "base/zfile.h"

#include "base/buf.h"
#include "base/mem.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

enum {
    FRAME = 4 << 20,
    /* Weights shrink by a few percent and higher levels win nothing more; the vocabulary is small beside them. */
    LEVEL = 3,
    MOST_RATIO = 1 << 15, /* a block of 128 KiB takes at least 4 bytes */
    FOOTER = 9,           /* u32 frames, u8 descriptor, u32 magic */
    SKIP_HEAD = 8,        /* u32 magic, u32 bytes that follow */
    MOST_FRAMES = 0x8000000
};
#define MAGIC_FRAME 0xFD2FB528u /* RFC 8878 §3.1.1 */
#define MAGIC_SKIP  0x184D2A5Eu
#define MAGIC_TABLE 0x8F92EAB1u

typedef struct frame {
    size_t in, in_bytes, out, out_bytes; /* where it lies in the file and in the content */
} frame;

struct wh_zfile {
    const unsigned char *in;
    unsigned char       *out;
    size_t               size, ready, n;
    frame               *frames;
};

static uint32_t load_u32(const unsigned char *p)
{
    uint32_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

bool wh_zfile_is(const void *data, size_t n) { return n >= 4 && load_u32(data) == MAGIC_FRAME; }

/* ---- reading --------------------------------------------------------------------------------------------- */

static wh_code broken(wh_err *err, const char *what) { return wh_err_set(err, WH_ERR_FORMAT, "a zstd file %s", what); }

static wh_code no_memory(wh_err *err, size_t n) { return wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu bytes of compressed data", n); }

static wh_code read_table(wh_zfile *z, size_t n, wh_err *err)
{
    if (n < SKIP_HEAD + FOOTER || load_u32(z->in + n - 4) != MAGIC_TABLE)
        return broken(err, "without the table of its frames at the end (cut short, or not made by `whet pack --zstd`)");
    const unsigned char *footer = z->in + n - FOOTER;
    uint32_t count = load_u32(footer);
    size_t   entry = footer[4] & 0x80 ? 12 : 8, table = count * entry; /* bit 7: entries have a checksum */
    if (count == 0 || count > MOST_FRAMES || table > n - SKIP_HEAD - FOOTER) return broken(err, "whose table of frames is longer than itself");
    size_t end = n - FOOTER - table - SKIP_HEAD; /* of the frames */
    if (load_u32(z->in + end) != MAGIC_SKIP || load_u32(z->in + end + 4) != table + FOOTER) return broken(err, "whose table of frames is damaged");
    if (!(z->frames = wh_mem_alloc(count, sizeof *z->frames))) return no_memory(err, table);
    z->n = count;
    size_t in = 0;
    for (size_t i = 0; i < count; i++) {
        const unsigned char *p = footer - table + i * entry;
        frame *f = &z->frames[i];
        *f = (frame){in, load_u32(p), z->size, load_u32(p + 4)};
        if (f->in_bytes > end - in || f->out_bytes / MOST_RATIO > f->in_bytes) return broken(err, "whose table of frames lies about their sizes");
        in += f->in_bytes;
        z->size += f->out_bytes;
    }
    return in == end ? WH_OK : broken(err, "whose table of frames lies about their sizes");
}

static bool inflate(const wh_zfile *z, size_t i)
{
    const frame *f = &z->frames[i];
    return ZSTD_decompress(z->out + f->out, f->out_bytes, z->in + f->in, f->in_bytes) == f->out_bytes;
}

static wh_code damaged(const wh_zfile *z, size_t i, wh_err *err)
{
    return wh_err_set(err, WH_ERR_FORMAT, "the zstd frame %zu of %zu, at byte %zu, is damaged", i + 1, z->n, z->frames[i].in);
}

wh_code wh_zfile_open(wh_zfile **out, const void *data, size_t n, wh_err *err)
{
    *out = NULL;
    wh_zfile *z = wh_mem_zalloc(1, sizeof *z);
    if (!z) return no_memory(err, n);
    z->in = data;
    wh_code code = read_table(z, n, err);
    if (code == WH_OK && !(z->out = wh_mem_alloc_aligned(z->size, 1))) code = no_memory(err, z->size);
    if (code == WH_OK && !inflate(z, 0)) code = damaged(z, 0, err);
    if (code != WH_OK) {
        wh_zfile_free(z);
        return code;
    }
    z->ready = z->frames[0].out_bytes;
    *out = z;
    return WH_OK;
}

typedef struct inflate_job {
    const wh_zfile *z;
    atomic_size_t   next, failed; /* failed: a frame that was, n if none */
} inflate_job;

static void inflate_part(void *ctx, int tid)
{
    inflate_job *job = ctx;
    (void)tid;
    for (size_t i; (i = atomic_fetch_add(&job->next, 1)) < job->z->n;)
        if (!inflate(job->z, i)) atomic_store(&job->failed, i);
}

wh_code wh_zfile_inflate(wh_zfile *z, wh_par *par, wh_err *err)
{
    if (z->ready == z->size) return WH_OK;
    inflate_job job = {.z = z, .next = 1, .failed = z->n};
    wh_par_run(par, inflate_part, &job);
    size_t failed = atomic_load(&job.failed);
    if (failed < z->n) return damaged(z, failed, err);
    z->ready = z->size;
    return WH_OK;
}

void wh_zfile_free(wh_zfile *z)
{
    if (!z) return;
    free(z->frames);
    free(z->out);
    free(z);
}

const void *wh_zfile_data(const wh_zfile *z) { return z->out; }
size_t      wh_zfile_size(const wh_zfile *z) { return z->size; }
size_t      wh_zfile_ready(const wh_zfile *z) { return z->ready; }

/* ---- writing --------------------------------------------------------------------------------------------- */

typedef struct deflate_job {
    const unsigned char *data;
    const frame         *frames;
    size_t               begin; /* thread tid compresses frame begin + tid, when there is one */
    size_t               n;
    unsigned char      **out;  /* a buffer for each thread */
    size_t              *made; /* bytes in it; 0: that failed */
    size_t               cap;
} deflate_job;

static void deflate_part(void *ctx, int tid)
{
    deflate_job *job = ctx;
    size_t       i = job->begin + (size_t)tid;
    if (i >= job->n) return;
    const frame *f = &job->frames[i];
    ZSTD_CCtx   *c = ZSTD_createCCtx();
    size_t       made = 0;
    if (c && !ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, LEVEL)) &&
        !ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1))) {
        made = ZSTD_compress2(c, job->out[tid], job->cap, job->data + f->out, f->out_bytes);
        if (ZSTD_isError(made)) made = 0;
    }
    ZSTD_freeCCtx(c);
    job->made[tid] = made;
}

static void put_u32(wh_buf *b, size_t x)
{
    uint32_t u = (uint32_t)x;
    wh_buf_put(b, &u, sizeof u);
}

static wh_code put(FILE *f, const char *tmp, const void *data, size_t n, wh_err *err)
{
    return fwrite(data, 1, n, f) == n ? WH_OK : wh_err_errno(err, "cannot write %s", tmp);
}

/* The frames of content of n bytes, of which the first has `first`. */
static frame *cut(size_t *count, size_t n, size_t first)
{
    size_t rest = n - first, frames = 1 + rest / FRAME + (rest % FRAME != 0);
    frame *f = wh_mem_zalloc(frames, sizeof *f);
    for (size_t i = 0, at = 0; f && i < frames; i++) {
        f[i].out = at;
        f[i].out_bytes = i == 0 ? first : n - at < FRAME ? n - at : FRAME;
        at += f[i].out_bytes;
    }
    *count = frames;
    return f;
}

static wh_code write_frames(FILE *f, const char *tmp, deflate_job *job, wh_par *par, wh_err *err)
{
    wh_buf  table = {0};
    wh_code code = WH_OK;
    size_t  step = (size_t)wh_par_threads(par);
    put_u32(&table, MAGIC_SKIP);
    put_u32(&table, job->n * 8 + FOOTER);
    for (; code == WH_OK && job->begin < job->n; job->begin += step) {
        wh_par_run(par, deflate_part, job);
        for (size_t t = 0; code == WH_OK && t < step && job->begin + t < job->n; t++) {
            if (!job->made[t]) code = no_memory(err, job->cap);
            else code = put(f, tmp, job->out[t], job->made[t], err);
            put_u32(&table, job->made[t]);
            put_u32(&table, job->frames[job->begin + t].out_bytes);
        }
    }
    put_u32(&table, job->n);
    wh_buf_putc(&table, 0);
    put_u32(&table, MAGIC_TABLE);
    if (code == WH_OK && !wh_buf_ok(&table)) code = no_memory(err, job->n * 8);
    if (code == WH_OK) code = put(f, tmp, table.data, table.len, err);
    wh_buf_free(&table);
    return code;
}

/* Buffers for the threads, and the work. */
static wh_code deflate(FILE *f, const char *tmp, const void *data, size_t n, size_t first, wh_par *par, wh_err *err)
{
    size_t      threads = (size_t)wh_par_threads(par), count;
    frame      *frames = cut(&count, n, first);
    deflate_job job = {.data = data, .frames = frames, .n = count, .cap = ZSTD_compressBound(first > FRAME ? first : FRAME)};
    job.out = wh_mem_zalloc(threads, sizeof *job.out);
    job.made = wh_mem_zalloc(threads, sizeof *job.made);
    bool ok = frames && job.out && job.made;
    for (size_t t = 0; ok && t < threads; t++) ok = (job.out[t] = wh_mem_alloc(job.cap, 1)) != NULL;
    wh_code code = ok ? write_frames(f, tmp, &job, par, err) : no_memory(err, n);
    for (size_t t = 0; job.out && t < threads; t++) free(job.out[t]);
    free(job.out);
    free(job.made);
    free(frames);
    return code;
}

wh_code wh_zfile_write(const char *path, const void *data, size_t n, size_t first, wh_par *par, wh_err *err)
{
    struct stat st; /* a rename would replace a device or a pipe */
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) return wh_err_set(err, WH_ERR_IO, "%s exists and is not a regular file", path);
    if (first == 0 || first > n || first > UINT32_MAX) return wh_err_set(err, WH_ERR_ARG, "a first frame of %zu bytes, of %zu", first, n);
    wh_buf tmp = {0};
    wh_buf_printf(&tmp, "%s.tmp%ld", path, (long)getpid());
    if (!wh_buf_ok(&tmp)) return no_memory(err, n);
    FILE   *f = fopen(tmp.data, "wbe");
    wh_code code = f ? deflate(f, tmp.data, data, n, first, par, err) : wh_err_errno(err, "cannot create %s", tmp.data);
    if (code == WH_OK && (fflush(f) != 0 || fsync(fileno(f)) != 0)) code = wh_err_errno(err, "cannot write %s", tmp.data);
    if (f) fclose(f);
    if (code == WH_OK && rename(tmp.data, path) != 0) code = wh_err_errno(err, "cannot rename to %s", path);
    if (f && code != WH_OK) unlink(tmp.data);
    wh_buf_free(&tmp);
    return code;
}
