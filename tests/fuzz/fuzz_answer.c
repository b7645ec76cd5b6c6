/* fuzz answer: the input is one text or two, parted by a zero byte. Properties: nothing crashes; what is extracted
 * stands in the text; an answer that is not empty is in its own group and grades equal to itself; the equality of
 * groups is symmetric; equations are checked line by line; a text leaves none of its own numbers out. */
#include "answer/answer.h"
#include "answer/arithmetic.h"
#include "answer/numbers.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define HOLDS(p) ((p) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Line by line or at once. */
static void check_arithmetic(const char *text, size_t n)
{
    wh_arithmetic all = {0}, lines = {0};
    wh_arithmetic_check(&all, text, n);
    for (size_t at = 0; at < n;) {
        const char *end = memchr(text + at, '\n', n - at);
        size_t len = end ? (size_t)(end - text) - at : n - at;
        wh_arithmetic_check(&lines, text + at, len);
        at += len + 1;
    }
    HOLDS(all.holds == lines.holds && all.fails == lines.fails && all.holds + all.fails <= n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text[2] = {(const char *)data, ""};
    const char *zero = size ? memchr(data, 0, size) : NULL;
    size_t      n[2] = {zero ? (size_t)(zero - text[0]) : size, 0};
    if (zero) {
        text[1] = zero + 1;
        n[1] = size - n[0] - 1;
    }
    if (!size) text[0] = "";

    wh_answer       a[2];
    wh_buf          found[2] = {{0}, {0}};
    wh_extract_rule rule;
    for (int i = 0; i < 2; i++) {
        HOLDS(wh_extract_answer(&found[i], &rule, text[i], n[i], NULL) == WH_OK);
        HOLDS(found[i].len <= n[i] && (rule == WH_EXTRACT_NONE) == (found[i].len == 0));
        HOLDS(!found[i].len || memmem(text[i], n[i], found[i].data, found[i].len));
        HOLDS(wh_answer_parse(&a[i], wh_buf_str(&found[i]), found[i].len, NULL) == WH_OK);
        HOLDS(wh_answer_equal(&a[i], &a[i]) == !wh_answer_is_empty(&a[i]));
    }
    HOLDS(wh_answer_equal(&a[0], &a[1]) == wh_answer_equal(&a[1], &a[0]));
    check_arithmetic(text[0], n[0]);
    for (int i = 0; i < 2; i++) HOLDS(!wh_numbers_left_out(text[i], n[i], text[i], n[i]));
    (void)wh_numbers_left_out(text[0], n[0], text[1], n[1]);
    bool equal;
    HOLDS(wh_answer_grade(&equal, text[0], n[0], text[1], n[1], NULL) == WH_OK);
    for (int i = 0; i < 2; i++) {
        wh_buf bare = {0};
        bool   self;
        HOLDS(wh_extract_bare(&bare, text[i], n[i], NULL) == WH_OK);
        wh_answer key;
        HOLDS(wh_answer_parse(&key, wh_buf_str(&bare), bare.len, NULL) == WH_OK);
        HOLDS(wh_answer_grade(&self, text[i], n[i], text[i], n[i], NULL) == WH_OK);
        HOLDS(self || wh_answer_is_empty(&key));
        wh_answer_free(&key);
        wh_buf_free(&bare);
        wh_answer_free(&a[i]);
        wh_buf_free(&found[i]);
    }
    return 0;
}
