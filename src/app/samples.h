/* samples: journals of evaluations and rollouts, with the problem sets they are of, as graded solutions (fit/data.h). */
#ifndef WH_APP_SAMPLES_H
#define WH_APP_SAMPLES_H

#include "app/opt.h"
#include "fit/data.h"

/* Values of wh_samples_options, the group of commands that read journals for their samples. */
typedef struct wh_samples_opts {
    wh_opt_strings journals, data;
    int64_t        problems, samples; /* the first so many of each; 0: all */
} wh_samples_opts;

extern const wh_opt wh_samples_options[];
enum { WH_SAMPLES_OPTIONS = 4 };
#define WH_SAMPLES_GROUP(values) {"Solutions", wh_samples_options, WH_SAMPLES_OPTIONS, values, NULL}

/* All journals as one; they must be of the same policy (WH_ERR_ARG). A problem is known by the sha256 of its text, which
 * some file of the data must have. Half of it is freed by wh_fit_data_free when it fails. */
wh_code wh_samples_load(wh_fit_data *out, const wh_samples_opts *o, wh_err *err);

#endif
