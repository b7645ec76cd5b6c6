/* frames: a file that only grows, in zstd frames, and survives the death of its writer.
 *
 * Each frame is compressed on its own, with its size and a checksum, and written at once. A file that ends in the
 * middle of a frame was torn by a crash: what is whole is read and the rest is cut off when writing goes on. When
 * whole frames follow a broken one the file is not torn but damaged: that is an error, and nothing is cut. So
 * is a file that never was one of these. `noun` says in sentences what the file is: "journal".
 *
 * One process writes a file at a time (a lock on it). Not for several threads at once.
 */
#ifndef WH_JOURNAL_FRAMES_H
#define WH_JOURNAL_FRAMES_H

#include "base/err.h"

#include <stddef.h>

typedef struct wh_frames wh_frames;

/* The content of each frame in order, zero-terminated, valid during the call; `at`: where it is in the file. */
typedef wh_code wh_frames_each(void *user, const char *data, size_t n, size_t at, wh_err *err);

/* Read alone, changing nothing. *torn (may be NULL) = bytes at the end that are not whole. */
wh_code wh_frames_read(const char *path, const char *noun, wh_frames_each *each, void *user, size_t *torn, wh_err *err);

/* Open, or create, for writing; noun is borrowed. Then scan (as often as one likes), then append. */
wh_code wh_frames_open(wh_frames **out, const char *path, const char *noun, int level, wh_err *err);
wh_code wh_frames_scan(wh_frames *f, wh_frames_each *each, void *user, size_t *torn, wh_err *err);
/* Behind the last whole frame, where the torn end is cut off first. When the disk is full the file is cut back to
 * what it was (WH_ERR_IO), and a later call may succeed. What was appended survives the death of the process at
 * once, and that of the machine after a second (fsync). */
wh_code wh_frames_append(wh_frames *f, const void *data, size_t n, wh_err *err);
/* Syncs and closes; WH_ERR_IO when the last frames may not have reached the disk. NULL is WH_OK. */
wh_code wh_frames_close(wh_frames *f, wh_err *err);

#endif
