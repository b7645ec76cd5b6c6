/* journal: what a run has found so far, on the disk, whatever happens to the run.
 *
 * A journal is a sequence of zstd frames, each whole in itself (content size and checksum in it), each
 * holding lines of JSON. The first line says which run it is; every other line is a record. `zstdcat FILE`
 * shows it. Frames are only ever appended, so a process that is killed at any byte leaves whole frames and at
 * most one torn one at the end, which the next run cuts off before it goes on.
 *
 * A frame that is broken while a whole one follows it was not torn but damaged: that is an error, and nothing
 * is cut. So is a file that is no journal.
 *
 * One process writes a journal at a time (a lock on the file). Not for several threads at once.
 */
#ifndef WH_JOURNAL_JOURNAL_H
#define WH_JOURNAL_JOURNAL_H

#include "base/err.h"

#include <jansson.h>

typedef struct wh_journal wh_journal;

/* Called for each record in the order of writing; anything but WH_OK ends the reading with that code. */
typedef wh_code wh_journal_each(void *user, const json_t *record, wh_err *err);

/* Open for appending. A new file begins with `run`, an object of everything the results depend on. In an
 * existing one the run must be the same (WH_ERR_ARG names the first difference); its records are passed to
 * `each` (may be NULL). *torn = bytes that were cut off the end. */
wh_code wh_journal_open(wh_journal **out, const char *path, const json_t *run, wh_journal_each *each, void *user,
                        size_t *torn, wh_err *err);

/* Append the records of an array as one frame: all of them survive or none. When the disk is full the file
 * is cut back to what it was (WH_ERR_IO), and a later call may succeed. What was appended survives the death
 * of the process at once, and that of the machine after a second (fsync). */
wh_code wh_journal_append(wh_journal *j, const json_t *records, wh_err *err);

/* Syncs and closes; WH_ERR_IO when the last records may not have reached the disk. NULL is WH_OK. */
wh_code wh_journal_close(wh_journal *j, wh_err *err);

/* Read alone, changing nothing: *run is a new reference (out may be NULL), *torn = bytes at the end that are
 * not whole. */
wh_code wh_journal_read(const char *path, json_t **run, wh_journal_each *each, void *user, size_t *torn, wh_err *err);

#endif
