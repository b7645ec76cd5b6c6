/* prm: process reward models: the probability that each step of a solution is right.
 *
 * A PRM is a language model (the trunk) that has read question and steps, looked at in one place per step:
 * either as the logits of two tokens, or as the final-norm hidden state through a small head. What a PRM
 * wants to read, where it is looked at, and what the numbers mean is one kind of prm.def, in one file.
 *
 * All kinds are causal and each step's tokens are made on their own, so a step is scored on top of the
 * cached steps before it: the official code computes the whole prefix each time; the scores are the same
 * bits here either way. Scorings of many paths advance in one batch; siblings share their prefix.
 *
 * In a GGUF file
 *   whet.prm.kind               the name of the kind, as in prm.def
 *   whet.prm.0.weight           (out, d) f32, whet.prm.0.bias (out): the head, for kinds that have one;
 *   whet.prm.1.weight, .1.bias  its second layer, behind a ReLU
 * The last layer has 1 output (the score is its sigmoid) or 2 (softmax, the second is "right").
 *   whet.prm.calibration.slope, .offset   f32, both or none: a score s becomes the probability whose log-odds are
 *                               slope · ln(s / (1 - s)) + offset (Platt 1999), fitted on solved problems
 *   whet.prm.calibration.fails, .holds    f32, both or none: added to these log-odds where an equation of the solution so far
 *                               fails, and where some hold and none fails (answer/arithmetic.h)
 *   whet.prm.calibration.omits  f32: added to those of the last step of a solution that leaves out a number of the problem
 *                               (answer/numbers.h)
 *
 * A head may also be a file of its own, for a trunk that is any model, the policy itself too. Besides the
 * above it says what it was fitted for, so that wrong use is refused:
 *   whet.head.trunk_sha256  of the trunk's (first) file, 64 hex digits
 *   whet.head.layer         which hidden states it reads: behind block l of 1..L, or an array of such l, ascending,
 *                               whose states then stand one after the other (width n·d). As WH_SCORE_HIDDEN gives
 *                               them: behind the last block with the final norm, else divided by the root mean square
 *   whet.head.step          where a step is read:
 *       "blank_line"         at the token that completes the blank line after it; where the model ended its turn without
 *                            one, a blank line is put there
 *       "before_blank_line"  at the token before that: in the state from which that token was drawn, or, where there is
 *                            no blank line, at the last token. In a policy's own pass these states are there anyway
 */
#ifndef WH_REWARD_PRM_H
#define WH_REWARD_PRM_H

#include "answer/arithmetic.h"
#include "engine/engine.h"
#include "text/chat.h"

typedef struct wh_prm wh_prm;

enum { WH_PRM_CONTEXT = 8192 }; /* what the 8B PRMs were trained with, and the longest answer of the method */

typedef struct wh_prm_calibration {
    double slope, offset; /* slope > 0 */
    double fails, holds;  /* by the arithmetic of the solution so far */
    double omits;         /* at its end, by the numbers it leaves out */
} wh_prm_calibration;

/* What a text shows without a model. */
typedef struct wh_prm_evidence {
    wh_arithmetic_verdict equations; /* so far */
    bool omits; /* the solution ends here, and leaves out a number of the problem */
} wh_prm_evidence;

/* The probability that a logit stands for. */
double wh_prm_calibrate(const wh_prm_calibration *c, double logit, wh_prm_evidence evidence);

typedef struct wh_prm_opts {
    const char    *kind;   /* of prm.def; NULL: what the file says */
    const char    *head;   /* a head file, then the model is its trunk; NULL: none */
    const wh_prm_calibration *calibration; /* of the scores; NULL: what the file (of the head) says, or none */
    wh_isa         isa;    /* instruction sets to use; 0: all of this machine */
    wh_mat_form    form;   /* of its weights; not that of a head */
    wh_engine_opts engine; /* all 0: defaults; context 0: the model's own, at most WH_PRM_CONTEXT */
} wh_prm_opts;

/* Open a model, its tokenizer and its head. Borrows par; the engine is the PRM's own. *out is NULL on failure, and
 * the sentence begins with the path. WH_ERR_FORMAT, WH_ERR_UNSUPPORTED: the file is broken or no PRM of this
 * kind; WH_ERR_BUDGET: as wh_engine_create. */
wh_code wh_prm_open(wh_prm **out, const char *path, const wh_prm_opts *opts, wh_par *par, wh_err *err);

/* A head on a policy that runs already. With its probe in a generation the scores are made in passing, and come back
 * with the path as its marks: a scoring then costs nothing, or, for a step whose place was not computed (a blank line
 * that ended the generation), that token or two, as a job of the policy's engine that uses the generation's KV. The
 * scores are the same bits either way.
 *
 * With policy->engine NULL the PRM gets an engine of its own (opts->engine) and shares the weights alone: any kind can,
 * when it is the same file as the policy. Borrows everything; isa and form are the policy's. */
typedef struct wh_prm_policy {
    const char     *path; /* of its file, for the check of its sha256 and for sentences */
    const wh_model *model;
    const wh_tok   *tok;
    const wh_chat  *chat; /* NULL: it has none */
    wh_engine      *engine;
} wh_prm_policy;
wh_code wh_prm_attach(wh_prm **out, const wh_prm_policy *policy, const wh_prm_opts *opts, wh_par *par, wh_err *err);

/* What generations of an attached PRM's policy should look with; NULL: the PRM is not attached. */
const wh_probe *wh_prm_probe(const wh_prm *p);

/* It is attached, and reads its steps where the policy has been when they end: no scoring computes a token, but of an
 * answer that was cut off. */
bool wh_prm_in_passing(const wh_prm *p);

/* The score of a hidden state that somebody else has, of the blocks and at the place where the head of this PRM reads
 * (wh_prm_head_use; as WH_SCORE_HIDDEN gives it), in a solution that shows this so far. Not for two threads at once. */
double wh_prm_score_state(wh_prm *p, const float *state, wh_prm_evidence evidence);

/* Scorings still running are dropped without a call. An attached PRM must have none, or its engine be gone. */
void wh_prm_free(wh_prm *p);

const char *wh_prm_name(const wh_prm *p);    /* of its kind */
size_t      wh_prm_context(const wh_prm *p); /* tokens it can read */
/* What a token costs, and as `head` what a score costs: the two rows of the LM head, or the PRM's head. */
const wh_cost *wh_prm_cost(const wh_prm *p);

/* ---- scoring ------------------------------------------------------------------------------------------ */

typedef struct wh_prm_result {
    const double *scores; /* n_new probabilities, valid during the call; NULL when cancelled. 0 where the
                             model's numbers overflow */
    size_t        n_new;
    size_t        n_fit;  /* so many of them are scores of their own. The steps after them end beyond the
                             context; they repeat the score of the last step that fits */
    bool          cancelled;
    wh_ledger     ledger;
} wh_prm_result;

/* Score the last n_new steps of a path. Everything is copied. */
typedef struct wh_prm_spec {
    const char        *question;
    const char *const *steps;          /* of the path, zero-terminated; white space around them is dropped */
    size_t             n_steps, n_new; /* 1 <= n_new <= n_steps */
    bool               ended;          /* no step will follow: what the solution leaves out counts */
    /* An attached PRM reads the policy's own tokens: prompt, then those of the path. Others ignore them. */
    const int32_t *prefix;
    size_t         n_prefix, n_prompt;
    const wh_mark *marks; /* what the probe left at tokens of prefix, in order of position */
    size_t         n_marks;
    bool           whole; /* WH_ERR_BUDGET unless all new steps fit into the context */
    void (*on_done)(void *user, const wh_prm_result *r);
    void  *user;
} wh_prm_spec;

/* on_done is called exactly once, during wh_prm_step. *job (may be NULL) is for wh_prm_cancel; 0: there is nothing to
 * cancel, the next wh_prm_step brings the scores.
 * WH_ERR_BUDGET: not even one step fits into the context; WH_ERR_ARG: nonsense, or (attached) tokens whose text
 * does not have these steps. */
wh_code wh_prm_score(wh_prm *p, wh_job *job, const wh_prm_spec *spec, wh_err *err);
void    wh_prm_cancel(wh_prm *p, wh_job job);
/* As wh_engine_step. An attached PRM's jobs are advanced by the policy's steps; here it gives out what needed none. */
wh_code wh_prm_step(wh_prm *p, bool *idle, wh_err *err);
void    wh_prm_get_stats(const wh_prm *p, wh_engine_stats *out);

/* What the PRM reads for a path, for tests and curious people: ids are appended; positions of the n_steps steps,
 * the last of them the end of ids. Cut by no context. Not for attached PRMs. */
wh_code wh_prm_render(const wh_prm *p, wh_tok_ids *ids, size_t *positions, const wh_prm_spec *spec, wh_err *err);

/* ---- what is there -------------------------------------------------------------------------------------- */

/* One kind: its name in files and options, which models it is for, where it comes from. */
typedef struct wh_prm_about {
    const char *name, *models, *source;
} wh_prm_about;
/* The i-th kind of prm.def; NULL: there are no more. */
const wh_prm_about *wh_prm_get_about(size_t i);

/* Is g a PRM? Appends "skywork, head 1536 -> 1" to out, nothing when it is none. Never fails for a broken
 * head: it says so. */
void wh_prm_describe(wh_buf *out, const wh_gguf *g);

#endif
