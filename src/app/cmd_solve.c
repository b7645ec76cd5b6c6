/* whet solve: one problem, searched; the answer and the tally of the vote. */
#include "app/cmd.h"
#include "app/interrupt.h"
#include "app/out.h"
#include "app/shipped.h"
#include "app/solve.h"

#include <string.h>

static const wh_opt option_table[] = {
    WH_OPT_BATCH(wh_solve_cmd_opts),
    WH_OPT_FLAG(wh_solve_cmd_opts, json, "json", "everything as one JSON object"),
    WH_OPT_SEED(wh_solve_cmd_opts),
    WH_OPT_CHOICE(wh_solve_cmd_opts, show, "show", "WHAT", "text", "text tree", "what is seen of the search on the way"),
    WH_OPT_STRING(wh_solve_cmd_opts, trace, "trace", "F.jsonl", NULL, "write down the search as it happens, for `whet trace`"),
};

enum { DECIDED = 32 }; /* samples that a policy may want to be computed together */

static wh_code open_trace(wh_solve *v, wh_err *err)
{
    if (!v->o->trace) return WH_OK;
    json_t *about = json_pack("{s:s, s:o, s:s, s:s?, s:I}", "strategy", v->spend->on ? "plan" : v->choice->strategy->name, "params",
                              v->spend->on ? wh_spend_json(v->spend) : wh_search_opts_json(v->choice),
                              "policy", wh_buf_str(&v->l->name), "prm", v->reward.prm ? wh_buf_str(&v->reward.name) : NULL, "seed",
                              (json_int_t)v->o->seed);
    return wh_trace_open(&v->trace, v->o->trace, about, err);
}

static wh_code solve(wh_solve *v, const wh_reward_opts *reward, const wh_load_opts *machine, wh_tok_ids *ids, const wh_buf *text, wh_err *err)
{
    wh_search_choice *choice = v->choice;
    WH_TRY(wh_load_model(v->l, machine, err));
    WH_TRY(wh_load_prompt(v->l, ids, wh_buf_str(text), text->len, err));
    WH_TRY(wh_search_opts_suit(choice, v->l->chat, err));
    size_t wanted = v->spend->on ? DECIDED : choice->n_samples, rows = wanted < (size_t)v->o->batch ? wanted : (size_t)v->o->batch;
    WH_TRY(wh_reward_load(&v->reward, reward, v->l, machine, ids->len + choice->max_tokens, rows, choice->strategy->nested && !v->spend->on ? 0 : wanted, err));
    WH_TRY(open_trace(v, err));
    wh_code code = wh_solve_search(v, ids, wh_buf_str(text), rows, err);
    wh_err second;
    if (wh_trace_close(v->trace, &second) == WH_OK || code != WH_OK) return code;
    *err = second;
    return second.code;
}

static int run(const wh_solve_cmd_opts *o, wh_search_choice *choice, wh_spend *spend, const wh_reward_opts *reward, const wh_load_opts *machine, const char *word)
{
    wh_err err;
    wh_loaded l = {0};
    wh_buf text = {0};
    wh_tok_ids ids = {0};
    wh_solve v = {.o = o, .choice = choice, .spend = spend, .l = &l};
    wh_code code = wh_cmd_text(&text, word, "problem", &err);
    if (code == WH_OK && strspn(wh_buf_str(&text), " \t\r\n") == text.len) code = wh_err_set(&err, WH_ERR_ARG, "the problem is empty");
    if (code == WH_OK) code = solve(&v, reward, machine, &ids, &text, &err);
    for (size_t g = 0; g < v.n_groups; g++) wh_answer_free(&v.groups[g].answer);
    wh_tok_ids_free(&ids);
    wh_buf_free(&text);
    wh_reward_free(&v.reward);
    wh_load_free(&l);
    return code == WH_OK ? v.status : wh_out_error(&err);
}

int wh_cmd_solve(int argc, char **argv)
{
    wh_solve_cmd_opts o = {0};
    wh_load_opts machine = {0};
    wh_reward_opts reward = {0};
    wh_spend_opts spend_opts = {0};
    wh_spend spend = {0};
    wh_search_opts search_opts;
    wh_search_choice choice;
    wh_buf head = {0}, profile = {0}; /* paths of some that come with Whet */
    wh_err err;
    size_t n;
    int status;
    if (wh_search_opts_init(&search_opts, "best_of_n", &err) != WH_OK) return wh_out_error(&err);
    const wh_opt_group groups[] = {{NULL, option_table, sizeof option_table / sizeof option_table[0], &o, NULL},
                                   WH_SEARCH_GROUP(&search_opts), WH_REWARD_GROUP(&reward),
                                   WH_SPEND_GROUP(&spend_opts), WH_LOAD_GROUP(&machine)};
    static const char about[] =
        "Solve a problem (`-`: read it from standard input): sample many solutions, or search for them step by step with\n"
        "a process reward model (--prm), and vote on their answers.\n"
        "The first line of the output is the answer; exit status 1 when no sample came to one.";
    const wh_opt_spec spec = {"solve", "[options] \"problem\"", about, groups, 5, 1, 1, false};
    if (wh_cmd_begin(&spec, argc, argv, &n, &status)) {
        wh_interrupt_catch();
        if (wh_shipped_choose(&reward, &head, machine.policy, search_opts.name, &err) != WH_OK ||
            wh_shipped_profile(&spend_opts, &profile, &machine, &reward, &err) != WH_OK ||
            wh_search_opts_choose(&choice, &search_opts, &reward, &err) != WH_OK ||
            wh_spend_choose(&spend, &spend_opts, &search_opts, &choice, false, &err) != WH_OK)
            status = wh_out_error(&err);
        else status = run(&o, &choice, &spend, &reward, &machine, argv[0]);
    }
    wh_spend_free(&spend);
    wh_search_opts_free(&search_opts);
    wh_buf_free(&head);
    wh_buf_free(&profile);
    return status;
}
