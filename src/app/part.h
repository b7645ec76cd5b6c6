/* part: a file that is on its way.
 *
 * It is called FILE.part until its bytes are right; a run that was interrupted leaves it there, and the next
 * one goes on behind its last byte, from whatever source. One process at a time (a lock on it).
 */
#ifndef WH_APP_PART_H
#define WH_APP_PART_H

#include "base/buf.h"
#include "base/err.h"

typedef struct wh_part {
    const char *label;      /* what progress lines call it; borrowed */
    wh_buf      path, file; /* "FILE.part", "FILE" */
    int         fd;
    uint64_t    have;       /* bytes in FILE.part */
    uint64_t    total;      /* of the whole file; 0: not known yet */
    bool        local;      /* the last failure was ours (disk, interrupt): another source will not help */
    uint64_t    from;       /* bytes that were there when this run began, and when that was */
    double      since, shown;
} wh_part;

/* Creates the folder and FILE.part, or opens the one that is there. Refuses when the disk is too small for
 * `total` bytes or when another process fetches the same file. Zeroed parts may be closed. */
wh_code wh_part_open(wh_part *p, const char *file, uint64_t total, const char *label, wh_err *err);
void    wh_part_close(wh_part *p); /* keeps FILE.part */

wh_code wh_part_append(wh_part *p, const void *data, size_t n, wh_err *err);
wh_code wh_part_cut(wh_part *p, uint64_t at, wh_err *err);

/* Check size and digest (NULL: unknown), bring it to the disk and rename it to FILE. When the bytes are
 * wrong they are thrown away: WH_ERR_FORMAT, and FILE.part is empty again. */
wh_code wh_part_finish(wh_part *p, const char *sha256, wh_err *err);

/* The progress line, at most five times a second; `more` bytes are on their way beside FILE.part. */
void    wh_part_show(wh_part *p, uint64_t more);

#endif
