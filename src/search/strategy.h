/* strategy: how a problem is searched, as a pure state machine.
 *
 * A strategy looks at the tree and says what it wishes next; it never calls a model. The driver fulfils the
 * wishes of many trees in one batch.
 *
 * A tree is searched in lanes, independent parts (DVTS has one per subtree; most strategies have one).
 * advance is called for a lane when every wish made for it is fulfilled, and decides from the nodes of
 * that lane alone. So it can never see, let alone depend on, the order in which samples arrive, and the
 * same seed grows the same tree however the work was batched.
 */
#ifndef WH_SEARCH_STRATEGY_H
#define WH_SEARCH_STRATEGY_H

#include "engine/engine.h"
#include "search/param.h"
#include "search/tree.h"

/* n more samples after a node. */
typedef struct wh_expand {
    uint32_t    node, n;
    uint32_t    first; /* number of the first of them among the node's samples, at least: a search that goes on where an
                          earlier one of the same problem ended */
    uint32_t    lane;
    uint32_t    steps;         /* each sample ends after so many steps; 0: it is a whole answer */
    uint32_t    depth;         /* a path ends with that many steps; 0: no limit (whole answers) */
    uint32_t    step_tokens;   /* limit of one step: a sample that hits it is dropped (OVERLONG) */
    uint32_t    answer_tokens; /* limit of the path: a sample that hits it has ended (LENGTH) */
    wh_sampling sampling;      /* the seed comes from the problem */
    bool        keep_overlong; /* a step that hits step_tokens ends the path (LENGTH) instead */
    bool        ignore_boxed;  /* a step that holds \boxed does not end the path */
    bool        dedupe;        /* of samples with the same text (stripped) only the first stays in play */
    bool        score;         /* score each sample as soon as it is written, where there is a PRM */
    bool        accept;        /* each sample is a solution, numbered in order of index */
    /* A hint for speculation: of the samples in play in the lane, about so many will get so many more. */
    uint32_t    survivors, branch;
} wh_expand;

typedef enum { WH_WISH_EXPAND, WH_WISH_REVIVE, WH_WISH_SCORE, WH_WISH_PRUNE, WH_WISH_ACCEPT, WH_WISH_DONE } wh_wish_kind;

typedef struct wh_wish {
    wh_wish_kind kind;
    uint32_t     node; /* REVIVE, SCORE, PRUNE, ACCEPT; the lane for DONE */
    wh_expand    expand;
} wh_wish;

typedef struct wh_wishes {
    wh_wish *list;
    size_t   n, cap;
    bool     failed; /* no memory */
} wh_wishes;

void wh_wish_expand(wh_wishes *out, const wh_expand *e);
void wh_wish_revive(wh_wishes *out, uint32_t node); /* an overlong step is taken back, as an end (LENGTH) */
void wh_wish_score(wh_wishes *out, uint32_t node);  /* of a node that was sampled without; where there is a PRM */
void wh_wish_prune(wh_wishes *out, uint32_t node);  /* the node and what is below it leave the game */
/* The path to a node is a solution; wished twice, it is two samples. What has not ended ends (STUCK). */
void wh_wish_accept(wh_wishes *out, uint32_t node);
void wh_wish_done(wh_wishes *out, uint32_t lane);   /* the lane wishes nothing any more */

/* A problem as a scheduler sees it before anything is sampled: expected sizes, and what a token costs. */
typedef struct wh_task {
    double  prompt_tokens, prm_prompt_tokens; /* before the answer begins, as policy and PRM read it */
    double  answer_tokens, step_tokens;       /* of a whole answer, of one step */
    double  prm_answer_tokens;                /* of a whole answer as the PRM reads it */
    wh_cost policy, prm;
    bool    has_prm;
} wh_task;

typedef struct wh_strategy {
    const char     *name;   /* as in --strategy */
    const char     *help;   /* one line */
    const char     *source; /* paper, section, reference implementation */
    const wh_param *params; /* rows of the strategy's own struct */
    size_t          n_params;
    size_t          state_size; /* zeroed memory of the strategy, one per tree */
    bool            needs_prm;
    bool            nested; /* a run with less samples is the beginning of one with more */
    /* What to do next in a lane. Called first with lane 0 and nothing but the root; other lanes exist from
     * the first wish that names them. Returns an error only for WH_ERR_NOMEM. */
    wh_code (*advance)(wh_tree *t, uint32_t lane, const void *params, void *state, wh_wishes *out, wh_err *err);
    /* FLOPs to be expected, policy and PRM. */
    void (*flops)(double *policy, double *prm, const wh_task *task, const void *params);
} wh_strategy;

#define WH_STRATEGY_X(id) extern const wh_strategy wh_strategy_##id;
#include "search/strategy.def"
#undef WH_STRATEGY_X

/* All strategies in the order of strategy.def. */
extern const wh_strategy *const wh_strategy_table[];
extern const size_t             wh_strategy_count;
const wh_strategy *wh_strategy_find(const char *name); /* NULL: none of that name */

/* FLOPs of n tokens computed one by one or together on top of `past`, `logits` of them with logits. */
double wh_strategy_compute(const wh_cost *c, double past, double n, double logits);

/* ---- what most strategies share --------------------------------------------------------------------- */

/* How tokens are drawn; first member of a strategy's struct. */
typedef struct wh_draw {
    double   temperature, top_p, min_p;
    uint32_t top_k;
    uint32_t max_tokens; /* of a whole answer */
} wh_draw;

/* The rows for it. Temperatures and limits as in the official scripts (run.sh, evaluate.py). */
#define WH_DRAW_PARAMS(type, member, temp)                                                                    \
    {"temperature", WH_PARAM_REAL, offsetof(type, member.temperature), temp, 0, 10, NULL,                     \
     "0 takes the most probable token, higher is more varied"},                                              \
    {"top-p", WH_PARAM_REAL, offsetof(type, member.top_p), 1, 0, 1, NULL,                                     \
     "draw from the smallest set of tokens with this probability; 1: all"},                                  \
    {"top-k", WH_PARAM_INT, offsetof(type, member.top_k), 0, 0, 1e6, NULL,                                    \
     "draw from the k most probable tokens; 0: all"},                                                        \
    {"min-p", WH_PARAM_REAL, offsetof(type, member.min_p), 0, 0, 1, NULL,                                     \
     "draw from tokens at least this probable relative to the best; 0: all"},                                \
    {"max-tokens", WH_PARAM_INT, offsetof(type, member.max_tokens), 2048, 1, 1e6, NULL,                       \
     "tokens of an answer, at most"}

wh_sampling wh_draw_sampling(const wh_draw *d);

/* FLOPs of n whole answers sampled after one prompt, and of scoring them. */
void wh_strategy_answer_flops(double *policy, double *prm, const wh_task *task, double n);

#endif
