/* fit: a head under way from journals to a file: what `whet fit prm` and `whet fit difficulty` share. */
#ifndef WH_APP_FIT_H
#define WH_APP_FIT_H

#include "app/judged.h"
#include "app/load.h"
#include "app/samples.h"
#include "fit/features.h"
#include "fit/head.h"
#include "fit/train.h"

typedef struct wh_fit_opts {
    const char    *trunk, *cache, *out, *mc_journal, *unseen, *evidence;
    wh_opt_ints    layers;
    wh_opt_strings test;
    int64_t        batch, folds, hidden, epochs, seed, mc, mc_problems;
    double         l2, dropout, rate;
    const char    *arch, *positions, *step;
    bool           curve, json;
} wh_fit_opts;

extern const wh_opt wh_fit_options[];
enum { WH_FIT_OPTIONS = 23 };
#define WH_FIT_GROUP(values) {"Head", wh_fit_options, WH_FIT_OPTIONS, values, NULL}

typedef struct wh_fit {
    const wh_fit_opts     *o;
    const wh_samples_opts *from;
    const wh_load_opts    *machine;
    const char            *command; /* as it was typed */
    wh_fit_data  data;
    wh_loaded    trunk;  /* its model is loaded when states are missing */
    wh_config    config;
    wh_store_head head;
    uint64_t     trunk_bytes; /* of its file; 0: it was packed */
    uint32_t     layers[WH_STORE_LAYERS]; /* that the head reads */
    size_t       n_layers;
    wh_train_result result;
    double       feature_seconds; /* spent on states in this run */
    uint64_t     feature_tokens;
    size_t       rows;
} wh_fit;

/* fit_run.c. Data, trunk and layers, before anything is computed. WH_ERR_ARG: options that make no sense, too few
 * problems. */
wh_code wh_fit_begin(wh_fit *f, wh_err *err);
/* The states of data, from the file or computed. */
wh_code wh_fit_features(wh_fit *f, wh_features *out, const wh_fit_data *data, wh_features_what what, wh_err *err);
/* Rows and points are there (the points' scores, the result and the head file are not). */
wh_code wh_fit_train(wh_fit *f, wh_train_set *set, wh_train_by by, bool balance, wh_err *err);
wh_code wh_fit_write(const wh_fit *f, wh_head_kind kind, const char *step, const char *labels, const wh_head_metric *metrics, size_t n, wh_err *err);
void    wh_fit_free(wh_fit *f);

/* A set of n rows, all of it to be filled and freed with wh_fit_set_free. */
wh_code wh_fit_set_create(wh_train_set *set, size_t n, size_t d, wh_err *err);
void    wh_fit_set_free(wh_train_set *set);

/* fit_mc.c. Monte-Carlo labels (Math-Shepherd, Wang et al. 2024, soft estimate): the share of right answers among --mc
 * completions of the policy from the end of a step, for the first --mc-problems of the data. They are kept in
 * --mc-journal; a run that was stopped goes on with it. */
typedef struct wh_fit_mc {
    float *right; /* per feature and row, in their order; -1: there is none, the outcome counts */
    size_t n, labels;
    uint64_t tokens; /* generated in this run */
    double   seconds;
} wh_fit_mc; /* starts as {0} */
wh_code wh_fit_mc_labels(wh_fit *f, wh_fit_mc *out, const wh_features *features, wh_err *err);

/* fit_unseen.c. What the fits of the folds gave for the data that they had not seen, to --unseen when it is asked for: for
 * a bank, so that a profile can be fitted on the same problems as the head. prm: after the head was written (its sha256 is
 * in the file), as `whet score --out` writes; difficulty: as `whet difficulty` does. set: with its points' scores. */
wh_code wh_fit_unseen_scores(const wh_fit *f, const wh_judged_sample *samples, wh_err *err);
wh_code wh_fit_unseen_passes(const wh_fit *f, const wh_train_set *set, wh_err *err);

/* fit_prm.c, fit_difficulty.c: the whole of it, what is printed too. */
wh_code wh_fit_prm(wh_fit *f, wh_err *err);
wh_code wh_fit_difficulty(wh_fit *f, wh_err *err);

#endif
