#include "app/reward.h"

#include "app/manifest.h"
#include "app/out.h"
#include "base/file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const wh_opt wh_reward_options[WH_REWARD_OPTIONS] = {
    WH_OPT_CHOICE(wh_reward_opts, aggregate, "aggregate", "A", "last", wh_rule_aggregates + 1,
                  "one score for a solution from those of its steps, for the vote"),
    WH_OPT_CHOICE(wh_reward_opts, grouping, "grouping", "G", "math", "math string",
                  "when two answers are one: the same value, or the very same text"),
    WH_OPT_STRING(wh_reward_opts, prm, "prm", "MODEL", NULL, "a process reward model: name, alias or path (none: not even a head that comes with Whet)"),
    WH_OPT_STRING(wh_reward_opts, calibration, "prm-calibration", WH_CALIBRATION_SHAPE, NULL, WH_CALIBRATION_HELP),
    WH_OPT_STRING(wh_reward_opts, head, "prm-head", "FILE", NULL, "a head file; the PRM is its trunk, or the policy when there is no --prm"),
    WH_OPT_STRING(wh_reward_opts, kind, "prm-kind", "KIND", NULL, "how to use a model that does not say it: judge, math-shepherd, ..."),
    WH_OPT_FLAG(wh_reward_opts, speculate, "speculate", "rows that would wait for the slowest step of a round go on with the best so far"),
    WH_OPT_CHOICE(wh_reward_opts, vote, "vote", "V", NULL, wh_rule_votes + 1, "how the answer is chosen (with a PRM prm_vote, else majority)"),
};

bool wh_reward_wanted(const wh_reward_opts *o) { return o->prm || o->head; }

wh_code wh_reward_calibration(wh_prm_calibration *out, const char *text, wh_err *err)
{
    double value[5] = {0};
    size_t n = 0;
    char *at = NULL;
    for (const char *from = text; n < 5; from = at + 1) {
        value[n] = strtod(from, &at);
        if (at == from) {
            n = 0;
            break;
        }
        n++;
        if (*at != ',') break;
    }
    if (*at || n < 2 || n == 3)
        return wh_err_set(err, WH_ERR_ARG, "a calibration is 2, 4 or 5 numbers, like 0.7,-0.2, not '%.40s'", text);
    *out = (wh_prm_calibration){.slope = value[0], .offset = value[1], .fails = value[2], .holds = value[3], .omits = value[4]};
    if (!(out->slope > 0)) return wh_err_set(err, WH_ERR_ARG, "a calibration needs a slope above 0, not '%.40s'", text);
    return WH_OK;
}

json_t *wh_reward_calibration_json(const wh_prm_calibration *c)
{
    if (c->omits != 0) return json_pack("[f, f, f, f, f]", c->slope, c->offset, c->fails, c->holds, c->omits);
    if (c->fails != 0 || c->holds != 0) return json_pack("[f, f, f, f]", c->slope, c->offset, c->fails, c->holds);
    return json_pack("[f, f]", c->slope, c->offset);
}

wh_grouping wh_reward_grouping(const wh_reward_opts *o) { return strcmp(o->grouping, "string") == 0 ? WH_GROUP_STRING : WH_GROUP_MATH; }

wh_code wh_reward_rule(wh_rule *out, const wh_reward_opts *o, const wh_vote *otherwise, wh_err *err)
{
    bool scored = wh_reward_wanted(o);
    if (o->kind && !scored) return wh_err_set(err, WH_ERR_ARG, "--prm-kind says how to use a PRM: --prm MODEL is missing");
    if (o->calibration && !scored)
        return wh_err_set(err, WH_ERR_ARG, "--prm-calibration is for the scores of a PRM: --prm MODEL is missing");
    if (o->speculate && !scored) return wh_err_set(err, WH_ERR_ARG, "--speculate runs ahead of a PRM's choice: --prm MODEL is missing");
    const wh_vote *usual = otherwise ? otherwise : scored ? &wh_vote_prm_vote : &wh_vote_majority;
    *out = wh_rule_of(o->vote ? o->vote : usual->name, o->aggregate);
    if (out->vote->needs_scores && !scored)
        return wh_err_set(err, WH_ERR_ARG, "the vote %s counts the scores of a PRM: --prm MODEL is missing", out->vote->name);
    return WH_OK;
}

/* ---- models ------------------------------------------------------------------------------------------------------ */

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static wh_code find_names(wh_reward *r, const wh_reward_opts *o, const wh_loaded *policy, wh_err *err)
{
    if (o->prm) {
        WH_TRY(wh_manifest_resolve(&r->path, o->prm, err));
        WH_TRY(wh_load_name(&r->name, o->prm, wh_buf_str(&r->path), err));
    } else {
        wh_buf_puts(&r->path, wh_buf_str(&policy->path));
        wh_buf_puts(&r->name, wh_buf_str(&policy->name));
    }
    r->head = o->head;
    if (o->head) {
        const char *slash = strrchr(o->head, '/');
        wh_buf_printf(&r->name, " with %s", slash ? slash + 1 : o->head);
    }
    if (!wh_buf_ok(&r->path) || !wh_buf_ok(&r->name)) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a name");
    r->same = same_file(wh_buf_str(&r->path), wh_buf_str(&policy->path));
    r->attached = o->head && r->same;
    return WH_OK;
}

wh_code wh_reward_load(wh_reward *r, const wh_reward_opts *o, wh_loaded *policy, const wh_load_opts *machine, size_t tokens, size_t rows,
                       size_t paths, wh_err *err)
{
    wh_load_opts share = *machine;
    r->form = wh_load_form(machine);
    if (wh_reward_wanted(o)) WH_TRY(find_names(r, o, policy, err));
    r->calibrated = o->calibration != NULL;
    if (o->calibration) WH_TRY(wh_reward_calibration(&r->calibration, o->calibration, err));
    bool two = wh_reward_wanted(o) && !r->attached;
    if (two) share.memory /= 2;
    enum { BLANK_LINE = 4 }; /* tokens of one: a head on the policy reads it behind the last step too */
    WH_TRY(wh_load_engine(policy, &share, tokens + (r->attached ? BLANK_LINE : 0), rows, paths, 0, err));
    if (!wh_reward_wanted(o)) return WH_OK;
    const wh_prm_opts opts = {.kind = o->kind,
                              .head = o->head,
                              .calibration = r->calibrated ? &r->calibration : NULL,
                              .isa = policy->model->isa,
                              .form = r->form,
                              .engine = {.memory = share.memory, .max_rows = rows, .paths = paths}};
    const wh_prm_policy on = {.path = wh_buf_str(&policy->path), .model = policy->model, .tok = policy->tok, .chat = policy->chat,
                              .engine = r->attached ? policy->engine : NULL};
    wh_out_progress("loading %s", wh_buf_str(&r->name));
    wh_code code = r->same ? wh_prm_attach(&r->prm, &on, &opts, policy->par, err)
                           : wh_prm_open(&r->prm, wh_buf_str(&r->path), &opts, policy->par, err);
    wh_out_progress("%s", "");
    return code == WH_OK ? WH_OK : wh_err_wrap(err, "the PRM");
}

void wh_reward_backend(wh_backend *out, wh_reward *r, const wh_loaded *policy, size_t rows)
{
    if (!r->prm) {
        wh_backend_engine(out, policy->engine);
        return;
    }
    r->pair = (wh_backend_pair){.policy = policy->engine, .prm = r->prm, .attached = r->attached, .rows = rows};
    wh_backend_engine_pair(out, &r->pair);
}

void wh_reward_free(wh_reward *r)
{
    wh_prm_free(r->prm);
    wh_buf_free(&r->path);
    wh_buf_free(&r->name);
    *r = (wh_reward){0};
}

wh_code wh_reward_costs(wh_costs *out, const wh_reward *r, const wh_loaded *policy, wh_err *err)
{
    wh_prm_sizes sizes;
    WH_TRY(wh_forecast_prm(&sizes, r->prm, r->attached, "", err));
    *out = (wh_costs){.policy = *wh_engine_cost(policy->engine), .has_prm = r->prm != NULL, .attached = r->attached, .around = sizes.around};
    if (!r->prm) return WH_OK;
    out->prm = *wh_prm_cost(r->prm);
    out->in_passing = wh_prm_in_passing(r->prm);
    return WH_OK;
}

wh_code wh_reward_json(json_t **out, const wh_reward *r, wh_err *err)
{
    char model[65], head[65];
    *out = NULL;
    if (r->prm) {
        WH_TRY(wh_load_sha256(model, wh_buf_str(&r->path), err));
        if (r->head) WH_TRY(wh_load_sha256(head, r->head, err));
        json_t *calibration = r->calibrated ? wh_reward_calibration_json(&r->calibration) : NULL;
        *out = json_pack("{s:s, s:s, s:s, s:s?, s:s*, s:o*}", "name", wh_buf_str(&r->name), "kind", wh_prm_name(r->prm), "sha256", model,
                         "head_sha256", r->head ? head : NULL, "form", r->form == WH_MAT_FAST ? "fast" : NULL, "calibration", calibration);
    } else {
        *out = json_null();
    }
    return *out ? WH_OK : wh_err_set(err, WH_ERR_NOMEM, "no memory for the PRM's name");
}
