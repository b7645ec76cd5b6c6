#include "base/lines.h"

#include <string.h>

bool wh_lines_next(wh_lines *l, const wh_buf *text)
{
    while (l->at < text->len) {
        l->text = text->data + l->at;
        const char *end = memchr(l->text, '\n', text->len - l->at);
        l->n = end ? (size_t)(end - l->text) : text->len - l->at;
        l->at += l->n + 1;
        l->number++;
        if (strspn(l->text, " \t\r") < l->n) return true;
    }
    return false;
}
