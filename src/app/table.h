/* table: cells of text under a heading, as plain text, Markdown or HTML.
 *
 * The first columns are text and stand to the left, the others are numbers and stand to the right.
 */
#ifndef WH_APP_TABLE_H
#define WH_APP_TABLE_H

#include "base/buf.h"

typedef struct wh_table {
    wh_buf      title, note; /* a line above, a paragraph below; "": none */
    size_t      columns, left;
    wh_buf     *cells; /* the heading, then row after row */
    size_t      n, cap;
    bool        failed; /* no memory */
} wh_table;

/* heads: `columns` texts separated by '|', the first `left` of them over text. */
void wh_table_init(wh_table *t, const char *heads, size_t left);
void wh_table_free(wh_table *t);
/* The next cell; rows are full when all their cells are put. */
void wh_table_cell(wh_table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
size_t wh_table_rows(const wh_table *t);

/* Each appends to out; out->failed when the table is. The text has the columns its cells need. */
void wh_table_text(wh_buf *out, const wh_table *t);
void wh_table_markdown(wh_buf *out, const wh_table *t);
void wh_table_html(wh_buf *out, const wh_table *t);

#endif
