#include "text/utf8.h"

/* Table 3-7 of the Unicode standard: after the first byte, only the second one has a range of its own. */
wh_utf8_state wh_utf8_next(size_t *len, const char *s, size_t n)
{
    const unsigned char *u = (const unsigned char *)s;
    unsigned char        lo = 0x80, hi = 0xBF;
    size_t               need;
    *len = 1;
    if (u[0] < 0x80) return WH_UTF8_OK;
    if (u[0] >= 0xC2 && u[0] <= 0xDF) {
        need = 2;
    } else if (u[0] >= 0xE0 && u[0] <= 0xEF) {
        need = 3;
        if (u[0] == 0xE0) lo = 0xA0;
        if (u[0] == 0xED) hi = 0x9F;
    } else if (u[0] >= 0xF0 && u[0] <= 0xF4) {
        need = 4;
        if (u[0] == 0xF0) lo = 0x90;
        if (u[0] == 0xF4) hi = 0x8F;
    } else {
        return WH_UTF8_BAD;
    }
    for (; *len < need; (*len)++) {
        if (*len == n) return WH_UTF8_PARTIAL;
        if (u[*len] < lo || u[*len] > hi) return WH_UTF8_BAD;
        lo = 0x80;
        hi = 0xBF;
    }
    return WH_UTF8_OK;
}

size_t wh_utf8_span(const char *s, size_t n)
{
    size_t at = 0, len;
    while (at < n && wh_utf8_next(&len, s + at, n - at) == WH_UTF8_OK) at += len;
    return at;
}

uint32_t wh_utf8_code(const char *s, size_t len)
{
    static const unsigned char lead[5] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t                   code = (unsigned char)s[0] & lead[len];
    for (size_t i = 1; i < len; i++) code = code << 6 | ((unsigned char)s[i] & 0x3F);
    return code;
}
