/* head: a fitted net as a head file (reward/prm.h says how such a file is read).
 *
 * Besides what reading it needs, the file says where it comes from, for people and for those who fit the next one:
 *   whet.head.kind           "prm": how right a solution is so far; "difficulty": how often a sample will be right
 *   whet.head.trunk, .trunk_bytes      name of the trunk, size of its file
 *   whet.head.policy, .policy_sha256   whose samples it was fitted on
 *   whet.head.labels         what the outcomes are, and how rows were weighed, in words
 *   whet.head.data_sha256, .problems, .samples, .rows    what it was fitted on
 *   whet.head.l2, .epochs, .slope, .offset    chosen; the calibration (slope, offset) is in the last layer already,
 *                            what the text counts in whet.prm.calibration.fails, .holds and .omits (reward/prm.h)
 *   whet.head.metric.*       of unseen data
 *   whet.head.date, .command
 */
#ifndef WH_FIT_HEAD_H
#define WH_FIT_HEAD_H

#include "fit/data.h"
#include "fit/train.h"

typedef enum { WH_HEAD_PRM, WH_HEAD_DIFFICULTY } wh_head_kind;

typedef struct wh_head_metric {
    const char *name; /* "auc_within" */
    double      value; /* NaN: not written */
} wh_head_metric;

typedef struct wh_head_info {
    wh_head_kind       kind;
    const char        *trunk, *trunk_sha256, *step, *labels, *command;
    uint64_t           trunk_bytes; /* 0: unknown */
    const uint32_t    *layers;
    size_t             n_layers, rows;
    const wh_fit_data *data;
    const wh_train_result *result;
    const wh_head_metric  *metrics;
    size_t                 n_metrics;
} wh_head_info;

/* Write result's net to path. */
wh_code wh_head_write(const char *path, const wh_head_info *info, wh_err *err);

#endif
