/* html: texts inside a page. */
#ifndef WH_APP_HTML_H
#define WH_APP_HTML_H

#include "base/buf.h"

#include <jansson.h>

/* A text for people: & < > " become entities; control characters but newline and tab become "?". */
void wh_html_text(wh_buf *out, const char *s);
/* A value inside a script element: nothing in it can look like the element's end. */
void wh_html_json(wh_buf *out, const json_t *value);

#endif
