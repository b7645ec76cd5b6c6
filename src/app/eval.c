#include "app/eval.h"

#include "app/json.h"
#include "app/record.h"
#include "base/file.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* ---- records --------------------------------------------------------------------------------------------------- */

wh_code wh_eval_run(const wh_eval *v, json_t **out, wh_err *err)
{
    char sha256[65];
    json_t *prm;
    WH_TRY(wh_load_sha256(sha256, wh_buf_str(&v->l.path), err));
    WH_TRY(wh_reward_json(&prm, &v->reward, err));
    wh_buf shard = {0};
    if (v->o->shard.of) wh_buf_printf(&shard, "%lld/%lld", (long long)v->o->shard.part, (long long)v->o->shard.of);
    *out = json_pack("{s:{s:s, s:s*}, s:{s:s, s:s, s:s*}, s:o, s:o, s:I}", "data", "sha256", v->data.sha256, "shard", shard.data, "policy",
                     "name", wh_buf_str(&v->l.name), "sha256", sha256, "form", v->l.model->form == WH_MAT_FAST ? "fast" : NULL, "prm", prm,
                     "search", v->spend.on ? wh_spend_json(&v->spend) : wh_search_opts_json(&v->choice), "seed", (json_int_t)v->o->seed);
    wh_buf_free(&shard);
    return *out ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for the journal");
}

wh_code wh_eval_measure(wh_sizes *out, const wh_eval *v, const wh_event *done, wh_err *err)
{
    const wh_result *r = done->result;
    wh_prm_sizes prm;
    WH_TRY(wh_forecast_prm(&prm, v->reward.prm, v->reward.attached, done->tree->question, err));
    *out = (wh_sizes){.problems = 1, .samples = r->n_samples, .prompt_tokens = done->tree->n_prompt, .prm_prompt_tokens = prm.question};
    for (size_t i = 0; i < r->n_samples; i++) {
        out->tokens += r->samples[i].tokens;
        out->steps += wh_tree_count_steps(r->samples[i].text, r->samples[i].text_len);
    }
    return WH_OK;
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

json_t *wh_eval_sample_record(const wh_question *q, const wh_tree *t, const wh_sample *s, size_t index, bool right)
{
    return json_pack("{s:s, s:I, s:s, s:I, s:o, s:o, s:I, s:s, s:o, s:i, s:b, s:f, s:o, s:I}", "record", "sample", "line",
                     (json_int_t)q->line, "id", q->id, "sample", (json_int_t)index, "text", wh_json_text(s->text, s->text_len), "ids",
                     token_ids(t, s), "tokens", (json_int_t)s->tokens, "stop", wh_end_name(s->end), "answer",
                     wh_json_text(s->answer, strlen(s->answer)), "group", (int)s->group, "correct", right, "logprob", s->logprob, "scores",
                     wh_json_reals(s->scores, s->n_scores), "seed", (json_int_t)q->seed);
}

json_t *wh_eval_close_record(const wh_question *q, const wh_eval_result *r)
{
    char sha256[65];
    wh_file_sha256(sha256, q->problem, strlen(q->problem));
    json_t *groups = json_array(), *correct = json_array(), *scores = json_array();
    for (size_t i = 0; i < r->n; i++) {
        json_array_append_new(groups, json_integer(r->samples[i].group));
        json_array_append_new(correct, json_boolean(r->right[i]));
        json_array_append_new(scores, wh_json_reals(r->samples[i].scores, r->samples[i].n_scores));
    }
    return json_pack("{s:s, s:I, s:s, s:s, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:f}", "record", "problem", "line", (json_int_t)q->line,
                     "id", q->id, "problem_sha256", sha256, "groups", groups, "correct", correct, "scores", scores, "unscored",
                     (json_int_t)r->unscored, "sizes", wh_sizes_json(&r->sizes), "policy", wh_json_ledger(&r->policy), "prm",
                     wh_json_ledger(&r->prm), "speculative", wh_json_ledger(&r->speculative), "seconds", r->seconds);
}

static wh_code replay_problem(wh_eval *v, const json_t *record, wh_err *err)
{
    wh_record r;
    WH_TRY(wh_record_read(&r, record, err));
    wh_code code = wh_score_add(&v->score, r.samples, r.right, r.n, err);
    wh_score_spend(&v->score, &r.policy, &r.prm, &r.speculative, r.unscored, r.seconds);
    wh_sizes_add(&v->sizes, &r.sizes);
    const json_t *stop = json_object_get(json_object_get(record, "plan"), "why");
    for (int i = 0; i <= WH_WHY_MOST; i++)
        if (json_is_string(stop) && strcmp(json_string_value(stop), wh_why_name((wh_why)i)) == 0) v->stops[i]++;
    wh_record_free(&r);
    return code;
}

wh_code wh_eval_replay(void *user, const json_t *record, wh_err *err)
{
    wh_eval *v = user;
    const char *kind = json_string_value(json_object_get(record, "record"));
    if (kind && strcmp(kind, "costs") == 0) v->costs_known = true;
    if (kind && strcmp(kind, "part") == 0) return wh_eval_keep_part(v, record, err);
    if (!wh_record_closes(record)) return WH_OK;
    size_t line = (size_t)json_integer_value(json_object_get(record, "line"));
    for (size_t i = 0; i < v->data.n; i++)
        if (v->data.list[i].line == line && !v->done[i]) {
            v->done[i] = true;
            return replay_problem(v, record, err);
        }
    return WH_OK; /* beyond --limit */
}
