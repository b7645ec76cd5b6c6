/* gguf_write: make a GGUF file (version 3), tensor data streamed, the file put in place at once.
 *
 *   create, then keys and tensor declarations in any order, then begin, then the data of all tensors in the order
 *   of declaration (in pieces of any size; padding is inserted), then finish.
 *
 * The file appears under its name only when finish succeeds, after our own reader has accepted it: a duplicate, a
 * bad name or a wrong shape is reported there. Until then it lies beside it under a temporary name, which abort
 * removes. One thread.
 */
#ifndef WH_GGUF_GGUF_WRITE_H
#define WH_GGUF_GGUF_WRITE_H

#include "gguf/gguf_read.h"

typedef struct wh_gguf_writer wh_gguf_writer;

/* alignment: a power of two, at least 8; 32 is what GGUF files use, others are noted in general.alignment. */
wh_code wh_gguf_write_create(wh_gguf_writer **out, const char *path, uint32_t alignment, wh_err *err);

/* Keys. type is a number or WH_GGUF_BOOL; value points to one of it, items to n of them, as in memory. */
wh_code wh_gguf_write_value(wh_gguf_writer *w, const char *key, wh_gguf_vtype type, const void *value, wh_err *err);
wh_code wh_gguf_write_array(wh_gguf_writer *w, const char *key, wh_gguf_vtype type, const void *items, size_t n,
                            wh_err *err);
wh_code wh_gguf_write_str(wh_gguf_writer *w, const char *key, const char *value, wh_err *err);
wh_code wh_gguf_write_str_array(wh_gguf_writer *w, const char *key, const wh_gguf_str *items, size_t n, wh_err *err);
wh_code wh_gguf_write_u32(wh_gguf_writer *w, const char *key, uint32_t value, wh_err *err);
wh_code wh_gguf_write_f32(wh_gguf_writer *w, const char *key, float value, wh_err *err);
wh_code wh_gguf_write_bool(wh_gguf_writer *w, const char *key, bool value, wh_err *err);
/* A key of another file, whatever its type. Not general.alignment: that is create's. */
wh_code wh_gguf_write_key(wh_gguf_writer *w, const wh_gguf_key *key, wh_err *err);

/* Declare a tensor; dims[0] is the row length. WH_ERR_ARG when rows are no whole blocks or the size is absurd. */
wh_code wh_gguf_write_tensor(wh_gguf_writer *w, const char *name, wh_type type, int n_dims, const uint64_t *dims,
                             wh_err *err);

wh_code wh_gguf_write_begin(wh_gguf_writer *w, wh_err *err);
/* The next n bytes of tensor data. */
wh_code wh_gguf_write_data(wh_gguf_writer *w, const void *data, size_t n, wh_err *err);
/* Puts the file in place; w is gone afterwards, whether that worked or not. */
wh_code wh_gguf_write_finish(wh_gguf_writer *w, wh_err *err);
/* Gives up; NULL is fine. */
void wh_gguf_write_abort(wh_gguf_writer *w);

#endif
