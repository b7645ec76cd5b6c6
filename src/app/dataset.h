/* dataset: a problem set, one JSON object per line.
 *
 * The problem stands under "problem" or "question", the reference answer under "answer",
 * "extracted_groundtruth" or "solution" (the first of them that is there; a text or a number; a text may be a
 * whole solution that ends in its answer), a name under "id" or "unique_id" (default: the number of the line).
 */
#ifndef WH_APP_DATASET_H
#define WH_APP_DATASET_H

#include "base/buf.h"
#include "base/err.h"

typedef struct wh_question {
    size_t   line; /* in the file, from 1 */
    char    *id, *problem, *gold;
    uint64_t seed; /* of its samples: depends on the seed of the run and the line; `whet solve --seed` takes it */
} wh_question;

typedef struct wh_dataset {
    wh_question *list;
    size_t       n;
    char         sha256[65]; /* of the file */
} wh_dataset; /* starts as {0} */

/* The first `limit` problems (0: all); "-": standard input. WH_ERR_FORMAT names the line. Half of it is
 * freed by wh_dataset_free when it fails. */
wh_code wh_dataset_load(wh_dataset *d, const char *path, size_t limit, uint64_t seed, wh_err *err);
/* Keep every of-th problem, beginning with number `part` (1 .. of): so several machines share a set. A problem keeps
 * its line and its seed, and with them its samples. WH_ERR_ARG: there is none in this part. */
wh_code wh_dataset_shard(wh_dataset *d, size_t part, size_t of, wh_err *err);
void    wh_dataset_free(wh_dataset *d);

#endif
