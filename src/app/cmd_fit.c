/* whet fit: a head from graded samples. */
#include "app/cmd.h"
#include "app/fit.h"
#include "app/interrupt.h"
#include "app/out.h"

#include <string.h>

/* The command for the head file, each path by its last part: what lies where is nobody's business. */
static void put_command(wh_buf *out, int argc, char **argv)
{
    wh_buf_puts(out, "whet fit");
    for (int i = 0; i < argc; i++) {
        const char *slash = strrchr(argv[i], '/');
        wh_buf_printf(out, " %s", slash ? slash + 1 : argv[i]);
    }
}

int wh_cmd_fit(int argc, char **argv)
{
    wh_fit_opts o = {.l2 = -1};
    wh_samples_opts from = {0};
    wh_load_opts machine = {0};
    const wh_opt_group groups[] = {WH_FIT_GROUP(&o), WH_SAMPLES_GROUP(&from), WH_LOAD_GROUP(&machine)};
    static const char about[] =
        "Fit a small head on the hidden states of a model, the trunk, from the graded samples in journals.\n"
        "  prm          how right a solution is so far: a process reward model for --prm-head\n"
        "  difficulty   how often a sample will be right, from the prompt alone\n"
        "The trunk may be the policy itself (then scores cost next to nothing) or any other model. What is\n"
        "reported is of problems that the fit had not seen; the head that is written was fitted on all.";
    const wh_opt_spec spec = {"fit", "prm|difficulty --trunk MODEL --journal FILE --data FILE -o FILE [options]", about, groups, 3, 1, 1, false};
    wh_buf command = {0};
    put_command(&command, argc, argv);
    static char out[] = "--out"; /* its short form is what everybody types */
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "-o") == 0) argv[i] = out;
    size_t n;
    int status;
    if (wh_cmd_begin(&spec, argc, argv, &n, &status)) {
        wh_err err;
        wh_fit f = {.o = &o, .from = &from, .machine = &machine, .command = wh_buf_str(&command)};
        bool prm = strcmp(argv[0], "prm") == 0;
        wh_interrupt_catch();
        wh_code code = prm || strcmp(argv[0], "difficulty") == 0
                           ? wh_fit_begin(&f, &err)
                           : wh_err_set(&err, WH_ERR_ARG, "`whet fit` makes heads of kind prm or difficulty, not '%.40s'", argv[0]);
        if (code == WH_OK) code = prm ? wh_fit_prm(&f, &err) : wh_fit_difficulty(&f, &err);
        if (code != WH_OK) status = wh_out_error(&err);
        wh_fit_free(&f);
    }
    wh_buf_free(&command);
    return status;
}
