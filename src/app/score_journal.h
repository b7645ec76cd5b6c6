/* score_journal: a process reward model over the graded samples of journals, and what its scores amount to. */
#ifndef WH_APP_SCORE_JOURNAL_H
#define WH_APP_SCORE_JOURNAL_H

#include "app/judged.h"
#include "fit/features.h"
#include "reward/prm.h"

typedef struct wh_score_journal_opts {
    const wh_fit_data *data;
    wh_prm            *prm;
    wh_engine         *engine; /* of the policy, which an attached PRM is advanced by; NULL: the PRM has its own */
    const wh_tok      *tok;    /* of the policy, for an attached PRM */
    const wh_chat     *chat;
    size_t             batch;
    const wh_features *states; /* of the data, where the PRM's head reads: what is known of them is not computed; may be NULL */
    const json_t      *run; /* what the scores depend on, for the header of `out` */
    const char        *out; /* a journal of scores: {"record": "scores", ...} per sample; NULL: they are not kept */
} wh_score_journal_opts;

/* The header of a journal of scores: what they depend on. calibration: typed, taken; may be NULL. head_sha256: NULL: no head. */
wh_code wh_scores_header(json_t **out, const char *kind, const char *sha256, const char *head_sha256, json_t *calibration,
                         const wh_fit_data *data, bool own_tokens, size_t context, wh_err *err);
/* What a record is known by: problem and text. */
wh_code wh_scores_key(char sha256[65], const wh_fit_problem *p, const wh_fit_sample *s, wh_err *err);
/* A record, to be appended: the scores of a sample's steps and what they cost. */
json_t *wh_scores_record(const char *key, const wh_fit_problem *p, const wh_fit_sample *s, const wh_judged_sample *scores, uint64_t flops);

/* What scoring a sample of so many tokens would have cost by itself, for scores of states that were there: the head, and
 * unless the policy makes these states itself (in_passing) the trunk's pass over about as many tokens. c->head: of the head. */
uint64_t wh_scores_flops(const wh_cost *c, bool in_passing, size_t tokens, size_t scores);

/* The report, and scores into `out`, which a run that was stopped goes on from. *flops: spent in this run. */
wh_code wh_score_journal(wh_judged *report, uint64_t *flops, const wh_score_journal_opts *o, wh_err *err);

#endif
