#include "app/table.h"

#include "app/html.h"
#include "base/mem.h"
#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>

static void add(wh_table *t, const char *s, size_t n)
{
    if (t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 64;
        wh_buf *more = wh_mem_resize(t->cells, cap, sizeof *more);
        if (!more) {
            t->failed = true;
            return;
        }
        t->cells = more;
        t->cap = cap;
    }
    t->cells[t->n] = (wh_buf){0};
    wh_buf_put(&t->cells[t->n], s, n);
    t->failed |= !wh_buf_ok(&t->cells[t->n]);
    t->n++;
}

void wh_table_init(wh_table *t, const char *heads, size_t left)
{
    *t = (wh_table){.left = left};
    for (bool more = true; more; t->columns++) {
        size_t n = strcspn(heads, "|");
        add(t, heads, n);
        more = heads[n] != '\0';
        heads += n + more;
    }
}

void wh_table_free(wh_table *t)
{
    for (size_t i = 0; i < t->n; i++) wh_buf_free(&t->cells[i]);
    free(t->cells);
    wh_buf_free(&t->title);
    wh_buf_free(&t->note);
    *t = (wh_table){0};
}

void wh_table_cell(wh_table *t, const char *fmt, ...)
{
    wh_buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    char fixed[512];
    vsnprintf(fixed, sizeof fixed, fmt, ap);
    va_end(ap);
    wh_buf_puts(&text, fixed);
    add(t, wh_buf_str(&text), text.len);
    wh_buf_free(&text);
}

size_t wh_table_rows(const wh_table *t) { return t->n / t->columns - 1; }

static const char *cell(const wh_table *t, size_t row, size_t column) { return wh_buf_str(&t->cells[row * t->columns + column]); }

/* ---- text ------------------------------------------------------------------------------------------------------- */

static size_t width_of(const char *s)
{
    size_t n = strlen(s), width = 0, len;
    for (size_t at = 0; at < n; at += len, width++) (void)wh_utf8_next(&len, s + at, n - at);
    return width;
}

static size_t column_width(const wh_table *t, size_t column)
{
    size_t width = 0;
    for (size_t r = 0; r <= wh_table_rows(t); r++) {
        size_t w = width_of(cell(t, r, column));
        if (w > width) width = w;
    }
    return width;
}

/* Words of the note in lines of at most 80. */
static void put_note(wh_buf *out, const char *s)
{
    enum { COLUMNS = 80 };
    size_t at = 0;
    while (*s) {
        size_t n = strcspn(s, " ");
        if (at && at + 1 + n > COLUMNS) {
            wh_buf_putc(out, '\n');
            at = 0;
        }
        if (at) wh_buf_putc(out, ' ');
        at += n + (at > 0);
        wh_buf_put(out, s, n);
        s += n;
        s += strspn(s, " ");
    }
    wh_buf_putc(out, '\n');
}

void wh_table_text(wh_buf *out, const wh_table *t)
{
    out->failed |= t->failed;
    if (out->failed) return;
    if (t->title.len) wh_buf_printf(out, "%s\n\n", t->title.data);
    for (size_t r = 0; r <= wh_table_rows(t); r++) {
        size_t blank = 0; /* spaces that are due before the next character */
        for (size_t c = 0; c < t->columns; c++) {
            const char *s = cell(t, r, c);
            size_t pad = column_width(t, c) - width_of(s);
            if (c) blank += 2;
            if (c >= t->left) blank += pad;
            if (*s) wh_buf_printf(out, "%*s%s", (int)blank, "", s);
            blank = (*s ? 0 : blank) + (c < t->left ? pad : 0);
        }
        wh_buf_putc(out, '\n');
    }
    if (t->note.len) put_note(out, wh_buf_str(&t->note));
}

/* ---- Markdown, HTML ------------------------------------------------------------------------------------------------ */

static void put_escaped(wh_buf *out, const char *s)
{
    for (; *s; s++) {
        if (strchr("|\\<*`", *s)) wh_buf_putc(out, '\\');
        wh_buf_putc(out, *s);
    }
}

void wh_table_markdown(wh_buf *out, const wh_table *t)
{
    out->failed |= t->failed;
    if (out->failed) return;
    if (t->title.len) wh_buf_printf(out, "## %s\n\n", t->title.data);
    for (size_t r = 0; r <= wh_table_rows(t); r++) {
        for (size_t c = 0; c < t->columns; c++) {
            wh_buf_puts(out, "| ");
            put_escaped(out, cell(t, r, c));
            wh_buf_putc(out, ' ');
        }
        wh_buf_puts(out, "|\n");
        for (size_t c = 0; r == 0 && c < t->columns; c++) wh_buf_puts(out, c < t->left ? "|---" : "|---:");
        if (r == 0) wh_buf_puts(out, "|\n");
    }
    if (t->note.len) {
        wh_buf_putc(out, '\n');
        put_escaped(out, wh_buf_str(&t->note));
        wh_buf_putc(out, '\n');
    }
}

/* Do the texts of a row begin as those of the row above? */
static bool repeats(const wh_table *t, size_t row, size_t column)
{
    bool same = row > 1;
    for (size_t c = 0; same && c <= column; c++) same = strcmp(cell(t, row, c), cell(t, row - 1, c)) == 0;
    return same;
}

/* An interval steps back: "27.0 [17, 40]". */
static void put_cell(wh_buf *out, const char *s)
{
    const char *interval = strstr(s, " [");
    wh_buf number = {0};
    wh_buf_put(&number, s, interval ? (size_t)(interval - s) : strlen(s));
    wh_html_text(out, wh_buf_str(&number));
    out->failed |= !wh_buf_ok(&number);
    wh_buf_free(&number);
    if (!interval) return;
    wh_buf_puts(out, " <i>");
    wh_html_text(out, interval + 1);
    wh_buf_puts(out, "</i>");
}

void wh_table_html(wh_buf *out, const wh_table *t)
{
    out->failed |= t->failed;
    if (out->failed) return;
    if (t->title.len) {
        wh_buf_puts(out, "<h2>");
        wh_html_text(out, t->title.data);
        wh_buf_puts(out, "</h2>\n");
    }
    wh_buf_puts(out, "<div class=\"table\"><table>\n");
    for (size_t r = 0; r <= wh_table_rows(t); r++) {
        wh_buf_puts(out, r == 0 ? "<thead><tr>" : "<tr>");
        for (size_t c = 0; c < t->columns; c++) {
            const char *class = c >= t->left ? " class=\"n\"" : repeats(t, r, c) ? " class=\"again\"" : "";
            wh_buf_printf(out, r == 0 ? "<th%s>" : "<td%s>", class);
            put_cell(out, cell(t, r, c));
            wh_buf_puts(out, r == 0 ? "</th>" : "</td>");
        }
        wh_buf_puts(out, r == 0 ? "</tr></thead>\n<tbody>\n" : "</tr>\n");
    }
    wh_buf_puts(out, "</tbody></table></div>\n");
    if (t->note.len) {
        wh_buf_puts(out, "<p class=\"note\">");
        wh_html_text(out, wh_buf_str(&t->note));
        wh_buf_puts(out, "</p>\n");
    }
}
