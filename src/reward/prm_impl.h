/* prm_impl: what a prm_<name>.c provides, and what it writes with. */
#ifndef WH_REWARD_PRM_IMPL_H
#define WH_REWARD_PRM_IMPL_H

#include "reward/prm.h"

/* A solution to read, and the reader's vocabulary. Texts are without white space at their ends. */
typedef struct wh_prm_input {
    const wh_tok     *tok;
    const wh_chat    *chat; /* NULL only for kinds that need none */
    int32_t           marker, good, bad; /* -1: the kind has none */
    bool              before; /* wh_prm_head_use; kind head alone */
    wh_tok_str        question; /* as given */
    const wh_tok_str *steps;
    size_t            n_steps;
} wh_prm_input;

enum { WH_PRM_HEAD_ANY = 99 }; /* as many layers and outputs as the file has */

typedef struct wh_prm_kind {
    wh_prm_about about;
    /* Texts that must each be one token: what stands at the end of a step, and the two whose logits are read. */
    const char *marker, *good, *bad; /* NULL: none */
    bool        chat;                /* needs the model's chat format */
    size_t      head_layers;         /* 0: reads the logits of good and bad; WH_PRM_HEAD_ANY */
    size_t      head_outputs;
    /* Append the tokens of question and steps; positions[i] is where step i is read. What follows the last of
     * them need not be there. Tokens of a step may not depend on later steps. */
    wh_code (*render)(const wh_prm_input *in, wh_tok_ids *ids, size_t *positions, wh_err *err);
    /* Logits {good, bad}, or the n outputs of the head, to the probability that the step is right. */
    double (*score)(const float *values, size_t n);
} wh_prm_kind;

#define WH_PRM_X(name) extern const wh_prm_kind wh_prm_##name;
#include "reward/prm.def"
#undef WH_PRM_X

/* Append the tokens of a plain text. */
wh_code wh_prm_put(const wh_prm_input *in, wh_tok_ids *ids, wh_tok_str text, unsigned flags, wh_err *err);

/* Append the tokens of messages[0..n), the assistant's turn open, less what `said` holds already: the text of
 * earlier messages, with which these must begin; afterwards it holds all. */
wh_code wh_prm_put_chat(const wh_prm_input *in, wh_tok_ids *ids, wh_buf *said, const wh_chat_msg *messages, size_t n,
                        wh_err *err);

/* A conversation of in->n_steps turns of the user, each answered by `reply`, whatever its score; a step is read
 * where the answer to its turn begins. */
wh_code wh_prm_put_turns(const wh_prm_input *in, wh_tok_ids *ids, size_t *positions, const wh_tok_str *turns,
                         const char *reply, wh_err *err);

/* The usual meanings of the numbers. Logits {good, bad}: the softmax's first. A head's outputs: the sigmoid of one,
 * the softmax's second of two. */
double wh_prm_of_logits(const float *values, size_t n);
double wh_prm_of_head(const float *values, size_t n);

/* ---- heads (prm_mlp.c) ------------------------------------------------------------------------------------- */

typedef struct wh_prm_mlp wh_prm_mlp;

/* The head in g for inputs of width d. WH_ERR_FORMAT when a tensor is missing, of a wrong shape or type, or
 * not a number; the sentence names it. */
wh_code  wh_prm_mlp_read(wh_prm_mlp **out, const wh_gguf *g, size_t d, const wh_kern *kern, wh_par *par, wh_err *err);
void     wh_prm_mlp_free(wh_prm_mlp *h);
size_t   wh_prm_mlp_layers(const wh_prm_mlp *h);
size_t   wh_prm_mlp_outputs(const wh_prm_mlp *h); /* 1 or 2 */
uint64_t wh_prm_mlp_flops(const wh_prm_mlp *h);   /* of one hidden state */
/* The outputs for one hidden state; what is returned is valid until the next call. Not for two threads at once. */
const float *wh_prm_mlp_run(wh_prm_mlp *h, const float *hidden);
/* Append its shapes: "1536 -> 1"; nothing when g has none. */
void     wh_prm_mlp_describe(wh_buf *out, const wh_gguf *g);

/* ---- heads of their own (prm_head.c) ----------------------------------------------------------------------- */

/* What a head file says about itself. */
enum { WH_PRM_HEAD_LAYERS = 64 };
typedef struct wh_prm_head_use {
    uint32_t layers[WH_PRM_HEAD_LAYERS]; /* blocks whose hidden states it reads, ascending */
    size_t   n_layers;
    bool     before; /* the rule: before_blank_line, not blank_line */
} wh_prm_head_use;

typedef enum { WH_PRM_HEAD_OF_STEPS, WH_PRM_HEAD_OF_PROMPT } wh_prm_head_kind; /* whet.head.kind: "prm" (or none), "difficulty" */

/* Was the head in g fitted for the model in the file at trunk_path, and is it of that kind? WH_ERR_ARG with a
 * sentence; WH_ERR_FORMAT: a key is missing. */
wh_code wh_prm_head_check(wh_prm_head_use *out, const wh_gguf *g, wh_prm_head_kind kind, const char *trunk_path, const wh_model *trunk,
                          wh_err *err);

/* The last block that the head in the file at `path` reads, whatever its trunk: for an engine that computes no more
 * (wh_engine_opts.layers). */
wh_code wh_prm_head_depth(size_t *out, const char *path, wh_err *err);

/* Where the steps are read in a policy's own text, ids->data[n_prompt ..), by the rule `before` (wh_prm_head_use). By
 * the rule blank_line a blank line is appended when the last step has none. Fills the positions of at most n_steps
 * steps; *n_found is how many there are. n_prompt >= 1. */
wh_code wh_prm_head_find_steps(size_t *n_found, size_t *positions, size_t n_steps, wh_tok_ids *ids, size_t n_prompt,
                               bool before, const wh_tok *tok, wh_err *err);

/* Is a step read at tokens[n - 1], when `next` comes after it? */
bool wh_prm_head_reads(const int32_t *tokens, size_t n, size_t n_prompt, int32_t next, bool before, const wh_tok *tok);

/* ---- the reader (prm_open.c makes it, prm.c scores) ------------------------------------------------------------- */

struct wh_prm {
    const wh_prm_kind *kind;
    const wh_model    *model; /* these four are own_*, or the policy's */
    const wh_tok      *tok;
    const wh_chat     *chat;
    wh_engine         *engine;
    wh_model          *own_model;
    wh_tok            *own_tok;
    wh_chat           *own_chat;
    wh_engine         *own_engine; /* NULL: attached */
    wh_prm_mlp        *head;       /* NULL: the kind reads logits */
    wh_prm_head_use    use;        /* of it */
    wh_prm_calibration calibration;
    int32_t            marker, good, bad;
    wh_cost            cost;
    uint64_t           head_flops; /* of the head, so far */
    struct wh_prm_ticket *tickets; /* scorings under way */
    struct wh_prm_ticket *known; /* those that need no job; the next step answers them */
    wh_probe           probe; /* attached alone */
};

/* A wh_probe's look, for a head on the policy; ctx is the wh_prm. */
bool wh_prm_look(void *ctx, double *value, const int32_t *tokens, size_t n, size_t begin, int32_t next, const float *state);

#endif
