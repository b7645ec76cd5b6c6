/* width: texts of models in a given number of terminal columns. */
#ifndef WH_APP_WIDTH_H
#define WH_APP_WIDTH_H

#include "base/buf.h"

/* Append a text as one line of at most `columns`, cut with "…" (where there is room for it), runs of white space
 * as one space, none around it. Control characters and broken UTF-8 become "?", so that no text steers the
 * terminal. pad: fill with spaces up to `columns`. Returns the columns used. */
size_t wh_width_put(wh_buf *out, const char *text, size_t n, size_t columns, bool pad);

#endif
