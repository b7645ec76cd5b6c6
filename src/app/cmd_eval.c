/* whet eval: a problem set, journaled; accuracy for every n from one run. */
#include "app/cmd.h"
#include "app/eval.h"
#include "app/out.h"
#include "app/shipped.h"

int wh_cmd_eval(int argc, char **argv)
{
    wh_eval_opts o = {0};
    wh_load_opts machine = {0};
    wh_reward_opts reward = {0};
    wh_spend_opts spend = {0};
    wh_search_opts search_opts;
    wh_eval v = {.o = &o};
    wh_buf head = {0}, profile = {0}; /* paths of some that come with Whet */
    wh_err err;
    size_t n;
    int status;
    if (wh_search_opts_init(&search_opts, "best_of_n", &err) != WH_OK) return wh_out_error(&err);
    const wh_opt_group groups[] = {WH_EVAL_GROUP(&o), WH_SEARCH_GROUP(&search_opts), WH_REWARD_GROUP(&reward),
                                   WH_SPEND_GROUP(&spend), WH_LOAD_GROUP(&machine)};
    static const char about[] =
        "Solve a problem set and grade the answers. From one run with N samples comes the accuracy for every\n"
        "power of two up to N, with its 95 % interval (Wilson). With --journal a run that was interrupted, even\n"
        "killed, goes on where it stopped.";
    const wh_opt_spec spec = {"eval", "--data FILE [options]", about, groups, 5, 0, 0, false};
    if (wh_cmd_begin(&spec, argc, argv, &n, &status)) {
        wh_code code = o.data ? wh_shipped_choose(&reward, &head, machine.policy, search_opts.name, &err)
                              : wh_err_set(&err, WH_ERR_ARG, "--data is missing: usage is whet eval %s", spec.synopsis);
        if (code == WH_OK) code = wh_shipped_profile(&spend, &profile, &machine, &reward, &err);
        if (code == WH_OK) code = wh_search_opts_choose(&v.choice, &search_opts, &reward, &err);
        if (code == WH_OK) code = wh_spend_choose(&v.spend, &spend, &search_opts, &v.choice, true, &err);
        if (code == WH_OK) code = wh_eval_solve(&v, &reward, &machine, &err);
        if (code != WH_OK) status = wh_out_error(&err);
    }
    wh_eval_free(&v);
    wh_search_opts_free(&search_opts);
    wh_buf_free(&head);
    wh_buf_free(&profile);
    return status;
}
