/* bank: samples of many problems, drawn once, so that any way of spending compute can be simulated on them.
 *
 * A bank is one zstd file of JSON lines (`zstdcat FILE` shows it): a header that says which model answered which
 * problems how, then a line per problem: for each of its samples the group of its answer, whether it is right,
 * its tokens and, where a PRM read it, its step scores; and what whole searches came to, where there are any. It
 * is made from journals of `whet eval`, whose samples are independent: their order is arbitrary, and every order
 * is another run that could have been.
 *
 * FLOPs of a sample follow from its tokens by formula (engine/ledger.h): the prompt once per problem, then every
 * token on top of what is before it. The costs of a token are worked out of the journal's own ledgers.
 */
#ifndef WH_PLAN_BANK_H
#define WH_PLAN_BANK_H

#include "base/err.h"
#include "engine/ledger.h"
#include "plan/belief.h"

#include <jansson.h>

typedef struct wh_bank_sample {
    int32_t       group; /* of its answer, from 0 in order of first appearance; -1: none */
    bool          right;
    uint32_t      tokens;
    const double *scores; /* of its steps; NULL: not scored */
    size_t        n_scores;
    double        flops, prm_flops; /* of the policy, without the prompt; of scoring it */
} wh_bank_sample;

/* One whole search of a problem by one strategy. */
typedef struct wh_bank_run {
    uint32_t        search; /* which of the bank's */
    size_t          n;
    wh_bank_sample *samples; /* their flops are not known one by one: 0 */
    double          flops, prm_flops;
} wh_bank_run;

typedef struct wh_bank_problem {
    size_t          line;
    char           *id;
    uint32_t        prompt_tokens;
    double          prompt_flops;
    size_t          n, n_groups;
    wh_bank_sample *samples;
    size_t          n_right;
    double          prompt_pass; /* pass@1 as the prompt lets expect; NAN: nobody has looked */
    size_t          n_runs;
    wh_bank_run    *runs; /* at most one per search */
} wh_bank_problem;

typedef struct wh_bank {
    json_t          *header; /* "data", "policy", "prm" (or null), "search", "seed", "searches", "cost" */
    wh_cost          cost;   /* of the policy */
    size_t           n;
    wh_bank_problem *problems;
    size_t           n_searches;
    const json_t   **searches; /* in the header: strategy and its parameters */
    bool             scored;   /* every sample has scores, unless it has no step */
    bool             prompted; /* some problem has a prompt_pass */
    void            *memory;   /* of samples and scores */
} wh_bank; /* starts as {0} */

/* WH_ERR_FORMAT: no bank, or a broken one. *out is to be freed whatever the result. */
wh_code wh_bank_read(wh_bank *out, const char *path, wh_err *err);
void    wh_bank_free(wh_bank *b);

/* Make a bank file from journals: those of best_of_n hold the samples (parts of one set, or all of it; the same
 * policy and parameters), those of other strategies, on the same problems, whole searches. Problems stand in the
 * order of the set. *n_problems = how many there are. WH_ERR_ARG: files that do not belong together. */
typedef struct wh_bank_sources {
    const char *const *journals;
    size_t             n_journals;
    const char *const *scores; /* what `whet score --journal .. --out` made of the journals: for those without a PRM */
    size_t             n_scores;
    const char *const *difficulty; /* lines of `whet difficulty` */
    size_t             n_difficulty;
    size_t             samples; /* the first of each problem; 0: all */
} wh_bank_sources;
wh_code wh_bank_make(const char *path, const wh_bank_sources *from, size_t *n_problems, wh_err *err);

/* Memory that is freed with the bank, all zero; NULL: there is none. */
void   *wh_bank_take(wh_bank *b, size_t n, size_t size);

/* FLOPs of the tokens of one sample after a prompt. */
double wh_bank_sample_flops(const wh_cost *c, uint32_t prompt_tokens, uint32_t tokens);

#endif
