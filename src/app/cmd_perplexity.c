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

typedef struct meter {
    size_t   ctx, n_positions;
    int32_t *window;    /* (ctx) */
    size_t  *positions; /* (n_positions): those whose next token is scored */
    double   sum, sum2; /* of -ln p and its square */
    size_t   count;
} meter;

static void on_done(void *user, const wh_score_result *r)
{
    meter *m = user;
    for (size_t i = 0; i < r->n_positions && !r->cancelled; i++) {
        double nll = -(double)r->values[i];
        m->sum += nll;
        m->sum2 += nll * nll;
        m->count++;
    }
}

static wh_code measure_window(meter *m, wh_engine *e, wh_err *err)
{
    const wh_score_spec spec = {.prefix = m->window, .n_prefix = m->ctx, .positions = m->positions, .n_positions = m->n_positions,
                                .what = WH_SCORE_LOGPROB, .on_done = on_done, .user = m};
    WH_TRY(wh_engine_score(e, NULL, &spec, err));
    for (bool idle = false; !idle;) WH_TRY(wh_engine_step(e, &idle, err));
    return WH_OK;
}

static wh_code meter_create(meter *m, size_t ctx, wh_err *err)
{
    m->ctx = ctx;
    m->n_positions = ctx - 1 - ctx / 2;
    m->window = wh_mem_alloc(ctx, sizeof *m->window);
    m->positions = wh_mem_alloc(m->n_positions, sizeof *m->positions);
    if (!m->window || !m->positions) return wh_err_set(err, WH_ERR_NOMEM, "no memory for windows of %zu tokens", ctx);
    for (size_t i = 0; i < m->n_positions; i++) m->positions[i] = ctx / 2 + i;
    return WH_OK;
}

static void meter_free(meter *m)
{
    free(m->window);
    free(m->positions);
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
        WH_TRY(measure_window(m, l->engine, err));
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
    enum { CHUNK = 512 };
    size_t ctx = (size_t)o->ctx;
    wh_loaded l = {0};
    wh_buf text = {0};
    wh_tok_ids ids = {0};
    meter m = {0};
    wh_code code = wh_file_read(&text, file, (size_t)1 << 30, err);
    if (code == WH_OK) code = wh_load_model(&l, machine, err);
    if (code == WH_OK && ctx > l.model->config.context)
        code = wh_err_set(err, WH_ERR_ARG, "--ctx %zu is more than the model's context of %zu", ctx, l.model->config.context);
    if (code == WH_OK) code = wh_tok_encode(l.tok, &ids, wh_buf_str(&text), text.len, WH_TOK_BOS, err);
    if (code == WH_OK && ids.len < 2 * ctx)
        code = wh_err_set(err, WH_ERR_ARG, "%s has %zu tokens; two windows of %zu are the least", file, ids.len, ctx);
    if (code == WH_OK) code = meter_create(&m, ctx, err);
    if (code == WH_OK) code = wh_load_engine(&l, machine, ctx, 1, 0, CHUNK, err);
    if (code == WH_OK) code = measure(&m, &l, &ids, o, err);
    meter_free(&m);
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
