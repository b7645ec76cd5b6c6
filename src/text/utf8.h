/* utf8: where UTF-8 is valid and where it is not.
 *
 * Valid means RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF. It is what PCRE2
 * requires of its subject and JSON of its strings.
 */
#ifndef WH_TEXT_UTF8_H
#define WH_TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    WH_UTF8_OK,      /* a character */
    WH_UTF8_BAD,     /* *len bytes that are no character (the maximal subpart, Unicode 15 §3.9) */
    WH_UTF8_PARTIAL, /* the text ends inside what may yet become a character */
} wh_utf8_state;

/* What starts at s[0], n >= 1; *len (1..4) is how many bytes it is about. */
wh_utf8_state wh_utf8_next(size_t *len, const char *s, size_t n);

/* Length of the longest valid prefix. */
size_t wh_utf8_span(const char *s, size_t n);

/* The code point of a character that wh_utf8_next called WH_UTF8_OK. */
uint32_t wh_utf8_code(const char *s, size_t len);

#endif
