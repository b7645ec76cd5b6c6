#include "plan/profile.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "plan/beta.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const double wh_bin_bounds[2] = {0.5, 0.1};

wh_bin wh_bin_of(double pass)
{
    return pass >= wh_bin_bounds[WH_BIN_EASY] ? WH_BIN_EASY : pass >= wh_bin_bounds[WH_BIN_MEDIUM] ? WH_BIN_MEDIUM : WH_BIN_HARD;
}

wh_bin wh_bin_likeliest(const wh_estimate *e)
{
    double easy = e->at_least[WH_BIN_EASY], hard = 1 - e->at_least[WH_BIN_MEDIUM], medium = 1 - easy - hard;
    return easy >= medium && easy >= hard ? WH_BIN_EASY : medium >= hard ? WH_BIN_MEDIUM : WH_BIN_HARD;
}

wh_estimate wh_estimate_of(double mean, double strength)
{
    wh_estimate e = {mean, {mean, mean}};
    double a = strength * mean, b = strength * (1 - mean);
    for (int i = 0; i < 2; i++) /* at 0 and 1 there is nothing round the mean */
        e.at_least[i] = a > 0 && b > 0 ? 1 - wh_beta_cdf(wh_bin_bounds[i], a, b) : mean > 0.5;
    return e;
}

const char *wh_bin_name(wh_bin bin)
{
    static const char *const names[] = {"easy", "medium", "hard"};
    return names[bin];
}

void wh_profile_priors(wh_profile *out)
{
    *out = (wh_profile){
        .votes = {.a = 0.5, .b = 0.8, .theta = 8},
        .tokens = 256,
        .slope = 1,
        .pilot = {-3, 5, 0, -1, 0, 0, 0, -1},
        .keen = 0.7,
        .sure_prompt = 3,
        .sure_pilot = 6,
    };
}

static double number(const json_t *o, const char *key, double otherwise)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

static wh_code read_rows(wh_profile *p, const json_t *list, const char *path, wh_err *err)
{
    p->rows = wh_mem_zalloc(json_array_size(list), sizeof *p->rows);
    if (!p->rows) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a profile");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        const char *bin = json_string_value(json_object_get(o, "bin")), *strategy = json_string_value(json_object_get(o, "strategy"));
        wh_profile_row *r = &p->rows[p->n_rows++];
        r->bin = WH_BINS;
        for (int b = 0; bin && b < WH_BINS; b++)
            if (strcmp(bin, wh_bin_name((wh_bin)b)) == 0) r->bin = (wh_bin)b;
        if (r->bin == WH_BINS || !strategy) return wh_err_set(err, WH_ERR_FORMAT, "%s: row %zu has no bin or no strategy", path, i + 1);
        snprintf(r->strategy, sizeof r->strategy, "%s", strategy);
        r->n = (size_t)number(o, "n", 1);
        r->accuracy = number(o, "accuracy", 0);
        r->low = number(o, "low", 0);
        r->high = number(o, "high", 1);
        r->flops = number(o, "flops", 0);
    }
    return WH_OK;
}

static wh_code read_json(wh_profile *p, const json_t *json, const char *path, wh_err *err)
{
    const char *kind = json_string_value(json_object_get(json, "profile"));
    if (!kind || strcmp(kind, "whet") != 0) return wh_err_set(err, WH_ERR_FORMAT, "%s is no profile of Whet", path);
    if (json_integer_value(json_object_get(json, "version")) != 1)
        return wh_err_set(err, WH_ERR_UNSUPPORTED, "%s is a profile of another version", path);
    const json_t *votes = json_object_get(json, "votes"), *scores = json_object_get(json, "scores");
    p->fitted = true;
    p->votes.a = number(votes, "a", p->votes.a);
    p->votes.b = number(votes, "b", p->votes.b);
    p->votes.theta = number(votes, "theta", p->votes.theta);
    p->tokens = number(json, "tokens", p->tokens);
    p->slope = number(scores, "slope", p->slope);
    p->offset = number(scores, "offset", p->offset);
    p->keen = number(scores, "keen", p->keen);
    const json_t *pilot = json_object_get(json, "pilot");
    for (size_t i = 0; i < WH_PROFILE_PILOT && json_array_size(pilot) == WH_PROFILE_PILOT; i++)
        p->pilot[i] = json_number_value(json_array_get(pilot, i));
    const json_t *sure = json_object_get(json, "sure");
    p->sure_prompt = number(sure, "prompt", p->sure_prompt);
    p->sure_pilot = number(sure, "pilot", p->sure_pilot);
    p->n = (size_t)number(json, "problems", 0);
    if (!(p->votes.a > 0 && p->votes.b > 0 && p->votes.theta > 0 && p->tokens > 0 && p->sure_prompt > 0 && p->sure_pilot > 0))
        return wh_err_set(err, WH_ERR_FORMAT, "%s: a, b, theta, tokens and sure must be above 0", path);
    return read_rows(p, json_object_get(json, "rows"), path, err);
}

wh_code wh_profile_take(wh_profile *out, json_t *json, const char *name, wh_err *err)
{
    wh_profile_priors(out);
    out->json = json;
    wh_code code = read_json(out, json, name, err);
    if (code != WH_OK) wh_profile_free(out);
    return code;
}

wh_code wh_profile_read(wh_profile *out, const char *path, wh_err *err)
{
    enum { LIMIT = 1 << 24 };
    *out = (wh_profile){0};
    wh_buf text = {0};
    wh_code code = wh_file_read(&text, path, LIMIT, err);
    json_error_t why;
    json_t *json = code == WH_OK ? json_loadb(wh_buf_str(&text), text.len, JSON_REJECT_DUPLICATES, &why) : NULL;
    if (code == WH_OK && !json) code = wh_err_set(err, WH_ERR_FORMAT, "%s, line %d: %s", path, why.line, why.text);
    if (code == WH_OK) code = wh_profile_take(out, json, path, err);
    wh_buf_free(&text);
    return code;
}

void wh_profile_free(wh_profile *p)
{
    free(p->rows);
    json_decref(p->json);
    *p = (wh_profile){0};
}

static bool is_none(const json_t *x) { return !x || json_is_null(x); }

const char *wh_profile_differs(const wh_profile *p, const json_t *header, bool scores)
{
    const json_t *own = json_object_get(p->json, "policy"), *policy = json_object_get(header, "policy");
    const json_t *own_prm = json_object_get(p->json, "prm"), *prm = json_object_get(header, "prm");
    if (is_none(own)) return NULL; /* priors, or one made by hand */
    if (!json_equal(json_object_get(own, "sha256"), json_object_get(policy, "sha256"))) return "policy";
    bool same = is_none(own_prm) ? is_none(prm) : json_equal(own_prm, prm);
    return scores && !same ? "PRM" : NULL;
}

const json_t *wh_profile_params(const wh_profile *p, const char *policy)
{
    return json_object_get(json_object_get(p->json, "params"), policy);
}
