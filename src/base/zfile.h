/* zfile: a file as independent zstd frames, inflated into memory by many threads.
 *
 * The format is zstd's seekable format (version 0.1.0, contrib/seekable_format of zstd):
 * frames with checksums, then a skippable frame that lists their sizes. `zstd -d` reads it too. The first
 * frame may be of another size than the rest; opening inflates it alone, so that what stands at the
 * beginning can be looked at without inflating all.
 */
#ifndef WH_BASE_ZFILE_H
#define WH_BASE_ZFILE_H

#include "base/err.h"
#include "base/par.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct wh_zfile wh_zfile;

/* Do these bytes begin like a zstd frame? */
bool wh_zfile_is(const void *data, size_t n);
/* data: the compressed file, borrowed until wh_zfile_inflate was done or the object is freed.
 * WH_ERR_FORMAT: damaged, or compressed otherwise; WH_ERR_NOMEM. */
wh_code wh_zfile_open(wh_zfile **out, const void *data, size_t n, wh_err *err);
/* Inflate the rest, and check its checksums. Does nothing the second time. */
wh_code wh_zfile_inflate(wh_zfile *z, wh_par *par, wh_err *err);
void    wh_zfile_free(wh_zfile *z);

const void *wh_zfile_data(const wh_zfile *z); /* aligned to 64; what is not inflated yet is not defined */
size_t      wh_zfile_size(const wh_zfile *z); /* of the content */
size_t      wh_zfile_ready(const wh_zfile *z); /* bytes of it that are inflated */

/* Compress n bytes to path: `first` bytes in the first frame, the rest in frames of a few MB, on the threads
 * of par. The file appears when it is whole. */
wh_code wh_zfile_write(const char *path, const void *data, size_t n, size_t first, wh_par *par, wh_err *err);

#endif
