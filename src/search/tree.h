/* tree: the steps that were sampled for one problem.
 *
 * Node 0 is the root: the prompt, with nothing written yet. Every other node is a piece of answer that
 * follows its parent's: one step, up to g steps (granularity g), or a whole answer. The path from the root
 * to a node is what the model has written so far; a node that has ended makes its path a solution.
 *
 * Random numbers follow the path: a node's stream is derived from its parent's stream and its own sample
 * number, so a node draws the same tokens whatever else is sampled, kept or thrown away around it.
 *
 * Everything lives in the tree's own memory and is freed at once with it. Nodes are never removed, only
 * taken out of play (fate). Pointers to nodes are valid until the next node is added; texts, tokens and
 * scores as long as the tree.
 */
#ifndef WH_SEARCH_TREE_H
#define WH_SEARCH_TREE_H

#include "base/buf.h"
#include "base/err.h"
#include "engine/engine.h"

/* How a node came to its end. */
typedef enum {
    WH_END_NONE,      /* it did not: a step ended, the next may follow */
    WH_END_EOS,       /* the model ended its turn */
    WH_END_BOXED,     /* a step holds the \boxed answer */
    WH_END_DEPTH,     /* as many steps as allowed */
    WH_END_LENGTH,    /* as many tokens as allowed */
    WH_END_CONTEXT,   /* the model's context is full */
    WH_END_LOOP,      /* the text repeats itself */
    WH_END_BUDGET,    /* the budget did not pay for more of it: it does not vote */
    WH_END_STUCK,     /* every attempt at a next step failed */
    WH_END_CANCELLED  /* stopped from outside; what was written so far is kept */
} wh_end;
const char *wh_end_name(wh_end end); /* "none", "eos", "boxed", ... */

typedef enum {
    WH_NODE_RUNNING, /* being generated */
    WH_NODE_SCORING, /* written, waiting for its scores */
    WH_NODE_READY
} wh_node_state;

/* What became of a node. */
typedef enum {
    WH_FATE_IN_PLAY,
    WH_FATE_SOLUTION,   /* accepted: the end of one of the result's samples */
    WH_FATE_PRUNED,     /* dropped by the strategy */
    WH_FATE_DUPLICATE,  /* says what an earlier sibling says */
    WH_FATE_OVERLONG,   /* hit the token limit of a step */
    WH_FATE_SPECULATIVE /* begun while waiting, and nobody asked for it */
} wh_fate;
const char *wh_fate_name(wh_fate fate);

enum { WH_NONE = 0 }; /* no node: the root is nobody's child and nobody's sibling */

typedef struct wh_node {
    uint32_t parent, first_child, last_child, next; /* next: the sibling sampled after this one */
    uint32_t n_children;                            /* samples asked for */
    uint32_t index;                                 /* sample number among its parent's children */
    uint32_t expansion;                             /* siblings made by one wish share it */
    uint32_t lane;                                  /* which independent part of the search it belongs to */
    uint32_t depth;                                 /* steps written from the root to here */
    uint32_t path_tokens;                           /* tokens written from the root to here */
    uint32_t sample;                                /* its (first) number among the solutions; WH_NO_SAMPLE */
    wh_node_state state;
    wh_end        end;
    wh_fate       fate;
    uint64_t      stream;

    const int32_t *tokens; /* of this node alone */
    const char    *text;   /* "" before anything is written; zero-terminated */
    uint32_t       n_tokens, text_len;
    double         logprob; /* natural, of its tokens, as the engine gives it */

    const wh_mark *marks; /* what a probe left at its tokens, positions in prompt and path */
    uint32_t      n_marks;
    const double *scores; /* probability that each step of this node is right; NULL: not scored */
    uint32_t      n_scores;
    double        value;  /* what the strategy ranks by; the last score once scored */
    double        visits; /* for strategies that count */

    wh_ledger policy, prm; /* what was computed for this node */
    struct wh_ticket *ticket; /* the driver's: its work in progress */
} wh_node;

enum { WH_NO_SAMPLE = UINT32_MAX };

typedef struct wh_tree {
    const char    *question; /* copied */
    const int32_t *prompt;   /* copied */
    size_t         n_prompt;
    uint64_t       seed;
    wh_node       *nodes;
    uint32_t       n_nodes, cap_nodes;
    uint32_t       n_samples; /* solutions accepted or promised so far */
    struct wh_tree_block *blocks;
} wh_tree;

/* prompt: the policy's tokens up to where the answer begins, n_prompt >= 1. */
wh_code wh_tree_init(wh_tree *t, const char *question, const int32_t *prompt, size_t n_prompt, uint64_t seed,
                     wh_err *err);
void    wh_tree_reset(wh_tree *t);

/* n zeroed elements that live as long as the tree; NULL when there is no memory. */
void *wh_tree_alloc(wh_tree *t, size_t n, size_t size);
char *wh_tree_strndup(wh_tree *t, const char *s, size_t n);

/* Sample number `index` of parent, state RUNNING; *out is its node. */
wh_code wh_tree_add(wh_tree *t, uint32_t *out, uint32_t parent, uint32_t index, uint32_t lane,
                    uint32_t expansion, wh_err *err);

/* Append to a node what was generated for it. */
wh_code wh_tree_write(wh_tree *t, uint32_t node, const wh_gen_result *r, wh_err *err);

/* Everything written from the root to node, appended to out (check wh_buf_ok). */
void wh_tree_text(const wh_tree *t, uint32_t node, wh_buf *out);
/* prompt, then the tokens of the path: n_prompt + path_tokens of them. */
void wh_tree_tokens(const wh_tree *t, uint32_t node, int32_t *out);
/* The scores of the path in order, at most max of them written; returns how many there are. */
size_t wh_tree_scores(const wh_tree *t, uint32_t node, double *out, size_t max);

/* Steps as the method sees them (official code, base_env.py): pieces between blank lines ("\n\n"),
 * stripped of white space, empty ones left out. *step is one of them inside text, its length returned;
 * 0: no more. *at starts at 0. */
size_t wh_tree_next_step(const char **step, size_t *at, const char *text, size_t n);
size_t wh_tree_count_steps(const char *text, size_t n);

#endif
