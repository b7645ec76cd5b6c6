/* lines: a text by its lines, for files of one value a line. */
#ifndef WH_BASE_LINES_H
#define WH_BASE_LINES_H

#include "base/buf.h"

typedef struct wh_lines {
    const char *text; /* of the line; ends where n says, not with a zero */
    size_t      n;
    size_t      number; /* from 1, blank ones counted */
    size_t      at;     /* where the next one begins */
} wh_lines; /* starts as {0} */

/* The next line that is not blank; false: there is none. */
bool wh_lines_next(wh_lines *l, const wh_buf *text);

#endif
