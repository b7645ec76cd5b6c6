/* whet bench: how fast a model runs here, and how far that is from what the machine could do.
 *
 * prefill: one prompt through the model. decode: for each batch size that many sequences, each with a prompt
 * of its own (--prompts 1: all with the same one, as samples of one problem), whose keys and values are computed
 * before the clock starts; every step then reads all weights once and brings one token to each sequence. GB/s
 * counts the weights, the keys and values of each different prompt once, and those of what was generated. */
#include "app/cmd.h"
#include "app/interrupt.h"
#include "app/load.h"
#include "app/machine.h"
#include "app/out.h"
#include "base/clock.h"
#include "base/mem.h"
#include "model/kv.h"

#include <stdlib.h>

typedef struct options {
    wh_opt_ints batch;
    int64_t     prompt, generate, prompts;
    bool        json, quick;
} options;

static const wh_opt option_table[] = {
    WH_OPT_INTS(options, batch, "batch", "B,...", "1,4,16,64", 1, 1024, "batch sizes of decoding"),
    WH_OPT_INT(options, generate, "generate", "G", "48", 1, 100000, "tokens that each sequence generates"),
    WH_OPT_FLAG(options, json, "json", "as JSON"),
    WH_OPT_INT(options, prompt, "prompt", "P", "256", 1, 100000, "tokens of a prompt"),
    WH_OPT_INT(options, prompts, "prompts", "K", "0", 0, 1024, "different prompts in a batch; 0: each sequence has its own"),
    WH_OPT_FLAG(options, quick, "quick", "only the model; do not measure what the machine can do"),
};

typedef struct bench {
    const options *o;
    wh_loaded      l;
    int32_t       *prompt; /* (o->prompt + 1) */
    double         bandwidth, peak; /* bytes/s, FLOP/s */
    wh_type        type;            /* of most weights */
} bench;

static void on_done(void *user, const wh_gen_result *r)
{
    *(size_t *)user += r->n_tokens;
}

/* How many different prompts a batch has. */
static size_t prompts_of(const bench *b, size_t batch)
{
    size_t k = (size_t)b->o->prompts;
    return k && k < batch ? k : batch;
}

/* A prompt: ordinary tokens, from the first one on different from every other's. */
static void make_prompt(bench *b, size_t first)
{
    size_t vocab = wh_tok_count(b->l.tok);
    for (size_t k = 0; k < (size_t)b->o->prompt; k++) b->prompt[k] = (int32_t)((first * 131 + k * 17 + 1000) % (vocab < 20000 ? vocab : 20000));
}

/* `batch` sequences of `generate` tokens each; how long it took. `own`: tokens of its own, 0 or 1, that each has
 * after the prompt. With one, and the prompts in the cache, all sequences decode from the first step on. */
static wh_code generate(bench *b, size_t batch, size_t own, size_t generate, double *seconds, wh_err *err)
{
    size_t tokens = 0, prompt = (size_t)b->o->prompt;
    for (size_t i = 0; i < batch; i++) {
        make_prompt(b, i % prompts_of(b, batch));
        b->prompt[prompt] = (int32_t)i;
        const wh_gen_spec spec = {.prefix = b->prompt, .n_prefix = prompt + own, .sampling = {.top_p = 1}, .stream = i,
                                  .max_tokens = generate, .ignore_eos = true, .on_done = on_done, .user = &tokens};
        WH_TRY(wh_engine_generate(b->l.engine, NULL, &spec, err));
    }
    double began = wh_clock_now();
    for (bool idle = false; !idle;) {
        if (wh_interrupt_asked()) return wh_err_set(err, WH_ERR_CANCELLED, "interrupted");
        WH_TRY(wh_engine_step(b->l.engine, &idle, err));
    }
    *seconds = wh_clock_now() - began;
    if (tokens == batch * generate) return WH_OK;
    return wh_err_set(err, WH_ERR_BUDGET, "only %zu of %zu tokens were generated", tokens, batch * generate);
}

/* Every measurement has an engine of its own, so that nothing is found in its cache that should be computed. */
static wh_code fresh_engine(bench *b, const wh_load_opts *machine, size_t rows, wh_err *err)
{
    wh_engine_free(b->l.engine);
    b->l.engine = NULL;
    size_t tokens = (size_t)b->o->prompt + (size_t)b->o->generate + 1;
    if (tokens > b->l.model->config.context)
        return wh_err_set(err, WH_ERR_ARG, "--prompt and --generate make %zu tokens; the model's context is %zu", tokens,
                          b->l.model->config.context);
    return wh_load_engine(&b->l, machine, tokens, rows, 0, 0, err);
}

static wh_type commonest_type(const wh_model *m)
{
    uint64_t weights[WH_TYPE_COUNT] = {0};
    wh_type best = WH_TYPE_F32;
    for (size_t i = 0; i < m->n_mats; i++) {
        const wh_mat *w = m->mats[i].w;
        wh_type t = wh_mat_type(w);
        weights[t] += (uint64_t)wh_mat_rows(w) * wh_mat_cols(w);
        if (weights[t] > weights[best]) best = t;
    }
    return best;
}

/* ---- what is printed ------------------------------------------------------------------------------------------- */

typedef struct point {
    double tps, bytes, flops; /* per second */
} point;

static point decode_point(const bench *b, size_t batch, double seconds)
{
    const wh_cost *cost = wh_engine_cost(b->l.engine);
    const wh_config *c = &b->l.model->config;
    double steps = (double)b->o->generate, prompt = (double)b->o->prompt, keys = prompt + steps / 2; /* on average */
    double kv = ((double)(prompts_of(b, batch) * wh_kv_closed_bytes(c)) * prompt + (double)(batch * wh_kv_open_bytes(c)) * steps / 2) /
                WH_KV_BLOCK;
    return (point){.tps = (double)batch * steps / seconds,
                   .bytes = steps * ((double)b->l.model->packed_bytes + kv) / seconds,
                   .flops = (double)batch * steps * ((double)(cost->body + cost->head) + (double)cost->attn_per_key * keys) / seconds};
}

static point prefill_point(const bench *b, double seconds)
{
    wh_ledger ledger = {0};
    wh_ledger_count(&ledger, wh_engine_cost(b->l.engine), 0, (uint64_t)b->o->prompt, 1);
    return (point){.tps = (double)b->o->prompt / seconds, .flops = (double)wh_ledger_total(&ledger) / seconds};
}

static double share(double part, double whole) { return whole > 0 ? 100 * part / whole : 0; }

static void print_head(const bench *b)
{
    const wh_model *m = b->l.model;
    char size[24];
    wh_out_printf("%s, %s of packed weights, %d threads, %s\n", wh_buf_str(&b->l.name), wh_out_bytes(size, (double)m->packed_bytes),
                  wh_par_threads(b->l.par), wh_cpu_best(m->isa));
    if (!b->o->quick)
        wh_out_printf("this machine: %.1f GB/s read from memory; %.0f GFLOP/s by the %s kernel (%s%s) out of the cache\n", b->bandwidth / 1e9,
                      b->peak / 1e9, wh_quant_table[b->type].name, m->form == WH_MAT_FAST ? "as int8, " : "", wh_kern_isa(m->kern, m->form, b->type, 64));
    wh_out_puts("\n              tokens/s   each    GB/s  of memory   GFLOP/s  of peak\n");
}

static void print_point(const char *what, size_t sequences, const point *p, const bench *b)
{
    wh_out_printf("%-8s %4zu %9.1f %6.1f", what, sequences, p->tps, p->tps / (double)sequences);
    if (p->bytes > 0) wh_out_printf("  %6.1f  %5.1f %%", p->bytes / 1e9, share(p->bytes, b->bandwidth));
    else wh_out_puts("       -       - ");
    wh_out_printf("   %9.1f  %5.1f %%\n", p->flops / 1e9, share(p->flops, b->peak));
    wh_out_flush();
}

static json_t *point_json(const point *p, const bench *b)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f}", "tps", p->tps, "gbps", p->bytes / 1e9, "of_bandwidth", share(p->bytes, b->bandwidth) / 100,
                     "gflops", p->flops / 1e9, "of_peak", share(p->flops, b->peak) / 100);
}

static wh_code measure(bench *b, const wh_load_opts *machine, wh_err *err)
{
    enum { PEAK_ROWS = 64 };
    const options *o = b->o;
    double seconds = 0;
    b->type = commonest_type(b->l.model);
    if (!o->quick) {
        b->bandwidth = wh_machine_bandwidth(b->l.par);
        b->peak = wh_machine_peak(b->l.par, b->l.model->kern, b->l.model->form, b->type, PEAK_ROWS);
    }
    WH_TRY(fresh_engine(b, machine, 1, err));
    WH_TRY(generate(b, 1, 0, 1, &seconds, err)); /* pages and caches get warm */
    WH_TRY(fresh_engine(b, machine, 1, err));
    WH_TRY(generate(b, 1, 0, 1, &seconds, err));
    point p = prefill_point(b, seconds);
    json_t *prefill = point_json(&p, b), *decode = json_array();
    json_object_set_new(prefill, "tokens", json_integer(o->prompt));
    json_object_del(prefill, "gbps");
    json_object_del(prefill, "of_bandwidth");
    if (!o->json) {
        print_head(b);
        print_point("prefill", 1, &p, b);
    }
    wh_code code = WH_OK;
    for (size_t i = 0; code == WH_OK && i < o->batch.n; i++) {
        size_t batch = (size_t)o->batch.v[i];
        code = fresh_engine(b, machine, batch, err);
        if (code == WH_OK) code = generate(b, batch, 0, 1, &seconds, err); /* the prompts */
        if (code == WH_OK) code = generate(b, batch, 1, (size_t)o->generate, &seconds, err);
        if (code != WH_OK) break;
        p = decode_point(b, batch, seconds);
        if (!o->json) print_point("decode", batch, &p, b);
        json_t *line = point_json(&p, b);
        json_object_set_new(line, "batch", json_integer((json_int_t)batch));
        json_array_append_new(decode, line);
    }
    json_t *all = json_pack("{s:s, s:i, s:s, s:f, s:f, s:o, s:o}", "model", wh_buf_str(&b->l.name), "threads", wh_par_threads(b->l.par), "isa",
                            wh_cpu_best(b->l.model->isa), "bandwidth_gbps", b->bandwidth / 1e9, "peak_gflops", b->peak / 1e9, "prefill",
                            prefill, "decode", decode);
    if (o->json && code == WH_OK) wh_out_json(json_incref(all));
    json_decref(all);
    return code;
}

int wh_cmd_bench(int argc, char **argv)
{
    options o = {0};
    wh_load_opts machine = {0};
    const wh_opt_group groups[] = {{NULL, option_table, sizeof option_table / sizeof option_table[0], &o, NULL}, WH_LOAD_GROUP(&machine)};
    static const char about[] = "Measure how fast a model runs: prefill, and decoding of several sequences together.";
    const wh_opt_spec spec = {"bench", "[options]", about, groups, 2, 0, 0, false};
    size_t n;
    int status;
    if (!wh_cmd_begin(&spec, argc, argv, &n, &status)) return status;
    wh_interrupt_catch();
    wh_err err;
    bench b = {.o = &o};
    wh_code code = wh_load_model(&b.l, &machine, &err);
    if (code == WH_OK && !(b.prompt = wh_mem_alloc((size_t)o.prompt + 1, sizeof *b.prompt)))
        code = wh_err_set(&err, WH_ERR_NOMEM, "no memory for a prompt of %lld tokens", (long long)o.prompt);
    if (code == WH_OK) code = measure(&b, &machine, &err);
    free(b.prompt);
    wh_load_free(&b.l);
    return code == WH_OK ? status : wh_out_error(&err);
}
