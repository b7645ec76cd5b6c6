#include "app/html.h"

#include <stdlib.h>
#include <string.h>

void wh_html_text(wh_buf *out, const char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '&') wh_buf_puts(out, "&amp;");
        else if (c == '<') wh_buf_puts(out, "&lt;");
        else if (c == '>') wh_buf_puts(out, "&gt;");
        else if (c == '"') wh_buf_puts(out, "&quot;");
        else wh_buf_putc(out, (c < ' ' && c != '\n' && c != '\t') || c == 0x7F ? '?' : *s);
    }
}

void wh_html_json(wh_buf *out, const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(9));
    if (!text) out->failed = true;
    for (const char *s = text; s && *s; s++) {
        if (*s == '<') wh_buf_puts(out, "\\u003c");
        else wh_buf_putc(out, *s);
    }
    free(text);
}
