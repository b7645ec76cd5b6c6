/* gguf_read: a GGUF file (version 2 or 3, one file or split into parts), mapped read-only, or inflated into
 * memory when it is compressed (base/zfile.h).
 *
 * Opening checks everything a file can get wrong (every count, length, type, offset and size, overlaps,
 * duplicates) before a pointer is made from it; after that all accessors are safe and allocate nothing. Tensor
 * data and string values are views into the mapping and live until wh_gguf_close. A wh_gguf is immutable:
 * any number of threads may read it.
 *
 * Metadata is that of the first part; the tensors of all parts are one list, in the order of the files.
 *
 * Source of the format: docs/gguf.md of ggml; split files: gguf-split of llama.cpp.
 */
#ifndef WH_GGUF_GGUF_READ_H
#define WH_GGUF_GGUF_READ_H

#include "base/buf.h"
#include "base/err.h"
#include "base/par.h"
#include "quant/quant.h"

/* Types of metadata values, numbered as in the file. */
typedef enum wh_gguf_vtype {
    WH_GGUF_U8,
    WH_GGUF_I8,
    WH_GGUF_U16,
    WH_GGUF_I16,
    WH_GGUF_U32,
    WH_GGUF_I32,
    WH_GGUF_F32,
    WH_GGUF_BOOL,
    WH_GGUF_STR,
    WH_GGUF_ARRAY,
    WH_GGUF_U64,
    WH_GGUF_I64,
    WH_GGUF_F64,
    WH_GGUF_VTYPE_COUNT
} wh_gguf_vtype;

/* Name ("u32", "string") of a value type, and its bytes in the file (0: string, array). */
const char *wh_gguf_vtype_name(wh_gguf_vtype t);
size_t      wh_gguf_vtype_bytes(wh_gguf_vtype t);

typedef struct wh_gguf wh_gguf;

/* Bytes of a string in the mapping; not NUL-terminated, not necessarily UTF-8. */
typedef struct wh_gguf_str {
    const char *s;
    size_t      len;
} wh_gguf_str;

typedef struct wh_gguf_tensor {
    const char *name; /* NUL-terminated, valid UTF-8 */
    size_t      name_len;
    int         n_dims;  /* 1..4 */
    uint64_t    dims[4]; /* dims[0] = row length (fastest); unused ones are 1; none is 0 */
    wh_type     type;
    const void *data; /* aligned to the file's alignment, at least 8 */
    size_t      bytes;
} wh_gguf_tensor;

/* One metadata entry. An array's elements have type item; every other value counts as one element of type item. */
typedef struct wh_gguf_key {
    const char                 *name; /* NUL-terminated, valid UTF-8 */
    size_t                      name_len;
    wh_gguf_vtype               type, item;
    size_t                      count; /* elements */
    const unsigned char        *data;  /* in the mapping, unaligned; a string starts with its u64 length */
    size_t                      bytes; /* of all elements together */
    const unsigned char *const *items; /* array of strings: where each starts; else NULL */
} wh_gguf_key;

/* Open path. When it is a part of a split file (name-00002-of-00003.gguf), all parts are opened.
 * WH_ERR_IO, WH_ERR_FORMAT (broken), WH_ERR_UNSUPPORTED (well-formed, but a version or type Whet does not read),
 * WH_ERR_NOMEM; the sentence begins with the path and names the key or the tensor. */
wh_code wh_gguf_open(wh_gguf **out, const char *path, wh_err *err);
/* To be called once before tensor data is read: a compressed file has only its metadata until then. For
 * other files there is nothing to do. WH_ERR_FORMAT: damaged data. */
wh_code wh_gguf_inflate(wh_gguf *g, wh_par *par, wh_err *err);
/* The same for one whole file in memory, which stays the caller's and must outlive the wh_gguf;
 * data is aligned to 8. */
wh_code wh_gguf_open_memory(wh_gguf **out, const void *data, size_t n, wh_err *err);
void    wh_gguf_close(wh_gguf *g);

uint32_t wh_gguf_version(const wh_gguf *g);     /* of the first file */
size_t   wh_gguf_file_count(const wh_gguf *g);  /* 1, or the number of parts */
uint64_t wh_gguf_file_bytes(const wh_gguf *g);  /* of all files together */
size_t   wh_gguf_head_bytes(const wh_gguf *g);  /* of the first file: what comes before the tensor data */
/* Tell the system that a tensor's pages are not needed now (its weights were packed elsewhere). A hint. */
void wh_gguf_release(const wh_gguf *g, const wh_gguf_tensor *t);

/* ---- tensors ---- */
size_t                wh_gguf_tensor_count(const wh_gguf *g);
const wh_gguf_tensor *wh_gguf_tensor_at(const wh_gguf *g, size_t i);
/* NULL when there is none. */
const wh_gguf_tensor *wh_gguf_find_tensor(const wh_gguf *g, const char *name);

/* ---- metadata ---- */
size_t             wh_gguf_key_count(const wh_gguf *g);
const wh_gguf_key *wh_gguf_key_at(const wh_gguf *g, size_t i);
const wh_gguf_key *wh_gguf_find_key(const wh_gguf *g, const char *key);
bool               wh_gguf_has(const wh_gguf *g, const char *key);

/* Each getter: WH_ERR_FORMAT with a sentence when the key is missing, has another type, or does not fit;
 * *out is written only on WH_OK. Integers of any width convert when the value fits, floats of any width to f32. */
wh_code wh_gguf_get_u32(const wh_gguf *g, const char *key, uint32_t *out, wh_err *err);
wh_code wh_gguf_get_u64(const wh_gguf *g, const char *key, uint64_t *out, wh_err *err);
wh_code wh_gguf_get_f32(const wh_gguf *g, const char *key, float *out, wh_err *err);
wh_code wh_gguf_get_bool(const wh_gguf *g, const char *key, bool *out, wh_err *err);
wh_code wh_gguf_get_str(const wh_gguf *g, const char *key, wh_gguf_str *out, wh_err *err);

/* The value as an integer; false when it is none or negative. */
bool wh_gguf_key_u64(const wh_gguf_key *key, uint64_t *out);

/* Arrays: a view (the entry itself; its count is the length) whose elements are then read one at a time.
 * i32 accepts integers up to 32 bits wide whose values all fit; f32 accepts f32 and f64. i < count. */
wh_code wh_gguf_get_str_array(const wh_gguf *g, const char *key, const wh_gguf_key **out, wh_err *err);
wh_code wh_gguf_get_i32_array(const wh_gguf *g, const char *key, const wh_gguf_key **out, wh_err *err);
wh_code wh_gguf_get_f32_array(const wh_gguf *g, const char *key, const wh_gguf_key **out, wh_err *err);
wh_gguf_str wh_gguf_str_at(const wh_gguf_key *array, size_t i);
int32_t     wh_gguf_i32_at(const wh_gguf_key *array, size_t i);
float       wh_gguf_f32_at(const wh_gguf_key *array, size_t i);

/* The string of a key of type WH_GGUF_STR. */
wh_gguf_str wh_gguf_key_str(const wh_gguf_key *key);

/* Append the value as JSON (invalid UTF-8 becomes U+FFFD); of an array only the first max_items elements,
 * then "...". */
void wh_gguf_print_value(wh_buf *out, const wh_gguf_key *key, size_t max_items);

#endif
