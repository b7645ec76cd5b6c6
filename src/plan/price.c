#include "plan/price.h"

#include "base/clock.h"

#include <math.h>
#include <string.h>

static double at_least(double x, double least) { return x > least ? x : least; }

double wh_price_step(const wh_price *p, double rows, double prefill, double keys)
{
    const double x[WH_PRICE_TERMS] = {1, rows, prefill, keys};
    double sum = 0;
    for (int i = 0; i < WH_PRICE_TERMS; i++) sum += at_least(p->seconds[i], 0) * x[i];
    return sum;
}

double wh_price_rate(const wh_price *p)
{
    enum { FULL = 16 };
    double row = at_least(p->seconds[WH_PRICE_ROW], 0) + at_least(p->seconds[WH_PRICE_READ], 0) / FULL;
    return p->flops_row / at_least(row, 1e-12);
}

double wh_price_read_flops(const wh_price *p) { return at_least(p->seconds[WH_PRICE_READ], 0) * wh_price_rate(p); }

void wh_price_observe(wh_price *p, const double x[WH_PRICE_TERMS], double seconds)
{
    const double forget = 0.995; /* the last 200 steps count most */
    double gain[WH_PRICE_TERMS], spread = forget, error = seconds;
    for (int i = 0; i < WH_PRICE_TERMS; i++) {
        gain[i] = 0;
        for (int k = 0; k < WH_PRICE_TERMS; k++) gain[i] += p->spread[i][k] * x[k];
        error -= p->seconds[i] * x[i];
    }
    for (int i = 0; i < WH_PRICE_TERMS; i++) spread += x[i] * gain[i];
    for (int i = 0; i < WH_PRICE_TERMS; i++) p->seconds[i] += gain[i] / spread * error;
    for (int i = 0; i < WH_PRICE_TERMS; i++)
        for (int k = 0; k < WH_PRICE_TERMS; k++) p->spread[i][k] = (p->spread[i][k] - gain[i] * gain[k] / spread) / forget;
    p->observed++;
}

bool wh_price_between(double x[WH_PRICE_TERMS], double *seconds, const wh_engine_stats *before, const wh_engine_stats *after,
                      const wh_cost *cost)
{
    double steps = (double)(after->steps - before->steps);
    if (steps < 1) return false;
    x[WH_PRICE_READ] = steps;
    x[WH_PRICE_ROW] = (double)(after->ledger.decode_tokens - before->ledger.decode_tokens);
    x[WH_PRICE_PREFILL] = (double)(after->ledger.prefill_tokens - before->ledger.prefill_tokens);
    x[WH_PRICE_KEY] = (double)(after->ledger.attention - before->ledger.attention) / at_least((double)cost->attn_per_key, 1);
    *seconds = after->seconds - before->seconds;
    return x[WH_PRICE_ROW] + x[WH_PRICE_PREFILL] > 0;
}

/* ---- measuring ------------------------------------------------------------------------------------------------------ */

static void ignore(void *user, const wh_gen_result *r) { (void)user, (void)r; }

/* `rows` samples go on after a prompt of their own until `seconds` have passed, every step observed. */
static wh_code run(wh_price *p, wh_engine *e, size_t rows, int32_t first, double seconds, wh_err *err)
{
    enum { PROMPT = 64, STEPS = 64, ROWS = 16 };
    int32_t prompt[PROMPT];
    wh_job jobs[ROWS];
    for (int i = 0; i < PROMPT; i++) prompt[i] = first + i % 7;
    wh_code code = WH_OK;
    for (size_t i = 0; code == WH_OK && i < rows && i < ROWS; i++) {
        const wh_gen_spec spec = {.prefix = prompt, .n_prefix = PROMPT, .sampling = {.temperature = 1, .top_p = 1, .seed = 1}, .stream = i,
                                  .max_tokens = STEPS, .ignore_eos = true, .on_done = ignore};
        code = wh_engine_generate(e, &jobs[i], &spec, err);
        if (code != WH_OK) rows = i;
    }
    double began = wh_clock_now();
    bool idle = false;
    while (code == WH_OK && !idle) {
        wh_engine_stats before, after;
        double x[WH_PRICE_TERMS], took;
        wh_engine_get_stats(e, &before);
        code = wh_engine_step(e, &idle, err);
        wh_engine_get_stats(e, &after);
        if (code == WH_OK && wh_price_between(x, &took, &before, &after, wh_engine_cost(e))) wh_price_observe(p, x, took);
        if (wh_clock_now() - began > seconds)
            for (size_t i = 0; i < rows && i < ROWS; i++) wh_engine_cancel(e, jobs[i]);
    }
    return code;
}

wh_code wh_price_measure(wh_price *p, wh_engine *e, wh_err *err)
{
    const wh_cost *cost = wh_engine_cost(e);
    const double usual = 1e11; /* FLOPs per second, where nothing is known: the fit forgets it at once */
    *p = (wh_price){.flops_row = (double)(cost->body + cost->head)};
    p->seconds[WH_PRICE_READ] = p->flops_row / usual;
    p->seconds[WH_PRICE_ROW] = p->seconds[WH_PRICE_PREFILL] = p->flops_row / usual / 4;
    p->seconds[WH_PRICE_KEY] = (double)cost->attn_per_key / usual;
    for (int i = 0; i < WH_PRICE_TERMS; i++) p->spread[i][i] = p->seconds[i] * p->seconds[i] * 100 / (p->seconds[0] * p->seconds[0]);
    static const size_t rows[] = {1, 8, 4, 16, 1, 8};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) WH_TRY(run(p, e, rows[i], (int32_t)(100 + 10 * i), 0.17, err));
    return WH_OK;
}
