/* store: hidden states on the disk, so that they are computed once for all heads that are tried on them.
 *
 * A file in frames (journal/frames.h): a line of JSON that says of which model and layers, then records: the key of
 * what was read (a SHA-256), and the states at its places as f16. It survives a kill; what is there is not computed
 * again, whichever journals it came from.
 */
#ifndef WH_FIT_STORE_H
#define WH_FIT_STORE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

typedef struct wh_store wh_store;

enum { WH_STORE_LAYERS = 64, WH_STORE_KEY = 64 };

typedef struct wh_store_head {
    char     trunk_sha256[65];
    uint32_t layers[WH_STORE_LAYERS];
    size_t   n_layers, d; /* a state has n_layers · d numbers */
} wh_store_head;

/* A record: `rows` states, one after the other. values are valid during the call. */
typedef wh_code wh_store_each(void *user, const char key[WH_STORE_KEY], const uint16_t *values, size_t rows, wh_err *err);

/* Open or create. A new file gets `head`. An existing one must be of the same trunk and have the layers of head, and
 * maybe more: then head becomes the file's. WH_ERR_ARG with a sentence otherwise. */
wh_code wh_store_open(wh_store **out, const char *path, wh_store_head *head, wh_err *err);
wh_code wh_store_read(wh_store *s, wh_store_each *each, void *user, wh_err *err);
/* Records are written together, at the latest by close. */
wh_code wh_store_put(wh_store *s, const char key[WH_STORE_KEY], const uint16_t *values, size_t rows, wh_err *err);
wh_code wh_store_close(wh_store *s, wh_err *err);

#endif
