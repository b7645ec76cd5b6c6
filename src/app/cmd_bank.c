/* whet bank: from journals of `whet eval` to a bank for `whet replay` and `whet calibrate`. */
#include "app/cmd.h"
#include "app/out.h"
#include "plan/bank.h"

typedef struct options {
    const char    *out;
    wh_opt_strings difficulty, scores;
    int64_t        samples;
} options;

static const wh_opt option_table[] = {
    WH_OPT_STRINGS(options, difficulty, "difficulty", "FILE", "what prompts let expect: the output of `whet difficulty`; again for more"),
    WH_OPT_STRING(options, out, "o", "FILE", NULL, "where the bank goes"),
    WH_OPT_INT(options, samples, "samples-per-problem", "K", "0", 0, 65536, "the first K samples of each; 0: all"),
    WH_OPT_STRINGS(options, scores, "scores", "FILE", "scores of samples that were drawn without a PRM: `whet score --out`; again for more"),
};

int wh_cmd_bank(int argc, char **argv)
{
    options o = {0};
    wh_err err;
    size_t n, problems;
    int status;
    const wh_opt_group groups[] = {{NULL, option_table, sizeof option_table / sizeof option_table[0], &o, NULL}};
    static const char about[] =
        "Make a bank of journals of `whet eval`: samples with verdicts, tokens and step scores, without their texts, on\n"
        "which `whet replay` simulates ways of spending compute. Journals of best_of_n give the samples; those of other\n"
        "strategies, on the same problems, add whole searches. They must be of one policy.";
    const wh_opt_spec spec = {"bank", "JOURNAL... -o FILE", about, groups, 1, 1, 4096, false};
    if (!wh_cmd_begin(&spec, argc, argv, &n, &status)) return status;
    const wh_bank_sources from = {.journals = (const char *const *)argv, .n_journals = n, .scores = o.scores.v, .n_scores = o.scores.n,
                                  .difficulty = o.difficulty.v, .n_difficulty = o.difficulty.n, .samples = (size_t)o.samples};
    wh_code code = o.out ? wh_bank_make(o.out, &from, &problems, &err)
                         : wh_err_set(&err, WH_ERR_ARG, "-o is missing: usage is whet bank %s", spec.synopsis);
    if (code != WH_OK) return wh_out_error(&err);
    wh_out_printf("%s: %zu problems\n", o.out, problems);
    return WH_EXIT_OK;
}
