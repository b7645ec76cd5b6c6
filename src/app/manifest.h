/* manifest: the models Whet knows by name (models/MANIFEST, compiled in), and where they are kept.
 *
 * A model on the command line is a name or alias of the list, or the path of a GGUF file.
 */
#ifndef WH_APP_MANIFEST_H
#define WH_APP_MANIFEST_H

#include "base/buf.h"
#include "base/err.h"

typedef struct wh_wheel {
    const char *requirement; /* "project==version" */
    const char *member;      /* path inside the wheel */
    uint64_t    bytes;       /* of the member */
} wh_wheel;

typedef struct wh_entry {
    const char  *name, *file, *licence, *purpose;
    const char  *sha256; /* NULL: unknown */
    uint64_t     bytes;  /* 0: unknown */
    bool         is_default;
    const char **aliases;
    size_t       n_aliases;
    const char **sources; /* URLs and "wheels" */
    size_t       n_sources;
    wh_wheel    *wheels;
    size_t       n_wheels;
} wh_entry;

typedef struct wh_manifest {
    wh_entry *entries;
    size_t    n;
    char     *text; /* holds every string of the entries */
} wh_manifest;

/* The built-in list, or the one named by $WHET_MANIFEST. WH_ERR_FORMAT names the line that is wrong. */
wh_code wh_manifest_load(wh_manifest *m, wh_err *err);
void    wh_manifest_free(wh_manifest *m);

/* By name or alias; NULL name: the default entry. WH_ERR_ARG suggests a name that is near. */
wh_code wh_manifest_find(const wh_entry **out, const wh_manifest *m, const char *name, wh_err *err);

/* Append the models folder ($WHET_MODELS, $XDG_CACHE_HOME/whet/models or ~/.cache/whet/models). */
wh_code wh_manifest_folder(wh_buf *out, wh_err *err);
/* Append the path that the file of an entry has or will have. */
wh_code wh_manifest_path(wh_buf *out, const wh_entry *e, wh_err *err);

/* Append the path of the model that `reference` means: a path (it has a '/', ends in ".gguf", or exists), a
 * name, or NULL for the default. A model of the list that is not there yet is WH_ERR_IO: "run: whet pull". */
wh_code wh_manifest_resolve(wh_buf *out, const char *reference, wh_err *err);

#endif
