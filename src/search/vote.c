#include "search/vote.h"

#include "answer/answer.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

const wh_vote *const wh_vote_table[] = {
#define WH_VOTE_X(id) &wh_vote_##id,
#include "search/vote.def"
#undef WH_VOTE_X
};
const size_t wh_vote_table_size = sizeof wh_vote_table / sizeof wh_vote_table[0];

const wh_vote *wh_vote_find(const char *name)
{
    for (size_t i = 0; i < wh_vote_table_size; i++)
        if (strcmp(wh_vote_table[i]->name, name) == 0) return wh_vote_table[i];
    return NULL;
}

static bool votes(const wh_sample *s) { return s->end != WH_END_CANCELLED && s->end != WH_END_BUDGET; }

static void group_strings(wh_sample *s, size_t n, size_t *n_groups)
{
    int32_t groups = 0;
    for (size_t i = 0; i < n; i++) {
        s[i].group = -1;
        if (!votes(&s[i])) continue;
        for (size_t k = 0; k < i && s[i].group < 0; k++)
            if (s[k].group >= 0 && strcmp(s[i].answer, s[k].answer) == 0) s[i].group = s[k].group;
        if (s[i].group < 0) s[i].group = groups++;
    }
    *n_groups = (size_t)groups;
}

wh_code wh_vote_group(wh_sample *s, size_t n, size_t *n_groups, wh_grouping grouping, wh_err *err)
{
    if (grouping == WH_GROUP_STRING) {
        group_strings(s, n, n_groups);
        return WH_OK;
    }
    const char **texts = wh_mem_alloc(n, sizeof *texts);
    int32_t *group = wh_mem_alloc(n, sizeof *group);
    wh_code code = WH_OK;
    if (!texts || !group) {
        code = wh_err_set(err, WH_ERR_NOMEM, "no memory for a vote of %zu samples", n);
    } else {
        for (size_t i = 0; i < n; i++) texts[i] = votes(&s[i]) ? s[i].answer : NULL;
        code = wh_answer_group(group, n_groups, texts, n, err);
        for (size_t i = 0; i < n && code == WH_OK; i++) s[i].group = group[i];
    }
    free(texts);
    free(group);
    return code;
}

const char *wh_aggregate_name(wh_aggregate a)
{
    switch (a) {
#define CASE(id) \
    case WH_AGGREGATE_##id: return #id;
        WH_AGGREGATES(CASE)
#undef CASE
    case WH_AGGREGATE_COUNT: break;
    }
    return NULL;
}

double wh_aggregate_scores(wh_aggregate a, const double *r, size_t n)
{
    if (!n) return -1;
    double min = r[0], sum = 0, prod = 1;
    for (size_t i = 0; i < n; i++) {
        if (r[i] < min) min = r[i];
        sum += r[i];
        prod *= r[i];
    }
    switch (a) {
    case WH_AGGREGATE_min: return min;
    case WH_AGGREGATE_avg: return sum / (double)n;
    case WH_AGGREGATE_prod: return prod;
    case WH_AGGREGATE_last:
    case WH_AGGREGATE_COUNT: break;
    }
    return r[n - 1];
}

static int heavier(const void *a_, const void *b_)
{
    const wh_tally *a = a_, *b = b_;
    if (a->weight != b->weight) return a->weight > b->weight ? -1 : 1;
    return a->since < b->since ? -1 : 1;
}

wh_code wh_vote_count(wh_tally **out, size_t *n_out, const wh_vote *vote, const wh_vote_opts *opts,
                      const wh_sample *s, size_t n, wh_err *err)
{
    *out = NULL;
    *n_out = 0;
    /* Groups are numbered in order of first appearance, so the first n samples use the first numbers. */
    size_t groups = 0;
    for (size_t i = 0; i < n; i++)
        if (s[i].group >= 0 && (size_t)s[i].group >= groups) groups = (size_t)s[i].group + 1;
    wh_tally *t = wh_mem_zalloc(groups, sizeof *t);
    if (!t) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a vote of %zu answers", groups);
    for (size_t i = 0; i < n; i++) {
        if (s[i].group < 0) continue;
        wh_tally *g = &t[s[i].group];
        if (!g->count++) {
            g->answer = s[i].answer;
            g->group = s[i].group;
            g->since = i;
        }
        vote->add(g, i, wh_aggregate_scores(opts->aggregate, s[i].scores, s[i].n_scores), groups, opts);
    }
    qsort(t, groups, sizeof *t, heavier);
    *out = t;
    *n_out = groups;
    return WH_OK;
}
