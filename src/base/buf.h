/* buf: a growable byte buffer; doubles as a string builder.
 *
 * data is always followed by a zero byte once anything was put, so a text in it is a C string.
 * A failed put leaves the buffer as it was and marks it: check wh_buf_ok once, after many puts.
 */
#ifndef WH_BASE_BUF_H
#define WH_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct wh_buf {
    char  *data;
    size_t len, cap;
    bool   failed;
} wh_buf; /* starts as {0} */

void wh_buf_free(wh_buf *b);  /* frees the data and resets to {0} */
void wh_buf_clear(wh_buf *b); /* length 0, keeps the memory */
bool wh_buf_reserve(wh_buf *b, size_t extra);
void wh_buf_put(wh_buf *b, const void *data, size_t n);
void wh_buf_puts(wh_buf *b, const char *s);
void wh_buf_putc(wh_buf *b, char c);
void wh_buf_printf(wh_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool wh_buf_ok(const wh_buf *b);
/* The text so far, "" when nothing was put; valid until the next put. */
const char *wh_buf_str(const wh_buf *b);

#endif
