/* whet score: what a process reward model thinks of given solutions, step by step. */
#include "app/cmd.h"
#include "app/interrupt.h"
#include "app/json.h"
#include "app/load.h"
#include "app/manifest.h"
#include "app/out.h"
#include "app/reward.h"
#include "app/samples.h"
#include "app/score_journal.h"
#include "app/score_lines.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "reward/prm_impl.h"

#include <stdlib.h>
#include <string.h>

typedef struct options {
    const char     *prm, *kind, *head, *calibration, *out, *cache, *cpu_mask;
    wh_samples_opts from;
    int64_t         threads, batch, context;
    uint64_t        memory;
    bool            json;
} options;

static const wh_opt option_table[] = {
    WH_OPT_INT(options, batch, "batch", "B", "16", 1, 4096, "solutions that are read together, at most"),
    WH_OPT_STRING(options, cache, "cache", "FILE", NULL,
                  "with --journal: hidden states of `whet rollout` or `whet fit`; what is there is not computed (rounded to f16)"),
    WH_OPT_STRING(options, calibration, "calibration", WH_CALIBRATION_SHAPE, NULL, WH_CALIBRATION_HELP),
    WH_OPT_INT(options, context, "context", "TOKENS", "0", 0, 1 << 20, "tokens of a solution, at most; 0: the PRM's own limit, or 8192"),
    WH_OPT_CPU_MASK(options),
    WH_OPT_STRINGS(options, from.data, "data", "F.jsonl",
                   "solutions, one JSON object a line (without it: standard input); with --journal: the problem sets of the journals"),
    WH_OPT_STRING(options, head, "head", "HEAD", NULL, "a head file; the PRM is its trunk"),
    WH_OPT_STRINGS(options, from.journals, "journal", "FILE",
                   "the graded samples of `whet eval` or `whet rollout`; again for more: prints how well the scores tell right from wrong, and what votes gain"),
    WH_OPT_FLAG(options, json, "json", "with --journal: the report as one JSON line"),
    WH_OPT_STRING(options, kind, "kind", "KIND", NULL, "how to use a model that does not say it: judge, math-shepherd, ..."),
    WH_OPT_INT(options, from.problems, "limit-problems", "K", "0", 0, 1e9, "with --journal: K problems, picked by their hash; 0: all"),
    WH_OPT_MEMORY(options),
    WH_OPT_STRING(options, out, "out", "FILE", NULL, "with --journal: keep the scores here, a journal itself, and go on from what it holds"),
    WH_OPT_STRING(options, prm, "prm", "MODEL", NULL, "name, alias or path of the PRM"),
    WH_OPT_INT(options, from.samples, "samples-per-problem", "K", "0", 0, 65536, "with --journal: the first K samples of each; 0: all"),
    WH_OPT_THREADS(options),
};

/* ---- the PRM ------------------------------------------------------------------------------------------------------- */

/* A head whose trunk is the policy of the journals reads the policy's own tokens. */
typedef struct judge {
    wh_buf    path;
    char      sha256[65];
    wh_par   *par;
    wh_prm   *prm;
    wh_loaded policy; /* when the PRM is attached to it */
    wh_prm_calibration calibration; /* with --calibration */
} judge; /* starts as {0} */

static wh_code attach(judge *j, const options *o, wh_err *err)
{
    const wh_load_opts machine = {.policy = o->prm, .cpu_mask = o->cpu_mask, .memory = o->memory, .threads = o->threads};
    WH_TRY(wh_load_model(&j->policy, &machine, err));
    if (!j->policy.chat) return wh_err_set(err, WH_ERR_UNSUPPORTED, "%s has no chat format that Whet knows", wh_buf_str(&j->policy.name));
    size_t depth;
    WH_TRY(wh_prm_head_depth(&depth, o->head, err));
    WH_TRY(wh_load_trunk(&j->policy, &machine, o->context ? (size_t)o->context : WH_PRM_CONTEXT, (size_t)o->batch, depth, err));
    const wh_prm_policy on = {.path = wh_buf_str(&j->policy.path), .model = j->policy.model, .tok = j->policy.tok, .chat = j->policy.chat,
                              .engine = j->policy.engine};
    const wh_prm_opts opts = {.kind = o->kind, .head = o->head, .calibration = o->calibration ? &j->calibration : NULL};
    return wh_prm_attach(&j->prm, &on, &opts, j->policy.par, err);
}

static wh_code open_own(judge *j, const options *o, wh_err *err)
{
    wh_prm_opts opts = {.kind = o->kind, .head = o->head, .calibration = o->calibration ? &j->calibration : NULL,
                        .engine = {.memory = o->memory, .max_rows = (size_t)o->batch, .context = (size_t)o->context}};
    WH_TRY(wh_load_isa(&opts.isa, o->cpu_mask, err));
    WH_TRY(wh_par_create(&j->par, (int)o->threads, err));
    wh_out_progress("loading %s", o->prm);
    wh_code code = wh_prm_open(&j->prm, wh_buf_str(&j->path), &opts, j->par, err);
    wh_out_progress("%s", "");
    return code;
}

static void free_judge(judge *j)
{
    wh_prm_free(j->prm);
    wh_load_free(&j->policy);
    wh_par_free(j->par);
    wh_buf_free(&j->path);
}

/* ---- the command ---------------------------------------------------------------------------------------------------- */

static wh_code score_lines(const options *o, judge *j, wh_err *err)
{
    if (o->from.data.n > 1) return wh_err_set(err, WH_ERR_ARG, "--data: one file of solutions at a time");
    if (o->out || o->cache || o->json || o->from.problems || o->from.samples)
        return wh_err_set(err, WH_ERR_ARG, "--out, --cache, --json, --limit-problems and --samples-per-problem are for --journal");
    wh_score_lines *lines;
    wh_code code = wh_score_lines_read(&lines, o->from.data.n ? o->from.data.v[0] : "-", err);
    if (code == WH_OK) code = open_own(j, o, err);
    if (code == WH_OK) code = wh_score_lines_run(lines, j->prm, (size_t)o->batch, err);
    wh_prm_free(j->prm);
    j->prm = NULL;
    wh_score_lines_free(lines);
    return code;
}

/* What --cache has of the data, read where the PRM's head reads. */
static wh_code open_states(wh_features *out, const judge *j, const options *o, const wh_fit_data *data, wh_err *err)
{
    const wh_prm_head_use *use = &j->prm->use;
    wh_store_head head = {.n_layers = use->n_layers, .d = j->prm->model->config.d};
    memcpy(head.layers, use->layers, use->n_layers * sizeof *use->layers);
    WH_TRY(wh_load_identity(head.trunk_sha256, wh_buf_str(&j->path), err));
    wh_map file; /* a store that is not there would be made */
    WH_TRY(wh_file_map(&file, o->cache, err));
    wh_file_unmap(&file);
    return wh_features_open(out, data, use->before ? WH_FEATURES_BEFORE : WH_FEATURES_STEPS, &head, o->cache, err);
}

static wh_code run_json(json_t **out, const judge *j, const options *o, const wh_fit_data *data, wh_err *err)
{
    char head[65];
    if (o->head) WH_TRY(wh_load_sha256(head, o->head, err));
    json_t *calibration = o->calibration ? wh_reward_calibration_json(&j->calibration) : NULL;
    return wh_scores_header(out, wh_prm_name(j->prm), j->sha256, o->head ? head : NULL, calibration, data, j->policy.engine != NULL,
                            (size_t)o->context, err);
}

static wh_code score_journals(const options *o, judge *j, wh_err *err)
{
    wh_fit_data data = {0};
    wh_features states = {0};
    json_t *header = NULL;
    uint64_t flops = 0;
    wh_judged *report = wh_mem_zalloc(1, sizeof *report);
    double began = wh_clock_now();
    wh_code code = report ? wh_samples_load(&data, &o->from, err) : wh_err_set(err, WH_ERR_NOMEM, "no memory for a report");
    if (code == WH_OK) code = wh_load_sha256(j->sha256, wh_buf_str(&j->path), err);
    bool own = code == WH_OK && o->head && strcmp(j->sha256, data.policy_sha256) == 0;
    if (code == WH_OK) code = own ? attach(j, o, err) : open_own(j, o, err);
    if (code == WH_OK) code = run_json(&header, j, o, &data, err);
    if (code == WH_OK && o->cache) code = open_states(&states, j, o, &data, err);
    const wh_score_journal_opts opts = {.data = &data, .prm = j->prm, .engine = j->policy.engine, .tok = j->policy.tok, .chat = j->policy.chat,
                                        .batch = (size_t)o->batch, .states = o->cache ? &states : NULL, .run = header, .out = o->out};
    if (code == WH_OK) code = wh_score_journal(report, &flops, &opts, err);
    char spent[24], time[24];
    if (code == WH_OK && o->json) {
        json_t *all = wh_judged_json(report);
        json_object_set_new(all, "flops", json_integer((json_int_t)flops));
        json_object_set_new(all, "seconds", json_real(wh_clock_now() - began));
        wh_out_json(all);
    } else if (code == WH_OK) {
        wh_judged_print_measure(&report->measure);
        wh_judged_print_votes(report);
        if (flops) wh_out_printf("\n%s in %s\n", wh_out_flops(spent, (double)flops), wh_out_duration(time, wh_clock_now() - began));
    }
    json_decref(header);
    wh_err second;
    wh_features_close(&states, &second); /* nothing was put there */
    wh_fit_data_free(&data);
    free(report);
    return code;
}

int wh_cmd_score(int argc, char **argv)
{
    options o = {0};
    const wh_opt_group groups[] = {{NULL, option_table, sizeof option_table / sizeof option_table[0], &o, NULL}};
    static const char about[] =
        "The probability that each step of a solution is right, by a process reward model.\n"
        "A line of data: {\"problem\": text, \"steps\": [texts]}, or \"solution\": a text whose steps are divided by\n"
        "blank lines. A line of output: scores, their min, last, avg and prod; \"unscored\" counts the steps beyond\n"
        "the PRM's context, which repeat the score of the last one that fits (null: not even the first does).\n"
        "With --journal the solutions are graded samples, and what comes out is how good the scores are.";
    const wh_opt_spec spec = {"score", "--prm MODEL [options]", about, groups, 1, 0, 0, false};
    size_t n;
    int status;
    if (!wh_cmd_begin(&spec, argc, argv, &n, &status)) return status;
    wh_err err;
    judge j = {0};
    wh_interrupt_catch();
    wh_code code = o.prm ? WH_OK : wh_err_set(&err, WH_ERR_ARG, "--prm MODEL says which model judges");
    if (code == WH_OK && o.cache && !o.head) code = wh_err_set(&err, WH_ERR_ARG, "--cache holds states for heads: --head FILE is missing");
    if (code == WH_OK && o.calibration) code = wh_reward_calibration(&j.calibration, o.calibration, &err);
    if (code == WH_OK) code = wh_manifest_resolve(&j.path, o.prm, &err);
    if (code == WH_OK) code = o.from.journals.n ? score_journals(&o, &j, &err) : score_lines(&o, &j, &err);
    free_judge(&j);
    wh_out_flush();
    return code == WH_OK ? status : wh_out_error(&err);
}
