/* data: graded solutions to fit a head on, or to try one on: what journals of evaluations hold. */
#ifndef WH_FIT_DATA_H
#define WH_FIT_DATA_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wh_fit_sample {
    char    *text;
    size_t   text_len;
    int32_t *ids; /* the policy's own tokens */
    size_t   n_ids;
    uint32_t index; /* among the problem's samples */
    int32_t  group; /* of its answer, for votes; -1: none */
    bool     right;
} wh_fit_sample;

typedef struct wh_fit_problem {
    char           sha256[65]; /* of its text */
    uint64_t       hash;       /* the first 64 bits of it */
    char          *question, *gold;
    wh_fit_sample *samples;
    size_t         n;
} wh_fit_problem;

typedef struct wh_fit_data {
    wh_fit_problem *problems;
    size_t          n, n_samples, n_right;
    char            policy_sha256[65];
    char           *policy_name;
    struct wh_fit_sampling { /* how the samples were drawn: what completions of them are drawn like */
        double temperature, top_p, min_p;
        int    top_k;
        size_t max_tokens;
    } sampling;
    char            sha256[65]; /* of all that was taken: problems, samples, outcomes */
} wh_fit_data; /* starts as {0} */

void wh_fit_data_free(wh_fit_data *d);

/* Sort problems by their hash and samples by index; keep the first `problems` of the former and of each the first
 * `samples` of the latter (0: all); count, and take the digest. So what is fitted on does not depend on the order of
 * journals or of their records. */
wh_code wh_fit_data_finish(wh_fit_data *d, size_t problems, size_t samples, wh_err *err);

#endif
