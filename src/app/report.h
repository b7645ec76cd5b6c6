/* report: the journals of evaluations side by side: what each run came to, what it cost, and whether two of them
 * differ on the problems that both have.
 *
 * Journals whose headers agree in everything but the shard are parts of one run. Everything is computed from the
 * records alone; no model is loaded.
 */
#ifndef WH_APP_REPORT_H
#define WH_APP_REPORT_H

#include "app/dataset.h"
#include "app/forecast.h"
#include "app/score.h"
#include "app/table.h"

#include <jansson.h>

typedef struct wh_report_problem {
    size_t  line;
    char    sha256[65]; /* of the problem's text: pairs it with that of another run */
    size_t  n, right;   /* samples, and how many of them are right */
    bool   *elected;    /* [rule * levels + level]: is the vote of the first samples right? */
    double  budget;     /* FLOPs that a scheduler had for it; 0: none, or not its own */
    double  policy[WH_SCORE_LEVELS], prm[WH_SCORE_LEVELS]; /* FLOPs of the samples of a level */
    json_t *samples;    /* [{"text", "answer", "correct", "tokens", "score"}]; NULL where texts are not wanted */
} wh_report_problem;

typedef struct wh_report_run {
    json_t            *head;  /* the journal's, without the shard */
    size_t             torn; /* bytes at the ends of its journals that are no whole record */
    size_t             rank;  /* of its first journal among those of all runs */
    wh_buf             files; /* names of the journals, with a comma between */
    wh_buf             label; /* strategy, and the parameters in which runs of the strategy differ */
    wh_buf             policy, prm; /* names; prm "": none */
    const char        *data;  /* sha256, of head */
    size_t             shards, of; /* how many journals say that they are one of how many */
    const wh_strategy *strategy; /* NULL: a scheduler, or one that this program does not know */
    bool               planned;  /* by a scheduler, which gave each problem what it took to need */
    double             total;    /* FLOPs that a scheduler had for the set; 0: it had a budget for each problem, or none */
    wh_params          params;
    wh_score           score; /* its chosen rule is the one to show */
    wh_sizes           sizes;
    wh_costs           costs; /* policy.body == 0: the journal does not say */
    wh_report_problem *problems; /* in the order of the set */
    size_t             n, cap;
    const wh_report_problem **order; /* the problems by sha256, then line */
} wh_report_run;

typedef struct wh_report {
    wh_report_run *runs; /* as their journals came, but runs that differ in N alone stand together, small N first */
    size_t         n, cap;
    size_t         base;  /* the run of the first journal: others are compared with it */
    size_t         shown; /* the first so many; one after them is there as reference alone */
    size_t         reference; /* whose samples say how hard a problem is; SIZE_MAX: none */
} wh_report; /* starts as {0} */

/* report_read.c. chosen: the rule to show where its scores are there. WH_ERR_FORMAT, with both names, when journals overlap or contradict each other. */
wh_code wh_report_add(wh_report *r, const char *path, const wh_rule *chosen, bool texts, wh_err *err);
/* The run that a journal belongs to; SIZE_MAX: none. */
wh_code wh_report_find(size_t *out, const wh_report *r, const char *path, wh_err *err);
void    wh_report_free(wh_report *r);

/* report.c. After the last: orders problems, checks and names the runs. reference: path of a journal, or NULL for the run with most
 * samples drawn independently. */
wh_code wh_report_finish(wh_report *r, const char *reference, const wh_rule *chosen, wh_err *err);

/* One line of results: a run, a rule and a level. */
typedef struct wh_report_point {
    size_t n;       /* samples */
    size_t correct, passed, problems;
    double accuracy, low, high;
    double policy, prm; /* FLOPs of all problems; prm 0 where the vote needs no scores and neither does the strategy */
    bool   whole;   /* all samples of the run */
} wh_report_point;
double          wh_report_cost(const wh_report_point *p); /* FLOPs per problem, policy and PRM */
size_t          wh_report_last_n(const wh_report_run *run);
wh_report_point wh_report_at(const wh_report_run *run, size_t rule, size_t level);

/* Problems of both runs, malloc'ed. *n = how many; NULL: no memory. */
typedef struct wh_report_pair {
    const wh_report_problem *a, *b;
} wh_report_pair;
wh_report_pair *wh_report_match(const wh_report_run *a, const wh_report_run *b, size_t *n);

/* Liu et al. 2025 §4.3: absolute, because quantiles of a weak model's problems hold nothing easy. */
typedef enum { WH_BIN_EASY, WH_BIN_MEDIUM, WH_BIN_HARD, WH_BIN_COUNT } wh_bin;
/* By the share of right samples: easy >= 50 %, medium 10 to 50 %, hard < 10 %. */
wh_bin      wh_report_bin(const wh_report_problem *p);

/* What the strategy's own prediction puts a run at (app/forecast.h); 0: not known. */
void wh_report_forecast(double *policy, double *prm, const wh_report_run *run);
/* The same set, as much of it, the same policy: what stands under one heading. */
bool wh_report_same_setting(const wh_report_run *a, const wh_report_run *b);
bool wh_report_one_set(const wh_report *r); /* are all runs of one problem set? */
bool wh_report_one_policy(const wh_report *r);
/* Is this level the row of another run: one with this N, or with a larger one, of which this run is the beginning? */
bool wh_report_said_elsewhere(const wh_report *r, const wh_report_run *run, size_t level);
/* The rule of that vote with the aggregate of the chosen rule; SIZE_MAX: the run has none. */
size_t wh_report_rule(const wh_report_run *run, const wh_vote *vote);
/* FLOPs of so many of the tokens that were read, not drawn. */
double wh_report_prompt(const wh_ledger *l, uint64_t tokens);

/* report_tables.c: every table that has rows, in order, each to be freed; the last is where the FLOPs went. */
enum { WH_REPORT_TABLES = 64 };
wh_code wh_report_tables(wh_table out[WH_REPORT_TABLES], size_t *n, const wh_report *r, wh_err *err);

/* A point of a policy of the scheduler. */
typedef struct wh_report_curve {
    char   policy[64];
    double accuracy, low, high, flops; /* FLOPs per problem, as spent */
} wh_report_curve;
typedef struct wh_report_curves {
    wh_report_curve *points;
    size_t           n, cap;
} wh_report_curves; /* starts as {0}; points are freed with free() */
/* report_replay.c: JSON lines of `whet replay --json`, or lines "policy,accuracy,low,high,flops" below a heading with these names, in any
 * order and among others. */
wh_code wh_report_replay(wh_report_curves *out, const char *path, wh_err *err);
/* report_curves.c: pieces of the page. All runs, by their chosen votes and by majority; every vote on the samples of each
 * scored run whose samples are drawn independently. */
void wh_report_put_curves(wh_buf *out, const wh_report *r, const wh_report_curves *curves);
void wh_report_put_votes(wh_buf *out, const wh_report *r);
/* report_page.c: one page that needs nothing else. data: the problems themselves, or NULL. */
wh_code wh_report_page(wh_buf *out, const wh_report *r, const wh_report_curves *curves, const wh_dataset *data, wh_err *err);

/* report_csv.c: a line for every run, vote and n. */
void wh_report_csv(wh_buf *out, const wh_report *r);

#endif
