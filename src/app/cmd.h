/* cmd: the commands and what they share when they start. */
#ifndef WH_APP_CMD_H
#define WH_APP_CMD_H

#include "app/opt.h"

#define WH_CMD(name, summary) int wh_cmd_##name(int argc, char **argv);
#include "app/cmd.def"
#undef WH_CMD

/* Parse the command line. false: the command is over with *status, because --help was printed or an error
 * was. true: argv[0 .. *n_args) are its arguments, *status is WH_EXIT_OK. */
bool wh_cmd_begin(const wh_opt_spec *spec, int argc, char **argv, size_t *n_args, int *status);

/* An argument that is a text, or `-`: standard input. Appends to out; `what` names it in sentences. */
wh_code wh_cmd_text(wh_buf *out, const char *word, const char *what, wh_err *err);

#endif
