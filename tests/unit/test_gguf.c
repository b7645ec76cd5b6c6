/* gguf: files of all kinds written and read back; every kind of broken file refused with a sentence.
 *
 * test_gguf FOLDER writes the valid and the broken files below into FOLDER instead (fuzzing seeds, inputs for the
 * command line). */
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "gguf/gguf_read.h"
#include "gguf/gguf_write.h"

#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- files as text ---------------------------------------------------------------------------------- */

/* A file is described by words: G the magic, uN a u32, qN a u64, bN a byte, sTEXT a string with its length, rTEXT
 * bare bytes, zN N zero bytes, pN zeros up to a multiple of N. In TEXT, ~XX is the byte XX. */
static void assemble_text(wh_buf *out, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (text[i] != '~') {
            wh_buf_putc(out, text[i]);
            continue;
        }
        char hex[3] = {text[i + 1], text[i + 2], 0};
        wh_buf_putc(out, (char)strtoul(hex, NULL, 16));
        i += 2;
    }
}

static void assemble(wh_buf *out, const char *words)
{
    for (const char *w = words; *w;) {
        size_t n = strcspn(w, " ");
        uint64_t number = n > 1 ? strtoull(w + 1, NULL, 0) : 0;
        wh_buf text = {0};
        if (*w == 's' || *w == 'r') assemble_text(&text, w + 1, n - 1);
        switch (*w) {
        case 'G': wh_buf_puts(out, "GGUF"); break;
        case 'u': wh_buf_put(out, &number, 4); break;
        case 'q': wh_buf_put(out, &number, 8); break;
        case 'b': wh_buf_put(out, &number, 1); break;
        case 's': number = text.len; wh_buf_put(out, &number, 8); wh_buf_put(out, text.data, text.len); break;
        case 'r': wh_buf_put(out, text.data, text.len); break;
        case 'z': while (number--) wh_buf_putc(out, 0); break;
        case 'p': while (out->len % number) wh_buf_putc(out, 0); break;
        default: fail_msg("bad word in '%s'", words);
        }
        wh_buf_free(&text);
        w += n + strspn(w + n, " ");
    }
    assert_true(wh_buf_ok(out));
}

#define HEAD(tensors, keys) "G u3 q" #tensors " q" #keys " "
#define ARCH                "sgeneral.architecture u8 sllama "
#define NUMBER(name)        "s" name " u4 u1 "
#define ROW(name, offset)   "s" name " u1 q8 u0 q" #offset " " /* 8 f32 */

/* Every value type, two tensors, nothing after the last one's data. */
static const char valid[] =
    HEAD(2, 17) ARCH "sk.u8 u0 b200 sk.i8 u1 b0xfe sk.u16 u2 b1 b2 sk.i16 u3 b0xff b0xff sk.u32 u4 u4000000000 "
    "sk.i32 u5 u0xfffffffd sk.f32 u6 u0x3fc00000 sk.yes u7 b1 sk.u64 u10 q0xffffffffffffffff sk.i64 u11 q7 "
    "sk.f64 u12 q0x3ff8000000000000 sk.strs u9 u8 q3 sa s s~ff~22~0a sk.ints u9 u5 q2 u1 u0xffffffff "
    "sk.floats u9 u6 q1 u0x40000000 sk.bools u9 u7 q2 b0 b1 sk.none u9 u4 q0 "
    "sone.weight u2 q32 q2 u2 q0 stwo.weight u1 q8 u0 q64 p32 z36 p32 z32";

/* ---- broken files ----------------------------------------------------------------------------------- */

static const struct {
    const char *name, *words;
    wh_code     code;
    const char *culprit; /* what the sentence must name */
} broken[] = {
    {"empty", "", WH_ERR_FORMAT, "the header"},
    {"magic", "rGGML u3 q0 q0", WH_ERR_FORMAT, "47 47 4d 4c"},
    {"version_0", "G u0 q0 q0", WH_ERR_UNSUPPORTED, "version 0"},
    {"version_1", "G u1 u0 u0 z8", WH_ERR_UNSUPPORTED, "version 1"},
    {"version_4", "G u4 q0 q0", WH_ERR_UNSUPPORTED, "version 4"},
    {"big_endian", "G u0x03000000 q0 q0", WH_ERR_UNSUPPORTED, "big-endian"},
    {"tensors_huge", "G u3 q0x8000000000000000 q0", WH_ERR_FORMAT, "9223372036854775808 tensors"},
    {"tensors_many", "G u3 q100000 q0 z4000", WH_ERR_FORMAT, "100000 tensors"},
    {"keys_huge", "G u3 q0 q0xffffffffffffffff", WH_ERR_FORMAT, "18446744073709551615 keys"},
    {"keys_many", "G u3 q0 q70000 z1000000", WH_ERR_FORMAT, "70000 keys"},
    {"key_absent", HEAD(0, 2) ARCH, WH_ERR_FORMAT, "the name of key 2 of 2"},
    {"tensor_absent", HEAD(1, 1) ARCH, WH_ERR_FORMAT, "the name of tensor 1 of 1"},
    {"key_name_huge", HEAD(0, 1) "q0x7fffffffffffffff rabc z16", WH_ERR_FORMAT, "the name of key 1"},
    {"key_name_empty", HEAD(0, 1) "s u4 u1", WH_ERR_FORMAT, "the name of key 1 of 1 is empty"},
    {"key_name_latin1", HEAD(0, 2) ARCH "scaf~e9 u4 u1", WH_ERR_FORMAT, "the name of key 2 of 2 is not UTF-8"},
    {"key_name_overlong", HEAD(0, 1) "s~c0~af u4 u1", WH_ERR_FORMAT, "not UTF-8"},
    {"key_name_surrogate", HEAD(0, 1) "s~ed~a0~80 u4 u1", WH_ERR_FORMAT, "not UTF-8"},
    {"key_name_cut", HEAD(0, 1) "sa~e2~82 u4 u1", WH_ERR_FORMAT, "not UTF-8"},
    {"key_name_zero", HEAD(0, 1) "sa~00b u4 u1", WH_ERR_FORMAT, "not UTF-8"},
    {"key_name_long", HEAD(0, 1) "q256 z256 u4 u1", WH_ERR_FORMAT, "256 bytes long"},
    {"key_twice", HEAD(0, 3) NUMBER("x.y") ARCH NUMBER("x.y"), WH_ERR_FORMAT, "key 'x.y' appears twice"},
    {"value_type", HEAD(0, 1) "sx u13 z64", WH_ERR_FORMAT, "key 'x' has the unknown value type 13"},
    {"item_type", HEAD(0, 1) "sx u9 u99 q1 z64", WH_ERR_FORMAT, "key 'x' has the unknown value type 99"},
    {"array_of_arrays", HEAD(0, 1) "sx u9 u9 q1 u4 q1 u1", WH_ERR_UNSUPPORTED, "key 'x' is an array of arrays"},
    {"value_cut", HEAD(0, 1) "sx u10 z4", WH_ERR_FORMAT, "key 'x' needs 8 bytes"},
    {"string_long", HEAD(0, 1) "sx u8 q100 rabc", WH_ERR_FORMAT, "key 'x' needs 100 bytes"},
    {"string_huge", HEAD(0, 1) "sx u8 q0xfffffffffffffff8 rabc", WH_ERR_FORMAT, "key 'x'"},
    {"array_long", HEAD(0, 1) "sx u9 u4 q100 z64", WH_ERR_FORMAT, "key 'x' needs 400 bytes"},
    {"array_overflow", HEAD(0, 1) "sx u9 u10 q0x2000000000000001 z64", WH_ERR_FORMAT, "key 'x'"},
    {"strings_huge", HEAD(0, 1) "sx u9 u8 q0x1000000000000000 z64", WH_ERR_FORMAT, "key 'x' claims"},
    {"strings_long", HEAD(0, 1) "sx u9 u8 q1000000 z64", WH_ERR_FORMAT, "key 'x' needs 8 bytes"},
    {"strings_inner", HEAD(0, 1) "sx u9 u8 q3 sa q5000 rb sc", WH_ERR_FORMAT, "key 'x' needs 5000 bytes"},
    {"bool", HEAD(0, 1) "sx u7 b2", WH_ERR_FORMAT, "key 'x' holds the byte 2"},
    {"bools", HEAD(0, 1) "sx u9 u7 q3 b0 b1 b255", WH_ERR_FORMAT, "key 'x' holds the byte 255"},
    {"alignment_type", HEAD(0, 1) "sgeneral.alignment u10 q32", WH_ERR_FORMAT, "'general.alignment' is of type u64"},
    {"alignment_0", HEAD(0, 1) "sgeneral.alignment u4 u0", WH_ERR_FORMAT, "'general.alignment' is 0"},
    {"alignment_48", HEAD(0, 1) "sgeneral.alignment u4 u48", WH_ERR_FORMAT, "'general.alignment' is 48"},
    {"alignment_4", HEAD(0, 1) "sgeneral.alignment u4 u4", WH_ERR_FORMAT, "'general.alignment' is 4"},
    {"alignment_far", HEAD(1, 1) "sgeneral.alignment u4 u0x80000000 " ROW("w", 0) "z99", WH_ERR_FORMAT, "tensor 'w'"},
    {"tensor_name_empty", HEAD(1, 0) ROW("", 0) "p32 z32", WH_ERR_FORMAT, "the name of tensor 1 of 1 is empty"},
    {"tensor_name_utf8", HEAD(1, 0) ROW("a~80", 0) "p32 z32", WH_ERR_FORMAT, "the name of tensor 1 of 1 is not UTF-8"},
    {"tensor_name_huge", HEAD(1, 0) "q0xffffffffffffffff z64", WH_ERR_FORMAT, "the name of tensor 1 of 1"},
    {"tensor_twice", HEAD(2, 0) ROW("w", 0) ROW("w", 32) "p32 z64", WH_ERR_FORMAT, "tensor 'w' appears twice"},
    {"dims_0", HEAD(1, 0) "sw u0 u0 q0 p32 z32", WH_ERR_FORMAT, "tensor 'w' has 0 dimensions"},
    {"dims_5", HEAD(1, 0) "sw u5 q1 q1 q1 q1 q1 u0 q0 p32 z32", WH_ERR_FORMAT, "tensor 'w' has 5 dimensions"},
    {"dims_huge", HEAD(1, 0) "sw u0xffffffff z64", WH_ERR_FORMAT, "tensor 'w' has 4294967295 dimensions"},
    {"dim_zero", HEAD(1, 0) "sw u2 q8 q0 u0 q0 p32 z32", WH_ERR_FORMAT, "tensor 'w' has a dimension of zero"},
    {"shape_overflow", HEAD(1, 0) "sw u4 q0x10000 q0x10000 q0x10000 q0x10000 u0 q0 p32 z32", WH_ERR_FORMAT,
     "tensor 'w' is of an absurd size"},
    {"row_overflow", HEAD(1, 0) "sw u1 q0x4000000000000000 u0 q0 p32 z32", WH_ERR_FORMAT, "tensor 'w' is of an absurd"},
    {"bytes_overflow", HEAD(1, 0) "sw u2 q0x100000 q0x100000000000 u0 q0 p32 z32", WH_ERR_FORMAT, "tensor 'w' is of"},
    {"row_no_blocks", HEAD(1, 0) "sw u2 q128 q2 u12 q0 p32 z288", WH_ERR_FORMAT, "tensor 'w' has rows of 128 weights"},
    {"type_gone", HEAD(1, 0) "sw u1 q32 u4 q0 p32 z99", WH_ERR_FORMAT, "tensor 'w' is of the unknown type 4"},
    {"type_foreign", HEAD(1, 0) "sw u1 q256 u16 q0 p32 z99", WH_ERR_UNSUPPORTED, "tensor 'w' is of type IQ2_XXS"},
    {"offset_odd", HEAD(1, 0) ROW("w", 8) "p32 z64", WH_ERR_FORMAT, "tensor 'w' is at offset 8"},
    {"offset_far", HEAD(1, 0) ROW("w", 0x100000) "p32 z64", WH_ERR_FORMAT, "tensor 'w' (32 bytes at offset 1048576)"},
    {"offset_wraps", HEAD(1, 0) ROW("w", 0xffffffffffffffe0) "p32 z64", WH_ERR_FORMAT, "tensor 'w'"},
    {"data_absent", HEAD(1, 0) ROW("w", 0), WH_ERR_FORMAT, "tensor 'w'"},
    {"data_short", HEAD(1, 0) ROW("w", 0) "p32 z31", WH_ERR_FORMAT, "tensor 'w'"},
    {"overlap", HEAD(2, 0) "sa u2 q8 q2 u0 q0 " ROW("b", 32) "p32 z64", WH_ERR_FORMAT, "'a' and 'b' overlap"},
    {"same_place", HEAD(2, 0) ROW("a", 0) ROW("b", 0) "p32 z64", WH_ERR_FORMAT, "overlap"},
};
enum { N_BROKEN = sizeof broken / sizeof broken[0] };

/* Open n bytes in a block of exactly that size, so that the sanitizer sees a read past the end. *block is to be
 * freed after the wh_gguf. */
static wh_code open_exactly(wh_gguf **g, char **block, const char *data, size_t n, wh_err *err)
{
    *block = malloc(n ? n : 1);
    if (n) memcpy(*block, data, n);
    memset(err, 0, sizeof *err);
    return wh_gguf_open_memory(g, *block, n, err);
}

static void refuses_every_broken_file(void **state)
{
    (void)state;
    for (int i = 0; i < N_BROKEN; i++) {
        wh_buf b = {0};
        wh_gguf *g;
        char *block;
        wh_err err;
        assemble(&b, broken[i].words);
        wh_code code = open_exactly(&g, &block, b.data, b.len, &err);
        if (code != broken[i].code || err.code != code)
            fail_msg("%s: %s (%s)", broken[i].name, wh_code_name(code), err.msg);
        if (!strstr(err.msg, broken[i].culprit)) fail_msg("%s: '%s' names no culprit", broken[i].name, err.msg);
        assert_null(g);
        assert_int_equal(wh_gguf_open_memory(&g, block, b.len, NULL), code); /* a sentence is not a must */
        free(block);
        wh_buf_free(&b);
    }
}

/* Everything the object offers, read once. */
static void read_everything(const wh_gguf *g)
{
    for (size_t i = 0; i < wh_gguf_key_count(g); i++) {
        const wh_gguf_key *k = wh_gguf_key_at(g, i);
        wh_buf out = {0};
        wh_gguf_print_value(&out, k, 1000);
        assert_true(wh_buf_ok(&out) && out.len > 0);
        assert_ptr_equal(wh_gguf_find_key(g, k->name), k);
        wh_buf_free(&out);
    }
    for (size_t i = 0; i < wh_gguf_tensor_count(g); i++) {
        const wh_gguf_tensor *t = wh_gguf_tensor_at(g, i);
        size_t n = t->dims[0], row = wh_quant_row_bytes(t->type, n);
        float *out = malloc(4 * n);
        for (size_t r = 0; r < t->bytes / row; r++)
            wh_quant_dequantize_row(t->type, out, (const char *)t->data + r * row, n);
        free(out);
        assert_ptr_equal(wh_gguf_find_tensor(g, t->name), t);
    }
}

static void refuses_every_cut(void **state)
{
    (void)state;
    wh_buf b = {0};
    wh_gguf *g;
    char *block;
    wh_err err;
    assemble(&b, valid);
    for (size_t n = 0; n < b.len; n++) {
        assert_int_equal(open_exactly(&g, &block, b.data, n, &err), WH_ERR_FORMAT);
        assert_true(strlen(err.msg) > 10);
        free(block);
    }
    assert_int_equal(open_exactly(&g, &block, b.data, b.len, &err), WH_OK);
    read_everything(g);
    wh_gguf_close(g);
    free(block);
    wh_buf_free(&b);
}

static void survives_every_changed_byte(void **state)
{
    (void)state;
    static const unsigned char changes[] = {0x01, 0x80, 0xff, 0x7f, 0x20, 0x03};
    wh_buf b = {0};
    wh_gguf *g;
    char *block;
    wh_err err;
    size_t accepted = 0;
    assemble(&b, valid);
    for (size_t i = 0; i < b.len; i++)
        for (size_t c = 0; c < sizeof changes; c++) {
            b.data[i] = (char)(b.data[i] ^ changes[c]);
            wh_code code = open_exactly(&g, &block, b.data, b.len, &err);
            if (code == WH_OK) read_everything(g);
            else assert_true(strlen(err.msg) > 10);
            accepted += code == WH_OK;
            wh_gguf_close(g);
            free(block);
            b.data[i] = (char)(b.data[i] ^ changes[c]);
        }
    assert_in_range(accepted, 1, b.len * sizeof changes - 1);
    wh_buf_free(&b);
}

/* ---- values ----------------------------------------------------------------------------------------- */

static void assert_printed(const wh_gguf *g, const char *key, const char *want)
{
    wh_buf out = {0};
    wh_gguf_print_value(&out, wh_gguf_find_key(g, key), 2);
    assert_string_equal(wh_buf_str(&out), want);
    wh_buf_free(&out);
}

static void getters(void **state)
{
    (void)state;
    wh_buf b = {0};
    wh_gguf *g;
    wh_err err;
    assemble(&b, valid);
    assert_int_equal(wh_gguf_open_memory(&g, b.data, b.len, &err), WH_OK);
    uint32_t u = 0;
    uint64_t v = 0;
    float f = 0;
    bool yes = false;
    wh_gguf_str s;
    const wh_gguf_key *a;
    assert_true(wh_gguf_has(g, "k.u8") && !wh_gguf_has(g, "k.u9"));
    assert_true(wh_gguf_get_u32(g, "k.u8", &u, &err) == WH_OK && u == 200);
    assert_true(wh_gguf_get_u32(g, "k.u16", &u, &err) == WH_OK && u == 0x201);
    assert_true(wh_gguf_get_u32(g, "k.i64", &u, &err) == WH_OK && u == 7);
    assert_true(wh_gguf_get_u32(g, "k.u32", &u, &err) == WH_OK && u == 4000000000u);
    assert_true(wh_gguf_get_u64(g, "k.u64", &v, &err) == WH_OK && v == UINT64_MAX);
    assert_true(wh_gguf_get_f32(g, "k.f32", &f, &err) == WH_OK && f == 1.5f);
    assert_true(wh_gguf_get_f32(g, "k.f64", &f, &err) == WH_OK && f == 1.5f);
    assert_true(wh_gguf_get_bool(g, "k.yes", &yes, &err) == WH_OK && yes);
    assert_true(wh_gguf_get_str(g, "general.architecture", &s, &err) == WH_OK && s.len == 5 &&
                memcmp(s.s, "llama", 5) == 0);
    assert_int_equal(wh_gguf_get_str_array(g, "k.strs", &a, &err), WH_OK);
    assert_int_equal(a->count, 3);
    assert_true(wh_gguf_str_at(a, 0).len == 1 && wh_gguf_str_at(a, 1).len == 0 && wh_gguf_str_at(a, 2).len == 3);
    assert_int_equal(wh_gguf_get_i32_array(g, "k.ints", &a, &err), WH_OK);
    assert_true(a->count == 2 && wh_gguf_i32_at(a, 0) == 1 && wh_gguf_i32_at(a, 1) == -1);
    assert_int_equal(wh_gguf_get_f32_array(g, "k.floats", &a, &err), WH_OK);
    assert_true(a->count == 1 && wh_gguf_f32_at(a, 0) == 2.f);
    assert_int_equal(wh_gguf_get_i32_array(g, "k.none", &a, &err), WH_OK);
    assert_int_equal(a->count, 0);

    static const struct {
        const char *key, *sentence;
    } bad[] = {
        {"absent", "key 'absent' is missing"},
        {"k.i8", "key 'k.i8' is -2, a negative number"},
        {"k.u64", "key 'k.u64' is 18446744073709551615, more than 32 bits"},
        {"k.f32", "key 'k.f32' is of type f32 instead of an integer"},
        {"k.ints", "key 'k.ints' is an array of i32 instead of an integer"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        u = 12345;
        assert_int_equal(wh_gguf_get_u32(g, bad[i].key, &u, &err), WH_ERR_FORMAT);
        assert_string_equal(err.msg, bad[i].sentence);
        assert_int_equal(u, 12345);
    }
    assert_int_equal(wh_gguf_get_f32(g, "k.u8", &f, &err), WH_ERR_FORMAT);
    assert_int_equal(wh_gguf_get_bool(g, "k.u8", &yes, &err), WH_ERR_FORMAT);
    assert_int_equal(wh_gguf_get_str(g, "k.strs", &s, &err), WH_ERR_FORMAT);
    assert_string_equal(err.msg, "key 'k.strs' is an array of string instead of a string");
    assert_int_equal(wh_gguf_get_str_array(g, "k.ints", &a, &err), WH_ERR_FORMAT);
    assert_int_equal(wh_gguf_get_i32_array(g, "k.bools", &a, &err), WH_ERR_FORMAT);
    assert_int_equal(wh_gguf_get_f32_array(g, "k.f32", &a, &err), WH_ERR_FORMAT);

    assert_printed(g, "k.i16", "-1");
    assert_printed(g, "k.u64", "18446744073709551615");
    assert_printed(g, "k.f64", "1.5");
    assert_printed(g, "k.bools", "[false, true]");
    assert_printed(g, "k.strs", "[\"a\", \"\", \"...\"]");
    assert_printed(g, "k.none", "[]");
    assert_printed(g, "general.architecture", "\"llama\"");
    wh_gguf_close(g);
    wh_buf_free(&b);
}

static void large_u32_items_are_no_i32(void **state)
{
    (void)state;
    wh_buf b = {0};
    wh_gguf *g;
    wh_err err;
    const wh_gguf_key *a;
    assemble(&b, HEAD(0, 1) "sx u9 u4 q2 u5 u0x80000000");
    assert_int_equal(wh_gguf_open_memory(&g, b.data, b.len, &err), WH_OK);
    assert_int_equal(wh_gguf_get_i32_array(g, "x", &a, &err), WH_ERR_FORMAT);
    assert_non_null(strstr(err.msg, "'x' holds 2147483648 at place 1"));
    wh_gguf_close(g);
    wh_buf_free(&b);
}

/* ---- on disk ---------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/test_gguf_XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : 1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder); /* fails when a test, or a writer that gave up, left something */
}

static const char *in_folder(const char *name)
{
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_words(const char *name, const char *words)
{
    wh_buf b = {0};
    wh_err err;
    assemble(&b, words);
    assert_int_equal(wh_file_write(in_folder(name), b.data, b.len, &err), WH_OK);
    wh_buf_free(&b);
}

static void opens_files(void **state)
{
    (void)state;
    wh_gguf *g;
    wh_err err;
    write_words("a.gguf", valid);
    assert_int_equal(wh_gguf_open(&g, in_folder("a.gguf"), &err), WH_OK);
    assert_int_equal(wh_gguf_version(g), 3);
    assert_int_equal(wh_gguf_file_count(g), 1);
    struct stat st;
    assert_int_equal(stat(in_folder("a.gguf"), &st), 0);
    assert_int_equal(wh_gguf_file_bytes(g), st.st_size);
    const wh_gguf_tensor *t = wh_gguf_find_tensor(g, "one.weight");
    assert_true(t && t->n_dims == 2 && t->dims[0] == 32 && t->dims[1] == 2 && t->dims[2] == 1 && t->dims[3] == 1);
    assert_true(t->type == WH_TYPE_Q4_0 && t->bytes == 36 && t->name_len == 10);
    assert_null(wh_gguf_find_tensor(g, "one"));
    wh_gguf_release(g, t);
    read_everything(g);
    wh_gguf_close(g);

    assert_int_equal(wh_gguf_open(&g, in_folder("none.gguf"), &err), WH_ERR_IO);
    assert_non_null(strstr(err.msg, "none.gguf"));
    assert_null(g);
    assert_int_equal(wh_gguf_open(&g, folder, &err), WH_ERR_IO);
    char *brief = strdup("?"); /* shorter than the ending of a part's name */
    assert_int_equal(wh_gguf_open(&g, brief, &err), WH_ERR_IO);
    free(brief);
    write_words("a.gguf", "rhello,~0aworld");
    assert_int_equal(wh_gguf_open(&g, in_folder("a.gguf"), &err), WH_ERR_FORMAT);
    assert_non_null(strstr(err.msg, "a.gguf: not a GGUF file"));
    write_words("a.gguf", "");
    assert_int_equal(wh_gguf_open(&g, in_folder("a.gguf"), &err), WH_ERR_FORMAT);
    unlink(in_folder("a.gguf"));
}

#define SPLIT(no, count, tensors)                                                                            \
    "ssplit.no u2 b" #no " b0 ssplit.count u2 b" #count " b0 ssplit.tensors.count u5 u" #tensors " "

static void expect_split(const char *name, wh_code code, const char *sentence)
{
    wh_gguf *g;
    wh_err err = {0};
    assert_int_equal(wh_gguf_open(&g, in_folder(name), &err), code);
    if (code != WH_OK && !strstr(err.msg, sentence)) fail_msg("'%s' does not say '%s'", err.msg, sentence);
    wh_gguf_close(g);
}

static void opens_split_files(void **state)
{
    (void)state;
    const char *first = "m-00001-of-00002.gguf", *second = "m-00002-of-00002.gguf";
    write_words(first, "G u3 q1 q4 " ARCH SPLIT(0, 2, 2) ROW("a", 0) "p32 z32");
    write_words(second, "G u3 q1 q3 " SPLIT(1, 2, 2) ROW("b", 0) "p32 z32");
    for (int i = 0; i < 2; i++) {
        wh_gguf *g;
        wh_err err;
        assert_int_equal(wh_gguf_open(&g, in_folder(i ? second : first), &err), WH_OK);
        assert_int_equal(wh_gguf_file_count(g), 2);
        assert_int_equal(wh_gguf_tensor_count(g), 2);
        assert_true(wh_gguf_has(g, "general.architecture"));
        assert_non_null(wh_gguf_find_tensor(g, "a"));
        assert_non_null(wh_gguf_find_tensor(g, "b"));
        read_everything(g);
        wh_gguf_close(g);
    }
    write_words(second, "G u3 q1 q3 " SPLIT(1, 2, 2) ROW("a", 0) "p32 z32");
    expect_split(first, WH_ERR_FORMAT, "tensor 'a' appears twice");
    write_words(second, "G u3 q1 q3 " SPLIT(0, 2, 2) ROW("b", 0) "p32 z32");
    expect_split(first, WH_ERR_FORMAT, "key 'split.no' is 0 instead of 1");
    write_words(second, "G u3 q1 q3 " SPLIT(1, 3, 2) ROW("b", 0) "p32 z32");
    expect_split(first, WH_ERR_FORMAT, "key 'split.count' is 3 instead of 2");
    write_words(second, HEAD(1, 0) ROW("b", 0) "p32 z32");
    expect_split(first, WH_ERR_FORMAT, "key 'split.no' is missing");
    write_words(second, "G u3 q0 q3 " SPLIT(1, 2, 2));
    expect_split(first, WH_ERR_FORMAT, "key 'split.tensors.count' is 2 instead of 1");
    write_words(second, "G u3 q1 q3 " SPLIT(1, 2, 2) ROW("b", 0) "p32 z31");
    expect_split(first, WH_ERR_FORMAT, "m-00002-of-00002.gguf: tensor 'b'");
    unlink(in_folder(second));
    expect_split(first, WH_ERR_IO, "m-00002-of-00002.gguf");
    unlink(in_folder(first));

    write_words("renamed.gguf", "G u3 q1 q4 " ARCH SPLIT(0, 2, 2) ROW("a", 0) "p32 z32");
    expect_split("renamed.gguf", WH_ERR_FORMAT, "key 'split.count' says it is a part");
    unlink(in_folder("renamed.gguf"));
}

/* ---- writing ---------------------------------------------------------------------------------------- */

static wh_gguf_writer *start_writer(const char *name, uint32_t alignment)
{
    wh_gguf_writer *w;
    wh_err err;
    assert_int_equal(wh_gguf_write_create(&w, in_folder(name), alignment, &err), WH_OK);
    return w;
}

static void check_round_trip(uint32_t alignment)
{
    wh_err err;
    wh_buf b = {0};
    wh_gguf *from, *g;
    assemble(&b, valid);
    assert_int_equal(wh_gguf_open_memory(&from, b.data, b.len, &err), WH_OK);

    static const int16_t shorts[] = {-5, 6};
    static const wh_gguf_str strs[] = {{"x", 1}, {"", 0}, {"\xff\0", 2}};
    static const double pi = 3.25;
    static const uint64_t dims[4] = {64, 3, 1, 2};
    wh_gguf_writer *w = start_writer("w.gguf", alignment);
    for (size_t i = 0; i < wh_gguf_key_count(from); i++)
        assert_int_equal(wh_gguf_write_key(w, wh_gguf_key_at(from, i), &err), WH_OK);
    assert_int_equal(wh_gguf_write_u32(w, "n.u32", 77, &err), WH_OK);
    assert_int_equal(wh_gguf_write_f32(w, "n.f32", 0.1f, &err), WH_OK);
    assert_int_equal(wh_gguf_write_bool(w, "n.bool", true, &err), WH_OK);
    assert_int_equal(wh_gguf_write_str(w, "n.str", "gr\xc3\xb6\xc3\x9f" "er", &err), WH_OK);
    assert_int_equal(wh_gguf_write_value(w, "n.f64", WH_GGUF_F64, &pi, &err), WH_OK);
    assert_int_equal(wh_gguf_write_array(w, "n.shorts", WH_GGUF_I16, shorts, 2, &err), WH_OK);
    assert_int_equal(wh_gguf_write_str_array(w, "n.strs", strs, 3, &err), WH_OK);
    assert_int_equal(wh_gguf_write_tensor(w, "q", WH_TYPE_Q5_0, 4, dims, &err), WH_OK);
    assert_int_equal(wh_gguf_write_tensor(w, "f", WH_TYPE_F32, 1, (uint64_t[]){3}, &err), WH_OK);
    assert_int_equal(wh_gguf_write_tensor(w, "h", WH_TYPE_F16, 2, (uint64_t[]){5, 1}, &err), WH_OK);
    enum { Q = 64 / 32 * 22 * 6, ALL = Q + 12 + 10 };
    unsigned char data[ALL];
    for (int i = 0; i < ALL; i++) data[i] = (unsigned char)(i * 37);
    assert_int_equal(wh_gguf_write_begin(w, &err), WH_OK);
    for (size_t i = 0, step; i < ALL; i += step) { /* in pieces that ignore where tensors end */
        step = i % 91 + 1 < ALL - i ? i % 91 + 1 : ALL - i;
        assert_int_equal(wh_gguf_write_data(w, data + i, step, &err), WH_OK);
    }
    assert_int_equal(wh_gguf_write_finish(w, &err), WH_OK);

    assert_int_equal(wh_gguf_open(&g, in_folder("w.gguf"), &err), WH_OK);
    assert_int_equal(wh_gguf_key_count(g), wh_gguf_key_count(from) + 7 + (alignment != 32));
    for (size_t i = 0; i < wh_gguf_key_count(from); i++) {
        const wh_gguf_key *x = wh_gguf_key_at(from, i), *y = wh_gguf_find_key(g, x->name);
        assert_true(y && x->type == y->type && x->item == y->item && x->count == y->count && x->bytes == y->bytes);
        assert_memory_equal(x->data, y->data, x->bytes);
    }
    assert_printed(g, "n.u32", "77");
    assert_printed(g, "n.f32", "0.100000001");
    assert_printed(g, "n.bool", "true");
    assert_printed(g, "n.str", "\"gr\xc3\xb6\xc3\x9f" "er\"");
    assert_printed(g, "n.f64", "3.25");
    assert_printed(g, "n.shorts", "[-5, 6]");
    const wh_gguf_key *a;
    assert_int_equal(wh_gguf_get_str_array(g, "n.strs", &a, &err), WH_OK);
    assert_true(a->count == 3 && wh_gguf_str_at(a, 2).len == 2 && memcmp(wh_gguf_str_at(a, 2).s, "\xff\0", 2) == 0);
    assert_int_equal(wh_gguf_tensor_count(g), 3);
    size_t at = 0;
    for (size_t i = 0; i < 3; i++) {
        const wh_gguf_tensor *t = wh_gguf_tensor_at(g, i);
        assert_int_equal((uintptr_t)t->data % alignment, 0);
        assert_memory_equal(t->data, data + at, t->bytes);
        at += t->bytes;
    }
    assert_int_equal(at, ALL);
    assert_memory_equal(wh_gguf_find_tensor(g, "q")->dims, dims, sizeof dims);
    wh_gguf_close(g);
    wh_gguf_close(from);
    wh_buf_free(&b);
    unlink(in_folder("w.gguf"));
}

static void writes_what_is_read(void **state)
{
    (void)state;
    check_round_trip(32);
    check_round_trip(8);
    check_round_trip(256);
}

static void writer_keeps_the_old_file(void **state)
{
    (void)state;
    static const float row[4] = {1, 2, 3, 4};
    wh_err err;
    wh_gguf *g;
    write_words("w.gguf", valid);
    for (int kind = 0; kind < 6; kind++) {
        wh_gguf_writer *w = start_writer("w.gguf", 32);
        assert_int_equal(wh_gguf_write_u32(w, kind == 0 ? "" : "k", 1, &err), WH_OK);
        if (kind == 1) assert_int_equal(wh_gguf_write_u32(w, "k", 1, &err), WH_OK);
        assert_int_equal(wh_gguf_write_tensor(w, "t", WH_TYPE_F32, 1, (uint64_t[]){4}, &err), WH_OK);
        if (kind == 2) assert_int_equal(wh_gguf_write_tensor(w, "t", WH_TYPE_F32, 1, (uint64_t[]){4}, &err), WH_OK);
        assert_int_equal(wh_gguf_write_begin(w, &err), WH_OK);
        assert_int_equal(wh_gguf_write_data(w, row, kind == 3 ? 15 : 16, &err), WH_OK);
        if (kind == 2) assert_int_equal(wh_gguf_write_data(w, row, 16, &err), WH_OK);
        if (kind == 4) {
            assert_int_equal(wh_gguf_write_data(w, row, 1, &err), WH_ERR_ARG);
            assert_non_null(strstr(err.msg, "more data"));
        }
        static const char *const sentence[] = {"is empty", "key 'k' appears twice", "tensor 't' appears twice",
                                               "only 0 of 1 tensors"};
        if (kind < 4) {
            assert_int_not_equal(wh_gguf_write_finish(w, &err), WH_OK);
            if (!strstr(err.msg, sentence[kind])) fail_msg("'%s' does not say '%s'", err.msg, sentence[kind]);
        } else {
            wh_gguf_write_abort(w);
        }
        assert_int_equal(wh_gguf_open(&g, in_folder("w.gguf"), &err), WH_OK);
        assert_non_null(wh_gguf_find_tensor(g, "one.weight"));
        wh_gguf_close(g);
    }
    unlink(in_folder("w.gguf")); /* remove_folder finds whatever else was left */
}

static void writer_refuses_nonsense(void **state)
{
    (void)state;
    wh_err err;
    wh_gguf_writer *w;
    assert_int_equal(wh_gguf_write_create(&w, in_folder("w.gguf"), 24, &err), WH_ERR_ARG);
    assert_null(w);
    wh_gguf_write_abort(w);
    w = start_writer("none/w.gguf", 32);
    assert_int_equal(wh_gguf_write_tensor(w, "t", WH_TYPE_Q4_0, 1, (uint64_t[]){33}, &err), WH_ERR_ARG);
    assert_non_null(strstr(err.msg, "tensor 't'"));
    assert_int_equal(wh_gguf_write_tensor(w, "t", WH_TYPE_F32, 2, (uint64_t[]){1 << 20, UINT64_MAX}, &err), WH_ERR_ARG);
    assert_int_equal(wh_gguf_write_begin(w, &err), WH_ERR_IO);
    assert_non_null(strstr(err.msg, "none/w.gguf"));
    wh_gguf_write_abort(w);

    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    w = start_writer("pipe", 32);
    assert_int_equal(wh_gguf_write_begin(w, &err), WH_ERR_IO);
    assert_non_null(strstr(err.msg, "pipe exists and is not a regular file"));
    wh_gguf_write_abort(w);
    unlink(in_folder("pipe"));
}

static wh_code write_small(wh_err *err)
{
    static const float row[8];
    wh_gguf_writer *w;
    WH_TRY(wh_gguf_write_create(&w, in_folder("small.gguf"), 64, err));
    wh_code code = wh_gguf_write_str(w, "s", "some text", err);
    if (code == WH_OK) code = wh_gguf_write_str_array(w, "a", &(wh_gguf_str){"x", 1}, 1, err);
    if (code == WH_OK) code = wh_gguf_write_tensor(w, "t", WH_TYPE_F32, 1, (uint64_t[]){8}, err);
    if (code == WH_OK) code = wh_gguf_write_begin(w, err);
    if (code == WH_OK) code = wh_gguf_write_data(w, row, sizeof row, err);
    if (code == WH_OK) return wh_gguf_write_finish(w, err);
    wh_gguf_write_abort(w);
    return code;
}

static wh_code open_split_small(wh_err *err)
{
    wh_gguf *g;
    wh_code code = wh_gguf_open(&g, in_folder("m-00001-of-00001.gguf"), err);
    wh_gguf_close(g);
    return code;
}

/* Fail the first allocation, then the second, ... until none fails. */
static void walk_lack_of_memory(wh_code (*work)(wh_err *err))
{
    long k = 0;
    for (wh_code code = WH_ERR_NOMEM; code != WH_OK; k++) {
        wh_err err = {0};
        wh_mem_fail_after(k);
        code = work(&err);
        wh_mem_fail_after(-1);
        if (code != WH_OK && code != WH_ERR_NOMEM) fail_msg("allocation %ld: %s", k, err.msg);
        assert_int_equal(err.code, code);
    }
    assert_in_range(k, 5, 1000);
}

static void survives_lack_of_memory(void **state)
{
    (void)state;
    write_words("m-00001-of-00001.gguf", "G u3 q1 q5 " ARCH SPLIT(0, 1, 1) "sa u9 u8 q1 sx " ROW("a", 0) "p32 z32");
    walk_lack_of_memory(open_split_small);
    unlink(in_folder("m-00001-of-00001.gguf"));
    walk_lack_of_memory(write_small);
    unlink(in_folder("small.gguf"));
}

static int write_seeds(const char *to)
{
    wh_err err;
    for (int i = -1; i < N_BROKEN; i++) {
        wh_buf b = {0};
        char path[PATH_MAX];
        assemble(&b, i < 0 ? valid : broken[i].words);
        snprintf(path, sizeof path, "%s/%s.gguf", to, i < 0 ? "valid" : broken[i].name);
        if (wh_file_write(path, wh_buf_str(&b), b.len, &err) != WH_OK) {
            fprintf(stderr, "%s\n", err.msg);
            return 1;
        }
        wh_buf_free(&b);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1) return write_seeds(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_every_broken_file),
        cmocka_unit_test(refuses_every_cut),
        cmocka_unit_test(survives_every_changed_byte),
        cmocka_unit_test(getters),
        cmocka_unit_test(large_u32_items_are_no_i32),
        cmocka_unit_test(opens_files),
        cmocka_unit_test(opens_split_files),
        cmocka_unit_test(writes_what_is_read),
        cmocka_unit_test(writer_keeps_the_old_file),
        cmocka_unit_test(writer_refuses_nonsense),
        cmocka_unit_test(survives_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
