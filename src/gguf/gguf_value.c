/* Metadata values: conversions, the sentences when one is missing or of the wrong type, and printing. The reader
 * has checked that every value lies in the mapping; numbers there are unaligned and are copied out. */
#include "gguf/gguf_format.h"
#include "gguf/gguf_read.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    size_t      bytes;
} vtypes[WH_GGUF_VTYPE_COUNT] = {
    [WH_GGUF_U8] = {"u8", 1},      [WH_GGUF_I8] = {"i8", 1},         [WH_GGUF_U16] = {"u16", 2},
    [WH_GGUF_I16] = {"i16", 2},    [WH_GGUF_U32] = {"u32", 4},       [WH_GGUF_I32] = {"i32", 4},
    [WH_GGUF_F32] = {"f32", 4},    [WH_GGUF_BOOL] = {"bool", 1},     [WH_GGUF_STR] = {"string", 0},
    [WH_GGUF_ARRAY] = {"array", 0}, [WH_GGUF_U64] = {"u64", 8},      [WH_GGUF_I64] = {"i64", 8},
    [WH_GGUF_F64] = {"f64", 8},
};

const char *wh_gguf_vtype_name(wh_gguf_vtype t) { return vtypes[t].name; }

size_t wh_gguf_vtype_bytes(wh_gguf_vtype t) { return vtypes[t].bytes; }

/* ---- one element ------------------------------------------------------------------------------------ */

typedef struct number {
    bool     integer, negative; /* !integer: a float, in real */
    uint64_t bits;              /* two's complement when negative */
    double   real;
} number;

/* Element i of a numeric value; false for strings and bools. */
static bool element(number *out, const wh_gguf_key *k, size_t i)
{
    const unsigned char *p = k->data + i * vtypes[k->item].bytes;
    float f;
    int16_t i16;
    int32_t i32;
    *out = (number){.integer = true};
    switch (k->item) {
    case WH_GGUF_U8:
    case WH_GGUF_U16:
    case WH_GGUF_U32:
    case WH_GGUF_U64: memcpy(&out->bits, p, vtypes[k->item].bytes); return true;
    case WH_GGUF_I8: out->bits = (uint64_t)(int64_t)(int8_t)*p; break;
    case WH_GGUF_I16:
        memcpy(&i16, p, sizeof i16);
        out->bits = (uint64_t)(int64_t)i16;
        break;
    case WH_GGUF_I32:
        memcpy(&i32, p, sizeof i32);
        out->bits = (uint64_t)(int64_t)i32;
        break;
    case WH_GGUF_I64: memcpy(&out->bits, p, sizeof out->bits); break;
    case WH_GGUF_F32:
        memcpy(&f, p, sizeof f);
        *out = (number){.real = (double)f};
        return true;
    case WH_GGUF_F64: memcpy(&out->real, p, sizeof out->real); out->integer = false; return true;
    default: return false;
    }
    out->negative = (int64_t)out->bits < 0;
    return true;
}

bool wh_gguf_key_u64(const wh_gguf_key *key, uint64_t *out)
{
    number x;
    if (key->type == WH_GGUF_ARRAY || !element(&x, key, 0) || !x.integer || x.negative) return false;
    *out = x.bits;
    return true;
}

static wh_gguf_str string_at(const unsigned char *p)
{
    uint64_t n;
    memcpy(&n, p, sizeof n);
    return (wh_gguf_str){(const char *)p + sizeof n, n};
}

wh_gguf_str wh_gguf_key_str(const wh_gguf_key *key) { return string_at(key->data); }

wh_gguf_str wh_gguf_str_at(const wh_gguf_key *array, size_t i) { return string_at(array->items[i]); }

int32_t wh_gguf_i32_at(const wh_gguf_key *array, size_t i)
{
    number x;
    element(&x, array, i);
    return (int32_t)(int64_t)x.bits;
}

float wh_gguf_f32_at(const wh_gguf_key *array, size_t i)
{
    number x;
    element(&x, array, i);
    return (float)x.real;
}

/* ---- getters ---------------------------------------------------------------------------------------- */

static wh_code lookup(const wh_gguf *g, const char *key, const wh_gguf_key **out, wh_err *err)
{
    *out = wh_gguf_find_key(g, key);
    if (!*out) return wh_err_set(err, WH_ERR_FORMAT, "key '%s' is missing", key);
    return WH_OK;
}

static wh_code wrong_type(const wh_gguf_key *k, const char *wanted, wh_err *err)
{
    if (k->type == WH_GGUF_ARRAY)
        return wh_err_set(err, WH_ERR_FORMAT, "key '%s' is an array of %s instead of %s", k->name,
                          vtypes[k->item].name, wanted);
    return wh_err_set(err, WH_ERR_FORMAT, "key '%s' is of type %s instead of %s", k->name, vtypes[k->type].name,
                      wanted);
}

bool wh_gguf_has(const wh_gguf *g, const char *key) { return wh_gguf_find_key(g, key) != NULL; }

wh_code wh_gguf_get_u64(const wh_gguf *g, const char *key, uint64_t *out, wh_err *err)
{
    const wh_gguf_key *k;
    number x;
    WH_TRY(lookup(g, key, &k, err));
    if (k->type == WH_GGUF_ARRAY || !element(&x, k, 0) || !x.integer)
        return wrong_type(k, "an integer", err);
    if (x.negative)
        return wh_err_set(err, WH_ERR_FORMAT, "key '%s' is %lld, a negative number", key, (long long)x.bits);
    *out = x.bits;
    return WH_OK;
}

wh_code wh_gguf_get_u32(const wh_gguf *g, const char *key, uint32_t *out, wh_err *err)
{
    uint64_t x;
    WH_TRY(wh_gguf_get_u64(g, key, &x, err));
    if (x > UINT32_MAX)
        return wh_err_set(err, WH_ERR_FORMAT, "key '%s' is %llu, more than 32 bits", key, (unsigned long long)x);
    *out = (uint32_t)x;
    return WH_OK;
}

wh_code wh_gguf_get_f32(const wh_gguf *g, const char *key, float *out, wh_err *err)
{
    const wh_gguf_key *k;
    number x;
    WH_TRY(lookup(g, key, &k, err));
    if (k->type == WH_GGUF_ARRAY || !element(&x, k, 0) || x.integer) return wrong_type(k, "a float", err);
    *out = (float)x.real;
    return WH_OK;
}

wh_code wh_gguf_get_bool(const wh_gguf *g, const char *key, bool *out, wh_err *err)
{
    const wh_gguf_key *k;
    WH_TRY(lookup(g, key, &k, err));
    if (k->type != WH_GGUF_BOOL) return wrong_type(k, "a bool", err);
    *out = k->data[0] != 0;
    return WH_OK;
}

wh_code wh_gguf_get_str(const wh_gguf *g, const char *key, wh_gguf_str *out, wh_err *err)
{
    const wh_gguf_key *k;
    WH_TRY(lookup(g, key, &k, err));
    if (k->type != WH_GGUF_STR) return wrong_type(k, "a string", err);
    *out = wh_gguf_key_str(k);
    return WH_OK;
}

wh_code wh_gguf_get_str_array(const wh_gguf *g, const char *key, const wh_gguf_key **out, wh_err *err)
{
    const wh_gguf_key *k;
    WH_TRY(lookup(g, key, &k, err));
    if (k->type != WH_GGUF_ARRAY || k->item != WH_GGUF_STR) return wrong_type(k, "an array of strings", err);
    *out = k;
    return WH_OK;
}

wh_code wh_gguf_get_i32_array(const wh_gguf *g, const char *key, const wh_gguf_key **out, wh_err *err)
{
    const wh_gguf_key *k;
    number x;
    WH_TRY(lookup(g, key, &k, err));
    bool narrow = k->type == WH_GGUF_ARRAY && k->item <= WH_GGUF_I32; /* U8 .. I32 are the first six */
    if (!narrow) return wrong_type(k, "an array of integers of at most 32 bits", err);
    for (size_t i = 0; k->item == WH_GGUF_U32 && i < k->count; i++)
        if (element(&x, k, i) && x.bits > INT32_MAX)
            return wh_err_set(err, WH_ERR_FORMAT, "key '%s' holds %llu at place %zu, too large for an i32", key,
                              (unsigned long long)x.bits, i);
    *out = k;
    return WH_OK;
}

wh_code wh_gguf_get_f32_array(const wh_gguf *g, const char *key, const wh_gguf_key **out, wh_err *err)
{
    const wh_gguf_key *k;
    WH_TRY(lookup(g, key, &k, err));
    if (k->type != WH_GGUF_ARRAY || (k->item != WH_GGUF_F32 && k->item != WH_GGUF_F64))
        return wrong_type(k, "an array of floats", err);
    *out = k;
    return WH_OK;
}

/* ---- printing --------------------------------------------------------------------------------------- */

static void print_string(wh_buf *out, wh_gguf_str s)
{
    const unsigned char *p = (const unsigned char *)s.s;
    wh_buf_putc(out, '"');
    for (size_t i = 0, len; i < s.len; i += len) {
        len = wh_gguf_format_utf8(p + i, s.len - i);
        if (len == 0) {
            len = 1;
            wh_buf_puts(out, "\\ufffd");
        } else if (p[i] == '"' || p[i] == '\\') {
            wh_buf_printf(out, "\\%c", p[i]);
        } else if (p[i] == '\n') {
            wh_buf_puts(out, "\\n");
        } else if (p[i] < 0x20 || p[i] == 0x7f) {
            wh_buf_printf(out, "\\u%04x", p[i]);
        } else {
            wh_buf_put(out, p + i, len);
        }
    }
    wh_buf_putc(out, '"');
}

static void print_element(wh_buf *out, const wh_gguf_key *k, size_t i)
{
    number x;
    if (k->item == WH_GGUF_STR) print_string(out, k->items ? wh_gguf_str_at(k, i) : wh_gguf_key_str(k));
    else if (k->item == WH_GGUF_BOOL) wh_buf_puts(out, k->data[i] ? "true" : "false");
    else if (!element(&x, k, i)) wh_buf_puts(out, "null");
    else if (x.integer && x.negative) wh_buf_printf(out, "%lld", (long long)x.bits);
    else if (x.integer) wh_buf_printf(out, "%llu", (unsigned long long)x.bits);
    else if (!isfinite(x.real)) wh_buf_puts(out, "null"); /* JSON has no infinity */
    else wh_buf_printf(out, "%.*g", k->item == WH_GGUF_F32 ? 9 : 17, x.real);
}

void wh_gguf_print_value(wh_buf *out, const wh_gguf_key *key, size_t max_items)
{
    if (key->type != WH_GGUF_ARRAY) {
        print_element(out, key, 0);
        return;
    }
    wh_buf_putc(out, '[');
    for (size_t i = 0; i < key->count; i++) {
        if (i) wh_buf_puts(out, ", ");
        if (i == max_items) {
            wh_buf_puts(out, "\"...\"");
            break;
        }
        print_element(out, key, i);
    }
    wh_buf_putc(out, ']');
}
