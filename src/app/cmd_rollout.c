/* whet rollout: many samples per problem, graded: what heads are fitted on. An evaluation by best_of_n whose journal
 * is what it is for. */
#include "app/cmd.h"
#include "app/eval.h"
#include "app/out.h"

typedef struct options {
    int64_t samples, max_tokens, top_k;
    double  temperature, top_p, min_p;
    const char *states;
    wh_opt_ints layers;
} options;

static const wh_opt option_table[] = {
    WH_OPT_INTS(options, layers, "layers", "L,...", NULL, 1, 4096, "--states: blocks of the policy whose output is kept (default: the last)"),
    WH_OPT_INT(options, max_tokens, "max-tokens", "K", "1024", 1, 1e6, "tokens of a sample, at most"),
    WH_OPT_FLOAT(options, min_p, "min-p", "X", "0", 0, 1, "drop tokens less probable than this part of the best; 0: off"),
    WH_OPT_INT(options, samples, "samples", "K", "8", 1, 65536, "samples of each problem"),
    WH_OPT_STRING(options, states, "states", "FILE", NULL, "keep the policy's hidden states at step ends, for `whet fit --cache` and heads on the policy"),
    WH_OPT_FLOAT(options, temperature, "temperature", "X", "0.7", 0, 10, "of sampling: heads are for samples like these"),
    WH_OPT_INT(options, top_k, "top-k", "K", "0", 0, 1e6, "the K most probable tokens alone; 0: off"),
    WH_OPT_FLOAT(options, top_p, "top-p", "X", "1", 0, 1, "the most probable tokens that make up this probability; 1: off"),
};

static wh_code set(wh_search_opts *s, wh_buf *text, const char *name, double value, wh_err *err)
{
    wh_buf_printf(text, "%.9g", value);
    return wh_buf_ok(text) ? wh_search_opts_set(s, name, wh_buf_str(text), err) : wh_err_set(err, WH_ERR_NOMEM, "no memory for the options");
}

static wh_code choose(wh_search_choice *out, wh_search_opts *s, const options *o, const wh_reward_opts *reward, wh_err *err)
{
    const struct {
        const char *name;
        double      value;
    } values[] = {{"n", (double)o->samples},         {"max-tokens", (double)o->max_tokens}, {"temperature", o->temperature},
                  {"top-p", o->top_p}, {"top-k", (double)o->top_k},           {"min-p", o->min_p}};
    enum { N = sizeof values / sizeof values[0] };
    wh_buf texts[N] = {{0}};
    wh_code code = WH_OK;
    for (size_t i = 0; code == WH_OK && i < N; i++) code = set(s, &texts[i], values[i].name, values[i].value, err);
    if (code == WH_OK) code = wh_search_opts_choose(out, s, reward, err);
    for (size_t i = 0; i < N; i++) wh_buf_free(&texts[i]);
    return code;
}

int wh_cmd_rollout(int argc, char **argv)
{
    wh_eval_opts e = {0};
    options o = {0};
    wh_load_opts machine = {0};
    const wh_reward_opts reward = {.grouping = "math", .aggregate = "last"};
    wh_search_opts search;
    wh_eval v = {.o = &e};
    wh_err err;
    size_t n;
    int status;
    if (wh_search_opts_init(&search, "best_of_n", &err) != WH_OK) return wh_out_error(&err);
    search.name = "best_of_n";
    const wh_opt_group groups[] = {WH_EVAL_GROUP(&e), {"Sampling", option_table, sizeof option_table / sizeof option_table[0], &o, NULL},
                                   WH_LOAD_GROUP(&machine)};
    static const char about[] =
        "Sample every problem many times and grade the samples by the reference answer: the material that\n"
        "`whet fit` makes heads from. The journal is that of `whet eval`; the same command goes on with it.";
    const wh_opt_spec spec = {"rollout", "--data FILE --journal FILE [options]", about, groups, 3, 0, 0, false};
    if (wh_cmd_begin(&spec, argc, argv, &n, &status)) {
        wh_code code = e.data && e.journal ? choose(&v.choice, &search, &o, &reward, &err)
                                           : wh_err_set(&err, WH_ERR_ARG, "--%s is missing: usage is whet rollout %s",
                                                        e.data ? "journal" : "data", spec.synopsis);
        v.states = o.states;
        v.layers = o.layers;
        if (code == WH_OK && o.layers.n && !o.states) code = wh_err_set(&err, WH_ERR_ARG, "--layers says what --states keeps: --states FILE is missing");
        if (code == WH_OK) code = wh_eval_solve(&v, &reward, &machine, &err);
        if (code != WH_OK) status = wh_out_error(&err);
    }
    wh_eval_free(&v);
    wh_search_opts_free(&search);
    return status;
}
