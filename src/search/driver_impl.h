/* driver_impl: what the parts of the driver share.
 *
 *   driver.c       problems come and go, one step of everything
 *   driver_node.c  a node's way: its text, the rules of a step, its scores, its sample
 *   driver_wish.c  strategies are asked, wishes fulfilled, free rows run ahead
 *
 * A search is a tree, its strategy's state, and its lanes. A ticket is one node's work in progress: first the
 * generation of its text (one job per step), then its scoring. Callbacks of the backend only put down what
 * came back and queue the ticket; decisions are made outside the backend, in wh_driver_step.
 *
 * Invariant: a lane's pending = its tickets that are neither finished nor speculative. A lane with pending 0
 * that is not done is ready: its strategy is asked.
 */
#ifndef WH_SEARCH_DRIVER_IMPL_H
#define WH_SEARCH_DRIVER_IMPL_H

#include "search/driver.h"

typedef struct wh_lane {
    uint32_t pending, asked; /* asked: samples of this round, finished or not */
    bool     done;
} wh_lane;

typedef struct wh_search {
    wh_driver         *driver;
    uint64_t           id;
    wh_tree            tree;
    const wh_strategy *strategy;
    wh_params          params;
    void              *state;
    wh_grouping        grouping;
    void              *user;
    wh_lane           *lanes;
    uint32_t           n_lanes;
    uint32_t           n_expansions;
    size_t             flying; /* jobs in the backend */
    wh_sample        **samples; /* by number; NULL: not finished */
    size_t             cap_samples, last_sample;
    bool               started, cancel, cancelled, failed, closing;
    double             start;
    wh_result          result;
} wh_search;

typedef struct wh_ticket {
    wh_search        *s;
    uint32_t          node;
    const wh_expand  *spec;  /* shared by the samples of one wish */
    wh_job            job;   /* 0: not in the backend */
    bool              scoring;
    bool              parked, dropped; /* speculative: written before anybody asked for it; given up */
    wh_stop           stop;
    uint32_t          steps; /* written so far */
    uint32_t          written; /* text_len before the last job */
    struct wh_ticket *next;  /* in the queue */
} wh_ticket;

struct wh_driver {
    wh_backend     backend;
    wh_driver_opts opts;
    wh_search    **searches;
    size_t         n, cap;
    uint64_t       last_id;
    wh_ticket     *queue, **queue_end;
    wh_wishes      wishes;
    int32_t       *prefix; /* of the job being submitted */
    size_t         cap_prefix;
};

/* ---- driver.c */
void wh_driver_emit(wh_search *s, wh_event_kind kind, uint32_t node, const char *text, size_t text_len);
/* The first error ends the problem; its jobs are cancelled at the next step. */
void wh_driver_fail(wh_search *s, const wh_err *why);
bool wh_driver_ending(const wh_search *s);

/* ---- driver_node.c */
/* Submit the node's next step, or its whole text. WH_ERR_BUDGET: the path has outgrown the context. */
wh_code wh_driver_generate(wh_ticket *k, wh_err *err);
/* The node is written and stays in play: have it scored, where there is a PRM; then it is ready. */
wh_code wh_driver_score(wh_ticket *k, wh_err *err);
/* Nothing more to wait for. */
wh_code wh_driver_ready(wh_ticket *k, wh_err *err);
void    wh_driver_leave(wh_search *s, uint32_t node, wh_fate fate);
/* What was begun speculatively after a node is not wanted. */
void    wh_driver_drop_ahead(wh_search *s, uint32_t node);
void    wh_driver_enqueue(wh_driver *d, wh_ticket *k);
/* Go on with every ticket that came back. */
void    wh_driver_drain(wh_driver *d);
/* Keep a place among the samples for a node; later, the path to it becomes that sample. */
wh_code wh_driver_number_sample(wh_search *s, uint32_t node, wh_err *err);
wh_code wh_driver_finish_sample(wh_search *s, uint32_t node, uint32_t number, wh_err *err);

/* ---- driver_wish.c */
wh_code wh_driver_need_lane(wh_search *s, uint32_t number, wh_err *err);
/* Ask the strategy for every lane that waits for nothing, until all wait or are done. */
wh_code wh_driver_advance(wh_search *s, wh_err *err);
/* The path to a node is one more sample. */
wh_code wh_driver_accept(wh_search *s, uint32_t node, wh_err *err);
/* Begin one more sample after the most promising node that has the fewest begun; false: there is none. */
bool wh_driver_speculate(wh_driver *d);

#endif
