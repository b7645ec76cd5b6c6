#include "app/fit.h"
#include "app/json.h"
#include "app/score_journal.h"
#include "base/buf.h"
#include "base/file.h"
#include "journal/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a token costs the trunk as far as the head reads it, and a score the head. */
static wh_cost cost_of(const wh_fit *f)
{
    wh_config computed = f->config;
    computed.layers = f->layers[f->n_layers - 1];
    wh_cost c = wh_engine_cost_of(&computed);
    const wh_net *net = &f->result.net;
    c.head = 2 * (uint64_t)(net->hidden ? net->hidden * (net->d + 1) : net->d);
    return c;
}

static wh_code append_all(wh_journal *j, const wh_fit *f, const wh_judged_sample *samples, bool in_passing, wh_err *err)
{
    const wh_cost cost = cost_of(f);
    for (size_t i = 0, at = 0; i < f->data.n; i++) {
        const wh_fit_problem *p = &f->data.problems[i];
        json_t *records = json_array();
        wh_code code = WH_OK;
        for (size_t k = 0; code == WH_OK && k < p->n; k++, at++) {
            char key[65];
            code = wh_scores_key(key, p, &p->samples[k], err);
            if (code == WH_OK)
                json_array_append_new(records, wh_scores_record(key, p, &p->samples[k], &samples[at],
                                                                wh_scores_flops(&cost, in_passing, p->samples[k].n_ids, samples[at].n)));
        }
        if (code == WH_OK) code = wh_journal_append(j, records, err);
        json_decref(records);
        WH_TRY(code);
    }
    return WH_OK;
}

wh_code wh_fit_unseen_scores(const wh_fit *f, const wh_judged_sample *samples, wh_err *err)
{
    if (!f->o->unseen) return WH_OK;
    char head[65];
    json_t *header = NULL;
    wh_journal *j = NULL;
    size_t torn;
    bool own = strcmp(f->data.policy_sha256, f->head.trunk_sha256) == 0, before = strcmp(f->o->step, "before_blank_line") == 0;
    WH_TRY(wh_load_sha256(head, f->o->out, err));
    WH_TRY(wh_scores_header(&header, "head", f->head.trunk_sha256, head, NULL, &f->data, own, 0, err));
    remove(f->o->unseen); /* written anew, as the head is */
    wh_code code = wh_journal_open(&j, f->o->unseen, header, NULL, NULL, &torn, err);
    if (code == WH_OK) code = append_all(j, f, samples, own && before, err);
    wh_err second;
    wh_code closing = wh_journal_close(j, code == WH_OK ? err : &second);
    json_decref(header);
    return code == WH_OK ? closing : code;
}

wh_code wh_fit_unseen_passes(const wh_fit *f, const wh_train_set *set, wh_err *err)
{
    if (!f->o->unseen) return WH_OK;
    wh_buf text = {0};
    for (size_t i = 0; i < set->n; i++) {
        json_t *o = json_pack("{s:s, s:f}", "problem_sha256", f->data.problems[set->points[i].problem].sha256, "pass", set->points[i].score);
        char *line = o ? json_dumps(o, JSON_COMPACT) : NULL;
        wh_buf_puts(&text, line ? line : "");
        wh_buf_putc(&text, '\n');
        free(line);
        json_decref(o);
    }
    wh_code code = wh_buf_ok(&text) ? wh_file_write(f->o->unseen, text.data, text.len, err) : wh_err_set(err, WH_ERR_NOMEM, "no memory for %zu lines", set->n);
    wh_buf_free(&text);
    return code;
}
