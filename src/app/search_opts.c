#include "app/search_opts.h"

#include "app/suggest.h"

#include <stdlib.h>
#include <string.h>

static const char majority[] = "majority";

static const struct {
    const char *name, *text;
} suited[] = {{"temperature", "0.6"}, {"top-p", "0.95"}, {"max-tokens", "32768"}};
enum { N_SUITED = sizeof suited / sizeof suited[0] };

static int by_name(const void *a, const void *b)
{
    return strcmp(((const wh_opt *)a)->name, ((const wh_opt *)b)->name);
}

static const wh_param *row_of(size_t strategy, const char *name)
{
    const wh_strategy *y = wh_strategy_table[strategy];
    return wh_param_find(y->params, y->n_params, name);
}

/* The row whose default most strategies share. */
static const wh_param *usual(const char *name)
{
    const wh_param *best = NULL;
    size_t most = 0;
    for (size_t s = 0; s < wh_strategy_count; s++) {
        const wh_param *row = row_of(s, name), *other;
        size_t same = 0;
        for (size_t k = 0; row && k < wh_strategy_count; k++) same += (other = row_of(k, name)) && other->def == row->def;
        if (same > most) {
            most = same;
            best = row;
        }
    }
    return best;
}

static void put_default(wh_buf *out, const wh_param *row)
{
    wh_params p;
    wh_param_defaults(&p, row, 1);
    if (row->type == WH_PARAM_REAL) wh_buf_printf(out, "%g", row->def);
    else wh_param_print(out, &p, row);
}

/* "lookahead: steps of each rollout (default 1)", "0 takes the most probable token (default 0.7; cot: 0)" */
static void describe(wh_buf *help, const char *name)
{
    enum { FEW = 3 }; /* strategies that are named because a parameter is theirs alone */
    const wh_param *row = usual(name), *own;
    size_t users = 0;
    for (size_t s = 0; s < wh_strategy_count; s++) users += row_of(s, name) != NULL;
    for (size_t s = 0; users <= FEW && s < wh_strategy_count; s++)
        if (row_of(s, name)) wh_buf_printf(help, "%s%s", help->len ? ", " : "", wh_strategy_table[s]->name);
    wh_buf_printf(help, "%s%s%s%s (default ", help->len ? ": " : "", row->help, row->choices ? ": " : "", row->choices ? row->choices : "");
    put_default(help, row);
    for (size_t s = 0; s < wh_strategy_count; s++)
        if ((own = row_of(s, name)) && own->def != row->def) {
            wh_buf_printf(help, "; %s: ", wh_strategy_table[s]->name);
            put_default(help, own);
        }
    wh_buf_putc(help, ')');
}

static bool is_known(const wh_search_opts *o, const char *name)
{
    for (size_t i = 0; i < o->n; i++)
        if (strcmp(o->table[i].name, name) == 0) return true;
    return false;
}

static wh_code fill(wh_search_opts *o, const char *default_strategy, wh_err *err)
{
    *o = (wh_search_opts){0};
    wh_buf *help = &o->helps[0];
    const wh_opt strategy = WH_OPT_STRING(wh_search_opts, name, "strategy", "S", NULL, NULL);
    o->table[o->n++] = strategy;
    o->table[0].init = default_strategy;
    wh_buf_puts(help, "how to search:");
    for (size_t s = 0; s < wh_strategy_count; s++) {
        const wh_strategy *y = wh_strategy_table[s];
        wh_buf_printf(help, " %s (%s),", y->name, y->help);
        for (size_t i = 0; i < y->n_params; i++) {
            const wh_param *row = &y->params[i];
            if (is_known(o, row->name)) continue;
            if (o->n == WH_SEARCH_OPTS_MAX) return wh_err_set(err, WH_ERR_BUDGET, "too many parameters of strategies");
            describe(&o->helps[o->n], row->name);
            o->table[o->n] = (wh_opt){.name = row->name,
                                      .type = WH_OPT_TYPE_STRING,
                                      .at = offsetof(wh_search_opts, texts) + o->n * sizeof o->texts[0],
                                      .value = row->type == WH_PARAM_INT ? "K" : "X",
                                      .help = wh_buf_str(&o->helps[o->n])};
            o->n++;
        }
    }
    wh_buf_printf(help, " %s (best_of_n with that vote)", majority);
    o->table[0].help = wh_buf_str(help);
    for (size_t i = 0; i < o->n; i++)
        if (!wh_buf_ok(&o->helps[i])) return wh_err_set(err, WH_ERR_NOMEM, "no memory for the options");
    qsort(o->table, o->n, sizeof o->table[0], by_name);
    return WH_OK;
}

wh_code wh_search_opts_init(wh_search_opts *o, const char *default_strategy, wh_err *err)
{
    wh_code code = fill(o, default_strategy, err);
    if (code != WH_OK) wh_search_opts_free(o);
    return code;
}

void wh_search_opts_free(wh_search_opts *o)
{
    for (size_t i = 0; i < WH_SEARCH_OPTS_MAX; i++) wh_buf_free(&o->helps[i]);
}

static wh_code find_strategy(const wh_strategy **out, const char *name, wh_err *err)
{
    *out = wh_strategy_find(strcmp(name, majority) == 0 ? "best_of_n" : name);
    if (*out) return WH_OK;
    const char *names[WH_SEARCH_OPTS_MAX];
    size_t n = 0;
    names[n++] = majority;
    for (size_t i = 0; i < wh_strategy_count && n < WH_SEARCH_OPTS_MAX; i++) names[n++] = wh_strategy_table[i]->name;
    const char *near = wh_suggest_name(name, names, n);
    wh_buf all = {0};
    for (size_t i = 0; i < n; i++) wh_buf_printf(&all, " %s", names[i]);
    if (near) wh_err_set(err, WH_ERR_ARG, "unknown strategy '%.40s'; did you mean %s?", name, near);
    else wh_err_set(err, WH_ERR_ARG, "unknown strategy '%.40s'; there are:%s", name, wh_buf_str(&all));
    wh_buf_free(&all);
    return WH_ERR_ARG;
}

/* The value of a parameter as a number, `otherwise` when the strategy does not have it. */
static size_t whole(const wh_search_choice *c, const char *name, size_t otherwise)
{
    const wh_param *row = wh_param_find(c->strategy->params, c->strategy->n_params, name);
    if (!row) return otherwise;
    uint32_t v;
    memcpy(&v, c->params.bytes + row->offset, sizeof v);
    return v;
}

wh_code wh_search_opts_set(wh_search_opts *o, const char *name, const char *text, wh_err *err)
{
    for (size_t i = 0; i < o->n; i++)
        if (strcmp(o->table[i].name, name) == 0) return wh_opt_set(&o->table[i], o, name, text, err);
    return wh_err_set(err, WH_ERR_ARG, "no strategy has a parameter %s", name);
}

bool wh_search_opts_typed(const wh_search_opts *o, const char *name)
{
    for (size_t i = 0; i < o->n; i++) {
        const char *text;
        memcpy(&text, (const char *)o + o->table[i].at, sizeof text);
        if (strcmp(o->table[i].name, name) == 0) return text && text != o->table[i].init;
    }
    return false;
}

wh_code wh_search_opts_choose(wh_search_choice *out, const wh_search_opts *o, const wh_reward_opts *reward, wh_err *err)
{
    *out = (wh_search_choice){.grouping = wh_reward_grouping(reward), .speculate = reward->speculate};
    WH_TRY(find_strategy(&out->strategy, o->name, err));
    const wh_strategy *y = out->strategy;
    if (y->needs_prm && !wh_reward_wanted(reward))
        return wh_err_set(err, WH_ERR_ARG, "the strategy %s is guided by a process reward model: --prm MODEL is missing", y->name);
    WH_TRY(wh_reward_rule(&out->rule, reward, strcmp(o->name, majority) == 0 ? &wh_vote_majority : NULL, err));
    wh_param_defaults(&out->params, y->params, y->n_params);
    for (size_t i = 0; i < o->n; i++) {
        const wh_opt *line = &o->table[i];
        const char *text;
        memcpy(&text, (const char *)o + line->at, sizeof text);
        if (!text || strcmp(line->name, "strategy") == 0) continue;
        if (!wh_param_find(y->params, y->n_params, line->name))
            return wh_err_set(err, WH_ERR_ARG, "--%s is no parameter of the strategy %s", line->name, y->name);
        WH_TRY(wh_param_set(&out->params, y->params, y->n_params, line->name, text, err));
    }
    for (size_t i = 0; i < N_SUITED; i++) out->usual[i] = !wh_search_opts_typed(o, suited[i].name);
    out->n_samples = whole(out, "n", 1);
    out->max_tokens = whole(out, "max-tokens", 2048);
    return WH_OK;
}

wh_code wh_search_opts_suit(wh_search_choice *c, const wh_chat *chat, wh_err *err)
{
    const wh_strategy *y = c->strategy;
    if (!chat || strcmp(wh_chat_name(chat), "deepseek") != 0) return WH_OK;
    for (size_t i = 0; i < N_SUITED; i++)
        if (c->usual[i] && wh_param_find(y->params, y->n_params, suited[i].name))
            WH_TRY(wh_param_set(&c->params, y->params, y->n_params, suited[i].name, suited[i].text, err));
    c->max_tokens = whole(c, "max-tokens", c->max_tokens);
    return WH_OK;
}

json_t *wh_search_opts_json(const wh_search_choice *c)
{
    const wh_strategy *y = c->strategy;
    json_t *o = json_object();
    json_object_set_new(o, "strategy", json_string(y->name));
    wh_buf text = {0};
    for (size_t i = 0; i < y->n_params; i++) {
        const wh_param *row = &y->params[i];
        wh_buf_clear(&text);
        wh_param_print(&text, &c->params, row);
        const char *s = wh_buf_str(&text);
        json_object_set_new(o, row->name, row->type == WH_PARAM_CHOICE ? json_string(s)
                                          : row->type == WH_PARAM_INT  ? json_integer(strtoll(s, NULL, 10))
                                                                       : json_real(strtod(s, NULL)));
    }
    json_object_set_new(o, "grouping", json_string(c->grouping == WH_GROUP_STRING ? "string" : "math"));
    wh_buf_free(&text);
    return o;
}
