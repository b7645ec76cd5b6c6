#include "base/buf.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void wh_buf_free(wh_buf *b)
{
    free(b->data);
    *b = (wh_buf){0};
}

void wh_buf_clear(wh_buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data) b->data[0] = '\0';
}

bool wh_buf_reserve(wh_buf *b, size_t extra)
{
    size_t need;
    if (!wh_mem_add(&need, b->len, extra) || !wh_mem_add(&need, need, 1)) {
        b->failed = true;
        return false;
    }
    if (need <= b->cap) return true;
    size_t cap = b->cap < 64 ? 64 : b->cap;
    while (cap < need)
        if (!wh_mem_mul(&cap, cap, 2)) cap = need;
    char *data = wh_mem_resize(b->data, cap, 1);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

void wh_buf_put(wh_buf *b, const void *data, size_t n)
{
    if (!wh_buf_reserve(b, n)) return;
    if (n) memcpy(b->data + b->len, data, n);
    b->len += n;
    b->data[b->len] = '\0';
}

void wh_buf_puts(wh_buf *b, const char *s) { wh_buf_put(b, s, strlen(s)); }

void wh_buf_putc(wh_buf *b, char c) { wh_buf_put(b, &c, 1); }

void wh_buf_printf(wh_buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n >= 0 && wh_buf_reserve(b, (size_t)n)) {
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

bool wh_buf_ok(const wh_buf *b) { return !b->failed; }

const char *wh_buf_str(const wh_buf *b) { return b->data ? b->data : ""; }
