#include "app/width.h"

#include "text/utf8.h"

#include <ctype.h>

/* Two columns wide, or perhaps: East Asian wide blocks and what emoji are made of (Unicode UAX #11). */
static bool is_wide(uint32_t c)
{
    static const uint32_t ranges[][2] = {{0x1100, 0x115F}, {0x2300, 0x23FF}, {0x2600, 0x27BF}, {0x2B00, 0x2BFF}, {0x2E80, 0xA4CF},
                                         {0xAC00, 0xD7A3}, {0xF900, 0xFAFF}, {0xFE30, 0xFE6F}, {0xFF00, 0xFF60}, {0xFFE0, 0xFFE6},
                                         {0x1F000, 0x10FFFF}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (c >= ranges[i][0] && c <= ranges[i][1]) return true;
    return false;
}

/* The next character as it will be shown; its bytes, and the columns it takes. */
static size_t next(const char **shown, size_t *length, size_t *columns, const char *text, size_t n)
{
    size_t len;
    *columns = 1;
    if (isspace((unsigned char)*text)) {
        for (len = 1; len < n && isspace((unsigned char)text[len]);) len++;
        *shown = " ";
        *length = 1;
        return len;
    }
    bool good = wh_utf8_next(&len, text, n) == WH_UTF8_OK;
    uint32_t c = good ? wh_utf8_code(text, len) : 0;
    if (c < ' ' || (c >= 0x7F && c < 0xA0)) {
        *shown = "?";
        *length = 1;
        return len;
    }
    if (is_wide(c)) *columns = 2;
    *shown = text;
    *length = len;
    return len;
}

size_t wh_width_put(wh_buf *out, const char *text, size_t n, size_t columns, bool pad)
{
    while (n && isspace((unsigned char)*text)) text++, n--;
    while (n && isspace((unsigned char)text[n - 1])) n--;
    size_t used = 0, mark_len = out->len, mark_used = 0; /* mark: the last place where "…" would still fit */
    while (n) {
        const char *shown;
        size_t length, width, taken = next(&shown, &length, &width, text, n);
        if (used + width > columns) {
            if (columns) {
                out->len = mark_len;
                wh_buf_puts(out, "\xE2\x80\xA6");
                used = mark_used + 1;
            }
            break;
        }
        if (used < columns) {
            mark_len = out->len;
            mark_used = used;
        }
        wh_buf_put(out, shown, length);
        used += width;
        text += taken;
        n -= taken;
    }
    for (; pad && used < columns; used++) wh_buf_putc(out, ' ');
    return used;
}
