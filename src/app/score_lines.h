/* score_lines: given solutions, a JSON object a line, and their step scores as such lines. */
#ifndef WH_APP_SCORE_LINES_H
#define WH_APP_SCORE_LINES_H

#include "reward/prm.h"

typedef struct wh_score_lines wh_score_lines;

/* path "-": standard input. On failure *out may be there, to be freed. */
wh_code wh_score_lines_read(wh_score_lines **out, const char *path, wh_err *err);
/* Scores are printed in the order of the lines, each as soon as it may be; at most `batch` are read together. */
wh_code wh_score_lines_run(wh_score_lines *r, wh_prm *prm, size_t batch, wh_err *err);
/* After the PRM, which may still be scoring them. */
void    wh_score_lines_free(wh_score_lines *r);

#endif
