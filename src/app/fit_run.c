#include "app/fit.h"

#include "app/interrupt.h"
#include "app/manifest.h"
#include "app/out.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

const wh_opt wh_fit_options[WH_FIT_OPTIONS] = {
    WH_OPT_CHOICE(wh_fit_opts, arch, "arch", "A", "linear", "linear mlp", "what the head is"),
    WH_OPT_INT(wh_fit_opts, batch, "batch", "B", "16", 1, 4096, "texts that the trunk reads together, at most"),
    WH_OPT_STRING(wh_fit_opts, cache, "cache", "FILE", NULL, "keep the trunk's hidden states here, for this and other fits; a run that was stopped goes on"),
    WH_OPT_FLAG(wh_fit_opts, curve, "curve", "also fit on 1/16, 1/8, 1/4 and 1/2 of the problems"),
    WH_OPT_FLOAT(wh_fit_opts, dropout, "dropout", "X", "0.1", 0, 0.9, "mlp: share of the features that a row loses while fitting"),
    WH_OPT_INT(wh_fit_opts, epochs, "epochs", "K", "12", 1, 1000, "mlp: at most; the best number is found on unseen problems"),
    WH_OPT_CHOICE(wh_fit_opts, evidence, "evidence", "E", "yes", "yes no",
                  "prm: let equations that fail or hold and numbers that are left out count beside the states"),
    WH_OPT_INT(wh_fit_opts, folds, "folds", "K", "5", 2, WH_TRAIN_FOLDS, "parts of the problems, each scored by a head that was fitted on the others"),
    WH_OPT_INT(wh_fit_opts, hidden, "hidden", "K", "64", 32, 65536, "mlp: width of the hidden layer, a multiple of 32"),
    WH_OPT_FLAG(wh_fit_opts, json, "json", "the result as one JSON line"),
    WH_OPT_FLOAT(wh_fit_opts, l2, "l2", "X", NULL, 0, 1e6, "regularization (mlp: weight decay); without it the best of a few on unseen problems"),
    WH_OPT_INTS(wh_fit_opts, layers, "layers", "L,...", NULL, 1, 4096, "blocks of the trunk whose output is read (default: the last)"),
    WH_OPT_INT(wh_fit_opts, mc, "mc", "K", "0", 0, 1024, "prm: label steps by K completions of --policy from their end; 0: by the outcome of their sample"),
    WH_OPT_STRING(wh_fit_opts, mc_journal, "mc-journal", "FILE", NULL, "keep these labels here, and go on from what it holds"),
    WH_OPT_INT(wh_fit_opts, mc_problems, "mc-problems", "K", "100", 0, 1e9, "the first K problems by their hash get such labels; 0: all"),
    WH_OPT_STRING(wh_fit_opts, out, "out", "FILE", NULL, "-o FILE: where the head goes; without it nothing is written"),
    WH_OPT_CHOICE(wh_fit_opts, positions, "positions", "P", "all", "all last", "steps that are learnt from"),
    WH_OPT_FLOAT(wh_fit_opts, rate, "rate", "X", "0", 0, 1, "mlp: of learning; 0: 0.0005"),
    WH_OPT_INT(wh_fit_opts, seed, "seed", "K", "0", 0, 1e9, "mlp: of first weights and order"),
    WH_OPT_CHOICE(wh_fit_opts, step, "step", "RULE", "blank_line", "blank_line before_blank_line",
                  "prm: where a step is read; before_blank_line costs a policy's own pass nothing"),
    WH_OPT_STRINGS(wh_fit_opts, test, "test", "FILE", "journals to try the finished head on; their problems must be in the --data files too"),
    WH_OPT_STRING(wh_fit_opts, trunk, "trunk", "MODEL", NULL, "name, alias or path of the model whose hidden states the head reads"),
    WH_OPT_STRING(wh_fit_opts, unseen, "unseen", "FILE", NULL, "what the journals' problems get from fits that had not seen them, for `whet bank` (--scores, --difficulty)"),
};

/* ---- the trunk ------------------------------------------------------------------------------------------------------- */

static wh_code find_trunk(wh_fit *f, wh_err *err)
{
    if (!f->o->trunk) return wh_err_set(err, WH_ERR_ARG, "--trunk MODEL is missing: whose hidden states does the head read?");
    WH_TRY(wh_manifest_resolve(&f->trunk.path, f->o->trunk, err));
    const char *path = wh_buf_str(&f->trunk.path);
    WH_TRY(wh_load_name(&f->trunk.name, f->o->trunk, path, err));
    wh_gguf *g;
    WH_TRY(wh_gguf_open(&g, path, err));
    wh_out_progress("hashing %s", wh_buf_str(&f->trunk.name));
    wh_code code = wh_config_read(&f->config, g, err);
    if (code == WH_OK) code = wh_load_identity(f->head.trunk_sha256, path, err);
    f->trunk_bytes = wh_load_is_packed(g) ? 0 : wh_gguf_file_bytes(g);
    wh_out_progress("%s", "");
    wh_gguf_close(g);
    return code == WH_OK ? WH_OK : wh_err_wrap(err, "the trunk");
}

static wh_code choose_layers(wh_fit *f, wh_err *err)
{
    WH_TRY(wh_load_layers(f->layers, &f->n_layers, &f->o->layers, f->config.layers, wh_buf_str(&f->trunk.name), err));
    memcpy(f->head.layers, f->layers, f->n_layers * sizeof *f->layers);
    f->head.n_layers = f->n_layers;
    f->head.d = f->config.d;
    return WH_OK;
}

wh_code wh_fit_begin(wh_fit *f, wh_err *err)
{
    enum { LEAST = 4, BLOCK = 32 }; /* problems of a fold; what the kernels multiply at once */
    if (f->o->unseen && !f->o->out)
        return wh_err_set(err, WH_ERR_ARG, "--unseen is about a head that is written: -o FILE is missing");
    if (strcmp(f->o->arch, "mlp") == 0 && f->o->hidden % BLOCK)
        return wh_err_set(err, WH_ERR_ARG, "--hidden wants a multiple of %d, not %lld", BLOCK, (long long)f->o->hidden);
    WH_TRY(wh_samples_load(&f->data, f->from, err));
    size_t least = LEAST * (size_t)f->o->folds;
    if (f->data.n < least)
        return wh_err_set(err, WH_ERR_ARG, "%zu problems are too few to fit a head on: with %lld folds at least %zu are needed", f->data.n,
                          (long long)f->o->folds, least);
    WH_TRY(find_trunk(f, err));
    return choose_layers(f, err);
}

void wh_fit_free(wh_fit *f)
{
    wh_fit_data_free(&f->data);
    wh_load_free(&f->trunk);
    wh_train_free(&f->result);
}

/* ---- features ------------------------------------------------------------------------------------------------------------ */

typedef struct watch {
    double began, shown;
    size_t tenth;
} watch;

static void on_step(void *user, size_t done, size_t all, const wh_engine_stats *stats)
{
    watch *w = user;
    double now = wh_clock_now(), seconds = now - w->began;
    if (!done || now - w->shown < 0.2) return;
    char left[24];
    double tokens = (double)(stats->ledger.prefill_tokens + stats->ledger.decode_tokens);
    wh_out_duration(left, seconds / (double)done * (double)(all - done));
    w->shown = now;
    if (wh_out_terminal()) wh_out_progress("states of %zu/%zu texts  %.0f tokens/s  %s left", done, all, tokens / seconds, left);
    else if (10 * done / all != w->tenth) {
        w->tenth = 10 * done / all;
        wh_out_note("%zu/%zu texts  %.0f tokens/s  %s left\n", done, all, tokens / seconds, left);
    }
}

static wh_code compute(wh_fit *f, wh_features *features, wh_err *err)
{
    wh_load_opts machine = *f->machine;
    machine.policy = f->o->trunk;
    wh_loaded *l = &f->trunk;
    if (!l->model) {
        wh_buf_free(&l->path);
        wh_buf_free(&l->name);
        WH_TRY(wh_load_model(l, &machine, err));
    }
    if (!l->chat) return wh_err_set(err, WH_ERR_UNSUPPORTED, "%s has no chat format that Whet knows: a trunk needs one", wh_buf_str(&l->name));
    enum { CONTEXT = 8192 };
    WH_TRY(wh_load_trunk(l, &machine, CONTEXT, (size_t)f->o->batch, features->head.layers[features->head.n_layers - 1], err));
    watch w = {.began = wh_clock_now()};
    const wh_features_trunk trunk = {.tok = l->tok, .chat = l->chat, .engine = l->engine, .rows = (size_t)f->o->batch};
    const wh_features_watch watching = {.stop = wh_interrupt_flag(), .progress = on_step, .user = &w};
    wh_code code = wh_features_compute(features, &trunk, &watching, err);
    wh_out_progress("%s", "");
    wh_engine_stats stats;
    wh_engine_get_stats(l->engine, &stats);
    f->feature_seconds += wh_clock_now() - w.began;
    f->feature_tokens += stats.ledger.prefill_tokens + stats.ledger.decode_tokens;
    wh_engine_free(l->engine);
    l->engine = NULL;
    return code;
}

wh_code wh_fit_features(wh_fit *f, wh_features *out, const wh_fit_data *data, wh_features_what what, wh_err *err)
{
    wh_out_progress("reading states");
    wh_code code = wh_features_open(out, data, what, &f->head, f->o->cache, err);
    wh_out_progress("%s", "");
    if (code == WH_OK && out->missing) code = compute(f, out, err);
    return code;
}

/* ---- fitting --------------------------------------------------------------------------------------------------------------- */

wh_code wh_fit_set_create(wh_train_set *set, size_t n, size_t d, wh_err *err)
{
    size_t all;
    *set = (wh_train_set){.n = n, .d = d};
    set->x = wh_mem_mul(&all, n, d) ? wh_mem_alloc(all, sizeof *set->x) : NULL;
    set->y = wh_mem_alloc(n, sizeof *set->y);
    set->weight = wh_mem_alloc(n, sizeof *set->weight);
    set->points = wh_mem_zalloc(n, sizeof *set->points);
    set->hash = wh_mem_alloc(n, sizeof *set->hash);
    set->evidence = wh_mem_zalloc(n, sizeof *set->evidence);
    bool ok = set->x && set->y && set->weight && set->points && set->hash && set->evidence;
    return ok ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu states of %zu", n, d);
}

void wh_fit_set_free(wh_train_set *set)
{
    free(set->x);
    free(set->y);
    free(set->weight);
    free(set->points);
    free(set->hash);
    free(set->evidence);
}

static void on_fit(void *user, size_t done, size_t all)
{
    (void)user;
    wh_out_progress("fitting: %zu of %zu", done, all);
}

wh_code wh_fit_train(wh_fit *f, wh_train_set *set, wh_train_by by, bool balance, wh_err *err)
{
    const wh_fit_opts *o = f->o;
    const wh_train_opts opts = {.hidden = strcmp(o->arch, "mlp") == 0 ? (size_t)o->hidden : 0, .folds = (size_t)o->folds, .epochs = (size_t)o->epochs,
                                .l2 = o->l2, .rate = o->rate, .dropout = o->dropout, .seed = (uint64_t)o->seed, .balance = balance,
                                .curve = o->curve, .by = by, .progress = on_fit};
    f->rows = set->n;
    if (!f->trunk.par) WH_TRY(wh_par_create(&f->trunk.par, (int)f->machine->threads, err));
    wh_code code = wh_train_fit(&f->result, set, &opts, f->trunk.par, err);
    wh_out_progress("%s", "");
    return code;
}

wh_code wh_fit_write(const wh_fit *f, wh_head_kind kind, const char *step, const char *labels, const wh_head_metric *metrics, size_t n, wh_err *err)
{
    if (!f->o->out) return WH_OK;
    const wh_head_info info = {.kind = kind, .trunk = wh_buf_str(&f->trunk.name), .trunk_sha256 = f->head.trunk_sha256, .trunk_bytes = f->trunk_bytes, .step = step, .labels = labels,
                               .command = f->command, .layers = f->layers, .n_layers = f->n_layers, .rows = f->rows, .data = &f->data,
                               .result = &f->result, .metrics = metrics, .n_metrics = n};
    return wh_head_write(f->o->out, &info, err);
}
