/* gguf_format: what the reader and the writer agree on.
 *
 *   header   "GGUF", u32 version, u64 number of tensors, u64 number of keys
 *   keys     string name, u32 type, value           string: u64 length, bytes; array: u32 item type, u64 count, items
 *   tensors  string name, u32 n_dims, u64 dims[n_dims], u32 type, u64 offset into the data
 *   data     begins at the next multiple of the alignment; every offset is a multiple of it
 *
 * All little-endian and unaligned. The alignment is the u32 "general.alignment", 32 when that key is absent.
 */
#ifndef WH_GGUF_GGUF_FORMAT_H
#define WH_GGUF_GGUF_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WH_GGUF_MAGIC         "GGUF"
#define WH_GGUF_KEY_ALIGNMENT "general.alignment"
enum {
    WH_GGUF_VERSION = 3, /* written; 2 has the same layout */
    WH_GGUF_DEFAULT_ALIGNMENT = 32,
    WH_GGUF_MIN_ALIGNMENT = 8,
    WH_GGUF_MAX_NAME = 255, /* bytes of a key or a tensor name */
    WH_GGUF_MAX_DIMS = 4,
    WH_GGUF_MAX_KEYS = 1 << 16,
    WH_GGUF_MAX_TENSORS = 1 << 20,
    WH_GGUF_MAX_STRINGS = 1 << 24 /* in one array */
};

/* Length of the UTF-8 sequence that starts at s, 0 when it is not valid (RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF). n >= 1. */
static inline size_t wh_gguf_format_utf8(const unsigned char *s, size_t n)
{
    unsigned char c = s[0];
    if (c < 0x80) return 1;
    size_t len = c >= 0xc2 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    if (len == 0 || len > n) return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f)) return 0;
    if ((c == 0xf0 && s[1] < 0x90) || (c == 0xf4 && s[1] > 0x8f)) return 0;
    return len;
}

/* Whether n bytes may name a key or a tensor: UTF-8 without control characters. */
static inline bool wh_gguf_format_is_name(const unsigned char *s, size_t n)
{
    for (size_t i = 0, len; i < n; i += len) {
        len = wh_gguf_format_utf8(s + i, n - i);
        if (len == 0 || s[i] < 0x20 || s[i] == 0x7f) return false;
    }
    return n > 0;
}

static inline bool wh_gguf_format_is_alignment(uint64_t a)
{
    return a >= WH_GGUF_MIN_ALIGNMENT && a <= UINT32_MAX && (a & (a - 1)) == 0;
}

#endif
