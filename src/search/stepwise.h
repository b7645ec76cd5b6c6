/* stepwise: what the strategies share that grow answers step by step.
 *
 * N is the number of samples of a round, M ("width") the number of samples after each survivor, as in the
 * paper (method.md §2.4).
 */
#ifndef WH_SEARCH_STEPWISE_H
#define WH_SEARCH_STEPWISE_H

#include "search/strategy.h"

/* First member of a strategy's struct. */
typedef struct wh_stepwise {
    wh_draw  draw;
    uint32_t n, width, depth, step_tokens, granularity;
} wh_stepwise;

/* The rows for it; width is left out where a strategy has no use for it. */
#define WH_STEPWISE_PARAMS(type, member)                                                                      \
    {"n", WH_PARAM_INT, offsetof(type, member.n), 16, 1, 4096, NULL, "samples of each round"},                \
    {"depth", WH_PARAM_INT, offsetof(type, member.depth), 40, 1, 1000, NULL, "steps of an answer, at most"},  \
    {"step-tokens", WH_PARAM_INT, offsetof(type, member.step_tokens), 512, 1, 1e6, NULL,                      \
     "tokens of a step, at most; a longer one is dropped"},                                                  \
    {"granularity", WH_PARAM_INT, offsetof(type, member.granularity), 1, 0, 1000, NULL,                       \
     "score and select every so many steps; 0: whole answers"},                                              \
    WH_DRAW_PARAMS(type, member.draw, 0.7)
#define WH_STEPWISE_WIDTH(type, member)                                                                       \
    {"width", WH_PARAM_INT, offsetof(type, member.width), 4, 1, 4096, NULL, "samples after each survivor (M)"}

/* Beam search and DVTS exist in two codes that differ (method.md §2.5, §4). */
enum { WH_STEPWISE_OFFICIAL, WH_STEPWISE_HF };
#define WH_STEPWISE_VARIANT(type, member)                                                                     \
    {"variant", WH_PARAM_CHOICE, offsetof(type, member), WH_STEPWISE_OFFICIAL, 0, 1, "official|hf",           \
     "the paper's code, or search-and-learn's"}

/* N/M, at least one: survivors of a round, solutions in the end. */
uint32_t wh_stepwise_survivors(const wh_stepwise *p);

/* A step (granularity of them) after node, deduplicated and scored. */
wh_expand wh_stepwise_expand(const wh_stepwise *p, uint32_t node, uint32_t n, uint32_t lane);

/* The child of a node in play in that lane that follows child `after` (WH_NONE: the first), or WH_NONE. */
uint32_t wh_stepwise_child(const wh_tree *t, uint32_t node, uint32_t lane, uint32_t after);

/* Did every attempt at a next step fail? When not a single child of node is in play: after the root the
 * overlong first steps are taken back; else up to 3 attempts are made in all, then the node has ended (STUCK)
 * (method.md §2.3). *waiting is set when something was wished. visits counts the attempts. */
void wh_stepwise_check(wh_tree *t, uint32_t node, const wh_expand *again, bool *waiting, wh_wishes *out);

/* Sort nodes by value, best first; equal ones keep their order. */
void wh_stepwise_sort(const wh_tree *t, uint32_t *nodes, size_t n);

/* ---- beam search: the core of beam, dvts and lookahead --------------------------------------------------- */

typedef struct wh_beams {
    uint32_t *beam, n; /* the survivors, best first; memory of the tree */
    uint32_t  slots;   /* solutions still wanted */
    bool      rolled;  /* the candidates' rollouts are done */
} wh_beams;            /* starts zeroed */

typedef struct wh_beams_spec {
    uint32_t first;  /* samples after the root */
    uint32_t keep;   /* survivors, and solutions in the end */
    uint32_t branch; /* samples after each survivor */
    uint32_t rollout; /* steps that each candidate is continued greedily before it is ranked */
} wh_beams_spec;

/* The official loop (method.md §2.5) in one lane. */
wh_code wh_beams_advance(wh_tree *t, uint32_t lane, const wh_stepwise *p, const wh_beams_spec *spec, wh_beams *b,
                         wh_wishes *out, wh_err *err);

/* FLOPs of sampling `samples` steps in each round until answers end. */
void wh_stepwise_flops(double *policy, double *prm, const wh_task *task, double samples);
/* wh_strategy.flops for strategies that sample N steps in every round and whose struct begins with wh_stepwise. */
void wh_stepwise_flops_of_n(double *policy, double *prm, const wh_task *task, const void *params);

#endif
