/* train: from features and outcomes to a calibrated head.
 *
 * Problems are divided into folds by a hash of their text, so that a problem's samples stay together and the same
 * problem is in the same fold in every run. Each fold is scored by a head that was fitted on the others; from these
 * scores, of data no fit has seen, come the choice of the regularization (and, with a hidden layer, of the number of
 * epochs: early stopping), the calibration, and the reported measures. The head itself is then fitted on all data.
 */
#ifndef WH_FIT_TRAIN_H
#define WH_FIT_TRAIN_H

#include "base/par.h"
#include "fit/measure.h"
#include "fit/net.h"
#include "reward/prm.h"

enum { WH_TRAIN_FOLDS = 32 };

/* Rows in the order of problems. The caller's memory; x is standardized in place. */
typedef struct wh_train_set {
    float    *x; /* (n, d) */
    size_t    n, d;
    float    *y;      /* what is wanted: 0, 1, or a probability between */
    float    *weight; /* how much a row counts */
    wh_point *points; /* which step of which problem it is, and the outcome; scores are written */
    uint64_t *hash;   /* of each row's problem */
    wh_prm_evidence *evidence; /* what the text shows up to this row: for the calibration, not the net */
} wh_train_set;

typedef enum {
    WH_TRAIN_BY_WITHIN, /* the AUC inside problems, of last steps */
    WH_TRAIN_BY_LOSS    /* the likelihood */
} wh_train_by;

typedef struct wh_train_opts {
    size_t      hidden;  /* 0: linear */
    size_t      folds;   /* 2 .. WH_TRAIN_FOLDS */
    size_t      epochs;  /* at most; with a hidden layer */
    double      l2;      /* < 0: the best of a grid */
    double      rate;    /* of learning, with a hidden layer; 0: the default of wh_adam */
    double      dropout;
    uint64_t    seed;
    bool        balance; /* both classes count alike */
    bool        curve;
    wh_train_by by;
    void (*progress)(void *user, size_t done, size_t all); /* may be NULL; fits done */
    void *user;
} wh_train_opts;

enum { WH_TRAIN_CURVE = 5, WH_TRAIN_GRID = 7 };

typedef struct wh_train_result {
    wh_net     net;     /* reads raw features, gives calibrated logits */
    double     l2;      /* chosen */
    size_t     epochs;
    wh_prm_calibration calibration; /* slope and offset are in the net already */
    wh_measure measure; /* of the scores of unseen data: the points' */
    size_t     n_curve; /* the same for fewer problems */
    struct wh_train_curve {
        size_t     problems; /* that were fitted on, on average */
        wh_measure measure;
    } curve[WH_TRAIN_CURVE];
    size_t n_grid;
    struct wh_train_grid {
        double     l2;
        size_t     epochs; /* the best number */
        wh_measure measure;
    } grid[WH_TRAIN_GRID];
    double seconds;
} wh_train_result;

/* WH_ERR_ARG: a fold has no problem, or only one outcome. */
wh_code wh_train_fit(wh_train_result *out, wh_train_set *set, const wh_train_opts *opts, wh_par *par, wh_err *err);
void    wh_train_free(wh_train_result *r);

/* Which fold a problem is in. */
size_t wh_train_fold(uint64_t hash, size_t folds);

/* What makes logits probabilities: the least loss of slope · logit + offset (Platt 1999) + what the evidence adds, by Newton's
 * method. */
void wh_train_calibrate(wh_prm_calibration *out, const double *logits, const wh_prm_evidence *evidence, const double *y, size_t n);

#endif
