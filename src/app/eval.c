#include "app/eval.h"

#include "app/json.h"
#include "app/out.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* ---- records --------------------------------------------------------------------------------------------------- */

wh_code wh_eval_run(const wh_eval *v, json_t **out, wh_err *err)
{
    wh_map map;
    char sha256[65];
    WH_TRY(wh_file_map(&map, wh_buf_str(&v->l.path), err));
    wh_file_sha256(sha256, map.data, map.size);
    wh_file_unmap(&map);
    *out = json_pack("{s:{s:s}, s:{s:s, s:s}, s:n, s:o, s:I}", "data", "sha256", v->data.sha256, "policy", "name",
                     wh_buf_str(&v->l.name), "sha256", sha256, "prm", "search", wh_search_opts_json(&v->choice), "seed",
                     (json_int_t)v->o->seed);
    return *out ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for the journal");
}

/* All tokens from the root to the sample's last node. */
static json_t *token_ids(const wh_tree *t, const wh_sample *s)
{
    size_t n = t->n_prompt + s->tokens;
    int32_t *ids = wh_mem_alloc(n, sizeof *ids);
    if (!ids) return NULL;
    wh_tree_tokens(t, s->node, ids);
    json_t *list = json_array();
    for (size_t i = t->n_prompt; i < n; i++) json_array_append_new(list, json_integer(ids[i]));
    free(ids);
    return list;
}

static json_t *sample_record(const wh_question *q, const wh_tree *t, const wh_sample *s, bool right)
{
    json_t *scores = s->scores ? json_array() : json_null();
    for (size_t i = 0; s->scores && i < s->n_scores; i++) json_array_append_new(scores, json_real(s->scores[i]));
    return json_pack("{s:s, s:I, s:s, s:I, s:o, s:o, s:I, s:s, s:o, s:i, s:b, s:f, s:o, s:I}", "record", "sample", "line",
                     (json_int_t)q->line, "id", q->id, "sample", (json_int_t)s->index, "text", wh_json_text(s->text, s->text_len), "ids",
                     token_ids(t, s), "tokens", (json_int_t)s->tokens, "stop", wh_end_name(s->end), "answer",
                     wh_json_text(s->answer, strlen(s->answer)), "group", (int)s->group, "correct", right, "logprob", s->logprob, "scores",
                     scores, "seed", (json_int_t)q->seed);
}

json_t *wh_eval_records(const wh_question *q, const wh_event *done, const bool *right, double seconds)
{
    const wh_result *r = done->result;
    char sha256[65];
    wh_file_sha256(sha256, q->problem, strlen(q->problem));
    json_t *records = json_array(), *groups = json_array(), *correct = json_array();
    bool ok = true;
    for (size_t i = 0; ok && i < r->n_samples; i++) {
        ok = json_array_append_new(records, sample_record(q, done->tree, &r->samples[i], right[i])) == 0;
        json_array_append_new(groups, json_integer(r->samples[i].group));
        json_array_append_new(correct, json_boolean(right[i]));
    }
    json_t *close = json_pack("{s:s, s:I, s:s, s:s, s:o, s:o, s:o, s:f}", "record", "problem", "line", (json_int_t)q->line, "id", q->id,
                              "problem_sha256", sha256, "groups", groups, "correct", correct, "policy", wh_json_ledger(&r->policy), "seconds",
                              seconds);
    if (ok && json_array_append_new(records, close) == 0) return records;
    json_decref(records);
    return NULL;
}

static wh_code replay_problem(wh_eval *v, const json_t *record, wh_err *err)
{
    const json_t *groups = json_object_get(record, "groups"), *correct = json_object_get(record, "correct");
    size_t n = json_array_size(groups);
    if (n == 0 || json_array_size(correct) != n) return wh_err_set(err, WH_ERR_FORMAT, "a record of the journal has no samples");
    wh_sample *samples = wh_mem_zalloc(n, sizeof *samples);
    bool *right = wh_mem_zalloc(n, sizeof *right);
    for (size_t i = 0; samples && right && i < n; i++) {
        samples[i].index = i;
        samples[i].group = (int32_t)json_integer_value(json_array_get(groups, i));
        samples[i].answer = "";
        right[i] = json_is_true(json_array_get(correct, i));
    }
    wh_code code = samples && right ? wh_score_add(&v->score, samples, right, n, err) : wh_err_set(err, WH_ERR_NOMEM, "no memory for the journal");
    free(samples);
    free(right);
    const wh_ledger policy = wh_json_to_ledger(json_object_get(record, "policy"));
    wh_ledger_add(&v->score.policy, &policy);
    v->score.seconds += json_number_value(json_object_get(record, "seconds"));
    return code;
}

wh_code wh_eval_replay(void *user, const json_t *record, wh_err *err)
{
    wh_eval *v = user;
    const char *kind = json_string_value(json_object_get(record, "record"));
    if (!kind || strcmp(kind, "problem") != 0) return WH_OK;
    size_t line = (size_t)json_integer_value(json_object_get(record, "line"));
    for (size_t i = 0; i < v->data.n; i++)
        if (v->data.list[i].line == line && !v->done[i]) {
            v->done[i] = true;
            return replay_problem(v, record, err);
        }
    return WH_OK; /* beyond --limit */
}

/* ---- what people see ------------------------------------------------------------------------------------------- */

void wh_eval_show(const wh_eval *v)
{
    const wh_score *s = &v->score;
    double low, high, seconds = wh_clock_now() - v->began;
    size_t top = s->levels - 1;
    wh_score_interval(&low, &high, s->right[top], s->problems);
    char left[24], bar[24];
    size_t full = 20 * s->problems / v->data.n;
    for (size_t i = 0; i < 20; i++) bar[i] = i < full ? '#' : '.';
    bar[20] = '\0';
    wh_out_duration(left, seconds / (double)v->fresh * (double)(v->data.n - s->problems));
    double accuracy = 100 * (double)s->right[top] / (double)s->problems, speed = (double)v->fresh_tokens / seconds;
    if (wh_out_terminal())
        wh_out_progress("[%s] %zu/%zu  %.1f %% [%.1f, %.1f]  %.0f tokens/s  %s left", bar, s->problems, v->data.n, accuracy, 100 * low,
                        100 * high, speed, left);
    else if (s->problems * 10 / v->data.n != (s->problems - 1) * 10 / v->data.n) /* a line for every tenth */
        wh_out_note("%zu/%zu  %.1f %% [%.1f, %.1f]  %.0f tokens/s  %s left\n", s->problems, v->data.n, accuracy, 100 * low, 100 * high,
                    speed, left);
}

static json_t *level_json(const wh_score *s, size_t i)
{
    double low, high, all = (double)s->problems;
    wh_score_interval(&low, &high, s->right[i], s->problems);
    return json_pack("{s:I, s:I, s:f, s:f, s:f, s:f}", "n", (json_int_t)s->n[i], "correct", (json_int_t)s->right[i], "accuracy",
                     (double)s->right[i] / all, "low", low, "high", high, "pass", (double)s->passed[i] / all);
}

void wh_eval_print(const wh_eval *v)
{
    const wh_score *s = &v->score;
    const wh_strategy *y = v->choice.strategy;
    const wh_cost zero = {0}, *cost = v->l.engine ? wh_engine_cost(v->l.engine) : &zero;
    json_int_t flops = (json_int_t)wh_ledger_total(&s->policy), paper = (json_int_t)wh_ledger_paper(&s->policy, cost);
    double mean = (double)s->right_samples / (double)s->samples;
    if (v->o->json) {
        json_t *levels = json_array();
        for (size_t i = 0; i < s->levels; i++) json_array_append_new(levels, level_json(s, i));
        wh_out_json(json_pack("{s:s, s:I, s:s, s:s, s:I, s:I, s:s, s:n, s:o, s:f, s:I, s:{s:I, s:i, s:I, s:I}, s:f, s:b}", "data", v->o->data,
                              "problems", (json_int_t)s->problems, "strategy", y->name, "vote", v->choice.vote->name, "n",
                              (json_int_t)v->choice.n_samples, "seed", (json_int_t)v->o->seed, "policy", wh_buf_str(&v->l.name), "prm",
                              "accuracy", levels, "sample_accuracy", mean, "tokens", (json_int_t)s->policy.decode_tokens, "flops", "policy",
                              flops, "prm", 0, "total", flops, "paper_2nd", paper, "seconds", s->seconds,
                              "complete", s->problems == v->data.n));
        return;
    }
    wh_out_printf("%s: %zu of %zu problems, %s, seed %lld, policy %s\n\n", v->o->data, s->problems, v->data.n, y->name,
                  (long long)v->o->seed, wh_buf_str(&v->l.name));
    wh_out_puts("    n   accuracy   95 % interval   a sample right\n");
    for (size_t i = 0; i < s->levels; i++) {
        double low, high, all = (double)s->problems;
        wh_score_interval(&low, &high, s->right[i], s->problems);
        wh_out_printf("%5zu   %5.1f %%    [%4.1f, %4.1f]    %5.1f %%\n", s->n[i], 100 * (double)s->right[i] / all, 100 * low, 100 * high,
                      100 * (double)s->passed[i] / all);
    }
    char time[24], exact[24], by_paper[24];
    wh_out_printf("\n%.1f %% of %zu samples are right\n", 100 * mean, s->samples);
    wh_out_printf("%llu tokens in %s (%.0f tokens/s); %s by the policy (%s by the paper's 2ND)\n",
                  (unsigned long long)s->policy.decode_tokens, wh_out_duration(time, s->seconds),
                  (double)s->policy.decode_tokens / s->seconds, wh_out_flops(exact, (double)flops),
                  wh_out_flops(by_paper, (double)paper));
}
