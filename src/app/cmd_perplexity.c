/* whet perplexity: how well a model predicts a text, as llama.cpp's llama-perplexity defines it, so that the
 * two can be compared (tools/perplexity/perplexity.cpp).
 *
 * The text is cut into windows of ctx tokens; what is left over does not count. The first token of each
 * window is replaced by BOS where the model wants one. In each window the tokens at positions ctx/2 + 1 to
 * ctx - 1 are scored, given all before them: PPL = exp(mean of -ln p). */
#include "app/cmd.h"
#include "app/interrupt.h"
#include "app/load.h"
#include "app/out.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/forward.h"

#include <math.h>
#include <stdlib.h>

typedef struct options {
    int64_t ctx, windows;
    bool    json;
} options;

static const wh_opt option_table[] = {
    WH_OPT_INT(options, ctx, "ctx", "TOKENS", "512", 8, 131072, "tokens of a window"),
    WH_OPT_FLAG(options, json, "json", "as JSON"),
    WH_OPT_INT(options, windows, "windows", "W", "0", 0, 1000000, "stop after so many windows; 0: the whole text"),
};

enum { ROWS = 512 }; /* tokens that go through the model together */

/* One row's part of the sum over the vocabulary: the tokens of one tile. */
typedef struct part {
    float  max;
    double sum; /* of exp(logit - max) */
} part;

typedef struct meter {
    const wh_model *model;
    wh_forward     *forward;
    wh_kv           kv;
    size_t          ctx, tiles;
    uint32_t       *blocks;          /* the one sequence has them all, in order */
    const uint32_t *tables[ROWS];
    uint32_t        positions[ROWS], out_rows[ROWS];
    int32_t        *window;          /* (ctx) */
    int32_t         targets[ROWS];   /* of the out rows */
    part           *parts;           /* (ROWS, tiles) */
    float           logits[ROWS];    /* of the targets */
    double          nll[ROWS];
    double          sum, sum2;       /* of -ln p and its square */
    size_t          count;
} meter;

static void on_tile(void *ctx, int tid, size_t row, const float *logits, size_t begin, size_t n)
{
    (void)tid;
    meter *m = ctx;
    part p = {logits[0], 0};
    for (size_t i = 1; i < n; i++) p.max = logits[i] > p.max ? logits[i] : p.max;
    for (size_t i = 0; i < n; i++) p.sum += exp((double)(logits[i] - p.max));
    m->parts[row * m->tiles + begin / WH_HEAD_TILE] = p;
    size_t target = (size_t)m->targets[row];
    if (target >= begin && target < begin + n) m->logits[row] = logits[target - begin];
}

static void on_row(void *ctx, int tid, size_t row)
{
    (void)tid;
    meter *m = ctx;
    const part *p = m->parts + row * m->tiles;
    double max = (double)p[0].max, sum = 0;
    for (size_t t = 1; t < m->tiles; t++) max = (double)p[t].max > max ? (double)p[t].max : max;
    for (size_t t = 0; t < m->tiles; t++) sum += p[t].sum * exp((double)p[t].max - max);
    m->nll[row] = max + log(sum) - (double)m->logits[row];
}

/* m->window through the model; its scored tokens are added to the sums. */
static void measure_window(meter *m)
{
    const wh_head_sink sink = {on_tile, on_row, m};
    for (size_t at = 0; at < m->ctx; at += ROWS) {
        wh_batch b = {.n = m->ctx - at < ROWS ? m->ctx - at : ROWS, .tokens = m->window + at, .positions = m->positions,
                      .tables = m->tables, .out_rows = m->out_rows};
        for (size_t i = 0; i < b.n; i++) {
            size_t position = at + i;
            m->positions[i] = (uint32_t)position;
            m->tables[i] = m->blocks;
            if (position < m->ctx / 2 || position + 1 == m->ctx) continue;
            m->out_rows[b.n_out] = (uint32_t)i;
            m->targets[b.n_out++] = m->window[position + 1];
        }
        b.n_logits = b.n_out;
        wh_forward_run(m->forward, &m->kv, &b, &sink);
        for (size_t i = 0; i < b.n_out; i++) {
            m->sum += m->nll[i];
            m->sum2 += m->nll[i] * m->nll[i];
        }
        m->count += b.n_out;
    }
}

static wh_code meter_create(meter *m, const wh_loaded *l, size_t ctx, wh_err *err)
{
    m->model = l->model;
    m->ctx = ctx;
    m->tiles = (l->model->config.vocab + WH_HEAD_TILE - 1) / WH_HEAD_TILE;
    size_t n_blocks = (ctx + WH_KV_BLOCK - 1) / WH_KV_BLOCK;
    m->blocks = wh_mem_alloc(n_blocks, sizeof *m->blocks);
    m->window = wh_mem_alloc(ctx, sizeof *m->window);
    m->parts = wh_mem_alloc(ROWS * m->tiles, sizeof *m->parts);
    if (!m->blocks || !m->window || !m->parts) return wh_err_set(err, WH_ERR_NOMEM, "no memory for windows of %zu tokens", ctx);
    for (size_t i = 0; i < n_blocks; i++) m->blocks[i] = (uint32_t)i;
    WH_TRY(wh_kv_create(&m->kv, &l->model->config, n_blocks, err));
    return wh_forward_create(&m->forward, l->model, l->par, ROWS, ctx, err);
}

static void meter_free(meter *m)
{
    wh_forward_free(m->forward);
    wh_kv_free(&m->kv);
    free(m->parts);
    free(m->window);
    free(m->blocks);
}

static double perplexity(const meter *m) { return exp(m->sum / (double)m->count); }

/* As llama.cpp reports it: the standard error of the mean of -ln p, times the perplexity. */
static double uncertainty(const meter *m)
{
    double mean = m->sum / (double)m->count, variance = m->sum2 / (double)m->count - mean * mean;
    return variance > 0 && m->count > 1 ? sqrt(variance / (double)(m->count - 1)) * perplexity(m) : 0;
}

static wh_code measure(meter *m, const wh_loaded *l, const wh_tok_ids *ids, const options *o, wh_err *err)
{
    size_t ctx = m->ctx, n = ids->len / ctx;
    if (o->windows && (size_t)o->windows < n) n = (size_t)o->windows;
    bool bos = wh_tok_adds_bos(l->tok) && wh_tok_bos(l->tok) >= 0;
    double began = wh_clock_now();
    for (size_t w = 0; w < n; w++) {
        if (wh_interrupt_asked()) return wh_err_set(err, WH_ERR_CANCELLED, "interrupted after %zu of %zu windows", w, n);
        for (size_t i = 0; i < ctx; i++) m->window[i] = ids->data[w * ctx + i];
        if (bos) m->window[0] = wh_tok_bos(l->tok);
        measure_window(m);
        char left[24];
        double seconds = wh_clock_now() - began, done = (double)(w + 1);
        wh_out_progress("%zu of %zu windows  perplexity %.4f  %.0f tokens/s  %s left", w + 1, n, perplexity(m),
                        done * (double)ctx / seconds, wh_out_duration(left, seconds / done * ((double)n - done)));
    }
    wh_out_progress("%s", "");
    double seconds = wh_clock_now() - began;
    if (o->json)
        wh_out_json(json_pack("{s:s, s:I, s:I, s:I, s:f, s:f, s:f, s:f}", "model", wh_buf_str(&l->name), "ctx", (json_int_t)ctx, "windows",
                              (json_int_t)n, "tokens", (json_int_t)m->count, "nll", m->sum / (double)m->count, "perplexity",
                              perplexity(m), "uncertainty", uncertainty(m), "seconds", seconds));
    else
        wh_out_printf("perplexity %.4f +/- %.4f  (%zu tokens scored in %zu windows of %zu, %.0f tokens/s)\n", perplexity(m),
                      uncertainty(m), m->count, n, ctx, (double)(n * ctx) / seconds);
    return WH_OK;
}

static wh_code run(const options *o, const wh_load_opts *machine, const char *file, wh_err *err)
{
    wh_loaded l = {0};
    wh_buf text = {0};
    wh_tok_ids ids = {0};
    meter *m = wh_mem_zalloc(1, sizeof *m);
    wh_code code = m ? wh_file_read(&text, file, (size_t)1 << 30, err) : wh_err_set(err, WH_ERR_NOMEM, "no memory");
    if (code == WH_OK) code = wh_load_model(&l, machine, err);
    if (code == WH_OK && (size_t)o->ctx > l.model->config.context)
        code = wh_err_set(err, WH_ERR_ARG, "--ctx %lld is more than the model's context of %zu", (long long)o->ctx, l.model->config.context);
    if (code == WH_OK) code = wh_tok_encode(l.tok, &ids, wh_buf_str(&text), text.len, WH_TOK_BOS, err);
    if (code == WH_OK && ids.len < 2 * (size_t)o->ctx)
        code = wh_err_set(err, WH_ERR_ARG, "%s has %zu tokens; two windows of %lld are the least", file, ids.len, (long long)o->ctx);
    if (code == WH_OK) code = meter_create(m, &l, (size_t)o->ctx, err);
    if (code == WH_OK) code = measure(m, &l, &ids, o, err);
    if (m) meter_free(m);
    free(m);
    wh_tok_ids_free(&ids);
    wh_buf_free(&text);
    wh_load_free(&l);
    return code;
}

int wh_cmd_perplexity(int argc, char **argv)
{
    options o = {0};
    wh_load_opts machine = {0};
    const wh_opt_group groups[] = {{NULL, option_table, sizeof option_table / sizeof option_table[0], &o, NULL}, WH_LOAD_GROUP(&machine)};
    static const char about[] =
        "How well the model predicts the text of a file (`-`: standard input), defined as llama.cpp's\n"
        "llama-perplexity does: windows of --ctx tokens, the second half of each is scored.";
    const wh_opt_spec spec = {"perplexity", "[options] FILE", about, groups, 2, 1, 1, false};
    size_t n;
    int status;
    if (!wh_cmd_begin(&spec, argc, argv, &n, &status)) return status;
    wh_interrupt_catch();
    wh_err err;
    return run(&o, &machine, argv[0], &err) == WH_OK ? status : wh_out_error(&err);
}
