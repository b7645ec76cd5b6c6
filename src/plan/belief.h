/* belief: what the answers seen so far say about the right one, and what more of them would say.
 *
 * A model of votes that needs no labels. A sample is right with probability p, the problem's pass@1, which is
 * Beta(a, b) before anything is seen. Wrong samples repeat each other's answers as guests choose tables in a
 * Chinese restaurant: of w wrong ones so far, the next joins an answer that c gave with probability
 * c / (w + theta), and gives a new one with probability theta / (w + theta). So, of n samples, the odds that the
 * answer with c votes is the right one, against none of those seen, are
 *
 *     r(c) = (a)_c (b)_{n-c} / (b)_n  *  (theta)_n / ((theta)_{n-c} theta (c-1)!)       (x)_k: rising factorial
 *
 * which is a table. A reward model's opinion of a group multiplies its odds. Samples without an answer are wrong.
 *
 * Everything a scheduler asks follows from it: how probable it is that the leader is right (the value of stopping
 * now), the expected value after k more samples, the posterior of pass@1, and which bin of difficulty that is.
 *
 * The expectation after k more samples is exact, by recursion over ballots; ballots that differ in the order of
 * their groups are one, and what was computed is remembered. Evidence tells groups apart that would be alike, and
 * futures multiply; so what is asked for decisions takes evidence in half nats and looks less far ahead where there
 * are many different groups. One thread uses a belief at a time.
 */
#ifndef WH_PLAN_BELIEF_H
#define WH_PLAN_BELIEF_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

typedef struct wh_belief_model {
    double a, b;  /* of the Beta prior of pass@1 */
    double theta; /* how scattered wrong answers are */
} wh_belief_model;

enum {
    WH_BALLOT_GROUPS = 24, /* answers that are told apart; more than so many different ones never lead */
    WH_BELIEF_AHEAD = 8    /* samples that are looked ahead, at most */
};

/* The votes on one problem. */
typedef struct wh_ballot {
    uint32_t n;       /* samples, silent ones and those beyond the groups included */
    uint32_t n_groups;
    struct {
        uint16_t count;
        int16_t  evidence; /* of the reward model: ln of the factor on the odds, in sixteenths */
    } group[WH_BALLOT_GROUPS];
} wh_ballot;

typedef struct wh_belief wh_belief;

wh_code wh_belief_create(wh_belief **out, const wh_belief_model *m, wh_err *err);
void    wh_belief_free(wh_belief *b);
const wh_belief_model *wh_belief_get_model(const wh_belief *b);

/* p[i] = P(group i is the right answer); returns P(none of them is). */
double wh_belief_right(const wh_belief *b, const wh_ballot *v, double *p);

/* The probability that the group most probably right is right; *leader (may be NULL) is that group. 0 when nobody
 * voted. Among equals the first leads. */
double wh_belief_best(const wh_belief *b, const wh_ballot *v, uint32_t *leader);

/* The expected wh_belief_best after k <= WH_BELIEF_AHEAD more samples. NAN: no memory. */
double wh_belief_after(wh_belief *b, const wh_ballot *v, uint32_t k);

/* So far ahead may be looked from v: at most WH_BELIEF_AHEAD samples, and some hundred different futures. */
uint32_t wh_belief_ahead(const wh_ballot *v);
/* What k <= wh_belief_ahead more samples are expected to gain: wh_belief_after minus wh_belief_best, of v with its
 * evidence in half nats. NAN: no memory. */
double wh_belief_gain(wh_belief *b, const wh_ballot *v, uint32_t k);

/* The posterior of pass@1: a mixture over which group is right. at_least[i] = P(pass@1 >= bounds[i]). */
double wh_belief_pass(const wh_belief *b, const wh_ballot *v, double *at_least, const double *bounds, size_t n);

/* The log-likelihood of votes whose right group is known (UINT32_MAX: none of them). For fitting the model. */
double wh_belief_likelihood(const wh_belief_model *m, const wh_ballot *v, uint32_t right);

#endif
