/* pack: model files whose matrices lie as the kernels read them, made by `whet pack`.
 *
 * Such a file is a GGUF file with the keys of its source and
 *
 *   whet.pack.version       u32: WH_LAYOUT_VERSION when it was made
 *   whet.pack.source        string: sha256 of the file it was made from
 *   whet.pack.fast          bool: the matrices are rounded to int8 (WH_MAT_FAST); missing: they are exact
 *   whet.pack.matrix.NAME   [i32]: type in the source, columns, rows of the matrix NAME
 *
 * NAME is a tensor of bytes (I8), one panel of kern/CONTRACT.md a row, aligned to 64 bytes: the kernels read it
 * where it is mapped, and processes share its pages. All matrices that the forward pass multiplies by are
 * packed, so a head tied to the embedding has a tensor of its own. Everything else is as it was in the source,
 * the embedding too: it is read row by row.
 *
 * For shipping, the whole file is compressed (base/zfile.h), metadata in a frame of their own.
 */
#ifndef WH_MODEL_PACK_H
#define WH_MODEL_PACK_H

#include "model/model.h"

/* Is it a packed file? WH_ERR_UNSUPPORTED: it is one of another version; WH_ERR_FORMAT. */
wh_code wh_pack_recognise(bool *out, const wh_gguf *g, wh_err *err);

/* The form of its matrices. WH_ERR_FORMAT. */
wh_code wh_pack_form(wh_mat_form *out, const wh_gguf *g, wh_err *err);

/* Its whet.pack.source; {NULL, 0} when there is none: the file is its own source. */
wh_gguf_str wh_pack_source(const wh_gguf *g);

/* The matrix `name` of a packed file, rows x cols; its panels are borrowed from g. WH_ERR_FORMAT: it is missing,
 * has another shape or size. The bytes of panels are not looked at. */
wh_code wh_pack_find(wh_mat **out, const wh_gguf *g, const char *name, size_t rows, size_t cols, wh_err *err);

/* What the tensor was in the source when it is a packed matrix: type, dims[0] = columns, dims[1] = rows, bytes as
 * in the packed file. Any other tensor is returned as it is. */
wh_gguf_tensor wh_pack_unpacked(const wh_gguf *g, const wh_gguf_tensor *t);

/* Write m as a packed file. source: 64 hex digits; when m is of a packed file already, its source is kept. */
wh_code wh_pack_write(const char *path, const wh_model *m, const char *source, bool zstd, wh_par *par, wh_err *err);

#endif
