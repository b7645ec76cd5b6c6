/* features: the hidden states of a trunk where heads look.
 *
 *   WH_FEATURES_STEPS    of every sample, where each of its steps is read by the rule blank_line (reward/prm.h)
 *   WH_FEATURES_BEFORE   the same by the rule before_blank_line
 *   WH_FEATURES_PROMPT   of every problem, at the last token of the prompt
 *
 * A trunk that is the policy itself reads the policy's own tokens; another reads the texts in its own. Steps beyond
 * the trunk's context are left out.
 */
#ifndef WH_FIT_FEATURES_H
#define WH_FIT_FEATURES_H

#include "engine/engine.h"
#include "fit/data.h"
#include "fit/store.h"
#include "reward/prm.h"
#include "text/chat.h"

#include <signal.h>

typedef enum { WH_FEATURES_STEPS, WH_FEATURES_BEFORE, WH_FEATURES_PROMPT } wh_features_what;

/* The states of one sample (or problem, by sample 0 of it). */
typedef struct wh_feature {
    uint16_t *values; /* (rows, n_layers · d) as f16 */
    size_t    rows;
    bool      known;
    char      key[WH_STORE_KEY];
    uint32_t  problem, sample;
    wh_job    job;    /* that computes it; 0: none */
} wh_feature;

typedef struct wh_features {
    const wh_fit_data *data;
    wh_features_what   what;
    bool               own; /* the trunk is the policy */
    wh_store_head      head;
    wh_store          *store; /* NULL: nothing is kept */
    wh_feature        *list;  /* in the order of the data */
    size_t             n, missing;
} wh_features; /* starts as {0} */

/* What a state is known by in a store, besides trunk and layers: where it is read, of which problem (the sha256 of its
 * text), and the sample's n bytes: its tokens when the trunk is the policy itself (own), else its text; none for a prompt. */
wh_code wh_features_key(char key[WH_STORE_KEY], wh_features_what what, bool own, const char *problem, const void *sample, size_t n, wh_err *err);

/* Positions of steps without repetition, in place; returns how many: a token may end two steps, and is one state. */
size_t wh_features_places(size_t *positions, size_t n);

/* What the features are of, and those of them that the file `store` (may be NULL) has. head: the trunk and the layers
 * that are wanted; the layers that are there may be more. Borrows data and store's path. */
wh_code wh_features_open(wh_features *f, const wh_fit_data *data, wh_features_what what, const wh_store_head *head, const char *store,
                         wh_err *err);

typedef struct wh_features_trunk {
    const wh_tok  *tok;
    const wh_chat *chat;
    wh_engine     *engine; /* of at least as many layers as the head names */
    size_t         rows;   /* jobs at a time */
} wh_features_trunk;

typedef struct wh_features_watch {
    const volatile sig_atomic_t *stop; /* not 0: WH_ERR_CANCELLED; NULL: never */
    void (*progress)(void *user, size_t done, size_t all, const wh_engine_stats *stats); /* after steps; may be NULL */
    void  *user;
} wh_features_watch;

/* Compute what is missing. */
wh_code wh_features_compute(wh_features *f, const wh_features_trunk *trunk, const wh_features_watch *watch, wh_err *err);

/* The numbers of the layers `layers` (of those that are there) of one state, as floats; out (n_layers · d). */
void    wh_features_get(const wh_features *f, float *out, const wh_feature *x, size_t row, const uint32_t *layers, size_t n_layers);

/* What the text of a sample shows up to its step `row` (SIZE_MAX: all), which is its last or not. */
wh_prm_evidence wh_features_evidence(const wh_fit_problem *p, const wh_fit_sample *s, size_t row, bool last);

/* WH_ERR_IO: the last states may not have reached the disk. */
wh_code wh_features_close(wh_features *f, wh_err *err);

#endif
