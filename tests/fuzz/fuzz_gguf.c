/* Fuzz the GGUF reader: whatever the bytes, either a sentence, or an object of which everything can be read, in
 * which every name finds itself and every tensor lies inside the file apart from the others. */
#include "gguf/gguf_read.h"

#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) abort();                                                                           \
    } while (0)

static void check_key(const wh_gguf *g, const wh_gguf_key *k)
{
    wh_buf out = {0};
    wh_gguf_print_value(&out, k, 64);
    CHECK(wh_buf_ok(&out) && out.len > 0);
    wh_buf_free(&out);
    CHECK(wh_gguf_find_key(g, k->name) == k);

    uint64_t u;
    float f;
    bool yes;
    wh_gguf_str s;
    const wh_gguf_key *a;
    volatile long sum = 0; /* reads every element */
    if (wh_gguf_get_u64(g, k->name, &u, NULL) == WH_OK) sum += (long)(u & 1);
    if (wh_gguf_get_f32(g, k->name, &f, NULL) == WH_OK) sum += f > 0;
    if (wh_gguf_get_bool(g, k->name, &yes, NULL) == WH_OK) sum += yes;
    if (wh_gguf_get_str(g, k->name, &s, NULL) == WH_OK && s.len) sum += s.s[0] + s.s[s.len - 1];
    if (wh_gguf_get_i32_array(g, k->name, &a, NULL) == WH_OK)
        for (size_t i = 0; i < a->count; i++) sum += wh_gguf_i32_at(a, i) & 1;
    if (wh_gguf_get_f32_array(g, k->name, &a, NULL) == WH_OK)
        for (size_t i = 0; i < a->count; i++) sum += wh_gguf_f32_at(a, i) > 0;
    if (wh_gguf_get_str_array(g, k->name, &a, NULL) == WH_OK)
        for (size_t i = 0; i < a->count; i++) {
            s = wh_gguf_str_at(a, i);
            if (s.len) sum += s.s[0] + s.s[s.len - 1];
        }
    (void)sum;
}

static void check_tensor(const wh_gguf *g, const wh_gguf_tensor *t, const uint8_t *data, size_t size)
{
    uintptr_t begin = (uintptr_t)t->data, start = (uintptr_t)data;
    CHECK(begin >= start && begin - start <= size && t->bytes <= size - (begin - start));
    CHECK(wh_gguf_find_tensor(g, t->name) == t && strlen(t->name) == t->name_len);
    size_t n = t->dims[0], row = wh_quant_row_bytes(t->type, n);
    CHECK(row > 0 && t->bytes == row * t->dims[1] * t->dims[2] * t->dims[3]);
    float *out = malloc(n * sizeof *out);
    CHECK(out);
    for (size_t at = 0; at < t->bytes; at += row) wh_quant_dequantize_row(t->type, out, (const char *)t->data + at, n);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    wh_gguf *g;
    wh_err err = {0};
    wh_code code = wh_gguf_open_memory(&g, data, size, &err);
    if (code != WH_OK) {
        CHECK(!g && err.code == code && strlen(err.msg) > 10);
        return 0;
    }
    for (size_t i = 0; i < wh_gguf_key_count(g); i++) check_key(g, wh_gguf_key_at(g, i));
    size_t sum = 0;
    for (size_t i = 0; i < wh_gguf_tensor_count(g); i++) {
        check_tensor(g, wh_gguf_tensor_at(g, i), data, size);
        sum += wh_gguf_tensor_at(g, i)->bytes;
    }
    CHECK(sum <= size); /* no two share a byte */
    wh_gguf_close(g);
    return 0;
}
